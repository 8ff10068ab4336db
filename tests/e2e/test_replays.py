"""A captured request is sent again: inside of its window it is good, outside of it never."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from greenroom.aws.signature.sigv4 import WINDOW_SECONDS
from tests.running.clock import MovedClock
from tests.running.service import Service, running
from tests.running.wire import Answer, Peer, signed

SECOND = 1_000_000_000
"""In nanoseconds."""

TIMESTAMP = "%Y%m%dT%H%M%SZ"

SLACK = 30
"""Seconds that a busy machine may take for a test."""


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    """Return a clock that shows the true time, so far."""
    return MovedClock(tmp_path / "moved")


@pytest.fixture
def service(tmp_path: Path, clock: MovedClock) -> Iterator[Service]:
    """Return a service that lives by the clock."""
    with running(tmp_path / "data", **clock.variables) as service:
        yield service


def sent(service: Service, captured: bytes) -> Answer:
    """Send the bytes on a connection of their own."""
    with Peer(service) as peer:
        peer.send(captured)
        return peer.read_answer()


def test_inside_of_the_window(service: Service, clock: MovedClock) -> None:
    """Equal calls of one second carry one signature, so the protocol cannot tell a replay."""
    captured = signed(service, "CreateRoom", name="captured")
    for seconds in (0, 0, WINDOW_SECONDS - SLACK, SLACK - WINDOW_SECONDS):
        clock.move(seconds * SECOND)
        assert sent(service, captured).status == 200
    clock.move(0)
    assert len(sent(service, signed(service, "ListRooms")).json["rooms"]) == 4


@pytest.mark.parametrize("seconds", [WINDOW_SECONDS + 1, 86_400, 366 * 86_400, -960])
def test_outside_of_the_window(service: Service, clock: MovedClock, seconds: int) -> None:
    """A request from before the window, or from after it, is refused and has no effect."""
    captured = signed(service, "CreateRoom", name="captured")
    assert sent(service, captured).status == 200
    clock.move(seconds * SECOND)
    answer = sent(service, captured)
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    clock.move(0)
    assert len(sent(service, signed(service, "ListRooms")).json["rooms"]) == 1


def test_a_changed_time_is_no_way_back(service: Service, clock: MovedClock) -> None:
    """A replay with a fresh date is another request: its signature is not good."""
    captured = signed(service, "ListRooms")
    start = captured.index(b"\r\nx-amz-date: ") + len(b"\r\nx-amz-date: ")
    written = captured[start : start + 16]
    later = datetime.strptime(written.decode(), TIMESTAMP).replace(tzinfo=UTC) + timedelta(hours=1)
    clock.move(3600 * SECOND)
    fresh = captured.replace(written, later.strftime(TIMESTAMP).encode())
    answer = sent(service, fresh.replace(b"/%b/" % written[:8], f"/{later:%Y%m%d}/".encode()))
    assert answer.status == 403
    assert "does not match" in answer.json["message"]
