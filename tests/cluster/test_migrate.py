"""`greenroom migrate` with real processes: clients notice a pause, and killed commands do no harm.

Covers: greenroom.cli.migrate.command, greenroom.cli.migrate.run, greenroom.bus.nats.states
"""

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.running.buses import until
from tests.running.cluster import Place, hear, nodes, recorded, say, status_of, viewers
from tests.running.command import greenroom
from tests.running.killed import killing
from tests.running.service import Service, environment, running

KILLS = 6
"""How often a command is killed on its way, at steps that a seed draws."""


def migrate(
    *arguments: object, database: str = "", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end; the database's password is in the environment."""
    bare, password = without_password(database) if database else ("", "")
    words = ("migrate", *arguments, *([bare] if bare else []))
    return greenroom(*words, PGPASSWORD=password, **variables)


def without_password(url: str) -> tuple[str, str]:
    """Return a URL as it may stand on a command line, and its password."""
    user, _, rest = url.removeprefix("postgresql://").partition(":")
    password, _, host = rest.partition("@")
    return f"postgresql://{user}@{host}", password


def done(*arguments: object, **variables: str) -> str:
    """Run a command that must work; return what it printed."""
    ended = migrate(*arguments, **variables)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refusal(*arguments: object, **variables: str) -> tuple[int, str]:
    """Run a command that must be refused in one line; return its code and the line."""
    ended = migrate(*arguments, **variables)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.returncode, ended.stderr


def dump(directory: Path) -> list[str]:
    """Return all that a data directory's database holds."""
    with closing(sqlite3.connect(directory / "greenroom.db")) as connection:
        return list(connection.iterdump())


def files(directory: Path) -> dict[str, bytes]:
    """Return what is in the files of a directory.

    But for who holds its lock, and SQLite's index of the log, which every reader makes anew.
    """
    return {
        each.name: each.read_bytes()
        for each in directory.iterdir()
        if each.is_file() and each.name not in {"lock", "greenroom.db-shm"}
    }


def user_of(service: Service) -> Any:
    """Return a client of a user of the service's own, who may list rooms; and the session's."""
    iam = boto3.client("iam", **_options(service))
    iam.create_user(UserName="anna")
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    iam.put_user_policy(UserName="anna", PolicyName="all", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="anna")["AccessKey"]
    sts = boto3.client("sts", **_options(service, key["AccessKeyId"], key["SecretAccessKey"]))
    return key, sts.get_session_token()["Credentials"]


def _options(
    service: Service, key: str = "", secret: str = "", token: str | None = None
) -> dict[str, Any]:
    return {
        "endpoint_url": service.api_url,
        "region_name": "us-east-1",
        "aws_access_key_id": key or service.ready["access_key_id"],
        "aws_secret_access_key": secret or service.ready["secret_access_key"],
        "aws_session_token": token,
    }


def names_seen(service: Service, credentials: dict[str, str]) -> list[str]:
    """Return the names of rooms that somebody with these credentials lists."""
    key, secret = credentials["AccessKeyId"], credentials["SecretAccessKey"]
    options = _options(service, key, secret, credentials.get("SessionToken"))
    rooms = boto3.client("ivschat", **options).list_rooms()["rooms"]
    return sorted(room["name"] for room in rooms)


async def talk(service: Service, room: str, *contents: str) -> None:
    """Say something as a viewer who hears it."""
    async with viewers([service], room) as (viewer,):
        for content in contents:
            await say(viewer, content)
            assert (await hear(viewer)).content == content


async def test_a_service_moves_to_a_cluster_and_back(
    tmp_path: Path, database: str, bus_url: str
) -> None:
    """Keys, sessions, rooms, tokens, chat logs and history go along; each record is logged once."""
    data, back, logs = tmp_path / "data", tmp_path / "back", tmp_path / "chat-logs"
    alone = {"GREENROOM_CHAT_LOG_DIR": str(logs)}
    with running(data, **alone) as service:
        room, keeping = logged_room(service), keeping_room(service)
        key, session = await asyncio.to_thread(user_of, service)
        used, unused = service.token(room), service.token(room, "other")
        assert await status_of(service, used) == 101
        await talk(service, room, "one", "two")
        assert refusal("--from", data, "--to", database=database)[0] == 4
        # Killed before what waits for its log is in it.
        service.kill()
    before = files(data)
    assert str(data / "secrets.key") in done("--from", data, "--to", database=database)
    assert files(data) == before
    cluster = Place(tmp_path, database, bus_url, (data / "secrets.key").read_text().strip())
    with nodes(cluster, 1, chat_log_object_seconds="1") as (node,):
        for credentials in (key, session):
            assert await asyncio.to_thread(names_seen, node, credentials) == ["history", "kept"]
        statuses = [await status_of(node, each) for each in (used, unused, unused)]
        assert statuses == [409, 101, 409]
        await talk(node, room, "three")
        goes_on(node, keeping, "three")
        code, line = refusal("--to", back, "--from", database=database)
        assert (code, "in use by nodes on 127.0.0.1" in line) == (4, True)
        await until(lambda: len(recorded(logs)) == 3)
        assert node.stop() == 0
    variables = {"GREENROOM_STORAGE": database, "GREENROOM_BUS": bus_url}
    done("--to", back, GREENROOM_SECRETS_KEY=cluster.secrets_key, **variables)
    shutil.copy(data / "secrets.key", back)
    with running(back, GREENROOM_CHAT_LOG_OBJECT_SECONDS="1", **alone) as service:
        assert await asyncio.to_thread(names_seen, service, session) == ["history", "kept"]
        assert await status_of(service, unused) == 409
        await talk(service, room, "four")
        goes_on(service, keeping, "four")
        await until(lambda: len(recorded(logs)) == 4)
    assert sorted(recorded(logs)) == ["four", "one", "three", "two"]


SAID = [("one", "DELETED"), ("two", "SHOWN"), ("three", "SHOWN"), ("four", "SHOWN")]
"""What is said in a room that keeps it, and what becomes of it."""


def keeping_room(service: Service) -> str:
    """Return the ARN of a new room that keeps its history, of which it has two messages."""
    tags = {"greenroom:history-messages": "50"}
    room = str(service.boto3().create_room(name="history", tags=tags)["arn"])
    send = service.greenroom().send_message
    first = send(roomIdentifier=room, userId="bob", content="one")["id"]
    service.boto3().delete_message(roomIdentifier=room, id=first)
    goes_on(service, room, "two")
    return room


def goes_on(service: Service, room: str, content: str) -> None:
    """See that a room has all that was said before, say what comes next, and see that, too."""
    # A node that has just begun to read the streams is behind for a moment.
    own = service.greenroom(attempts=5)
    place = [each for each, _ in SAID].index(content)
    for number in (place, place + 1):
        found = own.list_messages(roomIdentifier=room, includeDeleted=True)["messages"]
        assert [(each["content"], each["state"]) for each in reversed(found)] == SAID[:number]
        if number == place:
            own.send_message(roomIdentifier=room, userId="bob", content=content)


def logged_room(service: Service) -> str:
    """Return the ARN of a new room whose chat is logged."""
    target = {"s3": {"bucketName": "logs"}}
    log = service.boto3().create_logging_configuration(destinationConfiguration=target)["arn"]
    room = service.boto3().create_room(name="kept", loggingConfigurationIdentifiers=[log])
    return str(room["arn"])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a service that was stopped: it has rooms."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    with running(directory) as service:
        for number in range(3):
            service.boto3().create_room(name=f"room-{number}", tags={"number": str(number)})
        assert service.stop() == 0
    return directory


def test_killed_at_any_step(
    stopped: Path, database: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The same command once more does it all, wherever the one before was killed; both ways."""
    data, back = Path(shutil.copytree(stopped, tmp_path / "data")), tmp_path / "back"
    bare, password = without_password(database)
    there = ("migrate", "--from", data, "--to", bare)
    home = ("migrate", "--to", back, "--from", bare)
    before = dump(data)
    drawn = random.Random(7)
    with killing(environment(PGPASSWORD=password)) as run:
        for command in (there, home):
            steps = sorted(drawn.sample(range(1, 30), KILLS), reverse=True)
            codes = [run(step, *command) for step in steps]
            assert -9 in codes
            assert set(codes) <= {0, -9}
            assert run(0, *command) == 0
            assert run(0, *command) == 0
    assert dump(back) == dump(data) == before
    shutil.copy(data / "secrets.key", back)
    with running(back) as service:
        assert len(service.boto3().list_rooms()["rooms"]) == 3


def test_what_is_refused(stopped: Path, database: str, bus_url: str, tmp_path: Path) -> None:
    """Places that hold something else, another key, and messages that chat logs have not got."""
    data, other = Path(shutil.copytree(stopped, tmp_path / "data")), tmp_path / "other"
    wrong = {"GREENROOM_SECRETS_KEY": "A" * 43 + "="}
    code, line = refusal("--from", data, "--to", database=database, **wrong)
    assert (code, "sealed with another key" in line) == (10, True)
    done("--from", data, "--to", database=database)
    with running(other) as service:
        service.boto3().create_room()
        assert service.stop() == 0
    code, line = refusal("--from", other, "--to", database=database)
    assert (code, "is not empty (regions 1, rooms 3" in line) == (5, True)
    code, line = refusal("--to", other, "--from", database=database)
    assert (code, "is not empty" in line) == (5, True)
    (other / "greenroom.db").unlink()
    code, line = refusal("--to", other, "--from", database=database)
    assert (code, "is not empty (" in line) == (5, True)
    with closing(sqlite3.connect(data / "greenroom.db")) as connection:
        connection.execute("INSERT INTO secrets VALUES ('old', 'in clear')")
        connection.commit()
    code, line = refusal("--from", data, "--to", database=database)
    assert (code, "keeps secrets in clear" in line) == (6, True)


def test_streams_do_not_move(stopped: Path, database: str, bus_url: str, tmp_path: Path) -> None:
    """What a stream holds must have been read for chat logs, and nothing may be left of before."""
    data = Path(shutil.copytree(stopped, tmp_path / "data"))
    cluster = Place(tmp_path, database, bus_url, (data / "secrets.key").read_text().strip())
    variables = {"GREENROOM_STORAGE": database, "GREENROOM_BUS": bus_url}
    done("--from", data, **variables)
    (tmp_path / "chat-logs").mkdir()
    with nodes(cluster, 1) as (node,):
        asyncio.run(talk(node, node.boto3().list_rooms()["rooms"][0]["arn"], "hello"))
        assert node.stop() == 0
    code, line = refusal("--from", data, **variables)
    assert (code, "messages in 1 of its streams, which" in line) == (12, True)
