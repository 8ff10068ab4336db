"""Greenroom's own API, as a value for the pipeline.

Its requests are signed as those of ivschat, for a service of their own, so that neither signature
is good for the other. A path on the one port needs nothing that a remote operator, a container or a
store in memory lacks, as a socket in the data directory would.
"""

from functools import partial

import msgspec

from greenroom.aws import rest_json
from greenroom.aws.rest_json import Response
from greenroom.control.greenroom.authorize import authorize
from greenroom.control.greenroom.call import GreenroomCall, GreenroomServices
from greenroom.control.greenroom.operations import OPERATIONS, PREFIX, GreenroomOperation
from greenroom.control.pipeline import Api, Incoming, Result
from greenroom.control.throttle import Throttle
from greenroom.model.errors import ServiceError, ValidationException

SERVICE = "greenroom"
"""The service in the credential scope."""

BODY_BYTES = 4096

_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

Asked = tuple[GreenroomOperation, GreenroomCall]

GreenroomApi = Api[GreenroomOperation, Asked]


def greenroom_api(services: GreenroomServices) -> GreenroomApi:
    """Return the API. Browsers may not read its answers: it has no headers for them."""
    return Api(
        service=SERVICE,
        route=_route,
        throttle=_throttle,
        parse=partial(_parse, services),
        authorize=_authorize,
        perform=_perform,
        serialize=_serialize,
        serialize_error=_serialize_error,
        reading=frozenset(each.name for each in OPERATIONS.values() if each.reads),
        body_bytes=BODY_BYTES,
    )


def _route(incoming: Incoming) -> GreenroomOperation:
    scope = incoming.scope
    found = OPERATIONS.get(scope["raw_path"].removeprefix(PREFIX))
    if found is None or scope["method"] != "POST":
        raise ValidationException("There is no such request of the operator's.")
    incoming.trail.operation = found.name
    return found


def _throttle(throttle: Throttle, incoming: Incoming, _route: GreenroomOperation) -> None:
    principal = incoming.caller.principal
    throttle.take_of_service(
        SERVICE, principal.account, principal.principal_arn, len(incoming.body)
    )


def _parse(services: GreenroomServices, incoming: Incoming, operation: GreenroomOperation) -> Asked:
    incoming.trail.parameters = parameters = operation.parse(incoming.body)
    principal = incoming.caller.principal
    call = GreenroomCall(
        services=services, principal=principal, parameters=parameters, facts=incoming.facts()
    )
    return operation, call


async def _authorize(incoming: Incoming, asked: Asked) -> None:
    operation, call = asked
    await authorize(call, operation.name, incoming.facts())


async def _perform(asked: Asked) -> Result:
    operation, call = asked
    answer: Result = msgspec.to_builtins(await operation.handler(call))
    return answer


def _serialize(_asked: Asked, result: Result, _request_id: str) -> Response:
    return Response(200, _HEADERS, msgspec.json.encode(result))


def _serialize_error(error: ServiceError, _request_id: str) -> Response:
    return rest_json.serialize_error(error)
