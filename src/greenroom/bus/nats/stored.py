"""Reads what JetStream has stored: of a room, and of whole streams.

`last` is answered by a stream's leader, the others perhaps by a server that has not got the newest
messages yet. A leader does not know either that it is one no longer: cut off from the others it
answers for up to 20 s. One that was just chosen may lack for a moment what the one before it has
acknowledged. Who has to know where a stream ends has it store something: see `settle`.

What they answer has no gap all the same. Of a part that got lost between servers the part behind it
tells. Of a message that a server lacks the next one of its room does, which names the one that it
was stored behind; in a whole stream the numbers do, which are given one after another. The stream's
leader is asked for what should be there and is not.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import structlog

from greenroom.bus.base import RoomEnvelope
from greenroom.bus.nats import headers, subjects
from greenroom.bus.nats.client import Subscribed
from greenroom.bus.nats.codec import Batch, Undecodable, decode_batch, decode_known, encode
from greenroom.bus.nats.connection import Connection, NoAnswer
from greenroom.bus.streams import Stored, StreamState, StreamUnavailable

T = TypeVar("T")

ANSWER_SECONDS = 2.0
"""How long an answer may take; a part of one that has many."""

BATCH = 256
"""Messages of one read at most."""

BATCH_BYTES = 1 << 20
"""Bytes after which a read ends, in whole messages."""

MOST_ASKED = 64
"""How often a leader is asked for what one read lacks: what is behind that is read again."""

log = structlog.get_logger()

NO_MESSAGE = 10037
NO_STREAM = 10059


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as it is stored; `stamp` is its time as the server writes it.

    `behind` is the number of the message of its subject that it was stored behind, -1 when it is
    not known.
    """

    sequence: int
    stamp: bytes
    data: bytes
    subject: str = ""
    behind: int = -1

    @property
    def stamp_ns(self) -> int:
        """Return when it was stored, in nanoseconds since the epoch."""
        return headers.stamp_ns(self.stamp)


LED_NS = 2_500_000_000
"""How long ago a leader has heard of so many others that they are the most; usually it is a second.
The others choose a new one four seconds after they have heard of it, or later."""


class _Kept(msgspec.Struct):
    seq: int
    time: str
    subject: str
    data: str = ""


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Acknowledged(msgspec.Struct):
    seq: int = 0
    error: _Error | None = None


class _Led(msgspec.Struct):
    message: _Kept | None = None
    error: _Error | None = None


async def ask(connection: Connection, subject: str, question: Mapping[str, object]) -> bytes:
    """Ask JetStream's API; return its answer.

    Raises:
        NoAnswer: there is none.
    """
    data = msgspec.json.encode(question) if question else b""
    _, answer = await connection.request("$JS.API." + subject, data, ANSWER_SECONDS)
    return answer


async def ask_for(
    connection: Connection, subject: str, question: Mapping[str, object], kind: type[T]
) -> T:
    """Ask JetStream's API; return its answer as the kind of value that it is to be.

    Raises:
        NoAnswer: there is none, or what answers is no JetStream.
    """
    answer = await ask(connection, subject, question)
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoAnswer(f"{subject} answers what is no answer") from None


async def last(connection: Connection, stream: str, subject: str) -> Message | None:
    """Return the newest message of a subject, None when there is none.

    Raises:
        NoAnswer: the stream has no leader now, or no such stream is there.
    """
    return await _led(connection, stream, {"last_by_subj": subject})


async def _led(
    connection: Connection, stream: str, question: Mapping[str, object]
) -> Message | None:
    """Return one message as the stream's leader has it; raises as `last` does."""
    found = await ask_for(connection, f"STREAM.MSG.GET.{stream}", question, _Led)
    if found.message is None:
        if found.error is not None and found.error.err_code == NO_MESSAGE:
            return None
        reason = "" if found.error is None else found.error.description
        raise NoAnswer(f"{stream} cannot be read: {reason}")
    kept = found.message
    return Message(kept.seq, kept.time.encode(), base64.b64decode(kept.data), kept.subject)


async def settle(connection: Connection, stream: int) -> int:
    """Have a stream of rooms store something that shows nothing; return its number.

    The leader that says so speaks for the stream, and has all that was stored before.

    Raises:
        NoAnswer: the stream stores nothing now, or nobody knows.
    """
    nothing = encode(Batch("", 0, 0, ()))
    subject = subjects.of_no_room(stream)
    _, answer = await connection.request(subject, nothing, ANSWER_SECONDS)
    try:
        found = msgspec.json.decode(answer, type=_Acknowledged)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoAnswer(f"{subject} is answered with what is no answer") from None
    if found.seq == 0:
        reason = "" if found.error is None else found.error.description
        raise NoAnswer(f"{subjects.stream_name(stream)} does not store: {reason}")
    return found.seq


async def some(
    connection: Connection, stream: str, subject: str, start: Mapping[str, object]
) -> list[Message]:
    """Return the oldest messages of a subject, which may hold a `*`, from a place or a time on.

    Raises:
        NoAnswer: nobody answers, or the answer is not whole.
    """
    answer = _Answer()
    token = connection.expect(answer.take)
    question = {**start, "next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
    try:
        connection.send(
            f"$JS.API.DIRECT.GET.{stream}",
            msgspec.json.encode(question),
            connection.reply_to(token),
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            code = await answer.done
    except TimeoutError:
        raise NoAnswer(f"{stream} does not answer") from None
    finally:
        connection.forget(token)
    if code not in (204, 404):
        raise NoAnswer(f"{stream} cannot be read: status {code}")
    if not answer.whole:
        raise NoAnswer(f"a part of what {stream} answers is lost")
    return await _mended(connection, stream, subject, start, answer.found)


async def _mended(
    connection: Connection,
    stream: str,
    subject: str,
    start: Mapping[str, object],
    found: list[Message],
) -> list[Message]:
    """Return the messages with those that the leader has in their gaps, as far as that is known.

    Where the leader has nothing in a gap, what was there is lost, or too old.
    """
    if not found:
        return found
    first, is_whole = start.get("seq"), subject.endswith("*")
    begin = first if isinstance(first, int) else found[0].sequence
    sure = 0
    for _ in range(MOST_ASKED):
        gap = _gap(found, begin, sure, is_whole=is_whole)
        if gap is None:
            return found
        place = found[gap - 1].sequence + 1 if gap else begin
        missing = await _led(connection, stream, {"seq": place, "next_by_subj": subject})
        if missing is None:
            return found[:gap]
        if missing.sequence < found[gap].sequence:
            log.warning("a server lacks a message of a stream that the leader has", stream=stream)
            found.insert(gap, missing)
        elif missing.sequence > found[gap].sequence:
            found[gap:] = [missing]
        sure = gap + 1
    return found[:sure]


class _Answer:
    """The parts of an answer, as they come; `done` gets the status of its end."""

    def __init__(self) -> None:
        self.found: list[Message] = []
        self.whole = True
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def take(self, raw: bytes, data: bytes) -> None:
        """Take the next part. Each names the one before it, so that a lost one is known."""
        found, code = self.found, headers.status(raw)
        if self.done.done():
            return
        if code in (0, 204):
            self.whole &= headers.previous(raw) == (found[-1].sequence if found else 0)
        if code:
            self.done.set_result(code)
            return
        sequence, stamp = headers.sequence(raw), headers.stamp(raw)
        name, behind = headers.subject(raw), headers.expected(raw)
        found.append(Message(sequence, stamp, data, name, behind))


def _gap(found: Sequence[Message], begin: int, sure: int, *, is_whole: bool) -> int | None:
    """Return where a message is, behind those that are sure, without the one that it is behind.

    All messages of the room, or of the whole stream, from the number `begin` on should be there.
    """
    before = 0
    for place, message in enumerate(found):
        behind = message.sequence - 1 if is_whole else message.behind
        if place >= sure and behind >= begin and behind != before:
            return place
        before = message.sequence
    return None


class Reader:
    """Reads one room for as long as a connection lasts: nothing comes of an old one's answers."""

    def __init__(
        self, connection: Connection, number: int, subject: str, is_current: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._number = number
        self._subject = subject
        self._is_current = is_current
        self.stream = subjects.stream_name(number)

    async def last(self) -> Message | None:
        """Return the room's newest message, as `last` does."""
        found = await last(self._connection, self.stream, self._subject)
        self._check()
        return found

    async def settled_last(self) -> Message | None:
        """Return the room's newest message, of a leader that has just shown that it is one."""
        await settle(self._connection, self._number)
        return await self.last()

    async def some(self, start: Mapping[str, object]) -> list[Message]:
        """Return some of the room's messages, as `some` does."""
        found = await some(self._connection, self.stream, self._subject, start)
        self._check()
        return found

    def _check(self) -> None:
        if not self._is_current():
            raise NoAnswer("the connection ended")


class StoredStreams:
    """Reads the streams of rooms: the port `bus.streams.Streams`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._words: set[_Word] = set()
        self._ending = [asyncio.Lock() for _ in range(subjects.STREAMS)]
        self._ends: dict[int, asyncio.Task[StreamState]] = {}

    @property
    def count(self) -> int:
        return subjects.STREAMS

    def stream_of(self, room: str) -> int:
        return subjects.stream_of(room)

    async def state(self, stream: int) -> StreamState:
        try:
            found = await self._info(stream)
        except NoAnswer as error:
            raise StreamUnavailable(str(error)) from None
        return _state_of(found, stream) if found.cluster.is_led else await self.end(stream)

    async def end(self, stream: int) -> StreamState:
        # Many ask at once when a node has started: who finds one asking shares the next answer.
        asking = self._ends.get(stream)
        if asking is None:
            asking = self._ends[stream] = asyncio.create_task(self._next_end(stream))
        return await asyncio.shield(asking)

    async def _next_end(self, stream: int) -> StreamState:
        async with self._ending[stream]:
            # What is stored before somebody asks from here on may be missing in this answer.
            del self._ends[stream]
            return await self._end(stream)

    async def _end(self, stream: int) -> StreamState:
        try:
            number = await settle(self._connection, stream)
            state = _state_of(await self._info(stream), stream)
        except NoAnswer as error:
            raise StreamUnavailable(str(error)) from None
        # Who has read all before it need not read it, too.
        return StreamState(state.created, min(state.first, number), number - 1)

    async def _info(self, stream: int) -> "_Info":
        subject = f"STREAM.INFO.{subjects.stream_name(stream)}"
        return await ask_for(self._connection, subject, {}, _Info)

    async def read(self, stream: int, first: int) -> list[Stored]:
        return await self._read(stream, {"seq": max(first, 1)})

    async def read_after(self, stream: int, stamp_ns: int) -> list[Stored]:
        return await self._read(stream, {"start_time": headers.written(stamp_ns + 1)})

    async def hear(self, stream: int) -> "_Word":
        word = _Word(self._connection, self._words)
        try:
            word.subscribed = await self._connection.listen(
                f"gd.{stream:02}.*", word.come, once=True
            )
        except NoAnswer as error:
            raise StreamUnavailable(str(error)) from None
        self._words.add(word)
        return word

    def down(self) -> None:
        """Have nobody wait for what an old connection says."""
        for word in list(self._words):
            word.subscribed = None
            word.told.set()

    async def _read(self, stream: int, start: Mapping[str, object]) -> list[Stored]:
        name = subjects.stream_name(stream)
        try:
            found = await some(self._connection, name, f"gr.{stream:02}.*", start)
        except NoAnswer as error:
            raise StreamUnavailable(str(error)) from None
        return [_stored(message) for message in found]


class _Word:
    """Fulfils `bus.streams.Hearing`."""

    def __init__(self, connection: Connection, waiting: "set[_Word]") -> None:
        self._connection = connection
        self._waiting = waiting
        self.told = asyncio.Event()
        self.subscribed: Subscribed | None = None

    def come(self, _subject: bytes, _raw: bytes, _data: bytes) -> None:
        """Take the first message that was stored."""
        self.told.set()

    async def end(self) -> None:
        self._waiting.discard(self)
        subscribed, self.subscribed = self.subscribed, None
        if subscribed is not None:
            await self._connection.unlisten(subscribed)


class _State(msgspec.Struct):
    messages: int
    first_seq: int
    last_seq: int


class _Copy(msgspec.Struct, frozen=True):
    active: int = 0
    offline: bool = False


class _Copies(msgspec.Struct, frozen=True):
    replicas: list[_Copy] = []

    @property
    def is_led(self) -> bool:
        """Return whether the leader has heard lately of so many others that they are the most."""
        heard = sum(not each.offline and each.active <= LED_NS for each in self.replicas)
        return 2 * (heard + 1) > len(self.replicas) + 1


class _Info(msgspec.Struct):
    created: str = ""
    state: _State | None = None
    cluster: _Copies = _Copies()


def _state_of(found: _Info, stream: int) -> StreamState:
    if found.state is None:
        raise StreamUnavailable(f"{subjects.stream_name(stream)} is not there")
    state = found.state
    first = state.first_seq if state.messages else state.last_seq + 1
    return StreamState(found.created, first, state.last_seq)


def shown(message: Message) -> Sequence[RoomEnvelope]:
    """Return what of a message everybody is shown: nothing of what is void, or somebody else's."""
    for decode in (decode_batch, decode_known):
        try:
            return decode(message.data).shown(message.stamp_ns)
        except Undecodable:
            continue
    return ()


def _stored(message: Message) -> Stored:
    room = subjects.room_of(message.subject)
    return Stored(message.sequence, message.stamp_ns, room, shown(message))
