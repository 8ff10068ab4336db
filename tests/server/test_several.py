"""How the supervisor begins its processes, and what comes in between; the rest is tested e2e."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

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
