"""`make bench-soak`: an hour of what a service does all day, and what it keeps of it.

TLS, 5,000 viewers of whom some go and others come all the time, 100 rooms whose chat logs are
files, metrics that are read. Each viewer checks what it sees. Memory, descriptors and latency are
noted at regular times: what grows with time shows in the rows. At the end everybody leaves, and
what is then left is compared with what was before. The exit code is 1 when anything was wrong.

It asks for little of the processor, and judges nothing by speed but that the latency of the last
quarter is that of the second one; it may run beside other things.
"""

import argparse
import asyncio
import gzip
import itertools
import json
import ssl
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import psutil

from benchmarks.plot import Bar
from benchmarks.processes import allow_descriptors
from benchmarks.report import Table, write
from benchmarks.runs import RESULTS, Plan
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom
from benchmarks.soak_viewers import PATIENCE, Crowd, Room, Seen
from greenroom.process.event_loop import loop_factory

OBJECT_SECONDS = 60
"""How long a chat log's file is of, in a long soak."""

LONG_SECONDS = 600
"""So long a soak says something about latency."""

SPARE_KIB, SPARE_SHARE = 8192, 0.05
"""What memory may grow by from the second quarter to the last one: caches fill for a while."""

CACHE_KIB = 32_768
"""What SQLite keeps of its database in memory at most."""

SPARE_DESCRIPTORS = 16
"""Files that a service has open now and then, chat logs among them."""

SLOWER = 3
"""How many times as late messages may be in the last quarter: a neighbour on the machine does as
much, and what grows without end does more in an hour."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a soak is of."""

    seconds: float = 3600
    connections: int = 5_000
    rooms: int = 100
    churn: float = 10
    """Viewers that go, and others that come, in a second."""
    rate: float = 50
    """Messages a second in all rooms together."""
    samples: int = 12
    seed: int = 1
    results: Path = RESULTS


class Sample(msgspec.Struct, frozen=True):
    """What was noted after a part of the time."""

    minutes: float
    connections: int
    resident: int
    """In KiB."""
    descriptors: int
    """Without those of connections."""
    cpu: float
    """In per cent of a core."""
    database: int
    """In KiB: what SQLite has in memory of it, 32 MiB at most, is in `resident`."""
    p50: float
    p99: float
    delivered: int
    came: int


class Soaked(msgspec.Struct):
    """What a soak gave."""

    samples: list[Sample]
    faults: list[str]
    said: int


def judged(samples: Sequence[Sample], seconds: float) -> Iterator[str]:
    """Say what grew that should not have."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]

    def grown(figure: str) -> tuple[float, float]:
        before, after = (
            statistics.median(getattr(each, figure) for each in part) for part in (early, late)
        )
        return before, after

    before, after = grown("resident")
    kept = [min(value, CACHE_KIB) for value in grown("database")]
    if after - kept[1] > (before - kept[0]) * (1 + SPARE_SHARE) + SPARE_KIB:
        yield f"memory grew from {before:,.0f} to {after:,.0f} KiB"
    before, after = grown("descriptors")
    if after > before + SPARE_DESCRIPTORS:
        yield f"descriptors beside those of connections grew from {before:.0f} to {after:.0f}"
    before, after = grown("p50")
    if seconds >= LONG_SECONDS and after > SLOWER * max(before, 1):
        yield f"the median latency grew from {before:.1f} to {after:.1f} ms"


class Watch:
    """Notes what the service holds and uses."""

    def __init__(self, service: Greenroom, seen: Seen) -> None:
        self._service = service
        self._process = psutil.Process(service.pid)
        self._seen = seen
        self._begun = self._last = time.monotonic()
        self._used = self._cpu()
        self._delivered = self._came = 0
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._begun = self._last = time.monotonic()
        self._used = self._cpu()
        self._delivered, self._came = self._seen.delivered, self._seen.connected
        self._seen.latencies.clear()

    def sample(self) -> Sample:
        """Return what there is, and what was since the last time."""
        seen, now, used = self._seen, time.monotonic(), self._cpu()
        latencies = sorted(seen.latencies) or [0.0]
        connections = connections_of(self._service)
        made = Sample(
            minutes=round((now - self._begun) / 60, 2),
            connections=connections,
            resident=self._process.memory_info().rss // 1024,
            descriptors=self._process.num_fds() - connections,
            cpu=round(100 * (used - self._used) / (now - self._last), 2),
            database=(self._service.data_dir / "greenroom.db").stat().st_size // 1024,
            p50=round(latencies[len(latencies) // 2], 2),
            p99=round(latencies[len(latencies) * 99 // 100], 2),
            delivered=seen.delivered - self._delivered,
            came=seen.connected - self._came,
        )
        self._last, self._used = now, used
        self._delivered, self._came = seen.delivered, seen.connected
        seen.latencies.clear()
        return made

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def connections_of(service: Greenroom) -> int:
    """Return how many connections the service counts, from its metrics."""
    context = ssl.create_default_context(cafile=service.trusted)
    url = f"https://127.0.0.1:{service.port}/metrics"
    with urllib.request.urlopen(url, context=context, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    name = "ivschat_concurrent_chat_connections"
    counts = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(int(float(line.rpartition(" ")[2])) for line in counts)


async def soak(service: Greenroom, wanted: Wanted) -> Soaked:
    """Have the viewers come, live for the time, and go; return what was seen."""
    log = service.call(
        "CreateLoggingConfiguration", {"destinationConfiguration": {"s3": {"bucketName": "soak"}}}
    )
    members = {"loggingConfigurationIdentifiers": [log["arn"]]}
    arns = [service.create_room(members) for _ in range(wanted.rooms)]
    # Tokens are made when they are asked for: an hour takes more than there is any use to keep.
    rooms = [Room(arn, service.tokens(arn, sys.maxsize)) for arn in arns]
    crowd = Crowd(service.url, cast(str, service.trusted), rooms, wanted.seed)
    before = psutil.Process(service.pid).num_fds()
    await crowd.fill(wanted.connections)
    progress(f"{crowd.seen.open:,} viewers are in {len(rooms)} rooms")
    samples = await _live(service, crowd, wanted)
    await crowd.empty()
    faults = [*crowd.seen.faults, *judged(samples, wanted.seconds)]
    faults += await asyncio.to_thread(lambda: list(left(service, before)))
    faults += await asyncio.to_thread(lambda: list(unlike(service, rooms)))
    return Soaked(samples, faults, sum(room.said for room in rooms))


async def _live(service: Greenroom, crowd: Crowd, wanted: Wanted) -> list[Sample]:
    watch, samples = Watch(service, crowd.seen), list[Sample]()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crowd.speak(wanted.rate))
        tasks.create_task(crowd.churn(wanted.churn))
        watch.begin()
        for _ in range(wanted.samples):
            await asyncio.sleep(wanted.seconds / wanted.samples)
            samples.append(await asyncio.to_thread(watch.sample))
            progress(" ".join(_cells(samples[-1])))
        crowd.over = True
    return samples


def left(service: Greenroom, before: int) -> Iterator[str]:
    """Say what is left of viewers who are gone."""
    process, deadline = psutil.Process(service.pid), time.monotonic() + PATIENCE
    while (
        connections_of(service) or process.num_fds() > before + SPARE_DESCRIPTORS
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    if connections := connections_of(service):
        yield f"{connections} connections are counted of viewers who have gone"
    if (descriptors := process.num_fds()) > before + SPARE_DESCRIPTORS:
        yield f"{descriptors} descriptors are open, {before} were before anybody came"


def unlike(service: Greenroom, rooms: Sequence[Room]) -> Iterator[str]:
    """Say of which rooms the chat log is not what was said: each message once, and in order."""
    said = {room.arn.rpartition("/")[2]: list(range(room.said)) for room in rooms if room.said}
    deadline = time.monotonic() + PATIENCE + OBJECT_SECONDS
    while (logged := logged_in(service.data_dir)) != said and time.monotonic() < deadline:
        time.sleep(0.2)
    for room, numbers in said.items():
        if (found := logged.get(room, [])) != numbers:
            yield f"{len(found)} messages are in the chat log of {room}, {len(numbers)} were said"


def logged_in(directory: Path) -> dict[str, list[int]]:
    """Return the numbers of the messages in the chat logs of each room, in their order."""
    found = defaultdict[str, list[list[int]]](list)
    for path in directory.rglob("*.log.gz"):
        (room,) = (part for part in path.parts if part.startswith("room_"))
        lines = gzip.decompress(path.read_bytes()).splitlines()
        found[room.removeprefix("room_")].append(
            [int(json.loads(line)["payload"]["Content"].split()[0]) for line in lines]
        )
    # An object's name says the minute: within one, they are in the order of what is in them.
    return {room: list(itertools.chain(*sorted(objects))) for room, objects in found.items()}


def table(soaked: Soaked, wanted: Wanted) -> Table:
    """Return the table of what was noted."""
    columns = ["minutes", "connections", "MiB resident", "MiB of the database"]
    columns += ["descriptors beside", "CPU, % of a core"]
    columns += ["p50 ms", "p99 ms", "deliveries", "came and went"]
    return Table(
        name="soak",
        title=f"A soak of {wanted.seconds / 60:,.0f} minutes over TLS",
        columns=columns,
        rows=[_cells(sample) for sample in soaked.samples],
        bars=[
            Bar(f"after {each.minutes:.0f} minutes", "", Series([each.resident / 1024]), 1)
            for each in soaked.samples
        ],
        axis="resident memory, MiB",
        notes=(
            f"{wanted.connections:,} viewers in {wanted.rooms} rooms.",
            f"{wanted.rate:g} messages a second in all; {soaked.said:,} were said.",
            f"{wanted.churn:g} viewers a second go, half of them without a word; others come.",
            "Chat logs of all rooms go to files, and the metrics are read for each row.",
            f"What was wrong: {'; '.join(soaked.faults[:5]) or 'nothing'}.",
        ),
    )


def _cells(sample: Sample) -> list[str]:
    return [
        f"{sample.minutes:.1f}",
        f"{sample.connections:,}",
        f"{sample.resident / 1024:.1f}",
        f"{sample.database / 1024:.1f}",
        f"{sample.descriptors}",
        f"{sample.cpu:.1f}",
        f"{sample.p50:.1f}",
        f"{sample.p99:.1f}",
        f"{sample.delivered:,}",
        f"{sample.came:,}",
    ]


def wanted() -> Wanted:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in msgspec.structs.fields(Wanted):
        kind = Path if isinstance(field.default, Path) else type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default)
    return Wanted(**vars(parser.parse_args()))


def soaked_by(wanted: Wanted) -> Soaked:
    """Start a service, and soak it."""
    allow_descriptors()
    settings = {
        "GREENROOM_DEV_TLS": "on",
        "GREENROOM_LOG_LEVEL": "info",
        "GREENROOM_CHAT_LOG_OBJECT_SECONDS": str(min(OBJECT_SECONDS, 1 + int(wanted.seconds / 20))),
    }
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as name:
        service = Greenroom(Path(name), settings)
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                return runner.run(soak(service, wanted))
        finally:
            service.stop()


def main() -> None:
    """Soak; write the table, and say what was wrong."""
    chosen = wanted()
    soaked = soaked_by(chosen)
    plan = Plan(rounds=1, seconds=chosen.seconds, results=chosen.results)
    write(table(soaked, chosen), plan, soaked)
    for fault in soaked.faults:
        sys.stderr.write(f"wrong: {fault}\n")
    sys.exit(1 if soaked.faults else 0)


if __name__ == "__main__":
    main()
