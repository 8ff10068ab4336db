"""What a cluster is at one time, seen from the outside: nodes, streams, database, clocks.

NATS and PostgreSQL are asked with the settings of a node; nodes that are there are asked over NATS.
Nothing is changed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from greenroom.bus.base import About
from greenroom.bus.figures import Figures
from greenroom.bus.nats import subjects
from greenroom.bus.nats.connection import Connection, Options
from greenroom.bus.nats.survey import StreamFound, survey
from greenroom.process.randomness import new_id
from greenroom.process.start_refused import StartRefused
from greenroom.server import cluster
from greenroom.server.node_states import NodeState, decode
from greenroom.settings.values import Settings
from greenroom.storage.postgres import survey as postgres_survey
from greenroom.storage.postgres.survey import Surveyed

OPEN_SECONDS = 5.0
"""How long NATS may take to be reached."""

ANSWER_SECONDS = 1.2
"""How long nodes are waited for: a health that asks a store that hangs takes half a second."""


class Answered(msgspec.Struct, frozen=True):
    """A node's state, and how far its clock is ahead of this machine's, in seconds."""

    state: NodeState
    ahead: float


class BusSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What NATS is, and the nodes that answer over it; `why` it cannot be used, if so."""

    why: str = ""
    servers: int = 0
    version: str = ""
    streams: Sequence[StreamFound] = ()
    nodes: Sequence[Answered] = ()


class StoreSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What PostgreSQL is; `why` it cannot be used, if so. `ahead` is its clock, in seconds."""

    why: str = ""
    found: Surveyed | None = None
    ahead: float = 0.0


class Overview(msgspec.Struct, frozen=True):
    """What was found."""

    bus: BusSeen
    store: StoreSeen

    @property
    def clocks(self) -> dict[str, float]:
        """Return how far each clock is ahead of this machine's, in seconds."""
        found = {f"node {each.state.host} {each.state.pid}": each.ahead for each in self.bus.nodes}
        if self.store.found is not None:
            found["PostgreSQL"] = self.store.ahead
        for each in self.bus.streams:
            if each.clock_ahead_ns:
                found[f"NATS {each.leader}".rstrip()] = each.clock_ahead_ns / 1e9
        return found

    @property
    def skew(self) -> float:
        """Return how far apart any two clocks are, this machine's among them, in seconds."""
        ahead = [0.0, *self.clocks.values()]
        return max(ahead) - min(ahead)

    @property
    def unread(self) -> Mapping[str, int]:
        """Return how many messages of each stream are not in the journal yet."""
        if self.store.found is None:
            return {}
        return {
            stream.name: _behind(stream, self.store.found.positions.get(number))
            for number, stream in enumerate(self.bus.streams[: subjects.STREAMS])
            if stream.has_leader
        }


def _behind(stream: StreamFound, position: postgres_survey.Position | None) -> int:
    if position is None or position.created != stream.created:
        return stream.messages
    return max(0, min(stream.messages, stream.last - position.sequence))


@asynccontextmanager
async def connected(options: Options) -> AsyncIterator[Connection]:
    """Give a connection to NATS that looks for no stream.

    Raises:
        BusRefused: no server can be used.
    """

    async def nothing() -> None:
        """Prepare nothing."""

    connection = Connection(
        options, new_id(), Figures(), prepare=nothing, up=_say_nothing, down=_say_nothing
    )
    try:
        await connection.open(OPEN_SECONDS)
        yield connection
    finally:
        # What looks after the connection begins before it is ended.
        await asyncio.sleep(0)
        await connection.close()


async def look(settings: Settings) -> Overview:
    """Look at everything; what cannot be reached is told in the overview."""
    return Overview(*await asyncio.gather(_bus(settings), _store(settings)))


async def _bus(settings: Settings) -> BusSeen:
    options = cluster.options_of(settings)
    try:
        async with connected(options) as connection:
            found, nodes = await asyncio.gather(
                survey(connection, options, time.time_ns), ask_nodes(connection)
            )
            return BusSeen(
                servers=connection.servers,
                version=connection.version,
                streams=found,
                nodes=sorted(nodes, key=_place),
            )
    except StartRefused as refused:
        return BusSeen(why=str(refused))


async def ask_nodes(
    connection: Connection, wall_ns: Callable[[], int] = time.time_ns
) -> list[Answered]:
    """Ask all nodes that are there what they are."""
    question, found = new_id(), dict[str, Answered]()
    asked = 0

    def heard(_subject: bytes, _headers: bytes, data: bytes) -> None:
        state = decode(data)
        if state.answers == question:
            # It was sent at some time between the two.
            now = wall_ns()
            ahead = max(state.sent_ns - now, 0) - max(asked - state.sent_ns, 0)
            found[state.node] = Answered(state, ahead / 1e9)

    listening = await connection.listen(subjects.ANNOUNCEMENTS + About.STATE, heard)
    asked = wall_ns()
    connection.send(subjects.ANNOUNCEMENTS + About.ASKED, question.encode())
    await asyncio.sleep(ANSWER_SECONDS)
    await connection.unlisten(listening)
    return list(found.values())


async def _store(settings: Settings) -> StoreSeen:
    before = time.time_ns()
    try:
        url, password = cluster.database_of(settings)
        found = await postgres_survey.survey(url, password)
    except StartRefused as refused:
        return StoreSeen(why=str(refused))
    ahead = max(found.clock_ns - time.time_ns(), 0) - max(before - found.clock_ns, 0)
    return StoreSeen(found=found, ahead=ahead / 1e9)


def _place(node: Answered) -> tuple[str, int, int, str]:
    return node.state.host, node.state.process, node.state.pid, node.state.node


def _say_nothing() -> None:
    """Nobody waits for it."""
