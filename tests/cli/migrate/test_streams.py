"""Streams do not move: what they hold must be in the database, or nothing must be in them."""

import pytest

from greenroom.bus.base import BusRefused
from greenroom.bus.streams import StreamState
from greenroom.cli.migrate.streams import check_empty, check_read

EMPTY, FULL = StreamState("monday", 8, 7), StreamState("monday", 1, 7)


def test_all_was_read() -> None:
    """To the last message of each stream that holds any."""
    check_read({0: FULL, 1: EMPTY}, {0: ("monday", 7), 2: ("monday", 1)})


@pytest.mark.parametrize("position", [("monday", 6), ("tuesday", 7), None])
def test_some_was_not(position: tuple[str, int] | None) -> None:
    """A message behind the position, another stream of the name, or none that was ever read."""
    with pytest.raises(BusRefused, match="messages in 1 of its streams that were not read"):
        check_read({0: FULL, 1: EMPTY}, {} if position is None else {0: position})


def test_an_earlier_deployment() -> None:
    """What it has left would be read once more."""
    check_empty({0: EMPTY})
    with pytest.raises(BusRefused, match="messages in 1 of its streams, which would come"):
        check_empty({0: EMPTY, 1: FULL})
