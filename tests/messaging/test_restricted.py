"""What restricted users can do and see on their connections, and what others see of them.

Covers: greenroom.chat.restrictions, greenroom.chat.marks
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from greenroom.bus.base import BusUnavailable, RestrictionsChanged
from greenroom.bus.memory import MemoryBus
from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.moderation import Asked
from greenroom.chat.restrictions import PRUNE_EVERY, Restrictions
from greenroom.model.arn import Arn
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.errors import (
    PendingVerification,
    ResourceNotFoundException,
    ThrottlingException,
)
from greenroom.model.restriction import KEPT_MS, Kind, Restriction
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.restrictions import MemoryRestrictions
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import ROOM, Stage, settle, stage, token

SEND = {"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": "r"}
VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}


def restrict(kind: str, user: str = "bob", **members: Any) -> dict[str, Any]:
    """Return the frame that restricts a user."""
    return {"Action": "greenroom:RESTRICT", "UserId": user, "Kind": kind, **members}


class Scene:
    """A moderator, a viewer who is restricted, another one, and one who asked for events."""

    def __init__(self, made: Stage) -> None:
        self.made = made

    ann: tuple[Any, Any]
    bob: tuple[Any, Any]
    eve: tuple[Any, Any]

    async def begin(self) -> "Scene":
        self.ann = await connected(self.made, "ann", "/?events=on")
        self.bob = await connected(self.made, "bob", **VIEWER)
        self.eve = await connected(self.made, "eve", **VIEWER)
        self.clear()
        return self

    def clear(self) -> None:
        for _, transport in (self.ann, self.bob, self.eve):
            took(transport)

    async def moderate(self, frame: dict[str, Any]) -> None:
        """Have the moderator do something, and look away."""
        frames = await do(*self.ann, frame)
        assert "greenroom:DONE" in [each.get("EventName") for each in frames]
        self.clear()

    async def say(self) -> Any:
        """Send a message of the restricted user; return what each saw."""
        bob = await do(*self.bob, SEND)
        return bob, took(self.eve[1]), took(self.ann[1])


async def test_a_muted_user_reads_and_does_not_write() -> None:
    """He is told until when; what others write arrives; free, he writes again."""
    async with stage() as made:
        scene = await Scene(made).begin()
        await scene.moderate(restrict("MUTE", DurationSeconds=60))
        (error,), seen, _ = await scene.say()
        until = "2023-11-14T22:14:20Z"
        assert (error["ErrorCode"], error["ErrorMessage"]) == (
            403,
            f"You may not write until {until}",
        )
        assert seen == []
        await do(*scene.eve, SEND)
        assert [each["Type"] for each in took(scene.bob[1])] == ["MESSAGE"]
        made.time.advance(60)
        assert (await scene.say())[0][0]["Type"] == "MESSAGE"


async def test_a_banned_user_is_ended_and_stays_out() -> None:
    """The room is told as IVS Chat does it; an unused token of his is refused at the upgrade."""
    async with stage() as made:
        scene = await Scene(made).begin()
        unused = token(user_id="bob")
        await do(*scene.ann, restrict("BAN", Reason="spam", DurationSeconds=60))
        seen = took(scene.eve[1])
        assert [each["EventName"] for each in seen] == ["aws:DISCONNECT_USER"]
        assert seen[0]["Attributes"] == {
            "UserId": "bob",
            "Reason": "spam",
            "greenroom:until": "2023-11-14T22:14:20Z",
        }
        assert not scene.bob[0].is_open
        scene.bob[1].take()
        _, transport = made.begin(unused)
        await settle()
        assert transport.take()[0].startswith(b"HTTP/1.1 403 ")
        made.time.advance(30)
        await scene.moderate({"Action": "greenroom:LIFT", "UserId": "bob", "Kind": "BAN"})
        _, transport = made.begin(unused)
        await settle()
        assert transport.take()[0].startswith(b"HTTP/1.1 101 ")


async def test_a_shadowed_user_notices_nothing() -> None:
    """He sees his messages as ever, the moderator sees them marked, others see nothing of them."""
    async with stage() as made:
        scene = await Scene(made).begin()
        (before,), _, _ = await scene.say()
        await scene.moderate(restrict("SHADOW"))
        (own,), seen, moderator = await scene.say()
        assert own.keys() == before.keys()
        same = ("Type", "RequestId", "Attributes", "Content", "Sender")
        assert [own[each] for each in same] == [before[each] for each in same]
        assert seen == []
        (shown,) = moderator
        assert shown == {**own, "Attributes": {"greenroom:mark": "SHADOW"}}
        second = await connected(made, "bob", **VIEWER)
        took(second[1])
        await scene.say()
        assert len(took(second[1])) == 1


async def test_a_monitored_user_is_marked_for_moderators() -> None:
    """Everybody sees his message, in the same place; only moderators see the mark."""
    async with stage() as made:
        scene = await Scene(made).begin()
        await scene.moderate(restrict("MONITOR"))
        (own,), (seen,), (moderator,) = await scene.say()
        assert own == seen
        assert moderator == {**own, "Attributes": {"greenroom:mark": "MONITOR"}}


async def test_a_held_user_is_refused() -> None:
    """With 406: nobody could approve his message later."""
    async with stage() as made:
        scene = await Scene(made).begin()
        await scene.moderate(restrict("HOLD"))
        (error,), seen, _ = await scene.say()
        assert error["ErrorCode"] == 406
        assert seen == []


async def test_the_user_is_told_before_he_meets_it() -> None:
    """If he asked for events, of a mute; of what he must not notice he is told nothing."""
    async with stage() as made:
        scene = await Scene(made).begin()
        events = await connected(made, "bob", "/?events=on", **VIEWER)
        took(events[1])
        for kind, told in (("MUTE", 1), ("SHADOW", 0), ("MONITOR", 0), ("HOLD", 0)):
            await do(*scene.ann, restrict(kind))
            frames = took(events[1])
            assert len(frames) == told
            for each in frames:
                assert each["EventName"] == "greenroom:YOU"
                assert each["Attributes"]["Restriction"] == "MUTE"
            assert took(scene.bob[1]) == took(scene.eve[1]) == []


async def test_moderators_on_other_nodes_are_for_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may moderate on any node is not restricted from the room."""
    async with stage() as made:
        ann = await connected(made, "ann")
        asked: list[tuple[str, str]] = []

        def elsewhere(room_arn: str, user_id: str) -> bool:
            asked.append((room_arn, user_id))
            return user_id == "mod"

        monkeypatch.setattr(made.hub.elsewhere, "is_moderator_elsewhere", elsewhere)
        for user, code in (("mod", 403), ("bob", 0)):
            (answer,) = [
                each
                for each in await do(*ann, restrict("MUTE", user, RequestId="r"))
                if each["RequestId"] == "r"
            ]
            assert answer.get("ErrorCode", 0) == code
        assert asked == [(str(ROOM), "mod"), (str(ROOM), "bob")]


async def test_what_the_user_is_told() -> None:
    """Of what, until when and why; and of its end; nothing else."""
    async with stage() as made:
        scene = await Scene(made).begin()
        _, told = await connected(made, "bob", "/?events=on", **VIEWER)
        lift = {"Action": "greenroom:LIFT", "UserId": "bob", "Kind": "MUTE"}
        until = {"Until": "2023-11-14T22:14:20Z"}
        for frame, attributes in (
            (restrict("MUTE"), {"Restriction": "MUTE"}),
            (
                restrict("MUTE", DurationSeconds=60, Reason="spam"),
                {"Restriction": "MUTE", **until, "Reason": "spam"},
            ),
            (lift, {"Restriction": "", "Lifted": "MUTE"}),
        ):
            took(told)
            await do(*scene.ann, frame)
            assert [each["Attributes"] for each in took(told)] == [attributes]


async def test_moderators_are_for_the_api() -> None:
    """One in the room cannot restrict another one there."""
    async with stage() as made:
        scene = await Scene(made).begin()
        other = await connected(made, "mod", capabilities=(Capability.MODERATE,))
        took(other[1])
        *_, error = await do(*scene.ann, restrict("BAN", "mod"))
        assert error["ErrorCode"] == 403
        assert other[0].is_open


@pytest.mark.parametrize("user", ["ann", "mod"])
async def test_what_the_api_did_to_moderators_it_alone_lifts(user: str) -> None:
    """No moderator his own, and none another one's; not by an action, not by a command."""
    async with stage() as made:
        scene = await Scene(made).begin()
        await connected(made, "mod", capabilities=(Capability.MODERATE,))
        asked = Asked(account=ROOM.account, room=ROOM, user_id=user, kind=Kind.MUTE, by="arn")
        await made.moderation.restrict(asked)
        await settle(30)
        lift = {"Action": "greenroom:LIFT", "UserId": user, "Kind": "MUTE"}
        for frame in (lift, {**SEND, "Content": f"/unmute {user}"}):
            (error,) = await do(*scene.ann, frame)
            assert (error["ErrorCode"], error["ErrorMessage"]) == (
                403,
                "Restrictions of who may moderate are lifted by the API only",
            )
        assert Kind.MUTE in made.restrictions.held(str(ROOM), ROOM.account, user)
        await made.moderation.lift(asked)
        assert made.restrictions.held(str(ROOM), ROOM.account, user) == {}


async def test_what_is_kept_is_done_whoever_could_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the rate of DisconnectUser, or without a bus, the ban holds, and is answered so."""
    known: list[bool] = []

    async def fail(*_: object, **__: object) -> None:
        known.append(made.restrictions.ban(ROOM, "bob") is not None)
        raise BusUnavailable("away")

    async with stage() as made:
        scene = await Scene(made).begin()
        monkeypatch.setattr(made.chat, "disconnect_user", fail)
        frames = await do(*scene.ann, restrict("BAN"))
        assert "greenroom:DONE" in [each.get("EventName") for each in frames]
        assert known == [True]
        assert not scene.bob[0].is_open
        scene.bob[1].take()
        monkeypatch.setattr(made.chat, "tell", fail)
        await scene.moderate({"Action": "greenroom:LIFT", "UserId": "bob", "Kind": "BAN"})
        assert made.restrictions.ban(ROOM, "bob") is None


async def test_viewers_restrict_nobody() -> None:
    """Not by an action, not by a message."""
    async with stage() as made:
        scene = await Scene(made).begin()
        asked = {"greenroom:action": "RESTRICT", "UserId": "eve", "Kind": "BAN"}
        for frame in (restrict("BAN", "eve"), {**SEND, "Attributes": asked}):
            (error,) = await do(*scene.bob, frame)
            assert error["ErrorCode"] == 403
        assert scene.eve[0].is_open


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"UserId": ""}, "UserId must not be empty"),
        ({"UserId": None}, "UserId is required"),
        ({"Kind": "NOTE"}, "Kind must be one of BAN, MUTE, SHADOW, HOLD, MONITOR"),
        ({"DurationSeconds": 0}, "DurationSeconds must be from 1 to 31536000"),
    ],
)
async def test_wrong_members(members: dict[str, Any], said: str) -> None:
    """The member and the rule."""
    async with stage() as made:
        edge, transport = await connected(made)
        (error,) = await do(edge, transport, {**restrict("MUTE"), **members})
        assert (error["ErrorCode"], error["ErrorMessage"]) == (400, said)


class Node:
    """The restrictions of a node, on a store and a bus that it shares."""

    def __init__(
        self,
        kept: MemoryRestrictions,
        bus: MemoryBus,
        clock: HandClock,
        **more: Any,
    ) -> None:
        self.restrictions = Restrictions(kept, bus, clock.clock, LooseTasks(), **more)
        self.ended: list[str] = []
        self.restrictions.when_met(lambda ban: self.ended.append(ban.user_id))

    def kinds(self, user: str = "bob") -> set[Kind]:
        """Return what holds of a user."""
        return set(self.restrictions.held(str(ROOM), ROOM.account, user))


def entry(kind: Kind, **members: Any) -> Restriction:
    """Return an entry of the room."""
    given = {"scope": str(ROOM), "user_id": "bob", "by": "ann", "at": 0, **members}
    return Restriction(account=ROOM.account, kind=kind, **given)


@pytest.mark.parametrize("how", ["restrict", "restrict_from_room", "lift", "lift_from_room"])
async def test_what_nobody_may_now(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a room that is not there, too often, or for a suspended account: nothing is kept of it."""

    def suspended(_account: str) -> None:
        raise PendingVerification("suspended")

    async with stage(moderation_rate=1) as made:
        does = getattr(made.moderation, how)

        def asked(room: Arn | None = ROOM) -> Asked:
            return Asked(account=ROOM.account, room=room, user_id="bob", kind=Kind.MUTE, by="root")

        with pytest.raises(ResourceNotFoundException):
            await does(asked(msgspec.structs.replace(ROOM, id="Room00000009")))
        made.time.advance(1)
        await does(asked())
        with pytest.raises(ThrottlingException):
            await does(asked())
        made.time.advance(1)
        monkeypatch.setattr(made.chat, "_check_account", suspended)
        for room in (ROOM,) if how.endswith("room") else (ROOM, None):
            with pytest.raises(PendingVerification):
                await does(asked(room))
        assert len(await made.store.restrictions.since(ROOM.account, 0)) == 1


async def test_nodes_agree() -> None:
    """Each learns what others kept, also what it was not told of, and at a start what there is."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    here, there = Node(kept, bus, clock), Node(kept, bus, clock)
    mute = await here.restrictions.keep(entry(Kind.MUTE))
    assert here.kinds() == there.kinds() == set()
    ban = await here.restrictions.keep(entry(Kind.BAN))
    here.restrictions.hold(ban)
    await settle()
    assert there.kinds() == {Kind.MUTE, Kind.BAN}
    assert here.kinds() == {Kind.MUTE, Kind.BAN}
    assert here.ended == there.ended == ["bob"]
    here.restrictions.hold(mute)
    lift = await there.restrictions.keep(entry(Kind.BAN, lifted=True))
    there.restrictions.hold(lift)
    await settle()
    late = Node(kept, bus, clock)
    await late.restrictions.start()
    assert here.kinds() == there.kinds() == late.kinds() == {Kind.MUTE}


async def test_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known holds; the next word makes up for what could not be read."""
    opened, bus, clock = Opened(), MemoryBus(), HandClock()
    kept = MemoryRestrictions(opened)
    await bus.start()
    node = Node(kept, bus, clock)
    node.restrictions.hold(await kept.add(entry(Kind.MUTE), 0))
    await kept.add(entry(Kind.BAN), 0)
    monkeypatch.setattr(kept, "since", _away)
    bus.broadcast(RestrictionsChanged(ROOM.account, 2))
    await settle()
    assert node.kinds() == {Kind.MUTE}
    monkeypatch.undo()
    bus.broadcast(RestrictionsChanged(ROOM.account, 2))
    await settle()
    assert node.kinds() == {Kind.MUTE, Kind.BAN}


async def test_what_was_lifted_meanwhile_does_not_come_back() -> None:
    """Though the node that kept it reads that it was lifted before it has it hold."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock)
    ban = await node.restrictions.keep(entry(Kind.BAN))
    lift = await kept.add(entry(Kind.BAN, lifted=True), 0)
    bus.broadcast(RestrictionsChanged(ROOM.account, lift.version))
    await settle()
    node.restrictions.hold(ban)
    assert node.kinds() == set()
    assert node.ended == []


async def reading_a_ban(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Node, MemoryRestrictions, MemoryBus, asyncio.Event]:
    """Return a node that reads of a ban, which it is given when the event is set."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node, since, slow = Node(kept, bus, clock), kept.since, asyncio.Event()

    async def later(account: str, version: int) -> Sequence[Restriction]:
        found = await since(account, version)
        await slow.wait()
        return found

    ban = await kept.add(entry(Kind.BAN), 0)
    monkeypatch.setattr(kept, "since", later)
    bus.broadcast(RestrictionsChanged(ROOM.account, ban.version))
    await settle()
    return node, kept, bus, slow


async def test_reads_that_end_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a ban and its lift the version decides, not which of them was read last."""
    node, kept, bus, slow = await reading_a_ban(monkeypatch)
    monkeypatch.undo()
    lift = await kept.add(entry(Kind.BAN, lifted=True), 0)
    bus.broadcast(RestrictionsChanged(ROOM.account, lift.version))
    await settle()
    slow.set()
    await settle()
    assert node.kinds() == set()
    assert node.ended == []


async def test_a_read_that_ends_behind_a_word_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ban that was lifted here meanwhile ends nobody's connections."""
    node, kept, _, slow = await reading_a_ban(monkeypatch)
    node.restrictions.learn(await kept.add(entry(Kind.BAN, lifted=True), 0))
    slow.set()
    await settle()
    assert node.kinds() == set()
    assert node.ended == []


async def test_own_words_that_end_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who bans tells the room before the ban is in force on all nodes; it may be lifted by then."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock)
    monkeypatch.setattr(kept, "since", _away)
    ban = await node.restrictions.keep(entry(Kind.BAN))
    node.restrictions.learn(ban)
    lift = await node.restrictions.keep(entry(Kind.BAN, lifted=True))
    node.restrictions.hold(lift)
    node.restrictions.hold(ban)
    await settle()
    assert node.kinds() == set()
    assert node.ended == []
    monkeypatch.undo()
    node.restrictions.look()
    await settle()
    assert node.restrictions._ahead == {}
    again = await node.restrictions.keep(entry(Kind.BAN))
    node.restrictions.hold(again)
    assert (node.kinds(), node.ended) == ({Kind.BAN}, ["bob"])


async def test_what_is_over_is_forgotten() -> None:
    """Nothing that does not hold stays in memory, whether it was over before or is by now."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    now = clock.clock.now_ms()
    for each in (
        entry(Kind.BAN, user_id="over", expires=now - 1),
        entry(Kind.BAN, user_id="lifted", lifted=True),
        entry(Kind.MUTE, user_id="soon", expires=now + 1000),
        entry(Kind.HOLD, user_id="soon"),
        entry(Kind.MUTE, expires=now + 1000),
    ):
        await kept.add(each, 0)
    node = Node(kept, bus, clock)
    await node.restrictions.start()
    assert {user for _, user in node.restrictions._of} == {"soon", "bob"}
    replaced = await kept.add(entry(Kind.HOLD, user_id="soon", expires=now), 0)
    node.restrictions.hold(replaced)
    assert node.kinds("soon") == {Kind.MUTE}
    clock.advance(1)
    node.restrictions.tick()
    await settle()
    assert node.restrictions._of == {}


async def test_what_was_over_long_ago_is_removed_daily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at a start alone; and what cannot be removed today is removed tomorrow."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock)
    now = clock.clock.now_ms()
    for user in ("over before", "newest before"):
        await kept.add(entry(Kind.MUTE, user_id=user, expires=now - KEPT_MS - 1), 0)
    await node.restrictions.start()
    found = await kept.page(ROOM.account, "", "", 0, 9)
    assert [each.user_id for each in found] == ["newest before"]
    for user in ("over", "newest"):
        await kept.add(entry(Kind.MUTE, user_id=user, expires=now - KEPT_MS - 1), 0)

    async def users_after(ticks: int) -> list[str]:
        for _ in range(ticks):
            node.restrictions.tick()
        await settle()
        return [each.user_id for each in await kept.page(ROOM.account, "", "", 0, 9)]

    all_of_them = ["newest", "over", "newest before"]
    assert await users_after(PRUNE_EVERY - 1) == all_of_them
    monkeypatch.setattr(kept, "prune", _away)
    assert await users_after(1) == all_of_them
    monkeypatch.undo()
    assert await users_after(PRUNE_EVERY) == ["newest"]


async def test_what_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next tick, until the store answers; and what nobody told of each minute."""
    opened, bus, clock = Opened(), MemoryBus(), HandClock()
    kept = MemoryRestrictions(opened)
    await bus.start()
    node = Node(kept, bus, clock, backstop_seconds=60)
    await kept.add(entry(Kind.BAN), 0)
    for name in ("since", "accounts"):
        monkeypatch.setattr(kept, name, _away)
        bus.broadcast(RestrictionsChanged(ROOM.account, 1))
        await settle()
        node.restrictions.look()
        await settle()
        assert node.kinds() == set()
    monkeypatch.undo()
    node.restrictions.look()
    await settle()
    assert node.kinds() == {Kind.BAN}
    await kept.add(entry(Kind.MUTE), 0)
    for seconds, known in ((59, {Kind.BAN}), (1, {Kind.BAN, Kind.MUTE})):
        clock.advance(seconds)
        node.restrictions.look()
        await settle()
        assert node.kinds() == known


async def test_much_that_is_over_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for it, a node does other things in between."""
    monkeypatch.setattr("greenroom.chat.restrictions._SLICE", 2)
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    node = Node(kept, bus, clock)
    now = clock.clock.now_ms()
    for number in range(5):
        node.restrictions.learn(
            await kept.add(entry(Kind.MUTE, user_id=f"{number}", expires=now + 1000), 0)
        )
    clock.advance(1)
    node.restrictions.tick()
    left = []
    for _ in range(4):
        await asyncio.sleep(0)
        left.append(len(node.restrictions))
    assert left == [3, 1, 0, 0]


async def test_what_a_node_missed_it_reads_when_it_is_back() -> None:
    """When the bus says that words may have been missed; the store may be away by then, too."""
    kept, clock = MemoryRestrictions(Opened()), HandClock()
    control: Any = Mock(MemoryBus)
    node = Node(kept, control, clock)
    await kept.add(entry(Kind.BAN), 0)
    (reset,) = control.on_reset.call_args.args
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "accounts", _away)
        await reset()
    assert node.kinds() == set()
    await reset()
    assert node.kinds() == {Kind.BAN}


def test_addresses_are_known_by_the_deployments_own_key() -> None:
    """Who has the store's hashes cannot make them of addresses that he guesses."""
    hashes = AddressHashes(bytes(16))
    node = Node(MemoryRestrictions(Opened()), MemoryBus(), HandClock(), hashes=hashes)
    assert node.restrictions.addressed.hashes is hashes


async def test_the_shortest_backstop() -> None:
    """What nobody told of is read when it is over, however short it is."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    node = Node(kept, bus, clock, backstop_seconds=0.5)
    await kept.add(entry(Kind.MUTE), 0)
    for known in (set(), {Kind.MUTE}):
        clock.advance(0.25)
        node.restrictions.look()
        await settle()
        assert node.kinds() == known


async def test_what_is_known_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word of a version that is known costs no read, and leaves nothing behind."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock)
    lift = await kept.add(entry(Kind.BAN, lifted=True), 0)
    bus.broadcast(RestrictionsChanged(ROOM.account, lift.version))
    await settle()
    monkeypatch.setattr(kept, "since", lambda *_: pytest.fail("it was read again"))
    bus.broadcast(RestrictionsChanged(ROOM.account, lift.version))
    await settle()
    node.restrictions.learn(lift)
    assert node.restrictions._ahead == {}


@pytest.mark.parametrize("seconds", [None, 60])
async def test_nothing_is_read_that_need_not_be(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    """Where nobody else restricts users, nothing but what failed; else once in so many seconds."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock, **({"backstop_seconds": seconds} if seconds else {}))
    accounts, asked = kept.accounts, 0

    async def counted() -> frozenset[str]:
        nonlocal asked
        asked += 1
        return await accounts()

    async def looked() -> int:
        for _ in range(3):
            node.restrictions.look()
            node.restrictions.look()
            await settle()
        return asked

    monkeypatch.setattr(kept, "accounts", counted)
    clock.advance(59)
    assert await looked() == 0
    await kept.add(entry(Kind.BAN), 0)
    with monkeypatch.context() as patch:
        patch.setattr(kept, "since", _away)
        bus.broadcast(RestrictionsChanged(ROOM.account, 1))
        await settle()
    assert await looked() == 1
    clock.advance(60)
    assert await looked() == (2 if seconds else 1)


async def _away(*_: object) -> list[Restriction]:
    await asyncio.sleep(0)
    raise StorageUnavailable("away")


async def test_what_is_of_a_room_goes_before_what_is_of_the_account() -> None:
    """Of one kind; and what is over in the room does not hide the account's."""
    kept, bus, clock = MemoryRestrictions(Opened()), MemoryBus(), HandClock()
    await bus.start()
    node = Node(kept, bus, clock)
    now = clock.clock.now_ms()
    everywhere = entry(Kind.MUTE, scope=ROOM.account, reason="all")
    node.restrictions.hold(await kept.add(everywhere, 0))
    held = node.restrictions.held(str(ROOM), ROOM.account, "bob")
    assert held[Kind.MUTE].reason == "all"
    here = entry(Kind.MUTE, reason="here", expires=now + 1000)
    node.restrictions.hold(await kept.add(here, 0))
    held = node.restrictions.held(str(ROOM), ROOM.account, "bob")
    assert held[Kind.MUTE].reason == "here"
    clock.advance(1)
    held = node.restrictions.held(str(ROOM), ROOM.account, "bob")
    assert held[Kind.MUTE].reason == "all"
    assert json.dumps(sorted(held)) == '["MUTE"]'
