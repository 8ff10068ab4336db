"""What a request in clear is told where TLS is spoken: its client shows what it is sent."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from greenroom.aws import rest_json
from greenroom.control.asgi import CORS
from greenroom.control.pipeline import UNKNOWN
from greenroom.model.errors import ValidationException
from greenroom.protocol.errors import TLS_ONLY
from greenroom.telemetry.metrics import Metrics


class InClear:
    """Counts such requests, and has the answer."""

    def __init__(self, metrics: Metrics) -> None:
        """Make the answer once: it is always the same."""
        self._count = metrics.control_requests.labels(UNKNOWN, 400)
        self._answer = _answer()

    def __call__(self) -> bytes:
        """Return the whole answer, in clear."""
        self._count.inc()
        return self._answer


def _answer() -> bytes:
    answer = rest_json.serialize_error(ValidationException(TLS_ONLY))
    headers = (
        *answer.headers,
        *CORS,
        (b"content-length", str(len(answer.body)).encode()),
        (b"connection", b"close"),
    )
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[answer.status] + head + b"\r\n" + answer.body
