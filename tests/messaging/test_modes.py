"""Slow mode, repetitions and the shield, on connections of one user and of several."""

from typing import Any

import pytest

from greenroom.bus.base import Arrival, Deliver
from greenroom.model.chat_token import IVS_CAPABILITIES
from greenroom.protocol.errors import RATE_LIMIT_EXCEEDED
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import ROOM, Stage, stage

Pair = tuple[Any, Any]

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}


async def outcome(who: Pair, content: str = "hi") -> str:
    """Send a message; return its content, or code and text of the refusal."""
    frames = await do(*who, {"Action": "SEND_MESSAGE", "Content": content, "RequestId": "r"})
    frame = frames[-1]
    if frame["Type"] == "ERROR":
        return f"{frame['ErrorCode']} {frame['ErrorMessage']}"
    return str(frame["Content"])


async def scene(made: Stage, **settings: Any) -> tuple[Pair, Pair, Pair]:
    """Return a moderator who has set something, and two connections of one viewer."""
    ann = await connected(made, "ann")
    await do(*ann, {"Action": "greenroom:SET", "Settings": settings})
    return ann, await connected(made, "bob", **VIEWER), await connected(made, "bob", **VIEWER)


async def test_slow_mode() -> None:
    """A user waits on all of his connections, to the instant; a refused message starts no wait."""
    async with stage() as made:
        ann, bob, also_bob = await scene(made, slowModeSeconds=5)
        slow = f"429 {RATE_LIMIT_EXCEEDED}"
        assert await outcome(bob) == "hi"
        assert await outcome(also_bob) == slow
        made.time.advance(4.999)
        assert await outcome(bob) == slow
        assert await outcome(await connected(made, "eve", **VIEWER)) == "hi"
        made.time.advance(0.001)
        assert await outcome(also_bob) == "hi"
        assert await outcome(ann) == await outcome(ann) == "hi"
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"slowModeSeconds": None}})
        took(bob[1])
        assert await outcome(bob) == "hi"


async def test_who_asked_for_events_is_told_for_how_long() -> None:
    """Before the refusal, whose text applications compare as a whole."""
    async with stage() as made:
        await scene(made, slowModeSeconds=5)
        eve = await connected(made, "eve", "/?events=on", **VIEWER)
        assert await outcome(eve) == "hi"
        made.time.advance(1.5)
        you, error = await do(*eve, {"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": "7"})
        assert (you["EventName"], you["Attributes"]) == ("greenroom:YOU", {"RetryAfter": "4"})
        assert (error["ErrorCode"], error["RequestId"]) == (429, "7")


async def test_what_was_sent_on_another_node_counts() -> None:
    """As soon as it has arrived; the same message that arrives here once more does not."""
    async with stage() as made:
        _, bob, _ = await scene(made, slowModeSeconds=5)
        shown = Deliver(b"{}", "SendMessage", user_id="bob", id="elsewhere0001")
        (note, *_) = made.bus._arrivals
        note(Arrival(str(ROOM), 1, [shown]))
        assert (await outcome(bob)).startswith("429")


async def test_repetitions() -> None:
    """The same text, but for case, forms and spaces, is refused for so long; another one is not."""
    async with stage() as made:
        _, bob, also_bob = await scene(made, duplicateSeconds=60)
        assert await outcome(bob, "Hello  World") == "Hello  World"
        for same in ("hello world", "HELLO\nWORLD", "\uff48ello world"):
            assert await outcome(also_bob, same) == "406 You have just written that"
        assert await outcome(bob, "hello you") == "hello you"
        assert await outcome(await connected(made, "eve", **VIEWER), "hello world") == "hello world"
        made.time.advance(60)
        assert await outcome(bob, "hello world") == "hello world"


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"frozen": True, "slowModeSeconds": 5, "emojiOnly": True}, "403"),
        ({"slowModeSeconds": 5, "emojiOnly": True, "duplicateSeconds": 5}, "429"),
        ({"emojiOnly": True, "duplicateSeconds": 5}, "406 Only"),
        ({"duplicateSeconds": 5}, "406 You have just"),
    ],
)
async def test_the_order_of_refusals(settings: dict[str, Any], first: str) -> None:
    """Of several reasons the first is told: who may write, how often, and then what."""
    async with stage() as made:
        ann, bob, _ = await scene(made, slowModeSeconds=5, duplicateSeconds=5)
        assert await outcome(bob) == "hi"
        nothing = dict.fromkeys(["slowModeSeconds", "duplicateSeconds"])
        await do(*ann, {"Action": "greenroom:SET", "Settings": {**nothing, **settings}})
        took(bob[1])
        assert (await outcome(bob)).startswith(first)


async def test_a_shield() -> None:
    """One switch has all hold that it is set to, and ends it."""
    async with stage() as made:
        ann, bob, _ = await scene(made, shield=True)
        assert await outcome(bob) == "hi"
        assert (await outcome(bob)).startswith("429")
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"shield": None}})
        took(bob[1])
        assert await outcome(bob) == "hi"
