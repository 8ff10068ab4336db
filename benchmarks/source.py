"""A server that shows each of its connections so many messages, and closes.

`python -m benchmarks.source COUNT MICROSECONDS`: with a pause after each message that is not 0,
each is read for itself. It prints `port NUMBER` when it listens.
"""

import base64
import hashlib
import socket
import struct
import sys
import time

from benchmarks.client import PAYLOAD_BYTES
from greenroom.protocol.events import encode_message

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE = b"\x88\x02\x03\xe8"


def frame(number: int, content: str) -> bytes:
    """Return a MESSAGE of an `Id` of its own, in a WebSocket frame."""
    text = encode_message(f"{number:012}", "", None, content, number, "user-0", {})
    return b"\x81\x7e" + struct.pack(">H", len(text)) + text


def _accept(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65_536)
    lines = (line.partition(": ") for line in request.decode().split("\r\n")[1:])
    headers = {name.lower(): value for name, _, value in lines}
    key = headers["sec-websocket-key"] + _GUID
    accepted = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - RFC 6455
    connection.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n"
        f"Sec-WebSocket-Protocol: {headers['sec-websocket-protocol']}\r\n\r\n".encode()
    )


def main(count: int, microseconds: int) -> None:
    """Serve one connection after the other."""
    content = "x" * (PAYLOAD_BYTES - len(frame(0, "")) + 4)
    frames = [frame(number, content) for number in range(count)]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"port {listening.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _accept(connection)
                for each in frames if microseconds else [b"".join(frames)]:
                    connection.sendall(each)
                    time.sleep(microseconds / 1e6)
                connection.sendall(_CLOSE)
                connection.recv(100)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
