"""Nodes of one cluster as processes, on the PostgreSQL and the NATS of a test."""

import asyncio
import contextlib
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection

from scripts.servers.node import new_secrets_key
from tests.running.links import Link
from tests.running.service import Service, start
from tests.running.viewers import PATIENCE, Seen, seen

EVERYTHING = ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"]


class Place(msgspec.Struct, frozen=True):
    """What the nodes of a cluster share, and the directory that each has its own in."""

    directory: Path
    storage: str
    bus: str
    secrets_key: str

    def node(self, name: str, *options: str, **settings: str) -> Service:
        """Start a node, or start it again, and wait until it is ready.

        Raises:
            RuntimeError: it ended or hung instead; the message holds its log.
        """
        return start(self.directory / name, *options, **self.variables(**settings))

    def variables(self, **settings: str) -> dict[str, str]:
        """Return the environment of a node, with further settings."""
        shared = {
            "storage": self.storage,
            "bus": self.bus,
            "secrets_key": self.secrets_key,
            "chat_log_dir": str(self.directory / "chat-logs"),
            "log_format": "json",
        }
        return {f"GREENROOM_{key.upper()}": each for key, each in (shared | settings).items()}


def place(directory: Path, storage: str, bus: str) -> Place:
    """Return the place of a new cluster, with the directory of its chat logs."""
    (directory / "chat-logs").mkdir(exist_ok=True)
    return Place(directory, storage, bus, new_secrets_key())


@contextlib.contextmanager
def nodes(place: Place, number: int, **settings: str) -> Iterator[list[Service]]:
    """Run as many nodes for the length of a `with` block."""
    names = [f"node-{each}" for each in range(1, number + 1)]
    with ThreadPoolExecutor(number) as threads:
        starting = [threads.submit(place.node, name, **settings) for name in names]
    running = [each.result() for each in starting if each.exception() is None]
    try:
        for each in starting:
            each.result()
        # Who replaces a node puts the new one in its place.
        yield running
    finally:
        for service in running:
            service.kill()


@contextlib.contextmanager
def one_port(services: Sequence[Service]) -> Iterator[Service]:
    """Give the nodes as one service: a port whose connections lead to one after the other."""
    ports = [urlsplit(each.api_url).port for each in services]
    link = Link(*filter(None, ports), turns=True)
    end = asyncio.Event()
    loop = asyncio.new_event_loop()
    opened = threading.Event()

    async def carry() -> None:
        async with link.open():
            opened.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(carry(),), daemon=True)
    thread.start()
    assert opened.wait(PATIENCE)
    first = services[0]
    urls = {
        name: str(first.ready[name]).replace(f":{ports[0]}", f":{link.port}")
        for name in ("api_url", "websocket_url", "health_url")
    }
    try:
        yield msgspec.structs.replace(first, ready=first.ready | urls)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def as_one_service(place: Place, number: int, *options: str, **variables: str) -> Iterator[Service]:
    """Run nodes that each have the options and variables of one service, behind one port.

    The first has the directory of the place; process, log and data directory are its own.
    """
    first = place.directory
    chat_logs = first.with_name(f"{first.name}-chat-logs")
    chat_logs.mkdir(exist_ok=True)
    shared = {
        "GREENROOM_STORAGE": place.storage,
        "GREENROOM_BUS": place.bus,
        "GREENROOM_BUS_STREAM_BYTES": "8388608",
        "GREENROOM_SECRETS_KEY": place.secrets_key,
        "GREENROOM_CHAT_LOG_DIR": str(chat_logs),
        **variables,
    }
    others = [first.with_name(f"{first.name}-{each}") for each in range(2, number + 1)]
    directories = [first, *others]
    with ThreadPoolExecutor(number) as threads:
        starting = [threads.submit(start, each, *options, **shared) for each in directories]
    running = [each.result() for each in starting if each.exception() is None]
    try:
        for each in starting:
            each.result()
        with one_port(running) as together:
            yield together
    finally:
        for service in running:
            service.kill()


@contextlib.asynccontextmanager
async def viewers(
    services: Sequence[Service], room: str, **token: Any
) -> AsyncIterator[list[ClientConnection]]:
    """Connect one viewer to a room through each service, by the names `user-0`, `user-1` ….

    Each has a token that another service gave.
    """
    async with contextlib.AsyncExitStack() as stack:
        connected = []
        for number, service in enumerate(services):
            issuer = services[(number + 1) % len(services)]
            given = await asyncio.to_thread(issuer.token, room, f"user-{number}", **token)
            joining = websockets.connect(service.websocket_url, subprotocols=[given])  # type: ignore[list-item]  # a token is one
            connected.append(await stack.enter_async_context(joining))
        yield connected


async def say(viewer: ClientConnection, content: str) -> None:
    """Send a message."""
    await viewer.send(json.dumps({"Action": "SEND_MESSAGE", "Content": content}))


async def hear(viewer: ClientConnection, seconds: float = PATIENCE) -> Seen:
    """Return the next frame."""
    async with asyncio.timeout(seconds):
        return seen(await viewer.recv())


async def status_of(service: Service, token: str) -> int:
    """Return the status of an upgrade with a token, and leave."""
    try:
        async with websockets.connect(service.websocket_url, subprotocols=[token]):  # type: ignore[list-item]  # likewise
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


def recorded(directory: Path) -> list[str]:
    """Return the contents of all chat logs in files, in the order of their names."""
    lines = [
        line
        for path in sorted(directory.rglob("*.log.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    return [json.loads(line)["payload"]["Content"] for line in lines]
