"""What HTTP requests reach, as one ASGI application: each path its own."""

from greenroom.control.app import ControlPlane
from greenroom.control.asgi import Receive, Scope, Send
from greenroom.control.greenroom.operations import is_path
from greenroom.entrance.front_page import FrontPage
from greenroom.entrance.health import Health
from greenroom.entrance.metrics_endpoint import Monitoring
from greenroom.protocol.base_path import BasePath


class Application:
    """`/health`, `/metrics`, a browser's `/`, else the control plane.

    All of them below the base path, too.
    """

    def __init__(
        self,
        control: ControlPlane,
        health: Health,
        monitoring: Monitoring | None = None,
        base_path: str = "",
    ) -> None:
        self._control = control
        self._health = health
        self._monitoring = monitoring
        self._base_path = BasePath(base_path, is_path)
        self._front_page = FrontPage(base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        paths = self._base_path.paths(scope["raw_path"])
        scope["raw_path"], scope["signed_paths"] = paths.asked, paths.signed
        if scope["method"] not in ("GET", "HEAD"):
            # What is asked of the control plane, but for listing tags.
            await self._control(scope, receive, send)
        elif self._health.wants(scope):
            await self._health(scope, send)
        elif self._monitoring is not None and self._monitoring.wants(scope):
            await self._monitoring(scope, receive, send)
        elif self._front_page.wants(scope):
            await self._front_page(send)
        else:
            await self._control(scope, receive, send)
