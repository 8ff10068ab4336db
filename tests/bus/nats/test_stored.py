"""What is read of JetStream: its answers, and what stands for them when there are none."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from greenroom.bus.base import Before, Deliver
from greenroom.bus.nats import headers, stored, subjects
from greenroom.bus.nats.codec import Batch, encode
from greenroom.bus.nats.connection import Answer, NoAnswer
from greenroom.bus.nats.stored import Message, Reader, StoredStreams, last, some
from greenroom.bus.streams import Stored, StreamState, StreamUnavailable
from tests.running.buses import buses_at, until
from tests.running.wire import PATIENCE

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/Room00000001"
OTHER = "arn:aws:ivschat:us-east-1:123456789012:room/Room00000002"
STREAM = subjects.stream_of(ROOM)
NAME = subjects.stream_name(STREAM)
SUBJECT = subjects.published(ROOM)
STAMP = "2026-11-29T22:18:22.12Z"
STAMP_NS = headers.stamp_ns(STAMP.encode())
NOT_FOUND = (b"NATS/1.0 404 Message Not Found\r\n\r\n", b"")


class Server:
    """A connection whose other side answers what the test says, and writes down what is asked."""

    def __init__(
        self, answer: object = None, parts: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.expecting: dict[bytes, Answer] = {}
        self._answer = answer
        self._parts = parts or []
        self.settles: bytes | None = None
        """What is answered when something is published that shows nothing."""

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        asked = data if subject.startswith("gr.") else json.loads(data) if data else None
        self.asked.append((subject, asked))
        assert seconds == stored.ANSWER_SECONDS
        if subject.startswith("gr."):
            assert self.settles is not None
            return b"", self.settles
        if isinstance(self._answer, Exception):
            raise self._answer
        return b"", self._answer if isinstance(self._answer, bytes) else _json(self._answer)

    def expect(self, answer: Answer) -> bytes:
        self.expecting[b"7"] = answer
        return b"7"

    def reply_to(self, token: bytes) -> str:
        return f"inbox.{token.decode()}"

    def send(self, subject: str, data: bytes, reply: str) -> None:
        assert reply == "inbox.7"
        self.asked.append((subject, json.loads(data)))
        for raw, part in self._parts:
            self.expecting[b"7"](raw, part)

    def forget(self, token: bytes) -> None:
        del self.expecting[token]


class Leader(Server):
    """A connection on which the stream's leader has these numbers; another server answers parts."""

    def __init__(self, numbers: Sequence[int], parts: list[tuple[bytes, bytes]]) -> None:
        super().__init__(parts=parts)
        self._numbers = numbers

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        wanted = json.loads(data)["seq"]
        found = next((each for each in self._numbers if each >= wanted), None)
        kept = {"seq": found, "time": STAMP, "subject": SUBJECT, "data": ""}
        absent = {"error": {"err_code": stored.NO_MESSAGE}}
        self._answer = absent if found is None else {"message": kept}
        return await super().request(subject, data, seconds)

    @property
    def led(self) -> list[int]:
        """Return from which numbers on the leader was asked for a message."""
        subject = f"$JS.API.STREAM.MSG.GET.{NAME}"
        return [question["seq"] for asked, question in self.asked if asked == subject]


class Storing(Server):
    """A connection to streams that store when the test says so, or fail to."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(
            {"created": "then", "state": {"messages": 0, "first_seq": 1, "last_seq": 0}}
        )
        self.fails = fails
        self.stored: list[str] = []
        self.stores = asyncio.Event()
        self._asked = asyncio.Condition()

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        if subject.startswith("gr."):
            self.stored.append(subject)
            self.settles = b'{"seq":%d}' % len(self.stored)
            found = await super().request(subject, data, seconds)
            async with self._asked:
                self._asked.notify_all()
            await self.stores.wait()
            if self.fails:
                raise NoAnswer("no leader")
            return found
        return await super().request(subject, data, seconds)

    async def until_asked(self, times: int) -> None:
        """Wait until so many messages came to be stored."""
        async with self._asked:
            await self._asked.wait_for(lambda: len(self.stored) >= times)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


Part = tuple[bytes, bytes]


def part(
    sequence: int, data: bytes, room: str = ROOM, *, after: int = 0, behind: int | None = None
) -> Part:
    """Return a message as JetStream gives it, after another one in the same answer.

    It was stored behind one of its room, or whoever published it did not say so.
    """
    expected = "" if behind is None else f"Nats-Expected-Last-Subject-Sequence: {behind}\r\n"
    raw = (
        f"NATS/1.0\r\n{expected}Nats-Subject: {subjects.published(room)}\r\n"
        f"Nats-Sequence: {sequence}\r\nNats-Time-Stamp: {STAMP}\r\n"
        f"Nats-Num-Pending: 0\r\nNats-Last-Sequence: {after}\r\n\r\n"
    )
    return raw.encode(), data


def end(after: int = 0) -> Part:
    """Return the end of an answer, after its last message."""
    raw = f"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: {after}\r\n\r\n"
    return raw.encode(), b""


def parts(*messages: tuple[int, int], rooms: tuple[str, ...] = ()) -> list[Part]:
    """Return a whole answer: the number of each message, and that of the one that it is behind."""
    found, after = [], 0
    for place, (number, behind) in enumerate(messages):
        room = rooms[place] if rooms else ROOM
        found.append(part(number, b"%d" % number, room, after=after, behind=behind))
        after = number
    return [*found, end(after)]


def streams(server: Server) -> StoredStreams:
    """Return the port on that connection."""
    return StoredStreams(server)  # type: ignore[arg-type]  # a double


class TestLast:
    """The newest message of a subject."""

    async def test_it(self) -> None:
        """The leader of the stream is asked for it."""
        data = base64.b64encode(b"\x93payload").decode()
        kept = {"seq": 42, "time": STAMP, "subject": SUBJECT, "data": data}
        server = Server({"message": kept})
        found = await last(server, NAME, SUBJECT)  # type: ignore[arg-type]  # a double
        assert found == Message(42, STAMP.encode(), b"\x93payload", SUBJECT)
        assert found is not None
        assert found.stamp_ns == STAMP_NS
        assert server.asked == [(f"$JS.API.STREAM.MSG.GET.{NAME}", {"last_by_subj": SUBJECT})]

    async def test_there_is_none(self) -> None:
        """That is an answer, too."""
        server = Server({"error": {"code": 404, "err_code": stored.NO_MESSAGE}})
        assert await last(server, NAME, SUBJECT) is None  # type: ignore[arg-type]  # a double

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ({"error": {"err_code": 10059, "description": "not found"}}, "read: not found$"),
            ({}, "cannot be read: $"),
            (b"<html>", "what is no answer$"),
            (b'{"error": "\xff"}', "what is no answer$"),
            (NoAnswer("no server"), "^no server$"),
        ],
    )
    async def test_no_answer(self, answer: object, why: str) -> None:
        """Whatever else comes says nothing of the room."""
        with pytest.raises(NoAnswer, match=why):
            await last(Server(answer), NAME, SUBJECT)  # type: ignore[arg-type]  # a double


class TestSome:
    """Messages from a place on."""

    @pytest.mark.parametrize("ending", [end(5), NOT_FOUND])
    async def test_them(self, ending: Part) -> None:
        """All up to the end of the answer, whatever comes after that."""
        told = [part(3, b"a"), part(5, b"b", after=3), ending, part(6, b"c", after=5), ending]
        server = Server(parts=told)
        found = await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        stamp = STAMP.encode()
        assert found == [Message(3, stamp, b"a", SUBJECT), Message(5, stamp, b"b", SUBJECT)]
        assert [each.behind for each in found] == [-1, -1]
        wanted = {"seq": 3, "next_by_subj": SUBJECT, "batch": 256, "max_bytes": 1 << 20}
        assert server.asked == [(f"$JS.API.DIRECT.GET.{NAME}", wanted)]
        assert not server.expecting

    async def test_a_refusal(self) -> None:
        """What came before it is not all that there is."""
        server = Server(parts=[part(3, b"a"), (b"NATS/1.0 408 Bad Request\r\n\r\n", b"")])
        with pytest.raises(NoAnswer, match="status 408"):
            await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        assert not server.expecting

    async def test_no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer that does not end is none, and nobody waits for it any more."""
        monkeypatch.setattr(stored, "ANSWER_SECONDS", 0.01)
        server = Server(parts=[part(3, b"a")])
        with pytest.raises(NoAnswer, match="does not answer"):
            await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        assert not server.expecting

    @pytest.mark.parametrize("lost", range(4))
    async def test_a_part_is_lost(self, lost: int) -> None:
        """Servers lose what is under way between them when their connection ends."""
        told = [*parts((3, 0), (5, 3), (7, 5), (8, 7))]
        del told[lost]
        server = Server(parts=told)
        with pytest.raises(NoAnswer, match=f"^a part of what {NAME} answers is lost$"):
            await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double

    @pytest.mark.parametrize(
        ("told", "leads", "asked", "found"),
        [
            # the one in between, the first one, two in one gap, one in each of two
            ([(3, 2), (9, 5)], [3, 5, 9], [4], [3, 5, 9]),
            ([(5, 3), (9, 5)], [3, 5, 9], [3], [3, 5, 9]),
            ([(3, 2), (9, 7)], [3, 5, 7, 9], [4, 6], [3, 5, 7, 9]),
            ([(3, 2), (9, 5), (12, 11)], [3, 5, 9, 11, 12], [4, 10], [3, 5, 9, 11, 12]),
            # the leader has not got it either, or not what comes behind it, or nothing of all that
            ([(5, 3), (9, 5)], [5, 9], [3], [5, 9]),
            ([(3, 2), (9, 5), (10, 9)], [3, 10], [4], [3, 10]),
            ([(3, 2), (9, 5), (10, 9)], [3], [4], [3]),
            ([(9, 5)], [], [3], []),
        ],
    )
    async def test_a_gap(
        self,
        told: list[tuple[int, int]],
        leads: list[int],
        asked: list[int],
        found: list[int],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What a server's copy lacks is asked of the leader, and no more than that is certain."""
        server = Leader(leads, parts(*told))
        messages = await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        assert [each.sequence for each in messages] == found
        assert server.led == asked
        assert all(each["next_by_subj"] == SUBJECT for _, each in server.asked)
        is_told = "a server lacks a message" in capsys.readouterr().out
        assert is_told == (not {*found} <= {*dict(told)})

    async def test_a_gap_at_the_beginning(self) -> None:
        """The first message that there ever was is missed like any other."""
        server = Leader([1, 2], parts((2, 1)))
        messages = await some(server, NAME, SUBJECT, {"seq": 1})  # type: ignore[arg-type]  # a double
        assert [each.sequence for each in messages] == [1, 2]
        assert server.led == [1]

    async def test_many_gaps(self) -> None:
        """The leader is asked so often in one read, and the next one goes on behind that."""
        most = stored.MOST_ASKED
        told = parts(*[(number, number - 1) for number in range(4, 4 * most, 2)])
        server = Leader(range(3, 4 * most), told)
        messages = await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        assert [each.sequence for each in messages] == [*range(3, 3 + 2 * most - 1)]
        assert server.led == [*range(3, 3 + 2 * most, 2)]

    @pytest.mark.parametrize(
        ("subject", "start", "told", "rooms"),
        [
            # of other rooms, from a time on, expired before, of somebody who expects nothing
            ("gr.*", {"seq": 3}, [(3, 2), (4, 1), (5, 3), (6, 5)], (ROOM, OTHER, ROOM, OTHER)),
            ("gr.*", {"start_time": STAMP}, [(7, 4), (8, -1)], (ROOM, OTHER)),
            (SUBJECT, {"start_time": STAMP}, [(7, 4), (9, 7)], (ROOM, ROOM)),
            (SUBJECT, {"seq": 3}, [(7, 0), (9, 7)], (ROOM, ROOM)),
            (SUBJECT, {"seq": 3}, [(7, 2), (9, -1)], (ROOM, ROOM)),
            (SUBJECT, {"seq": 3}, [], ()),
        ],
    )
    async def test_no_gap(
        self,
        subject: str,
        start: dict[str, object],
        told: list[tuple[int, int]],
        rooms: tuple[str, ...],
    ) -> None:
        """Nobody else is asked."""
        server = Server(parts=parts(*told, rooms=rooms))
        messages = await some(server, NAME, subject, start)  # type: ignore[arg-type]  # a double
        assert [(each.sequence, each.behind) for each in messages] == told
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("told", "rooms", "leads", "asked", "found"),
        [
            # what is missing is not right before the one behind it, or that is not there yet
            ([(3, 2), (4, 1), (6, 3), (7, 5)], (ROOM, OTHER, ROOM, OTHER), range(9), [5], range(8)),
            ([(3, 2), (5, 3)], (ROOM, ROOM), range(9), [4], range(6)),
            # all behind the message from which on it is read, and that one, too
            ([(3, 2), (7, 3)], (ROOM, ROOM), range(9), [4, 5, 6], range(8)),
            ([(6, 3)], (ROOM,), range(9), [3, 4, 5], range(7)),
            # they are gone
            ([(5, 3), (6, 4)], (ROOM, OTHER), [5, 6], [3], [5, 6]),
            ([(3, 2), (9, 3)], (ROOM, OTHER), [3, 9], [4], [3, 9]),
        ],
    )
    async def test_gaps_of_a_whole_stream(
        self,
        told: list[tuple[int, int]],
        rooms: tuple[str, ...],
        leads: Sequence[int],
        asked: list[int],
        found: Sequence[int],
    ) -> None:
        """Its numbers tell, whatever room the message is of, and whoever comes behind it."""
        server = Leader(leads, parts(*told, rooms=rooms))
        messages = await some(server, NAME, "gr.*", {"seq": 3})  # type: ignore[arg-type]  # a double
        assert [each.sequence for each in messages] == [each for each in found if each >= 3]
        assert server.led == asked

    async def test_a_reader_of_an_old_connection(self) -> None:
        """What comes after its connection ended is not used."""
        for is_current in (True, False):
            server = Server({"error": {"err_code": stored.NO_MESSAGE}}, [part(3, b"a"), end(3)])
            reader = Reader(server, STREAM, SUBJECT, lambda: is_current)  # type: ignore[arg-type]  # noqa: B023 - used at once
            if is_current:
                assert await reader.last() is None
                assert [each.sequence for each in await reader.some({"seq": 1})] == [3]
                continue
            for read in (reader.last(), reader.some({"seq": 1})):
                with pytest.raises(NoAnswer, match="the connection ended"):
                    await read


class TestStreams:
    """The port of those who keep messages for longer."""

    def test_how_many(self) -> None:
        """As many as there are."""
        assert streams(Server()).count == subjects.STREAMS

    @pytest.mark.parametrize(("messages", "first"), [(5, 3), (0, 8)])
    async def test_state(self, messages: int, first: int) -> None:
        """An empty stream begins behind its last number, whatever it says."""
        state = {"messages": messages, "first_seq": 3, "last_seq": 7}
        server = Server({"created": "then", "state": state})
        assert await streams(server).state(3) == StreamState("then", first, 7)
        assert server.asked == [("$JS.API.STREAM.INFO.ROOMS_03", None)]

    @pytest.mark.parametrize(
        ("copies", "is_led"),
        [
            ([], True),
            ([(0, False)], True),
            ([(stored.LED_NS, False)], True),
            ([(stored.LED_NS + 1, False)], False),
            ([(0, False), (stored.LED_NS + 1, False)], True),
            ([(0, False), (0, True)], True),
            ([(0, True), (0, True)], False),
            ([(stored.LED_NS + 1, False), (stored.LED_NS + 1, False)], False),
            ([(0, False), *[(stored.LED_NS + 1, False)] * 3], False),
            ([*[(0, False)] * 2, *[(stored.LED_NS + 1, False)] * 2], True),
        ],
    )
    async def test_a_leader_who_has_heard_of_few(
        self, copies: list[tuple[int, bool]], is_led: bool
    ) -> None:
        """It may not lead any more: it is asked again when something is stored."""
        state = {"messages": 5, "first_seq": 3, "last_seq": 7}
        replicas = [{"active": active, "offline": offline} for active, offline in copies]
        server = Server({"created": "then", "state": state, "cluster": {"replicas": replicas}})
        server.settles = b'{"stream":"ROOMS_03","seq":8}'
        assert await streams(server).state(3) == StreamState("then", 3, 7)
        info = ("$JS.API.STREAM.INFO.ROOMS_03", None)
        nothing = ("gr.03.-", encode(Batch("", 0, 0, ())))
        assert server.asked == ([info] if is_led else [info, nothing, info])
        server.asked.clear()
        server.settles = b'{"stream":"ROOMS_03","seq":6}'
        assert await streams(server).end(3) == StreamState("then", 3, 5)
        assert server.asked == [nothing, info]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (b'{"error":{"description":"insufficient resources"}}', "ROOMS_03 does not store: ins"),
            (b"{}", "ROOMS_03 does not store: $"),
            (b"<html>", "gr.03.- is answered with what is no answer"),
        ],
    )
    async def test_a_stream_that_stores_nothing(self, answer: bytes, why: str) -> None:
        """Nobody knows where it ends."""
        server = Server(
            {"created": "then", "state": {"messages": 0, "first_seq": 0, "last_seq": 0}}
        )
        server.settles = answer
        with pytest.raises(StreamUnavailable, match=why):
            await streams(server).end(3)
        assert [asked for asked, _ in server.asked] == ["gr.03.-"]
        reader = Reader(server, 3, "gr.03.room", lambda: True)  # type: ignore[arg-type]  # a double
        with pytest.raises(NoAnswer, match=why):
            await reader.settled_last()

    async def test_the_end_of_a_stream_that_holds_nothing(self) -> None:
        """What was stored to find out does not count."""
        server = Server(
            {"created": "then", "state": {"messages": 1, "first_seq": 8, "last_seq": 8}}
        )
        server.settles = b'{"stream":"ROOMS_03","seq":8}'
        assert await streams(server).end(3) == StreamState("then", 8, 7)

    async def test_the_end_of_a_stream_that_is_not_there(self) -> None:
        """It cannot be had."""
        server = Server({"error": {"err_code": 10059}})
        server.settles = b'{"stream":"ROOMS_03","seq":8}'
        with pytest.raises(StreamUnavailable, match="ROOMS_03 is not there"):
            await streams(server).end(3)

    async def test_who_asks_meanwhile_shares_the_next_end(self) -> None:
        """What is stored once serves all who asked before it was sent; each stream for itself."""
        server = Storing()
        asked = streams(server)
        first = asyncio.create_task(asked.end(3))
        await server.until_asked(1)
        later = [asyncio.create_task(asked.end(3)) for _ in range(5)]
        another = asyncio.create_task(asked.end(4))
        await server.until_asked(2)
        later.pop().cancel()
        server.stores.set()
        assert (await first).last == 0
        assert (await another).last == 1
        assert [each.last for each in await asyncio.gather(*later)] == [2] * 4
        assert (await asked.end(3)).last == 3
        assert server.stored == ["gr.03.-", "gr.04.-", "gr.03.-", "gr.03.-"]

    async def test_an_end_that_is_shared_cannot_be_had(self) -> None:
        """All who share it are told, and who asks then asks anew."""
        server = Storing(fails=True)
        asked = streams(server)
        ends = [asyncio.create_task(asked.end(3)) for _ in range(3)]
        await server.until_asked(1)
        server.stores.set()
        found = await asyncio.gather(*ends, return_exceptions=True)
        assert [str(each) for each in found] == ["no leader"] * 3
        server.fails = False
        assert (await asked.end(3)).last == 1

    async def test_the_last_message_of_a_leader_that_stores(self) -> None:
        """First something is stored, then it is asked."""
        server = Server({"error": {"err_code": stored.NO_MESSAGE}})
        server.settles = b'{"stream":"ROOMS_03","seq":8}'
        reader = Reader(server, 3, "gr.03.room", lambda: True)  # type: ignore[arg-type]  # a double
        assert await reader.settled_last() is None
        assert [asked for asked, _ in server.asked] == [
            *("gr.03.-", "$JS.API.STREAM.MSG.GET.ROOMS_03")
        ]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ({"error": {"err_code": 10059}}, "ROOMS_03 is not there"),
            (b"<html>", "no answer$"),
            (NoAnswer("no server"), "no server"),
        ],
    )
    async def test_no_state(self, answer: object, why: str) -> None:
        """It cannot be had now."""
        with pytest.raises(StreamUnavailable, match=why):
            await streams(Server(answer)).state(3)

    @pytest.mark.parametrize(("first", "asked"), [(-1, 1), (0, 1), (1, 1), (9, 9)])
    async def test_read(self, first: int, asked: int) -> None:
        """All rooms of the stream from a number on; what is void or strange shows nothing."""
        frame = Deliver(b"{}", "id", time_ns=5)
        batch, late = (encode(Batch("n", 1, until, (frame,))) for until in (STAMP_NS, STAMP_NS - 1))
        second, third = asked + 1, asked + 2
        told = [part(asked, batch), part(second, late, after=asked)]
        told += [part(third, b"junk", after=second), end(third)]
        server = Server(parts=told)
        assert await streams(server).read(STREAM, first) == [
            Stored(asked, STAMP_NS, ROOM, (frame,)),
            Stored(second, STAMP_NS, ROOM, ()),
            Stored(third, STAMP_NS, ROOM, ()),
        ]
        ((subject, question),) = server.asked
        assert subject == f"$JS.API.DIRECT.GET.{NAME}"
        assert (question["seq"], question["next_by_subj"]) == (asked, f"gr.{STREAM:02}.*")

    async def test_read_after(self) -> None:
        """From the nanosecond after a stamp on."""
        server = Server(parts=[end()])
        assert await streams(server).read_after(STREAM, STAMP_NS) == []
        assert server.asked[0][1]["start_time"] == "2026-11-29T22:18:22.120000001Z"

    async def test_unreadable(self) -> None:
        """A refusal is told as such."""
        server = Server(parts=[(b"NATS/1.0 503\r\n\r\n", b"")])
        with pytest.raises(StreamUnavailable, match="status 503"):
            await streams(server).read(STREAM, 1)


class TestHearing:
    """Words of what is stored."""

    async def test_the_first_word_of_each(self, bus_url: str) -> None:
        """It comes once, of that stream alone; who has ended hears none, of any connection."""
        async with buses_at(bus_url, 2) as (first, second):
            elsewhere = (STREAM + 1) % subjects.STREAMS
            words = [await first.streams.hear(each) for each in (STREAM, STREAM, elsewhere)]
            await words[1].end()
            await first.streams.state(STREAM)  # answered behind what was asked before it
            await second.publish(ROOM, _grant)
            async with asyncio.timeout(PATIENCE):
                await words[0].told.wait()
            assert [each.told.is_set() for each in words] == [True, False, False]
            await words[0].end()
            await first.end_connection()
            async with asyncio.timeout(PATIENCE):
                await words[2].told.wait()
            await until(lambda: first.figures.reconnects)
            await words[2].end()
            again = await first.streams.hear(STREAM)
            await first.streams.state(STREAM)
            await second.publish(ROOM, _grant)
            async with asyncio.timeout(PATIENCE):
                await again.told.wait()
            await again.end()
            assert first.streams._words == set()

    async def test_the_connection_ends(self) -> None:
        """Whoever waits is told, once, and has nothing to end over the next one."""
        server = Server()
        ended: list[object] = []

        async def listen(subject: str, _listener: object, *, once: bool) -> object:
            assert once
            return subject

        async def unlisten(subscribed: object) -> None:
            ended.append(subscribed)

        server.listen, server.unlisten = listen, unlisten  # type: ignore[attr-defined]  # a double
        made = streams(server)
        left, waits = await made.hear(3), await made.hear(4)
        await left.end()
        made.down()
        assert (left.told.is_set(), waits.told.is_set()) == (False, True)
        await waits.end()
        assert ended == ["gd.03.*"]
        assert made._words == set()

    async def test_no_connection(self) -> None:
        """It is told as such."""

        async def listen(*_: object, **__: object) -> None:
            raise NoAnswer("there is no connection")

        made = streams(server := Server())
        server.listen = listen  # type: ignore[attr-defined]  # a double
        with pytest.raises(StreamUnavailable, match="no connection"):
            await made.hear(0)


def _grant(before: Before) -> Deliver:
    return Deliver(b"x", "SendMessage", time_ns=before.time_ns + 1)
