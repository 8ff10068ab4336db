"""Bounds and their announcements."""

from greenroom.chatlog.bounds import Announcements, Bounds


def test_the_nearer_bound_counts() -> None:
    """Use is that of the bound that will be reached first."""
    bounds = Bounds(size=1000, age_ns=100)
    assert bounds.used(500, 10) == 0.5
    assert bounds.used(500, 90) == 0.9


def test_steps_in_bytes() -> None:
    """Each step is a size; behind the last one is that at which something is dropped."""
    bounds = Bounds(size=1000)
    steps, size = [], 0
    for _ in range(5):
        size = bounds.next_step(size)
        steps.append(size)
    assert steps == [500, 800, 950, 1001, 1001]


def test_when_a_step_is_reached() -> None:
    """At its very percent, and not a little before."""
    announcements = Announcements()
    for percent in (50, 80, 95):
        assert announcements.due(percent / 100 - 0.001) is None
        assert announcements.due(percent / 100) == percent


def test_each_step_is_announced_once() -> None:
    """Also when several are reached at the same time, or one again."""
    announcements = Announcements()
    used = (0.1, 0.5, 0.6, 0.2, 0.7, 0.96, 0.8, 1.5)
    assert [announcements.due(each) for each in used] == [
        None, 50, None, None, None, 95, None, None,
    ]  # fmt: skip
