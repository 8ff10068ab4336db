"""Rooms that delay or are paused, by the real process: what waits outlasts it, and appears once."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running.service import Service, start
from tests.running.wire import WebSocket, api_of

MODERATOR = ["SEND_MESSAGE", "DELETE_MESSAGE", "greenroom:MODERATE"]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Service]]:
    """Give a service that a test may end, and start again."""
    made = [start(tmp_path / "data")]
    yield made
    made[-1].kill()


def again(services: list[Service], tmp_path: Path) -> Service:
    """Start it again."""
    services.append(start(tmp_path / "data"))
    return services[-1]


def say(who: WebSocket, content: str) -> Any:
    """Send a message; return what comes next."""
    who.say(Action="SEND_MESSAGE", Content=content)
    return who.read_json()


def logging(service: Service) -> str:
    """Return a configuration whose records go to files."""
    created = service.boto3().create_logging_configuration(
        destinationConfiguration={"s3": {"bucketName": "on-disk"}}
    )
    return str(created["arn"])


def records(directory: Path) -> list[Any]:
    """Return what all chat logs in files have recorded, in their order."""
    return [
        json.loads(line)["payload"]
        for path in sorted(directory.rglob("*.log.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def messages(who: WebSocket, number: int) -> list[str]:
    """Return the contents of the next messages, passing over events."""
    found: list[str] = []
    while len(found) < number:
        frame = who.read_json()
        if frame["Type"] == "MESSAGE":
            found.append(frame["Content"])
    return found


def test_what_waits_outlasts_a_kill(services: list[Service], tmp_path: Path) -> None:
    """It is released by the next process, in order, once: to viewers, history and chat logs."""
    service = services[0]
    logs = [logging(service)]
    tags = {"greenroom:delay-seconds": "2", "greenroom:history-messages": "10"}
    room = service.boto3().create_room(tags=tags, loggingConfigurationIdentifiers=logs)["arn"]
    with WebSocket.connect(service, service.token(room, "bob")) as bob:
        sent = [say(bob, str(number)) for number in range(4)]
        assert [each["Content"] for each in sent] == ["0", "1", "2", "3"]
        with api_of(service) as api:
            api.call("DeleteMessage", roomIdentifier=room, id=sent[1]["Id"])
        service.kill()
    service = again(services, tmp_path)
    with WebSocket.connect(service, service.token(room, "eve")) as eve:
        shown = [eve.read_json() for _ in range(3)]
        assert shown == [sent[0], sent[2], sent[3]]
        service.boto3().send_event(roomIdentifier=room, eventName="end")
        assert eve.read_json()["EventName"] == "end"
    listed = service.greenroom().list_messages(roomIdentifier=room)["messages"]
    assert [each["id"] for each in reversed(listed)] == [each["Id"] for each in shown]
    assert service.stop() == 0
    found = records(tmp_path / "data" / "chat-logs")
    assert [each for each in found if each["Type"] == "MESSAGE"] == shown


def test_a_pause_over_a_restart(services: list[Service], tmp_path: Path) -> None:
    """Typed by a moderator; what was written before an orderly end waits on behind it."""
    service = services[0]
    room = service.boto3().create_room()["arn"]
    token = service.token(room, "mod", capabilities=MODERATOR)
    with WebSocket.connect(service, token) as judge:
        judge.say(Action="SEND_MESSAGE", Content="/pause 200s", RequestId="1")
        assert judge.read_json()["Content"] == "paused true"
        with WebSocket.connect(service, service.token(room, "bob")) as bob:
            assert [say(bob, word)["Content"] for word in ("1", "2")] == ["1", "2"]
        assert service.stop() == 0
    service = again(services, tmp_path)
    token = service.token(room, "mod", capabilities=MODERATOR)
    with (
        WebSocket.connect(service, token) as judge,
        WebSocket.connect(service, service.token(room, "eve")) as eve,
    ):
        assert say(judge, "still paused")["Content"] == "still paused"
        assert messages(eve, 1) == ["still paused"]
        assert say(judge, "/resume")["Content"] == "paused as by default"
        assert messages(eve, 2) == ["1", "2"]
        assert messages(judge, 2) == ["1", "2"]
        assert say(judge, "/pause")["Content"] == "paused true"
        assert say(eve, "3")["Content"] == "3"
        answer = say(judge, "/resume discard")
        assert answer["Content"] == "paused as by default, what waited is deleted"
        assert eve.read_json()["EventName"] == "aws:DELETE_MESSAGE"
        assert say(judge, "over")["Content"] == "over"
        assert messages(eve, 1) == ["over"]
