"""One WebSocket of a chat room."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from ssl import SSLContext

import aiohttp

HEARTBEAT_SECONDS = 30.0
"""A server that answers no ping in half of this is gone, although nobody said so."""

OPEN_SECONDS = 10.0
"""How long a handshake may take."""

CLOSE_SECONDS = 5.0
"""How long the server may take to answer a close."""

CLOSED_NORMALLY = 1000


class Ended(Enum):
    """How a connection ended."""

    CLOSED = auto()
    """With a close frame: the server wants it so."""
    BROKEN = auto()
    """Without: nobody wanted it."""


class Connection:
    """An open connection that gives each frame to `received`, until it ends."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, received: Callable[[str], None]
    ) -> None:
        self._socket = socket
        self._received = received
        self._given_up = False
        self.ended = asyncio.ensure_future(self._read())
        """Done with how it ended."""

    @classmethod
    async def open(
        cls,
        session: aiohttp.ClientSession,
        url: str,
        token: str,
        ssl: SSLContext | bool,
        received: Callable[[str], None],
    ) -> "Connection":
        """Connect with a token.

        Raises:
            OSError, aiohttp.ClientError: no connection came about.
            TimeoutError: not in time.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                socket = await session.ws_connect(
                    url,
                    protocols=(token,),
                    heartbeat=HEARTBEAT_SECONDS,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                    ssl=ssl,
                )
        except aiohttp.WSServerHandshakeError as error:
            # What aiohttp raises shows the request, and the token in it.
            kind = error.headers.get("x-amzn-ErrorType", "") if error.headers else ""
            raise ConnectionRefusedError(f"the service answered {error.status} {kind}") from None
        return cls(socket, received)

    async def send(self, text: str) -> None:
        """Send a frame.

        Raises:
            ConnectionError: the connection is closing.
        """
        await self._socket.send_str(text)

    async def close(self) -> None:
        """Close the connection, and wait until it is."""
        await self._socket.close(code=CLOSED_NORMALLY)
        await asyncio.wait({self.ended})

    def give_up(self) -> None:
        """Take the connection for broken from the frame on that is being read, whatever follows."""
        self._given_up = True

    async def _read(self) -> Ended:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._received(message.data)
                if self._given_up:
                    await self._socket.close()
                    return Ended.BROKEN
        # 1006 is what stands there when no close frame came (RFC 6455 section 7.4.1).
        broken = self._socket.close_code in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
        return Ended.BROKEN if broken else Ended.CLOSED
