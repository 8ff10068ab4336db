"""What is said of a cluster: what is well, what could be better, what is wrong."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from greenroom.bus.nats.survey import Copy, StreamFound
from greenroom.server.node_states import NodeState
from greenroom.server.overview import Answered, BusSeen, Overview, StoreSeen
from greenroom.server.verdicts import SETTINGS, Level, verdicts
from greenroom.storage.postgres.survey import Position, Surveyed

GOOD = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
}


def stream(number: int, **changes: Any) -> StreamFound:
    """Return a stream that is well."""
    return StreamFound(
        **{
            "name": f"ROOMS_{number:02}",
            "leader": f"n{number % 3}",
            "copies": [Copy("a", current=True), Copy("b", current=True)],
            "replicas": 3,
            "wanted_replicas": 3,
            "most_bytes": 1000,
            "wanted_bytes": 1000,
            "last": 10,
            "messages": 5,
            "bytes": 10,
            "created": "then",
            **changes,
        }
    )


def node(**changes: Any) -> Answered:
    """Return a node that is well; `ahead` is its clock."""
    ahead = changes.pop("ahead", 0.0)
    known = {"node": "n", "host": "h", "pid": 7, "version": "1", "lags": {0: 0.1}}
    return Answered(NodeState(**{**known, **changes}), ahead)


def overview(
    streams: list[StreamFound] | None = None,
    nodes: list[Answered] | None = None,
    settings: Mapping[str, str] = GOOD,
    **changes: Any,
) -> Overview:
    """Return a cluster that is well."""
    found = [stream(each) for each in range(17)] if streams is None else streams
    bus = BusSeen(
        servers=changes.pop("servers", 3),
        version=changes.pop("nats", "2.15.1"),
        streams=found,
        nodes=[node()] if nodes is None else nodes,
    )
    database = Surveyed(
        where="PostgreSQL at h",
        version="18.0",
        clock_ns=0,
        schema=changes.pop("schema", 3),
        newest_schema=3,
        settings=settings,
        sessions=1,
        positions={each: Position("then", 10) for each in range(16)},
    )
    return Overview(bus, StoreSeen(found=database, **changes))


def worse(seen: Overview) -> list[tuple[str, str, str]]:
    """Return what is not well."""
    return [(each.level, each.part, each.said) for each in verdicts(seen) if each.level != Level.OK]


def test_a_cluster_that_is_well() -> None:
    """Each part is named, and nothing else is said."""
    found = verdicts(overview())
    assert {each.level for each in found} == {Level.OK}
    assert [each.part for each in found] == [
        *("nats", "streams", "postgresql", "nodes", "chat logs", "clocks"),
    ]


def test_a_cluster_at_every_bound() -> None:
    """What is just allowed is well."""
    at_bounds = overview(
        [stream(0, bytes=900, most_bytes=0), stream(0, bytes=900), stream(1)],
        [node(pid=8, ahead=-1.0, lags={0: 300.0}), *(node(node=str(each)) for each in range(3))],
        settings=GOOD | {"max_connections": "100", "superuser_reserved_connections": "20"},
        nats="2.15",
        ahead=1.0,
    )
    assert worse(at_bounds) == []
    assert verdicts(at_bounds)[-1].said == "within 2.00 s"
    assert worse(overview(ahead=1.9)) == []


@pytest.mark.parametrize(
    ("last", "lag", "said"),
    [
        (10, 1.1, "1 streams are read, 0 messages not yet"),
        (1_234, 1.1, "1 streams are read, 1,224 messages not yet, the oldest for 1.1 s"),
        (10, 301.0, "1 streams are read, 0 messages not yet, the oldest for 301.0 s"),
    ],
)
def test_what_is_not_read_yet(last: int, lag: float, said: str) -> None:
    """For how long is said of what waits, and where nothing was heard of a stream for long."""
    seen = overview(odd(last=last, messages=5_000), nodes=[node(lags={0: lag})])
    assert verdicts(seen)[4].said == said


def test_clocks_that_are_apart() -> None:
    """Those are named that are far from this machine's, and on which side."""
    seen = overview(nodes=[node(ahead=1.0), node(node="m", pid=8, ahead=-1.5)], ahead=1.25)
    assert [said for _, _, said in worse(seen)] == [
        "node h 8 is 1.5 s behind this machine: have NTP set both",
        "PostgreSQL is 1.2 s ahead of this machine: have NTP set both",
    ]


def odd(**changes: Any) -> list[StreamFound]:
    """Return streams of which the first is otherwise."""
    return [stream(0, **changes), *(stream(each) for each in range(1, 17))]


@pytest.mark.parametrize(
    ("seen", "level", "part", "words"),
    [
        (overview(odd(missing=True, replicas=0)), "NO", "streams", "ROOMS_00 is missing"),
        (overview(odd(why="it has no leader")), "NO", "streams", "ROOMS_00: it has no"),
        (overview(odd(differences=["storage is x"])), "NO", "streams", "storage is x"),
        (
            overview(odd(copies=[Copy("b", offline=True)])),
            *("NO", "streams", "b is away, or catches up: 1 copies lack up to 0 messages"),
        ),
        (
            overview(odd(copies=[Copy("b", behind=9)])),
            *("NO", "streams", "b is away, or catches up: 1 copies lack up to 9 messages"),
        ),
        (overview(odd(replicas=1)), "NOTE", "streams", "copies: 1 of 3"),
        (overview(odd(most_bytes=900)), "NOTE", "streams", "below bus_stream_bytes"),
        (overview(odd(most_bytes=1, bytes=0)), "NOTE", "streams", "below bus_stream_bytes"),
        (overview(odd(bytes=950)), "NOTE", "streams", "ROOMS_00 is full to 95%"),
        (
            overview([stream(3 * each) for each in range(17)]),
            *("NOTE", "streams", "n0 leads 17 of 17"),
        ),
        (
            overview([stream(0 if each < 12 else 1) for each in range(17)]),
            *("NOTE", "streams", "n0 leads 12 of 17"),
        ),
        (overview(servers=1), "NOTE", "nats", "1 of 3 servers"),
        (overview(nats="2.11.11"), "NOTE", "nats", "before 2.15"),
        (overview(schema=0), "NO", "postgresql", "no schema of ours"),
        (overview(schema=2), "NOTE", "postgresql", "schema 2, this version brings it to 3"),
        (overview(settings=GOOD | {"fsync": "off"}), "NO", SETTINGS, "fsync is off"),
        (overview(settings=GOOD | {"data_checksums": "off"}), "NOTE", SETTINGS, "data_checksums"),
        (overview(settings=GOOD | {"synchronous_commit": "off"}), "NOTE", SETTINGS, "synchr"),
        (
            overview(nodes=[node(node=str(each)) for each in range(5)]),
            *("NOTE", SETTINGS, "max_connections is 100: 5 nodes and their successors need 100"),
        ),
        (overview(nodes=[]), "NO", "nodes", "none answers"),
        (
            overview(nodes=[node(failing=["store"], process=2)]),
            *("NO", "nodes", "h process 2 (7) is not ready: store"),
        ),
        (
            overview(nodes=[node(), node(version="2")]),
            *("NOTE", "nodes", "of versions 1 and 2: go on with the upgrade"),
        ),
        (
            overview(nodes=[node(lags={1: 400.0, 2: 0.1})]),
            "NO",
            "chat logs",
            "the oldest for 400.0 s",
        ),
        (overview(nodes=[node(ahead=-3.0)]), "NO", "clocks", "node h 7 is 3.0 s behind this"),
        (overview(ahead=3.0), "NO", "clocks", "PostgreSQL is 3.0 s ahead of this machine"),
    ],
)
def test_what_is_not_well(seen: Overview, level: str, part: str, words: str) -> None:
    """It is named with its part, and how bad it is; nothing else is said."""
    (only,) = worse(seen)
    assert only[:2] == (level, part)
    assert words in only[2]
    well = {each.part for each in verdicts(seen) if each.level is Level.OK}
    assert ("streams" in well) is ((level, part) != ("NO", "streams"))


def test_what_cannot_be_reached() -> None:
    """The reason is told, and nothing that nobody knows."""
    seen = Overview(BusSeen(why="nobody there"), StoreSeen(why="nobody here"))
    assert worse(seen) == [("NO", "nats", "nobody there"), ("NO", "postgresql", "nobody here")]
    assert len(verdicts(seen)) == 3


def test_messages_that_are_not_read() -> None:
    """Those behind the position; all of a stream that was made anew; none of what aged out."""
    moved = msgspec.structs.replace(stream(0), last=13, messages=2)
    anew = msgspec.structs.replace(stream(1), created="later")
    seen = overview([moved, anew, stream(2, last=12)])
    assert seen.unread == {"ROOMS_00": 2, "ROOMS_01": 5, "ROOMS_02": 2}
    assert worse(seen) == [], "they are being read"
    assert worse(overview(nodes=[node(lags={})])) == [], "there are none"
    nobody = overview([stream(0), stream(2, last=12)], nodes=[node(lags={})])
    said = "0 streams are read, 2 messages not yet, the oldest for 0.0 s"
    assert ("NO", "chat logs", said) in worse(nobody)
