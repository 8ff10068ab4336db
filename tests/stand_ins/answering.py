"""A server that answers AWS's protocols as a test says: for what moto does not do."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answering = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any] | bytes]]
"""From an operation's name and its parameters, empty for S3, to a status and an answer."""


@contextmanager
def server(answering: Answering) -> Iterator[str]:
    """Run a server for the protocol of Logs and Firehose, and of S3's errors; give its URL."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answering))
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def refusing(code: str, status: int = 400) -> Answering:
    """Answer everything with an error."""

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any] | bytes]:
        if operation == "S3":
            return status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        return status, {"__type": code, "message": "no"}

    return answer


def closed_url() -> str:
    """Return a URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _handler(answering: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if self.headers.get("Expect") == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            named = self.headers.get("X-Amz-Target")
            operation = "S3" if named is None else named.partition(".")[2]
            status, answer = answering(operation, {} if named is None else json.loads(body))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    return Handler
