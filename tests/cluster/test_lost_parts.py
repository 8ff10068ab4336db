"""Most of NATS lost, PostgreSQL lost to its standby, and slow: produced, in the how-tos' words.

So are the steps by which a NATS server and PostgreSQL move to other machines. A node, its viewers
and its API are there all the time; nothing needs a restart.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import nats
from botocore.exceptions import ClientError
from nats.aio.client import Client
from websockets.asyncio.client import ClientConnection

from scripts.servers.nats_server import NatsServer, Routes, bus_of, nats_cluster
from scripts.servers.ports import free_port
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import SUPERUSER, newest, owner, prepared
from scripts.servers.process import ServerFailed
from tests.running.cluster import Place, hear, place, say, status_of, viewers
from tests.running.said import assert_no_faults, entries, failing, samples, until
from tests.running.service import Service
from tests.running.viewers import until as until_it_holds

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"

ACCOUNTS = """
accounts {
  greenroom { jetstream: enabled, users: [{user: greenroom, password: greenroom}] }
  $SYS { users: [{user: system, password: system}] }
}
no_auth_user: greenroom
"""


def page(name: str) -> str:
    """Return a page's text, as one line."""
    return " ".join((HOWTO / f"{name}.md").read_text().split())


@contextmanager
def node(shared: Place, **settings: str) -> Iterator[Service]:
    """Run a node, and check that nothing in it crashed."""
    service = shared.node("node-1", bus_stream_bytes=str(8 << 20), **settings)
    try:
        yield service
        assert_no_faults(service)
    finally:
        service.kill()


def logged(service: Service, *events: str) -> Callable[[], bool]:
    """Return whether the log has each of the lines by now."""
    return lambda: all(entries(service, event) for event in events)


async def is_heard(viewer: ClientConnection, content: str) -> bool:
    """Say something, and return whether it is seen: it may be refused instead."""
    await say(viewer, content)
    return (await hear(viewer, 30)).content == content


# ------------------------------------------------------------------------------------- NATS


async def test_two_of_three_nats_servers_are_lost_and_one_is_replaced(
    tmp_path: Path, database: str
) -> None:
    """Rooms stand still, and go on by themselves; then a new server takes the place of one."""
    text = page("when-a-nats-server-is-lost")
    with (
        nats_cluster(tmp_path / "nats", extra=ACCOUNTS) as servers,
        node(place(tmp_path, database, bus_of(servers))) as service,
    ):
        room = service.boto3().create_room()["arn"]
        async with viewers([service], room) as (viewer,):
            assert await is_heard(viewer, "before")
            for server in servers[1:]:
                server.kill()
            await say(viewer, "meanwhile")
            refused = json.loads(await asyncio.wait_for(viewer.recv(), 30))
            assert refused["ErrorCode"] == 503
            leaderless = await asyncio.to_thread(_until_leaderless, service)
            assert "bus" in failing(service)
            assert await asyncio.to_thread(service.boto3().list_rooms)
            assert await status_of(service, await asyncio.to_thread(service.token, room)) == 101
            for server in servers[1:]:
                server.start(wait=False)
            well = logged(service, "NATS stores again", "streams have leaders again")
            await until_it_holds(well, "it has healed", 60)
            await until_it_holds(lambda: not failing(service), "it is ready", 30)
            await _goes_on(viewer)
            await _replaced(servers, tmp_path, service, viewer)
    for line in (leaderless, "NATS stores again", "streams have leaders again"):
        assert f"`{line}`" in text


def _until_leaderless(service: Service) -> str:
    """Wait until the log tells of it; return the line about what is not stored."""
    until(logged(service, "streams have no leader"), "it is noticed")
    lines = ("NATS stores nothing: what is sent gets 503", "NATS cannot be used: trying again")
    until(lambda: any(entries(service, line) for line in lines), "that it stores nothing is told")
    (found, *_) = (line for line in lines if entries(service, line))
    assert samples(service)["greenroom_streams_without_leader"] > 0
    return found


async def _goes_on(viewer: ClientConnection) -> None:
    """What was refused may be shown late; what is said now is seen."""
    await say(viewer, "after")
    while (await hear(viewer, 30)).content != "after":
        pass


async def _replaced(
    servers: list[NatsServer], directory: Path, service: Service, viewer: ClientConnection
) -> None:
    """Do what the page about other machines says of a NATS server: the new one has its copies."""
    assert " server cluster peer-remove nats-1" in page("move-to-other-machines")
    peers = tuple(each.routes.port for each in servers if each.routes is not None)
    new = NatsServer(
        directory / "nats-4", "nats-4", routes=Routes(free_port(), peers), extra=ACCOUNTS
    )
    try:
        await asyncio.to_thread(new.start)
        servers[0].stop()
        async with asyncio.timeout(60):
            removed = await _removed(servers[1].url)
        assert json.loads(removed)["success"], removed
        async with _connected(servers[1].url) as client:
            await _until_whole(client)
        assert samples(service)["greenroom_streams_without_leader"] == 0
        await _goes_on(viewer)
    finally:
        new.stop()


async def _removed(url: str) -> bytes:
    """Return what the servers answer who are to forget one, as soon as they have a leader."""
    async with _connected(url, user="system", password="system") as system:
        while True:
            with suppress(nats.errors.TimeoutError):
                asked = b'{"peer": "nats-1"}'
                return (await system.request("$JS.API.SERVER.REMOVE", asked, timeout=5)).data


@asynccontextmanager
async def _connected(url: str, **options: str) -> AsyncIterator[Client]:
    client = await nats.connect(url, **options)
    try:
        yield client
    finally:
        await client.close()


async def _until_whole(client: Client) -> None:
    """Wait until each stream has three copies that are current, none of them on the old one."""
    async with asyncio.timeout(60):
        while True:
            found = await client.jetstream().streams_info()
            named = [
                {copy.name for copy in each.cluster.replicas or () if copy.current}
                | {each.cluster.leader}
                for each in found
                if each.cluster is not None
            ]
            if all(names == {"nats-2", "nats-3", "nats-4"} for names in named):
                return
            await asyncio.sleep(0.2)


# ------------------------------------------------------------------------------- PostgreSQL


def _status_of_creating(service: Service) -> int:
    """Make a room; return the status of the answer."""
    try:
        answer = service.boto3().create_room()
    except ClientError as error:
        answer = error.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def _until_followed(primary: PostgreSQL, follower: PostgreSQL) -> None:
    """Wait until the standby has all that the primary has written."""
    written = primary.sql("SELECT pg_current_wal_lsn()")
    until(
        lambda: follower.sql(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == "t",
        "it has followed",
    )


@contextmanager
def standby(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    """Run a server that follows another one, made by the programs that the page names."""
    server = PostgreSQL()
    shutil.rmtree(server.data)
    try:
        _as_owner("pg_basebackup", "-R", "-d", primary.url(user=SUPERUSER), "-D", server.data)
        server.start(wait=False)
        until(lambda: _follows(server), "it follows")
        yield server
    finally:
        server.remove()


def _follows(server: PostgreSQL) -> bool:
    """Return whether a server answers, and is a standby."""
    try:
        return server.sql("SELECT pg_is_in_recovery()") == "t"
    except ServerFailed:
        return False


def _as_owner(program: str, *told: str | Path) -> None:
    """Run one of PostgreSQL's programs as the server's user."""
    found = prepared(newest()).installation
    user, group = owner()
    done = subprocess.run(
        [found.program(program), *told],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=None if user < 0 else user,
        group=None if group < 0 else group,
        extra_groups=None if group < 0 else [],
    )
    assert done.returncode == 0, done.stderr


async def test_a_standby_takes_over(tmp_path: Path, bus_url: str) -> None:
    """The primary dies: chat goes on, joins and the API wait for the standby, which is promoted."""
    lost, moved = page("when-postgresql-is-lost"), page("move-to-other-machines")
    with postgresql() as old, standby(old) as new:
        there = old.create_database("rooms").replace(
            f":{old.port}/", f":{old.port},127.0.0.1:{new.port}/"
        )
        assert "postgresql://greenroom_node@old.example,new.example/greenroom" in moved
        with node(place(tmp_path, there, bus_url)) as service:
            room = service.boto3().create_room()["arn"]
            token = service.token(room, "newcomer")
            async with viewers([service], room) as (viewer,):
                await asyncio.to_thread(_until_followed, old, new)
                old.kill()
                assert await asyncio.to_thread(_status_of_creating, service) == 503
                assert await status_of(service, token) == 503
                assert await is_heard(viewer, "without")
                assert "store" in failing(service)
                assert entries(service, "store cannot answer")
                assert "pg_ctl promote --pgdata" in moved
                await asyncio.to_thread(_as_owner, "pg_ctl", "promote", "--pgdata", new.data)
                answers = logged(service, "store answers again")
                await until_it_holds(
                    lambda: _status_of_creating(service) == 200 and answers(), "it answers", 30
                )
                await until_it_holds(lambda: not failing(service), "it is ready", 30)
                assert room in [each["arn"] for each in service.boto3().list_rooms()["rooms"]]
                assert await status_of(service, token) == 101
                assert await is_heard(viewer, "with")
    for text in (lost, moved):
        assert "`store cannot answer`" in text
        assert "`store answers again`" in text


_HELD = "BEGIN; LOCK TABLE greenroom.rooms; SELECT pg_sleep(60)"
_HOLDERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
_LET_GO = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


async def test_a_slow_postgresql(tmp_path: Path, bus_url: str) -> None:
    """What waits for it is in the figure; it is answered 503 in the end, and nothing crashes."""
    text = page("when-postgresql-is-lost")
    with (
        postgresql() as server,
        node(place(tmp_path, server.create_database("rooms"), bus_url)) as service,
    ):
        room = service.boto3().create_room()["arn"]
        async with viewers([service], room) as (viewer,):
            with ThreadPoolExecutor(2) as threads:
                held = threads.submit(server.sql, _HELD, "rooms")
                until(lambda: server.sql(_HOLDERS) == "1", "the table is locked")
                asked = threads.submit(_status_of_creating, service)
                until(lambda: samples(service)["greenroom_store_waiting"], "it waits")
                assert await is_heard(viewer, "meanwhile")
                assert await asyncio.to_thread(asked.result) == 503
                assert entries(service, "store cannot answer")
                server.sql(_LET_GO)
                await asyncio.to_thread(held.exception)
            assert _status_of_creating(service) == 200
    assert "`greenroom_store_waiting` says how many calls wait" in text
