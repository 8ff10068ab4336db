"""What is made of what a cluster says of itself: clocks, and what is not in the journal yet."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.bus.base import About
from greenroom.bus.nats import subjects
from greenroom.bus.nats.survey import StreamFound
from greenroom.process.start_refused import StartRefused
from greenroom.server import overview
from greenroom.server.overview import Answered, BusSeen, Overview, StoreSeen, ask_nodes

SECOND = 10**9


def node(ahead: float = 0.0, host: str = "a", process: int = 0, name: str = "n") -> Answered:
    """Return a node that has answered."""
    state: Any = Mock(host=host, pid=7, process=process, node=name)
    return Answered(state, ahead)


def stream(number: int = 0, **more: Any) -> StreamFound:
    """Return a stream as it was found."""
    return StreamFound(**{"name": f"S{number}", "created": "c", **more})


def seen(*streams: StreamFound, positions: Any = None, ahead: float = 0.0) -> Overview:
    """Return an overview of a database and streams."""
    found: Any = None if positions is None else Mock(positions=positions)
    return Overview(BusSeen(streams=streams), StoreSeen(found=found, ahead=ahead))


def position(sequence: int, created: str = "c") -> Any:
    """Return how far the journal is."""
    return Mock(sequence=sequence, created=created)


def test_clocks() -> None:
    """Of nodes, the database and those who lead streams; one that says nothing has none."""
    streams = (
        stream(leader="s1", clock_ahead_ns=2 * SECOND),
        stream(1, clock_ahead_ns=-SECOND),
        stream(2, leader="s3"),
    )
    found: Any = Mock(positions={})
    whole = Overview(
        BusSeen(streams=streams, nodes=(node(0.5),)), StoreSeen(found=found, ahead=-0.25)
    )
    assert whole.clocks == {"node a 7": 0.5, "PostgreSQL": -0.25, "NATS s1": 2.0, "NATS": -1.0}
    assert whole.skew == 3.0
    assert Overview(BusSeen(), StoreSeen(ahead=9)).clocks == {}
    assert Overview(BusSeen(nodes=(node(0.5), node(0.75, "b"))), StoreSeen()).skew == 0.75
    assert Overview(BusSeen(nodes=(node(-0.5),)), StoreSeen()).skew == 0.5


def test_what_is_not_in_the_journal_yet() -> None:
    """Of each stream that can be looked at; of one that was made anew it is all."""
    streams = (
        stream(0, messages=100, last=500),
        stream(1, messages=100, last=500),
        stream(2, messages=100, last=500),
        stream(3, messages=100, last=500),
        stream(4, messages=100, last=500, why="no leader"),
        stream(5, messages=100, last=500),
    )
    positions = {
        0: position(470),
        1: position(1),
        2: position(500, "another"),
        4: position(1),
        5: position(501),
    }
    assert seen(*streams, positions=positions).unread == {
        "S0": 30,
        "S1": 100,
        "S2": 100,
        "S3": 100,
        "S5": 0,
    }
    assert seen(*streams).unread == {}
    more = [stream(number) for number in range(subjects.STREAMS + 1)]
    assert len(seen(*more, positions={}).unread) == subjects.STREAMS


class Connection:
    """A double of a connection to NATS: nodes answer as the test says."""

    servers, version = 3, "2.11"

    def __init__(self, *answers: tuple[str, int]) -> None:
        self.answers = answers
        self.heard: Any = None
        self.sent: list[tuple[str, bytes]] = []
        self.unlistened: list[object] = []

    async def listen(self, subject: str, heard: Any) -> object:
        assert subject == subjects.ANNOUNCEMENTS + About.STATE
        self.heard = heard
        return "listening"

    async def unlisten(self, listening: object) -> None:
        self.unlistened.append(listening)

    def send(self, subject: str, data: bytes) -> None:
        self.sent.append((subject, data))


async def test_nodes_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those count that answer this question; their clocks are as far off as is certain."""
    states: dict[bytes, Any] = {}
    connection: Any = Connection()
    times = iter((100 * SECOND, 102 * SECOND, 102 * SECOND, 102 * SECOND, 102 * SECOND))

    async def sleep(_: float) -> None:
        ((_, question),) = connection.sent
        given = {
            "within": (101, question),
            "ahead": (105, question),
            "behind": (97, question),
            "other": (101, b"another question"),
        }
        for name, (sent, answers) in given.items():
            states[name.encode()] = Mock(
                node=name, sent_ns=sent * SECOND, answers=answers.decode(), host="h"
            )
            connection.heard(b"", b"", name.encode())

    monkeypatch.setattr(overview, "decode", states.__getitem__)
    monkeypatch.setattr(overview.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    found = await ask_nodes(connection, lambda: next(times))
    assert {each.state.node: each.ahead for each in found} == {
        "within": 0.0,
        "ahead": 3.0,
        "behind": -3.0,
    }
    assert connection.sent[0][0] == subjects.ANNOUNCEMENTS + About.ASKED
    assert connection.unlistened == ["listening"]


async def test_what_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the refusal."""
    refused = Mock(side_effect=StartRefused("no way"))
    monkeypatch.setattr(overview.cluster, "options_of", Mock())  # type: ignore[attr-defined]
    monkeypatch.setattr(overview.cluster, "database_of", refused)  # type: ignore[attr-defined]
    monkeypatch.setattr(overview, "connected", refused)
    found = await overview.look(Mock())
    assert found == Overview(BusSeen(why="no way"), StoreSeen(why="no way"))


async def test_what_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes in the order of their places; how far the database's clock is certainly off."""
    nodes = [node(0, "b"), node(0, "a", 2), node(0, "a", 1, "y"), node(0, "a", 1, "x")]
    connected = Mock()
    connected.return_value.__aenter__ = AsyncMock(return_value=Connection())
    connected.return_value.__aexit__ = AsyncMock(return_value=None)
    monkeypatch.setattr(overview, "connected", connected)
    monkeypatch.setattr(overview, "survey", AsyncMock(return_value=[stream()]))
    monkeypatch.setattr(overview, "ask_nodes", AsyncMock(return_value=nodes))
    monkeypatch.setattr(overview.cluster, "options_of", Mock())  # type: ignore[attr-defined]
    bus = await overview._bus(Mock())
    assert (bus.why, bus.servers, bus.version, list(bus.streams)) == ("", 3, "2.11", [stream()])
    places = [(each.state.host, each.state.process, each.state.node) for each in bus.nodes]
    assert places == [("a", 1, "x"), ("a", 1, "y"), ("a", 2, "n"), ("b", 0, "n")]
    database = Mock(return_value=("url", None))
    monkeypatch.setattr(overview.cluster, "database_of", database)  # type: ignore[attr-defined]
    for there, ahead in ((101, 0.0), (105, 3.0), (97, -3.0)):
        times = iter((100 * SECOND, 102 * SECOND))
        monkeypatch.setattr(overview.time, "time_ns", lambda times=times: next(times))  # type: ignore[attr-defined]
        found = Mock(clock_ns=there * SECOND)
        monkeypatch.setattr(
            "greenroom.storage.postgres.survey.survey", AsyncMock(return_value=found)
        )
        store = await overview._store(Mock())
        assert (store.found, store.ahead) == (found, ahead)


async def test_a_connection_that_looks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed, whatever happens; it has some seconds to be made."""
    connection: Any = AsyncMock()
    made, sleep = Mock(return_value=connection), AsyncMock()
    monkeypatch.setattr(overview, "Connection", made)
    monkeypatch.setattr(overview.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    options: Any = Mock()

    async def fail() -> None:
        async with overview.connected(options):
            connection.close.assert_not_called()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    connection.open.assert_awaited_once_with(overview.OPEN_SECONDS)
    connection.close.assert_awaited_once_with()
    sleep.assert_awaited_once_with(0)
    assert made.call_args.args[0] is options
    await made.call_args.kwargs["prepare"]()
    made.call_args.kwargs["up"]()
    made.call_args.kwargs["down"]()
