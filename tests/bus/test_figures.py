"""What a bus counts: which numbers are faults, and when it serves."""

from greenroom.bus.figures import Figures


def test_what_should_not_be() -> None:
    """Each kind has its name, as the metric has it."""
    figures = Figures(void=1, undecodable=2, resets=3)
    assert figures.faults == {"void": 1, "undecodable": 2, "lost": 3}


def test_when_it_serves() -> None:
    """While it is connected, and what is sent is stored."""
    assert not Figures().serving
    assert Figures(connected=True).serving
    assert not Figures(connected=True, storing=False).serving
