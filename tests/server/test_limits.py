import resource

import pytest
from structlog.testing import capture_logs

from greenroom.network import addresses
from greenroom.network.forwarded import ForwardedHeader
from greenroom.network.visitors import Excess, Visitors
from greenroom.server.limits import (
    connection_limits,
    journal_bounds,
    memory_watch,
    places,
    visitors,
)
from greenroom.settings.load import load
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics


def test_limits() -> None:
    """The settings reach the bounds of the connections, and on how many there are."""
    given = {"outbound_queue_bytes": "70000", "frame_bytes": "20000", "connections_per_room": "9"}
    settings = load(given, {}, None)
    limits = connection_limits(settings)
    assert (limits.outbound_bytes, limits.frame_bytes, limits.close_seconds) == (70_000, 20_000, 5)
    assert (places(settings).connections_per_room, places(settings).connections_per_account) == (
        9,
        50_000,
    )


def test_bounds_of_the_journal() -> None:
    """Hours become nanoseconds; a gigabyte and a week are the defaults."""
    bounds = journal_bounds(load({"journal_age_hours": "2", "journal_bytes": "1048576"}, {}, None))
    assert (bounds.size, bounds.age_ns, bounds.memory) == (1_048_576, 7_200 * 10**9, 16_777_216)


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({}, 12_345),
        ({"memory_bytes": "67108864"}, 1 << 26),
        # What the machine has is for all of its processes.
        ({"processes": "3", "storage": "postgresql://u@h/d", "bus": "nats://h"}, 4_115),
    ],
)
def test_the_bound_of_memory(
    given: dict[str, object], bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting's, else that of the machine."""
    monkeypatch.setattr("greenroom.server.limits.default_bound", lambda: 12_345)
    assert memory_watch(load(given, {}, None))._bound == bound


def made(lines: BoundedLog, metrics: Metrics, **given: str) -> Visitors:
    """Return what counts connections by some settings."""
    return visitors(load(given, {}, None), metrics, lines)


@pytest.mark.parametrize(
    ("files", "asked", "unfinished"),
    [(100, "40", 40), (100, "60", 50), (1, "60", 0), (-1, "60", 60), (0, "60", 60)],
)
def test_unfinished_connections_leave_descriptors(
    files: int, asked: str, unfinished: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take half of what the system gives at most; -1 is without a limit."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    counted = made(BoundedLog(), Metrics(), unfinished_connections=asked)
    assert counted._limits.unfinished == unfinished


@pytest.mark.parametrize(("header", "proto"), [("x-forwarded-for", "on"), ("forwarded", "off")])
def test_proxies_are_believed_as_the_settings_say(header: str, proto: str) -> None:
    """Which ones, about what the named header says, and whether they say how they are met."""
    given = {"trusted_proxies": "192.0.2.0/24", "forwarded_header": header}
    proxies = made(BoundedLog(), Metrics(), **given, forwarded_proto=proto).proxies
    assert addresses.packed("192.0.2.7") in proxies
    assert addresses.packed("192.0.3.7") not in proxies
    assert (proxies._header, proxies._proto) == (ForwardedHeader(header), proto == "on")


async def test_a_limit_that_is_met_is_told() -> None:
    """It counts, and a line of the log names it and the address."""
    metrics, lines = Metrics(), BoundedLog()
    counted = made(lines, metrics)
    with capture_logs() as logs:
        counted._count(Excess.ADDRESS, addresses.packed("192.0.2.1"))
    lines.close()
    (line,) = logs
    assert (line["event"], line["limit"]) == ("connection limit met", Excess.ADDRESS.value)
    assert (line["log_level"], line["address"]) == ("warning", "192.0.2.1")
    value = metrics.registry.get_sample_value
    assert value("greenroom_limits_met_total", {"limit": Excess.ADDRESS.value}) == 1
