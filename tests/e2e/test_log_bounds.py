"""What others can have written to the log: a few lines, whatever they do, that say who it was."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running.said import entries
from tests.running.service import Service, running
from tests.running.wire import WebSocket, api_of, client_frame, token_line, upgrade_bytes

TIMES = 60


def refused(service: Service, _room: str) -> None:
    """Ask for an upgrade without a token."""
    with WebSocket(service) as peer:
        peer.send(upgrade_bytes())
        assert peer.read_answer().status == 401


def malformed(service: Service, _room: str) -> None:
    """Ask for an upgrade with what is no token."""
    with WebSocket(service) as peer:
        peer.send(upgrade_bytes(token_line("no token")))
        assert peer.read_answer().status == 400


def ended(service: Service, room: str) -> None:
    """Send what ends the connection."""
    with WebSocket.connect(service, service.token(room)) as peer:
        peer.send(client_frame(b"\xff"))
        assert peer.read_frame().close_code == 1007


def told(service: Service) -> list[dict[str, Any]]:
    """Return the lines about connections."""
    return [*entries(service, "handshake refused"), *entries(service, "connection ended")]


@pytest.mark.parametrize(
    ("cause", "event"),
    [
        (refused, "handshake refused"),
        (malformed, "handshake refused"),
        (ended, "connection ended"),
    ],
)
def test_lines_are_few_and_say_who(
    tmp_path: Path, cause: Callable[[Service, str], None], event: str
) -> None:
    """However often something is refused or ends, two lines count it all, with the address."""
    with running(tmp_path, GREENROOM_LOG_FORMAT="json") as service:
        room = str(service.boto3().create_room()["arn"])
        for _ in range(TIMES):
            cause(service, room)
        assert service.stop() == 0
    lines = told(service)
    assert {line["event"] for line in lines} == {event}
    assert len(lines) <= 3
    assert sum(line["times"] for line in lines) == TIMES
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    if event == "connection ended":
        assert {line["room"] for line in lines} == {room}


def test_a_refused_token_names_its_room(tmp_path: Path) -> None:
    """Where the token's seal is good, the line says which room it is about."""
    with running(tmp_path, GREENROOM_LOG_FORMAT="json") as service, api_of(service) as api:
        rooms = [api.room() for _ in range(2)]
        for room, times in zip(rooms, (1, 4), strict=True):
            token = api.token(room)
            with WebSocket.connect(service, token):
                for _ in range(times):
                    with WebSocket(service) as again:
                        assert again.upgrade(token).status == 409
        assert service.stop() == 0
    lines = told(service)
    assert [line["room"] for line in lines] == rooms
    assert Counter(line["reason"] for line in lines) == {"token_used": 2}
    assert [line["times"] for line in lines] == [1, 4]
