"""What is read of JetStream: its answers, and what stands for them when there are none."""

import asyncio
import base64
import json
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
STREAM = subjects.stream_of(ROOM)
NAME = subjects.stream_name(STREAM)
SUBJECT = subjects.published(ROOM)
STAMP = "2026-11-29T22:18:22.12Z"
STAMP_NS = headers.stamp_ns(STAMP.encode())
END = b"NATS/1.0 204 EOB\r\n\r\n"


class Server:
    """A connection whose other side answers what the test says, and writes down what is asked."""

    def __init__(
        self, answer: object = None, parts: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.expecting: dict[bytes, Answer] = {}
        self._answer = answer
        self._parts = parts or []

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        self.asked.append((subject, json.loads(data) if data else None))
        assert seconds == stored.ANSWER_SECONDS
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


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def part(sequence: int, data: bytes, room: str = ROOM) -> tuple[bytes, bytes]:
    """Return a message as JetStream gives it."""
    raw = (
        f"NATS/1.0\r\nNats-Subject: {subjects.published(room)}\r\nNats-Sequence: {sequence}\r\n"
        f"Nats-Time-Stamp: {STAMP}\r\n\r\n"
    )
    return raw.encode(), data


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

    @pytest.mark.parametrize("end", [END, b"NATS/1.0 404 Message Not Found\r\n\r\n"])
    async def test_them(self, end: bytes) -> None:
        """All up to the end of the answer, whatever comes after that."""
        server = Server(parts=[part(3, b"a"), part(5, b"b"), (end, b""), part(6, b"c"), (end, b"")])
        found = await some(server, NAME, SUBJECT, {"seq": 3})  # type: ignore[arg-type]  # a double
        stamp = STAMP.encode()
        assert found == [Message(3, stamp, b"a", SUBJECT), Message(5, stamp, b"b", SUBJECT)]
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

    async def test_a_reader_of_an_old_connection(self) -> None:
        """What comes after its connection ended is not used."""
        for is_current in (True, False):
            server = Server({"error": {"err_code": stored.NO_MESSAGE}}, [part(3, b"a"), (END, b"")])
            reader = Reader(server, NAME, SUBJECT, lambda: is_current)  # type: ignore[arg-type]  # noqa: B023 - used at once
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
        server = Server(parts=[part(9, batch), part(10, late), part(11, b"junk"), (END, b"")])
        assert await streams(server).read(STREAM, first) == [
            Stored(9, STAMP_NS, ROOM, (frame,)),
            Stored(10, STAMP_NS, ROOM, ()),
            Stored(11, STAMP_NS, ROOM, ()),
        ]
        ((subject, question),) = server.asked
        assert subject == f"$JS.API.DIRECT.GET.{NAME}"
        assert (question["seq"], question["next_by_subj"]) == (asked, f"gr.{STREAM:02}.*")

    async def test_read_after(self) -> None:
        """From the nanosecond after a stamp on."""
        server = Server(parts=[(END, b"")])
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
