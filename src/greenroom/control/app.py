"""The pipeline of the control plane, as an ASGI application: a request to its answer.

Seven calls in a row: read the body, verify the signature, find the caller, route, parse and check,
perform, serialize. A `ServiceError` raised anywhere becomes a response here and nowhere else.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

import msgspec
import structlog

from greenroom.aws import rest_json, service, sigv4
from greenroom.control.checks import MEMBER_CHECKS
from greenroom.control.context import Call, Services
from greenroom.control.identity import Identities
from greenroom.control.operations import HANDLERS
from greenroom.control.throttle import Throttle
from greenroom.model.errors import (
    InternalServerException,
    RequestEntityTooLargeException,
    ServiceError,
    ValidationException,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

BODY_BYTES = 1_048_576
"""The largest request body. The largest valid one, 50 full tags all escaped, has about 230 KB."""

DISCARDED_BYTES = 67_108_864
"""How much of a body that is too large is read before the refusal goes out."""

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


class _Trace(msgspec.Struct):
    """What is known of a request so far, for the log: nothing that it did not prove."""

    request_id: str
    operation: str = UNKNOWN
    account: str = ""
    region: str = ""
    resource: str = ""

    def names(self) -> dict[str, str]:
        """Return what is known, as names and values of a log line."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


class ControlPlane:
    """Serves the ivschat API."""

    def __init__(self, services: Services, identities: Identities) -> None:
        self._services = services
        self._identities = identities
        self._throttle = Throttle(services.quotas, services.clock)
        for operation in (UNKNOWN, *HANDLERS):
            # From zero on: Prometheus does not see a counter's first 1 as an increase.
            services.metrics.control_requests.labels(operation, 500)

    @property
    def evicted_rates(self) -> int:
        """How many callers' request rates were forgotten because there were too many."""
        return self._throttle.evicted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["method"] == "OPTIONS":
            await _answer(send, 204, _preflight(scope["headers"]), b"")
            return
        begun = perf_counter()
        trace = _Trace(str(uuid.uuid4()))
        try:
            response = await self._respond(scope, receive, trace)
        except ServiceError as error:
            response = rest_json.serialize_error(error)
            if error.status >= 500:
                log.error("request failed", error=error.code, **trace.names())
        except Exception as error:
            # The client gets a 500 with the request id; the log has the place, never the content.
            log.exception("request crashed", error=type(error).__name__, **trace.names())
            response = rest_json.serialize_error(
                InternalServerException("An internal error occurred.")
            )
        headers = (*response.headers, (b"x-amzn-requestid", trace.request_id.encode()), *CORS)
        self._count(trace, response.status, perf_counter() - begun)
        await _answer(send, response.status, headers, response.body)

    def _count(self, trace: _Trace, status: int, seconds: float) -> None:
        metrics = self._services.metrics
        metrics.control_requests.labels(trace.operation, status).inc()
        metrics.control_seconds.labels(trace.operation).observe(seconds)
        log.debug("request answered", status=status, **trace.names())

    async def _respond(self, scope: Scope, receive: Receive, trace: _Trace) -> rest_json.Response:
        request = _signed_request(scope, await _body(receive))
        authorization = sigv4.authorization_of(request)
        key = self._identities.find(authorization.access_key_id, authorization.session_token)
        sigv4.verify(request, authorization, key.secret_access_key, self._services.clock.now())
        trace.account, trace.region = key.account, authorization.region
        operation, uri = service.route(request.method, request.raw_path)
        trace.operation = operation.name
        self._throttle.take(operation.name, key.account, authorization.region)
        parameters = rest_json.parse(
            operation,
            uri,
            scope["query_string"],
            _content_type(scope["headers"]),
            request.body,
            MEMBER_CHECKS,
        )
        trace.resource = _resource(parameters)
        call = Call(
            services=self._services,
            account=key.account,
            region=authorization.region,
            parameters=parameters,
        )
        return rest_json.serialize(operation, await HANDLERS[operation.name](call))


async def _body(receive: Receive) -> bytes:
    """Return the body. One that is too large is refused after its end, or after `DISCARDED_BYTES`.

    A connection that is closed with bytes unread is reset: the client would not see the answer.
    """
    chunks, size, more = bytearray(), 0, True
    while more and size <= DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ValidationException("The request ended before its body was complete.")
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES:
            chunks += part
        more = message.get("more_body", False)
    if size > BODY_BYTES:
        raise RequestEntityTooLargeException(f"The request body is larger than {BODY_BYTES} bytes.")
    return bytes(chunks)


def _signed_request(scope: Scope, body: bytes) -> sigv4.Request:
    return sigv4.Request(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query_string=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        body=body,
    )


def _resource(parameters: dict[str, object]) -> str:
    """Return the ARN that a request is about, which the model's patterns have let through."""
    names = ("identifier", "roomIdentifier", "resourceArn")
    return next((str(parameters[name]) for name in names if name in parameters), "")


def _content_type(headers: Headers) -> bytes | None:
    return next((value for name, value in headers if name == b"content-type"), None)


def _preflight(headers: Headers) -> Headers:
    asked = next((v for n, v in headers if n == b"access-control-request-headers"), b"")
    return (*_PREFLIGHT, (b"access-control-allow-headers", asked or b"authorization,content-type"))


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    head = {"type": "http.response.start", "status": status, "headers": list(headers)}
    if status != 204:
        head["headers"].append((b"content-length", str(len(body)).encode()))  # type: ignore[attr-defined]
    await send(head)
    await send({"type": "http.response.body", "body": body})
