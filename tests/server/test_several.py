"""How the supervisor begins its processes, is handed over, and ends; that all works is e2e."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance.ready import Ready
from greenroom.entrance.sockets import Listening
from greenroom.process import signals, systemd
from greenroom.process.start_refused import FileUnwritable, StartRefused
from greenroom.server import cluster, several
from greenroom.server.processes import messages
from greenroom.server.processes.messages import (
    Alive,
    Begin,
    LetGo,
    Prepared,
    Released,
    Serving,
    Stop,
    Taken,
    Told,
)
from greenroom.server.processes.supervisor import Phase, StartFailed
from greenroom.server.several import _Child, _Service
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.base import StorageUnavailable
from greenroom.telemetry.logs import FaultHandler
from tests.running.buses import until

READY = msgspec.convert(
    {
        **dict.fromkeys(Ready.__struct_fields__, ""),
        "pid": 7,
        "secret_given": False,
        "processes": (),
    },
    Ready,
)


class Process:
    """A double of a process: what it was told."""

    def __init__(self, pid: int = 1000) -> None:
        self.pid = pid
        self.told: list[Told] = []

    def tell(self, message: Told) -> None:
        self.told.append(message)

    def kill(self) -> None: ...

    def hang_up(self) -> None: ...

    def close(self) -> None: ...


def settings_of(directory: Path, **further: str) -> Settings:
    """Return the settings of three processes."""
    given = {"port": "0", "data_dir": str(directory), "processes": "3", "bus": "nats://127.0.0.1:1"}
    return load({**given, "storage": "postgresql://127.0.0.1:1/none", **further}, {}, None)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[_Service]:
    """Give a service of three processes, none of which was started."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        service = _Service(settings_of(tmp_path), Listening([listening]), asyncio.TaskGroup())
        yield service
        service._directory.close()


async def test_a_stop_while_the_first_process_begins(
    service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other is begun: nobody would tell it to stop."""
    processes: list[Process] = []
    begun = asyncio.Event()

    def fork(number: int) -> Process:
        processes.append(Process())
        begun.set()
        return processes[-1]

    monkeypatch.setattr(service._supervisor, "_fork", fork)
    async with asyncio.timeout(20):
        start = asyncio.create_task(service._start(None))
        await begun.wait()
        service._stop()
        await start
    assert [[type(each) for each in process.told] for process in processes] == [[Stop]]


async def test_a_stop_before_a_process_begins(
    service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is begun, and none is waited for."""
    monkeypatch.setattr(service._supervisor, "_fork", lambda number: pytest.fail("it was begun"))
    service._stop()
    async with asyncio.timeout(20):
        await service._start(None)
    assert not service._supervisor.running


async def test_a_process_that_the_system_does_not_make(
    service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start fails with the reason, and leaves no descriptor open."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOMEM, "")

    monkeypatch.setattr("greenroom.process.forking.fork", refuse)
    monkeypatch.setattr(service, "_hold_directory", lambda: None)
    pair = socket.socketpair()
    monkeypatch.setattr(socket, "socketpair", lambda: pair)
    async with asyncio.timeout(20):
        with pytest.raises(StartFailed, match="process 1 cannot be made: Cannot allocate memory"):
            await service._start(None)
    assert [each.fileno() for each in pair] == [-1, -1]


class Running:
    """A double of the supervisor: nothing runs any more when it was killed."""

    def __init__(self) -> None:
        self.running: tuple[object, ...] = ("a process",)
        self.ending = False
        self.killed = 0

    def kill(self) -> None:
        self.killed += 1
        self.running = ()

    def tick(self) -> None: ...


async def served(
    service: _Service, monkeypatch: pytest.MonkeyPatch, **steps: Any
) -> tuple[Running, list[str]]:
    """Run a service whose steps are the test's; return what was done."""
    done: list[str] = []
    supervisor: Any = Running()

    def step(name: str) -> Any:
        async def waited(*_: object) -> None:
            done.append(name)
            steps.get(name, lambda: None)()

        return waited

    service._supervisor = supervisor
    monkeypatch.setattr(service, "_start", step("start"))
    monkeypatch.setattr(service, "_serve", step("serve"))
    monkeypatch.setattr(service, "_announce", lambda *_: done.append("announce"))
    monkeypatch.setattr(service._ticker, "start", lambda: done.append("tick"))
    monkeypatch.setattr(service._ticker, "stop", lambda: done.append("no tick"))
    monkeypatch.setattr(service._offer, "close", lambda: done.append("no offer"))

    def end() -> None:
        supervisor.running = ()

    steps.setdefault("serve", end)
    async with asyncio.timeout(20):
        await service.run(None, lambda _: None)
    return supervisor, done


async def test_a_life(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts, is announced, serves, and lets go of what it had."""
    supervisor, done = await served(service, monkeypatch)
    assert done == ["tick", "start", "announce", "serve", "no tick", "no offer"]
    assert supervisor.killed == 0


async def test_a_life_that_ends_while_it_starts(
    service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not announced."""
    steps = {"start": lambda: setattr(service._supervisor, "ending", True)}
    _, done = await served(service, monkeypatch, **steps)
    assert done == ["tick", "start", "serve", "no tick", "no offer"]


async def test_a_life_that_fails(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes are ended, and waited for, whatever it was."""

    def fail() -> None:
        raise KeyError("fault")

    seen: list[int] = []
    kill = Running.kill

    def killed(running: Running) -> None:
        seen.append(1)
        kill(running)

    monkeypatch.setattr(Running, "kill", killed)
    with pytest.raises(KeyError, match="fault"):
        await served(service, monkeypatch, serve=fail)
    assert seen == [1]


async def test_a_life_that_fails_waits_for_its_processes(
    service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that they use is let go before."""

    def fail() -> None:
        raise KeyError("fault")

    monkeypatch.setattr(Running, "kill", lambda _: None)
    running = asyncio.create_task(served(service, monkeypatch, serve=fail))
    await asyncio.sleep(0.01)
    assert not running.done()
    supervisor: Any = service._supervisor
    supervisor.running = ()
    service._changes.set()
    with pytest.raises(KeyError, match="fault"):
        await running


def test_a_second_signal(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes are ended before this one is, at once, with its code."""
    done: list[object] = []
    supervisor: Any = Mock(kill=lambda: done.append("kill"))
    service._supervisor = supervisor
    with monkeypatch.context() as patch:
        patch.setattr("os._exit", done.append)
        service._kill(130)
    assert done == ["kill", 130]


# ------------------------------------------------------------------------------- step by step


class Scene:
    """A service of doubles; what is done is written down in its order."""

    def __init__(self, service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = service
        self.supervisor = service._supervisor
        self.done: list[object] = []
        self.processes: dict[int, Process] = {}
        monkeypatch.setattr(self.supervisor, "_fork", self._fork)
        monkeypatch.setattr(service, "_hold_directory", lambda: self.done.append("hold"))
        monkeypatch.setattr(systemd, "notify", self.done.append)
        monkeypatch.setattr(service._offer, "start", lambda: self.done.append("offer"))
        monkeypatch.setattr(service._offer, "withdraw", self.done.append)
        service._directory.callback(lambda: self.done.append("let go of the directory"))

    def _fork(self, number: int) -> Process:
        self.done.append(number)
        self.processes[number] = Process(1000 + number)
        return self.processes[number]

    def hear(self, message: messages.Said, numbers: Sequence[int] = (1, 2, 3)) -> None:
        """Have processes say something."""
        for number in numbers:
            self.supervisor.heard(number, message)

    def serve(self) -> None:
        """Have all begin, and the start be over."""
        for number in self.supervisor.entries:
            self.supervisor.start(number)
        self.hear(Serving(READY))
        self.supervisor.begun()
        self.done.clear()

    def end(self, *numbers: int) -> None:
        """Have processes end."""
        for number in numbers:
            self.supervisor.ended(number, "exit code 0")

    def take_over(self, *, serves: bool) -> Any:
        """Have another service take over, which serves or fails."""
        successor = Mock(pid=77, serves=AsyncMock(return_value=serves))
        self.service._offer.successor = successor
        self.supervisor.let_go()
        return successor

    def told(self) -> list[type[Told]]:
        """Return what the first process was told."""
        return [type(each) for each in self.processes[1].told]


@pytest.fixture
def scene(service: _Service, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a scene."""
    return Scene(service, monkeypatch)


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_begins_alone(scene: Scene) -> None:
    """It makes what all share; the others begin when it serves, and the start ends with them."""
    starting = asyncio.create_task(scene.service._start(None))
    await settle()
    assert scene.done == ["hold", 1]
    scene.hear(Alive(), [1])
    await settle()
    assert scene.done == ["hold", 1]
    scene.hear(Serving(READY), [1])
    await settle()
    assert scene.done == ["hold", 1, 2, 3]
    scene.hear(Serving(READY), [2])
    await settle()
    assert not starting.done()
    scene.hear(Serving(READY), [3])
    async with asyncio.timeout(20):
        await starting
    assert scene.supervisor.began
    assert not scene.service._taking_over, "each begins without waiting for who runs"


async def test_all_begin_beside_who_is_taken_over(scene: Scene) -> None:
    """It lets go when all are prepared; then they hold the directory, and serve."""
    before: Any = SimpleNamespace(release=AsyncMock(side_effect=lambda: scene.done.append("gone")))
    starting = asyncio.create_task(scene.service._start(before))
    await settle()
    assert scene.done == [1, 2, 3]
    assert scene.service._taking_over
    scene.hear(Prepared(), [1, 2])
    await settle()
    assert scene.done == [1, 2, 3]
    scene.hear(Prepared(), [3])
    await settle()
    assert scene.done == [1, 2, 3, "gone", "hold"]
    assert [process.told for process in scene.processes.values()] == [[Begin()]] * 3
    assert not starting.done()
    scene.hear(Serving(READY))
    async with asyncio.timeout(20):
        await starting
    assert scene.supervisor.began


async def test_a_stop_before_who_is_taken_over_lets_go(scene: Scene) -> None:
    """It goes on: nobody else would serve."""
    before: Any = SimpleNamespace(release=AsyncMock())
    starting = asyncio.create_task(scene.service._start(before))
    await settle()
    scene.hear(Prepared(), [1, 2])
    scene.supervisor.stop()
    scene.hear(Prepared(), [3])
    async with asyncio.timeout(20):
        await starting
    assert not before.release.called
    assert "hold" not in scene.done


async def test_a_process_that_fails_fails_the_start(scene: Scene) -> None:
    """With its own reason, and no other one begins; where it was stopped there is no failure."""
    starting = asyncio.create_task(scene.service._start(None))
    await settle()
    scene.hear(messages.Refused("StartRefused", "why"), [1])
    async with asyncio.timeout(20):
        with pytest.raises(StartRefused, match="why"):
            await starting
    assert scene.done == ["hold", 1]
    scene.supervisor.stop()
    async with asyncio.timeout(20):
        await scene.service._start(None)


@pytest.mark.parametrize(("dev_tls", "error"), [("off", None), ("on", None), ("on", OSError)])
def test_what_is_held_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev_tls: str, error: type[OSError] | None
) -> None:
    """The data directory, and a certificate to try with: else each process would make one."""
    refused = None if error is None else error(errno.ENOSPC, "No space left on device")
    made, held = Mock(side_effect=refused), Mock(return_value=contextlib.nullcontext())
    monkeypatch.setattr(several, "dev_certificate", made)
    monkeypatch.setattr(cluster, "node_directory", held)
    service = _Service(
        settings_of(tmp_path, dev_tls=dev_tls, host="127.0.0.1"),
        Listening([]),
        asyncio.TaskGroup(),
    )
    if error is None:
        service._hold_directory()
    else:
        with pytest.raises(FileUnwritable, match="the certificate cannot be kept: No space left"):
            service._hold_directory()
    held.assert_called_once_with(tmp_path)
    assert made.mock_calls == [call(tmp_path.resolve(), "127.0.0.1")] * (dev_tls == "on")


@pytest.mark.parametrize("predecessor", ["none", "old", "new"])
async def test_who_is_told_of_a_start(scene: Scene, predecessor: str) -> None:
    """Who may take over first, then who started it, systemd, and who was taken over."""
    before: Any = Mock(names_successor=predecessor == "new")
    before.serving = lambda: scene.done.append("serving")
    told = None if predecessor == "none" else before
    scene.service._announce(told, scene.done.append)
    assert scene.done == [], "nobody has served"
    scene.serve()
    with capture_logs() as logs:
        scene.service._announce(told, scene.done.append)
    ready = msgspec.structs.replace(READY, pid=os.getpid(), processes=(1001, 1002, 1003))
    assert scene.done == [
        *("offer", ready),
        *{"none": [systemd.READY], "old": [f"MAINPID={os.getpid()}", "serving"]}.get(
            predecessor, ["serving"]
        ),
    ]
    assert [(line["event"], line["processes"]) for line in logs] == [("ready", 3)]


async def test_it_serves_until_all_have_ended(scene: Scene) -> None:
    """And not until one has, nor until none runs for a moment."""
    scene.serve()
    serving = asyncio.create_task(scene.service._serve())
    scene.end(1, 2, 3)
    await settle()
    assert not serving.done()
    scene.supervisor.tick()
    scene.hear(Serving(READY))
    scene.supervisor.stop()
    scene.end(1, 2)
    await settle()
    assert not serving.done()
    scene.end(3)
    async with asyncio.timeout(20):
        await serving


@pytest.mark.parametrize("serves", [True, False])
async def test_a_hand_over(scene: Scene, serves: bool) -> None:
    """When all have let go so does the supervisor; where the other fails all serve again."""
    scene.serve()
    serving = asyncio.create_task(scene.service._serve())
    successor = scene.take_over(serves=serves)
    scene.hear(Released(), [1, 2])
    await settle()
    assert not successor.serves.called
    scene.hear(Released(), [3])
    await settle()
    successor.serves.assert_awaited_once_with()
    let_go: list[object] = ["let go of the directory"]
    assert scene.done == let_go + (["MAINPID=77"] if serves else ["hold"])
    assert scene.told() == [LetGo, Taken]
    assert scene.processes[1].told[-1] == Taken(serves)
    assert (scene.service._offer.successor is None) is not serves
    if not serves:
        scene.hear(Serving(READY))
        await settle()
        assert not serving.done()
        scene.supervisor.stop()
    scene.end(1, 2, 3)
    async with asyncio.timeout(20):
        await serving


@pytest.mark.parametrize("serves", [True, False])
async def test_a_stop_in_a_hand_over(scene: Scene, serves: bool) -> None:
    """Whatever becomes of it, all end: those that would serve again are told to once more."""
    scene.serve()
    successor = scene.take_over(serves=serves)
    successor.serves.side_effect = scene.supervisor.stop
    successor.serves.return_value = serves
    await scene.service._hand_over()
    assert scene.told() == [LetGo, Stop, Taken, Stop]
    assert scene.supervisor.ending


async def test_a_hand_over_to_nobody(scene: Scene) -> None:
    """Nothing is let go."""
    scene.serve()
    scene.supervisor.let_go()
    await scene.service._hand_over()
    assert scene.done == []


@pytest.mark.parametrize(
    ("ending", "handing_over", "phases", "over"),
    [
        (False, False, {Phase.SERVING}, False),
        (False, False, {Phase.RELEASED}, False),
        (False, False, set(), False),
        (True, False, {Phase.SERVING}, False),
        (True, False, {Phase.RELEASED}, False),
        (True, False, set(), True),
        (False, True, {Phase.SERVING, Phase.RELEASED}, False),
        (False, True, {Phase.RELEASED}, True),
        (False, True, set(), True),
        (True, True, {Phase.RELEASED}, False),
        (True, True, set(), True),
    ],
)
def test_when_there_is_something_to_do(
    service: _Service, ending: bool, handing_over: bool, phases: set[Phase], over: bool
) -> None:
    """All have ended that were to, or all have let go."""
    supervisor: Any = SimpleNamespace(
        ending=ending, handing_over=handing_over, running=[Mock(phase=each) for each in phases]
    )
    service._supervisor = supervisor
    assert service._is_over() is over


@pytest.mark.parametrize("taken_over", [False, True])
async def test_the_order_of_a_stop(scene: Scene, taken_over: bool) -> None:
    """Nobody takes over any more, all drain, nobody is let in, and who waits looks again."""
    scene.serve()
    scene.service._changes.clear()
    successor: Any = Mock() if taken_over else None
    scene.service._offer.successor = successor
    scene.service._stop()
    notified = [] if taken_over else [systemd.STOPPING]
    assert scene.done == [*notified, "it was told to stop"]
    assert [process.told for process in scene.processes.values()] == [[Stop()]] * 3
    assert [each.fileno() for each in scene.service._listening.sockets] == [-1]
    assert scene.service._changes.is_set()


async def test_signals(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are passed on; that a process has ended is heard as long as it is served."""
    handled, reaped = Mock(return_value=contextlib.nullcontext()), asyncio.Event()
    monkeypatch.setattr(signals, "handled", handled)
    monkeypatch.setattr(service, "_reap", reaped.set)
    with service.signals_handled():
        os.kill(os.getpid(), signal.SIGCHLD)
        async with asyncio.timeout(20):
            await reaped.wait()
    handled.assert_called_once_with(service._stop, service._supervisor.hang_up, service._kill)
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)


# ------------------------------------------------------------------------------- processes


async def test_a_process_is_forked(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its end of a pipe and the sockets that all listen on, and is told apart."""
    forked: list[tuple[Any, set[int]]] = []
    pair = socket.socketpair()
    numbers = [each.fileno() for each in pair]
    monkeypatch.setattr(socket, "socketpair", lambda: pair)

    def fork(work: Any, kept: set[int]) -> int:
        forked.append((work, kept))
        return 4242

    monkeypatch.setattr("greenroom.process.forking.fork", fork)
    child = service._fork(2)
    ((work, kept),) = forked
    assert kept == {numbers[1], service._listening.sockets[0].fileno()}
    assert (child.pid, work.args[0].number) == (4242, 2)
    assert [each.fileno() for each in pair] == [numbers[0], -1]
    child.close()


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_what_a_process_does(
    service: _Service, monkeypatch: pytest.MonkeyPatch, beside: bool, began: bool
) -> None:
    """It serves under its number, unseen by systemd; one that is started again takes over none."""
    served, named = Mock(), Mock()

    async def serve(*arguments: object, **further: object) -> int:
        served(*arguments, **further)
        return 3

    monkeypatch.setattr(several, "_served", serve)
    monkeypatch.setattr("greenroom.telemetry.logs.name_process", named)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    service._taking_over, service._supervisor.began = beside, began
    link: Any = Mock(number=2)
    assert service._work(link) == 3
    assert "NOTIFY_SOCKET" not in os.environ
    named.assert_called_once_with(2)
    served.assert_called_once_with(service._settings, link, taking_over=beside and not began)


@pytest.mark.parametrize(
    ("error", "code"), [(None, 0), (StartRefused("why"), 1), (StorageUnavailable("away"), 1)]
)
async def test_how_a_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, code: int
) -> None:
    """With the code; what refuses the start is told to the supervisor, who says it."""
    run, link = AsyncMock(side_effect=error), Mock()
    monkeypatch.setattr(several, "run_one_of", run)
    monkeypatch.setattr(several, "not_kept", lambda *_: "not kept")
    settings = settings_of(tmp_path)
    assert await several._served(settings, link, taking_over=True) == code
    run.assert_awaited_once_with(settings, link, taking_over=True)
    refusals = [] if error is None else [call(error if type(error) is StartRefused else "not kept")]
    assert link.refuse.mock_calls == refusals


class Child:
    """A process that was forked, of which the test says when it has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here, self.there = socket.socketpair()
        self.supervisor = Mock()
        self.status: tuple[int, int] = (0, 0)
        self.asked: list[tuple[int, int]] = []
        self.sent: list[tuple[int, int]] = []
        monkeypatch.setattr("os.waitpid", self._wait)
        monkeypatch.setattr("os.kill", lambda *what: self.sent.append(what))
        self.child = _Child(2, 4242, here, self.supervisor)

    def _wait(self, pid: int, flags: int) -> tuple[int, int]:
        self.asked.append((pid, flags))
        return self.status


async def test_a_process_has_ended_when_its_last_word_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever comes first: that it was reaped, or the end of its pipe. Then it gets no signal."""
    for reaped_first in (True, False):
        with monkeypatch.context() as patch:
            scene = Child(patch)
            child, ended = scene.child, scene.supervisor.ended
            child.kill()
            child.hang_up()
            assert scene.sent == [(4242, signal.SIGKILL), (4242, signal.SIGHUP)]
            child.reap()
            assert not ended.called
            if reaped_first:
                scene.status = (4242, signal.SIGKILL)
                child.reap()
                assert not ended.called
            body = messages.encode(Alive())
            scene.there.send(len(body).to_bytes(4, "big") + body)
            scene.there.close()
            await until(lambda child=child: not child._open)  # type: ignore[misc]
            scene.supervisor.heard.assert_called_once_with(2, Alive())
            if not reaped_first:
                assert not ended.called
                scene.status = (4242, signal.SIGKILL)
                child.reap()
            ended.assert_called_once_with(2, "SIGKILL")
            asked = len(scene.asked)
            child.reap()
            child.kill()
            assert len(scene.asked) == asked
            assert set(scene.asked) == {(4242, os.WNOHANG)}
            assert len(scene.sent) == 2
            child.close()


async def test_all_are_looked_at(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """One signal may stand for several that have ended."""
    scene = Child(monkeypatch)
    other = Process()
    running: Any = [Mock(forked=each) for each in (other, scene.child, scene.child)]
    supervisor: Any = SimpleNamespace(running=running)
    service._supervisor = supervisor
    service._reap()
    assert len(scene.asked) == 2
    scene.there.close()
    scene.child.close()


def test_what_all_need_is_imported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there are copies: the cluster's parts, and the event loop."""
    imported, made = Mock(), Mock()
    monkeypatch.setattr("importlib.import_module", imported)
    monkeypatch.setattr(several, "loop_factory", made)
    several._import_once()
    imported.assert_called_once_with("greenroom.server.cluster")
    made.assert_called_once_with()


async def test_what_a_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes over its pipe."""
    scene = Child(monkeypatch)
    scene.child.tell(Stop())
    scene.there.settimeout(20)
    body = messages.encode(Stop())
    assert scene.there.recv(100) == len(body).to_bytes(4, "big") + body
    scene.child.close()
    assert scene.there.recv(100) == b""
    scene.there.close()


async def test_the_whole_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no process could use is refused before there is one; the last word is that it stopped.

    The sockets of a service that is taken over are taken, as many as there are processes.
    """
    done: list[object] = []
    service = Mock(signals_handled=contextlib.nullcontext)
    service.run = AsyncMock(side_effect=lambda *what: done.append(("run", what)))
    before: Any = SimpleNamespace(listening="theirs")

    @contextlib.asynccontextmanager
    async def met(*_: object, taking_over: bool) -> Any:
        done.append(("met", taking_over))
        yield before if taking_over else None

    @contextlib.contextmanager
    def listen(_: object, received: object, bind: Any) -> Iterator[str]:
        done.append(("listen", received, bind.keywords))
        yield "found"
        done.append("not listening")

    for name in ("check_given", "check_installed", "_import_once"):
        monkeypatch.setattr(several, name, lambda *_, name=name: done.append(name))
    lines = Mock(close=lambda: done.append("lines closed"))
    monkeypatch.setattr(several, "BoundedLog", lambda: lines)
    monkeypatch.setattr(several, "met_before", met)
    monkeypatch.setattr(several, "listening", listen)
    monkeypatch.setattr(several, "enough", lambda found, number: (found, number))
    monkeypatch.setattr(several, "_Service", lambda *_: service)
    given, announce = settings_of(tmp_path), Mock()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    for taking_over in (False, True):
        done.clear()
        with capture_logs() as logs:
            await several.run_processes(given, announce, taking_over=taking_over)
        faults = loop.get_exception_handler()
        loop.set_exception_handler(handler)
        assert isinstance(faults, FaultHandler)
        assert done == [
            *("check_given", "check_installed", "_import_once", ("met", taking_over)),
            ("listen", ("theirs", 3) if taking_over else None, {"processes": 3}),
            ("run", (before if taking_over else None, announce)),
            *("not listening", "lines closed"),
        ]
        assert [line["event"] for line in logs] == ["stopped"]
