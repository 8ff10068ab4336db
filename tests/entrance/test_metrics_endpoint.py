"""`GET /metrics`: who may read it, in which format; and how late the loop is."""

import asyncio
from types import SimpleNamespace as Owner
from typing import Any
from unittest import mock

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from greenroom import __version__
from greenroom.entrance.metrics_endpoint import (
    Monitoring,
    watch,
    watch_audit,
    watch_bus,
    watch_history,
    watch_loop,
    watch_nodes,
    watch_process,
    watch_restrictions,
    watch_store,
)
from greenroom.storage.sqlite.worker import WorkerStatistics
from greenroom.telemetry.metrics import Metrics

TOKEN = "0123456789abcdef"


async def ask(
    monitor: Monitoring, method: str = "GET", peer: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of an answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "raw_path": b"/metrics",
        "method": method,
        "client": (peer, 0),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    scope["headers"] = [(b"host", b"127.0.0.1:8470"), *scope["headers"]]
    assert monitor.wants(scope)
    await monitor(scope, asyncio.Future, send)
    start, end = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    assert found["content-length"] == str(len(end["body"]))
    return start["status"], found, end["body"].decode()


@pytest.mark.parametrize(
    ("token", "local", "authorization", "status"),
    [
        (None, True, None, 200),
        (None, False, None, 401),
        (None, False, "Bearer ", 401),
        (None, False, "Bearer None", 401),
        (TOKEN, False, f"Bearer {TOKEN}", 200),
        (TOKEN, False, f"bearer  {TOKEN}", 200),
        (TOKEN, True, f"Bearer {TOKEN}", 200),
        (TOKEN, True, None, 401),
        (TOKEN, True, "", 401),
        (TOKEN, False, TOKEN, 401),
        (TOKEN, False, f"Basic {TOKEN}", 401),
        (TOKEN, False, f"Bearer {TOKEN}x", 401),
        (TOKEN, False, f"Bearer {TOKEN[:-1]}", 401),
        (TOKEN, False, "Bearer é", 401),
    ],
)
async def test_who_may_read(
    token: str | None, local: bool, authorization: str | None, status: int
) -> None:
    """Without a token only this machine reads; with one, who gives it, from wherever."""
    monitor = Monitoring(Metrics(), token, local=local)
    headers = {} if authorization is None else {"authorization": authorization}
    answered, found, body = await ask(monitor, **headers)
    assert answered == status
    if status == 401:
        assert found["www-authenticate"] == "Bearer"
        assert "metrics_token" in body
        assert body.count("\n") == 1


@pytest.mark.parametrize(
    ("peer", "header", "status"),
    [
        ("127.0.0.1", None, 200),
        ("::1", None, 200),
        ("192.0.2.1", None, 401),
        ("127.0.0.1", "x-forwarded-for", 401),
        ("127.0.0.1", "forwarded", 401),
        ("127.0.0.1", "via", 401),
        ("127.0.0.1", "x-forwarded-proto", 401),
    ],
)
async def test_what_a_proxy_here_passes_on_is_not_local(
    peer: str, header: str | None, status: int
) -> None:
    """A proxy on the machine does not make everybody local who calls it."""
    headers = {} if header is None else {header: "192.0.2.1"}
    monitor = Monitoring(Metrics(), None, local=True)
    assert (await ask(monitor, peer=peer, **headers))[0] == status


@pytest.mark.parametrize(("host", "status"), [("localhost:8470", 200), ("evil.com:8470", 401)])
async def test_names_that_others_gave_this_machine(host: str, status: int) -> None:
    """A page whose own name leads to this machine reads nothing: a browser says that name."""
    monitor = Monitoring(Metrics(), None, local=True)
    assert (await ask(monitor, host=host))[0] == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_formats(method: str) -> None:
    """Prometheus gets the format that it asks for, and both can be parsed."""
    monitor = Monitoring(Metrics(), None, local=True)
    _, headers, text = await ask(monitor, method)
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in plain(text)}
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    _, headers, text = await ask(monitor, method, accept=accept)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    families = openmetrics(text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= names - {"greenroom_build_info", "python_info"}


def test_other_requests_are_not_for_it() -> None:
    """Only the exact path is the metrics', and only to read."""
    monitor = Monitoring(Metrics(), None, local=True)
    for path, method in ((b"/metrics/", "GET"), (b"/metric", "GET"), (b"/metrics", "POST")):
        assert not monitor.wants({"raw_path": path, "method": method})


def test_the_store_is_read() -> None:
    """What a store counts is scraped as it is then; a store that counts nothing has no samples."""
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    assert value("greenroom_store_calls_total") is None
    watch_store(metrics, lambda: WorkerStatistics(5, 4, 3, 2, 1, 6))
    names = ("calls_total", "commits_total", "failures_total", "refused_total", "waiting")
    assert [value(f"greenroom_store_{name}") for name in names] == [5, 4, 3, 2, 1]
    assert value("greenroom_store_repeated_total") == 6


def test_each_number_is_its_owners() -> None:
    """What is scraped is what the owner says then, and in no case what another one says."""
    metrics = Metrics()
    requests = {"SendMessage": 2, "SendEvent": 3}
    deliveries = {"SendMessage": 5, "SendEvent": 7}
    fanout = Owner(deliveries=deliveries, delivered_bytes=11)
    hub: Any = Owner(connections=13, rooms=17, users=67, draining=True, fanout=fanout)
    rates = Owner(evicted={"message_rates": 19})
    chat: Any = Owner(requests=requests, rates=rates)
    control: Any = Owner(evicted={"callers": 23})

    class Rooms:
        evicted, evicted_deleted = 29, 31

        def __len__(self) -> int:
            return 37

    class Restrictions:
        addressed = range(73)

        def __len__(self) -> int:
            return 71

    rooms: Any = Rooms()
    restrictions: Any = Restrictions()
    memory: Any = Owner(pressed=True)
    descriptors: Any = Owner(shortages=41)
    lag: Any = Owner(stalls=43)
    audit: Any = Owner(lost=47, refusals=Owner(left_out=53))
    history: Any = Owner(bytes=59, dropped=61)
    resumes: Any = Owner(dropped=67)
    watch(metrics, hub, chat, rooms, control, history, resumes)
    watch_restrictions(metrics, restrictions)
    watch_process(metrics, memory, descriptors)
    watch_loop(metrics, lag)
    watch_audit(metrics, audit)
    value = metrics.registry.get_sample_value
    expected = {
        "ivschat_concurrent_chat_connections": 13,
        "ivschat_messaging_requests_total": 5,
        "ivschat_messaging_deliveries_total": 12,
        "greenroom_rooms": 17,
        "greenroom_users": 67,
        "greenroom_draining": 1,
        "greenroom_cached_rooms": 37,
        "greenroom_delivered_bytes_total": 11,
        "greenroom_memory_pressure": 1,
        "greenroom_descriptor_shortages_total": 41,
        "greenroom_loop_stalls_total": 43,
        "greenroom_audit_lines_lost_total": 47,
        "greenroom_audit_lines_suppressed_total": 53,
        "greenroom_history_bytes": 59,
        "greenroom_restricted_users": 71,
        "greenroom_restricted_addresses": 73,
    }
    assert {name: value(name) for name in expected} == expected
    assert value("greenroom_build_info", {"version": __version__}) == 1
    evictions = {
        "rooms": 29,
        "deleted_rooms": 31,
        "message_rates": 19,
        "callers": 23,
        "history": 61,
        "places": 67,
    }
    for cache, number in evictions.items():
        assert value("greenroom_evictions_total", {"cache": cache}) == number
    for action, number in requests.items():
        assert value("ivschat_requests_total", {"action": action}) == number
        assert value("ivschat_deliveries_total", {"action": action}) == deliveries[action]


def test_each_number_of_history_is_read() -> None:
    """What waits and is lost where this node keeps it; what became of who came back on all."""
    metrics = Metrics()
    replays: Any = Owner(recoveries={"recovered": 3, "not_recovered": 5})
    value = metrics.registry.get_sample_value
    watch_history(metrics, replays, None)
    assert value("greenroom_history_waiting_bytes") is None
    kept: Any = Owner(waiting_bytes=7, dropped=11)
    watch_history(metrics, replays, kept)
    assert value("greenroom_history_waiting_bytes") == 7
    assert value("greenroom_history_dropped_total") == 11
    for outcome, number in replays.recoveries.items():
        assert value("greenroom_history_recoveries_total", {"outcome": outcome}) == number


def test_each_number_of_a_bus_is_read() -> None:
    """Each of its figures under the name that is its own, as it is then."""
    figures = mock.Mock()
    owners = {
        "connected": "connected",
        "storing": "storing",
        "reconnects": "reconnects",
        "published": "published",
        "received": "received",
        "conflicts": "conflicts",
        "repairs": "repairs",
        "waiting": "waiting",
        "refused": "unavailable",
        "faults": "faults",
        "rooms": "rooms",
    }
    metrics = Metrics()
    watch_bus(metrics, figures)
    read = {name: getattr(metrics, f"bus_{name}").read() for name in owners}
    assert read == {name: getattr(figures, kept) for name, kept in owners.items()}


def test_each_number_of_the_nodes_is_read() -> None:
    """Each is of who knows the others."""
    metrics, presence, states = Metrics(), mock.Mock(), mock.Mock()
    watch_nodes(metrics, presence, states)
    read = [getattr(metrics, each).read() for each in ("node_versions", "nodes")]
    assert read == [states.versions, presence.nodes]
    assert metrics.clock_skew_seconds.read() is presence.skew_seconds
