"""The IAM and STS APIs, as values for the pipeline."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

import msgspec

from greenroom.aws import query, query_service, query_xml
from greenroom.aws.rest_json import Response
from greenroom.control.asgi import CORS, Scope, header_of
from greenroom.control.iam.authorize import authorize
from greenroom.control.iam.call import IamCall, IamServices
from greenroom.control.iam.operations import OPERATIONS, IamOperation
from greenroom.control.pipeline import Api, Incoming, Result
from greenroom.control.request_body import FORM_BYTES
from greenroom.control.throttle import Throttle
from greenroom.identities.callers import Caller
from greenroom.model.errors import ServiceError
from greenroom.model.iam_errors import InvalidClientTokenId
from greenroom.model.principal import PrincipalType
from greenroom.policies.iam_access import FREE_ACTIONS

GLOBAL_REGION = "us-east-1"
"""What requests to IAM, and to the one endpoint of STS for all regions, are signed for."""


class Named(msgspec.Struct, frozen=True):
    """A call, and the operation of the tables that it is one of."""

    action: str
    served: IamOperation
    model: query_service.QueryOperation
    call: IamCall


IamApi = Api[None, Named]

Changed = Callable[[str], None]
"""Is called with the account whose identities changed."""


def iam_apis(
    services: IamServices, changed: Changed, regions: Collection[str] | None = None
) -> Mapping[str, IamApi]:
    """Return both APIs by service; `regions` are those that are served, None any."""
    return {name: _api(name, services, changed, regions) for name in query_service.VERSIONS}


def _api(
    service: str, services: IamServices, changed: Changed, regions: Collection[str] | None
) -> IamApi:
    prefix = f"{service}:"
    return Api(
        service=service,
        route=_route,
        throttle=partial(_throttle, service),
        parse=partial(_parse, service, services),
        authorize=_authorize,
        perform=partial(_perform, changed),
        serialize=_serialize,
        serialize_error=partial(_serialize_error, service),
        reading=frozenset(
            action.removeprefix(prefix)
            for action, served in OPERATIONS.items()
            if action.startswith(prefix) and not (served.changes or served.issues)
        ),
        regions=None if regions is None else {GLOBAL_REGION, *regions},
        body_bytes=FORM_BYTES,
        headers=CORS,
    )


def _route(_incoming: Incoming) -> None:
    """Find nothing: the form says what a request is for."""


def _throttle(service: str, throttle: Throttle, incoming: Incoming, _route: None) -> None:
    # Before the form is read: that is what a large one costs.
    principal = incoming.caller.principal
    throttle.take_of_service(
        service, principal.account, principal.principal_arn, len(incoming.body)
    )


def _parse(service: str, services: IamServices, incoming: Incoming, _route: None) -> Named:
    scope, trail = incoming.scope, incoming.trail
    form = query.read_form(
        scope["query_string"], header_of(scope["headers"], b"content-type"), incoming.body
    )
    name = form.action(service)
    action = f"{service}:{name}"
    served = OPERATIONS.get(action)
    if served is None:
        raise query.unknown(name, query_service.VERSIONS[service])
    trail.operation, trail.is_free = name, action in FREE_ACTIONS
    model = query_service.operation(service, name)
    trail.parameters = parameters = query.parse(model, form)
    if service == "iam":
        _refuse_session_of_user(incoming.caller)
    call = IamCall(
        services=services, caller=incoming.caller, facts=incoming.facts(), parameters=parameters
    )
    return Named(action, served, model, call)


async def _authorize(_incoming: Incoming, named: Named) -> None:
    if named.action not in FREE_ACTIONS and not named.served.decides:
        await authorize(named.call, named.action)


async def _perform(changed: Changed, named: Named) -> Result:
    result = await named.served.handler(named.call)
    if named.served.changes:
        changed(named.call.account)
    return result


def _serialize(named: Named, result: Result, request_id: str) -> Response:
    return query_xml.serialize(named.model, result, request_id)


def _serialize_error(service: str, error: ServiceError, request_id: str) -> Response:
    return query_xml.serialize_error(error, service, request_id)


def service_of(scope: Scope) -> str | None:
    """Return which of IAM and STS an HTTP request is for; None for the ivschat API.

    What it is signed for says so. A form that is not signed at all gets its refusal from STS.
    """
    where = header_of(scope["headers"], b"authorization") or scope["query_string"]
    for service, (in_header, in_query) in _SCOPES.items():
        if in_header in where or in_query in where:
            return service
    if scope["raw_path"] == b"/" and not where:
        content_type = header_of(scope["headers"], b"content-type") or b""
        return "sts" if content_type.startswith(query.FORM_TYPE) else None
    return None


_SCOPES = {
    service: (f"/{service}/aws4_request".encode(), f"%2F{service}%2Faws4_request".encode())
    for service in query_service.VERSIONS
}


def _refuse_session_of_user(caller: Caller) -> None:
    """Keep what GetSessionToken gave away from IAM: it could make itself permanent.

    "You cannot call any IAM API operations unless MFA authentication information is included in
    the request" (STS API reference, GetSessionToken); MFA is not known here.
    """
    if caller.session is not None and caller.principal.type is not PrincipalType.ASSUMED_ROLE:
        raise InvalidClientTokenId("The security token included in the request is invalid")
