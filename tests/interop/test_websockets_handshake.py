"""The upgrade as general WebSocket clients see it: what is accepted, and each refusal."""

import asyncio
import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import websocket
import websockets
import websockets.sync.client
from websockets.typing import Subprotocol

from tests.running.service import Service, running, start
from tests.running.tokens_of import expired_token
from tests.running.wire import Answer, Peer, WebSocket


@pytest.fixture
def arn(service: Service) -> str:
    """A room of the test's own."""
    return str(service.boto3().create_room()["arn"])


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with another data directory."""
    with running(tmp_path_factory.mktemp("other") / "data") as other:
        yield other


Headers = Sequence[tuple[str, str]]


def upgrade_headers(token: str | None, **replaced: str) -> Headers:
    """Return the headers of an upgrade request; `_` in names stands for `-`."""
    headers = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **({} if token is None else {"Sec-WebSocket-Protocol": token}),
        **{name.replace("_", "-"): value for name, value in replaced.items()},
    }
    return tuple(headers.items())


def ask(peer: Peer, headers: Headers, method: str = "GET", path: str = "/") -> Answer:
    """Ask for an upgrade; return the answer."""
    lines = (f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers))
    peer.send("\r\n".join((*lines, "", "")).encode())
    return peer.read_answer()


def refusal(service: Service, headers: Headers, method: str = "GET") -> Answer:
    """Return the answer to an upgrade that is refused."""
    with Peer(service) as peer:
        return ask(peer, headers, method)


@contextmanager
def accepted(service: Service, headers: Headers, path: str = "/") -> Iterator[Peer]:
    """Return a connection that was upgraded."""
    with Peer(service) as peer:
        assert ask(peer, headers, path=path).status == 101
        yield peer


def _is(answer: Answer, status: int, name: str, word: str) -> None:
    assert answer.status == status
    assert answer.headers["x-amzn-errortype"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert list(answer.json) == ["Type", "Id", "RequestId", "ErrorCode", "ErrorMessage"]
    assert answer.json["Type"] == "ERROR"
    assert len(answer.json["Id"]) == 12
    assert answer.json["RequestId"] == ""
    assert answer.json["ErrorCode"] == status
    assert word in answer.json["ErrorMessage"]


# Accepted


async def test_websockets_has_its_token_accepted(service: Service, arn: str) -> None:
    """The token comes back as the accepted subprotocol, and no extension is agreed."""
    token = Subprotocol(service.token(arn))
    async with websockets.connect(
        service.websocket_url, subprotocols=[token], proxy=None
    ) as connection:
        assert connection.subprotocol == token
        assert connection.protocol.extensions == []
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


def test_synchronous_websockets_has_its_token_accepted(service: Service, arn: str) -> None:
    """So it is for the same library's client without asyncio."""
    token = Subprotocol(service.token(arn))
    with websockets.sync.client.connect(
        service.websocket_url, subprotocols=[token], proxy=None
    ) as connection:
        assert connection.subprotocol == token


def test_websocket_client_has_its_token_accepted(service: Service, arn: str) -> None:
    """websocket-client refuses a server that does not echo the subprotocol."""
    token = service.token(arn)
    connection = websocket.create_connection(service.websocket_url, subprotocols=[token])
    connection.close()
    # The library keeps it in lower case.
    assert connection.getsubprotocol() == token.lower()


@pytest.mark.parametrize(
    "path", ["/", "/room/a?b=c&d", "/health", "/tags/x", "//", "/%F0%9F", "/*"]
)
def test_any_path_is_accepted(service: Service, arn: str, path: str) -> None:
    """The token alone says which room it is: the path does not matter."""
    with accepted(service, upgrade_headers(service.token(arn)), path):
        pass


@pytest.mark.parametrize(
    "replaced",
    [
        {"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade", "Origin": "https://example.com"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"},
        {"Authorization": "none", "Cookie": "a=b"},
    ],
)
def test_browsers_headers_are_accepted(
    service: Service, arn: str, replaced: dict[str, str]
) -> None:
    """Spellings and additions that browsers send do no harm."""
    token = service.token(arn)
    with accepted(service, upgrade_headers(token, **replaced)):
        pass


# Refused


def test_a_missing_token_is_401(service: Service) -> None:
    """Without subprotocol, or with an empty one, the token is missing."""
    for token in (None, ""):
        answer = refusal(service, upgrade_headers(token))
        _is(answer, 401, "UnauthorizedException", "missing")


@pytest.mark.parametrize(
    "token",
    ["chat", "x.y", ".", "a.b.c", "AAAA.", "AAAA.AAAA=", "ABC.?", "{}", "x" * 4097, "\xfc.\xff"],
    ids=lambda token: token[:12],
)
def test_a_malformed_token_is_400(service: Service, token: str) -> None:
    """What is no token at all is malformed."""
    answer = refusal(service, upgrade_headers(token))
    _is(answer, 400, "ValidationException", "malformed")


def test_two_tokens_are_400(service: Service, arn: str) -> None:
    """Exactly one token is expected: in one header or two, a second makes it ambiguous."""
    first, second = service.token(arn), service.token(arn)
    together = upgrade_headers(f"{first}, {second}")
    apart = [*upgrade_headers(first), ("Sec-WebSocket-Protocol", second)]
    for headers in (together, apart):
        _is(refusal(service, headers), 400, "ValidationException", "nothing else")
    with WebSocket.connect(service, first), WebSocket.connect(service, second):
        pass


def test_a_foreign_token_is_403(service: Service, other: Service, arn: str) -> None:
    """A token of another data directory, or one that was changed, was not issued here."""
    foreign = other.token(other.boto3().create_room()["arn"])
    head, _, sealed = service.token(arn).partition(".")
    changed = f"{head}.{'B' if sealed[0] == 'A' else 'A'}{sealed[1:]}"
    for token in (foreign, changed):
        answer = refusal(service, upgrade_headers(token))
        _is(answer, 403, "AccessDeniedException", "not issued")
        assert token not in str(answer)


def test_a_deleted_room_is_404(service: Service, arn: str) -> None:
    """Nobody enters a room that is gone."""
    token = service.token(arn)
    service.boto3().delete_room(identifier=arn)
    answer = refusal(service, upgrade_headers(token))
    _is(answer, 404, "ResourceNotFoundException", "room")


def test_an_expired_token_is_410(service: Service, arn: str) -> None:
    """A token is good for connecting for one minute."""
    answer = refusal(service, upgrade_headers(expired_token(service, arn, "alice")))
    _is(answer, 410, "ExpiredTokenException", "expired")


@pytest.mark.parametrize("version", ["8", "", "14", "13, 8", "x"])
def test_another_version_is_426(service: Service, arn: str, version: str) -> None:
    """Only version 13 is spoken, as the answer says; the token is not used up."""
    token = service.token(arn)
    answer = refusal(service, upgrade_headers(token, Sec_WebSocket_Version=version))
    _is(answer, 426, "UpgradeRequiredException", "13")
    assert answer.headers["sec-websocket-version"] == "13"
    with WebSocket.connect(service, token):
        pass


@pytest.mark.parametrize("key", ["", "x", base64.b64encode(b"x" * 15).decode(), "=" * 24])
def test_a_wrong_key_is_400(service: Service, arn: str, key: str) -> None:
    """The key is 16 bytes in base64."""
    answer = refusal(service, upgrade_headers(service.token(arn), Sec_WebSocket_Key=key))
    _is(answer, 400, "ValidationException", "Sec-WebSocket-Key")


def test_another_method_is_400(service: Service, arn: str) -> None:
    """An upgrade is a GET."""
    answer = refusal(service, upgrade_headers(service.token(arn)), "POST")
    _is(answer, 400, "ValidationException", "GET")


# Used up


def test_a_used_token_is_409(service: Service, arn: str) -> None:
    """A token is good for one connection, also after that has ended."""
    token = service.token(arn)
    with WebSocket.connect(service, token):
        _is(refusal(service, upgrade_headers(token)), 409, "ConflictException", "used")
    _is(refusal(service, upgrade_headers(token)), 409, "ConflictException", "used")


async def test_of_many_at_once_one_gets_in(service: Service, arn: str) -> None:
    """However many connect with one token at the same time, one succeeds."""
    token = Subprotocol(service.token(arn))

    async def attempt() -> int:
        try:
            async with websockets.connect(
                service.websocket_url, subprotocols=[token], proxy=None
            ) as connection:
                assert connection.response is not None
                return connection.response.status_code
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    statuses = await asyncio.gather(*(attempt() for _ in range(10)))
    assert sorted(statuses) == [101] + [409] * 9


@pytest.mark.parametrize("ending", ["kill -9", "SIGTERM"])
def test_a_used_token_stays_used_after_a_restart(tmp_path: Path, ending: str) -> None:
    """What was used before the service ended is still used; what was not still works."""
    with running(tmp_path / "data") as service:
        arn = service.boto3().create_room()["arn"]
        used, unused = service.token(arn), service.token(arn)
        with WebSocket.connect(service, used):
            if ending == "SIGTERM":
                assert service.stop() == 0
            else:
                service.kill()
    again = start(tmp_path / "data")
    try:
        _is(refusal(again, upgrade_headers(used)), 409, "ConflictException", "used")
        with WebSocket.connect(again, unused):
            pass
    finally:
        again.kill()


async def test_websockets_shows_the_refusal(service: Service, arn: str) -> None:
    """The library hands status, headers and body of a refusal to the application."""
    token = Subprotocol(expired_token(service, arn, "alice"))
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(service.websocket_url, subprotocols=[token], proxy=None)
    response = refused.value.response
    assert response.status_code == 410
    assert response.headers["Content-Type"] == "application/json"
    assert response.body is not None
    assert b'"ErrorCode":410' in response.body


def test_websocket_client_shows_the_refusal(service: Service) -> None:
    """So does the other one."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(service.websocket_url)
    assert refused.value.status_code == 401
    assert b'"ErrorCode":401' in (refused.value.resp_body or b"")
