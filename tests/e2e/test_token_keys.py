"""Keys of chat tokens on the real process: rotated, killed, kept over restarts, by the command.

Covers: greenroom.control.greenroom.token_keys
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.running.command import greenroom
from tests.running.said import ends
from tests.running.service import Service, running, start
from tests.running.wire import (
    CLOSE,
    Answer,
    Api,
    Peer,
    WebSocket,
    api_of,
    http_bytes,
    signed_bytes,
)

PATH = "/greenroom/token-keys/"
ACCOUNT = "/greenroom/account/"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
LINE = re.compile(rf"(\S+) +(current|retired) +{TIME}  (-|{TIME})")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service of the test's own."""
    with running(
        tmp_path / "data", GREENROOM_LOG_LEVEL="debug", GREENROOM_LOG_FORMAT="json"
    ) as service:
        yield service
        assert "crashed" not in service.log.read_text()


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    """Return a client of the control plane."""
    with api_of(service) as api:
        yield api


def command(
    service: Service, *words: str, code: int = 0, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `greenroom admin token-keys` against the service."""
    keys = {
        "AWS_ACCESS_KEY_ID": service.ready["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": service.ready["secret_access_key"],
    }
    to = ("--endpoint-url", service.api_url)
    done = greenroom("admin", "token-keys", words[0], *to, *words[1:], **(keys | variables))
    assert done.returncode == code, done
    return done


def keys_of(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the keys that were listed, the current one first."""
    found = [LINE.fullmatch(line) for line in done.stdout.splitlines()[1:]]
    assert all(found)
    assert [match[2] == "current" for match in found if match] == [True] + [False] * (
        len(found) - 1
    )
    return [match[1] for match in found if match]


def test_rotation(service: Service, api: Api) -> None:
    """Tokens and pages of the old key stay good, connections stay, and new ones come in."""
    room, *_ = [api.room() for _ in range(60)]
    page = api.call("ListRooms", maxResults=50)["nextToken"]
    old = api.token(room, "old")
    with WebSocket.connect(service, api.token(room, "there")) as there:
        (first,) = keys_of(command(service, "list"))
        second, *others = keys_of(command(service, "rotate"))
        assert others == [first]
        with (
            WebSocket.connect(service, old) as one,
            WebSocket.connect(service, api.token(room, "new")) as two,
        ):
            api.call("SendEvent", roomIdentifier=room, eventName="all here")
            for each in (there, one, two):
                assert each.read_json()["EventName"] == "all here"
        assert len(api.call("ListRooms", maxResults=50, nextToken=page)["rooms"]) == 10
    assert keys_of(command(service, "list")) == [second, first]
    assert not ends(service)["revoked"]


def test_a_killed_key(service: Service, api: Api) -> None:
    """CVE-2026-9162: what it sealed is refused and its connections end at once, others stay.

    A client is told as when its session is over, so that the official SDKs come back with a new
    token. After a restart the key is still gone.
    """
    room, *_ = [api.room() for _ in range(60)]
    page = api.call("ListRooms", maxResults=50)["nextToken"]
    with ExitStack() as stack:
        old = [
            stack.enter_context(WebSocket.connect(service, api.token(room, f"{number}")))
            for number in range(5)
        ]
        unused = api.token(room, "unused")
        (killed,) = keys_of(command(service, "list"))
        command(service, "rotate")
        new = stack.enter_context(WebSocket.connect(service, api.token(room, "new")))
        assert killed not in keys_of(command(service, "kill", killed))
        for each in old:
            error = each.read_json()
            assert (error["Type"], error["ErrorCode"]) == ("ERROR", 401)
            assert "expired" in error["ErrorMessage"]
            frame = each.read_frame()
            assert (frame.first, frame.close_code) == (CLOSE, 1000)
            assert json.loads(frame.close_reason)["ErrorCode"] == 401
        with WebSocket(service) as late:
            assert late.upgrade(unused).status == 403
        assert api.request("ListRooms", maxResults=50, nextToken=page).status == 400
        api.call("SendEvent", roomIdentifier=room, eventName="still here")
        assert new.read_json()["EventName"] == "still here"
    assert ends(service)["revoked"] == 5
    good = api.token(room, "good")
    service.kill()
    again = start(Path(service.ready["data_dir"]))
    try:
        with WebSocket(again) as late:
            assert late.upgrade(unused).status == 403
        WebSocket.connect(again, good).socket.close()
    finally:
        again.kill()


def test_killing_the_current_key_makes_another(service: Service, api: Api) -> None:
    """The service goes on with a new key, with no moment without one."""
    room = api.room()
    with WebSocket.connect(service, api.token(room)) as old:
        (killed,) = keys_of(command(service, "list"))
        (fresh,) = keys_of(command(service, "kill", killed))
        assert fresh != killed
        assert old.read_json()["ErrorCode"] == 401
        WebSocket.connect(service, api.token(room)).socket.close()


def test_commands_that_are_refused(service: Service) -> None:
    """A key that is not there, a wrong access key, no service: one line and the documented code."""
    refused = command(service, "kill", "none", code=8)
    assert "There is no token key of that id" in refused.stderr
    wrong = command(service, "list", code=8, AWS_SECRET_ACCESS_KEY="x" * 40)
    assert "SignatureDoesNotMatch" in wrong.stderr or "InvalidSignature" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1
    command(service, "list", "--endpoint-url", "nonsense", code=2)


def ask(service: Service, request: bytes) -> Answer:
    """Return the answer to a request."""
    with Peer(service) as peer:
        peer.send(request)
        return peer.read_answer()


def test_only_the_root_key_and_the_right_service_are_let_in(service: Service) -> None:
    """Without a signature, or with one for the API, nothing is told or changed."""
    for path in (*(PATH + each for each in ("list", "rotate", "kill")), ACCOUNT + "suspend"):
        plain = http_bytes("POST", path, {"host": "h"}, b"{}")
        assert ask(service, plain).status == 403
        for scope in ("ivschat", "iam", "sts"):
            other = signed_bytes(service, "POST", path, b"{}", scope=scope)
            assert ask(service, other).status == 403
    assert len(keys_of(command(service, "list"))) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", PATH + "list", b"", 400),
        ("GET", ACCOUNT + "suspend", b"", 400),
        ("POST", "/greenroom/", b"", 400),
        ("POST", ACCOUNT + "show", b"", 200),
        ("POST", PATH, b"", 400),
        ("POST", PATH + "nothing", b"", 400),
        ("POST", PATH + "kill", b"", 400),
        ("POST", PATH + "kill", b"[]", 400),
        ("POST", PATH + "kill", b'{"keyId": 7}', 400),
        ("POST", PATH + "kill", b'{"keyId": "' + b"x" * 5000 + b'"}', 400),
        ("POST", PATH + "kill", b'{"keyId": "' + b"x" * 70_000 + b'"}', 413),
        ("POST", PATH + "kill", b'{"keyId": "\xff"}', 400),
        ("POST", PATH + "list", b"", 200),
    ],
)
def test_requests(
    service: Service,
    method: str,
    path: str,
    body: bytes,
    status: int,
) -> None:
    """Every other request is answered with what is wrong about it."""
    request = signed_bytes(service, method, path, body, scope="greenroom")
    assert ask(service, request).status == status
