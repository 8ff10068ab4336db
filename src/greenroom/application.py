"""What HTTP requests reach, as one ASGI application: each path its own."""

from greenroom.control.app import ControlPlane
from greenroom.control.asgi import Receive, Scope, Send
from greenroom.control.operator_api import PREFIX, OperatorApi
from greenroom.health import Health
from greenroom.monitoring import Monitoring


class Application:
    """`/health`, `/metrics`, the operator's requests, else the control plane."""

    def __init__(
        self,
        control: ControlPlane,
        operator: OperatorApi,
        health: Health,
        monitoring: Monitoring | None = None,
    ) -> None:
        self._control = control
        self._operator = operator
        self._health = health
        self._monitoring = monitoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if self._health.wants(scope):
            await self._health(scope, send)
        elif self._monitoring is not None and self._monitoring.wants(scope):
            await self._monitoring(scope, receive, send)
        elif scope["raw_path"].startswith(PREFIX):
            await self._operator(scope, receive, send)
        else:
            await self._control(scope, receive, send)
