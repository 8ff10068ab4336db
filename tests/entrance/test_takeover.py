"""Both sides of a takeover in one process, where the real one is hard to bring into a state.

Covers: greenroom.entrance.takeover_offer
"""

import asyncio
import errno
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.entrance import takeover, takeover_offer
from greenroom.entrance.sockets import Listening
from greenroom.entrance.takeover import Predecessor, TakeoverRefused
from greenroom.entrance.takeover_channel import NAME, Channel, Packet, Step
from greenroom.entrance.takeover_offer import Offer
from greenroom.identities import declaration_file
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.load import load
from greenroom.storage.sqlite import lock

HALF_A_SUCCESSOR = """
import asyncio, sys
from pathlib import Path
from greenroom.entrance.takeover import Predecessor

async def main(directory):
    predecessor = await Predecessor.meet(directory)
    await predecessor.release()
    sys.stdin.read()

asyncio.run(main(Path(sys.argv[1])))
"""
"""A new process that takes the store, and hangs."""

HalfASuccessor = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def half_a_successor() -> Iterator[HalfASuccessor]:
    """Return a function that starts a process which gets so far and no further."""
    with ExitStack() as stack:

        def begin(directory: Path) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(
                [sys.executable, "-c", HALF_A_SUCCESSOR, str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


@asynccontextmanager
async def offering(directory: Path) -> AsyncIterator[Offer]:
    """Give the offer of a process that serves."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with asyncio.TaskGroup() as tasks:
            with closing(Offer(directory, Listening([listening], by_systemd=True), tasks)) as offer:
                offer.start()
                yield offer


async def met(directory: Path) -> Predecessor:
    """Return the process that serves, which lets itself be taken over."""
    predecessor = await Predecessor.meet(directory)
    assert predecessor is not None
    return predecessor


async def test_who_cannot_let_go(tmp_path: Path) -> None:
    """The reason is told, and later it may be possible."""
    async with offering(tmp_path) as offer:
        offer.unfit = lambda: "the disk is full"
        with pytest.raises(
            TakeoverRefused, match=r"process \d+ is not taken over: the disk is full"
        ):
            await Predecessor.meet(tmp_path)
        offer.unfit = str
        first = await met(tmp_path)
        assert first.listening.by_systemd
        assert first.names_successor
        with pytest.raises(TakeoverRefused, match="is taking over already"):
            await Predecessor.meet(tmp_path)
        first.listening.close()
        offer.unfit = lambda: "the disk is full"
        with pytest.raises(TakeoverRefused, match="the disk is full"):
            await first.release()
        first.close()
        assert offer.successor is None
        offer.unfit = str
        second = await met(tmp_path)  # nobody is taking over any more
        for _ in range(2):
            with pytest.raises(TakeoverRefused, match="is taking over already"):
                await Predecessor.meet(tmp_path)
        second.listening.close()
        second.close()


async def test_it_lets_go(tmp_path: Path) -> None:
    """The caller is told once the other is prepared, and the other once the store is closed."""
    async with offering(tmp_path) as offer:
        wanted = asyncio.Event()
        offer.wanted = wanted.set
        predecessor = await met(tmp_path)
        releasing = asyncio.create_task(predecessor.release())
        await wanted.wait()
        assert offer.successor is not None
        assert not releasing.done()
        serves = asyncio.create_task(offer.successor.serves())
        await releasing
        assert not serves.done()
        predecessor.listening.close()
        predecessor.serving()
        assert await serves


async def test_the_new_process_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half_a_successor: HalfASuccessor
) -> None:
    """It holds the store by now: it is ended, so that the old one can open that again."""
    async with offering(tmp_path) as offer:
        wanted = asyncio.Event()
        offer.wanted = wanted.set
        process = half_a_successor(tmp_path)
        await wanted.wait()
        assert offer.successor is not None
        monkeypatch.setattr(takeover_offer, "STEP_SECONDS", 0.01)
        assert not await offer.successor.serves()
        assert process.wait() == -signal.SIGKILL


async def test_the_new_process_ends_as_soon_as_it_serves(
    tmp_path: Path, half_a_successor: HalfASuccessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last word does not count: the old one serves on, and stays the main process."""

    async def last_word(channel: Channel, step: Step, seconds: float) -> Packet:
        process.kill()
        process.wait()
        return Packet(step)

    async with offering(tmp_path) as offer:
        wanted = asyncio.Event()
        offer.wanted = wanted.set
        process = half_a_successor(tmp_path)
        await wanted.wait()
        assert offer.successor is not None
        monkeypatch.setattr(Channel, "receive", last_word)
        with capture_logs() as logs:
            assert not await offer.successor.serves()
    assert [line["event"] for line in logs] == ["takeover failed, this process serves on"]


async def test_how_long_a_failed_process_may_take_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says nothing is ended at once; one that is gone, or says why, ends by itself."""
    waited: list[float] = []

    async def note(_: Channel, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(Channel, "gone", note)
    monkeypatch.setattr(takeover_offer, "STEP_SECONDS", 0.2)
    logs: list[MutableMapping[str, object]] = []
    for end in (lambda _: None, Predecessor.close, lambda each: each.fail("no\n memory")):
        async with offering(tmp_path) as offer:
            wanted = asyncio.Event()
            offer.wanted = wanted.set
            predecessor = await met(tmp_path)
            releasing = asyncio.create_task(predecessor.release())
            await wanted.wait()
            assert offer.successor is not None
            serves = asyncio.create_task(offer.successor.serves())
            await releasing
            end(predecessor)
            with capture_logs() as captured:
                assert not await serves
            logs += captured
            predecessor.listening.close()
            predecessor.close()
    assert waited == [0, takeover_offer.END_SECONDS, takeover_offer.END_SECONDS]
    assert {line["event"] for line in logs} == {"takeover failed, this process serves on"}
    assert logs[2]["reason"] == "no memory"


async def test_the_running_process_ends_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is free once it is gone; that is waited for."""
    waited: list[float] = []

    async def note(_: Channel, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(Channel, "gone", note)
    async with offering(tmp_path) as offer:
        first = await met(tmp_path)
        offer.close()
        await first.release()
        first.listening.close()
        first.close()
    assert waited == [takeover.END_SECONDS]
    assert await Predecessor.meet(tmp_path) is None


async def test_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process gets no socket, and its own are not taken."""

    class Strange(Channel):
        is_trusted = False

    async with offering(tmp_path):
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(takeover_offer, "Channel", Strange)
            with pytest.raises(TakeoverRefused):
                await Predecessor.meet(tmp_path)
        assert logs[0]["reason"] == "it runs as another user"
        monkeypatch.setattr(takeover, "Channel", Strange)
        with pytest.raises(TakeoverRefused, match="it runs as another user"):
            await Predecessor.meet(tmp_path)


async def test_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that gives none is not taken over."""
    monkeypatch.setattr(takeover, "MAXIMUM_SOCKETS", 0)
    async with offering(tmp_path):
        with pytest.raises(TakeoverRefused, match="it gave no socket"):
            await Predecessor.meet(tmp_path)


async def test_the_block_of_who_takes_over(tmp_path: Path) -> None:
    """Without a process it has none; when it fails, the process that serves is told why."""
    async with takeover.predecessor(tmp_path) as running:
        assert running is None

    async def fail(offer: Offer, wanted: asyncio.Event) -> None:
        async with takeover.predecessor(tmp_path) as running:
            assert running is not None
            releasing = asyncio.create_task(running.release())
            await wanted.wait()
            assert offer.successor is not None
            serving.append(asyncio.create_task(offer.successor.serves()))
            await releasing
            running.listening.close()
            raise ValueError("no\n memory " + "x" * 1000)

    serving: list[asyncio.Task[bool]] = []
    with capture_logs() as logs:
        async with offering(tmp_path) as offer:
            wanted = asyncio.Event()
            offer.wanted = wanted.set
            with pytest.raises(ValueError, match="no"):
                await fail(offer, wanted)
            assert not await serving[0]
    reasons = [line["reason"] for line in logs if line["log_level"] == "error"]
    assert reasons == ["no memory " + "x" * 990]


async def test_without_a_directory() -> None:
    """Nothing is offered, and nothing has to be closed."""
    async with asyncio.TaskGroup() as tasks:
        offer = Offer(None, Listening([]), tasks)
        offer.start()
        withdrawn = [offer.is_withdrawn]
        offer.withdraw("it was told to stop")
        withdrawn.append(offer.is_withdrawn)
        offer.close()
    assert withdrawn == [False, True]


async def test_it_is_told_to_stop_too_late(tmp_path: Path) -> None:
    """Who is prepared takes over all the same."""
    async with offering(tmp_path) as offer:
        wanted = asyncio.Event()
        offer.wanted = wanted.set
        predecessor = await met(tmp_path)
        releasing = asyncio.create_task(predecessor.release())
        await wanted.wait()
        offer.withdraw("it was told to stop")
        assert offer.successor is not None
        serves = asyncio.create_task(offer.successor.serves())
        await releasing
        predecessor.listening.close()
        predecessor.serving()
        assert await serves


async def test_it_is_told_to_stop(tmp_path: Path) -> None:
    """Who prepares hears it when it is prepared, and whoever comes later at once."""
    async with offering(tmp_path) as offer:
        predecessor = await met(tmp_path)
        offer.withdraw("it was told to stop")
        with pytest.raises(TakeoverRefused, match="told to stop"):
            await predecessor.release()
        predecessor.listening.close()
        predecessor.close()
        with pytest.raises(TakeoverRefused, match="told to stop"):
            await Predecessor.meet(tmp_path)


async def test_it_was_told_to_stop_and_is_gone(tmp_path: Path) -> None:
    """Who prepared longer than it took does not serve in its place: nobody is to."""
    async with offering(tmp_path) as offer:
        predecessor = await met(tmp_path)
        offer.withdraw("it was told to stop")
        offer.close()
        with pytest.raises(TakeoverRefused, match="told to stop"):
            await predecessor.release()
        predecessor.listening.close()
        predecessor.close()


async def test_the_place_is_the_next_ones(tmp_path: Path) -> None:
    """A process leaves the meeting place alone when another has taken it."""
    async with offering(tmp_path), offering(tmp_path):
        assert (tmp_path / NAME).exists()
    assert not (tmp_path / NAME).exists()
    async with offering(tmp_path) as old:
        async with offering(tmp_path) as new:
            old.close()
            assert (tmp_path / NAME).exists()
        assert not (tmp_path / NAME).exists()
        assert new.successor is None


async def test_where_it_cannot_be_offered(tmp_path: Path) -> None:
    """The service serves all the same, and the log says why it cannot be taken over."""
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "file").touch()
    with capture_logs() as lines:
        async with offering(tmp_path):
            pass
    assert [line["event"] for line in lines] == ["cannot be taken over"]


@pytest.mark.parametrize("given", [False, True])
def test_what_the_running_process_keeps(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key must fit, and the identities file must be of use with it, before it lets go."""
    sealer, read = Mock(), Mock()
    monkeypatch.setattr(takeover, "sealer_of", sealer)
    monkeypatch.setattr(declaration_file, "read", read)
    monkeypatch.setattr(declaration_file, "of_process", lambda *known: known)
    file = {"identities_file": str(tmp_path / "identities.toml")} if given else {}
    settings = load({"account": "123456789012", **file}, {}, None)
    takeover.check_kept(settings, b"kept")
    sealer.assert_called_once_with(settings, b"kept")
    if given:
        ((path, (account, _, opened)),) = [each.args for each in read.mock_calls]
        assert (path, account) == (tmp_path / "identities.toml", "123456789012")
        assert opened is sealer.return_value
    else:
        assert not read.called


def test_where_nothing_can_be_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, with what to do instead; so is a place that cannot be used."""
    monkeypatch.setattr(takeover, "is_possible", lambda: False)
    with pytest.raises(TakeoverRefused, match="--takeover needs Linux: stop the running process"):
        takeover._connection(tmp_path)
    monkeypatch.setattr(takeover, "is_possible", lambda: True)
    monkeypatch.setattr(takeover, "met", Mock(side_effect=OSError(errno.ELOOP, "Too many links")))
    with pytest.raises(FileUnwritable, match=f"{tmp_path}/.* cannot be used: Too many links"):
        takeover._connection(tmp_path)


@pytest.mark.parametrize("holder", ["", "123"])
async def test_who_runs_and_cannot_be_met(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holder: str
) -> None:
    """A process that made no meeting place is named, and serves on; none is no hindrance."""
    monkeypatch.setattr(lock, "look", lambda _: (holder, None))
    async with AsyncExitStack() as stack:
        entering = stack.enter_async_context(takeover.predecessor(tmp_path))
        if not holder:
            assert await entering is None
            return
        with pytest.raises(TakeoverRefused, match=f"process 123 runs on {tmp_path} and cannot"):
            await entering
