"""A node runs with the rights of `deploy/nats/account.conf` and `deploy/postgresql/roles.sql`.

They let it do all that it does, and nothing that it does not.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import nats.errors
import pytest

from greenroom.bus.base import About
from greenroom.bus.nats import subjects
from greenroom.bus.nats.bus import LEADERS
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import PASSWORD, SUPERUSER, newest
from tests.running.buses import until
from tests.running.cluster import hear, nodes, place, say, viewers
from tests.running.said import assert_no_faults, failing
from tests.running.servers import HASTY
from tests.running.service import environment

DEPLOY = Path(__file__).parents[2] / "deploy"
ACCOUNT = DEPLOY / "nats" / "account.conf"
OWNER, NODE = "it's the owner's", "it's the nodes'"


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL in which the file was run."""
    with postgresql(settings=HASTY) as server:
        login = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": SUPERUSER}
        passwords = {"PGPASSWORD": PASSWORD, "OWNER_PASSWORD": OWNER, "NODE_PASSWORD": NODE}
        subprocess.run(
            [
                newest().program("psql"),
                "-Xq",
                "-d",
                "postgres",
                "-f",
                DEPLOY / "postgresql/roles.sql",
            ],
            env={**os.environ, **login, **passwords},
            check=True,
        )
        yield server


def url(server: PostgreSQL, user: str, password: str) -> str:
    """Return the URL of the database for a role."""
    return server.url("greenroom", user, password.replace("'", "%27").replace(" ", "%20"))


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Give a server that includes the file."""
    directory = tmp_path_factory.mktemp("nats")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GREENROOM_NATS_PASSWORD", PASSWORD)
        (directory / "account.conf").write_text(ACCOUNT.read_text())
        server = NatsServer(directory, extra='include "account.conf"\n')
        server.start()
        yield server
        server.stop()


def bus_url(server: NatsServer) -> str:
    """Return the setting `bus` of a node."""
    return server.url.replace("://", f"://greenroom:{PASSWORD}@")


async def test_nodes_run_with_them(database: PostgreSQL, bus: NatsServer, tmp_path: Path) -> None:
    """Rooms, chat, moderation, history, logs, a lost server: NATS and PostgreSQL refuse nothing."""
    shared = place(tmp_path, url(database, "greenroom_node", NODE), bus_url(bus))
    owner = {"GREENROOM_STORAGE": url(database, "greenroom_owner", OWNER)}
    init = [sys.executable, "-m", "greenroom", "cluster", "init"]
    made = {**environment(**shared.variables()), **owner}
    await asyncio.to_thread(subprocess.run, init, env=made, cwd=tmp_path, check=True)
    with nodes(shared, 2, chat_log_object_seconds="1") as services:
        api = services[0].boto3()
        log = {"s3": {"bucketName": "logs"}}
        log_arn = api.create_logging_configuration(destinationConfiguration=log)["arn"]
        room = api.create_room(loggingConfigurationIdentifiers=[log_arn])["arn"]
        own = services[1].greenroom()
        own.update_room_settings(roomIdentifier=room, settings={"historyMessages": 9})
        async with viewers(services, room) as watching:
            users = own.list_users(roomIdentifier=room)["users"]
            assert [each["userId"] for each in users] == ["user-0", "user-1"]
            await say(watching[0], "before")
            assert {(await hear(each)).content for each in watching} == {"before"}
            retry = services[1].greenroom(attempts=9)
            kept = await asyncio.to_thread(retry.list_messages, roomIdentifier=room)
            assert [each["content"] for each in kept["messages"]] == ["before"]
            bus.kill()
            bus.start()
            await until(lambda: not any(map(failing, services)))
            await say(watching[1], "after")
            assert {(await hear(each)).content for each in watching} == {"after"}
            services[1].boto3().disconnect_user(roomIdentifier=room, userId="user-0")
            await asyncio.wait_for(watching[0].wait_closed(), 10)
        await until(lambda: list((tmp_path / "chat-logs").rglob("*.gz")))
        services[1].boto3().delete_room(identifier=room)
        for service in services:
            assert service.stop() == 0
            assert_no_faults(service)
    assert "Violation" not in bus.log.read_text()


async def test_nodes_can_do_nothing_else_in_nats(bus: NatsServer) -> None:
    """They delete and change no stream, make no other, and hear nobody else's answers."""
    refused: list[Exception] = []

    async def note(error: Exception) -> None:
        refused.append(error)

    client = await nats.connect(bus_url(bus), error_cb=note)
    for subject in (
        "$JS.API.STREAM.DELETE.ROOMS_00",
        "$JS.API.STREAM.PURGE.ROOMS_00",
        "$JS.API.STREAM.UPDATE.ROOMS_00",
        "$JS.API.STREAM.CREATE.OTHER",
        "$JS.API.CONSUMER.CREATE.ROOMS_00",
        "$JS.API.STREAM.MSG.DELETE.ROOMS_00",
        "anything",
    ):
        await client.publish(subject, b"{}")
    for subject in (">", "_INBOX.>", "$JS.ACK.>"):
        _ = await client.subscribe(subject)
    await client.flush()
    await until(lambda: len(refused) == 10)
    assert all("permissions violation" in str(each) for each in refused)
    await client.close()


def test_what_the_account_may_is_what_the_service_uses() -> None:
    """The file names the subjects and the streams that the code does."""
    text = re.sub(r"#.*", "", ACCOUNT.read_text())
    found = set(re.findall(r'"([^"]+)"', text))
    streams = [*map(subjects.stream_name, range(subjects.STREAMS)), subjects.CONTROL_STREAM]
    asked = {f"$JS.API.{each}.*" for each in ("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET")}
    assert found == {
        *("gr.*.*", "gd.*.*", f"{subjects.inbox('*')}*", LEADERS),
        *(subjects.CONTROL, subjects.CONTROL_DELIVERED),
        *(subjects.ANNOUNCEMENTS + about for about in About),
        *(f"$JS.API.STREAM.CREATE.{name}" for name in streams),
        *asked,
    }


async def test_nodes_can_do_nothing_else_in_postgresql(database: PostgreSQL) -> None:
    """They make, change and empty no table, and see no other schema."""
    await (await PostgresStore.open(url(database, "greenroom_owner", OWNER))).close()
    connection = await asyncpg.connect(url(database, "greenroom_node", NODE))
    for statement in (
        "CREATE TABLE greenroom.other (a int)",
        "CREATE TABLE public.other (a int)",
        "CREATE TEMPORARY TABLE other (a int)",
        "CREATE SCHEMA other",
        "DROP TABLE greenroom.rooms",
        "TRUNCATE greenroom.rooms",
        "ALTER TABLE greenroom.rooms ADD COLUMN other int",
        "SELECT setval('greenroom.journal_sequence_seq', 1)",
        "COPY greenroom.rooms TO PROGRAM 'cat'",
        "CREATE ROLE other",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
