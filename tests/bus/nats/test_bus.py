"""How the parts of a node's bus are put together, without a server."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import About, BusRefused
from greenroom.bus.figures import StreamsFound
from greenroom.bus.nats import bus as module
from greenroom.bus.nats import provided, subjects
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what takes the place of the connection."""
    made = Mock(open=AsyncMock(), close=AsyncMock(), is_up=False, copies=1)
    monkeypatch.setattr(module, "Connection", Mock(return_value=made))
    return made


async def test_an_open_bus_looks_after_rooms_and_sends_news(connection: Any) -> None:
    """For as long as it runs; the end of it is the connection's, behind the last news."""
    bus = await NatsBus.open(Options(servers=["nats://one"]), seconds=7)
    connection.open.assert_awaited_once_with(7)
    started = [call.args[0] for call in connection.start.call_args_list]
    assert started == [bus._lines.look_after, bus._news.send]
    connection.close.assert_not_awaited()
    await bus.close()
    connection.close.assert_awaited_once_with()


async def test_a_bus_that_cannot_be_opened_is_closed(connection: Any) -> None:
    """Nothing is begun, and why it is refused is told."""
    connection.open.side_effect = BusRefused("no leader")
    with pytest.raises(BusRefused, match="no leader"):
        await NatsBus.open(Options(servers=["nats://one"]))
    connection.close.assert_awaited_once_with()
    connection.start.assert_not_called()


async def test_who_is_told_what(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcements of others come between the start and the end; leaders by their streams."""
    bus = await NatsBus.open(Options(servers=["nats://one"]))
    heard: dict[About, list[bytes]] = {about: [] for about in About}
    for about, list_ in heard.items():
        bus.on_announcement(list_.append, about)
        bus._heard(about, b"", b"", b"early")
    await bus.start()
    for about in About:
        bus._heard(about, b"", b"", about.encode())
        bus.announce(b"mine", about)
        assert connection.send.call_args.args == (subjects.ANNOUNCEMENTS + about, b"mine")
    led: list[int] = []
    monkeypatch.setattr(bus._lines, "led_anew", led.append)
    connection.start.reset_mock()
    for stream in (b"CONTROL", b"ROOMS_03", b"ANOTHER"):
        bus._led_anew(b"", b"", b'{"stream":"%b"}' % stream)
    connection.start.assert_called_once_with(bus._news.led_anew)
    assert led == [3]
    await bus.close()
    for about in About:
        bus._heard(about, b"", b"", b"late")
    assert heard == {about: [about.encode()] for about in About}


@pytest.mark.parametrize(
    ("copies", "servers", "warns"), [(3, 1, True), (2, 1, True), (1, 1, False), (3, 2, False)]
)
async def test_one_server_of_a_cluster(
    connection: Any, copies: int, servers: int, warns: bool
) -> None:
    """A node that knows only one of several has none while that one is away: it is told."""
    connection.copies = copies
    with capture_logs() as logs:
        await NatsBus.open(Options(servers=["nats://one", "nats://two"][:servers]))
    assert [each["copies"] for each in logs] == [copies] * warns


async def test_the_end_of_a_bus(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told any more, the last news go out, what waits is failed, and it is closed."""
    bus = await NatsBus.open(Options(servers=["nats://one"]))
    await bus.start()
    done: list[object] = []

    async def flush(seconds: float) -> None:
        done.append(("flush", seconds, bus._lines._told))

    monkeypatch.setattr(bus._news, "flush", flush)
    monkeypatch.setattr(bus._lines, "end", lambda: done.append(("end", bus._lines._told)))
    connection.close.side_effect = lambda: done.append("close")
    await bus.close()
    assert done == [("flush", module.LAST_SECONDS, False), ("end", False), "close"]
    assert not bus._news._told


async def test_what_ends_with_a_connection(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rooms wait for the next one, and nobody for a word over this one."""
    bus = NatsBus(Options(servers=["nats://one"]))
    done: list[str] = []
    monkeypatch.setattr(bus._lines, "down", lambda: done.append("rooms"))
    monkeypatch.setattr(bus.streams, "down", lambda: done.append("streams"))
    bus._down()
    assert done == ["rooms", "streams"]


async def test_what_a_new_connection_begins_with(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaders and announcements are listened to, the streams looked at, then news; then rooms.

    The first one makes the streams that are missing; a later one knows what the clocks showed.
    """
    done: list[object] = []
    clock = Mock(monotonic=lambda: 7.0, wall_ns=lambda: 1)

    async def listen(subject: str, _listener: object) -> None:
        done.append(subject)

    async def provide(_connection: object, _options: object, now: Any, *before: object) -> Any:
        done.append((now(), *before))
        return [1, 2]

    async def prepare(_connection: object) -> None:
        done.append("news")

    connection.listen = listen
    monkeypatch.setattr(provided, "provide", provide)
    monkeypatch.setattr(provided, "provide_again", provide)
    bus = NatsBus(Options(servers=["nats://one"]), clock)
    monkeypatch.setattr(bus._news, "prepare", prepare)
    monkeypatch.setattr(bus._lines, "up", lambda ahead: done.append(("up", ahead)))
    listened = [module.LEADERS, *(subjects.ANNOUNCEMENTS + about for about in About)]
    for known in ((), ([1, 2],)):
        done.clear()
        await bus._prepare()
        bus._up()
        assert done == [*listened, (7 * 10**9, *known), "news", ("up", [1, 2])]


async def test_looking_at_streams(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection nobody can, nor where that ended meanwhile."""
    found = AsyncMock(return_value=[])
    monkeypatch.setattr(module, "survey", found)
    bus = NatsBus(Options(servers=["nats://one"]))
    seen: list[StreamsFound | None] = []
    for connection.is_up, bus.figures.connected in ((False, False), (True, False), (True, True)):
        seen.append(await bus.look_at_streams())
        assert found.called is connection.is_up
    assert seen == [None, None, StreamsFound()]


async def test_what_rooms_keep(connection: Any) -> None:
    """Who keeps it for longer is asked by the history; what is in memory is that of the rooms."""
    bus, keeper = NatsBus(Options(servers=["nats://one"])), AsyncMock()
    bus.keep_with(keeper)
    assert bus._history.keeper is keeper
    assert bus.rings is bus._lines.rings
    rings: Any = Mock()
    bus._lines.rings = rings
    assert bus.here("room") is rings.here.return_value
    rings.here.assert_called_once_with("room")
    assert bus.streams.stream_of("room") == subjects.stream_of("room")
    assert bus.streams.count == subjects.STREAMS
    assert bus.skew_ns == bus._lines.skew_ns
    await bus._connection.close()
