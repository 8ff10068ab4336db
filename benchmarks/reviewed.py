"""What happens beside a measurement: a review handler, and senders in a room that has it.

`reviewed.py handler PORT_FILE` serves `/answer`, which denies at once, `/allow`, which allows what
it is shown, and `/hang`, which never answers. `reviewed.py senders HOST:PORT TOKENS READY_FILE`
opens a connection for each line of a file and sends messages, each when the one before was
answered, at most `RATE` a second; at the end it prints how many were, in how many seconds.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from base64 import b64encode
from pathlib import Path

from greenroom.cli.bench.clients import upgrade_request
from greenroom.protocol.client_frames import KEY_BYTES, TEXT, encode_frame

RATE = 5
"""Messages a second of one sender: as many as a handler allows that hangs for 200 milliseconds."""

_ANSWER = b'{"ReviewResult":"DENY"}'
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
_ACTION = b'{"Action":"SEND_MESSAGE","Content":"hello"}'


async def handler(port_file: Path) -> None:
    """Serve until killed."""
    async with await asyncio.start_server(_review, "127.0.0.1", 0, backlog=1024) as server:
        _appear(port_file, str(server.sockets[0].getsockname()[1]))
        await server.serve_forever()


async def _review(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(size)
            if b" /hang " in head:
                await reader.read()
                break
            writer.write(_allowed(body) if b" /allow " in head else _RESPONSE)
    writer.close()


def _allowed(body: bytes) -> bytes:
    event = json.loads(body)
    kept = {name: event[name] for name in ("Content", "Attributes")}
    answer = json.dumps({"ReviewResult": "ALLOW", **kept}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)


async def senders(authority: str, tokens: list[str], ready_file: Path) -> None:
    """Send until told to stop."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    answers = [0] * len(tokens)
    tasks = [
        asyncio.create_task(_send(authority, token, answers, index))
        for index, token in enumerate(tokens)
    ]
    while not all(answers):
        await asyncio.sleep(0.01)
        for task in tasks:
            if task.done():
                task.result()
    _appear(ready_file, "")
    before, start = sum(answers), time.monotonic()
    await stopped.wait()
    sys.stdout.write(f"{sum(answers) - before} {time.monotonic() - start}\n")
    sys.stdout.flush()
    os._exit(0)


async def _send(authority: str, token: str, answers: list[int], index: int) -> None:
    host, _, port = authority.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = b64encode(os.urandom(16))
    writer.write(upgrade_request(authority, token, key))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise ConnectionError(head.partition(b"\r\n")[0].decode())
    frame = encode_frame(TEXT, _ACTION, os.urandom(KEY_BYTES))
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 1 / RATE
        writer.write(frame)
        # Every message is answered by one ERROR, which is shorter than 64 KB.
        first, size = await reader.readexactly(2)
        length = int.from_bytes(await reader.readexactly(2), "big") if size == 126 else size
        answer = await reader.readexactly(length)
        if first == 0x81 and b'"ErrorCode":406' not in answer:
            raise ConnectionError(answer.decode())
        answers[index] += first == 0x81
        await asyncio.sleep(due - loop.time())


def _appear(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(file)


if __name__ == "__main__":
    _, role, *words = sys.argv
    if role == "handler":
        asyncio.run(handler(Path(words[0])))
    else:
        asyncio.run(senders(words[0], Path(words[1]).read_text().split(), Path(words[2])))
