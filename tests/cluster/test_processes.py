"""`greenroom serve --processes`: several processes on one machine, behind one port.

Covers: greenroom.server.several
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from greenroom.cli.exit_codes import ExitCode
from tests.running.cluster import Place, hear, place, say, viewers
from tests.running.said import assert_no_faults, entries, samples, until
from tests.running.service import Service, environment
from tests.running.unit import made_in
from tests.running.wire import PATIENCE, Closed, Peer, WebSocket

NUMBER = 2


@pytest.fixture
def shared(tmp_path: Path, database: str, bus_url: str) -> Place:
    """Give the place of a cluster on servers of the session."""
    return place(tmp_path, database, bus_url)


@pytest.fixture
def service(shared: Place) -> Iterator[Service]:
    """Give a service of two processes; in the end nothing has crashed, and nothing runs."""
    with_two = shared.node("node", processes=str(NUMBER))
    family = processes_of(with_two)
    yield with_two
    with_two.kill()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert not alive, "processes end when the one does that looks after them"
    assert_no_faults(with_two)


def processes_of(service: Service) -> list[psutil.Process]:
    """Return the processes that serve."""
    return psutil.Process(service.process.pid).children()


def connections(service: Service) -> list[int]:
    """Return how many viewers each process has."""
    found = samples(service)
    return [int(found[f"ivschat_concurrent_chat_connections:{each}"]) for each in (1, 2)]


def health(service: Service) -> dict[str, str]:
    """Return how each process is, as the port says it."""
    with Peer(service) as peer:
        peer.send(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n")
        found: dict[str, str] = peer.read_answer().json["processes"]
    return found


async def _until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(until, condition, what)


async def test_several_are_one_service(service: Service) -> None:
    """Viewers on each share rooms; figures, health and the log name the processes.

    One that is killed is started again, and told of; meanwhile nobody who connects waits for it,
    and the others' viewers notice nothing. SIGHUP reaches all, SIGTERM drains all.
    """
    assert service.ready["pid"] == service.process.pid
    pids = [each.pid for each in processes_of(service)]
    assert service.ready["processes"] == pids
    room = service.boto3().create_room()["arn"]
    async with viewers([service] * 20, room) as watching:
        await _until(lambda: sum(connections(service)) == 20, "all viewers are counted")
        counts = connections(service)
        assert min(counts) > 0, counts
        await say(watching[0], "hello")
        assert {(await hear(viewer)).content for viewer in watching} == {"hello"}
        assert health(service) == {"1": "ok", "2": "ok"}
        os.kill(pids[1], signal.SIGKILL)
        for _ in range(10):
            # Those for the dead one's socket are taken by the other one, or by its successor.
            assert await asyncio.to_thread(health, service)
        closed = [viewer for viewer in watching if await _is_closed(viewer)]
        assert len(closed) == counts[1]
        await _until(lambda: health(service) == {"1": "ok", "2": "ok"}, "it is started again")
        figures = samples(service)
        assert figures["greenroom_process_restarts_total:2"] == 1
        assert figures["greenroom_process_up:2"] == 1
        (again,) = {each.pid for each in processes_of(service)} - set(pids)
        (ended,) = entries(service, "a process has ended: it is started again")
        assert (ended["process"], ended["pid"], ended["reason"]) == (2, pids[1], "SIGKILL")
        (serves,) = entries(service, "a process serves again")
        assert (serves["process"], serves["pid"]) == (2, again)
        await say(next(viewer for viewer in watching if viewer not in closed), "after")
        left = [viewer for viewer in watching if viewer not in closed]
        assert {(await hear(viewer)).content for viewer in left} == {"after"}
        _hang_up(service)
        await asyncio.to_thread(service.stop)
    assert service.process.returncode == 0
    assert Counter(each.get("process") for each in entries(service, "stopping")) == {
        None: 1,
        1: 1,
        2: 1,
    }
    assert service.log.read_text().splitlines()[-1].startswith('{"event": "stopped"')


async def _is_closed(viewer: object) -> bool:
    try:
        async with asyncio.timeout(0.3):
            await viewer.wait_closed()  # type: ignore[attr-defined]
    except TimeoutError:
        return False
    return True


def _hang_up(service: Service) -> None:
    """See that every process opens its audit log anew."""
    audit_log = Path(service.ready["data_dir"]) / "audit.log"
    audit_log.rename(audit_log.with_suffix(".1"))
    os.kill(service.process.pid, signal.SIGHUP)

    def all_have_it() -> bool:
        paths = [{file.path for file in each.open_files()} for each in processes_of(service)]
        return all(str(audit_log) in each for each in paths)

    until(all_have_it, "each has the new file")


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Give what ends what is left."""
    with contextlib.ExitStack() as stack:
        yield stack


async def test_takeovers(shared: Place, service: Service, stack: contextlib.ExitStack) -> None:
    """By more processes, by one, by several again, and by one that fails: nobody is refused."""
    room = service.boto3().create_room()["arn"]
    running, port = service, service.api_url
    ended = asyncio.Event()

    async def connect() -> None:
        while not ended.is_set():
            await asyncio.to_thread(_live, service)

    connecting = asyncio.create_task(connect())
    wrong = place(shared.directory, shared.storage, shared.bus)
    with pytest.raises(RuntimeError, match="sealed with another key"):
        await asyncio.to_thread(wrong.node, "node", "--takeover", processes="2")
    for number in ("3", "1", "2"):
        after = await asyncio.to_thread(shared.node, "node", "--takeover", processes=number)
        stack.callback(after.kill)
        assert await asyncio.to_thread(running.process.wait, PATIENCE) == 0
        running = after
        assert after.api_url == port
        assert len(after.ready["processes"]) == (0 if number == "1" else int(number))
    ended.set()
    await connecting
    async with viewers([running], room):
        pass
    assert running.stop() == 0
    assert_no_faults(running)


def _live(service: Service) -> None:
    """Ask; who lets go may close what it has accepted and not read, then one asks again."""
    with Peer(service) as peer:
        try:
            peer.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert peer.read_answer().status == 200
        except (Closed, ConnectionError):
            return


def test_the_socket_of_systemd(shared: Place, tmp_path: Path) -> None:
    """All accept from it; systemd hears of the one that looks after them, and of no other."""
    (tmp_path / "unit").mkdir()
    with made_in(tmp_path / "unit") as unit:
        service = unit.start(shared.variables(processes="2"))
        try:
            assert unit.message() == {"READY=1"}
            room = service.boto3().create_room()["arn"]
            with contextlib.ExitStack() as stack:
                for _ in range(6):
                    stack.enter_context(WebSocket.connect(service, service.token(room)))
                until(lambda: sum(connections(service)) == 6, "all are counted")
            service.process.terminate()
            assert unit.message() == {"STOPPING=1"}
            assert service.process.wait(PATIENCE) == 0
        finally:
            service.kill()


def test_a_start_that_fails(shared: Place, tmp_path: Path) -> None:
    """One line, with the code of what one process alone would have ended by; nothing is left."""
    variables = shared.variables(processes="2", storage="postgresql://one@127.0.0.1:1/two")
    command = [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--data-dir"]
    ended = subprocess.run(
        [*command, str(tmp_path / "data"), "--background"],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = (each for each in ended.stderr.splitlines() if not each.startswith("{"))
    assert line.startswith("Error: PostgreSQL at 127.0.0.1:1, database two cannot be used")
    assert ended.returncode == ExitCode.SERVER_UNREACHABLE


def test_in_the_background(shared: Place, tmp_path: Path) -> None:
    """The command returns when all serve; what it has started ends as any other."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--data-dir"]
    options = [str(tmp_path / "data"), "--background", "--ready-file", str(ready)]
    variables = environment(**shared.variables(processes="2"))
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([*command, *options], env=variables, check=True, stdout=log, stderr=log)
    told = json.loads(ready.read_text())
    supervisor = psutil.Process(told["pid"])
    family = [supervisor, *supervisor.children()]
    assert [each.pid for each in family[1:]] == told["processes"]
    supervisor.terminate()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert not alive
    assert not ready.exists()
