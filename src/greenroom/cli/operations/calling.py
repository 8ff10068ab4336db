"""Send an operation's request as the AWS CLI's own library does, botocore, and read the answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

import click
from botocore import exceptions, xform_name
from botocore.client import BaseClient
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session
from botocore.utils import ArgumentGenerator

from greenroom.cli.access import CommandRefused
from greenroom.cli.api import TIMEOUT_SECONDS, foreign, is_throttled, refusal, unreachable
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.iam_client import REGION as IAM_REGION
from greenroom.cli.operations import models
from greenroom.cli.operations.models import Service
from greenroom.cli.reaching import Reached
from greenroom.cli.verbose import note_request
from greenroom.protocol.errors import TLS_ONLY

Result = dict[str, object]


def call(
    reached: Reached,
    service: Service,
    operation: str,
    parameters: Mapping[str, object],
    paging: Mapping[str, object] | None,
) -> Result:
    """Return an operation's result; of a list with `paging` all of its pages together.

    Raises:
        UsageError: parameters do not fit the model.
        CommandRefused: the service cannot be reached, or it answers with an error.
    """
    name = service.operations[operation]
    with _refusals(reached, name):
        client = _client(reached, service)
    try:
        with _refusals(reached, name):
            if paging is None:
                method: Callable[..., Result] = getattr(client, xform_name(name))
                result = method(**parameters)
            else:
                pages = client.get_paginator(xform_name(name))
                found = pages.paginate(**parameters, PaginationConfig=dict(paging))
                result = found.build_full_result()
    finally:
        client.close()
    return {key: value for key, value in result.items() if key != "ResponseMetadata"}


def skeleton(service: Service, operation: str) -> object:
    """Return a request with every member, to be filled in.

    Raises:
        CommandRefused: AWS's files are not valid.
    """
    try:
        model = _session().get_service_model(service.name)
    except exceptions.BotoCoreError as error:
        why = " ".join(str(error).split())
        raise CommandRefused(f"{operation} cannot be shown: {why}", ExitCode.FAILED) from error
    shape = model.operation_model(service.operations[operation]).input_shape
    return {} if shape is None else ArgumentGenerator().generate_skeleton(shape)


def _session() -> Session:
    # What the environment says of profiles was read by the command itself.
    session = Session(session_vars={"profile": (None, None, None, None)})
    session.get_component("data_loader").search_paths.append(str(models.OWN))
    # Times stay as they were sent.
    session.get_component("response_parser_factory").set_parser_defaults(
        timestamp_parser=lambda value: value
    )
    return session


def _client(reached: Reached, service: Service) -> BaseClient:
    endpoint, key = reached.endpoint, reached.key
    trusted = endpoint.trusted
    client = _session().create_client(
        service.name,
        region_name=IAM_REGION if service.name in ("iam", "sts") else reached.region,
        endpoint_url=endpoint.url,
        verify=str(trusted) if trusted is not None and trusted.exists() else None,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.session_token,
        # No proxy of the environment: no other command takes one.
        config=Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, proxies={}),
    )
    started = monotonic()
    client.meta.events.register(
        "response-received.*",
        lambda response_dict, operation_name=service.name, **_: note_request(
            operation_name,
            None if response_dict is None else response_dict["status_code"],
            monotonic() - started,
        ),
    )
    return client


@contextmanager
def _refusals(reached: Reached, operation: str) -> Iterator[None]:
    """Say in one line what botocore or the service refuses, as every other command does."""
    try:
        yield
    except exceptions.ParamValidationError as invalid:
        said = str(invalid).removeprefix("Parameter validation failed:\n")
        raise click.UsageError("; ".join(said.splitlines())) from invalid
    except exceptions.ClientError as error:
        raise _refused(reached, operation, error) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise unreachable(reached.endpoint, error) from error
    except ResponseParserError as error:
        raise foreign(reached.endpoint, 200, operation) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CommandRefused(f"{operation} cannot be sent: {why}", ExitCode.FAILED) from error


def _refused(reached: Reached, operation: str, error: exceptions.ClientError) -> CommandRefused:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if message == TLS_ONLY:
        return unreachable(reached.endpoint, ValueError(TLS_ONLY))
    # Without an error's name botocore takes the status for one.
    if code == str(status) and not is_throttled(code):
        return foreign(reached.endpoint, status, operation)
    return refusal(reached.endpoint, reached.key, status, operation, (code, message))
