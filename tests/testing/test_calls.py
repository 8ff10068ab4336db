"""The fixtures' own calls, against a server that answers as the test says."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.testing.calls import CallRefused, Calls


class Server(ThreadingHTTPServer):
    """Notes what is asked, and gives one answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.answer: tuple[int, bytes, dict[str, str]] = (200, b"{}", {})


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server  # type: ignore[mutable-override]  # no other makes one

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, json.loads(body), headers))
        status, text, more = self.server.answer
        self.send_response(status)
        for name, value in {**more, "content-length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server."""
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def calls(server: Server) -> Calls:
    """Give calls to it."""
    return Calls(f"http://127.0.0.1:{server.server_port}", "AKIA", "secret", "eu-west-1")


def test_a_call(server: Server, calls: Calls) -> None:
    """It is signed, says who asks, and leaves out what is None."""
    server.answer = (200, b'{"arn": "a"}', {})
    assert calls.call("CreateRoom", name="lobby", tags=None) == {"arn": "a"}
    ((path, body, headers),) = server.asked
    assert (path, body) == ("/CreateRoom", {"name": "lobby"})
    assert headers["host"] == f"127.0.0.1:{server.server_port}"
    assert (headers["user-agent"], headers["content-type"]) == (
        "greenroom-testing",
        "application/json",
    )
    assert "AKIA/" in headers["authorization"]
    assert "/eu-west-1/ivschat/aws4_request" in headers["authorization"]


def test_connections_are_closed(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    """Whatever comes of the call."""
    connection = Mock()
    connection.getresponse.side_effect = ConnectionResetError
    monkeypatch.setattr("http.client.HTTPConnection", Mock(return_value=connection))
    with pytest.raises(ConnectionResetError):
        calls.call("GetRoom")
    connection.close.assert_called_once_with()


@pytest.mark.parametrize("status", [200, 204, 299])
def test_an_answer_without_a_body(server: Server, calls: Calls, status: int) -> None:
    """It has no members."""
    server.answer = (status, b"", {})
    assert calls.call("DeleteRoom", identifier="a") == {}


@pytest.mark.parametrize(
    ("body", "headers", "kind", "text"),
    [
        (b'{"message": "no"}', {"x-amzn-ErrorType": "Kind"}, "Kind", "GetRoom: Kind: no"),
        (b"{}", {}, "300", "GetRoom: 300: "),
    ],
)
def test_a_call_that_is_refused(
    server: Server, calls: Calls, body: bytes, headers: dict[str, str], kind: str, text: str
) -> None:
    """The error says which, and why: by its kind, or its status."""
    server.answer = (300, body, headers)
    with pytest.raises(CallRefused) as refused:
        calls.call("GetRoom")
    assert (refused.value.kind, str(refused.value)) == (kind, text)
