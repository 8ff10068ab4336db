"""Whether a node serves again, whose place it takes, and what is told at its start.

Covers: greenroom.server.serve
"""

import asyncio
import contextlib
from typing import Any
from unittest import mock

import pytest
from structlog.testing import capture_logs

from greenroom.process import address_file, signals, systemd
from greenroom.process.address_file import Address
from greenroom.server import serve
from greenroom.server.processes.link import ALIVE_SECONDS
from greenroom.settings.load import load
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.logs import FaultHandler


class Parts:
    """Doubles of what serving calls, which write down the order in which they are called."""

    def __init__(self, settings: Settings) -> None:
        self.calls = mock.Mock()
        self.node = self.calls.node
        self.opened = self.node.opened
        self.opened.settings = settings
        self.opened.parts.link = None
        self.opened.reviewer.drain = mock.AsyncMock()
        self.opened.identity.close = mock.AsyncMock()
        self.opened.store.close = mock.AsyncMock()
        self.node.chat_log.stop = mock.AsyncMock()
        self.node.tickers = [mock.Mock(), mock.Mock()]
        self.calls.server.serve = mock.AsyncMock()
        self.offer = self.calls.offer
        for each in ("reviewer.drain", "identity.close", "store.close"):
            parent, _, name = each.partition(".")
            self.calls.attach_mock(getattr(getattr(self.opened, parent), name), each)
        self.calls.attach_mock(self.node.chat_log.stop, "chat_log.stop")


@pytest.fixture
def parts() -> Parts:
    """Give the doubles, with the settings' defaults but for two."""
    times = {"drain_timeout_seconds": "7", "drain_spread_seconds": "5"}
    return Parts(load(times, {}, None))


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Give what systemd is told."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(systemd, "notify", lambda *lines: told.append(lines))
    return told


@pytest.fixture
def serving(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Give the doubles, in place of what a node is made of."""
    doubles: dict[str, Any] = {
        "StoreCheck": parts.calls.check,
        "_offer": lambda _: parts.offer,
        "HttpServer": lambda *_: parts.calls.server,
        "http_config": mock.Mock(),
        "application": mock.Mock(),
        "entrance": mock.Mock(),
        "_hand_over": mock.AsyncMock(),
        "_drained": mock.AsyncMock(),
        "_close": mock.AsyncMock(),
    }
    for name, double in doubles.items():
        monkeypatch.setattr(serve, name, double)
    handled = mock.Mock(return_value=contextlib.nullcontext())
    monkeypatch.setattr(signals, "handled", handled)
    parts.calls.handled = handled
    return parts


@pytest.mark.parametrize(
    ("taken", "withdrawn", "again"),
    [(True, False, False), (False, False, True), (False, True, False), (True, True, False)],
)
async def test_whether_to_serve_again(
    serving: Parts, taken: bool, withdrawn: bool, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the process that was to take over failed, unless this one was told to stop meanwhile."""
    serving.offer.is_withdrawn = withdrawn
    monkeypatch.setattr(serve, "_hand_over", mock.AsyncMock(return_value=taken))
    assert await serve._serve(serving.node, None, mock.Mock()) is again
    serving.node.plane.hub.drain.assert_called_once_with(5 if taken else 0)
    assert serve._drained.call_args == mock.call(serving.node.plane.hub, 5)  # type: ignore[attr-defined]
    assert not serve._close.called  # type: ignore[attr-defined]
    assert serving.offer.close.called


async def test_a_node_counts_until_its_last_connection_has_ended(
    serving: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a take-over, too: the other nodes hear of its connections while there are any."""

    async def drained(*_: object) -> None:
        assert not serving.node.presence.stop.called

    monkeypatch.setattr(serve, "_drained", drained)
    for successor in (mock.Mock(), None):
        serving.offer.successor = successor
        serving.node.presence.stop.reset_mock()
        await serve._serve(serving.node, None, mock.Mock())
        serving.node.presence.stop.assert_called_once_with()


@pytest.mark.parametrize(("spread", "seconds"), [("5", 5), ("9", 7)])
async def test_an_ordinary_end(serving: Parts, spread: str, seconds: int) -> None:
    """Everything ticks until the server ends; then nobody is accepted, and all is closed."""
    times = {"drain_timeout_seconds": "7", "drain_spread_seconds": spread}
    serving.opened.settings = load(times, {}, None)
    serving.offer.successor = None
    assert await serve._serve(serving.node, None, mock.Mock()) is False
    assert all(each.start.called for each in serving.node.tickers)
    serving.calls.server.serve.assert_awaited_once_with(
        sockets=serving.opened.listening.copies.return_value
    )
    assert serving.opened.listening.close.called
    assert serve._drained.call_args == mock.call(serving.node.plane.hub, seconds)  # type: ignore[attr-defined]
    assert serve._close.call_args == mock.call(serving.node)  # type: ignore[attr-defined]
    assert serving.offer.close.called
    assert serving.calls.check.return_value.close.called
    stop, hang_up, _ = serving.calls.handled.call_args.args
    with mock.patch.object(systemd, "notify"):
        stop()
    serving.node.plane.hub.drain.assert_called_once_with(seconds)
    hang_up()
    assert serving.opened.identity.hang_up.called
    serving.offer.wanted()
    assert serving.calls.server.should_exit is True


@pytest.mark.parametrize("storage", ["sqlite", "memory"])
@pytest.mark.parametrize("behind", [True, False])
async def test_what_is_offered(parts: Parts, storage: str, behind: bool) -> None:
    """Only what is kept can be handed over, and not while chat logs wait for the disk."""
    parts.opened.settings = load({"storage": storage}, {}, None)
    parts.node.chat_log.is_behind = behind
    with mock.patch.object(serve, "Offer") as offering:
        offer = serve._offer(parts.node)
    kept = parts.opened.settings.path("data_dir") if storage == "sqlite" else None
    offering.assert_called_once_with(kept, parts.opened.listening, parts.node.tasks)
    assert bool(offer.unfit()) is behind


async def test_whose_place_is_taken() -> None:
    """That of the process on the data directory, where it is asked for and can be."""
    kept, memory = load({}, {}, None), load({"storage": "memory"}, {}, None)
    async with serve.met_before(memory, taking_over=False) as before:
        assert before is None
    with pytest.raises(SettingsRefused, match="needs storage sqlite"):
        serve.met_before(memory, taking_over=True)
    with mock.patch.object(serve, "predecessor") as finding:
        assert serve.met_before(kept, taking_over=True) is finding.return_value
    finding.assert_called_once_with(kept.path("data_dir"))


async def test_a_drain_that_settles(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What settles has its time before."""
    monkeypatch.setattr(serve, "LAST_WORDS_SECONDS", 0.001)
    monkeypatch.setattr(serve, "SETTLE_SECONDS", 3600)
    hub = parts.node.plane.hub
    hub.drained, hub.settling = asyncio.Event(), True
    waiting = asyncio.create_task(serve._drained(hub, 0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    hub.drained.set()
    async with asyncio.timeout(10):
        await waiting


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("data_dir", ["/kept", None])
@pytest.mark.parametrize("before", ["none", "names", "names not"])
def test_a_start(
    parts: Parts,
    notified: list[tuple[str, ...]],
    frozen: int,
    data_dir: str | None,
    before: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector leaves alone what lives to the end; the address is kept, and all are told."""
    ready = parts.calls.ready
    ready.data_dir, ready.pid, ready.api_url = data_dir, 4711, "http://127.0.0.1:1"
    collector = mock.Mock()
    collector.get_freeze_count.return_value = frozen
    monkeypatch.setattr(serve, "gc", collector)
    monkeypatch.setattr(serve, "description", lambda *_: ready)
    monkeypatch.setattr(serve, "_warn", parts.calls.warn)
    monkeypatch.setattr(address_file, "write", parts.calls.write)
    predecessor = None if before == "none" else parts.calls.predecessor
    parts.calls.predecessor.names_successor = before == "names"
    serve._started(parts.opened, parts.offer, predecessor, parts.calls.announce)
    assert collector.freeze.called is (not frozen)
    collector.set_threshold.assert_called_once_with(*serve.GC_THRESHOLDS)
    assert collector.enable.called
    address = Address("http://127.0.0.1:1", ready.certificate_to_trust)
    kept = [mock.call.write(parts.opened.settings.path("data_dir"), address)]
    called = [each for each in parts.calls.mock_calls if not each[0].startswith("node")]
    assert called == [
        *(kept if data_dir else []),
        mock.call.warn(parts.opened, ready),
        mock.call.offer.start(),
        mock.call.announce(ready),
        *([] if predecessor is None else [mock.call.predecessor.serving()]),
    ]
    ends = {"none": [(systemd.READY,)], "names": [], "names not": [("MAINPID=4711",)]}
    assert notified == ends[before]


@pytest.mark.parametrize("again", [True, False])
async def test_what_a_node_returns(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is to be made again, when all that it opened is closed.

    Before the tasks that its receivers begin are nobody's any more, the bus tells nothing.
    """
    opened, closed = mock.Mock(), list[str]()
    group: list[asyncio.TaskGroup] = []

    def stop() -> None:
        group[0].create_task(asyncio.sleep(0))
        closed.append("hushed")

    opened.bus.stop = stop

    async def opening(*given: Any) -> object:
        given[-2].callback(closed.append, "closed")
        assert given[-1] is parts
        return opened

    async def build(_opened: object, tasks: asyncio.TaskGroup) -> object:
        group.append(tasks)
        return node

    async def run(*_: object) -> bool:
        closed.append("served")
        return again

    node = mock.Mock()
    building, running = mock.AsyncMock(side_effect=build), mock.AsyncMock(side_effect=run)
    monkeypatch.setattr(serve, "open_adapters", opening)
    monkeypatch.setattr(serve, "build_node", building)
    monkeypatch.setattr(serve, "_serve", running)
    announce = mock.Mock()
    parts = mock.Mock()
    given: list[Any] = [mock.Mock(), parts, mock.Mock(), mock.Mock(), None, announce]
    assert await serve._run(*given) is again
    assert building.await_args is not None
    assert building.await_args.args[0] is opened
    running.assert_awaited_once_with(node, None, announce)
    assert closed == ["served", "hushed", "closed"]


async def test_a_service_that_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same sockets, in nobody's place, without being announced once more.

    Faults are told as those of one process: the first at once, how many there were in the end.
    """
    before, found, announce = mock.Mock(), mock.Mock(), mock.Mock()
    again = [True, True, False]

    async def run(*given: Any) -> bool:
        lines: BoundedLog = given[3]
        lines.write("error", "a fault", {"at": "here"})
        return again.pop(0)

    running = mock.AsyncMock(side_effect=run)
    listening_ = mock.Mock(return_value=contextlib.nullcontext(found))
    monkeypatch.setattr(serve, "_run", running)
    monkeypatch.setattr(serve, "listening", listening_)
    monkeypatch.setattr(serve, "met_before", lambda *_, **__: contextlib.nullcontext(before))
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    settings, parts = load({}, {}, None), mock.Mock()
    with capture_logs() as logs:
        await serve.run_service(settings, announce, taking_over=True, parts=parts)
    faults = loop.get_exception_handler()
    loop.set_exception_handler(handler)
    assert isinstance(faults, FaultHandler)
    listening_.assert_called_once_with(settings, before.listening)
    lines = running.await_args_list[0].args[3]
    assert running.await_args_list == [
        mock.call(settings, parts, found, lines, before, announce),
        *[mock.call(settings, parts, found, lines, None, serve._say_nothing)] * 2,
    ]
    assert [each["event"] for each in logs] == ["a fault", "a fault", "stopped"]


@pytest.mark.parametrize("taking_over", [False, True])
async def test_one_of_several_serves_again(
    monkeypatch: pytest.MonkeyPatch, taking_over: bool
) -> None:
    """When who was to take over failed: then it takes nobody's place. It says that it lives."""
    running = mock.AsyncMock(side_effect=[True, True, False])
    ticker = mock.Mock()
    monkeypatch.setattr(serve, "_run", running)
    monkeypatch.setattr(serve, "Ticker", ticker)
    lines = mock.Mock()
    monkeypatch.setattr(serve, "BoundedLog", lambda: lines)
    link: Any = mock.Mock()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    settings = load({}, {}, None)
    await serve.run_one_of(settings, link, taking_over=taking_over)
    faults = loop.get_exception_handler()
    loop.set_exception_handler(handler)
    assert isinstance(faults, FaultHandler)
    parts = running.await_args_list[0].args[1]
    assert parts.link is link
    first = link if taking_over else None
    assert running.await_args_list == [
        mock.call(settings, parts, link.listening, lines, each, link.announce)
        for each in (first, None, None)
    ]
    ticker.assert_called_once_with(ALIVE_SECONDS, link.alive)
    assert [name for name, *_ in ticker.return_value.mock_calls] == ["start", "stop"]
    assert link.mock_calls == [mock.call.open()]
    lines.close.assert_called_once_with()


@pytest.mark.parametrize("storage", ["sqlite", "memory"])
@pytest.mark.parametrize("linked", [False, True])
def test_who_may_take_over(monkeypatch: pytest.MonkeyPatch, storage: str, linked: bool) -> None:
    """Of several processes the supervisor says it; memory nobody can, nor a log that waits."""
    made = mock.Mock()
    monkeypatch.setattr(serve, "Offer", made)
    node: Any = mock.Mock()
    node.opened.settings = settings = load({"storage": storage}, {}, None)
    if not linked:
        node.opened.parts.link = None
    offer: Any = serve._offer(node)
    if linked:
        assert offer is node.opened.parts.link
        return
    assert offer is made.return_value
    directory = None if storage == "memory" else settings.path("data_dir")
    made.assert_called_once_with(directory, node.opened.listening, node.tasks)
    node.chat_log.is_behind = True
    assert offer.unfit() == "chat logs wait in memory for the disk"
    node.chat_log.is_behind = False
    assert offer.unfit() == ""
