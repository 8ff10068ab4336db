"""How the parts of a node's bus are put together, without a server."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.bus.base import About, BusRefused
from greenroom.bus.nats import bus as module
from greenroom.bus.nats import subjects
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
