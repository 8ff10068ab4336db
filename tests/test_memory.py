from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom import memory
from greenroom.memory import MemoryWatch


class Machine:
    """Memory that a test fills and empties."""

    def __init__(self) -> None:
        self.used = 0
        self.freed = 0

    def release(self) -> None:
        """Give back what was freed."""
        self.used -= self.freed
        self.freed = 0

    def watch(self, bound: int) -> MemoryWatch:
        """Return a watch over this memory."""
        return MemoryWatch(bound, lambda: self.used, self.release)


def test_pressed_above_the_bound_and_released_well_below() -> None:
    """Between 95 % of the bound and the bound nothing changes; each change is logged once."""
    machine = Machine()
    watch = machine.watch(1000)
    seen = []
    with capture_logs() as logs:
        for used in (900, 1000, 1001, 980, 951, 1200, 949, 960, 1000, 1001):
            machine.used = used
            watch.look()
            seen.append(watch.pressed)
    assert seen == [False, False, True, True, True, True, False, False, False, True]
    assert [entry["log_level"] for entry in logs] == ["error", "warning", "error"]


def test_freed_memory_is_given_back_while_pressed() -> None:
    """What the C library kept counts no more, so that the pressure ends."""
    machine = Machine()
    watch = machine.watch(1000)
    machine.used = 1500
    watch.look()
    machine.freed = 1000
    watch.look()
    assert (machine.used, watch.pressed) == (500, False)


def test_no_bound() -> None:
    """A bound of 0 never presses, and nothing is measured."""
    watch = MemoryWatch(0, lambda: pytest.fail("measured"), lambda: None)
    watch.look()
    assert not watch.pressed


def test_this_process() -> None:
    """What the system tells is plausible: this process has memory, and less than it may have."""
    memory.give_back()
    if Path("/proc/self/statm").exists():
        assert 1 << 20 < memory.resident_bytes() < memory.default_bound()


def test_the_smallest_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is nine tenths of the smallest known limit, of the machine or a control group."""
    group, unlimited, wordy = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    group.write_text("1000000\n")
    unlimited.write_text("9223372036854771712\n")
    wordy.write_text("max\n")
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", (unlimited, wordy, tmp_path / "none", group))
    assert memory.default_bound() == 900_000
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", (unlimited,))
    monkeypatch.setattr(memory, "_machine", lambda: 0)
    assert memory.default_bound() == 0
