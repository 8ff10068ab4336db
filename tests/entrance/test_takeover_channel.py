"""What two processes say to each other: who the other is, and what it may say next."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from greenroom.entrance import takeover_channel
from greenroom.entrance.takeover_channel import (
    NAME,
    Channel,
    Packet,
    PeerGone,
    PeerRefused,
    Step,
    is_possible,
    meeting_place,
    met,
)


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """Give both ends of a channel."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channels = Channel(one), Channel(other)
    yield channels
    for channel in channels:
        channel.close()
        for each in channel.received:
            each.close()


def test_nobody_waits_for_the_other(pair: tuple[Channel, Channel]) -> None:
    """All else is served meanwhile; what has no room is not waited for."""
    assert [each._connection.getblocking() for each in pair] == [False, False]


async def test_sockets_travel(pair: tuple[Channel, Channel]) -> None:
    """The other side gets the same sockets, which no child inherits, and no more than it takes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for most in ((1,), (), (0,)):
            pair[0].send(Packet(Step.SOCKETS, by_systemd=True), [listening])
            assert (await pair[1].receive(Step.SOCKETS, 1, *most)).by_systemd
            (taken,) = pair[1].received
            assert taken.getsockname() == listening.getsockname()
            assert not os.get_inheritable(taken.fileno())


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (Packet(Step.FAILED, why="no room"), "no room"),
        (Packet(Step.SERVING, version="9.9"), "its version is 9.9"),
        (Packet(Step.PREPARED, protocol=2, version="9.9"), "its version is 9.9"),
    ],
)
async def test_another_step(pair: tuple[Channel, Channel], packet: Packet, why: str) -> None:
    """What is not the next step ends the takeover, with the reason."""
    pair[0].send(packet)
    with pytest.raises(PeerRefused, match=why):
        await pair[1].receive(Step.PREPARED, 1)


async def test_no_step(pair: tuple[Channel, Channel]) -> None:
    """Silence, nonsense and an end are told apart."""
    with pytest.raises(PeerRefused, match="no answer within"):
        await pair[1].receive(Step.PREPARED, 0.01)
    for said in (b"nonsense", b'{"step": "\xff"}'):
        pair[0]._connection.send(said)
        with pytest.raises(PeerRefused, match="not understood"):
            await pair[1].receive(Step.PREPARED, 1)
    pair[0].close()
    with pytest.raises(PeerGone):
        await pair[1].receive(Step.PREPARED, 1)
    with pytest.raises(PeerGone):
        pair[1].send(Packet(Step.PREPARED))


def test_who_is_trusted(pair: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same user, and root; root may take over from others, too."""
    for own, other, trusted in ((7, 7, True), (7, 0, True), (0, 7, True), (7, 8, False)):
        monkeypatch.setattr(os, "geteuid", lambda own=own: own)
        monkeypatch.setattr(pair[0], "_uid", other)
        assert pair[0].is_trusted is trusted


def test_the_meeting_place(tmp_path: Path) -> None:
    """It is its owner's alone, replaces what an earlier process left, and may be deep."""
    directory = tmp_path / ("deep" * 40)
    directory.mkdir()
    assert met(directory) is None
    assert met(tmp_path / "missing") is None
    meeting_place(directory).close()
    assert met(directory) is None, "nobody waits there"
    with meeting_place(directory):
        assert (directory / NAME).stat().st_mode & 0o777 == 0o600
        assert [each.name for each in directory.iterdir()] == [NAME]
        found = met(directory)
        assert found
        with found:
            assert Channel(found).pid == os.getpid()


OTHER_SIDE = """
import socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect(sys.argv[1])
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def other_process(directory: Path, seconds: float) -> "Iterator[tuple[Channel, Popen[bytes]]]":
    """Give a channel to a process that runs for so long, and the process."""
    with meeting_place(directory) as waiting:
        waiting.setblocking(True)
        command = [sys.executable, "-c", OTHER_SIDE, str(directory / NAME), str(seconds)]
        with Popen(command) as process:
            channel = Channel(waiting.accept()[0])
            try:
                yield channel, process
            finally:
                channel.close()
                channel.close()
                process.kill()


async def test_waiting_for_an_end(tmp_path: Path) -> None:
    """A process may run on for a time, then it is ended."""
    with other_process(tmp_path, 1000) as (channel, process):
        channel.check_alive()
        await channel.gone(0.01)
        assert process.wait() == -signal.SIGKILL
        with pytest.raises(PeerGone):
            channel.check_alive()
        await channel.gone(0)  # it is known no more


async def test_who_is_ended_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds, such as the lock of the data, is free only when it is gone."""
    waited: list[str] = []

    async def readable(_: int) -> None:
        if not waited:
            waited.append("for its end")
            await asyncio.Event().wait()
        waited.append("for the end of who was killed")

    monkeypatch.setattr(takeover_channel, "readable", readable)
    with other_process(tmp_path, 1000) as (channel, process):
        await channel.gone(0)
        assert process.wait() == -signal.SIGKILL
    assert waited == ["for its end", "for the end of who was killed"]


async def test_this_process_is_not_ended(pair: tuple[Channel, Channel]) -> None:
    """It goes on, though it is at both ends."""
    await pair[0].gone(0)
    pair[0].check_alive()


async def test_another_process_has_its_number_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was met is waited for and ended, and nobody else: numbers are given again."""
    with Popen(["sleep", "1000"]) as innocent:  # noqa: ASYNC220 - quickly begun
        with other_process(tmp_path, 0) as (channel, process):
            process.wait()
            monkeypatch.setattr(channel, "pid", innocent.pid)
            await channel.gone(0)
        assert innocent.poll() is None
        innocent.kill()


async def test_a_kernel_that_cannot_say_it(
    pair: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment is waited, and nobody is said to be gone; a process that is not there is gone."""
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    def refuse(_: int) -> int:
        raise failure

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(asyncio, "sleep", note)
    for failure in (OSError(errno.ENOSYS, "an old kernel"), ProcessLookupError()):
        for seconds in (0.0, 0.5, 10.0):
            one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with other, closing(Channel(one)) as channel:
                monkeypatch.setattr(channel, "pid", 1)
                await channel.gone(seconds)
                if isinstance(failure, ProcessLookupError):
                    with pytest.raises(PeerGone):
                        channel.check_alive()
                else:
                    channel.check_alive()
    assert slept == [0.0, 0.5, 1.0]


async def test_an_end_that_comes_by_itself(tmp_path: Path) -> None:
    """A process that ends in time is not killed, and nothing of the waiting is left."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - what Path opens is one of them
    with other_process(tmp_path, 0.05) as (channel, process):
        await channel.gone(30)
        assert process.wait() == 0
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - likewise


def test_where_it_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it needs must be there."""
    assert is_possible()
    for where, name in ((socket, "SO_PEERCRED"), (socket, "SOCK_SEQPACKET"), (os, "pidfd_open")):
        with monkeypatch.context() as patched:
            patched.delattr(where, name)
            assert not is_possible()


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    """Nothing stays open."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - what Path opens is one of them
    with pytest.raises(OSError, match="Not a directory"):
        meeting_place(Path(__file__))
    assert met(Path(__file__)) is None
    (tmp_path / NAME).touch()
    (tmp_path / f".{NAME}.{os.getpid()}").touch()
    assert met(tmp_path) is None, "a file that nobody listens at"
    meeting_place(tmp_path).close()
    (tmp_path / NAME).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(tmp_path / NAME))
        other.listen()
        with pytest.raises(OSError, match="wrong type for socket"):
            met(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - likewise
