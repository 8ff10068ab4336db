"""What the ports of the bus say by their values."""

import pytest

from greenroom.bus.base import BusUnavailable, Stage


@pytest.mark.parametrize("is_open", [False, True])
def test_what_was_not_published(*, is_open: bool) -> None:
    """Nobody may see it later, unless it is said that that is open; clients see one code for it."""
    error = BusUnavailable("away", is_open=True) if is_open else BusUnavailable("away")
    assert (str(error), error.is_open) == ("away", is_open)
    assert error.code == "ServiceUnavailableException"


def test_what_waits() -> None:
    """What was accepted and not released, whoever is to see it."""
    assert {each for each in Stage if each.waits} == {Stage.WAITS, Stage.APART}
