"""What there is to say of a cluster: what is well, what could be better, what is wrong."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from greenroom.bus.nats.survey import StreamFound
from greenroom.server.overview import Answered, Overview
from greenroom.storage.postgres.survey import Surveyed

MOST_SKEW_SECONDS = 2.0
"""How far apart clocks may be."""

LAG_SECONDS = 300.0
"""How old what chat logs lack may be."""

FULL = 0.9
"""From which part of its bytes on a stream is nearly full."""

POWER_SAFE_VERSION = (2, 15)
"""The oldest nats-server that writes for many at once with sync_interval always."""

CONNECTIONS = 10
"""Connections of a node to PostgreSQL."""

COPIES = 3

SETTINGS = "settings"
"""The part that is what somebody has decided, and not how the cluster is now."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "NOTE"
    NO = "NO"


class Verdict(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    level: Level
    part: str
    said: str


def verdicts(seen: Overview) -> list[Verdict]:
    """Return what there is to say, in the order in which one would look."""
    return [*_nats(seen), *_postgresql(seen), *_nodes(seen), *_chat_logs(seen), *_clocks(seen)]


def _nats(seen: Overview) -> Iterator[Verdict]:
    bus = seen.bus
    if bus.why:
        yield Verdict(Level.NO, "nats", bus.why)
        return
    yield Verdict(Level.OK, "nats", f"version {bus.version}, servers: {bus.servers}")
    if bus.servers < COPIES:
        said = f"{bus.servers} of {COPIES} servers: none may be lost"
        yield Verdict(Level.NOTE, "nats", said)
    elif _version(bus.version) < POWER_SAFE_VERSION:
        said = "before 2.15: sync_interval always, for power failures, is slow with it"
        yield Verdict(Level.NOTE, "nats", said)
    yield from _streams(bus.streams)
    if bus.servers >= COPIES:
        yield from _leaders(bus.streams)


def _leaders(found: Sequence[StreamFound]) -> Iterator[Verdict]:
    leaders = Counter(each.leader for each in found if each.leader)
    for server, number in leaders.items():
        if number > 2 * len(found) / 3:
            said = f"{server} leads {number} of {len(found)}: the others have little to do"
            yield Verdict(Level.NOTE, "streams", said)


def _streams(found: Sequence[StreamFound]) -> Iterator[Verdict]:
    wrong = [verdict for each in found for verdict in _stream(each)]
    wrong += _copies(found)
    yield from wrong
    if not any(each.level is Level.NO for each in wrong):
        yield Verdict(Level.OK, "streams", f"{len(found)} with leaders, made as they must be")


def _copies(found: Sequence[StreamFound]) -> Iterator[Verdict]:
    """Tell of each server whose copies could not take a leader's place."""
    behind: dict[str, list[int]] = {}
    for copy in (copy for each in found for copy in each.copies if not copy.is_well):
        behind.setdefault(copy.server, []).append(copy.behind)
    for server, lacking in sorted(behind.items()):
        said = (
            f"{server} is away, or catches up: {len(lacking)} copies lack up to {max(lacking)}"
            " messages"
        )
        yield Verdict(Level.NO, "streams", said)


def _stream(each: StreamFound) -> Iterator[Verdict]:
    if each.missing:
        yield Verdict(Level.NO, "streams", f"{each.name} is missing: greenroom cluster init")
        return
    if each.why:
        yield Verdict(Level.NO, "streams", f"{each.name}: {each.why}")
    for difference in each.differences:
        yield Verdict(Level.NO, "streams", f"{each.name}: {difference}")
    if each.replicas < each.wanted_replicas and not each.differences:
        said = f"{each.name}: copies: {each.replicas} of {each.wanted_replicas}"
        yield Verdict(Level.NOTE, "streams", said)
    if 0 < each.most_bytes < each.wanted_bytes:
        said = f"{each.name}: max_bytes is {each.most_bytes}, below bus_stream_bytes"
        yield Verdict(Level.NOTE, "streams", said)
    if each.fullness > FULL:
        said = f"{each.name} is full to {each.fullness:.0%}: raise bus_stream_bytes and repair"
        yield Verdict(Level.NOTE, "streams", said)


def _postgresql(seen: Overview) -> Iterator[Verdict]:
    store = seen.store
    if store.found is None:
        yield Verdict(Level.NO, "postgresql", store.why)
        return
    found = store.found
    yield Verdict(Level.OK, "postgresql", f"{found.where}, version {found.version}")
    if not found.schema:
        yield Verdict(Level.NO, "postgresql", "there is no schema of ours: greenroom cluster init")
    elif found.schema < found.newest_schema:
        said = f"schema {found.schema}, this version brings it to {found.newest_schema}"
        yield Verdict(Level.NOTE, "postgresql", said)
    yield from _settings(found, len(seen.bus.nodes))


def _settings(found: Surveyed, nodes: int) -> Iterator[Verdict]:
    for name in ("fsync", "full_page_writes"):
        if found.settings.get(name) == "off":
            said = f"{name} is off: a power failure may damage everything"
            yield Verdict(Level.NO, SETTINGS, said)
    if found.settings.get("data_checksums") == "off":
        said = "data_checksums is off: a disk that errs is not noticed"
        yield Verdict(Level.NOTE, SETTINGS, said)
    if found.settings.get("synchronous_commit") == "off":
        said = "synchronous_commit is off: nodes set it to on for what they write"
        yield Verdict(Level.NOTE, SETTINGS, said)
    limit = int(found.settings.get("max_connections", "0"))
    reserved = int(found.settings.get("superuser_reserved_connections", "0"))
    # As many nodes once more: those of the next version, during an upgrade.
    wanted = 2 * CONNECTIONS * nodes
    if limit and limit - reserved < wanted:
        said = f"max_connections is {limit}: {nodes} nodes and their successors need {wanted}"
        yield Verdict(Level.NOTE, SETTINGS, said)


def _nodes(seen: Overview) -> Iterator[Verdict]:
    if seen.bus.why:
        return
    nodes = seen.bus.nodes
    if not nodes:
        yield Verdict(Level.NO, "nodes", "none answers")
        return
    unwell = [each for each in nodes if each.state.failing]
    for each in unwell:
        said = f"{named(each)} is not ready: {', '.join(each.state.failing)}"
        yield Verdict(Level.NO, "nodes", said)
    if not unwell:
        yield Verdict(Level.OK, "nodes", f"{len(nodes)}, all ready")
    versions = sorted({each.state.version for each in nodes})
    if len(versions) > 1:
        said = f"of versions {' and '.join(versions)}: go on with the upgrade"
        yield Verdict(Level.NOTE, "nodes", said)


def named(node: Answered) -> str:
    """Return a node's name for people: its machine, and the process there."""
    number = f" process {node.state.process}" if node.state.process else ""
    return f"{node.state.host}{number} ({node.state.pid})"


def _chat_logs(seen: Overview) -> Iterator[Verdict]:
    if seen.bus.nodes:
        late = _lag(seen) > LAG_SECONDS or (any(seen.unread.values()) and not _read(seen))
        yield Verdict(Level.NO if late else Level.OK, "chat logs", what_is_read(seen))


def what_is_read(seen: Overview) -> str:
    """Return how far streams are read for chat logs; how long ago where that is of interest."""
    unread, lag = sum(seen.unread.values()), _lag(seen)
    oldest = f", the oldest for {lag:.1f} s" if unread or lag > LAG_SECONDS else ""
    return f"{len(_read(seen))} streams are read, {unread:,} messages not yet{oldest}"


def _read(seen: Overview) -> set[int]:
    return {stream for each in seen.bus.nodes for stream in each.state.lags}


def _lag(seen: Overview) -> float:
    lags = (lag for each in seen.bus.nodes for lag in each.state.lags.values())
    return max(lags, default=0.0)


def _clocks(seen: Overview) -> Iterator[Verdict]:
    skew = seen.skew
    if skew <= MOST_SKEW_SECONDS:
        yield Verdict(Level.OK, "clocks", f"within {skew:.2f} s")
        return
    for name, ahead in seen.clocks.items():
        if abs(ahead) > MOST_SKEW_SECONDS / 2:
            side = "ahead of" if ahead > 0 else "behind"
            said = f"{name} is {abs(ahead):.1f} s {side} this machine: have NTP set both"
            yield Verdict(Level.NO, "clocks", said)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(".") if word.isdecimal())
