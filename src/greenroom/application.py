"""What HTTP requests reach, as one ASGI application: each path its own."""

import msgspec

from greenroom import __version__
from greenroom.control.app import ControlPlane
from greenroom.control.asgi import Receive, Scope, Send, answer
from greenroom.control.operator_api import PREFIX, OperatorApi
from greenroom.messaging.hub import Hub
from greenroom.monitoring import Monitoring


class Application:
    """`/health`, `/metrics`, the operator's requests, else the control plane."""

    def __init__(
        self,
        control: ControlPlane,
        operator: OperatorApi,
        hub: Hub,
        monitoring: Monitoring | None = None,
    ) -> None:
        self._control = control
        self._operator = operator
        self._hub = hub
        self._monitoring = monitoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["raw_path"] == b"/health" and scope["method"] in ("GET", "HEAD"):
            await self._health(send)
        elif self._monitoring is not None and self._monitoring.wants(scope):
            await self._monitoring(scope, receive, send)
        elif scope["raw_path"].startswith(PREFIX):
            await self._operator(scope, receive, send)
        else:
            await self._control(scope, receive, send)

    async def _health(self, send: Send) -> None:
        status = "draining" if self._hub.draining else "ok"
        body = msgspec.json.encode({"status": status, "version": __version__})
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
        ]
        code = 503 if self._hub.draining else 200
        await answer(send, code, headers, body)
