"""A cluster's overview, for people and as JSON."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from greenroom.server.overview import Answered, Overview
from greenroom.server.verdicts import Verdict, named, what_is_read

NODE_HEAD = ("NODE", "VERSION", "UP", "CONNECTIONS", "ROOMS", "STREAMS", "CLOCK", "STATE")


def lines(seen: Overview) -> Iterator[str]:
    """Return what a person is shown; what is wrong is said below it, by others."""
    yield from _nats(seen)
    yield from _postgresql(seen)
    yield from _chat_logs(seen)
    yield f"Clocks      within {seen.skew:.2f} s"
    yield ""
    yield from _table([NODE_HEAD, *(_node(each) for each in seen.bus.nodes)])
    total = sum(each.state.connections for each in seen.bus.nodes)
    yield f"{len(seen.bus.nodes)} nodes, {total:,} connections"


def _nats(seen: Overview) -> Iterator[str]:
    bus = seen.bus
    if bus.why:
        yield "NATS        cannot be used"
        return
    yield f"NATS        version {bus.version}, servers: {bus.servers}"
    led = [each for each in bus.streams if each.has_leader]
    leaders = Counter(each.leader or "this server" for each in led)
    shown = ", ".join(f"{server} {number}" for server, number in sorted(leaders.items()))
    behind = sum(each.copies_behind for each in led)
    size = sum(each.bytes for each in led)
    fullest = max((each.fullness for each in led), default=0.0)
    yield f"Streams     {len(led)} of {len(bus.streams)} have leaders: {shown or 'none'}"
    yield f"            copies behind: {behind}; {size:,} bytes, the fullest to {fullest:.0%}"


def _postgresql(seen: Overview) -> Iterator[str]:
    found = seen.store.found
    if found is None:
        yield "PostgreSQL  cannot be used"
        return
    connections = f"{found.sessions} connections of {found.settings.get('max_connections', '?')}"
    yield f"PostgreSQL  {found.where.removeprefix('PostgreSQL at ')}, version {found.version}"
    yield f"            schema {found.schema}, {connections}"


def _chat_logs(seen: Overview) -> Iterator[str]:
    yield f"Chat logs   {what_is_read(seen)}"
    for each in () if seen.store.found is None else seen.store.found.waiting:
        age = max(0.0, time.time() - each.oldest_ns / 1e9) if each.oldest_ns else 0.0
        yield f"            {each.records:,} records wait for {each.configuration}, {_ago(age)} old"


def _node(node: Answered) -> Sequence[str]:
    state = node.state
    return (
        named(node),
        state.version,
        _ago((state.sent_ns - state.started_ns) / 1e9),
        f"{state.connections:,}",
        f"{state.rooms:,}",
        str(len(state.lags)),
        f"{node.ahead:+.2f} s",
        ", ".join(state.failing) or "ready",
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def as_json(seen: Overview, wrong: Sequence[Verdict]) -> dict[str, object]:
    """Return all of it, for programs; `wrong` is what makes it unwell."""
    bus, store = seen.bus, seen.store
    return {
        "well": not wrong,
        "wrong": [{"part": each.part, "said": each.said} for each in wrong],
        "nodes": [
            {
                **msgspec.to_builtins(msgspec.structs.asdict(each.state)),
                "clock_ahead_seconds": each.ahead,
            }
            for each in bus.nodes
        ],
        "nats": {
            "error": bus.why,
            "version": bus.version,
            "servers": bus.servers,
            "streams": [_stream(each, seen) for each in bus.streams],
        },
        "postgresql": {
            "error": store.why,
            **({} if store.found is None else msgspec.to_builtins(_without_positions(store.found))),
        },
        "clocks": {"skew_seconds": seen.skew, "ahead_seconds": seen.clocks},
    }


def _stream(each: "msgspec.Struct", seen: Overview) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(each)
    del found["config"]
    found["unread"] = seen.unread.get(str(found["name"]), 0)
    return found


def _without_positions(found: "msgspec.Struct") -> "msgspec.Struct":
    return msgspec.structs.replace(found, positions={})
