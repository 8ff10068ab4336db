"""`python -m benchmarks.own_work`: what a message costs a gate that it passes, and history.

In this process alone, in microseconds: it is less than what a server's figures vary by. Printed as
JSON, by the name of what is on in the room; what it costs where nothing is on is taken away.

A gate costs what a message costs more in a room with the mode on, from `Chat.send_message` to its
place in the room: all that the mode has done is in it, also what is noted for later messages. Both
rooms take turns, and the median counts.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from greenroom.bus.base import Deliver, History
from greenroom.bus.memory import MemoryBus
from greenroom.chat.chat import Chat
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.kept_history import KeptHistory
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.room import Room
from greenroom.protocol.actions import SendMessage

ARN = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"
MESSAGES = 20_000
USERS = 1_000
KEPT = History.KEPT
ASKED_SECONDS = 0.02
"""What time goes on by when it is asked for: modes look back less far than a user's last one."""

OWN = {
    "roles": "subscriber,vip",
    "following-since": "2020-01-31T12:00:00Z",
    "account-since": "2020-01-31T12:00:00Z",
}
TAGS: Mapping[str, Mapping[str, str]] = {
    "writers": {"writers": "vip mod"},
    "followerMinutes": {"follower-minutes": "10"},
    "accountMinutes": {"account-minutes": "10"},
    "slowModeSeconds": {"slow-mode-seconds": "5"},
    "emojiOnly": {"emoji-only": "true"},
    "duplicateSeconds": {"duplicate-seconds": "5"},
}
"""The tags of a room, by what is on in it."""

HISTORY = {"history-messages": "1000"}
TOGETHER = 100
"""Messages that history keeps at once."""

Said = tuple[ChatTokenClaims, SendMessage]


def history() -> float:
    """Return the microseconds of the event loop that a message costs more in a room with history.

    The store takes everything at once: what it does is done by another thread.
    """
    return asyncio.run(_published(HISTORY)) - asyncio.run(_published({}))


def gates() -> dict[str, float]:
    """Return the microseconds that each mode costs a message that it lets pass."""
    found: dict[str, float] = {}
    for name, tags in TAGS.items():
        content = "🔥🎉" if name == "emojiOnly" else "hello there, how are you today?"
        said = [(_claims(f"user-{number}"), SendMessage(content)) for number in range(USERS)]
        turns = [_Talk(tags, said), _Talk({}, said)]
        for each in turns:
            each.cost()
        costs = [[each.cost() for each in turns] for _ in range(MESSAGES // USERS)]
        found[name] = statistics.median(on - off for on, off in costs)
    return found


class _Talk:
    """A room in which many users send a message each, again and again."""

    def __init__(self, tags: Mapping[str, str], said: Sequence[Said]) -> None:
        self._said = said
        self._bus = MemoryBus()
        asyncio.run(self._bus.start())
        self._bus.follow(ARN)
        rooms: Any = _Rooms(_room(tags))
        # As dear as a clock, and ahead by so much each time that it is asked.
        clock = Clock(monotonic=itertools.count(0.0, ASKED_SECONDS).__next__)
        self._chat = Chat(rooms, self._bus, Quotas(RateProfile.AWS), clock)

    def cost(self) -> float:
        """Have all messages pass, each by the next user; return what one of them costs."""
        send = self._chat.send_message
        began = time.thread_time()
        for claims, message in self._said:
            send(claims, message, _unknown)
        return (time.thread_time() - began) * 1e6 / len(self._said)


class _Rooms:
    """Knows the room."""

    resets = 0

    def __init__(self, room: Room) -> None:
        self._room = room

    def peek(self, _arn: str) -> Room:
        return self._room


def _unknown() -> str:
    return ""


class _Store:
    """Takes everything at once."""

    async def resume(self) -> frozenset[str]:
        return frozenset()

    async def append(self, kept: Sequence[object]) -> None:
        """Keep nothing."""

    async def settle(self, rooms: object) -> None:
        """Keep nothing."""


async def _published(tags: Mapping[str, str]) -> float:
    """Publish messages in a room; return what one of them costs."""
    room, in_force, bus = _room(tags), SettingsInForce(Clock()), MemoryBus()
    store: Any = _Store()
    async with asyncio.TaskGroup() as tasks:
        keeper = KeptHistory(store, sleep=lambda _: asyncio.sleep(0))
        bus.keep_with(keeper, tasks)
        await bus.start()
        await keeper.start(tasks)
        taken = 0.0
        for number in range(MESSAGES // TOGETHER):
            shown = [_shown(number * TOGETHER + each) for each in range(TOGETHER)]
            began = time.thread_time()
            for kept, plain in shown:
                bus.put(ARN, kept if in_force.history(room) is KEPT else plain)
            await keeper.appended()
            taken += time.thread_time() - began
        await keeper.close()
    return taken * 1e6 / MESSAGES


def _shown(number: int) -> tuple[Deliver, Deliver]:
    """Return a message of 300 bytes, as it is kept and as it is not."""
    message_id = f"{number:012}"
    return (
        Deliver(b"x" * 300, "SendMessage", id=message_id, time_ns=number, history=KEPT),
        Deliver(b"x" * 300, "SendMessage", id=message_id, time_ns=number),
    )


def _room(tags: Mapping[str, str]) -> Room:
    return Room(
        arn=Arn.parse(ARN),
        maximum_message_rate_per_second=100,
        tags={f"greenroom:{name}": value for name, value in tags.items()},
        create_time=0,
        update_time=0,
    )


def _claims(user: str) -> ChatTokenClaims:
    return ChatTokenClaims(
        token_id="",
        room_arn=ARN,
        user_id=user,
        capabilities=(Capability.SEND_MESSAGE,),
        attributes={},
        token_expires=0,
        session_expires=0,
        own=OWN,
    )


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    """Print what was measured."""
    write(msgspec.json.encode({"history": history(), **gates()}).decode())


if __name__ == "__main__":
    main()
