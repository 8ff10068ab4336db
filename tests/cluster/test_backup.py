"""A cluster is backed up and restored by the commands of `docs/howto/back-up-a-cluster.md`."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL
from scripts.servers.postgresql_installation import PASSWORD, SUPERUSER, USER, newest
from tests.running.buses import until
from tests.running.cluster import Place, hear, nodes, place, recorded, say, status_of, viewers
from tests.running.pages import commands
from tests.running.servers import new_account
from tests.running.service import Service

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "back-up-a-cluster.md"


def run(text: str, server: PostgreSQL, directory: Path, **names: str) -> None:
    """Run a block, with the names of the test's databases and roles in place of the page's."""
    for name, ours in names.items():
        text = re.sub(rf"\b{name}\b(?!\.dump)", ours, text)
    path = f"{newest().program('psql').parent}{os.pathsep}{os.environ['PATH']}"
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": SUPERUSER}
    subprocess.run(
        ["sh", "-euc", text],
        cwd=directory,
        env={**os.environ, **login, "PGPASSWORD": PASSWORD, "PATH": path},
        check=True,
    )


async def talk(service: Service, room: str, content: str) -> None:
    """Say something as a viewer who hears it."""
    async with viewers([service], room) as (viewer,):
        await say(viewer, content)
        assert (await hear(viewer)).content == content


def history(node: Service, room: str) -> list[str]:
    """Return what the messages say that a room keeps, the newest first."""
    # A node that has just begun to read the streams is behind for a moment.
    found = node.greenroom(attempts=5).list_messages(roomIdentifier=room)["messages"]
    return [each["content"] for each in found]


async def test_a_dump_restored_with_empty_streams(
    tmp_path: Path, database: str, postgresql_newest: PostgreSQL, nats_r1: list[NatsServer]
) -> None:
    """Rooms and used tokens are those of the dump, and nothing is delivered a second time."""
    name, logs = database.rpartition("/")[2], tmp_path / "chat-logs"
    before = place(tmp_path, database, new_account(nats_r1))
    with nodes(before, 1, chat_log_object_seconds="1") as (node,):
        log = {"s3": {"bucketName": "logs"}}
        api = node.boto3()
        log_arn = api.create_logging_configuration(destinationConfiguration=log)["arn"]
        room = api.create_room(
            name="kept",
            loggingConfigurationIdentifiers=[log_arn],
            tags={"greenroom:history-messages": "50"},
        )["arn"]
        await talk(node, room, "one")
        await until(lambda: recorded(logs) == ["one"])
        assert history(node, room) == ["one"]
        used, unused = node.token(room), node.token(room)
        assert await status_of(node, used) == 101
        await asyncio.to_thread(
            run, commands(PAGE, "(umask"), postgresql_newest, tmp_path, greenroom=name
        )
        api.create_room(name="later")
    names = {"greenroom_owner": USER, "greenroom_restored": f"{name}_restored"}
    await asyncio.to_thread(run, commands(PAGE, "createdb"), postgresql_newest, tmp_path, **names)
    after = Place(tmp_path, f"{database}_restored", new_account(nats_r1), before.secrets_key)
    with nodes(after, 1, chat_log_object_seconds="1") as (node,):
        assert [each["name"] for each in node.boto3().list_rooms()["rooms"]] == ["kept"]
        assert await status_of(node, used) == 409
        assert await status_of(node, unused) == 101
        assert history(node, room) == ["one"]
        await talk(node, room, "two")
        assert history(node, room) == ["two", "one"]
        await until(lambda: len(recorded(logs)) >= 2)
        assert node.stop() == 0
    assert sorted(recorded(logs)) == ["one", "two"]
    postgresql_newest.drop_database(f"{name}_restored")
