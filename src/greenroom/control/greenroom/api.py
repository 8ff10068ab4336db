"""Greenroom's own API, as a value for the pipeline.

Its requests are signed as those of ivschat, for a service of their own, so that neither signature
is good for the other. A path on the one port needs nothing that a remote operator, a container or a
store in memory lacks, as a socket in the data directory would.
"""

from functools import partial

import msgspec

from greenroom.aws import own_service, rest_json
from greenroom.aws.own_service import SERVICE
from greenroom.aws.rest_json import Response
from greenroom.aws.shapes import Operation
from greenroom.control.asgi import header_of
from greenroom.control.greenroom.authorize import authorize
from greenroom.control.greenroom.call import GreenroomCall, GreenroomServices
from greenroom.control.greenroom.operations import OPERATIONS
from greenroom.control.pipeline import Api, Incoming, Result
from greenroom.control.throttle import Throttle
from greenroom.model.errors import ServiceError, ValidationException, ValidationReason
from greenroom.protocol.actions import SendMessage

BODY_BYTES = 65_536

_NOT_KEPT = (b"cache-control", b"no-store")

Asked = tuple[Operation, GreenroomCall]

GreenroomApi = Api[Operation, Asked]


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
        reading=frozenset(name for name, each in OPERATIONS.items() if each.reads),
        body_bytes=BODY_BYTES,
    )


def _route(incoming: Incoming) -> Operation:
    scope = incoming.scope
    found = own_service.BY_PATH.get(scope["raw_path"])
    if found is None or scope["method"] != "POST":
        raise ValidationException(
            "There is no such operation of Greenroom's own.", ValidationReason.UNKNOWN_OPERATION
        )
    incoming.trail.operation = found.name
    return found


def _throttle(throttle: Throttle, incoming: Incoming, route: Operation) -> None:
    principal, size = incoming.caller.principal, len(incoming.body)
    if route.name == SendMessage.operation:
        # It comes as often as people write, and not as operators act.
        throttle.take(route.name, principal.account, incoming.region, size)
        return
    throttle.take_of_service(SERVICE, principal.account, principal.principal_arn, size)


def _parse(services: GreenroomServices, incoming: Incoming, operation: Operation) -> Asked:
    content_type = header_of(incoming.scope["headers"], b"content-type")
    parameters = rest_json.parse(operation, {}, b"", content_type, incoming.body)
    performed = OPERATIONS[operation.name]
    also = performed.also
    incoming.trail.parameters = {**parameters, **(also(parameters) if also else {})}
    incoming.trail.reveals = bool(parameters.get(performed.reveals_with))
    call = GreenroomCall(
        services=services,
        principal=incoming.caller.principal,
        parameters=parameters,
        facts=incoming.facts(),
    )
    return operation, call


async def _authorize(incoming: Incoming, asked: Asked) -> None:
    operation, call = asked
    await authorize(call, operation.name, incoming.facts())


async def _perform(asked: Asked) -> Result:
    operation, call = asked
    answer: Result = msgspec.to_builtins(await OPERATIONS[operation.name].handler(call))
    return answer


def _serialize(asked: Asked, result: Result, _request_id: str) -> Response:
    made = rest_json.serialize(asked[0], result)
    return Response(made.status, (*made.headers, _NOT_KEPT), made.body)


def _serialize_error(error: ServiceError, _request_id: str) -> Response:
    return rest_json.serialize_error(error)
