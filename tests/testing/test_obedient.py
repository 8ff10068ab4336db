"""What lines have the service do, with connections and a clock of the test's own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from greenroom.bus.base import Before, Deliver, RoomDeleted
from greenroom.entrance.ready import Ready
from greenroom.model.logging_configuration import LoggingConfigurationState
from greenroom.process.start_refused import StartRefused
from greenroom.settings.load import load
from greenroom.storage.base import StorageUnavailable
from greenroom.telemetry import logs
from greenroom.testing import obedient
from greenroom.testing.obedient import DEFAULTS, Obedient, Pipe
from tests.stand_ins.values import PLENTY, a_configuration, a_room, configuration_arn, room_arn

ACCOUNT = str(load(DEFAULTS, {}, None).text("account"))


class Hub:
    """A double of the hub: who is connected, and what waits for a flush."""

    def __init__(self) -> None:
        self.there: list[tuple[str, Any]] = []
        self.flushed: list[str] = []

    def everybody(self) -> list[tuple[str, Any]]:
        return list(self.there)

    def after_flush(self, room: str, action: Callable[[], None]) -> None:
        self.flushed.append(room)
        action()

    def enter(self, room: str, user: str) -> Any:
        """Connect somebody."""
        self.there.append((room, connection := Mock(user_id=user)))
        return connection


class Asked:
    """A service that obeys, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.hub, self.sweeper = Hub(), Mock()
        self.obedient = Obedient(load(DEFAULTS, {}, None), self.sent.append)
        self.parts = self.obedient.parts()
        hub: Any = self.hub
        watched: object = self.parts.application(Mock(), hub, self.sweeper)
        assert watched is self.obedient._application
        assert self.parts.kept is not None
        self.store: Any = self.parts.kept.store
        self.bus: Any = self.parts.kept.bus

    async def ask(self, do: str, **what: object) -> Any:
        """Have it do something; return the answer."""
        await self.obedient.obey(json.dumps({"id": 7, "do": do, "with": what}).encode())
        told = self.sent.pop()
        assert told.pop("id") == 7
        return told["answer"] if told.keys() == {"answer"} else told


@pytest.fixture
def asked() -> Asked:
    """Give a service."""
    return Asked()


async def test_time(asked: Asked) -> None:
    """Whose session is over ends at once; a reset shows the machine's time again."""
    clock = asked.parts.clock
    before = clock.wall_ns()
    assert await asked.ask("advance", seconds=3600) is None
    assert 3600e9 <= clock.wall_ns() - before < 3660e9
    asked.sweeper.tick.assert_called_once_with()
    await asked.ask("reset", keep=[])
    assert 0 <= clock.wall_ns() - before < 60e9


async def test_whose_connections_end(asked: Asked) -> None:
    """One user's, of one room or of all; a session ends behind what its room was told."""
    first, second = asked.hub.enter("one", "alice"), asked.hub.enter("two", "alice")
    other = asked.hub.enter("one", "bob")
    assert await asked.ask("drop", user="alice", room="one") == 1
    first.drain.assert_called_once_with()
    second.drain.assert_not_called()
    assert await asked.ask("drop", user="alice", room=None) == 2
    assert await asked.ask("expire", user="alice", room="two") == 1
    second.revoke.assert_called_once_with()
    assert asked.hub.flushed == ["two"]
    assert await asked.ask("expire", user="nobody", room=None) == 0
    assert other.mock_calls == []


async def test_reviews(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process is asked, or a function of this one, until that is over."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "reviews_of_the_test.py").write_text("def handler(event, context): ...\n")
    reviews: Any = asked.parts.targets
    assert await reviews.find("uri") is None
    await asked.ask("review", function=None, path=[])
    asking = asyncio.create_task((await reviews.find("uri")).invoke("uri", b"{}"))
    await asyncio.sleep(0)
    assert asked.sent.pop() == {"review": 1, "event": {}, "uri": "uri"}
    await asked.obedient.obey(b'{"reviewed": 1, "answer": {"ReviewResult": "DENY"}}')
    assert await asking == b'{"ReviewResult": "DENY"}'
    assert asked.sent == []
    known = sys.path[-1]
    path = [str(tmp_path), known]
    before = sys.path.count(known)
    await asked.ask("review", function="reviews_of_the_test:handler", path=path)
    assert sys.path.count(known) == before
    assert sys.path[-1] == str(tmp_path)
    assert await reviews.find("uri") is not None
    refused = await asked.ask("review", function="reviews_of_the_test:nothing", path=[])
    assert "has no nothing" in refused["refused"]
    await asked.ask("end_review")
    assert await reviews.find("uri") is None


async def test_what_fails(asked: Asked) -> None:
    """The storage or destinations, until they are mended."""
    assert asked.parts.destinations is not None
    logs = asked.obedient._logs
    await asked.ask("fail", what="storage")
    with pytest.raises(StorageUnavailable):
        await asked.store.check_writable()
    await asked.ask("mend", what="storage")
    await asked.store.check_writable()
    target: Any = SimpleNamespace(kind="s3", name="bucket")
    await asked.ask("fail", what="s3:*")
    await asked.store.check_writable()
    with pytest.raises(Exception, match="the test has it fail"):
        await logs.check(target)
    await asked.ask("mend", what="s3:*")
    await logs.check(target)


async def test_what_is_throttled(asked: Asked) -> None:
    """So often, or until it is admitted."""
    throttled = asked.obedient._throttled
    await asked.ask("throttle", name="GetRoom", times=1)
    await asked.ask("throttle", name="SendMessage", times=None)
    assert [throttled.takes("GetRoom") for _ in range(2)] == [True, False]
    assert throttled.takes("SendMessage")
    await asked.ask("admit", name="SendMessage")
    assert not throttled.takes("SendMessage")


async def test_what_was_seen(asked: Asked) -> None:
    """Frames of one room or of all, requests and records."""
    assert asked.parts.line is not None
    line = asked.parts.line(Mock(skew_ns=0, publish=lambda _, grant: grant(Before(0, 0))))
    for room, frame in (("one", b'{"n": 1}'), ("two", b'{"n": 2}')):
        line.publish(room, lambda _, frame=frame: Deliver(frame, "SendMessage"))  # type: ignore[misc]
    assert await asked.ask("frames", room=None) == [{"n": 1}, {"n": 2}]
    assert await asked.ask("frames", room="two") == [{"n": 2}]
    asked.obedient._application.requests.append({"operation": "GetRoom"})
    asked.obedient._logs.kept.append({"name": "bucket"})
    assert await asked.ask("requests") == [{"operation": "GetRoom"}]
    assert await asked.ask("chat_logs") == [{"name": "bucket"}]
    await asked.ask("reset", keep=[])
    for what in ("requests", "chat_logs", "made"):
        assert await asked.ask(what) == []
    assert await asked.ask("frames", room=None) == []


async def test_a_reset_keeps_what_is_named(asked: Asked) -> None:
    """Of rooms and configurations, in every region; who is in a room that goes is cut."""
    kept = a_configuration(arn=configuration_arn(ACCOUNT, "eu-west-1"))
    gone = a_configuration(arn=configuration_arn(ACCOUNT))
    active = LoggingConfigurationState.ACTIVE
    for each in (kept, gone):
        await asked.store.logging_configurations.create(each, PLENTY)
        if each.state is not active:
            await asked.store.logging_configurations.move(each.arn, each.state, active, 1)
    rooms = [a_room(arn=room_arn(ACCOUNT, region)) for region in ("us-east-1", "eu-west-1")]
    for room in rooms:
        await asked.store.rooms.create(room, PLENTY)
    stays, goes = str(rooms[0].arn), str(rooms[1].arn)
    made = await asked.ask("made")
    assert sorted(made) == sorted([stays, goes, str(kept.arn), str(gone.arn)])
    await asked.ask("fail", what="storage")
    await asked.ask("throttle", name="GetRoom", times=None)
    await asked.ask("review", function=None, path=[])
    first, second = asked.hub.enter(stays, "alice"), asked.hub.enter(goes, "alice")
    asked.bus.broadcast = broadcast = Mock()
    await asked.ask("reset", keep=[stays, str(kept.arn)])
    assert sorted(await asked.ask("made")) == sorted([stays, str(kept.arn)])
    broadcast.assert_called_once_with(RoomDeleted(goes))
    first.drain.assert_not_called()
    second.drain.assert_called_once_with()
    assert not asked.obedient._throttled.takes("GetRoom")
    reviews: Any = asked.parts.targets
    assert await reviews.find("uri") is None


async def test_a_configuration_that_cannot_go_yet(asked: Asked) -> None:
    """A room that stays has it: it stays, too, and the rest goes on."""
    held = a_configuration(arn=configuration_arn(ACCOUNT))
    await asked.store.logging_configurations.create(held, PLENTY)
    room = a_room(str(held.arn), arn=room_arn(ACCOUNT))
    await asked.store.rooms.create(room, PLENTY)
    await asked.ask("reset", keep=[str(room.arn)])
    assert sorted(await asked.ask("made")) == sorted([str(room.arn), str(held.arn)])


# --------------------------------------------------------------------------------------- the pipe


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[Pipe, int, int]]:
    """Give a pipe, and the ends at which the test writes and reads."""
    theirs, ours = os.pipe()
    here, there = os.pipe()
    descriptors = {0: theirs, 1: there}
    moved, opened, closed = Mock(), Mock(), Mock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "dup", descriptors.__getitem__)
        patch.setattr(os, "dup2", moved)
        patch.setattr(os, "open", opened)
        patch.setattr(os, "close", closed)
        made = Pipe()
    opened.assert_called_once_with(os.devnull, os.O_RDONLY)
    closed.assert_called_once_with(opened.return_value)
    assert [call.args for call in moved.call_args_list] == [(opened.return_value, 0), (2, 1)]
    yield made, ours, here
    if made._obeying is not None:
        made._obeying.cancel()
    asyncio.get_running_loop().remove_reader(theirs)
    for each in (theirs, ours, here, there):
        try:
            os.close(each)
        except OSError:
            continue


async def test_lines_are_obeyed_in_their_order(pipe: tuple[Pipe, int, int]) -> None:
    """Also where they arrive in parts; the end of the input ends the service."""
    made, ours, _ = pipe
    obeyed: list[bytes] = []

    async def obey(line: bytes) -> None:
        obeyed.append(line)

    made.listen(obey)
    for part in (b"one\ntw", b"o", b"\nthree\n", b"half"):
        os.write(ours, part)
        await asyncio.sleep(0.001)
    async with asyncio.timeout(10):
        while len(obeyed) < 3:  # noqa: ASYNC110 - it is the loop's reader that is waited for
            await asyncio.sleep(0.001)
    assert obeyed == [b"one", b"two", b"three"]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    os.close(ours)
    async with asyncio.timeout(10):
        await ended.wait()
    assert not asyncio.get_running_loop().remove_reader(made._input), "it is told once"
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def test_answers_are_written_whole(
    pipe: tuple[Pipe, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system takes a part at a time; nobody who reads any more is no fault."""
    made, _, here = pipe
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda to, what: write(to, what[:3]))
        made.send({"answer": "long"})
    assert os.read(here, 100) == b'{"answer": "long"}\n'
    os.close(here)
    made.send({"answer": "long"})


# ------------------------------------------------------------------------------------ the process


READY = Ready(
    pid=1,
    api_url="http://here",
    websocket_url="ws://here",
    health_url="http://here/health",
    data_dir=None,
    credentials_file=None,
    access_key_id="AKIA",
    secret_access_key="secret",
    secret_given=False,
    region="us-east-1",
    account=ACCOUNT,
    processes=(),
)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give what is around a process that serves: nothing of it is real."""
    around = SimpleNamespace(pipe=Mock(), configure=Mock(), settings=None, parts=None, refused=None)

    async def run_service(settings: Any, ready: Callable[[Any], None], *, parts: Any) -> None:
        around.settings, around.parts = settings, parts
        if around.refused is not None:
            raise around.refused
        ready(READY)

    monkeypatch.setattr(obedient, "Pipe", lambda: around.pipe)
    monkeypatch.setattr(logs, "configure", around.configure)
    monkeypatch.setattr(obedient, "run_service", run_service)
    return around


def test_a_process_says_when_it_is_ready(served: SimpleNamespace) -> None:
    """It listens by then; its settings are those of tests, but for what is given."""
    obedient.serve('{"log_format": "json", "drain_timeout_seconds": "5"}')
    listen, send = served.pipe.mock_calls
    assert listen.args[0].__self__.parts().clock.wall_ns() > 0
    assert send.args[0].keys() == {"ready"}
    assert msgspec.convert(send.args[0]["ready"], Ready) == READY
    served.configure.assert_called_once_with("warning", "json")
    assert served.settings.number("drain_timeout_seconds") == 5
    assert served.settings.text("storage") == "memory"
    assert served.parts.application is not None


def test_a_process_that_does_not_start(served: SimpleNamespace) -> None:
    """It says why, and ends."""
    served.refused = StartRefused("because")
    with pytest.raises(SystemExit, match=r"^Error: because$"):
        obedient.serve("{}")
    served.pipe.send.assert_not_called()
    with pytest.raises(SystemExit, match=r"^Error: .*unheard-of"):
        obedient.serve('{"unheard_of": "1"}')
