"""An innocent client in a process of its own, so that it waits for nobody's work but the service's.

    python -m tests.running.onlooker HOST PORT TOKEN http|https

It chats, and asks for `/health`, all the time. For each line on its standard input it writes one:
the times that its answers took since the last line, in seconds, as JSON. It needs the standard
library alone, so that it begins at once.
"""

import base64
import itertools
import json
import os
import select
import socket
import ssl
import sys
import time

PAUSE_SECONDS = 0.01
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE = 60.0


class Onlooker:
    """The client's two connections."""

    def __init__(self, host: str, port: int, token: str, scheme: str) -> None:
        self._numbers = itertools.count()
        self._health = _connect(host, port, scheme)
        self._chat = _connect(host, port, scheme)
        self._received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self._chat.sendall(
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {token}\r\n\r\n".encode()
        )
        head = self._until(self._chat, b"\r\n\r\n")
        if b" 101 " not in head:
            raise ConnectionError(head.decode("latin-1"))

    def say(self) -> None:
        """Send a message, and wait for its echo."""
        request = f"onlooker/{next(self._numbers)}"
        text = json.dumps(
            {"Action": "SEND_MESSAGE", "RequestId": request, "Content": "innocent"}
        ).encode()
        # Masked with zeros, as no client should, which is one line.
        self._chat.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        self._until(self._chat, f'"RequestId":"{request}"'.encode())

    def ask(self) -> None:
        """Ask for the service's health, and wait for the answer."""
        self._health.sendall(HEALTH)
        answer = b""
        while not answer.endswith(b"}"):
            answer += self._more(self._health)

    def _until(self, connection: socket.socket, end: bytes) -> bytes:
        while end not in self._received:
            self._received += self._more(connection)
        found, _, self._received = self._received.partition(end)
        return found

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("an innocent client was dropped")
        return data


def _connect(host: str, port: int, scheme: str) -> socket.socket:
    connection = socket.create_connection((host, port), PATIENCE)
    if scheme == "http":
        return connection
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def main(host: str, port: str, token: str, scheme: str) -> None:
    """Look on until there is nothing more to read."""
    onlooker = Onlooker(host, int(port), token, scheme)
    echoes: list[float] = []
    answers: list[float] = []
    while True:
        begun = time.perf_counter()
        onlooker.say()
        echoes.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        onlooker.ask()
        answers.append(time.perf_counter() - begun)
        if select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            if not sys.stdin.readline():
                return
            sys.stdout.write(json.dumps({"echoes": echoes, "answers": answers}) + "\n")
            sys.stdout.flush()
            echoes, answers = [], []


if __name__ == "__main__":
    main(*sys.argv[1:])
