"""How streams are found: what is said of one that is missing, leaderless, or does not answer."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from greenroom.bus.nats import headers, survey
from greenroom.bus.nats.connection import NoAnswer, Options
from greenroom.bus.nats.provided import streams
from greenroom.bus.nats.stored import NO_STREAM
from greenroom.bus.nats.survey import Copy, StreamFound, summary

OPTIONS = Options(servers=[])
NOW_NS = 1_796_000_000 * 10**9
WANT = streams(OPTIONS, 1)[0]
NAME = str(WANT["name"])


class Connection:
    """A double of a connection: what JetStream answers is the test's."""

    servers = 1

    def __init__(self, answer: object) -> None:
        self.answer = answer


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that looks at one stream of which something is answered."""
    asked: list[str] = []

    async def ask_for(connection: Any, subject: str, _body: object, kind: type[Any]) -> object:
        asked.append(subject)
        if isinstance(connection.answer, Exception):
            raise connection.answer
        return msgspec.convert(connection.answer, kind)

    monkeypatch.setattr(survey, "ask_for", ask_for)

    async def found(answer: object, *times: int) -> StreamFound:
        connection: Any = Connection(answer)
        left = list(times or (NOW_NS, NOW_NS))
        result = await survey._look(connection, WANT, OPTIONS, lambda: left.pop(0))
        assert asked.pop() == f"STREAM.INFO.{NAME}"
        return result

    return found


async def test_what_is_found_of_a_stream(look: Callable[..., Any]) -> None:
    """How full it is, who leads it and has copies, and how far its leader's clock is off."""
    there = NOW_NS + 7 * 10**9
    found = await look(
        {
            "config": {**WANT, "num_replicas": 3, "max_bytes": 1000},
            "state": {"messages": 5, "bytes": 250, "last_seq": 9},
            "cluster": {
                "leader": "a",
                "replicas": [
                    {"name": "b", "current": True},
                    {"name": "c", "current": False, "lag": 4},
                    {"name": "d", "current": True, "offline": True},
                ],
            },
            "created": "c",
            "ts": headers.written(there),
        },
        NOW_NS,
        NOW_NS + 2 * 10**9,
    )
    assert (found.name, found.why, found.missing, found.leader) == (NAME, "", False, "a")
    assert found.copies == [Copy("b", True), Copy("c", False, False, 4), Copy("d", True, True)]
    assert (found.has_leader, found.copies_behind, found.fullness) == (True, 2, 0.25)
    assert (found.replicas, found.wanted_replicas) == (3, 1)
    assert (found.most_bytes, found.wanted_bytes) == (1000, WANT["max_bytes"])
    assert (found.messages, found.bytes, found.last, found.created) == (5, 250, 9, "c")
    assert found.clock_ahead_ns == 6 * 10**9


async def test_a_server_alone(look: Callable[..., Any]) -> None:
    """It has no name for its leader, and may not tell its time; what it does not say is one."""
    found = await look({"config": {}, "state": {}})
    assert (found.has_leader, found.leader, found.copies) == (True, "", [])
    assert (found.replicas, found.most_bytes, found.fullness) == (1, -1, 0.0)
    assert found.clock_ahead_ns == 0
    assert found.differences
    assert (await look({"config": {"num_replicas": "3"}})).replicas == 1


@pytest.mark.parametrize(
    ("answer", "missing", "why"),
    [
        (NoAnswer("nobody"), False, "nobody"),
        ({"error": {"err_code": NO_STREAM, "description": "not found"}}, True, ""),
        ({"error": {"err_code": 7, "description": "so"}}, False, "so"),
        ({"error": {"err_code": 7}}, False, "error 7"),
        ({"cluster": {"leader": ""}}, False, "it has no leader"),
    ],
)
async def test_streams_that_store_nothing(
    look: Callable[..., Any], answer: object, missing: bool, why: str
) -> None:
    """It is said why, or that there is none."""
    found = await look(answer)
    assert (found.name, found.missing, found.why, found.has_leader) == (NAME, missing, why, False)


def test_a_summary() -> None:
    """What there is to watch: each server once, whatever it has copies of."""
    behind, well = Copy("b", current=False), Copy("a", current=True)
    found = [
        StreamFound(name="1", copies=[behind, well], bytes=1, most_bytes=4),
        StreamFound(name="2", copies=[behind, Copy("a", current=True, offline=True)]),
        StreamFound(name="3", missing=True),
        StreamFound(name="4", why="so", bytes=3, most_bytes=4),
        StreamFound(name="5", leader="a", bytes=3, most_bytes=0),
    ]
    told = summary(found)
    assert (told.leaderless, told.copies_behind) == (("3", "4"), 3)
    assert (told.servers_behind, told.fullest) == (("a", "b"), 0.75)
    assert summary([]).fullest == 0.0
    assert summary([StreamFound(name="6", leader="a", bytes=1, most_bytes=1)]).fullest == 1.0


async def test_all_streams_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order."""

    async def found(_connection: object, want: Any, *_: object) -> StreamFound:
        return StreamFound(name=str(want["name"]))

    monkeypatch.setattr(survey, "_look", found)
    connection: Any = Connection(None)
    all_ = await survey.survey(connection, OPTIONS, lambda: 0)
    assert [each.name for each in all_] == [each["name"] for each in streams(OPTIONS, 1)]
