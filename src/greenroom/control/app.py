"""The pipeline of the control plane, as an ASGI application: a request to its answer.

Eight calls in a row: read the body, find the caller, verify the signature, route, parse and check,
authorize, perform, serialize. A `ServiceError` raised anywhere becomes a response here and nowhere
else. The service that a request is signed for decides about its API: ivschat, or IAM and STS, which
share the first steps and go on in `query_api`.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from time import perf_counter

import structlog
from prometheus_client import Counter, Histogram

from greenroom.audit.entry import SUCCESS
from greenroom.audit.log import AuditLog
from greenroom.aws import query, query_xml, rest_json, service
from greenroom.aws.signature import sigv4
from greenroom.control.asgi import Headers, Receive, Scope, Send, answer, signed_request
from greenroom.control.iam.api import QueryApi, service_of
from greenroom.control.ivschat.authorize import authorize, tags_in_store
from greenroom.control.ivschat.checks import MEMBER_CHECKS
from greenroom.control.ivschat.context import Call, Services
from greenroom.control.ivschat.operations import HANDLERS
from greenroom.control.request_body import FORM_BYTES, Bodies, TooManyBodies
from greenroom.control.throttle import Throttle
from greenroom.control.trail import Auditor, Trail, new_trail
from greenroom.identities.callers import Caller, Identities
from greenroom.model.errors import (
    InternalServerException,
    ServiceError,
)
from greenroom.policies.request_context import RequestFacts
from greenroom.telemetry.bounded_log import BoundedLog

SERVICE = "ivschat"
"""The service that requests are signed for."""

GLOBAL_REGION = "us-east-1"
"""What requests to IAM, and to the one endpoint of STS for all regions, are signed for."""

_PENDING = "PendingVerification"
"""Declared by every operation that a suspended account may not perform."""

_EXPOSED = b"x-amzn-ErrorType,x-amzn-RequestId,Date"
CORS = ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED))
_PREFLIGHT = (
    *CORS,
    (b"access-control-allow-methods", b"GET,POST,DELETE,OPTIONS"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
)

UNKNOWN = "unknown"
"""What a request is counted as that was refused before its operation was known."""

log = structlog.get_logger()


class ControlPlane:
    """Serves the ivschat API, and those of IAM and STS where `query_api` is given."""

    def __init__(
        self,
        services: Services,
        identities: Identities,
        audit_log: AuditLog | None = None,
        query_api: QueryApi | None = None,
        bodies: Bodies | None = None,
        lines: BoundedLog | None = None,
        regions: Collection[str] | None = None,
    ) -> None:
        """Make the plane; `regions` are those that are served, None any."""
        self._services = services
        self.bodies = bodies or Bodies()
        self.logger = lines or BoundedLog()
        self._identities = identities
        self._query_api = query_api
        self._regions = regions
        self._regions_of_iam = None if regions is None else {GLOBAL_REGION, *regions}
        self.auditor = Auditor(audit_log, services.clock, self.logger)
        self._throttle = Throttle(services.quotas, services.clock)
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        """Looked up once: by operation and status, of which there are few."""
        for operation in (UNKNOWN, *HANDLERS):
            # From zero on: Prometheus does not see a counter's first 1 as an increase.
            services.metrics.control_requests.labels(operation, 500)

    @property
    def evicted(self) -> dict[str, int]:
        """What full memories gave up, by memory."""
        return {"request_rates": self._throttle.evicted, **self._identities.evicted}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["method"] == "OPTIONS":
            await answer(send, 204, _preflight(scope["headers"]), b"")
            return
        begun = perf_counter()
        trail = new_trail(scope)
        outcome = SUCCESS
        name = None if self._query_api is None else service_of(scope)
        try:
            if self._query_api is None or name is None:
                response = await self._respond(scope, receive, trail)
            else:
                response = await self._respond_query(self._query_api, name, scope, receive, trail)
        except ServiceError as error:
            outcome = error.code
            response = _refused(error, name, trail.request_id)
            if error.status >= 500 and not isinstance(error, TooManyBodies):
                kind = {"error": error.code, "operation": trail.operation}
                self.logger.write(
                    "error", "request failed", kind, address=trail.source_ip, **trail.names()
                )
        except Exception:
            # The client gets a 500 with the request id; the log has the place, never the content.
            self.logger.exception("request crashed", address=trail.source_ip, **trail.names())
            outcome = "InternalServerException"
            internal = InternalServerException("An internal error occurred.")
            response = _refused(internal, name, trail.request_id)
        await self.auditor.finish(trail, outcome)
        self._count(trail, response.status, perf_counter() - begun)
        headers = (*response.headers, (b"x-amzn-requestid", trail.request_id.encode()), *CORS)
        await answer(send, response.status, headers, response.body)

    def _count(self, trail: Trail, status: int, seconds: float) -> None:
        operation = trail.operation or UNKNOWN
        counted = self._counted.get((operation, status))
        if counted is None:
            metrics = self._services.metrics
            counted = self._counted[operation, status] = (
                metrics.control_requests.labels(operation, status),
                metrics.control_seconds.labels(operation),
            )
        counted[0].inc()
        counted[1].observe(seconds)
        if log.is_enabled_for(logging.DEBUG):
            log.debug("request answered", status=status, **trail.names())

    async def _respond(self, scope: Scope, receive: Receive, trail: Trail) -> rest_json.Response:
        request = signed_request(scope, await self.bodies.read(receive))
        caller, region = await self._authenticated(request, trail, SERVICE)
        operation, uri = service.route(request.method, scope["raw_path"].decode("latin-1"))
        trail.operation = operation.name
        self._throttle.take(operation.name, caller.account, region, len(request.body))
        parameters = rest_json.parse(
            operation,
            uri,
            scope["query_string"],
            _content_type(scope["headers"]),
            request.body,
            MEMBER_CHECKS,
        )
        trail.parameters = parameters
        if not caller.principal.is_root:
            await authorize(
                caller.principal,
                operation.name,
                parameters,
                self._facts(scope, region),
                tags_in_store(self._services.store.tags, caller.account, region),
            )
        if _PENDING in operation.errors:
            self._services.accounts.check(caller.account)
        call = Call(
            services=self._services,
            principal=caller.principal,
            account=caller.account,
            region=region,
            parameters=parameters,
        )
        trail.result = await HANDLERS[operation.name](call)
        return rest_json.serialize(operation, trail.result)

    async def _respond_query(
        self, api: QueryApi, name: str, scope: Scope, receive: Receive, trail: Trail
    ) -> rest_json.Response:
        request = signed_request(scope, await self.bodies.read(receive, FORM_BYTES))
        caller, region = await self._authenticated(request, trail, name)
        # Before the form is read: that is what a large one costs.
        arn = caller.principal.principal_arn
        self._throttle.take_of_service(name, caller.account, arn, len(request.body))
        content_type = _content_type(scope["headers"])
        form = query.read_form(scope["query_string"], content_type, request.body)
        return await api.respond(name, form, caller, self._facts(scope, region), trail)

    async def _authenticated(
        self, request: sigv4.Request, trail: Trail, name: str
    ) -> tuple[Caller, str]:
        """Return who signed the request, and for which region; `name` is the service's."""
        authorization = sigv4.authorization_of(request)
        trail.access_key_id = authorization.access_key_id
        caller = await self._identities.find(
            authorization.access_key_id, authorization.session_token
        )
        now = self._services.clock.now()
        regions = self._regions if name == SERVICE else self._regions_of_iam
        sigv4.verify(request, authorization, caller.secret_access_key, now, name, regions)
        trail.caller, trail.region = caller, authorization.region
        self._identities.note_use(caller, name, authorization.region)
        return caller, authorization.region

    def _facts(self, scope: Scope, region: str) -> RequestFacts:
        """Return what policies may ask about a request."""
        agent = next((v for n, v in scope["headers"] if n == b"user-agent"), None)
        return RequestFacts(
            region=region,
            now=datetime.fromtimestamp(self._services.clock.now(), UTC),
            source_ip=(scope.get("client") or (None,))[0],
            secure=scope.get("scheme") == "https",
            user_agent=None if agent is None else agent.decode("latin-1"),
        )


def _refused(error: ServiceError, name: str | None, request_id: str) -> rest_json.Response:
    if name is None:
        return rest_json.serialize_error(error)
    return query_xml.serialize_error(error, name, request_id)


def _content_type(headers: Headers) -> bytes | None:
    return next((value for name, value in headers if name == b"content-type"), None)


def _preflight(headers: Headers) -> Headers:
    asked = next((v for n, v in headers if n == b"access-control-request-headers"), b"")
    return (*_PREFLIGHT, (b"access-control-allow-headers", asked or b"authorization,content-type"))
