"""A small server that speaks the Lambda Invoke API, and runs handlers written for Lambda.

A request must be signed with the keys in `ENVIRONMENT`: the signature is made again by botocore.
Functions are called as Lambda's Python runtime calls them, `handler(event, context)`, and fail as
they fail there: an exception is a 200 with `X-Amz-Function-Error`.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
ACCOUNT = "123456789012"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDOFTHELAMBDATESTS",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-lambda-tests",
    "AWS_EC2_METADATA_DISABLED": "true",
}

Event = dict[str, Any]
Handler = Callable[[Event, Any], object]


class Refusal(Exception):
    """An answer of the Lambda service itself: status and error name."""

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status = status
        self.name = name


def arn(name: str) -> str:
    """Return the ARN of a function, perhaps with its alias behind a colon."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


class Invocation(msgspec.Struct, frozen=True):
    """One request as it was understood."""

    name: str
    qualifier: str | None
    kind: str
    event: Event


class Raw(msgspec.Struct, frozen=True):
    """A body that a handler's answer is given as, whatever it is."""

    body: bytes


class LambdaEndpoint:
    """A running endpoint; `functions` are found by name, or by name and alias: `review:live`."""

    def __init__(self) -> None:
        self.functions: dict[str, Handler] = {}
        self.invocations: list[Invocation] = []
        self.bad_signatures = 0
        self.connections = 0
        self.resets = False
        """Whether a connection that has answered once is reset when it is used again."""
        self.session_tokens: set[str] = set()
        self._server = _Server(("127.0.0.1", 0), _Requests)
        self._server.endpoint = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def function(self, name: str) -> Callable[[Handler], Handler]:
        """Add a function under a name."""

        def add(handler: Handler) -> Handler:
            self.functions[name] = handler
            return handler

        return add

    def events(self, name: str) -> list[Event]:
        """Return what a function was invoked with, in order."""
        return [
            each.event
            for each in self.invocations
            if each.name == name and each.kind == "RequestResponse"
        ]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def lambda_endpoint() -> Iterator[LambdaEndpoint]:
    """Run an endpoint for the length of a `with` block."""
    endpoint = LambdaEndpoint()
    try:
        yield endpoint
    finally:
        endpoint.close()
    assert endpoint.bad_signatures == 0


class Server(ThreadingHTTPServer):
    """An HTTP server whose clients may go away in the middle, as reviewers do."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Server(Server):
    endpoint: LambdaEndpoint


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # type: ignore[mutable-override]
    has_answered = False

    def setup(self) -> None:
        self.server.endpoint.connections += 1
        super().setup()

    def do_POST(self) -> None:
        if self.server.endpoint.resets and self.has_answered:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            raise ConnectionResetError
        self.has_answered = True
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            self._check_signature(body)
            invocation = self._understood(body)
            handler = self._handler(invocation)
            self.server.endpoint.invocations.append(invocation)
            if invocation.kind == "DryRun":
                self._answer(204, b"")
                return
            self._answer(200, *_called(handler, invocation.event))
        except Refusal as refusal:
            headers = {"x-amzn-ErrorType": f"{refusal.name}:http://internal.amazon.com/"}
            self._answer(refusal.status, b'{"Type":"User","Message":"refused"}', headers)

    def _check_signature(self, body: bytes) -> None:
        names = self.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        assert "host" in names
        request = AWSRequest(
            "POST",
            f"http://{self.headers['host']}{self.path}",
            headers={name: self.headers[name] for name in names},
            data=body,
        )
        keys = ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]
        signer = SigV4Auth(Credentials(*keys), "lambda", REGION)
        request.context["timestamp"] = self.headers["x-amz-date"]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        if signer.signature(text, request) not in self.headers["authorization"]:
            self.server.endpoint.bad_signatures += 1
            raise Refusal(403, "InvalidSignatureException")
        if "x-amz-security-token" in self.headers:
            assert "x-amz-security-token" in names
            self.server.endpoint.session_tokens.add(self.headers["x-amz-security-token"])

    def _understood(self, body: bytes) -> Invocation:
        url = urlsplit(self.path)
        _, version, functions, name, invocations = url.path.split("/")
        assert (version, functions, invocations) == ("2015-03-31", "functions", "invocations")
        (qualifier,) = parse_qs(url.query).get("Qualifier", [None])
        name = unquote(name).removeprefix(arn(""))
        return Invocation(name, qualifier, self.headers["x-amz-invocation-type"], json.loads(body))

    def _handler(self, invocation: Invocation) -> Handler:
        name = invocation.name
        if invocation.qualifier is not None:
            name += f":{invocation.qualifier}"
        if name.startswith("forbidden"):
            raise Refusal(403, "AccessDeniedException")
        try:
            return self.server.endpoint.functions[name]
        except KeyError:
            raise Refusal(404, "ResourceNotFoundException") from None

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _called(handler: Handler, event: Event) -> tuple[bytes, dict[str, str]]:
    try:
        answer = handler(event, None)
        if isinstance(answer, Raw):
            return answer.body, {}
        return json.dumps(answer).encode(), {}
    except Refusal:
        raise
    except Exception as error:  # noqa: BLE001 - as Lambda does
        body = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
        return json.dumps(body).encode(), {"X-Amz-Function-Error": "Unhandled"}
