"""The control plane as an ASGI application: which API a request is for.

What lies below `/greenroom/` is Greenroom's own. Elsewhere the service that a request is signed for
decides: IAM, STS, or ivschat.
"""

from collections.abc import Awaitable, Mapping

from greenroom.aws.own_service import PREFIX
from greenroom.chat.account_rates import AccountRates
from greenroom.control.asgi import CORS, Headers, Receive, Scope, Send, answer, header_of
from greenroom.control.greenroom.api import GreenroomApi
from greenroom.control.iam.api import IamApi, service_of
from greenroom.control.ivschat.api import IvschatApi
from greenroom.control.ivschat.operations import HANDLERS
from greenroom.control.pipeline import UNKNOWN, Pipeline

_PREFLIGHT = (
    *CORS,
    (b"access-control-allow-methods", b"GET,POST,DELETE,OPTIONS"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
)


class ControlPlane:
    """Serves the ivschat API, and the others where they are given: those of IAM by service."""

    def __init__(
        self,
        pipeline: Pipeline,
        ivschat: IvschatApi,
        iam: Mapping[str, IamApi] | None = None,
        greenroom: GreenroomApi | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._ivschat = ivschat
        self._iam = iam or {}
        self._greenroom = greenroom
        pipeline.count_from_zero((UNKNOWN, *HANDLERS))

    def share_rates(self, rates: AccountRates) -> None:
        """Have requests count on all nodes, from now on."""
        self._pipeline.share_rates(rates)

    @property
    def evicted(self) -> dict[str, int]:
        """What full memories gave up, by memory."""
        return self._pipeline.evicted

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one HTTP request."""
        pipeline = self._pipeline
        if self._greenroom is not None and scope["raw_path"].startswith(PREFIX):
            return pipeline.answer(self._greenroom, scope, receive, send)
        if scope["method"] == "OPTIONS":
            return answer(send, 204, _preflight(scope["headers"]), b"")
        api = self._iam.get(service_of(scope) or "")
        if api is not None:
            return pipeline.answer(api, scope, receive, send)
        return pipeline.answer(self._ivschat, scope, receive, send)


def _preflight(headers: Headers) -> Headers:
    asked = header_of(headers, b"access-control-request-headers")
    return (*_PREFLIGHT, (b"access-control-allow-headers", asked or b"authorization,content-type"))
