"""The page below `/demo/`, in front of all else that the service answers.

Whoever may reach it is given tokens. So it answers browsers on this machine alone:

- The service listens on loopback addresses, which its start checks, and nothing forwards to it.
- `Host` is a name of this machine: no page of others has its own name lead here (DNS rebinding).
- A token is asked for by POST, with the `Origin` of the page itself: no page of others has a
  browser ask for one. Nothing here lets another origin read an answer.
"""

from collections.abc import Mapping
from typing import Self

import msgspec

from greenroom.clock import Clock
from greenroom.control.asgi import Application, Receive, Scope, Send, answer
from greenroom.control.request_body import Bodies
from greenroom.demo.admission import check_addresses, check_settings
from greenroom.demo.files import SAFE, policy, read_files
from greenroom.demo.lobby import Lobby, Signer, Wish
from greenroom.entrance.ready import Ready
from greenroom.entrance.sockets import Listening
from greenroom.model.errors import ServiceError
from greenroom.network.this_machine import is_from_here
from greenroom.protocol.base_path import BasePath
from greenroom.settings.values import Settings

PATH = b"/demo"
INDEX = "index.html"
BODY_BYTES = 2_048
"""The longest wish: a user id has 128 characters, and there are three capabilities."""

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_JSON = (b"content-type", b"application/json")

ELSEWHERE = b"the demo is for a browser on its machine, at the address that the service prints\n"
NOTHING = b"there is nothing here: the demo is at /demo/\n"
FOREIGN = "the demo gives tokens to its own page alone: the Origin is another one"
UNREADY = "the service starts"
MALFORMED = 'a token is asked for with {"userId": "alice", "capabilities": ["SEND_MESSAGE"]}'


class Demo:
    """Stands before the service's application, which it needs as a client does."""

    def __init__(self, base_path: str = "", clock: Clock | None = None) -> None:
        self.url = ""
        """Where a browser on this machine finds it, once the service is ready."""
        self._base_path = base_path
        self._paths = BasePath(base_path)
        self._clock = clock or Clock()
        self._files = read_files()
        self._bodies = Bodies()
        self._signer: Signer | None = None
        self._application: Application
        self._lobby: Lobby

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the demo of a service that is about to start.

        Raises:
            SettingsRefused: others can reach it.
        """
        check_settings(settings)
        return cls(settings.optional_text("base_path") or "")

    def admit(self, listening: Listening) -> None:
        """Refuse to be shown where others can reach the service.

        Raises:
            SettingsRefused: they can.
        """
        check_addresses(listening.hosts)

    def over(self, application: Application, *_others: object) -> Application:
        """Stand before an application."""
        self._application = application
        self._lobby = Lobby(application, self._clock)
        return self

    def sign_with(self, ready: Ready) -> None:
        """Take the key of a service that is ready."""
        self.url = f"{ready.api_url}{self._base_path}{PATH.decode()}/"
        self._signer = Signer(
            access_key_id=ready.access_key_id,
            secret_access_key=ready.secret_access_key,
            region=ready.region,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path = self._paths.paths(scope["raw_path"]).asked
        if path != PATH and not path.startswith(PATH + b"/"):
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not is_from_here((scope.get("client") or ("",))[0], headers):
            await answer(send, 403, (*SAFE, _TEXT), ELSEWHERE)
        elif path == PATH:
            await answer(send, 308, (*SAFE, (b"location", b"demo/")), b"")
        elif path == PATH + b"/token" and scope["method"] == "POST":
            await self._token(scope, headers, receive, send)
        else:
            await self._file(scope, headers, path[len(PATH) + 1 :], send)

    async def _file(
        self, scope: Scope, headers: Mapping[bytes, bytes], name: bytes, send: Send
    ) -> None:
        found = self._files.get(name.decode("latin-1") or INDEX)
        if found is None or scope["method"] not in ("GET", "HEAD"):
            await answer(send, 404, (*SAFE, _TEXT), NOTHING)
            return
        kind, body = found
        secured = (b"content-security-policy", policy(_origin(scope, headers)))
        await answer(send, 200, (*SAFE, (b"content-type", kind), secured), body)

    async def _token(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        try:
            wish = msgspec.json.decode(await self._bodies.read(receive, BODY_BYTES), type=Wish)
        except ServiceError as refused:
            await _refuse(send, refused.status, refused.message)
            return
        except (msgspec.DecodeError, UnicodeDecodeError):
            await _refuse(send, 400, MALFORMED)
            return
        if headers.get(b"origin", b"").decode("latin-1") != _origin(scope, headers):
            await _refuse(send, 403, FOREIGN)
        elif self._signer is None:
            await _refuse(send, 503, UNREADY)
        else:
            got = await self._lobby.token(wish, self._signer, scope.get("client"))
            await answer(send, got.status, (*SAFE, _JSON), got.body)


def _origin(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """Return the page's origin, as a browser on this machine says it."""
    return f"{scope.get('scheme', 'http')}://{headers[b'host'].decode('latin-1').strip().lower()}"


async def _refuse(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode({"message": message})
    await answer(send, status, (*SAFE, _JSON), body)
