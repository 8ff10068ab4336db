"""The wall clock of the machine jumps, under a process that serves."""

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.running.clock import MovedClock
from tests.running.process import serving
from tests.running.viewers import SESSION_SECONDS, Crowd, Speaker, Viewer, seen, until

MINUTE = 60_000_000_000
"""In nanoseconds."""

HOUR = 60 * MINUTE


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    """Return a clock that shows the true time, so far."""
    return MovedClock(tmp_path / "moved")


async def enter(service: Any, crowd: Crowd, room: str, user: str) -> Viewer:
    """Return a connection with a token that the service itself made, by its own clock."""
    viewer = await crowd.attempt(service.token(room, user))
    assert viewer.status == 101, (viewer.status, user)
    return viewer


async def test_backward(tmp_path: Path, clock: MovedClock) -> None:
    """An hour back: chat goes on in order, times follow the clock, used tokens stay used.

    Signatures are told that they are early.
    """
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        api = service.boto3()
        room = str(api.create_room()["arn"])
        used = service.token(room)
        speaker = Speaker("speaker", await crowd.attempt(used))
        before = [await speaker.say() for _ in range(5)]
        clock.move(-HOUR)
        after = [await speaker.say(str(number)) for number in range(20)]
        assert all(frame is not None and frame.type == "MESSAGE" for frame in before + after)
        texts = speaker.viewer.texts
        for times in (list(map(send_time, texts[:5])), list(map(send_time, texts[5:]))):
            assert times == sorted(set(times)), "a later frame shows an earlier time"
        assert send_time(texts[5]) < send_time(texts[0]), "the times do not follow the clock"
        assert [seen(text).content for text in texts[5:]] == [str(number) for number in range(20)]
        assert (await crowd.attempt(used)).status == 409
        # A client whose clock is right is now an hour ahead of the service, which says so.
        with pytest.raises(ClientError) as error:
            api.list_rooms()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        clock.move(0)
        again = Speaker("again", await enter(service, crowd, room, "again"))
        echo = await again.say()
        assert echo is not None
        assert echo.type == "MESSAGE"
        assert await speaker.say() is not None


async def test_forward(tmp_path: Path, clock: MovedClock) -> None:
    """Two hours ahead: sessions that are over end as documented, and new ones begin at once.

    Nobody is dropped as silent, and nothing of the old time is served to the new: neither tokens
    nor the rates' allowance of two hours.
    """
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, 50)
        unused = crowd.token(room, "late")
        clock.move(2 * HOUR)
        assert 2 * HOUR / 1e9 > SESSION_SECONDS
        await until(lambda: all(each.ended for each in viewers), "the sessions end")
        for viewer in viewers:
            assert viewer.close_code == 1000
            assert [frame.error_code for frame in viewer.seen()] == [401]
        assert (await crowd.attempt(unused)).status == 410
        clock.move(0)
        speaker = Speaker("back", await crowd.enter(room, "back"))
        assert await speaker.say() is not None


async def test_to_and_fro(tmp_path: Path, clock: MovedClock) -> None:
    """Steps of minutes in both directions: no connection is lost, every message is delivered."""
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, 100)
        speaker = Speaker("speaker", await crowd.enter(room, "speaker"))
        for step in range(40):
            clock.move((-1) ** step * step * HOUR // 60)
            echo = await speaker.say(str(step))
            assert echo is not None, f"lost at step {step}"
            assert echo.type == "MESSAGE", f"refused at step {step}: {echo.error_message}"
        await until(lambda: all(len(each.texts) == 40 for each in viewers), "all saw all")
        assert not any(each.ended for each in viewers)
        contents = [frame.content for frame in viewers[0].seen()]
        assert contents == [str(step) for step in range(40)], "the order depends on the clock"


async def test_once_ahead(tmp_path: Path, clock: MovedClock) -> None:
    """Ahead and back, as far as signatures let it: no time stands still, nor after a restart."""
    clock.move(14 * MINUTE)
    async with serving(tmp_path, **clock.variables) as (service, crowd):
        api = service.boto3()
        room = str(api.create_room()["arn"])
        speaker = Speaker("ahead", await enter(service, crowd, room, "ahead"))
        assert await speaker.say() is not None
        assert api.get_room(identifier=room)["updateTime"].timestamp() > time.time() + 600
        clock.move(0)
        assert await speaker.say() is not None
        first, second = map(send_time, speaker.viewer.texts)
        assert second < first
        assert "the clock was set back" in service.log.read_text()
    async with serving(tmp_path, **clock.variables) as (service, _):
        updated = service.boto3().update_room(identifier=room, name="now")
        assert abs(updated["updateTime"].timestamp() - time.time()) < 300


def send_time(text: bytes) -> tuple[str, str]:
    """Return a frame's SendTime in a form that sorts: its seconds, then its fraction."""
    value = text.partition(b'"SendTime":"')[2].partition(b'Z"')[0].decode()
    assert value, "a frame without a time"
    time.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")
    return value[:19], value[20:].ljust(9, "0")
