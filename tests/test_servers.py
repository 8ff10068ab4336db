"""The servers that a cluster runs on, as tests and `make cluster` start them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest

from scripts.servers import postgresql_installation
from scripts.servers.nats_server import NatsServer, bus_of, nats_server
from scripts.servers.ports import free_port
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.process import STILL, ServerFailed, ServerProcess
from tests.running.servers import fresh_account

ROOT = Path(__file__).resolve().parent.parent
SUBJECT = "kept"


class Busy(ServerProcess):
    """A server that starts processes all the time, as PostgreSQL does now and then."""

    def __init__(self, log: Path) -> None:
        super().__init__("busy", log)

    def command(self) -> list[str]:
        """Start one after the other, and wait for none."""
        return ["/bin/sh", "-c", "while :; do sleep 0.05 & sleep 0.001; done"]

    def is_ready(self) -> bool:
        """Serve when the first was started."""
        return bool(psutil.Process(self.pid).children())


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL of the test's own."""
    with postgresql() as server:
        yield server


async def test_nats_keeps_its_streams_over_a_kill(tmp_path: Path) -> None:
    """What JetStream acknowledged is there after `kill -9` and a start on the same data."""
    with nats_server(tmp_path) as server:
        await _publish(server.url)
        server.kill()
        server.start()
        assert await _stored(server.url) == 1


async def _publish_in_three(url: str) -> None:
    """Publish to a stream of three replicas, as soon as the servers have a leader among them."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(
                nats.errors.TimeoutError,
                nats.js.errors.ServiceUnavailableError,
                nats.js.errors.NoStreamResponseError,
            ):
                await _publish(url, replicas=3)
                return
            await asyncio.sleep(0.1)


async def _elected(url: str) -> int:
    """Return how many messages are stored, when another leader can say so: up to ten seconds."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(nats.errors.TimeoutError):
                return await _stored(url)


async def test_nats_of_three_has_a_leader(nats_r3: list[NatsServer]) -> None:
    """Three servers make streams of three replicas; one may die and come back."""
    async with fresh_account(nats_r3) as url:
        await _publish_in_three(url)
        nats_r3[0].kill()
        try:
            assert await _elected(",".join(url.split(",")[1:])) == 1
        finally:
            nats_r3[0].start()


def test_versions(
    nats_r1: list[NatsServer],
    nats_oldest: list[NatsServer],
    postgresql_newest: PostgreSQL,
    postgresql_oldest: PostgreSQL,
) -> None:
    """The newest and the oldest are what they are called."""
    assert [_version(each) for each in (nats_r1, nats_oldest)] == ["2.15.1", "2.11.11"]
    found = [each.sql("SHOW server_version") for each in (postgresql_newest, postgresql_oldest)]
    assert [each.partition(".")[0] for each in found] == ["18", "15"]


async def test_accounts_do_not_meet(nats_r1: list[NatsServer]) -> None:
    """Each test has an account without streams, and leaves none."""
    async with fresh_account(nats_r1) as one, fresh_account(nats_r1) as other:
        await _publish(one)
        await _publish(other)
        assert await _stored(one) == 1
    client = await nats.connect(one)
    assert await client.jetstream().streams_info() == []
    await client.close()


async def test_postgresql_keeps_its_rows_over_a_kill(own_postgresql: PostgreSQL) -> None:
    """A committed row is there after `kill -9` of all its processes and a start."""
    url = own_postgresql.create_database("rooms")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (number int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    family = psutil.Process(own_postgresql.pid).children()
    own_postgresql.kill()
    assert not any(process.is_running() for process in family)
    connection.terminate()
    own_postgresql.start()
    assert own_postgresql.sql("SELECT count(*) FROM kept", "rooms") == "1"


def test_a_paused_postgresql_is_silent(own_postgresql: PostgreSQL) -> None:
    """A server that stands still answers nobody, and goes on afterwards."""
    own_postgresql.pause()
    assert {process.status() for process in psutil.Process(own_postgresql.pid).children()} <= {
        *STILL
    }
    own_postgresql.resume()
    assert own_postgresql.sql("SELECT 1") == "1"


def test_a_pause_misses_no_child_that_is_just_being_started(tmp_path: Path) -> None:
    """A server that starts processes without end stands still with all of them."""
    server = Busy(tmp_path / "log")
    server.start()
    for _ in range(5):
        server.pause()
        parent = psutil.Process(server.pid)
        assert {each.status() for each in [parent, *parent.children(recursive=True)]} <= {*STILL}
        server.resume()
    family = psutil.Process(server.pid).children()
    server.kill()
    assert not any(process.is_running() for process in family)


def test_root_lets_nobody_run_postgresql(own_postgresql: PostgreSQL) -> None:
    """`initdb` refuses root: the server is `nobody`'s then, else the user's own."""
    user = psutil.Process(own_postgresql.pid).username()
    assert user == ("nobody" if os.geteuid() == 0 else psutil.Process().username())


def test_databases_belong_to_a_user_who_is_no_superuser(own_postgresql: PostgreSQL) -> None:
    """The user that nodes connect as may do what an operator's would, and no more."""
    own_postgresql.create_database("rooms")
    asked = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = 'greenroom'"
    assert own_postgresql.sql(asked) == "f"


def test_data_that_lost_a_file_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who cleans temporary folders takes single files: then all is made again."""
    if os.geteuid() == 0:
        tmp_path = postgresql_installation.new_folder()
        os.chown(tmp_path, 0, 0)
        tmp_path.chmod(0o755)
    monkeypatch.setattr(postgresql_installation, "_temporary", lambda: tmp_path)
    found = postgresql_installation.prepared(postgresql_installation.newest())
    (found.data / "PG_VERSION").unlink()
    again = postgresql_installation.prepared(postgresql_installation.newest())
    assert (again.data / "PG_VERSION").exists()


def test_a_folder_that_others_may_write_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What root runs was never anybody else's to change."""
    monkeypatch.setattr(postgresql_installation, "_temporary", lambda: tmp_path)
    (tmp_path / f"greenroom-{os.geteuid()}").mkdir()
    (tmp_path / f"greenroom-{os.geteuid()}").chmod(0o777)
    with pytest.raises(ServerFailed, match="not a folder of this user alone"):
        postgresql_installation.prepared(postgresql_installation.newest())


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """The log's end is in the error."""
    server = NatsServer(tmp_path, extra="no_such_setting: true\n")
    with pytest.raises(ServerFailed, match="no_such_setting"):
        server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own way is Linux's")
def test_servers_end_with_who_started_them(tmp_path: Path) -> None:
    """`kill -9` of the starter leaves no server behind."""
    program = (
        "import sys, time, pathlib\n"
        "from scripts.servers.nats_server import NatsServer\n"
        "server = NatsServer(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as starter:
        assert starter.stdout is not None
        server = psutil.Process(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def _publish(url: str, replicas: int = 1) -> None:
    client = await nats.connect(url.split(","))
    try:
        await client.jetstream().add_stream(name="S", subjects=[SUBJECT], num_replicas=replicas)
        await client.jetstream().publish(SUBJECT, b"one")
    finally:
        await client.close()


async def _stored(url: str) -> int:
    client = await nats.connect(url.split(","))
    try:
        return (await client.jetstream().stream_info("S")).state.messages
    finally:
        await client.close()


def _version(servers: list[NatsServer]) -> str:
    assert bus_of(servers) == servers[0].url
    found = servers[0].monitored("varz")
    assert isinstance(found, dict)
    return str(found["version"])


def test_ports_are_of_one_process() -> None:
    """Each is given once, also where several processes ask."""
    ask = "from scripts.servers.ports import free_port; print(*(free_port() for _ in range(100)))"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", f"{ask}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    given = [free_port() for _ in range(100)]
    for each in others:
        assert each.stdout is not None
        given += map(int, each.stdout.readline().split())
    for each in others:
        each.communicate(b"\n")
    assert len(set(given)) == 300
