"""`greenroom cluster` on the servers and nodes of a cluster: what it shows, makes and mends.

Covers: greenroom.server.overview, greenroom.server.caring, greenroom.cli.cluster.showing,
    greenroom.cli.cluster.command, greenroom.storage.postgres.survey
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from click.testing import CliRunner

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.server import overview
from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL
from tests.running.cluster import Place, nodes, place
from tests.running.said import until
from tests.running.servers import fresh_account, fresh_database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_newest: PostgreSQL,
    nats_r3: list[NatsServer],
) -> AsyncIterator[Place]:
    """Give the place of a cluster without a schema and without streams."""
    with fresh_database(postgresql_newest) as database:
        async with fresh_account(nats_r3) as bus:
            yield place(tmp_path_factory.mktemp("command"), database, bus)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the process's logging alone."""
    monkeypatch.setattr("greenroom.telemetry.logs.configure", lambda *_: None)


def run(shared: Place, *words: str, **settings: str) -> tuple[int, str]:
    """Run a command with the settings of a node; return its exit code and what it prints."""
    ended = CliRunner().invoke(main, ["cluster", *words], env=shared.variables(**settings))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exc_info
    return ended.exit_code, ended.stdout or ended.stderr


def test_from_nothing_to_a_cluster_that_is_well(shared: Place) -> None:
    """What is missing is named; init makes it; nodes are seen with what they say of themselves."""
    code, said = run(shared, "status")
    assert code == ExitCode.UNWELL
    for words in ("ROOMS_00 is missing: greenroom cluster init", "there is no schema of ours"):
        assert words in said
    assert "nodes: none answers" in said
    code, said = run(shared, "init", bus_replicas="1", bus_stream_bytes="8388608")
    assert code == ExitCode.OK
    assert "schema 0 is " in said
    assert said.count("made the stream ") == 17
    code, said = run(shared, "init", bus_replicas="1", bus_stream_bytes="8388608")
    assert code == ExitCode.OK
    assert said.endswith("everything is there, and as it must be\n")
    # One server's streams grow onto three, and larger.
    code, said = run(shared, "check")
    assert "NOTE streams      ROOMS_00: copies: 1 of 3" in said
    assert "below bus_stream_bytes" in said
    code, said = run(shared, "repair", "--dry-run")
    assert code == ExitCode.OK
    assert said.count("would change the stream ") == 17
    assert "ROOMS_00: num_replicas 3, max_bytes 268435456" in said
    assert run(shared, "repair")[0] == ExitCode.OK
    assert run(shared, "repair") == (ExitCode.OK, "nothing is to be repaired\n")
    with nodes(shared, 2) as services:
        until(lambda: run(shared, "status")[0] == ExitCode.OK, "copies are made, and all is well")
        code, said = run(shared, "status")
        assert "17 of 17 have leaders" in said
        assert "16 streams are read, 0 messages not yet" in said
        assert f"({services[0].process.pid})" in said
        assert "2 nodes, 0 connections" in said
        _as_json(shared, [each.process.pid for each in services])
        code, said = run(shared, "check")
        # Of the server of tests fsync is off.
        assert "NO   settings     fsync is off" in said
        assert "ok   permissions  what nodes listen to may be listened to" in said
        assert "ok   nodes        2, all ready" in said
        assert code == ExitCode.UNWELL


def _streams_read(shared: Place) -> int:
    told = json.loads(run(shared, "status", "--json")[1])
    return sum(len(each["lags"]) for each in told["nodes"])


def _as_json(shared: Place, pids: list[int]) -> None:
    # A stream that goes from one node to the other is told of by both for a moment.
    until(lambda: _streams_read(shared) == 16, "each stream is read by one node")
    code, said = run(shared, "status", "--json")
    told = json.loads(said)
    assert (code, told["well"], told["wrong"]) == (ExitCode.OK, True, [])
    assert sorted(each["pid"] for each in told["nodes"]) == sorted(pids)
    assert {each["connections"] for each in told["nodes"]} == {0}
    streams = told["nats"]["streams"]
    assert len(streams) == 17
    assert {(each["replicas"], len(each["copies"]), each["unread"]) for each in streams} == {
        (3, 2, 0)
    }
    assert told["clocks"]["skew_seconds"] < 2
    assert told["postgresql"]["settings"]["fsync"] == "off"


async def _make_another(bus_url: str) -> None:
    client = await nats.connect(bus_url.split(","))
    await client.jetstream().add_stream(name="ROOMS_05", subjects=["other.>"])
    await client.close()


def test_streams_of_somebody_else(bus_url: str, database: str, tmp_path: Path) -> None:
    """What only a person can put right is left, and named, with its exit code."""
    asyncio.run(_make_another(bus_url))
    there = place(tmp_path, database, bus_url)
    for words in (["init"], ["repair"], ["repair", "--dry-run"]):
        code, said = run(there, *words)
        assert code == ExitCode.UNWELL
        assert 'the stream ROOMS_05: subjects is ["other.>"], not ["gr.05.*"]' in said
    code, said = run(there, "check", "--json")
    assert code == ExitCode.UNWELL
    assert {each["level"] for each in json.loads(said)} == {"ok", "NOTE", "NO"}


def test_servers_that_cannot_be_reached(shared: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status and check say so among all else; what needs them ends with the code of that."""
    monkeypatch.setattr(overview, "OPEN_SECONDS", 0.3)
    gone = {"bus": "nats://127.0.0.1:1", "storage": "postgresql://u@127.0.0.1:1/d"}
    for command in ("status", "check"):
        code, said = run(shared, command, **gone)
        assert code == ExitCode.UNWELL
        assert "NATS cannot be used" in said
        assert "PostgreSQL at 127.0.0.1:1, database d cannot be used" in said
    code, said = run(shared, "status", "--json", **gone)
    assert json.loads(said)["well"] is False
    for words in (["init"], ["repair"]):
        code, said = run(shared, *words, **gone)
        assert code == ExitCode.SERVER_UNREACHABLE
        assert said.count("\n") == 1


def test_a_service_that_is_alone(shared: Place) -> None:
    """It is no cluster, and the line says what looks at it."""
    for words in ("status", "check", "init", "repair"):
        code, said = run(shared, words, storage="sqlite", bus="memory", bus_replicas="auto")
        assert code == ExitCode.USAGE
        assert "greenroom doctor looks at a service that is alone" in said
