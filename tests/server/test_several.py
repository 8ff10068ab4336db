"""How the supervisor begins its processes, and what comes in between; the rest is tested e2e."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.entrance.sockets import Listening
from greenroom.server.processes.messages import Stop, Told
from greenroom.server.processes.supervisor import StartFailed
from greenroom.server.several import _Service
from greenroom.settings.load import load


class Process:
    """A double of a process: what it was told."""

    pid = 1000

    def __init__(self) -> None:
        self.told: list[Told] = []

    def tell(self, message: Told) -> None:
        self.told.append(message)

    def kill(self) -> None: ...

    def hang_up(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def service(tmp_path: Path) -> Iterator[_Service]:
    """Give a service of three processes, none of which was started."""
    given = {"port": "0", "data_dir": str(tmp_path), "processes": "3", "bus": "nats://127.0.0.1:1"}
    settings = load({**given, "storage": "postgresql://127.0.0.1:1/none"}, {}, None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        service = _Service(settings, Listening([listening]), asyncio.TaskGroup())
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


def test_a_second_signal(service: _Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes are ended before this one is, at once, with its code."""
    done: list[object] = []
    supervisor: Any = Mock(kill=lambda: done.append("kill"))
    service._supervisor = supervisor
    with monkeypatch.context() as patch:
        patch.setattr("os._exit", done.append)
        service._kill(130)
    assert done == ["kill", 130]
