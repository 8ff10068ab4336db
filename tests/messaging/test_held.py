"""Rooms that delay, or are paused: who sees a message when, in which order, and which never.

Covers: greenroom.chat.held_alone, greenroom.chat.held_queues, greenroom.chat.holding,
    greenroom.chat.messages, greenroom.chat.releases, greenroom.model.held_message
"""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from unittest import mock

import pytest

from greenroom.bus.base import BusUnavailable, Deliver, History
from greenroom.chat import held_queues, releases
from greenroom.chat.held_alone import HeldAlone
from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.holding import Holding
from greenroom.model.held_message import HeldMessage
from greenroom.storage.base import StorageUnavailable
from tests.messaging.test_own_actions import connected, do, took
from tests.messaging.test_replies import VIEWER
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import ROOM, Stage, settle, stage

Pair = tuple[Any, Any]


async def scene(made: Stage, **settings: Any) -> tuple[Pair, Pair, Pair]:
    """Return a moderator who has set something, and two viewers."""
    ann = await connected(made, "ann", "/?events=on")
    bob, eve = await connected(made, "bob", **VIEWER), await connected(made, "eve", **VIEWER)
    if settings:
        await put(ann, **settings)
    for _, transport in (bob, eve):
        took(transport)
    return ann, bob, eve


async def put(who: Pair, **settings: Any) -> None:
    """Set settings of the room."""
    frames = await do(*who, {"Action": "greenroom:SET", "Settings": settings, "RequestId": "s"})
    assert "greenroom:DONE" in {each.get("EventName") for each in frames}, frames


async def say(who: Pair, content: str = "hi") -> dict[str, Any]:
    """Send a message; return what answers it."""
    frames = await do(*who, {"Action": "SEND_MESSAGE", "Content": content, "RequestId": "r"})
    (found,) = [each for each in frames if each.get("RequestId") == "r"]
    return found


async def passes(made: Stage, seconds: float) -> None:
    """Let time pass, and everything happen that it brings."""
    made.time.advance(seconds)
    made.releases.tick()
    await settle(60)


def contents(who: Pair) -> list[str]:
    """Return the contents of the messages that have come."""
    return [each["Content"] for each in took(who[1]) if each["Type"] == "MESSAGE"]


def recovery(who: Pair) -> str:
    """Return whether somebody who came back was told that he got everything."""
    (told,) = [each for each in took(who[1]) if each.get("EventName") == "greenroom:HISTORY"]
    return str(told["Attributes"]["Recovered"])


async def kept(made: Stage) -> list[HeldMessage]:
    """Return what the store keeps of messages that wait."""
    return [each for _, each in await made.store.held_messages.waiting(0, 1000)]


async def restarted(made: Stage) -> HeldQueues:
    """Return what a process knows to wait that has just started."""
    queues, store = HeldQueues(made.time.clock), made.store
    alone = HeldAlone(
        queues,
        store.held_messages,
        store.history,
        made.bus.kept,
        made.time.clock,
        LooseTasks(),
    )
    await alone.start()
    return queues


async def test_moderators_and_the_author_see_it_at_once_and_others_later() -> None:
    """The same bytes, once for each; it is kept from before it is seen until it was released."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        also_bob = await connected(made, "bob", **VIEWER)
        took(also_bob[1])
        sent = await say(bob)
        assert sent["Type"] == "MESSAGE"
        assert took(ann[1]) == took(also_bob[1]) == [sent]
        (waits,) = await kept(made)
        assert (waits.id, waits.author) == (sent["Id"], "bob")
        late = await connected(made, "bob", **VIEWER)
        took(late[1])
        await passes(made, 9.99)
        assert took(eve[1]) == took(late[1]) == []
        await passes(made, 0.01)
        assert took(eve[1]) == took(late[1]) == [sent]
        assert took(ann[1]) == took(bob[1]) == took(also_bob[1]) == []
        assert await kept(made) == []
        assert made.chat.requests["SendMessage"] == made.releases.released == 1


async def test_everybody_is_delayed_alike() -> None:
    """Moderators, too; so the order stays, and with it that of the times."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=2)
        assert [await say(each, word) for each, word in ((bob, "1"), (ann, "2"), (bob, "3"))]
        await passes(made, 1)
        assert (await say(bob, "4"))["Type"] == "MESSAGE"
        await passes(made, 1)
        shown = took(eve[1])
        assert [each["Content"] for each in shown] == ["1", "2", "3"]
        assert sorted(shown, key=lambda each: each["SendTime"]) == shown
        await passes(made, 1)
        assert contents(eve) == ["4"]


async def test_a_pause_ends_and_everything_comes_in_order() -> None:
    """By itself when it is over, or when somebody ends it; who moderates talks on meanwhile."""
    async with stage() as made:
        ann, bob, eve = await scene(made, paused=True)
        await say(bob, "1")
        await passes(made, 100)
        assert (await say(ann, "we pause"))["Content"] == "we pause"
        await say(bob, "2")
        assert contents(eve) == ["we pause"]
        await passes(made, 199.9)
        assert contents(eve) == []
        await passes(made, 0.1)
        assert contents(eve) == ["1", "2"]
        await put(ann, paused=True)
        await say(bob, "3")
        await put(ann, paused=None)
        await say(bob, "4")
        assert contents(eve) == []
        await passes(made, 0)
        assert contents(eve) == ["3", "4"]
        await say(bob, "5")
        assert contents(eve) == ["5"]


async def test_a_pause_lasts_five_minutes_at_most() -> None:
    """However it is set; it is no tag, and no part of a shield."""
    async with stage() as made:
        ann, _, _ = await scene(made)
        longer = {"Action": "greenroom:SET", "Settings": {"paused": True}, "ExpiresInSeconds": 301}
        (error,) = await do(*ann, longer)
        assert error["ErrorMessage"] == "ExpiresInSeconds must be at most 300 where paused is set"
        await do(*ann, {**longer, "ExpiresInSeconds": 300})
        shield = {"shieldSettings": "paused=true"}
        (error,) = await do(*ann, {"Action": "greenroom:SET", "Settings": shield})
        assert error["ErrorCode"] == 400
        await put(ann, paused=True, emojiOnly=True)
        overrides = (await made.store.rooms.get(ROOM)).overrides.values
        now = made.time.clock.now_ms()
        assert (overrides["paused"].expires, overrides["emojiOnly"].expires) == (now + 300_000, 0)


@pytest.mark.parametrize("typed", ["/resume discard", ""])
async def test_what_waits_is_discarded(typed: str) -> None:
    """Moderators and its authors are told; viewers have seen nothing of it, nor has the log."""
    async with stage() as made:
        ann, bob, eve = await scene(made, paused=True)
        sent = await say(bob)
        took(ann[1])
        if typed:
            frames = await do(*ann, {"Action": "SEND_MESSAGE", "Content": typed, "RequestId": "r"})
        else:
            ask = {"Settings": {"paused": None}, "DiscardWaiting": True, "RequestId": "r"}
            frames = await do(*ann, {"Action": "greenroom:SET", **ask})
        assert "ERROR" not in {each["Type"] for each in frames}
        (told,) = [each for each in frames if each.get("EventName") == "greenroom:DELETE_MESSAGES"]
        assert json.loads(told["Attributes"]["MessageIds"]) == [sent["Id"]]
        (mine,) = took(bob[1])
        assert mine["Attributes"]["MessageId"] == sent["Id"]
        await passes(made, 1000)
        assert took(eve[1]) == []
        assert await kept(made) == []


@pytest.mark.parametrize("by", ["DELETE_MESSAGE", "greenroom:DELETE_USER_MESSAGES", "ban"])
async def test_what_was_deleted_meanwhile_never_appears(by: str) -> None:
    """Nor does it come back with a start of the service."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10, historyMessages=10)
        sent = await say(bob)
        took(ann[1])
        frame: dict[str, Any] = {"Action": by, "UserId": "bob", "Id": sent["Id"], "RequestId": "r"}
        if by == "ban":
            frame |= {"Action": "greenroom:RESTRICT", "Kind": "BAN"}
            frame["DeleteMessagesSinceSeconds"] = 60
        frames = await do(*ann, frame)
        assert "ERROR" not in {each["Type"] for each in frames}
        assert sent["Id"] in json.dumps(frames)
        assert await kept(made) == []
        await passes(made, 10)
        assert contents(eve) == []
        newcomer = await connected(made, "new", "/?history=10", **VIEWER)
        assert contents(newcomer) == []


async def test_a_kicked_user_stays_heard() -> None:
    """What was accepted before is released; so it is of who was banned without deleting it."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        await say(bob, "1")
        await do(*ann, {"Action": "DISCONNECT_USER", "UserId": "bob"})
        bob = await connected(made, "bob", **VIEWER)
        took(bob[1])
        await say(bob, "2")
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "BAN"})
        await passes(made, 10)
        assert contents(eve) == ["1", "2"]


async def test_what_waits_in_a_room_that_is_deleted_is_gone() -> None:
    """Nobody is shown it, and nothing of it stays."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        await say(bob)
        await made.store.rooms.delete(ROOM)
        made.rooms.note_deleted(str(ROOM))
        for _ in range(3):
            await passes(made, 10)
        assert contents(eve) == []
        assert (await kept(made), len(made.queues)) == ([], 0)


async def test_it_counts_when_it_is_accepted() -> None:
    """For slow mode, and for the room's rate; its release counts for nothing."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10, slowModeSeconds=20)
        await say(bob)
        assert (await say(bob))["ErrorCode"] == 429
        await passes(made, 10)
        assert contents(eve) == ["hi"]
        await passes(made, 9.9)
        assert (await say(bob))["ErrorCode"] == 429
        await passes(made, 0.1)
        assert (await say(bob))["Type"] == "MESSAGE"


async def test_what_a_shadowed_user_writes_waits_as_all_does() -> None:
    """It is shown to himself and to moderators alone, once; he notices no difference."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10, historyMessages=10)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"})
        sent = await say(bob)
        assert took(ann[1])[-1]["Attributes"] == {"greenroom:mark": "SHADOW"}
        assert [each.is_shadowed for each in await kept(made)] == [True]
        also_bob = await connected(made, "bob", "/?history=10", **VIEWER)
        assert contents(also_bob) == []
        await passes(made, 10)
        assert took(eve[1]) == took(bob[1]) == took(ann[1]) == []
        assert took(also_bob[1]) == [sent]
        assert await kept(made) == []
        back = await connected(made, "bob", f"/?events=on&history=10&since={sent['Id']}", **VIEWER)
        assert recovery(back) == "false"


async def test_what_a_shadowed_user_wrote_is_deleted_before_nobody() -> None:
    """Who has seen it is told, and nobody else."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "SHADOW"})
        sent = await say(bob)
        clear = {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "bob", "RequestId": "r"}
        assert sent["Id"] in json.dumps(await do(*ann, clear))
        assert took(eve[1]) == []
        assert [each["Attributes"]["MessageId"] for each in took(bob[1])] == [sent["Id"]]
        assert await kept(made) == []


async def test_a_monitored_user_is_marked_for_moderators_alone() -> None:
    """Before the release and behind it."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        await do(*ann, {"Action": "greenroom:RESTRICT", "UserId": "bob", "Kind": "MONITOR"})
        assert (await say(bob))["Attributes"] is None
        assert took(ann[1])[-1]["Attributes"] == {"greenroom:mark": "MONITOR"}
        late = await connected(made, "zoe", "/?events=on")
        took(late[1])
        await passes(made, 10)
        assert took(eve[1])[0]["Attributes"] is None
        assert took(late[1])[0]["Attributes"] == {"greenroom:mark": "MONITOR"}


async def test_history_has_it_from_its_release_on() -> None:
    """In the order in which viewers saw things; and the same frame once more."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10, historyMessages=10)
        sent = await say(bob)
        newcomer = await connected(made, "new", "/?history=10", **VIEWER)
        assert contents(newcomer) == []
        await put(ann, delaySeconds=None, paused=None)
        await passes(made, 0)
        other = await say(eve, "now")
        newcomer = await connected(made, "new", "/?history=10", **VIEWER)
        assert took(newcomer[1]) == [sent, other]


async def test_who_saw_it_before_others_cannot_come_back_behind_it() -> None:
    """He has not seen what was released in between, and is told so; others can."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10, historyMessages=10)
        first = await say(eve, "1")
        await passes(made, 5)
        second = await say(bob, "2")
        await passes(made, 5)
        await passes(made, 5)
        assert took(eve[1]) == [second]
        for user, url, recovered in (
            ("bob", f"/?events=on&since={second['Id']}", "false"),
            ("eve", f"/?events=on&since={second['Id']}", "true"),
            ("eve", f"/?events=on&since={first['Id']}", "false"),
            ("bob", f"/?events=on&since={first['Id']}", "true"),
        ):
            back = await connected(made, user, url, **VIEWER)
            told = next(
                each for each in took(back[1]) if each.get("EventName") == "greenroom:HISTORY"
            )
            assert told["Attributes"]["Recovered"] == recovered, (user, url)
        zoe = await connected(made, "zoe", f"/?events=on&since={first['Id']}")
        assert recovery(zoe) == "false"
        plain = await connected(made, "bob", f"/?since={first['Id']}", **VIEWER)
        assert contents(plain) == ["2"]


async def test_while_a_node_knows_nothing_of_it_everything_is_shown_at_once() -> None:
    """It could be the one that reads the stream, and would keep nothing that waits."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        made.chat.holding = Holding(made.queues, lambda: False)
        await say(bob)
        assert contents(eve) == ["hi"]


async def test_a_release_that_is_not_possible_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing goes before it; it is told how long it is overdue, and in the log once."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        await say(bob, "1")
        await say(bob, "2")
        publish, failing = made.line.publish, [BusUnavailable("away"), ZeroDivisionError()] * 2

        def sometimes(room: str, grant: Any) -> Any:
            if failing:
                raise failing.pop()
            return publish(room, grant)

        monkeypatch.setattr(made.line, "publish", sometimes)
        await passes(made, 10)
        for seconds in (1.0, 2.0, 3.0):
            await passes(made, 1)
            assert (contents(eve), made.releases.overdue_seconds) == ([], seconds)
        await passes(made, 1)
        assert contents(eve) == ["1", "2"]
        await passes(made, 0)
        assert (made.releases.overdue_seconds, made.releases.released) == (0, 2)
        assert await kept(made) == []


async def test_the_end_of_a_process() -> None:
    """What is being released is, and nothing more: the next process goes on."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        await say(bob, "1")
        made.time.advance(10)
        made.releases.tick()
        await made.releases.stop()
        assert contents(eve) == []
        await passes(made, 10)
        assert contents(eve) == []
        assert [each.author for each in await kept(made)] == ["bob"]
        await made.releases.stop()


async def test_a_store_that_does_not_forget_for_now() -> None:
    """What was released stays there until the next time, and is not released twice."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        await say(bob, "1")
        unavailable = mock.AsyncMock(side_effect=StorageUnavailable("full"))
        with mock.patch.object(made.store.held_messages, "remove", unavailable):
            await passes(made, 10)
        assert contents(eve) == ["1"]
        assert (len(await kept(made)), made.held.is_settled) == (1, False)
        await say(bob, "2")
        await passes(made, 10)
        assert contents(eve) == ["2"]
        assert await kept(made) == []
        sent = await say(bob, "3")
        with mock.patch.object(made.store.held_messages, "remove", unavailable):
            frames = await do(*ann, {"Action": "DELETE_MESSAGE", "Id": sent["Id"]})
            assert frames[-1]["ErrorCode"] == 500
        await do(*ann, {"Action": "DELETE_MESSAGE", "Id": sent["Id"]})
        assert await kept(made) == []


async def test_a_room_that_is_not_at_hand() -> None:
    """It is read first."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        await say(bob)
        made.rooms.forget(str(ROOM))
        await passes(made, 10)
        assert contents(eve) == []
        await passes(made, 0)
        assert contents(eve) == ["hi"]


async def test_many_are_released_in_several_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody else waits for long; when the delay is over for one, not for those behind."""
    monkeypatch.setattr(releases, "AT_ONCE", 2)
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        for number in range(5):
            await say(bob, str(number))
        await passes(made, 10)
        assert contents(eve) == ["0", "1"]
        await passes(made, 0)
        await passes(made, 0)
        assert contents(eve) == ["2", "3", "4"]


async def test_nothing_is_shown_that_is_not_kept() -> None:
    """Who sent it gets 500 and may try again: it counts for nothing, and appears nowhere."""
    async with stage() as made:
        ann, bob, _ = await scene(made, delaySeconds=10)
        unavailable = mock.AsyncMock(side_effect=StorageUnavailable("full"))
        with mock.patch.object(made.store.held_messages, "add", unavailable):
            answer = await say(bob)
        assert (answer["Type"], answer["ErrorCode"]) == ("ERROR", 500)
        assert took(ann[1]) == []
        assert (await say(bob))["Type"] == "MESSAGE"
        assert len(await kept(made)) == 1


async def test_so_many_may_wait() -> None:
    """In a room, and so many bytes in all: who sends more is told."""
    async with stage() as made:
        _, bob, eve = await scene(made, delaySeconds=10)
        refused = "Too many messages wait in this room: write again when it goes on"
        for name, bound in (("MOST_MESSAGES", 2), ("MOST_ROOM_BYTES", 1000), ("MOST_BYTES", 1000)):
            with mock.patch.object(held_queues, name, bound):
                assert [(await say(bob))["Type"] for _ in range(2)] == ["MESSAGE"] * 2
                answer = await say(bob)
                assert (answer["ErrorCode"], answer["ErrorMessage"]) == (403, refused)
                await passes(made, 10)
                assert contents(eve) == ["hi", "hi"]
        assert made.queues.bytes == 0


async def test_who_does_not_wait_is_heard_however_much_does() -> None:
    """In a pause a moderator's message takes none of the places."""
    async with stage() as made:
        ann, bob, _ = await scene(made, paused=True)
        with mock.patch.object(held_queues, "MOST_MESSAGES", 1):
            assert (await say(bob))["Type"] == "MESSAGE"
            assert (await say(bob))["ErrorCode"] == 403
            assert (await say(ann))["Type"] == "MESSAGE"


async def test_the_next_process_goes_on() -> None:
    """With what waits, in its order, for the rest of its time; not with what history has."""
    async with stage() as made:
        _, bob, _ = await scene(made, delaySeconds=10, historyMessages=10)
        await say(bob, "1")
        await passes(made, 4)
        await say(bob, "2")
        (first, second) = await kept(made)
        queues = await restarted(made)
        waiting = queues.first(str(ROOM))
        assert waiting is not None
        assert waiting.message == first
        assert waiting.since == pytest.approx(made.time.clock.monotonic() - 4)
        assert queues.ids(str(ROOM)) == [first.id, second.id]
        shown = Deliver(first.payload, "SendMessage", id=first.id, time_ns=1, history=History.KEPT)
        made.bus.put(str(ROOM), shown)
        await made.history.appended()
        assert (await restarted(made)).ids(str(ROOM)) == [second.id]
        assert await kept(made) == [second]


async def test_many_rooms_go_on_at_once() -> None:
    """After an outage, say: the loop does other things in between, and no room is passed over."""
    async with stage() as made:
        rooms = [str(ROOM).replace("Room", f"R{number:03}") for number in range(60)]
        room = await made.rooms.get(str(ROOM))
        for each in rooms:
            made.rooms._keep(each, room)
            for number in range(5):
                made.queues.add(HeldMessage(each, f"{each[-15:]}{number}", "bob", 1, b"{}"))
        turns: Counter[int] = Counter()
        turn, put = 0, made.bus.put

        def published(room: str, envelope: Deliver) -> int:
            turns[turn] += 1
            return put(room, envelope)

        with (
            mock.patch.object(made.bus, "put", published),
            mock.patch.object(releases, "MOST_ROOMS", 20),
        ):
            for ticks in range(3):
                made.releases.tick()
                assert len(made.releases._running) == 20, ticks
                while made.releases._running:
                    turn += 1
                    await asyncio.sleep(0)
        assert made.releases.released == 300
        assert max(turns.values()) <= releases.IN_A_TURN


async def test_slow_lines_keep_up_with_the_end_of_a_pause() -> None:
    """So many bytes of a room are released at a time, and the next ones a moment later."""
    async with stage() as made:
        ann, bob, eve = await scene(made, paused=True)
        for number in range(5):
            await say(bob, f"{number}")
        await put(ann, paused=None)
        size = len((await kept(made))[0].payload)
        with mock.patch.object(releases, "BYTES_AT_ONCE", 2 * size - 1):
            shown = []
            for _ in range(3):
                await passes(made, 0.1)
                shown.append(contents(eve))
        assert shown == [["0", "1"], ["2", "3"], ["4"]]


async def test_who_moderates_is_heard_in_a_pause_of_a_room_that_delays() -> None:
    """Delayed, what he says would wait for the end of the pause."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        await put(ann, paused=True)
        await say(bob, "1")
        assert (await say(ann, "we pause"))["Type"] == "MESSAGE"
        assert contents(eve) == ["we pause"]


async def test_what_waited_is_deleted_for_good_in_a_room_of_defaults() -> None:
    """Nothing is set there any more, and nothing kept: all the same it does not come back."""
    async with stage() as made:
        ann, bob, _ = await scene(made, paused=True)
        sent = await say(bob)
        await put(ann, paused=None)
        removed = mock.AsyncMock(side_effect=StorageUnavailable("full"))
        with mock.patch.object(made.store.held_messages, "remove", removed):
            frames = await do(*ann, {"Action": "DELETE_MESSAGE", "Id": sent["Id"]})
        assert [each["ErrorCode"] for each in frames if each["Type"] == "ERROR"] == [500]
        frames = await do(*ann, {"Action": "DELETE_MESSAGE", "Id": sent["Id"]})
        assert "ERROR" not in {each["Type"] for each in frames}
        assert await kept(made) == []


async def test_what_is_discarded_without_a_pause_is_told_to_all() -> None:
    """Some of it may be released meanwhile: else who was shown that would go on showing it."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10)
        sent = await say(bob)
        found = await made.store.held_messages.of_room(str(ROOM))
        await passes(made, 10)
        assert contents(eve) == ["hi"]
        of_room = mock.AsyncMock(return_value=found)
        with mock.patch.object(made.store.held_messages, "of_room", of_room):
            ask = {"Settings": {"delaySeconds": None}, "DiscardWaiting": True, "RequestId": "r"}
            await do(*ann, {"Action": "greenroom:SET", **ask})
        assert [each["Attributes"]["MessageId"] for each in took(eve[1])] == [sent["Id"]]


@pytest.mark.parametrize("ends", ["soon", "meanwhile"])
async def test_what_is_discarded_as_its_pause_ends_is_told_to_all(ends: str) -> None:
    """Some of it may be released before it is deleted, while the bus or the store is slow."""
    async with stage() as made:
        ann, bob, eve = await scene(made, paused=True)
        sent = await say(bob)
        tell, resume = made.chat.tell, {"Settings": {"paused": None}, "RequestId": "r"}

        async def late(*arguments: Any, **members: Any) -> str:
            if members.get("deletes") and sent["Id"] in made.queues.ids(str(ROOM)):
                if ends == "meanwhile":
                    await made.settings.change(str(ROOM), {}, ["paused"], 0, "cat")
                await passes(made, 1 if ends == "meanwhile" else 10)
            return await tell(*arguments, **members)

        if ends == "soon":
            await passes(made, 290)
        with mock.patch.object(made.chat, "tell", late):
            await do(*ann, {"Action": "greenroom:SET", **resume, "DiscardWaiting": True})
        await settle(60)
        shown, told = took(eve[1])
        assert (shown["Id"], told["Attributes"]["MessageId"]) == (sent["Id"], sent["Id"])


async def test_two_deletions_are_kept_before_either_is_told_so() -> None:
    """Also one whose removal another one has begun, that of a release perhaps."""
    async with stage() as made:
        _, bob, _ = await scene(made, paused=True)
        sent = await say(bob)
        gate, store = asyncio.Event(), made.store.held_messages
        remove = store.remove

        async def slowly(room: str, ids: Collection[str]) -> None:
            await gate.wait()
            await remove(room, ids)

        with mock.patch.object(store, "remove", slowly):
            made.held.deleted(str(ROOM), [sent["Id"]])
            others = asyncio.create_task(made.held.settle())
            await settle()
            settled = [made.held.is_settled]
            own = asyncio.create_task(made.held.settle())
            await settle()
            assert not own.done()
            gate.set()
            await asyncio.gather(others, own)
        assert [*settled, made.held.is_settled] == [False, True]
        assert await kept(made) == []


async def test_what_is_released_as_its_author_s_messages_are_deleted() -> None:
    """It is among them: it waited as they were asked for, or was kept by then."""
    async with stage() as made:
        ann, bob, eve = await scene(made, delaySeconds=10, historyMessages=10)
        await say(bob)
        kept_messages = made.own.deletions._kept
        read = kept_messages.of_author

        async def slowly(*args: Any) -> Any:
            found = await read(*args)
            await passes(made, 10)
            return found

        with mock.patch.object(kept_messages, "of_author", slowly):
            await do(*ann, {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "bob"})
            await settle(100)
        assert [each["Type"] for each in took(eve[1])] == ["MESSAGE", "EVENT"]
        newcomer = await connected(made, "new", "/?history=10", **VIEWER)
        assert contents(newcomer) == []
        assert await kept(made) == []


async def test_what_is_deleted_as_it_is_being_kept_is_not_released() -> None:
    """Who reads the store may find it there before the node knows that it is."""
    async with stage() as made:
        ann, bob, eve = await scene(made, paused=True)
        gate, store = asyncio.Event(), made.store.held_messages
        add = store.add

        async def slowly(messages: Sequence[HeldMessage]) -> None:
            await add(messages)
            await gate.wait()

        with mock.patch.object(store, "add", slowly):
            sending = asyncio.create_task(say(bob))
            await settle()
            (waits,) = await kept(made)
            await do(*ann, {"Action": "greenroom:DELETE_USER_MESSAGES", "UserId": "bob"})
            gate.set()
            await settle()
        sending.cancel()
        assert await kept(made) == []
        await put(ann, paused=None)
        await passes(made, 1)
        assert waits.id not in [each.get("Id") for each in took(eve[1])]
