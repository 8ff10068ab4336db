"""A client of NATS whose messages go straight from the socket to who listens, and back.

nats-py makes an object, a queue's turn and a task's step of each message, which costs five times
what reading it does. How it does so is its own affair: where it is not what is expected here,
messages go its way.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import ConnectionClosedError, Error, MaxPayloadError, OutboundBufferLimitError
from nats.protocol.parser import AWAITING_CONTROL_LINE

from greenroom.bus.nats.straight import Listener, Straight, command

ABANDON_SECONDS = 0.5

_PARAMETERS = ["self", "sid", "subject", "reply", "data", "headers"]


def is_direct() -> bool:
    """Return whether messages can go straight to who listens."""
    method = getattr(Client, "_process_msg", None)
    return (
        inspect.iscoroutinefunction(method)
        and list(inspect.signature(method).parameters) == _PARAMETERS
    )


class NotEncrypted(Error):
    """A server that is to encrypt does not."""


class Subscribed(Protocol):
    """What somebody listens to."""

    async def unsubscribe(self, limit: int = 0) -> None:
        """Listen no more."""


class DirectClient(Client):
    """nats-py's client, and `listen`."""

    def __init__(
        self, *, direct: bool = True, public_nkey: str | None = None, encrypted: bool = False
    ) -> None:
        """Make it; `public_nkey` is of who signs without a JWT, for which nats-py has no option.

        With `encrypted` nothing is said to a server that does not encrypt: it would learn who this
        is.
        """
        super().__init__()
        self._encrypted = encrypted
        if public_nkey is not None:
            self._public_nkey = public_nkey
        self._direct = direct and is_direct()
        # By what servers call their subscriptions.
        self._listeners: dict[bytes, Listener] = {}
        self._said: list[bytes] = []

    def read_straight(self) -> None:
        """Take messages out of what is read from now on, before nats-py does."""
        transport, parser = self._transport, self._ps
        if not self._direct or not isinstance(transport, TcpTransport):
            return
        reader, writer = transport._io_reader, transport._io_writer  # noqa: SLF001 - there is no other way
        if reader is None or writer is None:
            return

        def whole() -> bool:
            awaits_a_line = parser.state == AWAITING_CONTROL_LINE and not parser.buf
            return awaits_a_line and not reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001 - nobody else knows

        behind = writer.transport.get_protocol()
        if isinstance(behind, asyncio.Protocol):
            writer.transport.set_protocol(Straight(behind, self._listeners, whole))

    def say(
        self, subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish a message with what else is said in this turn of the loop.

        Raises:
            Error: it is too large, or the server has not taken yet what was said before.
        """
        if self.is_closed or self._transport is None:
            raise ConnectionClosedError
        if self._waiting() > self._max_pending_size:
            raise OutboundBufferLimitError
        said = command(subject, data, reply, headers)
        if len(said) > self.max_payload:
            raise MaxPayloadError
        if not self._said:
            asyncio.get_running_loop().call_soon(self._write)
        self._said.append(said)

    def _waiting(self) -> int:
        """Return how many bytes the server has not taken yet."""
        writes = self._writes
        return 0 if writes is None else writes.get_write_buffer_size()

    @property
    def _writes(self) -> asyncio.WriteTransport | None:
        """What nats-py writes to, where it is known."""
        transport = self._transport
        if not isinstance(transport, TcpTransport) or transport._io_writer is None:  # noqa: SLF001 - there is no other way
            return None
        return transport._io_writer.transport  # noqa: SLF001 - the same

    def _write(self) -> None:
        said, self._said = self._said, []
        writes = self._writes
        if self.is_closed or self._transport is None or (writes and writes.is_closing()):
            # The connection was lost meanwhile. Who waits for an answer is told so.
            return
        # What nats-py has not written yet comes first: who listens and then asks hears the answer.
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        self._transport.write(b"".join(pending + said))

    async def listen(self, subject: str, listener: Listener, *, once: bool = False) -> Subscribed:
        """Give each message of a subject to a listener, which must not raise; or the first alone.

        Who listens once calls `unlisten`, too.
        """
        if not self._direct:
            subscription = await self.subscribe(subject, cb=_by_callback(listener))
            await _end_after_one(subscription, once=once)
            return subscription
        subscription = await self.subscribe(subject, future=_Listened(listener))
        self._listeners[b"%d" % subscription._id] = listener  # noqa: SLF001 - it has no other name
        await _end_after_one(subscription, once=once)
        return subscription

    def _listener_to_be(self, sid: int) -> Listener | None:
        """Return who listens to a subscription that nats-py is still making."""
        future = getattr(self._subs.get(sid), "_future", None)
        return future.listener if isinstance(future, _Listened) else None

    async def unlisten(self, subscribed: Subscribed) -> None:
        """Give no more messages of it to anybody."""
        if isinstance(subscribed, Subscription):
            self._listeners.pop(b"%d" % subscribed._id, None)  # noqa: SLF001 - it has no other name
        await subscribed.unsubscribe()

    async def abandon(self) -> None:
        """Close the connection, whatever is wrong with it.

        Where the server is gone nats-py may fail halfway, and leaves the socket open.
        """
        with contextlib.suppress(Exception):
            # After a TLS handshake that failed it would wait for ever.
            async with asyncio.timeout(ABANDON_SECONDS):
                await self.close()
        transport = getattr(self, "_transport", None)
        if transport is not None:
            transport.close()
        # What its tasks failed with was told as the end of the connection.
        for name in ("_reading_task", "_flusher_task", "_ping_interval_task"):
            task = getattr(self, name, None)
            if task is not None and task.done() and not task.cancelled():
                task.exception()

    def _connect_command(self) -> bytes:
        """Return the line that says who this is; nothing was said before."""
        if self._encrypted and not self._server_info.get("tls_required"):
            raise NotEncrypted("it does not encrypt, and its URL begins with tls://")
        return super()._connect_command()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        listener = self._listeners.get(b"%d" % sid) or self._listener_to_be(sid)
        if listener is None:
            await super()._process_msg(sid, subject, reply, data, headers or b"")
        else:
            listener(subject, headers or b"", data)


class _Listened(asyncio.Future[Msg]):
    """With a future of its own nats-py starts no task for a subscription. It is never done."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.listener = listener


async def _end_after_one(subscription: Subscription, *, once: bool) -> None:
    if once:
        await subscription.unsubscribe(1)


def _by_callback(listener: Listener) -> "Callable[[Msg], asyncio.Future[None]]":
    async def receive(message: Msg) -> None:
        listener(message.subject.encode(), _on_the_wire(message.headers or {}), message.data)

    return receive  # type: ignore[return-value]  # nats-py wants a coroutine function


def _on_the_wire(headers: dict[str, str]) -> bytes:
    """Return headers as they came."""
    if not headers:
        return b""
    status = f" {headers['Status']} {headers.get('Description', '')}" if "Status" in headers else ""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0{status}\r\n{lines}\r\n".encode()
