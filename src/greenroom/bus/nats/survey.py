"""How the streams are, as who looks after them wants to know: leaders, copies, bounds, clocks.

`survey` asks for each stream of the service and says what it found, also of one that is missing or
does not answer. It changes nothing; `mending` does.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from greenroom.bus.figures import StreamsFound
from greenroom.bus.nats import headers
from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.provided import differences, streams
from greenroom.bus.nats.stored import NO_STREAM, ask_for


class Copy(msgspec.Struct, frozen=True):
    """A copy of a stream beside the leader's; `behind` is how many messages it lacks."""

    server: str = msgspec.field(name="name", default="")
    current: bool = False
    offline: bool = False
    behind: int = msgspec.field(name="lag", default=0)

    @property
    def is_well(self) -> bool:
        """Return whether it could take the leader's place."""
        return self.current and not self.offline


class StreamFound(msgspec.Struct, frozen=True, kw_only=True):
    """A stream; `why` it could not be looked at, if so. Of one that is missing all is empty."""

    name: str
    why: str = ""
    missing: bool = False
    leader: str = ""
    """The server that leads it. One server alone has no name for that."""
    copies: Sequence[Copy] = ()
    replicas: int = 0
    wanted_replicas: int = 0
    messages: int = 0
    bytes: int = 0
    most_bytes: int = 0
    wanted_bytes: int = 0
    last: int = 0
    created: str = ""
    clock_ahead_ns: int = 0
    """How far its leader's clock is ahead of this machine's."""
    differences: Sequence[str] = ()
    """What it does that a node would refuse."""
    config: Mapping[str, object] = {}

    @property
    def has_leader(self) -> bool:
        """Return whether it can store anything."""
        return not (self.why or self.missing)

    @property
    def copies_behind(self) -> int:
        """Return how many of its copies could not take the leader's place."""
        return sum(not each.is_well for each in self.copies)

    @property
    def fullness(self) -> float:
        """Return how much of its bytes are used, from 0 to 1."""
        return self.bytes / self.most_bytes if self.most_bytes > 0 else 0.0


class _Cluster(msgspec.Struct):
    leader: str = ""
    replicas: list[Copy] = []


class _State(msgspec.Struct):
    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class _Error(msgspec.Struct):
    err_code: int = -1
    description: str = ""


class _Info(msgspec.Struct):
    config: dict[str, object] = {}
    state: _State = msgspec.field(default_factory=_State)
    cluster: _Cluster | None = None
    created: str = ""
    ts: str = ""
    error: _Error | None = None


async def survey(
    connection: Connection, options: Options, wall_ns: Callable[[], int]
) -> list[StreamFound]:
    """Return how each stream of the service is, in their order."""
    wanted = streams(options, connection.servers)
    return await asyncio.gather(*(_look(connection, each, options, wall_ns) for each in wanted))


def summary(found: Sequence[StreamFound]) -> StreamsFound:
    """Return what there is to watch of them."""
    behind = [each for stream in found for each in stream.copies if not each.is_well]
    return StreamsFound(
        leaderless=tuple(each.name for each in found if not each.has_leader),
        copies_behind=len(behind),
        servers_behind=tuple(sorted({each.server for each in behind})),
        fullest=max((each.fullness for each in found), default=0.0),
    )


async def _look(
    connection: Connection,
    want: Mapping[str, object],
    options: Options,
    wall_ns: Callable[[], int],
) -> StreamFound:
    name, before = str(want["name"]), wall_ns()
    try:
        info = await ask_for(connection, f"STREAM.INFO.{name}", {}, _Info)
    except NoAnswer as silent:
        return StreamFound(name=name, why=str(silent))
    if info.error is not None:
        missing = info.error.err_code == NO_STREAM
        return StreamFound(name=name, missing=missing, why="" if missing else _words(info.error))
    there_ns = headers.stamp_ns(info.ts.encode()) if info.ts else 0
    cluster = info.cluster or _Cluster()
    return StreamFound(
        name=name,
        why="" if cluster.leader or info.cluster is None else "it has no leader",
        leader=cluster.leader,
        copies=cluster.replicas,
        replicas=_number(info.config, "num_replicas", 1),
        wanted_replicas=_number(want, "num_replicas", 1),
        messages=info.state.messages,
        bytes=info.state.bytes,
        most_bytes=_number(info.config, "max_bytes", -1),
        wanted_bytes=_number(want, "max_bytes", -1),
        last=info.state.last_seq,
        created=info.created,
        clock_ahead_ns=there_ns - (before + wall_ns()) // 2 if there_ns else 0,
        differences=differences(want, info.config, replicas=options.replicas is not None),
        config=info.config,
    )


def _words(error: _Error) -> str:
    return error.description or f"error {error.err_code}"


def _number(config: Mapping[str, object], key: str, default: int) -> int:
    found = config.get(key, default)
    return found if isinstance(found, int) else default
