"""What is built of what is open: who may read the metrics, what fails a probe, what publishes.

Covers: greenroom.server.chat_logs, greenroom.server.history, greenroom.server.own_services,
    greenroom.server.watched
"""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import pytest

from greenroom.bus.base import IdentitiesChanged
from greenroom.bus.memory import MemoryBus
from greenroom.chat.user_addresses import AddressesHere, AddressesOfNodes
from greenroom.chat.user_names import NamesHere, NamesOfNodes
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.chatlog.streamed import StreamedChatLog
from greenroom.entrance.health import SHARED_STORE, Part, StoreCheck
from greenroom.messaging.admission import read_no_keys
from greenroom.messaging.lost_nodes import LostNodes
from greenroom.server import (
    chat_logs,
    history,
    messaging_plane,
    node_states,
    own_services,
    restricting,
    watched,
)
from greenroom.server import node as node_module
from greenroom.server.node import (
    BACKSTOP_SECONDS,
    _backstop_seconds,
    _health,
    _hears,
    _iam_apis,
    _line,
    _may_hold,
    _monitoring,
    _publishing,
    _services,
    _shared_rates,
    _states,
    _tickers,
    application,
)
from greenroom.server.parts import AS_CONFIGURED
from greenroom.settings.load import load
from greenroom.telemetry.metrics import Metrics
from greenroom.vault.token_keys import TokenKeys


def a_node(flags: Mapping[str, object], *hosts: str, **opened: Any) -> Any:
    """Return a node with these settings that listens on some hosts."""
    settings = load(flags, {}, None)
    listening = SimpleNamespace(hosts=hosts)
    made = Mock()
    opened.setdefault("bus", MemoryBus())
    made.opened = SimpleNamespace(
        settings=settings, parts=AS_CONFIGURED, listening=listening, metrics=Metrics(), **opened
    )
    return made


def test_what_nobody_embeds_is_as_it_is() -> None:
    """Rooms publish where the bus says, and requests are answered by what there is."""
    line: Any = Mock()
    application: Any = Mock()
    assert AS_CONFIGURED.line(line) is line
    assert AS_CONFIGURED.application(application, Mock(), Mock()) is application


def test_metrics_can_be_switched_off() -> None:
    """Then nothing answers GET /metrics."""
    assert _monitoring(a_node({"metrics": "off"}, "127.0.0.1")) is None


@pytest.mark.parametrize(
    ("hosts", "flags", "local"),
    [
        (["127.0.0.1"], {}, True),
        (["127.0.0.1", "::1"], {}, True),
        (["127.0.0.1", "192.0.2.1"], {}, False),
        (["127.0.0.1"], {"proxy_protocol": "on", "trusted_proxies": "127.0.0.1"}, False),
    ],
)
def test_who_may_read_the_metrics(hosts: list[str], flags: dict[str, object], local: bool) -> None:
    """Everybody on the machine, where nobody else reaches it: neither through a proxy."""
    node = a_node({**flags, "metrics_token": "t" * 16}, *hosts)
    monitoring = _monitoring(node)
    assert monitoring is not None
    assert monitoring._local is local
    assert monitoring._token == b"t" * 16
    monitoring._refresh()
    node.chat_log.observe.assert_called_once_with()


@pytest.mark.parametrize(
    ("certificate", "pressed", "draining", "failing"),
    [
        (None, False, False, []),
        (True, False, False, []),
        (False, False, False, [Part.CERTIFICATE]),
        (None, True, False, [Part.MEMORY]),
        (True, False, True, [Part.DRAINING]),
    ],
)
def test_what_fails_a_probe(
    certificate: bool | None, pressed: bool, draining: bool, failing: list[Part]
) -> None:
    """A certificate that is not valid now, memory, and the end of the service; each by itself."""
    kept = None if certificate is None else Mock(is_valid=lambda now: certificate and now == 7.0)
    node = a_node({}, certificate=kept, clock=Mock(now=lambda: 7.0))
    node.plane.memory.pressed, node.plane.hub.draining = pressed, draining
    health = _health(node, Mock(spec=StoreCheck))
    assert [part for part, fails in health._failing.items() if fails()] == failing


@pytest.mark.parametrize("serving", [True, False])
def test_what_fails_a_probe_of_a_cluster(serving: bool) -> None:
    """The bus is a part, too, and the store another one."""
    bus = Mock(figures=Mock(serving=serving, stuck=["ROOMS_03", "ROOMS_07"]))
    node = a_node({}, certificate=None, clock=Mock(), bus=bus)
    node.plane.memory.pressed = node.plane.hub.draining = False
    health = _health(node, Mock(spec=StoreCheck))
    failing = [part for part, fails in health._failing.items() if fails()]
    assert failing == ([] if serving else [Part.BUS])
    assert health._meanings[Part.STORE] == SHARED_STORE
    degraded = health._degraded[Part.BUS]
    assert degraded().startswith("ROOMS_03, ROOMS_07 of NATS: ")
    bus.figures.stuck = []
    assert degraded() == ""


@pytest.mark.parametrize("given", ["off", "on"])
async def test_what_publishes_metrics(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of the node's, only where the settings say so, with their region and namespace."""
    made = Mock(return_value=Mock(run=lambda: asyncio.sleep(60)))
    monkeypatch.setattr(node_module, "Publisher", made)
    flags = {"cloudwatch_metrics": given, "region": "eu-west-1", "cloudwatch_namespace": "N/S"}
    node = a_node(flags, access="access")
    async with asyncio.TaskGroup() as tasks:
        task = _publishing(node.opened, tasks)
        assert (task is not None) is (given == "on")
        if task is not None:
            made.assert_called_once_with(node.opened.metrics, "access", "eu-west-1", "N/S")
            task.cancel()


@pytest.mark.parametrize("has_certificate", [False, True])
def test_what_ticks(has_certificate: bool) -> None:
    """Connections, lag, memory, descriptors, and the certificate where there is one."""
    node, plane, lag = Mock(), Mock(), Mock()
    if not has_certificate:
        node.opened.certificate = None
    tickers = _tickers(node.opened, plane, lag)
    ticks = [
        plane.sweeper.tick,
        plane.settings_teller.tick,
        plane.viewers_teller.tick,
        plane.users_teller.tick,
        lag.observe,
        plane.memory.look,
        plane.descriptors.look,
    ]
    if has_certificate:
        ticks.append(node.opened.certificate.look)
    assert [ticker._tick for ticker in tickers] == ticks


@pytest.mark.parametrize("alone", [True, False])
def test_who_tells_where_users_stand_who_break_off(alone: bool) -> None:
    """A node of a cluster, which begins to tell who is here."""
    opened, plane = Mock(), Mock()
    presence: Any = None if alone else Mock()
    node_module._tell_others(opened, presence, plane)
    assert isinstance(plane.replays.lost, LostNodes) is not alone
    if presence is not None:
        presence.start.assert_called_once_with()


@pytest.mark.parametrize("alone", [True, False])
def test_who_reads_keys_again(alone: bool) -> None:
    """Where others may have made some; what both planes share is of what is open."""
    opened, keys, restrictions = a_node({}).opened, Mock(), Mock()
    opened.bus = MemoryBus() if alone else Mock()
    for name in ("store", "identity", "reviewer", "clock"):
        setattr(opened, name, Mock())
    made = _services(opened, Mock(), Mock(), keys, Mock(), restrictions)
    assert made.read_keys == (read_no_keys if alone else keys.read_again)
    assert (made.control, made.store, made.ring) == (opened.bus, opened.store, keys.ring)
    assert made.restrictions is restrictions


def test_where_rooms_publish() -> None:
    """A single node records before it shows; a bus of many nodes is the record itself."""
    other = Mock()
    assert isinstance(_line(MemoryBus(), Mock(), Mock()), RecordedLine)
    assert _line(other, Mock(), Mock()) is other


def test_a_change_of_identities_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes hear which account's identities have changed."""
    services, made = Mock(), Mock()
    monkeypatch.setattr(node_module, "iam_apis", made)
    assert _iam_apis(services, Mock(), {"us-east-1"}) is made.return_value
    _, changed, regions = made.call_args.args
    changed("123456789012")
    services.control.broadcast.assert_called_once_with(IdentitiesChanged("123456789012"))
    assert regions == {"us-east-1"}


@pytest.mark.parametrize("base_path", ["/chat", ""])
def test_the_base_path_of_the_application(base_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the settings', and none by default."""
    made = Mock()
    monkeypatch.setattr(node_module, "Application", made)
    node = a_node({"base_path": base_path} if base_path else {}, "127.0.0.1", certificate=None)
    node.opened.clock = Mock()
    assert application(node, Mock(spec=StoreCheck)) is made.return_value
    assert made.call_args.args[0] is node.control
    assert made.call_args.args[3] == base_path


STOOD_IN_FOR = (
    "watch_loop",
    "Hub",
    "RoomsCache",
    "Fanout",
    "_services",
    "_below",
    "_control_plane",
    "_tickers",
    "LoopLag",
    "_publishing",
    "_watching",
    "_states",
    "Node",
    "_shared_rates",
    "SharedPlaces",
    "watch_nodes",
    "Alone",
    "history_module",
    "held_module",
)
"""What of the module a test puts its own in the place of."""

WATCHED = (
    "watch",
    "watch_process",
    "watch_audit",
    "watch_store",
    "watch_history",
    "watch_bus",
    "watch_restrictions",
)
"""The same of `watched`."""


@pytest.mark.parametrize("present", [True, False])
async def test_what_a_node_starts_and_watches(
    present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed keys end connections, bus and identities run, and each figure has its owner."""
    all_ = Mock(
        history_module=Mock(keep_history=AsyncMock()), held_module=Mock(open_held=AsyncMock())
    )
    presence = all_.presence if present else None
    for module, names in ((node_module, STOOD_IN_FOR), (watched, WATCHED)):
        for name in names:
            monkeypatch.setattr(module, name, getattr(all_, name))
    all_._tickers.return_value, all_._shared_rates.return_value = ["always"], ["shared"]
    monkeypatch.setattr(messaging_plane, "build", all_.plane)
    for module, name in ((chat_logs, "start"), (restricting, "restrictions")):
        monkeypatch.setattr(module, name, AsyncMock(return_value=all_.restrictions))
    keys = Mock()
    monkeypatch.setattr(TokenKeys, "open", AsyncMock(return_value=keys))
    monkeypatch.setattr(node_module, "_presence", AsyncMock(return_value=presence))
    all_._states.return_value = states = all_.states if present else None
    opened, tasks = all_.opened, Mock()
    opened.bus.start = AsyncMock()
    if not present:
        opened.identity.audit_log = opened.statistics = opened.bus.figures = None
    made = await node_module.build_node(opened, tasks)
    assert made is all_.Node.return_value
    hub, plane, metrics = all_.Hub.return_value, all_.plane.return_value, opened.metrics
    keys.when_killed.assert_called_once_with(hub.revoke)
    opened.bus.start.assert_awaited_once_with()
    opened.identity.start.assert_called_once_with(tasks)
    services = all_._services.return_value
    control, bus = all_._control_plane.return_value, opened.bus
    all_.watch.assert_called_once_with(
        *(metrics, plane.hub, services.chat, services.rooms, control, bus.rings),
        plane.replays.resumes,
    )
    all_.watch_history.assert_called_once_with(
        metrics, plane.replays, all_.history_module.keep_history.return_value
    )
    all_.watch_restrictions.assert_called_once_with(metrics, services.restrictions)
    assert all_.SharedPlaces.mock_calls == (
        [call(opened.bus, presence and presence.node, plane.replays.resumes)] * present
    )
    all_.watch_process.assert_called_once_with(metrics, plane.memory, plane.descriptors)
    all_.watch_loop.assert_called_once_with(metrics, all_.LoopLag.return_value)
    audit, store = all_.watch_audit.mock_calls, all_.watch_store.mock_calls
    assert audit == [call(metrics, opened.identity.audit_log)] * present
    assert store == [call(metrics, opened.statistics)] * present
    assert all_.watch_bus.mock_calls == [call(metrics, opened.bus.figures)] * present
    assert all_.watch_nodes.mock_calls == [call(metrics, presence, states)] * present
    assert all_.presence.start.called is present
    assert all_.Hub.call_args.args[2] is (presence or all_.Alone.return_value)
    parts = all_.Node.call_args.kwargs
    assert (parts["releases"], parts["watching"]) == (
        all_.held_module.releases.return_value,
        all_._watching.return_value,
    )
    ticks = [getattr(each, "_tick", each) for each in parts["tickers"]]
    assert ticks == [
        *("always", "shared", parts["schedules"].tick),
        *(all_.restrictions.tick, all_.restrictions.look),
        all_.history_module.sweeper.return_value.tick,
        all_.held_module.releases.return_value.tick,
        *[all_.states.tick] * present,
    ]


def test_what_a_node_alone_lacks() -> None:
    """Nobody else changes what it knows, there are no other nodes, and none must know of more."""
    alone, among = Mock(), Mock()
    alone.bus.figures = None
    assert [_backstop_seconds(each) for each in (alone, among)] == [0, BACKSTOP_SECONDS]
    assert not _hears(alone.bus)
    for connected in (True, False):
        among.bus.figures.connected = connected
        assert _hears(among.bus) is connected
    assert _may_hold(None)()
    for holds in (True, False):
        assert _may_hold(Mock(all_hold=holds))() is holds


@pytest.mark.parametrize("number", [None, 2])
def test_what_a_node_tells_of_itself(monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    """In a cluster, at once, with the number of its process where there are several."""
    read, start = Mock(), Mock()
    monkeypatch.setattr(node_states, "reader", read)
    monkeypatch.setattr(node_states.NodeStates, "start", start)
    opened, presence, hub, tasks = Mock(), Mock(), Mock(), Mock()
    opened.parts.link = None if number is None else Mock(number=number)
    chat_log = Mock(spec=StreamedChatLog)
    assert _states(opened, presence, hub, chat_log, tasks) is not None
    read.assert_called_once_with(presence.node, opened.clock, hub, chat_log, number or 0)
    start.assert_called_once_with()
    assert _states(opened, None, hub, chat_log, tasks) is None
    assert _states(opened, presence, hub, Mock(), tasks) is None


def test_rates_are_shared_in_a_cluster() -> None:
    """What accounts do in rooms and ask of the API is told; a node alone tells nobody."""
    opened, services, control = Mock(), Mock(), Mock()
    (ticker,) = _shared_rates(opened, services, control)
    (call_of_chat,) = services.chat.rates.share.mock_calls
    (call_of_control,) = control.share_rates.mock_calls
    assert call_of_chat.args == call_of_control.args
    assert ticker._tick == call_of_chat.args[0].tick
    opened.shared = None
    assert _shared_rates(opened, Mock(), Mock()) == []


@pytest.mark.parametrize("alone", [True, False])
async def test_who_keeps_what_rooms_show(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """A node alone does, for its bus; in a cluster what is kept is read with the streams' help."""
    made, streamed = Mock(), Mock()
    made.return_value.start = AsyncMock()
    monkeypatch.setattr(history, "KeptHistory", made)
    monkeypatch.setattr(history, "StreamedHistory", streamed)
    opened, tasks = Mock(), Mock()
    if alone:
        opened.bus, opened.shared = Mock(spec=MemoryBus), None
    kept: Any = await history.keep_history(opened, tasks)
    catch_up = history.catching_up(opened, kept)
    if alone:
        assert kept is made.return_value
        made.return_value.start.assert_awaited_once_with(tasks)
        opened.bus.keep_with.assert_called_once_with(kept, tasks)
        assert catch_up == made.return_value.catch_up
    else:
        assert (kept, made.called) == (None, False)
        opened.shared.keep_with.assert_called_once_with(streamed.return_value.older)
        assert catch_up == streamed.return_value.catch_up


@pytest.mark.parametrize("alone", [True, False])
def test_of_several_nodes_one_removes_history(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """The one that has the lease."""
    made = Mock()
    monkeypatch.setattr(history, "HistorySweeper", made)
    opened, tasks = Mock(), Mock()
    if alone:
        opened.shared = None
    assert history.sweeper(opened, tasks) is made.return_value
    *first, turn = (*made.call_args.args, None)[:5]
    assert first == [opened.store.history, opened.store.rooms, opened.clock, tasks]
    if alone:
        assert turn is None
    else:
        assert turn() is opened.shared.journal.lease.return_value
        opened.shared.journal.lease.assert_called_once_with("history")


@pytest.mark.parametrize("alone", [True, False])
def test_how_old_what_is_known_may_be(alone: bool) -> None:
    """For ever, where nobody else changes it."""
    opened: Any = Mock(bus=Mock(figures=None if alone else Mock()))
    assert node_module._backstop_seconds(opened) == (0 if alone else 60)


@pytest.mark.parametrize("alone", [True, False])
async def test_who_counts_over_all_nodes(monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """A node of a cluster, with a key that all have."""
    made = Mock()
    monkeypatch.setattr(node_module, "Presence", made)
    opened = Mock(shared=None) if alone else Mock()
    opened.identity.vault.secret = AsyncMock(return_value=b"key")
    presence = await node_module._presence(opened)
    if alone:
        assert (presence, made.called) == (None, False)
    else:
        assert presence is made.return_value
        assert made.call_args.args[3:] == (b"key", opened.shared.behind)
        name, new = opened.identity.vault.secret.await_args.args
        assert (name, len(new(32) if callable(new) else new)) == ("presence-key", 32)


async def test_what_restricts_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """It meets connections from the start on, by a key of addresses that all nodes have."""
    made, hashes, opened, hub = Mock(), Mock(), Mock(), Mock()
    made.return_value.start = AsyncMock()
    monkeypatch.setattr(restricting, "Restrictions", made)
    monkeypatch.setattr(restricting, "AddressHashes", hashes)
    opened.identity.vault.secret = AsyncMock(return_value=b"key")
    found: Any = await restricting.restrictions(opened, hub, Mock(), 60)
    assert found is made.return_value
    assert made.call_args.args[4:] == (60, hashes.return_value)
    assert len(found.when_met.mock_calls) == 3
    assert found.when_met.mock_calls[0] == call(hub.enforce)
    found.start.assert_awaited_once_with()
    name, new = opened.identity.vault.secret.await_args.args
    assert (name, len(new)) == ("address-key", 32)
    hashes.assert_called_once_with(b"key")


@pytest.mark.parametrize("alone", [True, False])
async def test_where_addresses_and_names_of_users_are_looked_for(alone: bool) -> None:
    """Where they are connected: on this node, in a cluster on all of them."""
    opened: Any = SimpleNamespace(bus=Mock(), clock=Mock())
    presence: Any = None if alone else Mock()
    made = restricting.moderation(opened, Mock(), Mock(), presence, Mock())
    assert isinstance(made._addresses, AddressesHere if alone else AddressesOfNodes)
    named = own_services.user_names(opened, Mock(), presence, Mock())
    assert isinstance(named, NamesHere if alone else NamesOfNodes)


@pytest.mark.parametrize("number", [None, 3])
@pytest.mark.parametrize("has", ["both", "presence", "streams"])
def test_who_tells_what_the_nodes_are(
    monkeypatch: pytest.MonkeyPatch, has: str, number: int | None
) -> None:
    """A node that counts with others and reads streams; under the number of its process."""
    made, read = Mock(), Mock()
    monkeypatch.setattr(node_module, "NodeStates", made)
    monkeypatch.setattr(node_states, "reader", read)
    presence: Any = None if has == "streams" else Mock()
    chat_log: Any = Mock(spec=object if has == "presence" else StreamedChatLog)
    opened = Mock()
    opened.parts.link = None if number is None else Mock(number=number)
    states = node_module._states(opened, presence, Mock(), chat_log, Mock())
    assert (states is made.return_value) is (has == "both")
    if has == "both":
        assert made.call_args.args[3] is read.return_value
        assert read.call_args.args[0] is presence.node
        assert read.call_args.args[-1] == (number or 0)


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("states", [True, False])
async def test_who_answers_for_others(
    monkeypatch: pytest.MonkeyPatch, linked: bool, states: bool
) -> None:
    """Of several processes each for all; a node of a cluster tells the others what fails."""
    together, health = Mock(), Mock()
    health.return_value.report = AsyncMock(return_value=Mock(failing={"memory": "too much"}))
    monkeypatch.setattr(node_module, "Together", together)
    monkeypatch.setattr(node_module, "_health", health)
    monkeypatch.setattr(node_module, "_monitoring", Mock())
    node = a_node({}, "127.0.0.1", certificate=None, clock=Mock())
    node.opened.parts = Mock()
    node.opened.parts.link = link = Mock() if linked else None
    if not states:
        node.states = None
    made = application(node, Mock(spec=StoreCheck))
    assert made is node.opened.parts.application.return_value
    if states:
        assert await node.states.failing() == ["memory"]
    wanted = (link, health.return_value, node_module._monitoring.return_value)  # type: ignore[attr-defined]
    assert [each.args[:3] for each in together.mock_calls] == [wanted] * linked


@pytest.mark.parametrize("kind", ["JournaledChatLog", "StreamedChatLog"])
async def test_a_chat_log_begins_where_the_last_one_ended(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started with the settings' bounds, and changes that were cut short are finished.

    In a cluster only those are that nobody has touched for a minute, now and then.
    """
    made, finishing, opened = Mock(), AsyncMock(), Mock()
    made.return_value.start = AsyncMock()
    opened.settings = load({"journal_bytes": "1048576"}, {}, None)
    if kind == "JournaledChatLog":
        opened.shared = None
    monkeypatch.setattr(chat_logs, kind, made)
    monkeypatch.setattr(chat_logs, "finish_interrupted", finishing)
    chat_log = await chat_logs.start(opened, Mock(), Mock(nodes=3), Mock())
    assert chat_log is made.return_value
    assert made.call_args.kwargs["bounds"].size == 1_048_576
    wanted: tuple[object, ...] = (opened.store.logging_configurations, chat_log, opened.clock)
    if kind == "JournaledChatLog":
        chat_log.start.assert_awaited_once_with()
    else:
        assert not finishing.called
        assert made.call_args.args[0].nodes() == 3
        (finish,) = chat_log.start.await_args.args
        await finish()
        wanted = (*wanted, 60)
    finishing.assert_awaited_once_with(*wanted)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("present", [True, False])
async def test_who_watches_streams(
    monkeypatch: pytest.MonkeyPatch, shared: bool, present: bool
) -> None:
    """A node that has streams with others, and knows how many those are."""
    made, tasks = Mock(), Mock()
    monkeypatch.setattr(node_module, "StreamWatch", made)
    opened = Mock() if shared else Mock(shared=None)
    presence: Any = Mock(nodes=3) if present else None
    task = node_module._watching(opened, presence, tasks)
    if shared and present:
        assert task is tasks.create_task.return_value
        look, metrics, nodes = made.call_args.args
        assert (look, metrics, nodes()) == (opened.shared.look_at_streams, opened.metrics, 3)
        tasks.create_task.assert_called_once_with(made.return_value.run.return_value)
    else:
        assert task is None
        tasks.create_task.assert_not_called()
