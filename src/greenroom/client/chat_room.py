"""A chat room as its participants see it: the Messaging API for asyncio.

    async with ChatRoom("us-east-1", token_provider) as room:
        await room.send_message("hello")
        async for entity in room:
            ...

- What is shown in the room goes to listeners, and into a queue that `async for` reads. The queue is
  bounded: when nobody reads it the oldest go, and `dropped` counts them.
- A connection that breaks is replaced, with a fresh token, after a growing and partly random pause;
  one that the server closes is not: the session is over, or a moderator ended it.
- Before the session ends another connection takes over, so that nothing is missed and nothing comes
  twice: of both connections each `Id` is told once.
- A request ends with its answer, with a `ChatError`, or after `timeout` seconds.
- What IVS Chat does not have is asked for by options: `events`, `history`, `since`. Then each
  connection asks for what was missed since the one before; without them nothing is asked for.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4

import aiohttp
import msgspec

from greenroom.client import back_off, own_events
from greenroom.client.entities import (
    ChatDisconnected,
    ChatError,
    ConnectionState,
    DeleteMessageEvent,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserEvent,
    DisconnectUserRequest,
    RequestTimeout,
    SendMessageRequest,
)
from greenroom.client.keeping import Keeper, TokenProvider
from greenroom.client.listeners import Listener, Listeners
from greenroom.client.recovery import Asking
from greenroom.client.room_actions import RoomActions
from greenroom.model.token_attributes import PREFIX
from greenroom.protocol import actions, events, received
from greenroom.protocol.received import ChatEvent, ChatMessage, ErrorFrame

UNAUTHORIZED = 401
"""The session is over: the SDKs ask for a fresh token, and connect anew."""

TIMEOUT_SECONDS = 15.0
"""How long a request may take: a service whose nodes cannot reach each other answers after 10."""

REMEMBERED = 2_000
"""`Id`s that are known again: two connections overlap for a moment only."""

QUEUE_SIZE = 2_000
"""What waits to be read: a recovery brings half as much at once."""

Entity = ChatMessage | ChatEvent | DeleteMessageEvent | DisconnectUserEvent
T = TypeVar("T", bound=Entity)

_log = logging.getLogger(__name__)


class _Request(msgspec.Struct, frozen=True):
    """A request that waits for its answer, which is of one kind."""

    kind: type[object]
    answer: "asyncio.Future[Entity]"


class ChatRoom(RoomActions):
    """A room that its token provider gives access to."""

    def __init__(  # noqa: PLR0913 - the options are the SDK's, and three of ours
        self,
        region_or_url: str,
        token_provider: TokenProvider,
        *,
        id: str | None = None,  # noqa: A002 - the SDK's name
        max_reconnect_attempts: int | None = 3,
        timeout: float = TIMEOUT_SECONDS,
        queue_size: int = QUEUE_SIZE,
        ssl: SSLContext | bool = True,
        delay: Callable[[int], float] = back_off.delay,
        events: bool = False,
        history: int = 0,
        since: str | None = None,
    ) -> None:
        """Make a room that is not connected.

        `region_or_url` is a region of AWS, or a URL of `ws` or `wss`. `token_provider` is awaited
        for each connection and returns a `ChatToken`, its text, or what CreateChatToken answered.
        `max_reconnect_attempts` is how often in a row a connection may fail; None is for ever.
        `timeout` is how many seconds a request may take. `ssl` is aiohttp's; proxies are those of
        the environment. `delay` returns the seconds before an attempt.

        Of Greenroom alone: with `events` the service tells what holds in the room; `history` is
        with how many of the last messages to begin, `since` the Id behind which to begin.

        Raises:
            ValueError: `history` or `since` breaks a rule, or the URL has them, too.
        """
        self.id = id or str(uuid4())
        self.timeout = timeout
        self.dropped = 0
        """Entities that left the queue unread."""
        self.disconnect_reason: DisconnectReason | None = None
        self._asking = Asking(url_of(region_or_url), events=events, history=history, since=since)
        self._keeper = Keeper(
            self._asking.url,
            token_provider,
            attempts=max_reconnect_attempts,
            delay=delay,
            ssl=ssl,
            received=self._received,
            changed=self._change,
            broke=self._broke,
        )
        self._state = ConnectionState.DISCONNECTED
        self._listeners = Listeners()
        self._pending: dict[str, _Request] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._queue: deque[Entity] = deque()
        self._queue_size = queue_size
        self._news = asyncio.Event()
        self._connected = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def state(self) -> ConnectionState:
        """Return where the connection stands."""
        return self._state

    def add_listener(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` for what `name` says; return what takes it away.

        `connecting` and `connect` give nothing, `disconnect` a DisconnectReason, `message` a
        ChatMessage, `event` a ChatEvent, `message_delete` a DeleteMessageEvent, `user_disconnect` a
        DisconnectUserEvent. The names of the SDK for JavaScript are understood as well. With
        `events`, `recovered` and `gap` give the HistoryEvent of a connection that took up where
        the one before ended, or could not, and `room_deleted` the RoomDeletedEvent of a room that
        is gone; `event` is called for these, too.

        Raises:
            ValueError: nothing has that name.
        """
        return self._listeners.add(name, listener)

    def remove_listener(self, name: str, listener: Listener) -> None:
        """Call the listener no more."""
        self._listeners.remove(name, listener)

    async def connect(self) -> None:
        """Connect, and wait until that is done; without effect while there is a connection.

        Raises:
            ChatDisconnected: no connection came about.
        """
        if self._running is None or self._running.done():
            self.disconnect_reason = None
            self._running = asyncio.create_task(self._run(), name=f"chat room {self.id}")
            # Whoever reads what is shown then finds that it is over.
            self._running.add_done_callback(lambda _: self._news.set())
        waiting = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._connected.is_set():
            raise ChatDisconnected(
                self.disconnect_reason, f"not connected: {self.disconnect_reason}"
            ) from self._keeper.failure

    async def disconnect(self) -> None:
        """Close the connection, if there is one, and wait until that is done."""
        running = self._running
        if running is not None and not running.done():
            # Once: what is being closed is closed to its end, whoever asks for it again.
            if not running.cancelling():
                running.cancel()
            await asyncio.wait({running})

    async def send_message(self, request: SendMessageRequest | str) -> ChatMessage:
        """Send a message; return it as everybody was shown it.

        Raises:
            ChatError: the service refused it.
            RequestTimeout: there was no answer; it may have been sent.
            ChatDisconnected: there is no connection, or it broke; it may have been sent.
        """
        made = SendMessageRequest(request) if isinstance(request, str) else request
        action = actions.SendMessage(made.content, made.attributes, made.request_id)
        return await self._request(action, ChatMessage)

    async def delete_message(self, request: DeleteMessageRequest) -> DeleteMessageEvent:
        """Have the room's clients no longer show a message; raises as `send_message` does."""
        action = actions.DeleteMessage(request.id, request.reason, request.request_id)
        return await self._request(action, DeleteMessageEvent)

    async def disconnect_user(self, request: DisconnectUserRequest) -> DisconnectUserEvent:
        """Disconnect a user's connections to the room; raises as `send_message` does."""
        action = actions.DisconnectUser(request.user_id, request.reason, request.request_id)
        return await self._request(action, DisconnectUserEvent)

    async def act(
        self, action: str, members: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """Perform one of Greenroom's own actions, such as `SET`; raises as `send_message` does.

        What is None among its members is left out.
        """
        request_id = str(uuid4())
        given = {name: value for name, value in (members or {}).items() if value is not None}
        frame = {"Action": f"{PREFIX}{action}", **given, "RequestId": request_id}
        text = msgspec.json.encode(frame).decode()
        return (await self._ask(request_id, text, own_events.DoneEvent)).result

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()

    async def __aiter__(self) -> AsyncIterator[Entity]:
        """Give what is shown in the room, in its order, from the first connection on.

        It ends when the room is disconnected for good.
        """
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._running is None or self._running.done():
                return
            self._news.clear()
            await self._news.wait()

    async def _request(self, action: actions.Action, kind: type[T]) -> T:
        return await self._ask(action.request_id, actions.encode(action), kind)

    async def _ask(self, request_id: str, text: str, kind: type[T]) -> T:
        connection = self._keeper.current
        if connection is None:
            raise ChatDisconnected(self.disconnect_reason, "the room is not connected")
        if request_id in self._pending:
            raise ValueError("another request with this request_id is under way")
        answer: asyncio.Future[Entity] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = _Request(kind, answer)
        try:
            async with asyncio.timeout(self.timeout):
                await connection.send(text)
                found = await answer
        except TimeoutError:
            raise RequestTimeout(f"no answer within {self.timeout} seconds") from None
        except aiohttp.ClientConnectionError as error:
            raise ChatDisconnected(None, "the connection broke") from error
        finally:
            del self._pending[request_id]
        if not isinstance(found, kind):
            raise TypeError(f"the request was answered by a {type(found).__name__}")
        return found

    async def _run(self) -> None:
        session = aiohttp.ClientSession(trust_env=True)
        reason = DisconnectReason.CLIENT_DISCONNECT
        try:
            reason = await self._keeper.stay_connected(session)
        finally:
            self._disconnected(reason)
            await self._keeper.close()
            await session.close()

    def _change(self, state: ConnectionState) -> None:
        self._state = state
        if state is ConnectionState.CONNECTED:
            self._connected.set()
            self._listeners.tell("connect")
        else:
            self._connected.clear()
            self._listeners.tell("connecting")

    def _disconnected(self, reason: DisconnectReason) -> None:
        self._state = ConnectionState.DISCONNECTED
        self._connected.clear()
        self.disconnect_reason = reason
        self._fail_pending(f"the room was disconnected: {reason}")
        self._listeners.tell("disconnect", reason)

    def _broke(self) -> None:
        self._fail_pending("the connection ended before the answer came")

    def _fail_pending(self, why: str) -> None:
        for request in self._pending.values():
            if not request.answer.done():
                request.answer.set_exception(ChatDisconnected(self.disconnect_reason, why))

    def _received(self, frame: str) -> None:
        """Take in a frame; what this version does not know is passed over."""
        try:
            entity = received.decode(frame)
        except msgspec.DecodeError:
            _log.debug("chat room %s: passed over a frame of an unknown kind", self.id)
            return
        if isinstance(entity, ErrorFrame):
            self._refused(entity)
        elif entity.id not in self._seen:
            self._seen[entity.id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            self._show(entity)

    def _refused(self, error: ErrorFrame) -> None:
        request_id = error.request_id or ""
        request = self._pending.get(request_id)
        if request is not None and not request.answer.done():
            request.answer.set_exception(
                ChatError(error.error_code, error.error_message, request_id, error.id)
            )
        if error.error_code == UNAUTHORIZED and self._keeper.current is not None:
            self._keeper.current.give_up()

    def _show(self, shown: ChatMessage | ChatEvent) -> None:
        self._asking.see(shown)
        entity, name = _entity(shown)
        self._settle(entity)
        if isinstance(entity, own_events.DoneEvent):
            return
        self._queue.append(entity)
        if len(self._queue) > self._queue_size:
            self._queue.popleft()
            self.dropped += 1
        self._news.set()
        self._listeners.tell(name, entity)
        if isinstance(entity, own_events.HistoryEvent) and entity.recovered is not None:
            self._listeners.tell("recovered" if entity.recovered else "gap", entity)
        elif isinstance(entity, own_events.RoomDeletedEvent):
            self._listeners.tell("room_deleted", entity)

    def _settle(self, entity: Entity) -> None:
        """Answer the request that was for this; the service's own events explain others only."""
        request = self._pending.get(entity.request_id or "")
        if request is None or request.answer.done():
            return
        explains = isinstance(entity, ChatEvent) and entity.event_name.startswith(PREFIX)
        if isinstance(entity, request.kind) or not explains:
            request.answer.set_result(entity)


def _entity(shown: ChatMessage | ChatEvent) -> tuple[Entity, str]:
    """Return what a frame says, and the name of the listeners for it."""
    if isinstance(shown, ChatMessage):
        return shown, "message"
    if shown.event_name == events.DELETE_MESSAGE:
        deleted = DeleteMessageEvent.of(shown)
        if deleted is not None:
            return deleted, "message_delete"
    if shown.event_name == events.DISCONNECT_USER:
        disconnected = DisconnectUserEvent.of(shown)
        if disconnected is not None:
            return disconnected, "user_disconnect"
    return own_events.own_event(shown), "event"


def url_of(region_or_url: str) -> str:
    """Return where to connect to: a URL, or the endpoint of a region of AWS."""
    if region_or_url.startswith(("ws://", "wss://")):
        return region_or_url
    return f"wss://edge.ivschat.{region_or_url}.amazonaws.com"
