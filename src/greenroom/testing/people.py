"""People in a room, for tests: what they say, and what they have seen by now.

Their connections live in a thread of their own, on a loop of their own: a test that blocks, or has
another loop, keeps nobody from reading.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import TypeVar

from greenroom.client import (
    ChatDisconnected,
    ChatEvent,
    ChatMessage,
    ChatRoom,
    DeleteMessageEvent,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserEvent,
    DisconnectUserRequest,
    SendMessageRequest,
)
from greenroom.testing.service import Greenroom, arn_of

SENDS = ("SEND_MESSAGE",)
"""What somebody may do, unless the test says otherwise."""

RECONNECT_SECONDS = 0.05
"""Before a connection that broke is replaced: a test waits for it."""

_NOTHING = "  nothing"

Seen = ChatMessage | ChatEvent | DeleteMessageEvent | DisconnectUserEvent
T = TypeVar("T")


class People:
    """Everybody who was let into rooms during a test."""

    def __init__(self, greenroom: Greenroom, room: Callable[[], object]) -> None:
        """Make it; `room` returns where people go who are not told."""
        self._greenroom = greenroom
        self._room = room
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chat", daemon=True)
        self._thread.start()
        self._people: list[Somebody] = []

    def run(self, doing: Coroutine[object, object, T]) -> "Future[T]":
        """Do something on the loop of the connections."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop)

    async def enter(
        self,
        user_id: str,
        room: object = None,
        *,
        capabilities: Sequence[str] = SENDS,
        attributes: dict[str, str] | None = None,
        minutes: int | None = None,
    ) -> "Somebody":
        """Connect a user; `minutes` is how long the session may last at most.

        Raises:
            CallRefused: no token is created.
            ChatDisconnected: the token is refused.
        """
        arn, calls = arn_of(self._room() if room is None else room), self._greenroom.calls

        async def token() -> object:
            return await asyncio.to_thread(
                calls.call,
                "CreateChatToken",
                roomIdentifier=arn,
                userId=user_id,
                capabilities=list(capabilities),
                attributes=attributes,
                sessionDurationInMinutes=minutes,
            )

        connection = ChatRoom(
            self._greenroom.websocket_url, token, delay=lambda _: RECONNECT_SECONDS
        )
        somebody = Somebody(user_id, connection)
        self._people.append(somebody)
        try:
            await connection.connect()
        except ChatDisconnected as refused:
            # The cause says why: expired, no room, the service full.
            why = refused.__cause__ or refused
            raise ChatDisconnected(refused.reason, f"{user_id} was not let in: {why}") from None
        return somebody

    def close(self) -> None:
        """Disconnect everybody, and end the thread."""
        self.run(self._leave()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _leave(self) -> None:
        for each in self._people:
            await each.leave()
        await self._loop.shutdown_default_executor()


def people_of(fixture: object) -> People:
    """Return the people that a fixture gave.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(fixture, People):
        return fixture
    raise TypeError("the fixture _people is the tests' own")


class Somebody:
    """A user in a room; its coroutines run on the loop of the connections."""

    def __init__(self, user_id: str, room: ChatRoom) -> None:
        self.user_id = user_id
        self.seen: list[Seen] = []
        """All that was shown, in its order."""
        self.reason: DisconnectReason | None = None
        """Why the room is disconnected for good; None while it is not."""
        self._room = room
        self._unasked: list[Seen] = []
        self._news = asyncio.Event()
        self._story: list[tuple[float, str]] = []
        self._begun = time.monotonic()
        for name in ("message", "event", "message_delete", "user_disconnect"):
            room.add_listener(name, self._sees)
        room.add_listener("disconnect", self._disconnected)

    async def say(self, content: str, attributes: dict[str, str] | None = None) -> ChatMessage:
        """Send a message; return it as everybody was shown it.

        Raises:
            ChatError: it was refused: 406 the review denied it, 429 too many, 403 not allowed.
        """
        said = await self._room.send_message(SendMessageRequest(content, attributes))
        if said in self._unasked:
            self._unasked.remove(said)
        return said

    async def delete(self, message: ChatMessage | str, reason: str | None = None) -> None:
        """Have a message deleted; raises as `say` does."""
        message_id = message if isinstance(message, str) else message.id
        await self._room.delete_message(DeleteMessageRequest(message_id, reason))

    async def kick(self, user_id: str, reason: str | None = None) -> None:
        """Have a user disconnected; raises as `say` does."""
        await self._room.disconnect_user(DisconnectUserRequest(user_id, reason))

    async def receives(
        self,
        content: str | None = None,
        *,
        sender: str | None = None,
        event: str | None = None,
        deleted: ChatMessage | str | None = None,
        matching: Callable[[Seen], bool] | None = None,
        within: float = 2.0,
    ) -> Seen:
        """Wait so many seconds for what was not asked for yet; return it.

        A message by its content or sender, an event by its name, a deletion by its message, or
        whatever a function says of it. It may have come before.

        Raises:
            AssertionError: it does not come; the text says what did.
        """
        wanted = _Wanted(content, sender, event, deleted, matching)
        try:
            async with asyncio.timeout(within):
                while (found := next(filter(wanted.fits, self._unasked), None)) is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise self._failed(f"did not see {wanted.shown} within {within:g} s") from None
        self._unasked.remove(found)
        return found

    async def sees_nothing(self, seconds: float = 0.2) -> None:
        """Wait so long, and see that nothing comes, or has come, that was not asked for.

        What somebody says himself does not count.

        Raises:
            AssertionError: something does.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self._unasked:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return
        raise self._failed("was to see nothing")

    async def is_disconnected(self, within: float = 2.0) -> DisconnectReason:
        """Wait for the end of the connection for good; return why.

        Raises:
            AssertionError: it goes on.
        """
        try:
            async with asyncio.timeout(within):
                while self.reason is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise self._failed(f"was not disconnected within {within:g} s") from None
        return self.reason

    async def forget(self) -> None:
        """Take all that came by now as asked for."""
        self._unasked.clear()

    async def leave(self) -> None:
        """Disconnect, if that is not done."""
        await self._room.disconnect()

    def _sees(self, shown: Seen) -> None:
        self.seen.append(shown)
        self._unasked.append(shown)
        self._tell(told(shown))

    def _disconnected(self, reason: DisconnectReason) -> None:
        self.reason = reason
        self._tell(f"(disconnected: {reason})")

    def _tell(self, line: str) -> None:
        self._story.append((time.monotonic() - self._begun, line))
        self._news.set()

    def _failed(self, what: str) -> AssertionError:
        lines = [f"  {seconds:7.3f} s  {line}" for seconds, line in self._story]
        return AssertionError(
            "\n".join((f"{self.user_id} {what}", f"{self.user_id} saw:", *(lines or [_NOTHING])))
        )


class _Wanted:
    """What a test waits for."""

    def __init__(
        self,
        content: str | None,
        sender: str | None,
        event: str | None,
        deleted: ChatMessage | str | None,
        matching: Callable[[Seen], bool] | None,
    ) -> None:
        self._content, self._sender, self._event = content, sender, event
        self._deleted = deleted.id if isinstance(deleted, ChatMessage) else deleted
        self._matching = matching

    def fits(self, seen: Seen) -> bool:
        """Return whether this is it."""
        if self._matching is not None and not self._matching(seen):
            return False
        if self._deleted is not None:
            return isinstance(seen, DeleteMessageEvent) and seen.message_id == self._deleted
        if self._event is not None:
            return isinstance(seen, ChatEvent) and seen.event_name == self._event
        if self._content is None and self._sender is None:
            return True
        return (
            isinstance(seen, ChatMessage)
            and self._content in (None, seen.content)
            and self._sender in (None, seen.sender.user_id)
        )

    @property
    def shown(self) -> str:
        """Return it for an error."""
        if self._deleted is not None:
            return f"the deletion of {self._deleted}"
        if self._event is not None:
            return f"the event {self._event}"
        what = "anything" if self._content is None else repr(self._content)
        what = "what was wanted" if self._matching is not None else what
        return what if self._sender is None else f"{what} of {self._sender}"


def told(seen: Seen) -> str:
    """Return what was shown in one line."""
    if isinstance(seen, ChatMessage):
        return f"{seen.sender.user_id}: {seen.content}"
    if isinstance(seen, DeleteMessageEvent):
        return f"message deleted: {seen.message_id} ({seen.reason or 'no reason'})"
    if isinstance(seen, DisconnectUserEvent):
        return f"user disconnected: {seen.user_id} ({seen.reason or 'no reason'})"
    return f"event {seen.event_name}: {seen.attributes or {}}"
