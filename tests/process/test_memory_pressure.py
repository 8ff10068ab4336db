import gc
import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.process import memory_pressure
from greenroom.process.memory_pressure import (
    KEPT_BYTES,
    PRESSED_SHARE,
    RESTING_CPU,
    RESTING_SECONDS,
    RESTING_SHARE,
    Collector,
    MemoryWatch,
)


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
        for used in (900, 1000, 1001, 980, 950, 1200, 949, 960, 1000, 1001):
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


class Garbage:
    """A collector's world: what a collection costs and frees, and clocks that a test moves."""

    def __init__(self, machine: Machine, takes: float = 0.1) -> None:
        self.machine = machine
        self.takes = takes
        self.now = self.cpu = 0.0
        self.bytes = 0
        self.collections = 0
        self.due = True
        self.collector = Collector(
            self.collect, lambda: self.due, lambda: self.now, lambda: self.cpu
        )

    def collect(self) -> None:
        """Free the garbage; what is free is given back later."""
        self.collections += 1
        self.now += self.takes
        self.machine.freed += self.bytes
        self.bytes = 0

    def pass_by(self, seconds: float, busy: float = 0.0) -> None:
        """Let time pass, of which a share is computed."""
        self.now += seconds
        self.cpu += seconds * busy

    def watch(self, bound: int) -> MemoryWatch:
        """Return a watch over the machine."""
        machine = self.machine
        return MemoryWatch(bound, lambda: machine.used, machine.release, self.collector)


def test_garbage_is_collected_before_anybody_is_refused() -> None:
    """What an attacker left behind does not refuse those who come after him."""
    garbage = Garbage(Machine())
    watch = garbage.watch(1000)
    garbage.machine.used, garbage.bytes = 1500, 800
    garbage.pass_by(1, busy=1)
    with capture_logs() as logs:
        watch.look()
    assert (garbage.machine.used, watch.pressed, logs) == (700, False, [])


def test_collections_under_pressure_take_a_hundredth_of_the_time() -> None:
    """What is no garbage is looked at again and again, but not all the time."""
    garbage = Garbage(Machine())
    watch = garbage.watch(1000)
    garbage.machine.used = 1500
    for _ in range(100):
        garbage.pass_by(1, busy=1)
        watch.look()
    assert watch.pressed
    assert garbage.collections * garbage.takes <= garbage.now * PRESSED_SHARE + garbage.takes
    garbage.bytes = 1000
    garbage.pass_by(garbage.takes / PRESSED_SHARE)
    watch.look()
    assert not watch.pressed


@pytest.mark.parametrize("bound", [0, 1 << 40])
def test_garbage_is_collected_at_rest(bound: int) -> None:
    """A process that has nothing to do gives back what is left, with and without a bound."""
    garbage = Garbage(Machine(), takes=0.005)
    watch = garbage.watch(bound)
    garbage.machine.used, garbage.bytes = 1500, 800
    garbage.pass_by(1, busy=2 * RESTING_CPU)
    watch.look()
    assert garbage.collections == 0
    garbage.pass_by(1, busy=RESTING_CPU / 2)
    watch.look()
    assert (garbage.collections, garbage.machine.used) == (1, 700)
    for _ in range(RESTING_SECONDS - 2):
        garbage.pass_by(1)
        watch.look()
    assert garbage.collections == 1
    garbage.pass_by(3)
    watch.look()
    assert garbage.collections == 2
    garbage.due = False
    garbage.pass_by(RESTING_SECONDS)
    watch.look()
    assert garbage.collections == 2


def test_freed_memory_is_given_back_at_rest() -> None:
    """Also where there is no garbage: what a flood took may have been freed to the C library."""
    garbage = Garbage(Machine(), takes=0.005)
    garbage.due = False
    garbage.machine.used = 1000
    watch = garbage.watch(0)
    for grown, released in ((KEPT_BYTES, False), (KEPT_BYTES + 1, True)):
        watch.look()
        garbage.machine.used = 1000 + grown
        garbage.machine.freed = grown
        garbage.pass_by(RESTING_SECONDS + 1)
        watch.look()
        assert (garbage.machine.used == 1000) is released


def test_long_collections_at_rest_are_rare() -> None:
    """Where there is much to look at, rest is not disturbed for it."""
    garbage = Garbage(Machine(), takes=0.3)
    watch = garbage.watch(0)
    for _ in range(int(0.3 / RESTING_SHARE)):
        garbage.pass_by(1)
        watch.look()
    assert garbage.collections == 1


def test_what_the_collector_says() -> None:
    """Something is due once enough objects were made for the collector to have looked at some."""
    before = gc.get_threshold()
    gc.set_threshold(100, 1000, 1000)
    try:
        gc.collect()
        assert not memory_pressure._has_grown()
        kept: list[list[int]] = [[] for _ in range(1000)]
        assert memory_pressure._has_grown()
        assert len(kept) == 1000
    finally:
        gc.set_threshold(*before)


def test_no_bound() -> None:
    """A bound of 0 never presses, whatever is used."""
    machine = Machine()
    watch = machine.watch(0)
    for used in (1, 1 << 50):
        machine.used = used
        watch.look()
        assert not watch.pressed


def test_this_process() -> None:
    """What the system tells is plausible: this process has memory, and less than it may have."""
    memory_pressure.give_back()
    if Path("/proc/self/statm").exists():
        assert 1 << 20 < memory_pressure.resident_bytes() < memory_pressure.default_bound()


def test_the_smallest_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is nine tenths of the smallest known limit, of the machine or a control group."""
    group, unlimited, wordy = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    group.write_text("1000000\n")
    unlimited.write_text("9223372036854771712\n")
    wordy.write_text("max\n")
    monkeypatch.setattr(
        memory_pressure, "_CONTROL_GROUPS", (unlimited, wordy, tmp_path / "none", group)
    )
    assert memory_pressure.default_bound() == 900_000
    monkeypatch.setattr(memory_pressure, "_CONTROL_GROUPS", (unlimited,))
    monkeypatch.setattr(memory_pressure, "_machine", lambda: 0)
    assert memory_pressure.default_bound() == 0


def test_whether_it_was_collected_is_told() -> None:
    """Who asks gives memory back after a collection, and not each time that there was none."""
    garbage = Garbage(Machine())
    assert garbage.collector.collect(1.0, pause=10.0)
    garbage.pass_by(9)
    assert not garbage.collector.collect(1.0, pause=10.0)
    garbage.pass_by(1)
    garbage.due = False
    assert not garbage.collector.collect(1.0, pause=10.0)
    garbage.due = True
    assert garbage.collector.collect(1.0, pause=10.0)
    assert garbage.collections == 2


def test_a_machine_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is known there is no bound: neither of the machine nor of a container."""

    def fail(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", fail)
    monkeypatch.setattr(memory_pressure, "_CONTROL_GROUPS", (tmp_path / "none",))
    assert memory_pressure._machine() == 0
    assert memory_pressure.default_bound() == 0
    monkeypatch.setattr(memory_pressure, "Path", lambda _: tmp_path / "none")
    assert memory_pressure.resident_bytes() == 0


def test_the_bound_itself_may_be_used() -> None:
    """A process that is busy gives nothing back before it has more than it may."""
    garbage = Garbage(Machine())
    watch = garbage.watch(1000)
    garbage.machine.freed = 10
    for used, left in ((1000, 10), (1001, 0)):
        garbage.machine.used = used
        garbage.pass_by(1, busy=1)
        watch.look()
        assert (garbage.machine.freed, watch.pressed) == (left, False)


def test_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the C library; where it cannot, nothing happens."""
    library = Mock()
    monkeypatch.setattr("ctypes.CDLL", library)
    memory_pressure.give_back()
    library.return_value.malloc_trim.assert_called_once_with(0)
    for error in (OSError, AttributeError):
        library.side_effect = error
        memory_pressure.give_back()


def test_no_bound_is_the_default() -> None:
    """A process that was told none is never short of memory."""
    watch = MemoryWatch(resident=lambda: 1 << 50, release=lambda: None)
    watch.look()
    assert not watch.pressed
