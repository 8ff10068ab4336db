"""`greenroom serve` with one difference: every connection is in a room that echoes.

Autobahn|Testsuite needs an endpoint that returns each message, and sends no chat token. The socket,
the upgrade, the frames, the limits and the closing handshake are the real ones. Run with the
options of `greenroom serve`.
"""

import sys
from collections.abc import Awaitable

from greenroom.chat.outcome import Placed
from greenroom.messaging import upgrading
from greenroom.messaging.edge import Edge, State
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol import frames, handshake
from greenroom.protocol.session import Session
from greenroom.protocol.wishes import NO_WISHES

CLAIMS = ChatTokenClaims(
    token_id="echo",
    room_arn="arn:aws:ivschat:us-east-1:123456789012:room/EchoRoom0000",
    user_id="echo",
    capabilities=(),
    attributes={},
    token_expires=2**53,
    session_expires=2**53,
)

ANY_TOKEN = (b"sec-websocket-protocol", b"echo.room")


class EchoEdge(Edge):
    """A connection that gets back what it sends."""

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 101"):
            # The client offered no subprotocol, so none may be accepted.
            data = data.replace(b"Sec-WebSocket-Protocol: echo.room\r\n", b"")
        super().write(data)

    def _handle_one(self, event: frames.Event) -> Awaitable[Placed | None] | None:
        if self._state is State.OPEN and isinstance(event, frames.Text):
            self.write(frames.text_frame(event.payload))
        elif self._state is State.OPEN and isinstance(event, frames.Binary):
            self.write(b"\x82" + frames.text_frame(event.payload)[1:])
        else:
            return super()._handle_one(event)
        return None


class EchoUpgrading(upgrading.Upgrading):
    """An upgrade request that needs no token."""

    async def _admit(self, method: bytes, headers: upgrading.Headers, _target: bytes) -> None:
        upgrade = handshake.parse_upgrade(method, [*headers, ANY_TOKEN])
        self._open(upgrade, Session(CLAIMS, 0, 0), NO_WISHES, "")


if __name__ == "__main__":
    upgrading.Edge = EchoEdge  # type: ignore[attr-defined]
    upgrading.Upgrading = EchoUpgrading  # type: ignore[misc]
    from greenroom.cli.main import main

    sys.argv[1:1] = ["serve"]
    main()
