"""The composition root, in this process; its signals and exit codes are tested in e2e.

Covers: greenroom.entrance.ready, greenroom.server.messaging_plane
"""

import asyncio
import gc
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance.ready import Ready
from greenroom.entrance.sockets import AddressRefused, Listening
from greenroom.process import address_file, systemd
from greenroom.server import serve
from greenroom.server.parts import Parts
from greenroom.server.serve import _warn, run_service, task_group
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreInUse


def settings(tmp_path: Path, **flags: str) -> Settings:
    """Return settings for a free port and a directory of the test's."""
    return load({"port": "0", "data_dir": str(tmp_path / "data"), **flags}, {}, None)


def fetch(url: str) -> tuple[int, dict[str, str]]:
    """Return status and JSON of a URL."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, msgspec.json.decode(error.read())


@pytest.mark.parametrize("storage", ["sqlite", "memory"])
async def test_serves_until_it_is_told_to_stop(tmp_path: Path, storage: str) -> None:
    """From ready to SIGTERM it answers; afterwards the address and the data are free again."""
    told: asyncio.Queue[Ready] = asyncio.Queue()
    given = settings(tmp_path, storage=storage)
    secrets: list[str] = []
    with capture_logs() as logs:
        for _ in range(2):
            serving = asyncio.create_task(run_service(given, told.put_nowait))
            ready = await told.get()
            secrets.append(ready.secret_access_key)
            assert (await asyncio.to_thread(fetch, ready.health_url))[0] == 200
            status, body = await asyncio.to_thread(fetch, f"{ready.api_url}/anything")
            assert (status, body["__type"]) == (403, "MissingAuthenticationTokenException")
            if storage == "sqlite":
                assert ready.data_dir == str((tmp_path / "data").resolve())
                with pytest.raises(StoreInUse):
                    await run_service(given, told.put_nowait)
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", int(ready.api_url.rpartition(":")[2])))
            assert logs[-1]["event"] == "stopped"
    assert not any(secret in str(logs) for secret in secrets)
    assert (tmp_path / "data").exists() is (storage == "sqlite")


async def test_who_embeds_the_service_may_refuse_an_address(tmp_path: Path) -> None:
    """It is asked once the addresses are known, and nothing is opened then."""
    given = settings(tmp_path)
    asked: list[list[str]] = []

    def refuse(listening: Listening) -> None:
        asked.append(listening.hosts)
        raise AddressRefused("not here")

    with pytest.raises(AddressRefused, match="not here"):
        await run_service(given, Mock(), parts=Parts(admits=refuse))
    assert asked == [["127.0.0.1"]]
    assert not (tmp_path / "data" / "greenroom.db").exists()


async def test_a_lone_error_of_a_task_is_raised_as_itself() -> None:
    """What ends the service has its own exit code; several errors stay a group."""

    async def fail(error: Exception) -> None:
        raise error

    async def run(errors: list[Exception]) -> None:
        async with task_group() as tasks:
            for error in errors:
                tasks.create_task(fail(error))

    with pytest.raises(StoreInUse):
        await run([StoreInUse("one")])
    with pytest.raises(ExceptionGroup):
        await run([StoreInUse("one"), LookupError("two")])


NO_TLS = "no TLS: "
TO_AWS = "chat logs go to AWS"


@pytest.mark.parametrize(
    ("hosts", "proxies", "certificate", "key", "warnings"),
    [
        (["127.0.0.1", "::1"], "", None, None, []),
        (["127.0.0.1", "0.0.0.0"], "", None, None, [NO_TLS]),
        (["192.0.2.1"], "", None, None, [NO_TLS]),
        (["192.0.2.1"], "", "certificate", None, []),
        (["192.0.2.1"], "192.0.2.2", None, None, []),
        (["127.0.0.1"], "", None, "AKIAOFAWS", [TO_AWS]),
        (["127.0.0.1"], "", None, "AKIAOFTHISSERVICE", []),
    ],
)
def test_what_nobody_may_have_meant(
    hosts: list[str],
    proxies: str,
    certificate: str | None,
    key: str | None,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    no_aws_credentials: None,
) -> None:
    """A start warns of messages that anybody on the way can read, and of logs that go to AWS."""
    if key is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened: Any = SimpleNamespace(
        settings=load({"trusted_proxies": proxies}, {}, None),
        listening=SimpleNamespace(hosts=hosts),
        certificate=certificate,
    )
    ready: Any = SimpleNamespace(access_key_id="AKIAOFTHISSERVICE", listening_on="here")
    with capture_logs() as logs:
        _warn(opened, ready)
    assert [line["log_level"] for line in logs] == ["warning"] * len(warnings)
    assert all(line["event"].startswith(said) for line, said in zip(logs, warnings, strict=True))


def calls_of(mock: Mock) -> list[str]:
    """Return what was called, in order."""
    return [name for name, *_ in mock.mock_calls]


def test_a_hang_up_reads_all_files_again() -> None:
    """Certificate, identities, and the audit log's place; without TLS there is no certificate."""
    opened = Mock()
    serve._hang_up(opened)
    assert calls_of(opened) == ["certificate.reload", "identity.hang_up"]
    opened = Mock(certificate=None)
    serve._hang_up(opened)
    assert calls_of(opened) == ["identity.hang_up"]


@pytest.mark.parametrize("taken_over", [False, True])
def test_the_order_of_a_stop(monkeypatch: pytest.MonkeyPatch, taken_over: bool) -> None:
    """Nobody is let in any more before the first viewer is dropped, who would come back at once."""
    told: list[str] = []
    monkeypatch.setattr(systemd, "notify", told.append)
    all_ = Mock()
    all_.offer.successor = all_.successor if taken_over else None
    serve._stop(all_.opened, all_.server, all_.hub, 7, all_.offer)
    assert calls_of(all_) == [
        *("offer.withdraw", "server.stop_accepting", "opened.listening.close", "hub.drain"),
    ]
    assert all_.hub.drain.call_args == call(7)
    assert told == ([] if taken_over else [systemd.STOPPING])


def test_letting_go() -> None:
    """Requests under way have a bound then, so that a takeover has one."""
    server = Mock(should_exit=False)
    serve._let_go(server, Mock(connections=3))
    assert server.should_exit
    assert server.config.timeout_graceful_shutdown == serve.HANDOVER_SECONDS


@pytest.mark.parametrize("publishes", [False, True])
async def test_what_runs_is_ended_in_order(publishes: bool) -> None:
    """First what tells something yet, so that all has its record, then the logs, then history."""
    all_ = Mock()
    all_.node.opened.settings = load({"drain_timeout_seconds": "9"}, {}, None)
    all_.node.opened.reviewer.drain = AsyncMock()
    all_.node.releases.stop = AsyncMock()
    all_.node.chat_log.stop = AsyncMock()
    all_.node.schedules.close = AsyncMock()
    all_.node.history.close = AsyncMock()
    all_.node.opened.identity.close = AsyncMock()
    all_.node.tickers = [all_.first_ticker, all_.second_ticker]
    if not publishes:
        all_.node.publishing = all_.node.watching = None
    await serve._close(all_.node, 2.0)
    assert calls_of(all_) == [
        *("first_ticker.stop", "second_ticker.stop", "node.schedules.stop"),
        *("node.releases.stop", "node.opened.reviewer.drain", "node.schedules.close"),
        *("node.chat_log.stop", "node.history.close"),
        *(["node.publishing.cancel", "node.watching.cancel"] if publishes else []),
        *("node.keys.close", "node.opened.identity.close"),
    ]
    assert all_.node.opened.reviewer.drain.call_args == call(9)
    assert all_.node.chat_log.stop.call_args == call(9, 2.0)


@pytest.mark.parametrize("serves", [False, True])
async def test_a_handover(monkeypatch: pytest.MonkeyPatch, serves: bool) -> None:
    """Viewers are held and the store is closed before the other process is told to open it."""
    told: list[str] = []
    monkeypatch.setattr(systemd, "notify", told.append)
    all_ = Mock()
    all_.node.opened.store.close = AsyncMock()
    all_.successor.serves = AsyncMock(return_value=serves)
    all_.successor.pid = 42
    closing = all_.closing = AsyncMock()
    monkeypatch.setattr(serve, "_close", closing)
    assert await serve._hand_over(all_.node, all_.successor) is serves
    assert calls_of(all_) == [
        *("node.plane.hub.hold", "closing", "node.opened.store.close"),
        *("node.opened.let_go", "successor.serves"),
    ]
    assert closing.call_args == call(all_.node, serve.HANDOVER_SECONDS)
    assert told == (["MAINPID=42"] if serves else [])


@pytest.mark.parametrize(("drained", "waits"), [("before", 0), ("soon", 1), ("never", 1)])
async def test_the_last_connections_have_a_moment(
    monkeypatch: pytest.MonkeyPatch, drained: str, waits: int
) -> None:
    """Those that end over time are waited for, but not for ever; whoever is left is dropped."""
    monkeypatch.setattr(serve, "LAST_WORDS_SECONDS", 0.01)
    hub = Mock(drained=asyncio.Event(), settling=False)
    if drained == "before":
        hub.drained.set()
    elif drained == "soon":
        asyncio.get_running_loop().call_soon(hub.drained.set)
    sleep = AsyncMock()
    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with asyncio.timeout(60):
        await serve._drained(hub, 0 if drained == "never" else 3600)
    assert sleep.mock_calls == [call(0.01)] * waits
    assert hub.mock_calls[-1] == call.drain()


@pytest.mark.parametrize("settles", [True, False])
async def test_a_drain_waits_for_what_the_bus_does_not_know_yet(
    monkeypatch: pytest.MonkeyPatch, settles: bool
) -> None:
    """What was sent has its outcome first, but not for ever."""
    monkeypatch.setattr(serve, "LAST_WORDS_SECONDS", 0)
    monkeypatch.setattr(serve, "SETTLE_SECONDS", 3600 if settles else 0.01)
    hub = Mock(drained=asyncio.Event(), settling=True)
    if settles:
        asyncio.get_running_loop().call_later(0.05, hub.drained.set)
    async with asyncio.timeout(60):
        await serve._drained(hub, 0)
    assert hub.drained.is_set() is settles
    assert hub.mock_calls[-1] == call.drain()


@pytest.mark.parametrize("number", [None, 1, 2])
@pytest.mark.parametrize("predecessor", ["none", "old", "new"])
def test_who_is_told_of_a_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, predecessor: str, number: int | None
) -> None:
    """Of several processes the first tells commands and the log, and each of them the rest.

    Commands, who started it, systemd, and whom it takes over; who may take it over first.
    """
    all_ = Mock()
    monkeypatch.setattr(systemd, "notify", all_.notify)
    monkeypatch.setattr(serve, "_warn", all_.warn)
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
    monkeypatch.setattr(gc, "set_threshold", all_.set_threshold)
    all_.opened.settings = given = settings(
        tmp_path, access_key_id="A" * 20, secret_access_key="s" * 20
    )
    data = given.path("data_dir")
    data.mkdir()
    ready = Ready(1, "http://h", "ws://h", "http://h/health", str(data), None, "", "", True, "", "")
    monkeypatch.setattr(serve, "description", lambda *_: ready)
    all_.opened.parts.link = None if number is None else Mock(number=number)
    before = None if predecessor == "none" else all_.before
    all_.before.names_successor = predecessor == "new"
    serve._started(all_.opened, all_.offer, before, all_.announce)
    is_first = number in (None, 1)
    assert address_file.read(data) == (address_file.Address("http://h") if is_first else None)
    assert all_.warn.called is is_first
    told = [each for each in calls_of(all_) if each not in ("set_threshold", "warn")]
    assert (
        told
        == {
            "none": ["offer.start", "announce", "notify"],
            "old": ["offer.start", "announce", "notify", "before.serving"],
            "new": ["offer.start", "announce", "before.serving"],
        }[predecessor]
    )
