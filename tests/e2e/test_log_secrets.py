"""A whole run's log and metrics, at the most talkative level: nothing of what users gave is there.

The process is the real one. Faults that no client can cause are put in by `sitecustomize`: they
raise exceptions whose text is what the user sent.
"""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running.service import Service, running
from tests.running.wire import (
    BINARY,
    CLOSE,
    PATIENCE,
    Api,
    Closed,
    Peer,
    WebSocket,
    api_of,
    client_frame,
    http_bytes,
    signed,
    signed_bytes,
    token_line,
    upgrade_bytes,
)

FAULTS = """
from greenroom.chat.chat import Chat
from greenroom.control.ivschat.operations import HANDLERS
from greenroom.messaging.admission import Admission

async def list_rooms(call):
    raise ValueError(str(call.parameters))

async def delete_message(self, room_arn, message_id, reason, request_id=""):
    raise ValueError(message_id, reason, request_id)

admit = Admission.admit

async def admit_or_crash(self, token, *prepare):
    admitted = await admit(self, token, *prepare)
    if "crash" in admitted[0].attributes:
        raise ValueError(token, admitted)
    return admitted

HANDLERS["ListRooms"] = list_rooms
Chat.delete_message = delete_message
Admission.admit = admit_or_crash
"""

EXPECTED = {
    "ready",
    "request answered",
    "request crashed",
    "handshake refused",
    "handshake crashed",
    "connection opened",
    "connection ended",
    "action refused",
    "action crashed",
    "stopping",
}
"""Lines that the run must leave, or it did not try what it is for."""


class Planted:
    """Makes values that must not be seen again, and remembers them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, what: str) -> str:
        """Return a value of its own for a place where users give one."""
        return self.values.setdefault(what, f"planted{secrets.token_hex(6)}")

    def keep(self, what: str, value: str) -> str:
        """Remember a value that was made elsewhere."""
        self.values[what] = value
        return value

    def found_in(self, text: str) -> list[str]:
        """Return the names of the values that a text holds."""
        return [what for what, value in self.values.items() if value in text]


@pytest.fixture
def planted() -> Planted:
    """Give a memory of planted values."""
    return Planted()


@pytest.fixture
def service(tmp_path: Path, planted: Planted) -> Iterator[Service]:
    """Run a service with faults in it, whose log says all that it ever says."""
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "sitecustomize.py").write_text(FAULTS)
    source = Path(__file__).resolve().parents[2] / "src"
    variables = {
        "PYTHONPATH": f"{tmp_path / 'faults'}:{source}",
        "GREENROOM_LOG_LEVEL": "debug",
        "GREENROOM_LOG_FORMAT": "json",
        "GREENROOM_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
        "GREENROOM_SECRET_ACCESS_KEY": planted("secret access key"),
        "GREENROOM_METRICS_TOKEN": planted("metrics token"),
    }
    with running(tmp_path / "data", **variables) as running_service:
        yield running_service


def test_nothing_of_users_is_logged(service: Service, planted: Planted) -> None:
    """Neither log nor metrics hold content, attributes, names, tokens, secrets or signatures."""
    with api_of(service) as api:
        room = _use_the_api(service, api, planted)
        _use_rooms(service, api, room, planted)
    _send_rubbish(service, planted)
    metrics = _metrics(service, planted)
    assert service.stop() == 0

    text = service.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} >= EXPECTED
    assert planted.found_in(text) == []
    assert planted.found_in(metrics) == []
    _assert_named(lines, room)


def _assert_named(lines: list[dict[str, Any]], room: str) -> None:
    """Lines say which request or which connection they are about."""
    for line in lines:
        if line["event"].startswith("request"):
            assert line["request_id"]
        if line["event"].startswith(("connection", "action")):
            assert line["room"] == room
            assert line["connection"]
    (crashed,) = [line for line in lines if line["event"] == "request crashed"]
    assert (crashed["operation"], crashed["account"]) == ("ListRooms", "123456789012")
    about = [line["operation"] for line in lines if line.get("resource") == room]
    assert about[:2] == ["CreateRoom", "SendEvent"]


def _use_the_api(service: Service, api: Api, planted: Planted) -> str:
    """Make requests that succeed, that are refused and that crash; return a room."""
    room = api.room(name=planted("room name"), tags={planted("tag key"): planted("tag value")})
    api.call(
        "SendEvent",
        roomIdentifier=room,
        eventName=planted("event name"),
        attributes={planted("event key"): planted("event value")},
    )
    refused = (
        ("GetRoom", {"identifier": planted("bad arn")}),
        ("CreateRoom", {"name": planted("bad name") + "!?"}),
        ("CreateRoom", {planted("unknown member"): "x"}),
        ("SendEvent", {"roomIdentifier": room, "eventName": 1, planted("k"): planted("v")}),
        ("DisconnectUser", {"roomIdentifier": room + "x", "userId": planted("unknown user")}),
        ("ListRooms", {"name": planted("crash name")}),
    )
    statuses = [api.request(operation, **given).status for operation, given in refused]
    assert statuses[-1] == 500
    assert set(statuses) <= {200, 400, 404, 500}
    body = b"{" + planted("malformed body").encode()
    with Peer(service) as peer:
        for data in (
            signed_bytes(service, "POST", "/CreateRoom", body),
            signed_bytes(service, "POST", "/" + planted("path"), b"{}", planted("query") + "=1"),
            _badly_signed(service, planted),
        ):
            peer.send(data)
            assert peer.read_answer().status in {400, 403, 404}
    return room


def _badly_signed(service: Service, planted: Planted) -> bytes:
    """Return a request whose good signature is remembered, and whose body is another."""
    data = signed(service, "CreateRoom", name="one")
    signature = data.partition(b"Signature=")[2].partition(b"\r\n")[0].decode()
    planted.keep("signature", signature)
    return data.replace(b'"one"', b'"two"').replace(
        b"\r\n\r\n", b"\r\nx-more: %b\r\n\r\n" % planted("header").encode()
    )


def _use_rooms(service: Service, api: Api, room: str, planted: Planted) -> None:
    """Send, be refused, crash, be kicked, and be refused an upgrade."""
    token = planted.keep("token", api.token(room, planted("user"), attributes=_attributes(planted)))
    with WebSocket.connect(service, token) as talker:
        attributes = {planted("message key"): planted("message value")}
        talker.say(
            Action="SEND_MESSAGE",
            RequestId=planted("request id"),
            Content=planted("content"),
            Attributes=attributes,
        )
        assert talker.read_json()["Content"] == planted("content")
        message = planted.keep("message id", secrets.token_hex(6))
        for action in (
            {"Action": planted("action")},
            {"Action": "SEND_MESSAGE", "Content": planted("long") * 200},
            {"Action": "DELETE_MESSAGE", "Id": message, "Reason": planted("reason")},
        ):
            talker.say(RequestId=planted("refused id"), **action)
            assert talker.read_json()["Type"] == "ERROR"
        talker.send(client_frame(planted("not JSON").encode()))
        assert talker.read_json()["ErrorCode"] == 400
        reason = planted("kick reason")
        talker.say(Action="DISCONNECT_USER", UserId=planted("user"), Reason=reason)
        assert talker.read_json()["EventName"] == "aws:DISCONNECT_USER"
        assert talker.read_frame().close_reason == reason
    crashing = api.token(room, planted("crashing user"), attributes={"crash": planted("crash")})
    bad = (token, planted.keep("crashing token", crashing), planted("bad") + "." + "bad", token[1:])
    statuses = []
    for given in bad:
        with WebSocket(service) as refused:
            statuses.append(refused.upgrade(given).status)
    assert statuses[:3] == [409, 500, 400]
    for data in (
        client_frame(planted("binary").encode(), BINARY),
        client_frame(planted("unmasked").encode(), mask=None),
        client_frame(b"\xff" + planted("not text").encode()),
        client_frame(b"\x03\xe8" + planted("close reason").encode(), CLOSE),
    ):
        with WebSocket.connect(service, api.token(room, planted("other user"))) as peer:
            peer.send(data)
            assert peer.read_frame().first == CLOSE


def _attributes(planted: Planted) -> dict[str, str]:
    return {planted("token key"): planted("token value")}


def _send_rubbish(service: Service, planted: Planted) -> None:
    """Send what is no request at all, and upgrades that are wrong."""
    for data in (
        planted("rubbish").encode() + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + planted("bad header").encode() + b"\r\n\r\n",
        http_bytes("POST", "/" + planted("unsigned"), {"authorization": planted("authorization")}),
        http_bytes("GET", "/metrics", {"authorization": "Bearer " + planted("wrong token")}),
        upgrade_bytes(token_line(planted("no token") + ", " + planted("second token"))),
        upgrade_bytes(b"X-More: " + planted("upgrade header").encode()),
    ):
        with Peer(service) as peer:
            # Nobody is answered for sure who ends his side before.
            peer.send(data)
            try:
                assert peer.read_answer().status >= 400
            except Closed as error:
                raise AssertionError(data) from error


def _metrics(service: Service, planted: Planted) -> str:
    """Return the metrics once they tell that every connection has ended."""
    authorization = {"authorization": "Bearer " + planted("metrics token")}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with Peer(service) as peer:
            peer.send(http_bytes("GET", "/metrics", authorization))
            answer = peer.read_answer()
        assert answer.status == 200
        if b"\nivschat_concurrent_chat_connections 0.0\n" in answer.body:
            return answer.body.decode()
        time.sleep(0.01)
    raise AssertionError("connections remain")
