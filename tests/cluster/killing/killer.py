"""Does harm to a cluster, by a seed, and undoes it."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import msgspec

from scripts.servers.process import ServerProcess
from tests.cluster.killing.cluster import Cluster, NodeThere
from tests.cluster.killing.history import History
from tests.running.links import Link

CALM_SECONDS = (0.5, 2.5)
"""Between two kinds of harm, at least and at most."""

SLOW_SECONDS = (0.02, 0.3)


UNREACHABLE = 11
"""How a node ends whose start found a server away; who runs it starts it again, as systemd does."""

LOOK_SECONDS = 0.5

OTHERS = "the others"


class Harm(msgspec.Struct, frozen=True):
    """Something that is done, and undone after some seconds, between the two bounds."""

    name: str
    do: Callable[[], Awaitable[object]]
    undo: Callable[[], Awaitable[object]]
    seconds: tuple[float, float]
    parts_servers: bool = False
    """Whether a server of NATS is cut off from the others, and does not say so to its nodes."""


class Killer:
    """Deals out each kind of harm before any comes again, each to somebody by chance."""

    def __init__(self, cluster: Cluster, history: History, chance: random.Random) -> None:
        self._cluster = cluster
        self._history = history
        self._chance = chance

    async def run(self, seconds: float) -> None:
        """Do harm for so long, and to the end of the last; two kinds may overlap."""
        end = time.monotonic() + seconds
        deck: list[Harm] = []
        while time.monotonic() < end:
            deck = deck or self._deck()
            both = [deck.pop()]
            if deck and self._chance.random() < 0.25:
                both.append(deck.pop())
            async with asyncio.TaskGroup() as tasks:
                for each in both:
                    tasks.create_task(self._deal(each))
            await asyncio.sleep(self._chance.uniform(*CALM_SECONDS))

    async def _deal(self, harm: Harm) -> None:
        seconds = self._chance.uniform(*harm.seconds)
        self._history.tell(f"{harm.name}, for {seconds:.2f} s")
        began = self._history.now()
        await harm.do()
        await asyncio.sleep(seconds)
        await harm.undo()
        if harm.parts_servers:
            self._history.apart.append((began, self._history.now()))
        self._history.tell(f"    over: {harm.name}")

    def _deck(self) -> list[Harm]:
        chance, cluster = self._chance, self._cluster
        node, other, third, fourth = (chance.choice(cluster.nodes) for _ in range(4))
        bus, paused = (chance.choice(cluster.bus) for _ in range(2))
        apart, lonely = (chance.choice(cluster.bus) for _ in range(2))
        deck = [
            _killed([node.node], (0.2, 4)),
            _killed([bus], (0.2, 6)),
            _killed(cluster.bus, (0.2, 4)),
            _killed([cluster.database], (0.2, 4)),
            _paused(other.node, (0.5, 13)),
            _paused(paused, (0.5, 8)),
            _paused(cluster.database, (0.5, 6)),
            _restarted(chance.choice(cluster.nodes).node),
            _cut(third.name, "NATS", third.bus, "cut", (0.5, 13)),
            _cut(fourth.name, "NATS", fourth.bus, "reset", (0.5, 6)),
            _cut(
                third.name, "PostgreSQL", [third.store], chance.choice(["cut", "reset"]), (0.5, 6)
            ),
            _cut(apart.name, OTHERS, cluster.routed.around(apart), "cut", (0.5, 20)),
            _cut(lonely.name, OTHERS, cluster.routed.around(lonely), "reset", (0.5, 20)),
            self._slow(other, "NATS"),
            self._slow(fourth, "PostgreSQL"),
        ]
        chance.shuffle(deck)
        return deck

    def _slow(self, node: NodeThere, what: str) -> Harm:
        later = self._chance.uniform(*SLOW_SECONDS)
        links = _links(node, what)

        async def do() -> None:
            for link in links:
                link.slow(later)

        async def undo() -> None:
            for link in links:
                link.mend()

        return Harm(f"{node.name} and {what} {later * 1e3:.0f} ms further apart", do, undo, (1, 5))


def _killed(servers: Sequence[ServerProcess], seconds: tuple[float, float]) -> Harm:
    async def do() -> None:
        for server in servers:
            await asyncio.to_thread(server.kill)

    async def undo() -> None:
        for server in servers:
            _started(server)

    return Harm(f"kill -9 {_names(servers)}", do, undo, seconds)


def _paused(server: ServerProcess, seconds: tuple[float, float]) -> Harm:
    return Harm(
        f"SIGSTOP {server.name}",
        lambda: asyncio.to_thread(server.pause),
        lambda: asyncio.to_thread(server.resume),
        seconds,
    )


def _restarted(server: ServerProcess) -> Harm:
    async def undo() -> None:
        _started(server)

    stop = partial(asyncio.to_thread, server.stop)
    return Harm(f"restart {server.name}", stop, undo, (0, 0.5))


def _started(server: ServerProcess) -> None:
    """Start it, unless another kind of harm had it started already."""
    if not server.runs:
        server.start(wait=False)


def _cut(
    name: str, what: str, links: Sequence[Link], how: str, seconds: tuple[float, float]
) -> Harm:
    async def do() -> None:
        for link in links:
            getattr(link, how)()

    async def undo() -> None:
        for link in links:
            link.mend()

    name = f"{how} the links of {name} and {what}"
    return Harm(name, do, undo, seconds, parts_servers=what == OTHERS)


def _links(node: NodeThere, what: str) -> Sequence[Link]:
    return node.bus if what == "NATS" else [node.store]


def _names(servers: Sequence[ServerProcess]) -> str:
    return ", ".join(server.name for server in servers)


@contextlib.asynccontextmanager
async def kept_running(cluster: Cluster, history: History) -> AsyncIterator[None]:
    """Start nodes again whose start was refused because a server was away; none ends otherwise."""
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(_keep_running(cluster, history))
        yield
        keeping.cancel()


async def _keep_running(cluster: Cluster, history: History) -> None:
    while True:
        for node in (there.node for there in cluster.nodes):
            code = node.exit_code
            if code == UNREACHABLE:
                history.tell(f"    {node.name} starts again: a server was away")
                _started(node)
            # A signal was the killer's, and 0 is how a node ends that was told to.
            assert code is None or code in (0, UNREACHABLE) or code < 0, f"{node.name}: {code}"
        await asyncio.sleep(LOOK_SECONDS)
