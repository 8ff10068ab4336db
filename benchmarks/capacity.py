"""What so many viewers need: the tables of `docs/explanation/capacity.md`, from measured costs.

    python -m benchmarks.capacity    # write the page's tables from results/*.json

A node is a process, which uses one core. A room's viewers are on any nodes, so that a room of v
viewers is on n (1 - (1 - 1/n)^v) of n nodes. Each of these hears each of its messages.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks import markdown
from benchmarks.client import Outcome
from benchmarks.processes import ROOT
from benchmarks.runs import RESULTS
from benchmarks.simulated import Heard, Spread, Told

Run = TypeVar("Run")

PAGE = ROOT / "docs" / "explanation" / "capacity.md"
SIMULATED = Path("simulated") / "nodes.json"

FULL = 0.6
"""Which part of its core a node uses: the rest is for bursts, and viewers of a node that died."""

MOST_CONNECTIONS = 50_000
"""Connections of a node at most: so many come to the others when it dies."""

MOST_NODES, MOST_CLUSTERS = 400, 400

SESSION_SECONDS = 1_800
"""After so long a viewer comes again, or another one."""

TELLING = tuple(Spread(nodes, 1_000, 20_000) for nodes in (2, 8, 32))
HEARING = tuple(Spread(nodes, 100, 100 * nodes) for nodes in (2, 8, 24))


class Scenario(msgspec.Struct, frozen=True):
    """Viewers, the rooms that they are in, and the messages of each room in a second."""

    name: str
    viewers: int
    rooms: int
    rate: float


SCENARIOS = (
    Scenario("50,000 viewers in one room, 100 messages a second", 50_000, 1, 100),
    Scenario("1 million viewers in 10,000 rooms, 1 message a second each", 1_000_000, 10_000, 1),
    Scenario(
        "10 million viewers in 100,000 rooms, 1 message a second each", 10_000_000, 100_000, 1
    ),
)


class Costs(msgspec.Struct, frozen=True):
    """What one of each costs, in microseconds of CPU; memory in bytes."""

    delivery: float
    """To one of many connections, when the core is busy with nothing else."""
    joined: float
    """The same at 100 messages a second, of which two or three are one write."""
    message: float
    """A message on a node that shows it, besides its deliveries and the bus."""
    own: float
    """A message that the node publishes and hears."""
    heard: float
    """One that another node has published."""
    stored: float
    """One at the three NATS servers together, heard by one node."""
    carried: float
    """One at them for each further node that hears it."""
    connect: float
    """A viewer who comes."""
    redeemed: float
    """His token at the node."""
    used: float
    """His token at PostgreSQL."""
    idle: float
    """A connection for a second, with its pings."""
    told: float
    """What one other node tells of one room."""
    connection: float
    """Memory of a connection."""
    elsewhere: float
    """Memory for a viewer whom another node has."""


class Needs(msgspec.Struct, frozen=True):
    """What a scenario needs: `load` is the part of its core that each node uses."""

    clusters: int
    nodes: int
    load: float
    hearing: float
    telling: float
    memory: float
    nats: float
    postgresql: float


def costs(results: Path = RESULTS) -> Costs:
    """Read the measured costs; of several runs the median."""
    fanout, cluster = _of(results, "fanout"), _alone(results, "cluster")
    delivery = _each(fanout["one at a time, 1,000 connections"]["Greenroom"], _delivery)
    many = _each(fanout[_like(fanout, "one at a time, 19,000")]["Greenroom"], _delivery)
    steady = _each(fanout["steady 100 a second, 1,000 connections"]["Greenroom"], _delivery)
    rooms = _each(fanout[_like(fanout, "1,900 rooms")]["Greenroom"], _delivery)
    connect = _each(_of(results, "connect")["5,000 connections"]["Greenroom"], _connect)
    memory = _each(_of(results, "memory")["10,000 connections"]["Greenroom"], _memory)
    idle = _of(results, "idle")
    own = cluster["R3, a message of its own: published, answered and seen"]
    redeemed = _alone(results, "redeem")["50 under way"]
    told, heard = simulated(results)
    return Costs(
        delivery=many,
        joined=steady * many / delivery,
        message=10 * max(0.0, rooms - many),
        own=_each(own, lambda run: run["node"]),
        heard=_each(cluster["R3, a message of another node"], lambda run: run["node"]),
        stored=_each(own, lambda run: run["servers"]),
        carried=_slope([each.nodes for each in heard], [each.servers for each in heard]),
        connect=connect,
        redeemed=_each(redeemed, lambda run: run["node"]),
        used=_each(redeemed, lambda run: run["database"]),
        idle=_each(idle[_like(idle, "19,000")]["Greenroom"], _idle),
        told=statistics.median(each.cpu for each in told),
        connection=memory,
        elsewhere=max(each.kept for each in told),
    )


def simulated(results: Path = RESULTS) -> tuple[list[Told], list[Heard]]:
    """Return what the simulation found, for `TELLING` and for `HEARING`."""
    found = msgspec.json.decode((results / SIMULATED).read_bytes(), type=_Simulated).raw
    return found.told, found.heard


class _Found(msgspec.Struct):
    told: list[Told]
    heard: list[Heard]


class _Simulated(msgspec.Struct):
    raw: _Found


class _Measured(msgspec.Struct):
    raw: dict[str, dict[str, list[Outcome]]]


class _MeasuredAlone(msgspec.Struct):
    """What is measured of one server, which is not named."""

    raw: dict[str, list[dict[str, float]]]


def on(nodes: int, viewers: float) -> float:
    """Return on how many of the nodes a room of so many viewers is."""
    return nodes * (1 - math.pow(1 - 1 / nodes, viewers))


def needs(scenario: Scenario, cost: Costs, clusters: int, nodes: int) -> Needs:
    """Return what one of the clusters needs: each has so many nodes, and its part of the rooms."""
    rooms, viewers = scenario.rooms / clusters, scenario.viewers / clusters
    places = on(nodes, viewers / rooms)
    messages, joins = rooms * scenario.rate, viewers / SESSION_SECONDS
    own, heard = messages / nodes, messages * places / nodes
    write = cost.joined if scenario.rate >= 50 else cost.delivery
    busy = rooms * places / nodes * (1 - math.exp(-scenario.rate))
    hearing = own * cost.own + max(0.0, heard - own) * cost.heard + heard * cost.message
    telling = (nodes - 1) * (busy + joins / nodes) * cost.told
    work = viewers * scenario.rate * write + joins * (cost.connect + cost.redeemed)
    load = (work + viewers * cost.idle) / nodes + hearing + telling
    return Needs(
        clusters=clusters,
        nodes=nodes,
        load=load / 1e6,
        hearing=hearing / 1e6,
        telling=telling / 1e6,
        memory=(viewers / nodes * cost.connection + viewers * cost.elsewhere) / 2**30,
        nats=messages * (cost.stored + max(0.0, places - 1) * cost.carried) / 1e6,
        postgresql=joins * cost.used / 1e6,
    )


def least(scenario: Scenario, cost: Costs, clusters: int) -> Needs | None:
    """Return the fewest nodes that carry it in so many clusters; None when none do."""
    if clusters > scenario.rooms:
        return None
    for nodes in range(1, MOST_NODES + 1):
        found = needs(scenario, cost, clusters, nodes)
        if scenario.viewers / clusters / nodes <= MOST_CONNECTIONS and found.load <= FULL:
            return found
    return None


def fewest(scenario: Scenario, cost: Costs) -> Needs:
    """Return what it needs in as many clusters as take the fewest nodes."""
    found = [least(scenario, cost, clusters) for clusters in range(1, MOST_CLUSTERS + 1)]
    return min(
        (each for each in found if each is not None), key=lambda each: each.clusters * each.nodes
    )


def tables(results: Path = RESULTS) -> dict[str, str]:
    """Return the page's tables, by name."""
    cost = costs(results)
    told, heard = simulated(results)
    return {
        "costs": markdown.table(("what", "costs"), _costs(cost)),
        "needs": markdown.table(
            (
                *(
                    "",
                    "clusters",
                    "nodes of each",
                    "a node's core",
                    "of it hearing",
                    "of it telling",
                ),
                *("GiB of a node", "cores of NATS, each cluster", "cores of PostgreSQL, each"),
            ),
            (cells for each in SCENARIOS for cells in _needs(each, cost)),
        ),
        "simulated": markdown.table(
            ("nodes", "rooms, viewers", "what", "by the formula", "simulated"),
            (*map(_compared, HEARING, heard), *map(_compared_told, TELLING, told)),
        ),
    }


def _costs(cost: Costs) -> Iterable[tuple[str, str]]:
    for field in msgspec.structs.fields(Costs):
        value: float = getattr(cost, field.name)
        unit = "bytes" if field.name in {"connection", "elsewhere"} else "µs"
        yield _WORDS[field.name], f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.2f} µs"


_WORDS = {
    "delivery": "a delivery, to one of 19,000 connections",
    "joined": "the same in a room with 100 messages a second, which joins some",
    "message": "a message on each node that shows it, at most",
    "own": "publishing it, and hearing it",
    "heard": "hearing one of another node",
    "stored": "storing it, three NATS servers together",
    "carried": "carrying it to each further node, likewise",
    "connect": "a viewer who comes",
    "redeemed": "using up the token, at the node",
    "used": "the same, at PostgreSQL",
    "idle": "a connection for a second, with its pings",
    "told": "hearing what another node tells of a room",
    "connection": "memory of a connection without TLS, besides the kernel's",
    "elsewhere": "memory of a viewer whom another node has, at most",
}


def _needs(scenario: Scenario, cost: Costs) -> Iterable[Sequence[str]]:
    best = fewest(scenario, cost)
    one = least(scenario, cost, 1)
    if one is None:
        yield (scenario.name, "1", "none carries it", *[""] * 6)
    for each in [one, best] if one is not None and one != best else [best]:
        yield (
            scenario.name,
            str(each.clusters),
            str(each.nodes),
            *(f"{part:.0%}" for part in (each.load, each.hearing, each.telling)),
            *(f"{number:.2g}" for number in (each.memory, each.nats, each.postgresql)),
        )


def _compared(spread: Spread, found: Heard) -> Sequence[str]:
    expected = on(spread.nodes, spread.viewers / spread.rooms)
    what = "nodes that hear a message"
    return _compare(spread, what, f"{expected:.1f}", f"{found.nodes:.1f}")


def _compared_told(spread: Spread, found: Told) -> Sequence[str]:
    rooms = spread.rooms * on(spread.nodes, spread.viewers / spread.rooms) / spread.nodes
    expected = (spread.nodes - 1) * rooms
    return _compare(spread, "rooms told of to a node", f"{expected:,.0f}", f"{found.news:,.0f}")


def _compare(spread: Spread, what: str, expected: str, found: str) -> Sequence[str]:
    of = f"{spread.rooms:,}, {spread.viewers:,}"
    return (str(spread.nodes), of, what, expected, found)


def _of(results: Path, name: str) -> dict[str, dict[str, list[Outcome]]]:
    return msgspec.json.decode((results / f"{name}.json").read_bytes(), type=_Measured).raw


def _alone(results: Path, name: str) -> dict[str, list[dict[str, float]]]:
    return msgspec.json.decode((results / f"{name}.json").read_bytes(), type=_MeasuredAlone).raw


def _like(cases: Iterable[str], beginning: str) -> str:
    """Return the case that begins so: how many connections there were depends on the machine."""
    number = re.search(r"[0-9,]+", beginning)
    found = [each for each in cases if each.startswith(beginning)]
    if found or number is None:
        return found[0]
    words = beginning.replace(number[0], "")
    return next(each for each in cases if re.sub(r"[0-9,]+", "", each).startswith(words))


def _each(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(map(figure, runs))


def _delivery(run: Outcome) -> float:
    return run.cpu


def _connect(run: Outcome) -> float:
    return run.connect_cpu / run.connections * 1e6


def _memory(run: Outcome) -> float:
    return (run.resident_held - run.resident_before) * 1024 / run.connections


def _idle(run: Outcome) -> float:
    return run.hold_cpu / run.hold_seconds / run.connections * 1e6


def _slope(places: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much the values rise for one place more."""
    return statistics.linear_regression(places, values).slope


def write(page: Path, results: Path = RESULTS) -> None:
    """Put the tables into their places on the page."""
    page.write_text(filled(page.read_text(), results))


def filled(text: str, results: Path = RESULTS) -> str:
    """Return the page's text with every table made anew."""
    for name, table in tables(results).items():
        text = markdown.placed(text, f"capacity: {name}", table)
    return text


if __name__ == "__main__":
    write(PAGE)
