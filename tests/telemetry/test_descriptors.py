"""Running out of descriptors, as the watch sees it."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.descriptors import DescriptorWatch


def test_a_shortage_is_told_once_in_ten_seconds() -> None:
    """Each look counts; the line names the limit and what to raise."""
    left = iter((True, False, False, True, False))
    with capture_logs() as logs:
        watch = DescriptorWatch(BoundedLog(lambda _seconds, _callback: None), lambda: next(left))
        for _ in range(5):
            watch.look()
    assert watch.shortages == 3
    (line,) = logs
    assert line["log_level"] == "warning"
    assert line["limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert "LimitNOFILE" in line["remedy"]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    newest = os.dup(0)
    os.close(newest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (newest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("exhausted", [False, True])
def test_this_process(exhausted: bool) -> None:
    """Whether one more can be opened is tried, and leaves none open."""
    watch = DescriptorWatch(BoundedLog(lambda _seconds, _callback: None))
    if exhausted:
        with no_descriptors():
            watch.look()
    else:
        watch.look()
    assert watch.shortages == int(exhausted)
    first = os.dup(0)
    os.close(first)
    watch.look()
    second = os.dup(0)
    os.close(second)
    assert first == second
