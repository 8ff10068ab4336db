"""What streams hold, for who looks from outside: those that are there, and nothing is made."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.bus.base import BusUnreachable
from greenroom.bus.nats import provided, states, subjects
from greenroom.bus.nats.inspection import SECONDS
from greenroom.bus.streams import StreamUnavailable


class Servers:
    """Streams of which two are missing, over a connection of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connection: Any = Mock(open=AsyncMock(side_effect=self._open), close=AsyncMock())
        self.made = Mock(return_value=self.connection)
        self.stored = Mock(state=AsyncMock(side_effect=lambda number: f"state {number}"))
        monkeypatch.setattr(states, "Connection", self.made)
        monkeypatch.setattr(states, "StoredStreams", Mock(return_value=self.stored))
        look = AsyncMock(return_value=["ROOMS_03", subjects.CONTROL_STREAM])
        monkeypatch.setattr(provided, "look", look)

    async def _open(self, _seconds: float) -> None:
        told = self.made.call_args.kwargs
        await told["prepare"]()
        told["up"]()
        told["down"]()


async def test_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its number; the connection is ended."""
    servers, options = Servers(monkeypatch), Mock()
    found: Any = await states.states(options)
    there = [each for each in range(subjects.STREAMS) if each != 3]
    assert found == {each: f"state {each}" for each in there}
    servers.connection.open.assert_awaited_once_with(SECONDS)
    servers.connection.close.assert_awaited_once_with()


async def test_nothing_is_ended_before_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks after the connection ends with it, also where no stream is there to be asked."""
    servers, begun = Servers(monkeypatch), list[str]()

    async def open_it(_seconds: float) -> None:
        asyncio.get_running_loop().call_soon(begun.append, "looks after it")

    servers.connection.open.side_effect = open_it
    servers.connection.close.side_effect = lambda: begun.append("ends")
    await states.states(Mock())
    assert begun == ["looks after it", "ends"]


async def test_a_stream_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the connection is ended all the same."""
    servers, options = Servers(monkeypatch), Mock()
    servers.stored.state.side_effect = StreamUnavailable("ROOMS_00 has no leader")
    with pytest.raises(BusUnreachable, match="for all streams: ROOMS_00 has no leader"):
        await states.states(options)
    servers.connection.close.assert_awaited_once_with()
