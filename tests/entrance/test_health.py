"""`/health`: what is asked of the store and how often, and what the answers say."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance import health
from greenroom.entrance.health import FRESH_SECONDS, SILENT, Health, Part, Report, StoreCheck
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.hand_clock import HandClock


class Disk:
    """A store that counts what it is asked to write, and can be full or slow."""

    def __init__(self) -> None:
        self.writes = 0
        self.full = False
        self.free = asyncio.Event()
        self.free.set()

    async def write(self) -> None:
        """Write, or fail."""
        self.writes += 1
        await self.free.wait()
        if self.full:
            raise StorageUnavailable("full")


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands."""
    return HandClock()


@pytest.fixture
async def disk() -> Disk:
    """Return a store that takes writes."""
    return Disk()


async def asked(path: str, check: StoreCheck, **parts: Callable[[], bool]) -> tuple[int, Any]:
    """Return the status and the body of a probe; what is not named is well."""
    failing: dict[Part, Callable[[], bool]] = {
        part: parts.get(part.value, lambda: False) for part in Part if part is not Part.STORE
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"raw_path": path.encode(), "method": "GET"}
    probed = Health(check, failing)
    assert probed.wants(scope)
    await probed(scope, send)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


async def test_ready(disk: Disk, clock: HandClock) -> None:
    """Where all is well every path says so."""
    check = StoreCheck(disk.write, clock.clock)
    for path in ("/health", "/health/ready", "/health/live"):
        status, body = await asked(path, check)
        assert (status, body["status"], "failing" in body) == (200, "ok", False)


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.STORE])
async def test_a_part_that_fails(part: Part, disk: Disk, clock: HandClock) -> None:
    """The answer to who asks for readiness is 503 and names it; the process lives nevertheless."""
    check = StoreCheck(disk.write, clock.clock)
    failing = {part.value: lambda: True}
    status, body = await asked("/health/ready", check, **failing)
    draining = part is Part.DRAINING
    assert (status, body["status"]) == (503, "draining" if draining else "failing")
    assert body["failing"] == {part.value: part.meaning}
    status, body = await asked("/health", check, **failing)
    assert status == (503 if draining else 200)
    assert body["failing"] == {part.value: part.meaning}
    assert (await asked("/health/live", check, **failing))[0] == 200


@pytest.mark.parametrize("said", ["", "a part of it"])
@pytest.mark.parametrize("fails", [False, True])
async def test_what_fails_in_part(said: str, fails: bool, disk: Disk, clock: HandClock) -> None:
    """It is named and makes nobody unready; what fails altogether is named as that alone."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    check = StoreCheck(disk.write, clock.clock)
    probed = Health(check, {Part.BUS: lambda: fails}, degraded={Part.BUS: lambda: said})
    await probed({"raw_path": b"/health/ready", "method": "GET"}, send)
    body = msgspec.json.decode(sent[1]["body"])
    assert sent[0]["status"] == (503 if fails else 200)
    assert ("failing" in body) is fails
    assert body.get("degraded") == ({"bus": said} if said and not fails else None)


async def test_what_fails_in_part_in_another_process(disk: Disk, clock: HandClock) -> None:
    """One answers for all."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def told() -> dict[str, Report | str]:
        return {"1": Report({}, {"bus": "theirs"}), "3": Report()}

    probed = Health(StoreCheck(disk.write, clock.clock), {})
    probed.others = ("2", told)
    await probed({"raw_path": b"/health/ready", "method": "GET"}, send)
    assert sent[0]["status"] == 200
    assert msgspec.json.decode(sent[1]["body"])["degraded"] == {"bus": "theirs"}


def test_every_part_says_what_it_means() -> None:
    """In words, each in its own."""
    meanings = {part: part.meaning for part in Part}
    assert all(len(each) > 10 for each in meanings.values())
    assert len(set(meanings.values())) == len(Part)


WELL, UNWELL = Report(), Report({"memory": "too much"})


@pytest.mark.parametrize(
    ("others", "status", "said", "failing", "words"),
    [
        ({"1": WELL, "3": WELL}, 200, "ok", None, ["ok", "ok", "ok"]),
        ({"1": UNWELL, "3": WELL}, 503, "failing", {"memory"}, ["failing", "ok", "ok"]),
        # It gets its share of connections, and nobody answers them.
        ({"1": SILENT, "3": WELL}, 503, "failing", {"processes"}, ["silent", "ok", "ok"]),
        # It gets none.
        ({"1": "starting", "3": "ended"}, 200, "ok", None, ["starting", "ok", "ended"]),
        ({"1": Report({"draining": "stops"})}, 200, "ok", None, ["draining", "ok"]),
    ],
)
async def test_several_processes_answer_as_one(
    others: dict[str, Report | str],
    status: int,
    said: str,
    failing: set[str] | None,
    words: list[str],
    disk: Disk,
    clock: HandClock,
) -> None:
    """One that serves and is not well makes all unready; each is named, in the order of numbers."""

    async def told() -> dict[str, Report | str]:
        return others

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    probed = Health(StoreCheck(disk.write, clock.clock), {})
    probed.others = ("2", told)
    await probed({"raw_path": b"/health/ready", "method": "GET"}, send)
    body = msgspec.json.decode(sent[1]["body"])
    assert (sent[0]["status"], body["status"]) == (status, said)
    assert (body.get("failing") and set(body["failing"])) == failing
    assert list(body["processes"].values()) == words
    assert list(body["processes"]) == sorted(body["processes"])


async def test_one_of_several_that_drains_says_so(disk: Disk, clock: HandClock) -> None:
    """Whoever still asks it, over a connection of before, goes elsewhere."""
    probed = Health(StoreCheck(disk.write, clock.clock), {Part.DRAINING: lambda: True})
    assert (await probed.report()).status == "draining"


async def test_a_store_that_cannot_write_is_no_fault(disk: Disk, clock: HandClock) -> None:
    """It fails the probe, and the log has no line of a fault."""
    disk.full = True
    with capture_logs() as logs:
        assert (await asked("/health/ready", StoreCheck(disk.write, clock.clock)))[0] == 503
    assert logs == []


async def test_nothing_is_asked_after_the_end(
    disk: Disk, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that is under way ends, and without one there is nothing to end."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.001)
    check = StoreCheck(disk.write, clock.clock)
    check.close()
    disk.free.clear()
    assert await check.fails()
    asking = check._asking
    assert asking is not None
    check.close()
    await asyncio.wait((asking,), timeout=5)
    assert asking.cancelled()


async def test_an_answer_that_nobody_waited_for(
    disk: Disk, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came long ago, and says nothing about now: the first probe after an outage is true."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.001)
    check = StoreCheck(disk.write, clock.clock)
    disk.free.clear()
    assert await check.fails()
    disk.full = True
    disk.free.set()
    await asyncio.sleep(0.01)
    disk.full = False
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 1)
    clock.advance(FRESH_SECONDS)
    assert not await check.fails()
    assert disk.writes == 2


async def test_several_parts_that_fail(disk: Disk, clock: HandClock) -> None:
    """All are named, and draining goes before the rest as the status."""
    disk.full = True
    check = StoreCheck(disk.write, clock.clock)
    status, body = await asked("/health/ready", check, memory=lambda: True, draining=lambda: True)
    assert (status, body["status"]) == (503, "draining")
    assert list(body["failing"]) == ["store", "memory", "draining"]


async def test_a_fault_fails_one_probe(clock: HandClock) -> None:
    """An error that nobody expects is a store that fails, until it is asked again."""
    errors = [RuntimeError("nobody expects this")]

    async def write() -> None:
        if errors:
            raise errors.pop()

    check = StoreCheck(write, clock.clock)
    assert (await asked("/health/ready", check))[0] == 503
    clock.advance(FRESH_SECONDS)
    assert (await asked("/health/ready", check))[0] == 200


async def test_probes_do_not_write(disk: Disk, clock: HandClock) -> None:
    """However many ask, the store is asked once in `FRESH_SECONDS`, and not when nobody does."""
    check = StoreCheck(disk.write, clock.clock)
    assert disk.writes == 0
    await asyncio.gather(*(asked("/health/ready", check) for _ in range(100)))
    assert disk.writes == 1
    disk.full = True
    clock.advance(FRESH_SECONDS / 2)
    assert (await asked("/health/ready", check))[0] == 200
    clock.advance(FRESH_SECONDS / 2)
    assert (await asked("/health/ready", check))[0] == 503
    assert disk.writes == 2
    disk.full = False
    clock.advance(FRESH_SECONDS)
    assert (await asked("/health/ready", check))[0] == 200
    for _ in range(10):
        clock.advance(FRESH_SECONDS)
        await asked("/health/live", check)
    assert disk.writes == 3


async def test_a_store_that_hangs(
    disk: Disk, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe waits for a moment only, the store is not asked again meanwhile, and may recover."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.01)
    check = StoreCheck(disk.write, clock.clock)
    disk.free.clear()
    for _ in range(3):
        assert (await asked("/health/ready", check))[0] == 503
        clock.advance(FRESH_SECONDS)
    assert disk.writes == 1
    disk.free.set()
    assert (await asked("/health/ready", check))[0] == 200
    disk.free.clear()
    clock.advance(FRESH_SECONDS)
    assert (await asked("/health/ready", check))[0] == 503
    check.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/health"), ("GET", "/health/"), ("GET", "/health/other"), ("GET", "/healthy")],
)
def test_other_requests_are_not_probes(
    method: str, path: str, clock: HandClock, disk: Disk
) -> None:
    """They go where all requests go."""
    probed = Health(StoreCheck(disk.write, clock.clock), {})
    assert not probed.wants({"raw_path": path.encode(), "method": method})
