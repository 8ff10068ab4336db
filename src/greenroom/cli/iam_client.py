"""A client of the IAM and STS APIs: blocking, signed, one connection.

botocore writes the forms and reads the answers; its clients, which take longer to make than most
commands to run, are not needed.
"""

import http.client
import time
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlencode

from botocore.exceptions import ParamValidationError
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserError, create_parser
from botocore.serialize import create_serializer

from greenroom.aws.query_service import VERSIONS
from greenroom.aws.shapes import read_model
from greenroom.aws.signature import sigv4
from greenroom.cli.access import ClientKey, CommandRefused
from greenroom.cli.api import (
    PAUSE_SECONDS,
    THROTTLED_SECONDS,
    TIMEOUT_SECONDS,
    Endpoint,
    foreign,
    is_throttled,
    refusal,
    unreachable,
)
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.verbose import note_request
from greenroom.protocol.errors import TLS_ONLY

REGION = "us-east-1"
"""The region that requests to IAM are signed for."""

_FORM = "application/x-www-form-urlencoded; charset=utf-8"

Answer = dict[str, Any]
"""What botocore reads: members by name, times as `datetime`."""


class IamClient:
    """Calls operations of IAM and STS."""

    def __init__(self, endpoint: Endpoint, key: ClientKey) -> None:
        self.endpoint = endpoint
        self._key = key
        tls = endpoint.tls()
        where = (endpoint.host, endpoint.port)
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(*where, timeout=TIMEOUT_SECONDS)
            if tls is None
            else http.client.HTTPSConnection(*where, timeout=TIMEOUT_SECONDS, context=tls)
        )

    def call(self, action: str, **parameters: object) -> Answer:
        """Return the result of an action: `iam:CreateUser`; who is throttled tries again.

        Raises:
            CommandRefused: the service cannot be reached, or it answers with an error.
        """
        deadline = time.monotonic() + THROTTLED_SECONDS
        while True:
            try:
                return self._call(action, **parameters)
            except CommandRefused as refused:
                if not is_throttled(refused.error) or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    def all(self, action: str, member: str, **parameters: object) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        marker: str | None = None
        while True:
            page = self.call(action, Marker=marker, **parameters)
            items += page[member]
            marker = page.get("Marker")
            if marker is None:
                return items

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _call(self, action: str, **parameters: object) -> Answer:
        service, _, name = action.partition(":")
        model = _model(service).operation_model(name)
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            form = create_serializer("query").serialize_to_request(given, model)["body"]
        except ParamValidationError as invalid:
            said = str(invalid).removeprefix("Parameter validation failed:\n")
            why = "; ".join(said.splitlines())
            raise CommandRefused(why, ExitCode.USAGE) from invalid
        status, text = self._exchange(service, urlencode(cast(dict[str, str], form)).encode())
        try:
            shape = cast(Any, model.output_shape)
            answer = create_parser("query").parse(
                {"status_code": status, "headers": {}, "body": text}, shape
            )
        except (ResponseParserError, KeyError):  # XML that is no answer of the operation
            answer = {}
        if "ResponseMetadata" not in answer or (status >= 300 and "Error" not in answer):
            if TLS_ONLY.encode() in text:
                raise unreachable(self.endpoint, ValueError(TLS_ONLY))
            raise foreign(self.endpoint, status, name)
        if status < 300:
            return {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        error = answer["Error"]
        raise refusal(self.endpoint, self._key, status, name, (error["Code"], error["Message"]))

    def _exchange(self, service: str, body: bytes) -> tuple[int, bytes]:
        headers = {"host": self.endpoint.authority, "content-type": _FORM}
        path = f"{self.endpoint.path}/"
        request = sigv4.Request("POST", path, "", tuple(headers.items()), body)
        key = self._key
        signed = sigv4.sign(
            request,
            key.access_key_id,
            key.secret,
            REGION,
            service,
            time.time(),
            key.session_token,
        )
        started = time.monotonic()
        try:
            self._connection.request("POST", path, body, headers | signed)
            answer = self._connection.getresponse()
            text = answer.read()
            note_request(f"POST {path} of {service}", answer.status, time.monotonic() - started)
            return answer.status, text
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.endpoint, error) from None


@lru_cache(maxsize=len(VERSIONS))
def _model(service: str) -> ServiceModel:
    return ServiceModel(read_model(service, VERSIONS[service]), service)
