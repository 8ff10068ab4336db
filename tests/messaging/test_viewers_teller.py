"""How many are in a room, as those who asked for events are told."""

import json
from typing import Any

import pytest

from greenroom.chat.occupancy import GRACE_SECONDS, Occupancy
from greenroom.messaging.viewers_teller import PAUSE_SECONDS, ViewersTeller, has_changed
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import ROOM, Stage, settle, stage

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}
MODERATOR: dict[str, Any] = {"capabilities": (*IVS_CAPABILITIES, Capability.MODERATE)}
BOT: dict[str, Any] = {"capabilities": (Capability.BYPASS,)}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, (0, 0), True),
        ((1, 1), (1, 1), False),
        ((0, 0), (1, 1), True),
        ((1, 1), (2, 1), True),
        ((9, 5), (9, 4), True),
        ((1000, 1000), (1009, 991), False),
        ((1000, 1000), (1010, 1000), True),
        ((1000, 1000), (1000, 990), True),
        ((0, 0), (0, 0), False),
    ],
)
def test_a_change_that_is_told(
    before: tuple[int, int] | None, now: tuple[int, int], told: bool
) -> None:
    """One part in a hundred of the connections or of the users, and at least one."""
    assert has_changed(before and Occupancy(*before), Occupancy(*now)) is told


async def told(made: Stage, transport: Any, teller: ViewersTeller) -> list[tuple[str, str]]:
    """Let a second pass; return the numbers that came then."""
    made.time.advance(1)
    teller.tick()
    await settle()
    frames = took(transport)
    assert {each["EventName"] for each in frames} <= {"greenroom:VIEWERS"}
    return [(each["Attributes"]["Connections"], each["Attributes"]["Users"]) for each in frames]


async def test_who_comes_is_told_and_then_what_changes() -> None:
    """By the first frame, himself included; then at most each five seconds; not by a bot."""
    async with stage() as made:
        teller = ViewersTeller(made.hub, made.time.clock, made.ids)
        _, plain = await connected(made, "bob", **VIEWER)
        _, asked = await connected(made, "ann", "/?events=on", **VIEWER)
        took(plain)
        (welcome,) = took(asked)
        assert json.loads(welcome["Attributes"]["Viewers"]) == {"Connections": 2, "Users": 2}
        made.time.advance(PAUSE_SECONDS)
        assert await told(made, asked, teller) == [], "the first frame has said so"
        await connected(made, "robot", **BOT)
        assert await told(made, asked, teller) == []
        edge, _ = await connected(made, "ann", **VIEWER)
        assert await told(made, asked, teller) == [("3", "2")]
        edge.connection_lost(None)
        for _ in range(int(PAUSE_SECONDS) - 1):
            assert await told(made, asked, teller) == []
        assert await told(made, asked, teller) == [("2", "2")]
        assert took(plain) == []


async def test_a_connection_that_is_replaced_is_one_user() -> None:
    """For a minute of refreshing, the new one beside the old one or right after it."""
    async with stage() as made:
        teller = ViewersTeller(made.hub, made.time.clock, made.ids)
        _, asked = await connected(made, "ann", "/?events=on", **VIEWER)
        took(asked)
        old, _ = await connected(made, "bob", **VIEWER)
        seen = set()
        for number in range(60):
            if number % 2:
                new, _ = await connected(made, "bob", **VIEWER)
                old.connection_lost(None)
            else:
                old.connection_lost(None)
                new, _ = await connected(made, "bob", **VIEWER)
            old = new
            seen |= {users for _, users in await told(made, asked, teller)}
            assert made.hub.elsewhere.occupancies().of(str(ROOM)) == Occupancy(2, 2)
        assert seen == {"2"}


async def test_anybody_may_ask() -> None:
    """By an action, by a message from an SDK; a moderator by a command."""
    async with stage() as made:
        bob = await connected(made, "bob", **VIEWER)
        await connected(made, "robot", **BOT)
        (done,) = await do(*bob, {"Action": "greenroom:VIEWERS", "RequestId": "1"})
        assert json.loads(done["Attributes"]["Result"]) == {"Connections": 1, "Users": 1}
        message = {"Action": "SEND_MESSAGE", "Content": ""}
        asked = {**message, "Attributes": {"greenroom:action": "VIEWERS"}}
        (answer,) = await do(*bob, asked)
        assert json.loads(answer["Attributes"]["Result"]) == {"Connections": 1, "Users": 1}
        ann = await connected(made, "ann", **MODERATOR)
        (answer,) = await do(*ann, {**message, "Content": "/viewers"})
        assert answer["Content"] == "users: 2, connections: 2"
        (error,) = await do(*ann, {**message, "Content": "/viewers of"})
        assert error["ErrorMessage"] == "Usage: /viewers"


async def test_a_shadowed_user_counts() -> None:
    """No number tells him that he is: it is what it would be without."""
    async with stage() as made:
        ann = await connected(made, "ann", **MODERATOR)
        bob = await connected(made, "bob", **VIEWER)
        counts = []
        for action in ("RESTRICT", "LIFT"):
            asked = {"Action": f"greenroom:{action}", "UserId": "bob", "Kind": "SHADOW"}
            await do(*ann, asked)
            (done,) = await do(*bob, {"Action": "greenroom:VIEWERS"})
            counts.append(json.loads(done["Attributes"]["Result"]))
        assert counts == [{"Connections": 2, "Users": 2}] * 2


async def test_who_left_is_gone() -> None:
    """His connection at once, he himself when he could have come back."""
    async with stage() as made:
        edge, _ = await connected(made, "bob", **VIEWER)
        edge.connection_lost(None)
        assert made.hub.elsewhere.occupancies().of(str(ROOM)) == Occupancy(0, 1)
        made.time.advance(GRACE_SECONDS)
        assert made.hub.elsewhere.occupancies().of(str(ROOM)) == Occupancy(0, 0)
