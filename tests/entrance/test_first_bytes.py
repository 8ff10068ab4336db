"""The first bytes of a connection: which go straight to the messaging plane, and which do not."""

import asyncio
import gc
from functools import partial
from typing import Any
from unittest import mock

import msgspec
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from greenroom.entrance import first_bytes as module
from greenroom.entrance.first_bytes import FirstBytes, peer_of
from greenroom.entrance.http_connection import HeadLimits, HttpConnection
from greenroom.messaging import upgrading as upgrading_module
from greenroom.messaging.deadlines import Deadline
from greenroom.messaging.edge import Edge
from greenroom.messaging.upgrading import Upgrading
from greenroom.network.addresses import packed, shown
from greenroom.network.visitors import Visit, VisitorLimits, Visitors
from tests.running.wire import PATIENCE, token_line, upgrade_bytes
from tests.stand_ins.stage import Stage, Transport, client_frame, settle, stage, token

LIMITS = HeadLimits(size=2048, count=10, seconds=60)
HEAD = upgrade_bytes(path=b"/any").removesuffix(b"\r\n")


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand in for the application: its answer is not looked at."""


def opened(made: Stage, limits: HeadLimits = LIMITS) -> tuple[FirstBytes, Transport, ServerState]:
    """Return a connection that has sent nothing."""
    config = Config(nothing, interface="asgi3", ws="none", lifespan="off", log_config=None)
    config.load()
    state, transport = ServerState(), Transport()
    first_bytes = FirstBytes(made.entrance, limits, config, state, {})
    first_bytes.connection_made(transport)
    return first_bytes, transport, state


def head(*more: bytes) -> bytes:
    """Return the head of an upgrade request with a good token."""
    return upgrade_bytes(token_line(token()), *more)


async def test_an_upgrade_goes_straight_to_the_messaging_plane() -> None:
    """A whole upgrade request becomes a connection of the plane; no connection is made."""
    async with stage() as made:
        first_bytes, transport, state = opened(made)
        assert len(state.connections) == 1
        assert 59 < first_bytes._due - asyncio.get_running_loop().time() <= 60
        with mock.patch.object(module, "HttpConnection") as making:
            first_bytes.data_received(head())
            await asyncio.sleep(0)
        assert not making.called
        assert isinstance(first_bytes._upgrading, Upgrading)
        # Another protocol would stop the reading, and begin it again.
        assert transport.protocol is None
        assert not state.connections
        await settle()
        assert type(transport.protocol).__name__ == "Edge"
        assert transport.written[0].startswith(b"HTTP/1.1 101 ")
        assert made.hub.connections == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n", id="request"),
        pytest.param(HEAD, id="part of a head"),
        pytest.param(HEAD + b"Bad Header\x00: x\r\n\r\n", id="malformed"),
        pytest.param(HEAD + b"X: " + b"x" * 2048 + b"\r\n\r\n", id="too large"),
        pytest.param(HEAD + b"X: y\r\n" * 10 + b"\r\n", id="too many"),
        pytest.param(HEAD.replace(b"/any", b"http://other/") + b"\r\n", id="another authority"),
        pytest.param(HEAD + b"Host: other\r\n\r\n", id="two hosts"),
        pytest.param(b"\x16\x03\x01", id="not HTTP"),
    ],
)
async def test_everything_else_goes_to_the_listener(data: bytes) -> None:
    """What is not exactly one upgrade request is the connection's, from the first byte on."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        first_bytes.data_received(data)
        await asyncio.sleep(0)
        assert isinstance(transport.protocol, HttpConnection)
        transport.protocol.connection_lost(None)


async def test_a_connection_is_kept_behind_a_request() -> None:
    """Only where the server stops is the first one the last."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        first_bytes.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        assert isinstance(transport.protocol, HttpConnection)
        assert transport.protocol.cycle.keep_alive
        transport.protocol.connection_lost(None)


def sized(size: int) -> bytes:
    """Return the head of a good upgrade of so many bytes."""
    short = head(b"X: ")  # made once: tokens are not all of one length
    return short.replace(b"\r\nX: ", b"\r\nX: " + b"x" * (size - len(short)))


@pytest.mark.parametrize(
    ("limits", "upgrades"),
    [
        (HeadLimits(size=600, count=10, seconds=60), True),
        (HeadLimits(size=599, count=10, seconds=60), False),
        (HeadLimits(size=600, count=7, seconds=60), True),
        (HeadLimits(size=600, count=6, seconds=60), False),
    ],
)
async def test_an_upgrade_at_the_bounds(limits: HeadLimits, upgrades: bool) -> None:
    """A head of the largest size with the most headers is one, and with one more of either none."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made, limits)
        with mock.patch.object(module, "HttpConnection", wraps=HttpConnection) as making:
            first_bytes.data_received(sized(600))
            await asyncio.sleep(0)
        assert making.called is not upgrades
        assert isinstance(first_bytes._upgrading, Upgrading) is upgrades
        await settle()
        transport.protocol.connection_lost(None)


async def test_an_upgrade_that_lacks_a_header() -> None:
    """What a proxy did not pass on is named in the answer."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        first_bytes.data_received(head().replace(b"Connection: Upgrade\r\n", b""))
        await settle()
        assert transport.written[0].startswith(b"HTTP/1.1 426 ")


async def test_what_comes_behind_an_upgrade() -> None:
    """It is the plane's, and handled when the connection is open."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        with mock.patch.object(module, "HttpConnection") as making:
            first_bytes.data_received(head() + client_frame(b"p", 0x89))
        assert not making.called
        await settle()
        assert transport.written[1:] == [b"\x8a\x01p"]


async def test_what_comes_while_an_upgrade_waits() -> None:
    """It is kept, and no more is read before the answer."""
    async with stage() as made:
        made.store.gate.clear()
        first_bytes, transport, _ = opened(made)
        first_bytes.data_received(head())
        await settle()
        first_bytes.data_received(client_frame(b"p", 0x89))
        assert not transport.is_reading()
        made.store.gate.set()
        await settle()
        assert transport.is_reading()
        assert transport.written[1:] == [b"\x8a\x01p"]


async def test_the_time_of_a_handshake_has_the_wait_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told from when the request came on, as its client sees it."""
    now = 5.0
    for each in (module, upgrading_module):
        monkeypatch.setattr(each, "perf_counter", lambda: now)
    async with stage() as made:
        first_bytes, _, _ = opened(made)
        first_bytes.data_received(head())
        now = 7.0
        await settle()
        told = made.metrics.registry.get_sample_value("greenroom_handshake_seconds_sum")
        assert told == 2.0


@pytest.mark.parametrize("upgrades", [True, False])
async def test_what_comes_while_an_upgrade_waits_for_others(upgrades: bool) -> None:
    """It is kept behind the request, whoever that is for, and no more is read before."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        if upgrades:
            first_bytes.data_received(head())
            first_bytes.data_received(client_frame(b"p", 0x89))
        else:
            first_bytes.data_received(head(b"Host: two\r\n"))
            first_bytes.data_received(b"more")
        assert not transport.is_reading()
        await settle()
        assert transport.is_reading()
        if upgrades:
            assert transport.written[1:] == [b"\x8a\x01p"]
        else:
            assert transport.written[0].startswith(b"HTTP/1.1 400 ")
            transport.protocol.connection_lost(None)


@pytest.mark.parametrize("ends", ["lost", "closing", "silent"])
async def test_an_end_while_an_upgrade_waits_for_others(ends: str) -> None:
    """Its token is not used: nobody is there any more, or somebody else has the connection."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        with mock.patch.object(made.admission.redeemer, "redeem") as redeeming:
            first_bytes.data_received(head())
            if ends == "lost":
                first_bytes.connection_lost(None)
            elif ends == "closing":
                transport.abort()
            else:
                first_bytes._silent()
            await settle()
        assert not redeeming.called
        if ends != "lost":
            (transport.protocol or first_bytes).connection_lost(None)
        assert made.visitors.total == 0


async def test_an_end_while_an_upgrade_waits() -> None:
    """The connection counts no more, and gets no answer."""
    async with stage() as made:
        made.store.gate.clear()
        first_bytes, transport, _ = opened(made)
        first_bytes.data_received(head())
        await settle()
        assert made.visitors.total == 1
        first_bytes.connection_lost(None)
        assert made.visitors.total == 0
        assert not made.deadlines
        made.store.gate.set()
        await settle()
        assert not transport.written
        assert made.hub.connections == 0


async def test_who_is_refused() -> None:
    """The connection is cut off, and counts no more; who is counted already is not asked."""
    async with stage() as made:
        made.visitors = Visitors(VisitorLimits(connections=1))
        first, kept, state = opened(made)
        second, cut, refusing = opened(made)
        assert (kept.aborted, cut.aborted) == (False, True)
        assert (len(state.connections), len(refusing.connections)) == (1, 0)
        assert made.visitors.total == 1
        second.connection_lost(None)
        first.connection_lost(None)
        assert made.visitors.total == 0
        config = Config(nothing, interface="asgi3", ws="none", lifespan="off", log_config=None)
        visit = made.visitors.enter(packed("192.0.2.1"), 0.0)
        third = FirstBytes(made.entrance, LIMITS, config, ServerState(), {}, visit=visit)
        third.connection_made(Transport())
        assert made.visitors.total == 1
        assert visit.is_held
        third.connection_lost(None)


async def test_who_makes_place() -> None:
    """A connection that has sent nothing is let go of when others need its place."""
    async with stage() as made:
        made.visitors = Visitors(VisitorLimits(unfinished=1))
        first, transport, _ = opened(made)
        opened(made)
        assert transport.aborted
        first.connection_lost(None)
        assert made.visitors.total == 1


@pytest.mark.parametrize(("seconds", "kept"), [(2.0, True), (1.9, False)])
async def test_a_turn_that_is_too_late(seconds: float, kept: bool) -> None:
    """Whoever waits for its turn keeps half of the time for its request, or is cut off."""
    async with stage() as made:
        made.visitors = Visitors(VisitorLimits(a_second=1))
        opened(made)
        _, transport, _ = opened(made, HeadLimits(size=2048, count=10, seconds=seconds))
        assert transport.aborted is not kept
        assert made.visitors.total == 1 + kept


class Turn(Transport):
    """A transport of a connection that waits for its turn, which knows its protocol."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol  # type: ignore[no-any-return]


async def waiting(made: Stage) -> tuple[FirstBytes, Turn]:
    """Return a connection whose turn comes soon."""
    with mock.patch.object(made.visitors, "delay", return_value=0.001):
        config = Config(nothing, interface="asgi3", ws="none", lifespan="off", log_config=None)
        config.load()
        transport = Turn()
        transport.protocol = FirstBytes(made.entrance, LIMITS, config, ServerState(), {})
        transport.protocol.connection_made(transport)
    return transport.protocol, transport


async def test_a_turn() -> None:
    """What comes before is kept in its order and read from then on; it is taken at the turn."""
    async with stage() as made:
        for sent in (head(), b""):
            first_bytes, transport = await waiting(made)
            if sent:
                first_bytes.data_received(sent[:50])
                first_bytes.data_received(sent[50:])
                assert not transport.reading
            assert transport.protocol is first_bytes
            await asyncio.sleep(0.02)
            if not sent:
                assert first_bytes._held is None
                first_bytes.data_received(head())
            await settle()
            assert transport.written[0].startswith(b"HTTP/1.1 101 ")
            assert transport.reading


async def test_half_a_request_before_a_turn() -> None:
    """The other half is read when the turn has come."""
    async with stage() as made:
        first_bytes, transport = await waiting(made)
        first_bytes.data_received(HEAD)
        assert not transport.is_reading()
        await asyncio.sleep(0.02)
        assert isinstance(transport.protocol, HttpConnection)
        assert transport.is_reading()
        transport.protocol.connection_lost(None)


@pytest.mark.parametrize("more", [0, 1])
async def test_what_comes_before_a_turn_has_a_bound(more: int) -> None:
    """It is that of a head; whoever sends more is cut off."""
    async with stage() as made:
        first_bytes, transport = await waiting(made)
        first_bytes.data_received(b"x" * (LIMITS.size - 1))
        first_bytes.data_received(b"x" * (1 + more))
        assert transport.aborted is bool(more)
        first_bytes.connection_lost(None)


@pytest.mark.parametrize("gone", ["closed", "another's"])
async def test_whose_turn_comes_too_late(gone: str) -> None:
    """A connection that has ended meanwhile, or been refused, does not begin."""
    async with stage() as made:
        first_bytes, transport = await waiting(made)
        first_bytes.data_received(head())
        if gone == "closed":
            transport.close()
        else:
            transport.protocol = asyncio.Protocol()
        await asyncio.sleep(0.02)
        assert (transport.written, transport.reading) == ([], False)
        assert type(transport.protocol) is (FirstBytes if gone == "closed" else asyncio.Protocol)
        first_bytes.connection_lost(None)


async def test_an_end_before_the_first_byte() -> None:
    """The loop closes the connection: what is returned says so."""
    async with stage() as made:
        first_bytes, _, _ = opened(made)
        assert not first_bytes.eof_received()  # type: ignore[func-returns-value]
        first_bytes.connection_lost(None)


@pytest.mark.parametrize(("peer", "address"), [(("192.0.2.1", 1), "192.0.2.1"), (None, "")])
def test_whose_address_it_is(peer: object, address: str) -> None:
    """A socket has its peer's; one of a file system has none."""
    transport = mock.Mock()
    transport.get_extra_info.side_effect = {"peername": peer}.get
    assert shown(peer_of(transport)) == address


async def test_silence_is_refused() -> None:
    """A client that sends nothing in time is told so, and let go."""
    async with stage() as made:
        first_bytes, transport, _ = opened(made)
        first_bytes._silent()
        (answer,) = transport.written
        assert answer.startswith(b"HTTP/1.1 408 ")
        body = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
        assert body["message"] == "The request headers took too long"
        transport.protocol.connection_lost(None)


async def test_the_end_of_a_silent_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ends, or is there when the server stops, leaves nothing behind."""
    monkeypatch.setattr(module, "GRACE_SECONDS", 0)
    async with stage() as made:
        first_bytes, transport, state = opened(made)
        closed = asyncio.Event()
        with mock.patch.object(transport, "close", closed.set):
            first_bytes.shutdown()
            assert not closed.is_set()
            async with asyncio.timeout(PATIENCE):
                await closed.wait()
        first_bytes.connection_lost(None)
        assert not state.connections
        assert not made.deadlines


@pytest.mark.parametrize("what", ["request", "upgrade", "half a request"])
async def test_what_was_on_its_way_when_the_server_stopped(what: str) -> None:
    """A request is answered, as the last one; an upgrade has its answer, half of one has none."""
    sent = {"request": b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", "upgrade": head()}
    async with stage() as made:
        made.hub.hold()
        first_bytes, transport, state = opened(made)
        first_bytes.shutdown()
        first_bytes.data_received(sent.get(what, b"GET / HT"))
        await settle()
        if what == "upgrade":
            assert transport.written[0].startswith(b"HTTP/1.1 503 ")
        elif what == "request":
            assert isinstance(transport.protocol, HttpConnection)
            assert not transport.protocol.cycle.keep_alive
        else:
            assert transport.closed
        (transport.protocol or first_bytes).connection_lost(None)
        assert not state.connections


@pytest.mark.parametrize("ends_as", ["nothing", "too slow", "request", "refused", "upgrade"])
async def test_nothing_is_left_of_a_connection(ends_as: str) -> None:
    """Whatever became of it, it is free when it has ended, without the collector of garbage."""
    async with stage() as made:
        gc.collect()
        # Held, so that none of their places in memory is another's.
        before = parts_of_connections()
        gc.disable()
        try:
            await come_and_go(made, ends_as)
            made.transports.clear()
            await settle()
            known = {id(each) for each in before}
            assert not [each for each in parts_of_connections() if id(each) not in known]
        finally:
            gc.enable()


def parts_of_connections() -> list[object]:
    """Return what this process holds for connections, those of other tests among them."""
    kinds = (FirstBytes, HttpConnection, Upgrading, Edge, Transport, Deadline, Visit)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


async def come_and_go(made: Stage, ends_as: str) -> None:
    """Have a connection come, do something, and end."""
    first_bytes, transport, _ = opened(made)
    sent = {
        "request": b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        "refused": b"GET / HTTP/1.1\r\nhost\r\n\r\n",
        "upgrade": head(),
    }
    transport.protocol = first_bytes
    if ends_as in sent:
        first_bytes.data_received(sent[ends_as])
    elif ends_as == "too slow":
        first_bytes._silent()
    await settle()
    transport.protocol.connection_lost(None)
    transport.protocol = None


async def test_uvicorn_makes_doors() -> None:
    """Uvicorn takes a partial of the class for its protocol, with these arguments by name."""
    async with stage() as made:
        http = partial(FirstBytes, made.entrance, LIMITS)
        config = Config(nothing, http=http, ws="none", lifespan="off")  # type: ignore[arg-type]
        config.load()
        first_bytes = config.http_protocol_class(  # type: ignore[call-arg]
            config=config,
            server_state=ServerState(),
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        assert isinstance(first_bytes, FirstBytes)
