"""The ivschat API, as a value for the pipeline."""

from collections.abc import Awaitable, Collection
from functools import partial

from greenroom.aws import rest_json, service
from greenroom.aws.rest_json import Response
from greenroom.aws.shapes import Operation
from greenroom.control.asgi import CORS, header_of
from greenroom.control.ivschat.authorize import authorize
from greenroom.control.ivschat.checks import MEMBER_CHECKS
from greenroom.control.ivschat.context import Call, Services
from greenroom.control.ivschat.operations import HANDLERS, READING
from greenroom.control.pipeline import Api, Incoming, Result
from greenroom.control.room_tags import tags_in_store
from greenroom.control.throttle import Throttle
from greenroom.model.errors import ServiceError

SERVICE = "ivschat"
"""The service that requests are signed for."""

BLOCKED = frozenset(
    name
    for name, operation in service.OPERATIONS.items()
    if "PendingVerification" in operation.errors
)
"""What a suspended account may not do: the operations that declare its error.

Here it keeps operations from the store and from issuing tokens. That nothing is published is a rule
of `chat` (`gates.CheckAccount`), which viewers' connections reach without this pipeline; what both
refuse they refuse alike."""

Route = tuple[Operation, dict[str, str]]
"""The operation, and the labels in its path."""

IvschatApi = Api[Route, Call]


def ivschat_api(services: Services, regions: Collection[str] | None = None) -> IvschatApi:
    """Return the API; `regions` are those that are served, None any."""
    return Api(
        service=SERVICE,
        route=_route,
        throttle=_throttle,
        parse=partial(_parse, services),
        authorize=_authorize,
        perform=_perform,
        serialize=_serialize,
        serialize_error=_serialize_error,
        reading=READING,
        blocked=BLOCKED,
        regions=regions,
        headers=CORS,
    )


def _route(incoming: Incoming) -> Route:
    scope = incoming.scope
    found = service.route(scope["method"], scope["raw_path"].decode("latin-1"))
    incoming.trail.operation = found[0].name
    return found


def _throttle(throttle: Throttle, incoming: Incoming, route: Route) -> None:
    account = incoming.caller.principal.account
    throttle.take(route[0].name, account, incoming.region, len(incoming.body))


def _parse(services: Services, incoming: Incoming, route: Route) -> Call:
    operation, uri = route
    scope, principal = incoming.scope, incoming.caller.principal
    parameters = rest_json.parse(
        operation,
        uri,
        scope["query_string"],
        header_of(scope["headers"], b"content-type"),
        incoming.body,
        MEMBER_CHECKS,
    )
    incoming.trail.parameters = parameters
    return Call(
        operation=operation,
        services=services,
        principal=principal,
        account=principal.account,
        region=incoming.region,
        parameters=parameters,
    )


async def _authorize(incoming: Incoming, call: Call) -> None:
    await authorize(
        call.principal,
        call.operation.name,
        call.parameters,
        incoming.facts(),
        tags_in_store(call.services.store.tags, call.account, call.region),
    )


def _perform(call: Call) -> Awaitable[Result]:
    return HANDLERS[call.operation.name](call)


def _serialize(call: Call, result: Result, _request_id: str) -> Response:
    return rest_json.serialize(call.operation, result)


def _serialize_error(error: ServiceError, _request_id: str) -> Response:
    return rest_json.serialize_error(error)
