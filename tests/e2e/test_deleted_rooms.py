"""A room is deleted under its viewers, who stay: what ends connections reaches them yet."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.running.command import greenroom
from tests.running.service import Service, running
from tests.running.wire import Api, WebSocket, api_of


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service of the test's own."""
    with running(tmp_path / "data") as service:
        yield service


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    """Return a client of the control plane."""
    with api_of(service) as api:
        yield api


def admin(service: Service, *words: str) -> str:
    """Return what `greenroom admin` prints, with the root's key."""
    done = greenroom(
        *("admin", *words, "--endpoint-url", service.api_url),
        AWS_ACCESS_KEY_ID=service.ready["access_key_id"],
        AWS_SECRET_ACCESS_KEY=service.ready["secret_access_key"],
    )
    assert done.returncode == 0, done
    return done.stdout


def test_disconnect_user(service: Service, api: Api) -> None:
    """By the API and by a moderator who is there; everybody sees the event, as ever."""
    room, other = api.room(), api.room()
    with ExitStack() as stack:
        ann, bob, moderator = (
            stack.enter_context(WebSocket.connect(service, api.token(room, user)))
            for user in ("ann", "bob", "moderator")
        )
        api.call("DeleteRoom", identifier=room)
        assert api.request("GetRoom", identifier=room).status == 404
        bob.say(Action="SEND_MESSAGE", Content="hello", RequestId="1")
        assert bob.read_json()["ErrorCode"] == 404
        api.call("DisconnectUser", roomIdentifier=room, userId="ann", reason="over")
        for viewer in (ann, bob, moderator):
            event = viewer.read_json()
            assert (event["EventName"], event["Attributes"]["UserId"]) == (
                "aws:DISCONNECT_USER",
                "ann",
            )
        assert ann.read_close() == (1000, "over")
        moderator.say(Action="DISCONNECT_USER", UserId="bob", RequestId="2")
        assert bob.read_json()["EventName"] == "aws:DISCONNECT_USER"
        bob.read_close()
        assert api.request("SendEvent", roomIdentifier=room, eventName="e").status == 404
    unknown = other[:-4] + ("AAAA" if other[-4:] != "AAAA" else "BBBB")
    assert api.request("DisconnectUser", roomIdentifier=unknown, userId="ann").status == 404


def test_killed_keys_and_suspension(service: Service, api: Api) -> None:
    """A suspended account's viewers are refused as such; a killed key ends its connections."""
    room = api.room()
    with WebSocket.connect(service, api.token(room)) as viewer:
        api.call("DeleteRoom", identifier=room)
        admin(service, "account", "suspend")
        for action in ({"Action": "SEND_MESSAGE", "Content": "hello"},) * 2 + (
            {"Action": "DISCONNECT_USER", "UserId": "ann"},
        ):
            viewer.say(**action, RequestId="1")
            assert viewer.read_json()["ErrorCode"] == 403
        killed = admin(service, "token-keys", "list").splitlines()[1].split()[0]
        admin(service, "token-keys", "kill", killed)
        assert viewer.read_json()["Type"] == "ERROR"
        viewer.read_close()
