"""What is found at the servers without changing anything: in a few words, or why not."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.bus.base import BusRefused
from greenroom.bus.nats import inspection, provided


@pytest.mark.parametrize(
    ("missing", "said"),
    [([], "its streams are there"), (["CONTROL", "ROOMS_00"], "2 streams are to be made")],
)
async def test_what_is_there(
    monkeypatch: pytest.MonkeyPatch, missing: list[str], said: str
) -> None:
    """How many servers, and which streams a start would make; the connection is ended."""
    connection: Any = Mock(servers=3, open=AsyncMock(), close=AsyncMock())
    made = Mock(return_value=connection)

    async def opened(_: float) -> None:
        await made.call_args.kwargs["prepare"]()

    connection.open.side_effect = opened
    monkeypatch.setattr(inspection, "Connection", made)
    look = AsyncMock(return_value=missing)
    monkeypatch.setattr(provided, "look", look)
    options: Any = Mock()
    assert await inspection.inspect(options) == f"NATS, servers: 3; {said}"
    connection.open.assert_awaited_once_with(inspection.SECONDS)
    look.assert_awaited_once_with(connection, options)
    connection.close.assert_awaited_once_with()
    made.call_args.kwargs["up"]()
    made.call_args.kwargs["down"]()


async def test_what_a_start_would_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as a start tells it, and nothing is left open."""
    connection: Any = Mock(open=AsyncMock(side_effect=BusRefused("no")), close=AsyncMock())
    monkeypatch.setattr(inspection, "Connection", Mock(return_value=connection))
    options: Any = Mock()
    with pytest.raises(BusRefused, match="no"):
        await inspection.inspect(options)
    connection.close.assert_awaited_once_with()
