"""The way of a request to its answer, once for every API: a row of steps, in one function.

Read the body, authenticate, route, throttle, parse, authorize, check the suspension, perform,
serialize; then audit, count, answer. What differs between APIs is a value, `Api`. A `ServiceError`
raised anywhere becomes a response here and nowhere else.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from time import perf_counter
from typing import Generic, TypeVar

import msgspec
import structlog

from greenroom.audit.entry import SUCCESS
from greenroom.audit.log import AuditLog
from greenroom.aws.rest_json import Response
from greenroom.aws.signature import sigv4
from greenroom.chat.account_rates import AccountRates
from greenroom.clock import Clock
from greenroom.control.asgi import Receive, Scope, Send, answer, header_of, signed_request
from greenroom.control.request_body import BODY_BYTES, Bodies, TooManyBodies
from greenroom.control.throttle import Throttle
from greenroom.control.trail import Auditor, Trail, new_trail
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import Caller, Callers
from greenroom.model.errors import InternalServerException, ServiceError
from greenroom.model.quotas import Quotas
from greenroom.policies.request_context import RequestFacts
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics
from greenroom.telemetry.readings import Distribution, Number

UNKNOWN = "unknown"
"""What a request is counted as that was refused before its operation was known."""

Result = dict[str, object]
"""What an operation answers: members by name."""

log = structlog.get_logger()

R = TypeVar("R")
C = TypeVar("C")

USER_AGENT_BYTES = 1_024
"""What policies are asked about of a User-Agent: each of their patterns walks over all of it."""


class Incoming(msgspec.Struct):
    """An authenticated request, as far as it is the same for every API."""

    scope: Scope
    body: bytes
    caller: Caller
    region: str
    """That of the credential scope."""
    now: float
    """When it was authenticated, in seconds since the epoch."""
    trail: Trail

    def facts(self) -> RequestFacts:
        """Return what policies may ask about the request."""
        agent = header_of(self.scope["headers"], b"user-agent")
        return RequestFacts(
            region=self.region,
            now=datetime.fromtimestamp(self.now, UTC),
            source_ip=(self.scope.get("client") or (None,))[0],
            secure=self.scope.get("scheme") == "https",
            user_agent=None if agent is None else agent[:USER_AGENT_BYTES].decode("latin-1"),
        )


class Api(msgspec.Struct, Generic[R, C], frozen=True, kw_only=True):
    """What one API does its own way: R is what its `route` finds, C a call of an operation.

    Each step may raise a ServiceError. `route` and `parse` note in the trail what they learn, as
    soon as they do: the audit log tells it of refused requests, too.
    """

    service: str
    """In the credential scope, so that no other API's signature is good for this one."""
    route: Callable[[Incoming], R]
    """Find what the request is for, as far as that takes no look into its body."""
    throttle: Callable[[Throttle, Incoming, R], None]
    parse: Callable[[Incoming, R], C]
    authorize: Callable[[Incoming, C], Awaitable[None]]
    """Refuse what the caller may not do. The root is never asked about: it may do everything."""
    perform: Callable[[C], Awaitable[Result]]
    serialize: Callable[[C, Result, str], Response]
    """The third argument is the request's id, here and below."""
    serialize_error: Callable[[ServiceError, str], Response]
    reading: Collection[str] = ()
    """Operations that change and issue nothing: of these the audit log has refusals only, and what
    reveals something."""
    blocked: Collection[str] = ()
    """Operations that a suspended account may not perform."""
    regions: Collection[str] | None = None
    """Those that are served; None any."""
    body_bytes: int = BODY_BYTES
    """The largest body."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What every answer has beside its own headers and its request id."""


class Pipeline:
    """What the steps work with, whichever API a request is for."""

    def __init__(
        self,
        callers: Callers,
        accounts: Accounts,
        clock: Clock,
        quotas: Quotas,
        metrics: Metrics,
        audit_log: AuditLog | None = None,
        bodies: Bodies | None = None,
        lines: BoundedLog | None = None,
    ) -> None:
        self._callers = callers
        self._accounts = accounts
        self._clock = clock
        self.signing_clock = clock
        """What times of signatures are compared with."""
        self._metrics = metrics
        self._bodies = bodies or Bodies()
        self._logger = lines or BoundedLog()
        self._auditor = Auditor(audit_log, clock, self._logger)
        self._throttle = Throttle(quotas, clock)
        self._counted: dict[tuple[str, int], tuple[Number, Distribution]] = {}
        """Looked up once: by operation and status, of which there are few."""
        self._tells_each = log.is_enabled_for(logging.DEBUG)

    def share_rates(self, rates: AccountRates) -> None:
        """Have requests count on all nodes, from now on."""
        self._throttle.share(rates)

    @property
    def evicted(self) -> dict[str, int]:
        """What full memories gave up, by memory."""
        return {"request_rates": self._throttle.evicted, **self._callers.evicted}

    def count_from_zero(self, operations: Iterable[str]) -> None:
        """Show failures from 0 on: Prometheus does not see a counter's first 1 as an increase."""
        for operation in operations:
            self._metrics.control_requests.labels(operation, 500)

    async def answer(self, api: Api[R, C], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        begun = perf_counter()
        trail = new_trail(scope)
        outcome = SUCCESS
        try:
            response = await self._respond(api, scope, receive, trail)
        except ServiceError as error:
            outcome = error.code
            response = api.serialize_error(error, trail.request_id)
            if error.status >= 500 and not isinstance(error, TooManyBodies):
                kind = {"error": error.code, "operation": trail.operation}
                self._logger.write(
                    "error", "request failed", kind, address=trail.source_ip, **trail.names()
                )
        except Exception:
            # The client gets a 500 with the request id; the log has the place, never the content.
            self._logger.exception("request crashed", address=trail.source_ip, **trail.names())
            outcome = "InternalServerException"
            internal = InternalServerException("An internal error occurred.")
            response = api.serialize_error(internal, trail.request_id)
        if outcome != SUCCESS or trail.reveals or trail.operation not in api.reading:
            # Before the answer: who has it can rely on the line.
            await self._auditor.finish(trail, outcome)
        self._count(trail, response.status, perf_counter() - begun)
        request_id = (b"x-amzn-requestid", trail.request_id.encode())
        await answer(
            send, response.status, (*response.headers, request_id, *api.headers), response.body
        )

    async def _respond(
        self, api: Api[R, C], scope: Scope, receive: Receive, trail: Trail
    ) -> Response:
        request = signed_request(scope, await self._bodies.read(receive, api.body_bytes))
        incoming = await self._authenticated(api, scope, request, trail)
        route = api.route(incoming)
        api.throttle(self._throttle, incoming, route)
        call = api.parse(incoming, route)
        principal = incoming.caller.principal
        if not principal.is_root:
            await api.authorize(incoming, call)
        if trail.operation in api.blocked:
            self._accounts.check(principal.account)
        trail.result = result = await api.perform(call)
        return api.serialize(call, result, trail.request_id)

    async def _authenticated(
        self, api: Api[R, C], scope: Scope, request: sigv4.Request, trail: Trail
    ) -> Incoming:
        """Return the request with who signed it, for which region."""
        authorization = sigv4.authorization_of(request)
        trail.access_key_id = authorization.access_key_id
        caller = await self._callers.find(authorization.access_key_id, authorization.session_token)
        sigv4.verify(
            request,
            authorization,
            caller.secret_access_key,
            self.signing_clock.now(),
            api.service,
            api.regions,
        )
        trail.caller, trail.region = caller, authorization.region
        self._callers.note_use(caller, api.service, authorization.region)
        now = self._clock.now()
        return Incoming(scope, request.body, caller, authorization.region, now, trail)

    def _count(self, trail: Trail, status: int, seconds: float) -> None:
        operation = trail.operation or UNKNOWN
        counted = self._counted.get((operation, status))
        if counted is None:
            metrics = self._metrics
            counted = self._counted[operation, status] = (
                metrics.control_requests.labels(operation, status),
                metrics.control_seconds.labels(operation),
            )
        counted[0].inc()
        counted[1].observe(seconds)
        if self._tells_each:
            log.debug("request answered", status=status, **trail.names())
