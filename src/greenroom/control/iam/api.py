"""The IAM and STS APIs: a request whose signature was verified, to its answer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from greenroom.aws import query, query_service, query_xml
from greenroom.aws.rest_json import Response
from greenroom.control.audit_details import issued, made
from greenroom.control.iam.authorize import authorize
from greenroom.control.iam.call import IamCall, IamServices
from greenroom.control.iam.operations import OPERATIONS
from greenroom.control.trail import Trail
from greenroom.identities.callers import Caller
from greenroom.model.iam_errors import InvalidClientTokenId
from greenroom.model.principal import PrincipalType
from greenroom.policies.iam_access import FREE_ACTIONS
from greenroom.policies.request_context import RequestFacts


class QueryApi:
    """Serves the operations of IAM and STS."""

    def __init__(self, services: IamServices, changed: Callable[[str], None]) -> None:
        """Make the APIs; `changed` is called with the account whose identities changed."""
        self._services = services
        self._changed = changed

    async def respond(
        self,
        service: str,
        form: query.Form,
        caller: Caller,
        facts: RequestFacts,
        trail: Trail,
    ) -> Response:
        """Perform one operation, and note in the trail which.

        Raises:
            ServiceError: it cannot, or the caller may not.
        """
        name = form.action(service)
        action = f"{service}:{name}"
        served = OPERATIONS.get(action)
        if served is None:
            raise query.unknown(name, query_service.VERSIONS[service])
        trail.operation, trail.reads = name, not (served.changes or served.issues)
        trail.is_free = action in FREE_ACTIONS
        operation = query_service.operation(service, name)
        trail.parameters = parameters = query.parse(operation, form)
        call = IamCall(
            services=self._services,
            caller=caller,
            facts=facts,
            parameters=parameters,
        )
        if service == "iam":
            _refuse_session_of_user(caller)
        if action not in FREE_ACTIONS and not served.decides:
            await authorize(call, action)
        result = await served.handler(call)
        trail.parameters, trail.result = {**parameters, **issued(result)}, made(result)
        if served.changes:
            self._changed(call.account)
        return query_xml.serialize(operation, result, trail.request_id)


def service_of(scope: Mapping[str, Any]) -> str | None:
    """Return which of IAM and STS an HTTP request is for; None for the ivschat API.

    What it is signed for says so. A form that is not signed at all gets its refusal from STS.
    """
    signed = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    where = signed or scope["query_string"]
    for service, (in_header, in_query) in _SCOPES.items():
        if in_header in where or in_query in where:
            return service
    if scope["raw_path"] == b"/" and not where and _is_form(scope["headers"]):
        return "sts"
    return None


_SCOPES = {
    service: (f"/{service}/aws4_request".encode(), f"%2F{service}%2Faws4_request".encode())
    for service in query_service.VERSIONS
}


def _is_form(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.startswith(query.FORM_TYPE) for name, value in headers
    )


def _refuse_session_of_user(caller: Caller) -> None:
    """Keep what GetSessionToken gave away from IAM: it could make itself permanent.

    "You cannot call any IAM API operations unless MFA authentication information is included in
    the request" (STS API reference, GetSessionToken); MFA is not known here.
    """
    if caller.session is not None and caller.principal.type is not PrincipalType.ASSUMED_ROLE:
        raise InvalidClientTokenId("The security token included in the request is invalid")
