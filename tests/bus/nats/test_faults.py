"""Servers that die, hang, lose what they had or say what they should not: what nodes make of it.

Covers: greenroom.bus.nats.catching_up
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from greenroom.bus.base import Arrival, BusUnavailable, RoomChanged
from greenroom.bus.nats import lines, subjects
from greenroom.bus.nats.client import DirectClient
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.lines import Patience
from greenroom.bus.nats.publication import UNKNOWN, UNPUBLISHED
from greenroom.bus.nats.stored import LED_NS, StoredStreams
from greenroom.bus.streams import StreamUnavailable
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster, nats_server
from tests.running.buses import buses_at, until
from tests.running.routes import routed_nats
from tests.running.speakers import (
    ROOM,
    Speaker,
    agree,
    message,
    speakers,
    speaking,
    stored,
    until_said,
)

T = TypeVar("T")

SHORT = Patience(outcome=1.0, answer=0.2, arrival=0.2)

PATIENT = msgspec.structs.replace(SHORT, outcome=30.0)
"""Where everything is to be published, though a busy machine may take its time."""

BUSY = 15
"""Seconds that a busy machine may take longer; what is held up instead would wait for ever."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Give a server of the test's own."""
    with nats_server(tmp_path) as started:
        yield started


def _note(told: list[T], what: T) -> None:
    told.append(what)


async def test_a_server_that_is_killed(server: NatsServer) -> None:
    """Nothing that was told is lost, nothing is there twice, and nobody need do anything."""
    async with speakers(server.url) as all_of_them:
        resets: list[int] = []
        all_of_them[0].bus.on_reset(partial(_note, resets, 1))
        async with speaking(all_of_them):
            for _ in range(2):
                await asyncio.sleep(0.5)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(server.start)
                before = sum(len(each.said) for each in all_of_them)
                await until(partial(_said_more, all_of_them, before))
        await agree(all_of_them)
        assert len(resets) == 2
        assert await stored(all_of_them[0].bus) == all_of_them[0].shown
        assert sum(len(each.said) for each in all_of_them) > 100


def _said_more(all_of_them: list[Speaker], before: int) -> bool:
    return sum(len(each.said) for each in all_of_them) > before + 30


async def test_a_server_that_hangs(server: NatsServer) -> None:
    """Who waits is told in time; what it stores later is shown to nobody, and not twice."""
    async with speakers(server.url, 2, SHORT) as all_of_them:
        first, second = all_of_them
        await first.say()
        await asyncio.to_thread(server.pause)
        begun = time.monotonic()
        await asyncio.gather(first.say(), first.say())
        took = time.monotonic() - begun
        assert SHORT.outcome <= took < SHORT.outcome + BUSY
        assert len(first.unknown) == 2
        assert first.bus.figures.unavailable == 2
        await asyncio.to_thread(server.resume)
        await agree(all_of_them)
        assert not set(first.unknown) & set(second.shown)
        assert await stored(first.bus) == first.shown


async def test_what_is_stored_too_late_is_void(server: NatsServer) -> None:
    """It has its place, shows nothing, counts for nothing, and others go on behind it."""
    async with speakers(server.url, 2, SHORT) as all_of_them:
        first, second = all_of_them
        await first.say()
        # The servers' clock as this node takes it to be, ten seconds ago: the next one is late.
        lines = first.bus._lines
        lines._ahead_ns = [each - 10**10 for each in lines._ahead_ns]
        await first.say()
        assert first.bus.figures.void == 1
        await second.say()
        assert second.bus.figures.void == 1
        assert second.shown == [b"0-1", b"0-2", b"1-1"]
        # What is void tells the time.
        assert abs(lines.server_ns(subjects.stream_of(ROOM)) - time.time_ns()) < 10**9
        lines._ahead_ns = [each + 10**13 for each in lines._ahead_ns]
        await first.say()
        assert abs(lines.server_ns(subjects.stream_of(ROOM)) - time.time_ns()) < 10**9
        await agree(all_of_them)
        assert await stored(second.bus) == second.shown


async def test_a_stream_that_lost_its_end(server: NatsServer) -> None:
    """Numbers come again: what is published from then on is shown, and nobody is stuck."""
    copy = server.directory / "copy"
    kept = server.directory / "jetstream"
    async with speakers(server.url, 2, PATIENT) as all_of_them:
        for speaker in all_of_them * 5:
            await speaker.say()
        await asyncio.to_thread(server.stop)
        shutil.copytree(kept, copy)
        await asyncio.to_thread(server.start)
        for speaker in all_of_them * 10:
            await speaker.say()
        await until(lambda: len(all_of_them[1].shown) >= 30)
        await asyncio.to_thread(server.kill)
        shutil.rmtree(kept)
        shutil.move(copy, kept)
        await asyncio.to_thread(server.start)
        seen = [len(speaker.shown) for speaker in all_of_them]
        for speaker in all_of_them * 15:
            await speaker.say()
        await until(lambda: len(all_of_them[0].shown) == len(all_of_them[1].shown))
        tails = [speaker.shown[number:] for speaker, number in zip(all_of_them, seen, strict=True)]
        assert tails[0] == tails[1] != []
        assert not any(speaker.unknown for speaker in all_of_them)
        assert all(speaker.bus.figures.resets for speaker in all_of_them)
        lately = await stored(all_of_them[0].bus)
        assert lately[-len(tails[0]) :] == tails[0]
        # What is kept begins behind the loss: nothing of it was before.
        for speaker in all_of_them:
            assert lately[-len(speaker.kept) :] == speaker.kept != []
            assert len(speaker.kept) < len(speaker.shown)


async def test_a_viewer_who_comes_while_nobody_answers(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He does not wait long, and is shown later all that was published since."""
    monkeypatch.setattr(lines, "FOLLOW_SECONDS", 0.2)
    async with speakers(server.url, 2) as (first, second):
        shown: list[bytes] = []
        second.bus.on_arrival(partial(_note_payloads, shown, "new"))
        await first.bus.publish("new", partial(message, b"before"))
        await asyncio.sleep(lines.MARGIN_NS / 1e9 + 0.5)
        await asyncio.to_thread(server.pause)
        following = second.bus.follow("new")
        assert following is not None
        begun = time.monotonic()
        await following
        assert time.monotonic() - begun < BUSY
        again = second.bus.follow("new")
        sent = [first.bus.publish("new", partial(message, b"%d" % each)) for each in range(3)]
        await asyncio.to_thread(server.resume)
        await asyncio.gather(*sent)
        await until(lambda: len(shown) == 3)
        assert shown == [b"0", b"1", b"2"]
        assert again is not None
        await again


def _note_payloads(shown: list[bytes], room: str, arrival: Arrival) -> None:
    if arrival.room == room:
        shown += [envelope.payload for envelope in arrival.envelopes]


async def test_messages_of_strangers(server: NatsServer) -> None:
    """Bytes that are not of this service are counted and shown to nobody; nothing ends."""
    async with speakers(server.url, 2) as all_of_them:
        first, second = all_of_them
        client = await nats.connect(server.url)
        stored_at, told_at = subjects.published(ROOM), subjects.delivered(subjects.published(ROOM))
        for payload in (b"", b"\xff" * 100, b"\x94\xa1n\x01\x02\x90", b"\x91" * 5000):
            for subject in (
                *(stored_at, told_at, subjects.CONTROL, subjects.CONTROL_DELIVERED),
                *(subjects.ANNOUNCEMENTS, subjects.inbox(first.bus.node) + "1", "gr.08.other"),
                subjects.inbox(first.bus.node) + "no number",
            ):
                await client.publish(subject.replace(" ", "_"), payload)
        headers = {"Nats-Sequence": "soon", "Nats-Last-Sequence": "-1", "Nats-Time-Stamp": "noon"}
        await client.publish(told_at, b"x", headers=headers)
        await client.publish("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.ROOMS_00", b"{}")
        await client.flush()
        await client.close()
        for speaker in all_of_them * 5:
            await speaker.say()
        await agree(all_of_them)
        assert first.bus.figures.undecodable > 5
        heard: list[object] = []
        second.bus.on(RoomChanged, heard.append)
        first.bus.broadcast(RoomChanged("r"))
        await until(lambda: heard)


async def test_nothing_is_served_before_what_is_known_was_read_again(server: NatsServer) -> None:
    """What was forgotten may have to be read: until then a new connection shows nothing."""
    async with speakers(server.url, 2) as (first, second):
        gate, order = asyncio.Event(), list[str]()

        async def read() -> None:
            order.append("reads")
            await gate.wait()
            order.append("has read")

        second.bus.on_reset(_crash_at_once)
        second.bus.on_reset(read)
        second.bus.on_arrival(lambda _: order.append("shown"))
        ending = asyncio.ensure_future(second.bus.end_connection())
        await until(lambda: order == ["reads"])
        await ending
        await first.say()
        await asyncio.sleep(0.1)
        assert order == ["reads"]
        gate.set()
        await second.say()
        assert order == ["reads", "has read", "shown", "shown"]


def _crash_at_once() -> None:
    raise ZeroDivisionError


async def test_receivers_that_crash(server: NatsServer) -> None:
    """They spoil nothing for the others, and nothing of the order."""
    async with speakers(server.url, 1) as (speaker,):
        speaker.bus.on_arrival(_crash)
        speaker.bus.on_announcement(_crash)
        speaker.bus.announce(b"x")
        await speaker.say()
        await speaker.say()
        assert len(speaker.shown) == 2


def _crash(_: object) -> None:
    raise ZeroDivisionError


async def test_queues_are_bounded(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound of a room, and of all, BusUnavailable is raised at once."""
    monkeypatch.setattr(lines, "MOST_WAITING_IN_ROOM", 5)
    monkeypatch.setattr(lines, "MOST_WAITING", 8)
    async with buses_at(server.url, 1) as (bus,):
        await bus.start()
        waiting = [bus.publish("one", partial(message, b"x")) for _ in range(5)]
        with pytest.raises(BusUnavailable):
            await bus.publish("one", partial(message, b"x"))
        waiting += [bus.publish("two", partial(message, b"x")) for _ in range(3)]
        with pytest.raises(BusUnavailable):
            await bus.publish("three", partial(message, b"x"))
        await asyncio.gather(*waiting)
        assert bus.figures.unavailable == 2
        await bus.publish("three", partial(message, b"x"))
        assert bus.figures.waiting == 0


async def test_lines_that_nobody_needs_are_closed(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room is let go some time after its last viewer and its last publication."""
    monkeypatch.setattr(lines, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(lines, "SWEEP_TICKS", 1)
    async with speakers(server.url, 1) as (speaker,):
        await speaker.bus.publish("elsewhere", partial(message, b"x"))
        assert speaker.bus.figures.rooms == 2
        await until(lambda: speaker.bus.figures.rooms == 1)
        await speaker.say()
        speaker.bus.unfollow(ROOM)
        await until(lambda: speaker.bus.figures.rooms == 0)
        await speaker.begin()
        await speaker.say()
        assert speaker.shown == speaker.said


async def elected(url: str, stream: str) -> str:
    """Return the name of a stream's leader."""
    client = await nats.connect(url.split(","))
    answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=5)
    await client.close()
    name = msgspec.json.decode(answer.data)["cluster"]["leader"]
    assert isinstance(name, str)
    return name


async def test_a_leader_that_is_killed_and_then_all(tmp_path: Path) -> None:
    """Of three servers the others go on without a loss, in one order; so do all when they are back.

    Their election takes some seconds.
    """
    with nats_cluster(tmp_path) as servers:
        url = bus_of(servers)
        async with speakers(url, 4) as all_of_them:
            async with speaking(all_of_them):
                await asyncio.sleep(0.5)
                leader = await elected(url, subjects.stream_name(subjects.stream_of(ROOM)))
                (victim,) = (each for each in servers if each.name == leader)
                await asyncio.to_thread(victim.kill)
                before = sum(len(each.said) for each in all_of_them)
                await until(partial(_said_more, all_of_them, before), 30)
                for server in servers:
                    await asyncio.to_thread(server.kill)
                for server in servers:
                    await asyncio.to_thread(partial(server.start, wait=False))
                before = sum(len(each.said) for each in all_of_them)
                await until(partial(_said_more, all_of_them, before), 30)
            await agree(all_of_them)
            assert await stored(all_of_them[0].bus) == all_of_them[0].shown


async def test_a_message_behind_which_the_quorum_is_lost(tmp_path: Path) -> None:
    """Its outcome is not known, and the answer says so: it may be shown later, everywhere and once.

    What was not sent to the stream is not published, says so, and is shown to nobody.
    """
    with nats_cluster(tmp_path) as servers:
        url = bus_of(servers)
        async with (
            speakers(url, 2, SHORT) as (first, second),
            contextlib.AsyncExitStack() as near_one,
        ):
            await first.say()
            leader = await elected(url, subjects.stream_name(subjects.stream_of(ROOM)))
            (survivor,) = (each for each in servers if each.name == leader)
            others = [each for each in servers if each is not survivor]
            (near,) = await near_one.enter_async_context(buses_at(survivor.url, 1, patience=SHORT))
            for server in others:
                server.kill()
            sent = [(b"sent", first.bus.publish(ROOM, partial(message, b"sent")))]
            await asyncio.sleep(0.1)
            sent += [(each, first.bus.publish(ROOM, partial(message, each))) for each in MORE]
            told, begun = {}, time.monotonic()
            for payload, outcome in sent:
                with pytest.raises(BusUnavailable) as raised:
                    await outcome
                told[payload] = raised.value.message
            # Each has its own time, whatever is before it.
            assert time.monotonic() - begun < SHORT.outcome + BUSY
            assert told[b"sent"].startswith(UNKNOWN)
            # Whoever is asked knows that nothing is stored, though servers answer.
            await until(lambda: near.figures.connected and not near.figures.storing)
            assert not near.figures.serving
            await asyncio.sleep(SHORT.outcome)
            for server in others:
                await asyncio.to_thread(partial(server.start, wait=False))
            for server in servers:
                await asyncio.to_thread(server.until_ready)
            await until(lambda: near.figures.serving and first.bus.figures.serving)
            for speaker in (first, second):
                while not speaker.said or speaker.said[-1] not in second.shown[1:]:
                    await speaker.say()
            await until(lambda: first.shown == second.shown)
            shown = set(first.shown)
            assert len(first.shown) == len(shown)
            for payload, text in told.items():
                assert payload not in shown or text.startswith(UNKNOWN)
                assert text.startswith((UNKNOWN, UNPUBLISHED))
            assert await stored(first.bus) == first.shown


MORE = [b"%d" % number for number in range(5)]


async def test_servers_that_are_cut_off_from_each_other(tmp_path: Path) -> None:
    """A node at a server that is alone goes to another one, though its own answers its pings.

    Both sides show one list meanwhile and afterwards, and the stream has it.
    """
    async with routed_nats(tmp_path) as routed:
        alone, *others = (server.url for server in routed.servers)
        async with (
            buses_at(",".join([alone, *others]), 1, patience=SHORT) as (first,),
            buses_at(",".join([*others, alone]), 1, patience=SHORT) as (second,),
        ):
            near, far = await Speaker("near", first).begin(), await Speaker("far", second).begin()
            await agree([near, far])
            for link in routed.around(routed.servers[0]):
                link.cut()
            await until(lambda: not near.bus.figures.serving)
            assert await asyncio.to_thread(routed.servers[0].monitored, "varz")
            await until(lambda: near.bus.figures.serving and far.bus.figures.serving, 30)
            await until_said(near)
            await until_said(far)
            for link in routed.around(routed.servers[0]):
                link.mend()
            await until(partial(_is_whole, routed.servers), 30)
            await agree([near, far])
            assert await stored(far.bus) == far.shown


class Asking:
    """A connection to one server, whatever that says of itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        try:
            return b"", (await self._client.request(subject, data, timeout=seconds)).data
        except (NatsTimeout, NoRespondersError):
            raise NoAnswer(f"no answer to {subject}") from None


async def test_a_leader_that_is_cut_off(tmp_path: Path) -> None:
    """It answers for a while as if it led: nobody takes what it has for all that is stored."""
    stream = subjects.stream_of(ROOM)
    async with routed_nats(tmp_path) as routed:
        everywhere = ",".join(server.url for server in routed.servers)
        async with buses_at(everywhere, 1):
            leader = await elected(everywhere, subjects.stream_name(stream))
        (alone,) = (server for server in routed.servers if server.name == leader)
        others = ",".join(server.url for server in routed.servers if server is not alone)
        client = await nats.connect(alone.url)
        streams = StoredStreams(Asking(client))  # type: ignore[arg-type]  # all that it asks of one
        async with buses_at(others, 1, patience=SHORT) as (bus,):
            speaker = await Speaker("0", bus).begin()
            await speaker.say()
            seen = await streams.end(stream)
            for link in routed.around(alone):
                link.cut()
            await until_said(speaker)
            # Where the election took long it knows that it leads no longer.
            with contextlib.suppress(NatsTimeout, NoRespondersError):
                asked = f"$JS.API.STREAM.INFO.{subjects.stream_name(stream)}"
                answer = await client.request(asked, timeout=5)
                assert msgspec.json.decode(answer.data)["state"]["last_seq"] == seen.last + 1
            with pytest.raises(StreamUnavailable):
                await streams.end(stream)
            # It has heard of the others until just now: for so long it is believed.
            await asyncio.sleep(LED_NS / 1e9)
            with pytest.raises(StreamUnavailable):
                await streams.state(stream)
            now = await bus.streams.end(stream)
            assert now.last > seen.last
            assert (await bus.streams.end(stream)).last == now.last + 1
        await client.close()


def _is_whole(servers: list[NatsServer]) -> bool:
    return all(server.is_ready() for server in servers)


class Link:
    """A way to a server that can be cut: nothing comes through, and nobody is told."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._pairs: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Give its URL for the length of a `with` block."""
        listening = await asyncio.start_server(self._take, "127.0.0.1", 0)
        try:
            yield f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._pairs:
                writer.close()

    def cut(self) -> None:
        """Let nothing through."""
        self._open.clear()

    def heal(self) -> None:
        """Let everything through, what was held up included."""
        self._open.set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_in, there_out = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._pairs += [writer, there_out]
        for source, sink in ((reader, there_out), (there_in, writer)):
            task = asyncio.get_running_loop().create_task(self._carry(source, sink))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


async def test_a_node_that_is_cut_off(server: NatsServer) -> None:
    """Its sends are refused in time, and what they were is in nobody's list afterwards, or in all.

    When the link is back it forgets its caches, and then shows what the others said meanwhile.
    """
    link = Link(server)
    async with (
        link.running() as around,
        speakers(server.url, 2) as (first, second),
        buses_at(around, 1, patience=SHORT) as (bus,),
    ):
        alone = await Speaker("alone", bus).begin()
        told: list[str] = []
        bus.on_reset(partial(_note, told, "reset"))
        bus.on_arrival(lambda _: told.append("shown"))
        await alone.say()
        told.clear()
        link.cut()
        for _ in range(3):
            await asyncio.gather(first.say(), second.say(), alone.say())
        assert len(alone.unknown) == 3
        await until(lambda: not bus.figures.connected)
        await first.say()
        link.heal()
        await agree([first, second, alone])
        assert told[0] == "reset"
        assert not set(alone.unknown) & set(first.shown)


async def test_what_no_stream_has_holds_up_nobody(server: NatsServer) -> None:
    """A message behind one that does not come is waited for in vain: the room goes on without."""
    async with speakers(server.url, 2, PATIENT) as all_of_them:
        first, second = all_of_them
        await first.say()
        client = await nats.connect(server.url)
        told = {"Nats-Sequence": "1000000", "Nats-Last-Sequence": "999999"}
        told["Nats-Time-Stamp"] = "2199-01-01T00:00:00Z"
        subject = subjects.delivered(subjects.published(ROOM))
        await client.publish(subject, b"", headers=told)
        await client.flush()
        await client.close()
        for speaker in (second, first):
            await until(partial(_is_ready, speaker))
            await speaker.say()
        await agree(all_of_them)
        assert not first.unknown + second.unknown


def _is_ready(speaker: Speaker) -> bool:
    return speaker.bus._lines._lines[ROOM].ready


async def test_faults_that_nobody_has_thought_of(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None ends what a node does for ever: it connects again, sends and gives up as before."""
    async with speakers(server.url, 2, SHORT) as (first, second):
        bus = first.bus
        failing = iter([ZeroDivisionError(), KeyError()])
        prepare = bus._connection._prepare

        async def fail_at_first() -> None:
            for error in failing:
                raise error
            await prepare()

        monkeypatch.setattr(bus._connection, "_prepare", fail_at_first)
        await bus.end_connection()
        await until(lambda: bus.figures.reconnects and all(map(_is_ready, (first, second))))
        monkeypatch.setattr(DirectClient, "say", _fail)
        bus.announce(b"lost")
        await asyncio.sleep(0.05)
        monkeypatch.undo()
        monkeypatch.setattr(Line, "look_after", _fail)
        await first.say()
        await asyncio.sleep(0.1)
        monkeypatch.undo()
        await asyncio.to_thread(server.pause)
        await first.say()
        assert len(first.unknown) == 1
        await asyncio.to_thread(server.resume)
        await agree([first, second])


def _fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError
