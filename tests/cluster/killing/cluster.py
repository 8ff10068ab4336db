"""A cluster whose processes may be killed and whose links may be cut."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from greenroom.client import Greenroom
from greenroom.client.ivschat import Ivschat
from scripts.servers.nats_server import NatsServer
from scripts.servers.node import Node, new_secrets_key
from scripts.servers.ports import free_port
from scripts.servers.postgresql import PostgreSQL, postgresql
from tests.running.clock import MovedClock
from tests.running.links import Link, links
from tests.running.routes import Routed, routed_nats
from tests.running.service import AS_INSTALLED, Service

DATABASE = "killed"
REGION = "us-east-1"
CALL_MILLISECONDS = 15_000
"""More than a call waits for anything."""


class MovedNode(Node):
    """A node whose wall clock is not quite the true one."""

    def __init__(self, clock: MovedClock, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clock = clock

    def environment(self) -> Mapping[str, str]:
        variables = self._clock.variables
        path = f"{variables['PYTHONPATH']}:{AS_INSTALLED}"
        return {**super().environment(), **variables, "PYTHONPATH": path}


class NodeThere(msgspec.Struct, frozen=True):
    """A node, its clients of the two APIs, and its links."""

    node: Node
    api: Ivschat
    own: Greenroom
    bus: Sequence[Link]
    store: Link
    credentials: tuple[str, str]

    @property
    def name(self) -> str:
        """Return its name."""
        return self.node.name

    @property
    def api_url(self) -> str:
        """Return its endpoint, which stays while it is away."""
        return f"http://127.0.0.1:{self.node.port}"


class Cluster(msgspec.Struct, frozen=True):
    """All of it."""

    nodes: Sequence[NodeThere]
    routed: Routed
    database: PostgreSQL
    directory: Path

    @property
    def bus(self) -> Sequence[NatsServer]:
        """Return the NATS servers."""
        return self.routed.servers

    @property
    def chat_logs(self) -> Path:
        """Return the directory of chat logs that the nodes share."""
        return self.directory / "chat-logs"

    def service(self, node: NodeThere) -> Service:
        """Return what reads a running node's log and metrics."""
        process = node.node._process
        assert process is not None
        return Service(process, node.node.ready, node.node.log)


@contextlib.asynccontextmanager
async def killable(
    directory: Path, skews: Sequence[float], **settings: str
) -> AsyncIterator[Cluster]:
    """Run three NATS servers, PostgreSQL, and a node for each skew of its clock, in seconds."""
    key, secret = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    shared = {
        "access_key_id": key,
        "secret_access_key": secret,
        "chat_log_destinations": "*=files",
        "log_format": "json",
        **settings,
    }
    sealing = new_secrets_key()
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(postgresql())
        database.create_database(DATABASE)
        routed = await stack.enter_async_context(routed_nats(directory / "nats"))
        nodes = []
        for number, skew in enumerate(skews, 1):
            to_bus = await stack.enter_async_context(
                links(server.port for server in routed.servers)
            )
            (to_store,) = await stack.enter_async_context(links([database.port]))
            clock = MovedClock(directory / f"clock-{number}")
            clock.move(int(skew * 1e9))
            there = database.url(DATABASE).replace(f":{database.port}/", f":{to_store.port}/")
            node = MovedNode(
                clock,
                directory,
                f"node-{number}",
                storage=there,
                bus=",".join(f"nats://127.0.0.1:{link.port}" for link in to_bus),
                secrets_key=sealing,
                port=free_port(),
                settings=shared,
            )
            stack.callback(node.kill)
            options: Any = {
                "endpoint": f"http://127.0.0.1:{node.port}",
                "region": REGION,
                "access_key_id": key,
                "secret_access_key": secret,
                "max_retries": 0,
                "http_options": {"timeout": CALL_MILLISECONDS},
            }
            api = await stack.enter_async_context(Ivschat(**options))
            own = await stack.enter_async_context(Greenroom(**options))
            nodes.append(NodeThere(node, api, own, to_bus, to_store, (key, secret)))
        yield Cluster(nodes, routed, database, directory)
