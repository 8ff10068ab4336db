"""Message review by the real process: a Lambda endpoint, an HTTP endpoint, a Python function."""

import contextlib
import hmac
import http.server
import itertools
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.running.service import Service, running
from tests.stand_ins.lambda_endpoint import (
    ENVIRONMENT,
    Event,
    LambdaEndpoint,
    Raw,
    Refusal,
    Server,
    arn,
    lambda_endpoint,
)

PATIENCE = 20.0
"""Far more than anything takes; a busy machine must not fail a test."""

LIMIT_MILLISECONDS = 1_500
"""Longer than AWS's: what is not slow on purpose must not become it on a busy machine."""

SECRET = "secret-of-the-endpoint"
CONTENT = "planted-content"
REJECTED = "The request was rejected during message review."
MODULE = """
async def review(event):
    return {"ReviewResult": "ALLOW", "Content": "python: " + event["Content"]}

def denies(event):
    return {"ReviewResult": "DENY", "Attributes": {"Reason": "by python"}}

def as_in_lambda(event, context):
    content = f"{context.function_name}: {event['Content']}"
    return {"ReviewResult": "ALLOW", "Content": content}
"""

_hanging = threading.Event()


def edits(event: Event, context: Any) -> object:
    """Change content and attributes."""
    attributes = {**event["Attributes"], "reviewed": "yes"}
    return {"ReviewResult": "ALLOW", "Content": event["Content"] + "!", "Attributes": attributes}


def denies(event: Event, context: Any) -> object:
    """Deny with a reason, as the documentation does."""
    return {"ReviewResult": "DENY", "Attributes": {"Reason": "denied for moderation"}}


def hangs(event: Event, context: Any) -> object:
    """Answer when the tests are over."""
    _hanging.wait()
    return edits(event, context)


def staggers(event: Event, context: Any) -> object:
    """Answer the sooner, the later the message came."""
    time.sleep(0.02 * (5 - int(event["Content"]) % 5))
    return {"ReviewResult": "ALLOW", "Content": event["Content"]}


def broken(event: Event, context: Any) -> object:
    """Fail as code fails."""
    raise KeyError(event["Content"])


def refuses(status: int, name: str) -> Any:
    """Return a function that the Lambda service does not run."""

    def refuse(event: Event, context: Any) -> object:
        raise Refusal(status, name)

    return refuse


def answers(answer: object) -> Any:
    """Return a function with a fixed answer."""
    return lambda event, context: answer


FAILING = {
    "slow": hangs,
    "status-500": refuses(500, "ServiceException"),
    "throttled": refuses(429, "TooManyRequestsException"),
    "function-error": broken,
    "bad-json": answers(Raw(b'{"ReviewResult":"ALLOW","Content":')),
    "nothing": answers(None),
    "no-result": answers({"Content": "ok"}),
    "too-long": answers({"ReviewResult": "ALLOW", "Content": "x" * 501}),
    "too-many-attributes": answers(
        {"ReviewResult": "ALLOW", "Content": "x", "Attributes": {"a": "b" * 1024}}
    ),
    "huge": answers(Raw(b'{"ReviewResult":"ALLOW","Content":"x","More":"' + b"x" * 10**6 + b'"}')),
}
WORKING = {"edits": edits, "edits:live": edits, "denies": denies, "staggers": staggers}
ELSEWHERE = ("refused-connection", "never-asked", "deleted")


class Endpoint(http.server.BaseHTTPRequestHandler):
    """An operator's endpoint that checks what the documentation says to check."""

    protocol_version = "HTTP/1.1"
    served = 0
    """Requests of this connection."""

    def do_POST(self) -> None:
        self.served += 1
        if self.path == "/resets" and self.served > 1:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            raise ConnectionResetError
        body = self.rfile.read(int(self.headers["content-length"]))
        parts = dict(part.split("=", 1) for part in self.headers["Greenroom-Signature"].split(","))
        mac = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + body, "sha256").hexdigest()
        genuine = hmac.compare_digest(mac, parts["v1"]) and abs(time.time() - int(parts["t"])) < 300
        event = json.loads(body)
        answer = json.dumps({"ReviewResult": "ALLOW", "Content": "http: " + event["Content"]})
        self.send_response(200 if genuine else 401)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def functions() -> Iterator[LambdaEndpoint]:
    """Run an endpoint with all functions."""
    with lambda_endpoint() as endpoint:
        endpoint.functions |= FAILING | WORKING | dict.fromkeys(ELSEWHERE, edits)
        yield endpoint
        _hanging.set()


@pytest.fixture(scope="module")
def service(
    functions: LambdaEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Run a service that knows three kinds of targets, and keeps no limits but the reviewer's."""
    directory = tmp_path_factory.mktemp("review")
    (directory / "handlers_of_an_operator.py").write_text(MODULE)
    endpoint = Server(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, args=(0.01,), daemon=True).start()
    handlers = {
        "*:function:http-resets": f"http://localhost:{endpoint.server_address[1]}/resets",
        "*:function:http-*": f"http://localhost:{endpoint.server_address[1]}/review",
        "*:function:refused-connection": "http://127.0.0.1:1/",
        "*:function:python-lambda": "python:handlers_of_an_operator:as_in_lambda",
        "*:function:python-review": "python:handlers_of_an_operator:review",
        "*:function:python-*": "python:handlers_of_an_operator:denies",
        "*:function:never-asked": "none",
    }
    settings = {
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")]),
        "GREENROOM_ROOM_MESSAGE_RATES": "off",
        "GREENROOM_LAMBDA_ENDPOINT": functions.url,
        "GREENROOM_TRUSTED_PROXIES": "127.0.0.1",
        "GREENROOM_REVIEW_HANDLERS": ",".join(f"{k}={v}" for k, v in handlers.items()),
        "GREENROOM_REVIEW_HTTP_SECRET": SECRET,
        "GREENROOM_REVIEW_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "GREENROOM_LOG_LEVEL": "debug",
        "GREENROOM_QUOTAS": "messaging_requests_per_connection=0,"
        f"message_review_milliseconds={LIMIT_MILLISECONDS}",
    }
    with running(directory / "data", **settings) as started:
        yield started
        assert started.process.poll() is None
        text = started.log.read_text()
        assert "crashed" not in text
        for planted in (CONTENT, SECRET, ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]):
            assert planted not in text
    endpoint.shutdown()
    endpoint.server_close()


class Room:
    """A room with a review handler."""

    def __init__(self, service: Service, function: str, fallback: str = "ALLOW") -> None:
        self._service = service
        handler = {"uri": arn(function), "fallbackResult": fallback}
        self.arn = service.boto3().create_room(messageReviewHandler=handler)["arn"]

    @contextlib.contextmanager
    def member(
        self, user: str = "user", behind: str | None = None, **options: Any
    ) -> Iterator["Member"]:
        """Give a client in the room, perhaps one that a proxy says is behind it."""
        token = self._service.token(self.arn, user, **options)
        url = self._service.websocket_url
        headers = {} if behind is None else {"X-Forwarded-For": f"203.0.113.1, {behind}"}
        with connect(
            url,
            subprotocols=[token],  # type: ignore[list-item]
            proxy=None,
            additional_headers=headers,
        ) as connection:
            yield Member(connection)


class Member:
    """A client."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def say(self, content: str = CONTENT, **members: Any) -> None:
        """Send a message under the next request id."""
        action = {
            "Action": "SEND_MESSAGE",
            "Content": content,
            "RequestId": str(next(self._numbers)),
        }
        self._connection.send(json.dumps({**action, **members}))

    def hear(self) -> dict[str, Any]:
        """Return the next frame."""
        frame = json.loads(self._connection.recv(timeout=PATIENCE))
        assert isinstance(frame, dict)
        return frame


def test_allowed_as_edited(service: Service, functions: LambdaEndpoint) -> None:
    """Everybody gets the handler's content and attributes, under the id that it was shown."""
    room = Room(service, "edits")
    options: dict[str, Any] = {"attributes": {"name": "Ann"}}
    with room.member("ann", **options) as ann, room.member("bob") as bob:
        ann.say("hello", Attributes={"colour": "red"})
        frame = ann.hear()
        assert bob.hear() == frame
    (event,) = [each for each in functions.events("edits") if each["RoomArn"] == room.arn]
    assert event == {
        "Content": "hello",
        "MessageId": frame["Id"],
        "RoomArn": room.arn,
        "Attributes": {"colour": "red"},
        "Sender": {"Attributes": {"name": "Ann"}, "UserId": "ann", "Ip": "127.0.0.1"},
    }
    assert frame["Content"] == "hello!"
    assert frame["Attributes"] == {"colour": "red", "reviewed": "yes"}
    assert frame["Sender"] == {"UserId": "ann", "Attributes": {"name": "Ann"}}
    assert (frame["Type"], frame["RequestId"]) == ("MESSAGE", "1")


def test_the_handler_sees_the_client_behind_a_proxy(
    service: Service, functions: LambdaEndpoint
) -> None:
    """`Sender.Ip` is whom the trusted proxy was called from, not what the client says."""
    room = Room(service, "edits")
    with room.member("ann", behind="192.0.2.7") as ann:
        ann.say("hello")
        ann.hear()
    (event,) = [each for each in functions.events("edits") if each["RoomArn"] == room.arn]
    assert event["Sender"]["Ip"] == "192.0.2.7"


def test_denied_with_a_reason(service: Service, functions: LambdaEndpoint) -> None:
    """Only the sender hears of it: ERROR 406 with the reason, under the message's id."""
    room = Room(service, "denies", fallback="ALLOW")
    with room.member("ann") as ann, room.member("bob") as bob:
        ann.say()
        error = ann.hear()
        service.boto3().send_event(roomIdentifier=room.arn, eventName="end")
        assert bob.hear()["EventName"] == "end"
    (event,) = [each for each in functions.events("denies") if each["RoomArn"] == room.arn]
    assert error == {
        "Type": "ERROR",
        "Id": event["MessageId"],
        "RequestId": "1",
        "ErrorCode": 406,
        "ErrorMessage": "denied for moderation",
    }


def test_alias(service: Service, functions: LambdaEndpoint) -> None:
    """The alias in the ARN is what is invoked."""
    with Room(service, "edits:live").member() as member:
        member.say("hello")
        assert member.hear()["Content"] == "hello!"
    assert functions.invocations[-1].qualifier == "live"


@pytest.mark.parametrize("fallback", ["ALLOW", "DENY"])
@pytest.mark.parametrize("function", [*FAILING, *ELSEWHERE])
def test_failures(
    service: Service, functions: LambdaEndpoint, function: str, fallback: str
) -> None:
    """Whatever goes wrong, the fallback decides: the original for all, or a 406 for the sender."""
    room = Room(service, function, fallback)
    if function == "deleted":
        functions.functions.pop("deleted", None)
    with room.member() as member:
        member.say(Attributes={"a": "b"})
        frame = member.hear()
    functions.functions["deleted"] = edits
    assert frame["RequestId"] == "1"
    if fallback == "ALLOW":
        assert (frame["Type"], frame["Content"]) == ("MESSAGE", CONTENT)
        assert frame["Attributes"] == {"a": "b"}
    else:
        assert (frame["Type"], frame["ErrorCode"]) == ("ERROR", 406)
        assert frame["ErrorMessage"] == REJECTED


@pytest.mark.parametrize(
    ("function", "content"),
    [
        ("http-review", "http: hello"),
        ("python-review", "python: hello"),
        ("python-lambda", "python-lambda: hello"),
    ],
)
def test_other_targets(service: Service, function: str, content: str) -> None:
    """An HTTP endpoint and a Python function review as a Lambda function does."""
    with Room(service, function).member() as member:
        member.say("hello")
        assert member.hear()["Content"] == content


def test_a_kept_connection_that_is_reset(service: Service) -> None:
    """A load balancer that forgot an idle connection costs no message its review."""
    with Room(service, "http-resets", "DENY").member() as member:
        for _ in range(3):
            member.say("hello")
            assert member.hear().get("Content") == "http: hello"


def test_python_in_a_thread(service: Service) -> None:
    """A plain function denies with its reason."""
    with Room(service, "python-denies").member() as member:
        member.say()
        assert member.hear()["ErrorMessage"] == "by python"


def test_order_of_a_sender_is_kept(service: Service) -> None:
    """A sender's messages come in the order sent, however long each review takes."""
    with Room(service, "staggers").member() as member:
        for number in range(20):
            member.say(str(number))
        assert [member.hear()["Content"] for _ in range(20)] == [str(each) for each in range(20)]


def test_a_slow_handler_delays_its_own_senders_only(service: Service) -> None:
    """While reviews hang, others of the room and other rooms go on."""
    room = Room(service, "slow")
    with (
        room.member("ann") as ann,
        room.member("bob") as bob,
        Room(service, "edits").member() as eve,
    ):
        ann.say()
        eve.say("hello")
        assert eve.hear()["Content"] == "hello!"
        service.boto3().send_event(roomIdentifier=room.arn, eventName="meanwhile")
        assert bob.hear()["EventName"] == "meanwhile"
        assert ann.hear()["EventName"] == "meanwhile"
        assert ann.hear()["Content"] == CONTENT


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("missing", "lambda function not found"),
        ("edits:missing", "lambda function not found"),
        ("forbidden", "invalid lambda permission"),
    ],
)
def test_functions_that_cannot_be_associated(service: Service, function: str, why: str) -> None:
    """A function that does not exist, or may not be invoked, is refused in the service's words."""
    client = service.boto3()
    room = client.create_room()["arn"]
    handler = {"uri": arn(function)}
    for call, names in ((client.create_room, {}), (client.update_room, {"identifier": room})):
        with pytest.raises(ClientError) as refused:
            call(messageReviewHandler=handler, **names)
        error = refused.value.response["Error"]
        assert error["Code"] == "ValidationException"
        assert error["Message"] == f"Request member: uri failed to satisfy the constraints: {why}"


@pytest.mark.parametrize("milliseconds", [200, 0], ids=["limited", "unlimited"])
def test_a_review_under_way_at_the_end(
    functions: LambdaEndpoint, tmp_path: Path, milliseconds: int
) -> None:
    """A stop waits for a review no longer than for anything else, and is clean."""
    settings = {
        **ENVIRONMENT,
        "GREENROOM_LAMBDA_ENDPOINT": functions.url,
        "GREENROOM_QUOTAS": f"message_review_milliseconds={milliseconds}",
        "GREENROOM_DRAIN_TIMEOUT_SECONDS": "1",
    }
    with running(tmp_path / "data", **settings) as service:
        room = Room(service, "slow")
        with contextlib.suppress(ConnectionClosed), room.member() as member:
            member.say()
            while not any(each["RoomArn"] == room.arn for each in functions.events("slow")):
                time.sleep(0.001)
            assert service.stop() == 0
            member.hear()
        assert "crashed" not in service.log.read_text()


OWN = {
    "AWS_ACCESS_KEY_ID": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
    "AWS_SECRET_ACCESS_KEY": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    "GREENROOM_ACCESS_KEY_ID": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
    "GREENROOM_SECRET_ACCESS_KEY": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
}
"""One key for the service and for an emulator, as is natural beside one."""


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, "no AWS credentials were found"),
        (OWN, "are Greenroom's own root key, and `lambda_endpoint` is not set"),
    ],
    ids=["no credentials", "own key"],
)
@pytest.mark.parametrize("fallback", ["ALLOW", "DENY"])
def test_a_handler_that_can_never_run(
    tmp_path: Path, variables: dict[str, str], why: str, fallback: str
) -> None:
    """It is refused as the real service refuses it, and says what is missing; nothing was made."""
    with running(tmp_path / "data", **variables) as service:
        client = service.boto3()
        room = client.create_room()["arn"]
        handler = {"uri": arn("review"), "fallbackResult": fallback}
        for call, names in ((client.create_room, {}), (client.update_room, {"identifier": room})):
            with pytest.raises(
                ClientError, match=r"uri failed .* invalid lambda permission: "
            ) as no:
                call(messageReviewHandler=handler, **names)
            assert no.value.response["Error"]["Code"] == "ValidationException"
            assert why in no.value.response["Error"]["Message"]
        assert [each["arn"] for each in client.list_rooms()["rooms"]] == [room]
        assert "messageReviewHandler" not in client.get_room(identifier=room)


def test_the_services_own_key_and_an_endpoint(functions: LambdaEndpoint, tmp_path: Path) -> None:
    """With an endpoint that somebody named the key is good for reviews, as it is for chat logs."""
    settings = {
        "GREENROOM_LAMBDA_ENDPOINT": functions.url,
        "GREENROOM_QUOTAS": f"message_review_milliseconds={LIMIT_MILLISECONDS}",
    }
    with running(tmp_path / "data", **OWN, **settings) as service:
        with Room(service, "edits", "DENY").member() as member:
            member.say("hello")
            assert member.hear()["Content"] == "hello!"
        assert "no_credentials" not in service.log.read_text()


def test_a_function_that_takes_no_event_refuses_the_start(tmp_path: Path) -> None:
    """It is called with an event, and with a context if it takes one: nothing else can work."""
    (tmp_path / "unfit_handlers.py").write_text("def review(event, context, more):\n    pass\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with (
        pytest.raises(RuntimeError, match=r"review\(event, context, more\) cannot be called"),
        running(
            tmp_path / "data",
            GREENROOM_REVIEW_HANDLERS="*=python:unfit_handlers:review",
            PYTHONPATH=path,
        ),
    ):
        pass


@pytest.mark.parametrize("target", ["lamda", "python:no_such_module:f", "http://127.0.0.1:9/"])
def test_a_target_that_cannot_be_used_refuses_the_start(tmp_path: Path, target: str) -> None:
    """The start ends with one line and writes nothing."""
    with (
        pytest.raises(RuntimeError, match="review_handlers: ") as refused,
        running(tmp_path / "data", GREENROOM_REVIEW_HANDLERS=f"*={target}"),
    ):
        pass
    assert str(refused.value).count("\n") <= 2
    assert not (tmp_path / "data").exists()
