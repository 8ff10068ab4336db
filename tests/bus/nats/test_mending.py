"""What is found of streams, and what is put right of them without losing a message.

Covers: greenroom.bus.nats.survey
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import msgspec
import nats
import pytest
from nats.aio.client import Client

from greenroom.bus.figures import Figures
from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.mending import MendingFailed, Plan, Step, perform, plan
from greenroom.bus.nats.provided import differences, streams
from greenroom.bus.nats.survey import StreamFound, summary, survey
from tests.running.buses import SMALL


@pytest.fixture
async def client(bus_url: str) -> AsyncIterator[Client]:
    """Give a connection of nats-py."""
    made = await nats.connect(bus_url.split(","))
    yield made
    await made.close()


@pytest.fixture
async def connection(bus_url: str) -> AsyncIterator[Connection]:
    """Give a connection of ours."""

    async def nothing() -> None:
        """Prepare nothing."""

    made = Connection(
        options_of(bus_url),
        "test",
        Figures(),
        prepare=nothing,
        up=lambda: None,
        down=lambda: None,
    )
    await made.open(10)
    yield made
    await made.close()


def options_of(bus_url: str, size: int = SMALL) -> Options:
    """Return options for streams of that size."""
    return Options(servers=bus_url.split(","), stream_bytes=size)


async def make(client: Client, number: int, options: Options, **changes: object) -> None:
    """Make a stream, perhaps otherwise than it must be."""
    config = {**streams(options, 1)[number], **changes}
    answer = await client.request(
        f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode(), timeout=5
    )
    assert "error" not in json.loads(answer.data), answer.data


async def found(connection: Connection, options: Options) -> list[StreamFound]:
    """Return what is found now."""
    return await survey(connection, options, time.time_ns)


async def test_streams_that_are_missing_are_made(connection: Connection, bus_url: str) -> None:
    """All of them; afterwards nothing is to be done."""
    options = options_of(bus_url)
    seen = await found(connection, options)
    assert {each.missing for each in seen} == {True}
    assert summary(seen).leaderless == tuple(each.name for each in seen)
    steps = plan(seen, options, 1).steps
    assert [each.words for each in steps][:1] == ["make the stream ROOMS_00, copies: 1"]
    assert len(steps) == 17
    for step in steps:
        await perform(connection, step)
    seen = await found(connection, options)
    assert all(each.has_leader and not each.differences for each in seen)
    assert max(abs(each.clock_ahead_ns) for each in seen) < 10**9
    assert plan(seen, options, 1) == Plan([], [])
    assert summary(seen).leaderless == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_age": 60 * 10**9}, "max_age 3600000000000"),
        ({"max_bytes": SMALL // 2}, f"max_bytes {SMALL}"),
        ({"max_msgs_per_subject": 5}, "max_msgs_per_subject -1"),
        ({"discard": "new"}, 'discard "old"'),
        ({"allow_direct": False}, "allow_direct true"),
        ({"republish": None}, 'republish {"src":"gr.07.*","dest":"gd.07.{{wildcard(1)}}"}'),
    ],
)
async def test_what_costs_no_message_is_changed(
    change: Mapping[str, Any], words: str, client: Client, connection: Connection, bus_url: str
) -> None:
    """Then the stream is as it must be, and holds what it held."""
    options = options_of(bus_url)
    await make(client, 7, options, **change)
    await client.jetstream().publish("gr.07.room", b"kept")
    planned = plan(await found(connection, options), options, 1)
    (step,) = (each for each in planned.steps if "ROOMS_07" in each.subject)
    assert step.words == f"change the stream ROOMS_07: {words}"
    await perform(connection, step)
    after = (await found(connection, options))[7]
    assert (after.differences, after.messages, after.most_bytes) == ([], 1, SMALL)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"storage": "memory"}, ['the stream ROOMS_07: storage is "memory", not "file"']),
        (
            {"subjects": ["gr.07.*", "more"]},
            ['the stream ROOMS_07: subjects is ["gr.07.*","more"], not ["gr.07.*"]'],
        ),
        (
            {"max_age": 7200 * 10**9},
            ["the stream ROOMS_07: max_age is 7200000000000, not 3600000000000"],
        ),
        ({"max_bytes": 2 * SMALL}, []),
    ],
)
async def test_what_could_cost_messages_is_left(
    change: Mapping[str, Any],
    left: list[str],
    client: Client,
    connection: Connection,
    bus_url: str,
) -> None:
    """It is named, and nothing of the stream is touched; more bytes than asked for are no fault."""
    options = options_of(bus_url)
    await make(client, 7, options, **change)
    planned = plan(await found(connection, options), options, 1)
    assert planned.left == left
    assert not any("ROOMS_07" in each.subject for each in planned.steps)


async def test_a_step_that_is_refused(connection: Connection, bus_url: str) -> None:
    """It says which, and what JetStream said."""
    refused = Step("change the stream X: y", "STREAM.UPDATE.ROOMS_03", {"name": "ROOMS_03"})
    with pytest.raises(MendingFailed, match="change the stream X: y: stream not found"):
        await perform(connection, refused)


async def test_a_step_without_an_answer() -> None:
    """It says which, and why there is none."""
    silent: Any = Mock(request=AsyncMock(side_effect=NoAnswer("no answer in 1 s")))
    step = Step("make the stream X, copies: 1", "STREAM.CREATE.X", {})
    with pytest.raises(MendingFailed, match="make the stream X, copies: 1: no answer in 1 s"):
        await perform(silent, step)


def test_a_stream_that_cannot_be_looked_at_is_left() -> None:
    """Nobody knows what it holds."""
    seen = [StreamFound(name=f"S{each}", why="it has no leader") for each in range(17)]
    planned = plan(seen, Options(servers=["nats://h"]), 3)
    assert not planned.steps
    assert planned.left[0] == "the stream S0 cannot be looked at: it has no leader"


def test_more_copies_where_there_are_servers() -> None:
    """They are raised, and never lowered."""
    options = Options(servers=["nats://h"])
    wanted = streams(options, 3)
    seen = [
        StreamFound(name=str(each["name"]), config={**each, "num_replicas": number})
        for each, number in zip(wanted, (1, 5, *[3] * 15), strict=True)
    ]
    assert [each.words for each in plan(seen, options, 3).steps] == [
        "change the stream ROOMS_00: num_replicas 3"
    ]


@pytest.mark.parametrize("bound", [-1, 0, None])
def test_what_has_no_bound_gets_none(bound: int | None) -> None:
    """It would cost the messages beyond it; a time without an end is told to a person."""
    options = Options(servers=[])
    wanted = streams(options, 1)
    seen = [StreamFound(name=str(want["name"]), config=want) for want in wanted]
    config = {**wanted[0], "max_bytes": bound, "max_age": bound}
    told = differences(wanted[0], config, replicas=False)
    seen[0] = msgspec.structs.replace(seen[0], config=config, differences=told)
    assert [each.partition(" ")[0] for each in told] == ["max_age"]
    assert plan(seen, options, 1) == Plan([], [f"the stream {seen[0].name}: {told[0]}"])


@pytest.mark.parametrize("hours", [0.5, 2])
def test_how_long_a_stream_keeps_what_it_has(hours: float) -> None:
    """Too short a time is raised; too long a one is told to a person: messages may be that old."""
    options = Options(servers=[])
    wanted = streams(options, 1)
    age = cast("int", wanted[0]["max_age"])
    seen = [StreamFound(name=str(want["name"]), config=want) for want in wanted]
    config = {**wanted[0], "max_age": int(age * hours)}
    told = differences(wanted[0], config, replicas=False)
    seen[0] = msgspec.structs.replace(seen[0], config=config, differences=told)
    found = plan(seen, options, 1)
    if hours < 1:
        assert [each.words for each in found.steps] == [
            f"change the stream {seen[0].name}: max_age {age}"
        ]
        assert found.left == []
    else:
        assert found == Plan([], [f"the stream {seen[0].name}: {told[0]}"])
