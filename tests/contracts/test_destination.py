"""What every destination of chat logs guarantees, against the real part or moto's server.

Covers: greenroom.chatlog.base
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.chatlog.base import Destination, DestinationFailed, FailureKind, Record
from greenroom.chatlog.record import line
from tests.stand_ins import answering
from tests.stand_ins.batches import CONTENT, a_batch
from tests.stand_ins.kept import STAGES, FilesStage, Stage, access_to


@pytest.fixture(params=STAGES)
async def stage(
    request: pytest.FixtureRequest, aws_url: str, aws_credentials: None, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Give each kind of destination."""
    access = access_to(aws_url)
    yield STAGES[request.param](access, tmp_path / "logs")
    await access.close()


@pytest.fixture
async def destination(stage: Stage) -> AsyncIterator[Destination]:
    """Give a destination of that kind."""
    made = stage.make()
    yield made
    await made.close()


def by_room(records: list[Record]) -> list[list[bytes]]:
    """Return the lines of each room, in their order."""
    rooms = dict.fromkeys(record.room for record in records)
    return [[line(record) for record in records if record.room == room] for room in rooms]


async def test_delivery(stage: Stage, destination: Destination) -> None:
    """What `deliver` was given is kept when it returns, each room's records in their order."""
    target, batch = await stage.target(), a_batch()
    assert await destination.deliver(target, batch) == 0
    kept = await stage.lines(target)
    if len(kept) == 1:
        kept = [[each for each in kept[0] if each in room] for room in by_room(batch)]
    assert sorted(kept) == sorted(by_room(batch))


async def test_the_same_batch_again(stage: Stage, destination: Destination) -> None:
    """A batch that comes again after a restart is kept once in S3 and files, and never lost."""
    target, batch = await stage.target(), a_batch()
    await destination.deliver(target, batch)
    first = await stage.lines(target)
    restarted = stage.make()
    await restarted.deliver(target, batch)
    await restarted.close()
    kept = await stage.lines(target)
    times = 1 if stage.exactly_once else 2
    assert Counter(each for some in kept for each in some) == {
        line(record): times for record in batch
    }
    if stage.exactly_once:
        assert sorted(kept) == sorted(first)


async def test_a_batch_that_was_kept_is_given_again(stage: Stage, destination: Destination) -> None:
    """A destination remembers of a batch that it kept nothing: given again, it is kept again."""
    target, batch = await stage.target(), a_batch(rooms=2)
    for _ in range(2):
        await destination.deliver(target, batch)
        assert destination._progress._batches == {}  # type: ignore[attr-defined]
    kept = Counter(each for some in await stage.lines(target) for each in some)
    assert set(kept.values()) == {1 if stage.exactly_once else 2}


async def test_batches_of_one_minute(stage: Stage, destination: Destination) -> None:
    """One batch never takes the place of another, nor one configuration's of another's."""
    target, batch = await stage.target(), a_batch(rooms=1)
    await destination.deliver(target, batch[:2])
    await destination.deliver(target, batch[2:])
    other = type(target)(stage.missing().configuration, target.kind, target.name)
    await destination.deliver(other, batch[:2])
    kept = Counter(each for some in await stage.lines(target) for each in some)
    assert kept == {line(each): 2 if each in batch[:2] else 1 for each in batch}


async def test_many_rooms_and_calls_at_once(stage: Stage, destination: Destination) -> None:
    """Batches of many rooms are delivered while others are."""
    targets = [await stage.target() for _ in range(3)]
    batches = [a_batch(rooms=20, each=2) for _ in targets]
    await asyncio.gather(
        *(
            destination.deliver(target, batch)
            for target, batch in zip(targets, batches, strict=True)
        )
    )
    for target, batch in zip(targets, batches, strict=True):
        kept = sorted(each for some in await stage.lines(target) for each in some)
        assert kept == sorted(line(record) for record in batch)


async def test_check(stage: Stage, destination: Destination) -> None:
    """A check of what exists returns, and leaves nothing behind."""
    target = await stage.target()
    await destination.check(target)
    assert await stage.lines(target) == []


async def test_missing(stage: Stage, destination: Destination) -> None:
    """A target that does not exist is told as NOT_FOUND; files never are missing."""
    target = stage.missing()
    if isinstance(stage, FilesStage):
        await destination.check(target)
        return
    with pytest.raises(DestinationFailed) as failed:
        await destination.check(target)
    assert failed.value.kind == FailureKind.NOT_FOUND
    with pytest.raises(DestinationFailed) as failed:
        await destination.deliver(target, a_batch())
    assert failed.value.kind == FailureKind.NOT_FOUND
    assert CONTENT not in str(failed.value)


async def test_down(stage: Stage) -> None:
    """A destination that does not answer is told as OTHER."""
    access = access_to(answering.closed_url())
    (stage.directory.parent / "file").write_text("")
    down = type(stage)(access, stage.directory.parent / "file").make()
    for call in (down.check(stage.missing()), down.deliver(stage.missing(), a_batch())):
        with pytest.raises(DestinationFailed) as failed:
            await call
        assert failed.value.kind == FailureKind.OTHER
        assert CONTENT not in str(failed.value)
    await down.close()
    await access.close()


async def test_forbidden(stage: Stage) -> None:
    """A destination that may not be written to is told as ACCESS_DENIED."""
    with answering.server(answering.refusing("AccessDenied", 403)) as url:
        access = access_to(url)
        forbidden = type(stage)(access, Path("/sys/greenroom-chat-logs")).make()
        for call in (
            forbidden.check(stage.missing()),
            forbidden.deliver(stage.missing(), a_batch()),
        ):
            with pytest.raises(DestinationFailed) as failed:
                await call
            assert failed.value.kind == FailureKind.ACCESS_DENIED
            assert CONTENT not in str(failed.value)
        await forbidden.close()
        await access.close()


async def test_silence(stage: Stage) -> None:
    """A destination that takes the call and says nothing is told as OTHER; files always answer."""
    if isinstance(stage, FilesStage):
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        access = AwsAccess(dict.fromkeys(Service, url), read_seconds=0.05, attempts=1)
        destination = type(stage)(access, stage.directory).make()
        for call in (
            destination.check(stage.missing()),
            destination.deliver(stage.missing(), a_batch()),
        ):
            with pytest.raises(DestinationFailed, match="ReadTimeoutError") as failed:
                await call
            assert failed.value.kind == FailureKind.OTHER
        await destination.close()
        await access.close()


async def test_bounds_of_batches(destination: Destination) -> None:
    """A destination says for how long and how many bytes a batch is collected."""
    assert 0 < destination.interval_seconds <= 300
    assert 65_536 <= destination.batch_bytes <= 67_108_864
