"""Each table of `benchmarks/` at a tiny size: that it counts right, and no figure is far off.

No absolute time is asserted. Ratios have wide margins: the machine may be busy with other tests.
"""

import asyncio
import contextlib
import functools
import importlib.metadata
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast
from xml.parsers.expat import ParserCreate

import msgspec
import pytest
from packaging.utils import canonicalize_name
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks import (
    authorize,
    beyond,
    capacity,
    chatroom,
    cluster,
    cluster_peers,
    connect,
    control,
    cores,
    encrypted,
    fanout,
    idle,
    memory,
    metrics,
    nodes,
    over_nats,
    peers,
    price,
    redeem,
    review,
    simulation,
    storm,
    verify,
)
from benchmarks.bare import BarePython
from benchmarks.calibration import LEAST, MOVED, PAUSE_SECONDS, Calibration, watching
from benchmarks.client import PAYLOAD_BYTES, Load, LoadFailed, Outcome, Target, run
from benchmarks.fanout import OneByOne
from benchmarks.plot import Bar, plot
from benchmarks.processes import (
    ROOT,
    SERVER_CORE,
    NotHere,
    build,
    cpu_seconds,
    environment,
    start_server,
)
from benchmarks.reference import Reference
from benchmarks.report import README, Table, publish, write
from benchmarks.runs import Plan, running
from benchmarks.series import Series
from benchmarks.service import Greenroom
from benchmarks.simulated import Spread
from greenroom.model.principal import AccessRequest
from greenroom.model.principal import Outcome as Decided
from greenroom.policies.decision import CompiledPolicies
from scripts.servers.nats_server import NatsServer
from tests.running.copies import Copy
from tests.running.service import COPIES, MODULE
from tests.running.service import environment as of_a_service

BENCH = ROOT / "scripts" / "bench"
LOCKED = re.compile(r"^([a-z0-9.-]+)(?:\[.*\])?==", re.MULTILINE)
FRAME_BYTES = PAYLOAD_BYTES + 4
SERVERS = {Reference.name, BarePython.name, Greenroom.name}


@pytest.fixture(scope="module", autouse=True)
def _built() -> Iterator[None]:
    """Build the C programs. Without a compiler the tests are skipped; in CI they fail."""
    if shutil.which("cc") is None or shutil.which("make") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs make and a C compiler")
        pytest.skip("needs make and a C compiler")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    build()
    with pytest.MonkeyPatch.context() as patched:
        # Services start as they do where they are installed: without what only the tests brought.
        for name in ("PYTHONPATH", "PYTHONPYCACHEPREFIX"):
            patched.setenv(name, of_a_service()[name])
        patched.setattr("benchmarks.service.start_server", _start_server)
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _start_server(
    command: Sequence[str | Path], log: Path, variables: Mapping[str, str]
) -> "Copy | subprocess.Popen[bytes]":
    """Start one as `benchmarks` does; `greenroom` as a copy of what has imported it."""
    (_, *words), given = map(str, command), environment(variables)
    if tuple(words[:2]) != MODULE or not COPIES.are_as_started(given):
        return start_server(command, log, variables)
    with Path(os.devnull).open("rb") as nothing, log.open("wb") as output:
        streams = (nothing.fileno(), output.fileno(), output.fileno())
        copy = COPIES.make(words[2:], given, streams, directory=ROOT)
    os.setpgid(copy.pid, copy.pid)
    os.sched_setaffinity(copy.pid, {SERVER_CORE})
    return copy


@pytest.fixture
def tiny(tmp_path: Path) -> Plan:
    """Return a plan of one short round with few connections."""
    return Plan(rounds=1, seconds=0.2, scale=0.01, attempts=1, results=tmp_path / "results")


def test_fanout(tiny: Plan) -> None:
    """Everybody gets every message once and in order, in one room and in many, for a like cost."""
    plan = msgspec.structs.replace(tiny, only="bursts of 10, 50|rooms|sender")
    measured = fanout.measure(plan)
    for case in fanout.cases(plan):
        expected = SERVERS | ({OneByOne.name} if case.is_for(OneByOne.name) else set())
        assert measured.outcomes[case.name].keys() == expected
        for outcomes in measured.outcomes[case.name].values():
            _assert_exact(outcomes[0])
    bursts = "bursts of 10, 50 connections"
    ours, reference = (
        measured.series(bursts, name, lambda outcome: outcome.cpu).median
        for name in (Greenroom.name, Reference.name)
    )
    assert ours < 3 * reference
    _assert_written(fanout.table(plan, measured), plan, measured.outcomes)


def _assert_exact(outcome: Outcome) -> None:
    assert outcome.total_published > 0
    members = outcome.connections // outcome.rooms
    assert outcome.total_delivered == outcome.total_published * members
    assert outcome.other == 0
    assert outcome.frame_bytes == pytest.approx(FRAME_BYTES, abs=6)
    assert outcome.server_cpu > 0


def test_connect(tiny: Plan) -> None:
    """A connection costs more than a bare handshake, and not a hundred times as much."""
    measured = connect.measure(tiny)
    ((case, servers),) = measured.outcomes.items()
    assert servers.keys() == SERVERS
    ours, bare = (
        measured.series(case, name, lambda outcome: outcome.connect).median
        for name in (Greenroom.name, Reference.name)
    )
    assert bare < ours < 100 * bare
    _assert_written(connect.table(tiny, measured), tiny, measured.outcomes)


@pytest.mark.skipif(
    not Path("/usr/include/openssl/ssl.h").exists(), reason="needs OpenSSL's headers"
)
def test_encrypted(tiny: Plan) -> None:
    """Over TLS everything arrives as well, with and without what joins and what sends in bulk."""
    plan = msgspec.structs.replace(tiny, only="^bursts of 10, 100 |^connecting")
    measured = encrypted.measure(plan)
    for servers in measured.outcomes.values():
        assert {Greenroom.name, encrypted.Encrypted.name, encrypted.OpenSsl.name} <= servers.keys()
    _assert_written(encrypted.table(plan, measured), plan, measured.outcomes)


@pytest.mark.skipif(
    not Path("/usr/include/openssl/ssl.h").exists(), reason="needs OpenSSL's headers"
)
def test_storm(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody gets in, and who chats meanwhile is delayed, not lost."""
    monkeypatch.setattr(storm, "CHAT_SECONDS", 0.3)
    monkeypatch.setattr(storm, "SERVERS", (storm.Ecdsa,))
    met, calibration = storm.measure(tiny)
    ((one,),) = met.values()
    assert one.storm.connections == 50
    assert one.during.delivered > 0
    _assert_written(storm.table(tiny, met, calibration), tiny, met)


def test_price(tiny: Plan) -> None:
    """Whatever is on, everybody gets everything, and what is shown is the difference."""
    plan = msgspec.structs.replace(tiny, only="rooms of", seconds=0.6)
    measured = price.measure(plan)
    (servers,) = measured.outcomes.values()
    assert {price.UNCOUNTED, price.PLAIN, price.ALL} < servers.keys()
    for (outcome,) in servers.values():
        assert outcome.delivered > 0
    _assert_written(price.table(plan, measured), plan, measured.outcomes)


def test_beyond(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in use everybody gets everything, and what is shown is the difference."""
    services = beyond._services(tiny)[-2:]
    monkeypatch.setattr(beyond, "_services", lambda plan: services)
    plan = msgspec.structs.replace(tiny, only="rooms of")
    measured = beyond.measure(plan)
    (found,) = measured.outcomes.values()
    assert found.keys() == {"writers and duplicates", "others restricted"}
    measured.outcomes = {"rooms": {beyond.NOTHING: next(iter(found.values())), **found}}
    _assert_written(beyond.table(measured), plan, measured.outcomes)


def test_beyond_step_by_step(tiny: Plan) -> None:
    """Each step has its cost and its bound; a ban ends what it is to end."""
    plan = msgspec.structs.replace(tiny, only=beyond.STEP)
    steps = beyond.measure_steps(plan)
    assert steps.found.keys() > beyond.STEPS.keys()
    for step in (beyond.ENDED, beyond.TOLD):
        assert all(milliseconds > 0 for milliseconds in steps.found[step])
    _assert_written(beyond.steps_table(plan, steps), plan, steps.found)


def test_memory(tiny: Plan) -> None:
    """Idle connections keep some memory, and not as much as objects of a library would."""
    plan = msgspec.structs.replace(tiny, only="100 connections")
    measured = memory.measure(plan)
    outcome = measured.outcomes["100 connections"][Greenroom.name][0]
    assert 0 < memory.per_connection(outcome) < 64
    _assert_written(memory.table(measured), plan, measured.outcomes)


def test_idle(tiny: Plan) -> None:
    """Every idle connection is pinged, answers and stays."""
    plan = msgspec.structs.replace(tiny, seconds=2, only="200")
    measured = idle.measure(plan, ping_seconds=1)
    outcome = measured.outcomes["200"][Greenroom.name][0]
    assert outcome.pings >= outcome.connections
    assert 0 < outcome.hold_cpu < outcome.hold_seconds / 2
    _assert_written(idle.table(plan, measured), plan, measured.outcomes)


def test_authorize_looks_at_every_statement() -> None:
    """The measured policy has 50 statements for the action, of which only the last matches."""
    request = AccessRequest(
        f"ivschat:{authorize.OPERATION}",
        str(authorize.PARAMETERS["roomIdentifier"]),
        {"aws:username": "backend", "aws:principaltag/team": "chat"},
    )
    permissions = authorize.caller().permissions
    assert isinstance(permissions, CompiledPolicies)
    decision = permissions.explain(request)
    assert decision.outcome is Decided.ALLOW
    assert [found.index for found in decision.statements] == [authorize.STATEMENTS - 1]


def test_control(tiny: Plan) -> None:
    """Every signed request is answered with success."""
    calibration = Calibration(tiny.attempts)
    answers = control.measure(tiny, calibration)
    by_users = {name + control.BY_A_USER for name in control.BY_USERS}
    assert answers.keys() == {*control.OPERATIONS, *by_users, control.BARE, authorize.NAME}
    for (answered,) in answers.values():
        assert answered.answered > 0
        assert answered.refused == 0
    _assert_written(control.table(answers, calibration), tiny, answers)


def test_redeem(tiny: Plan) -> None:
    """Each token is used up once; those that come together cost less than one alone."""
    outcomes = redeem.measure(tiny)
    assert len(outcomes) == len(redeem.UNDER_WAY)
    ((alone,), *_, (together,)) = outcomes.values()
    assert 0 < together.node < alone.node
    assert together.database > 0
    _assert_written(redeem.table(outcomes), tiny, outcomes)


def test_chatroom(tiny: Plan) -> None:
    """Every room sees every message; those that are read together cost less than one alone."""
    outcomes = chatroom.measure(tiny)
    assert outcomes.keys() == {chatroom.TOGETHER, chatroom.APART, chatroom.MANY}
    ((together,), (apart,), (many,)) = outcomes.values()
    assert 0 < together.cpu < apart.cpu
    assert many.received > 0
    assert many.connect_ms > 0
    _assert_written(chatroom.table(outcomes), tiny, outcomes)


def test_the_cpu_of_a_process() -> None:
    """It is the kernel's own account, finer than the ticks of /proc, of other processes as well."""
    before, own = cpu_seconds(os.getpid()), time.process_time()
    for _ in range(20_000):
        pass
    after = cpu_seconds(os.getpid())
    assert 0 <= own - before < after - before < 1
    assert cpu_seconds(os.getppid()) > 0


def test_over_nats(tiny: Plan) -> None:
    """Every message arrives in its order, whoever published it; hearing costs less than saying."""
    plan, calibration = msgspec.structs.replace(tiny, only="R1"), Calibration(tiny.attempts)
    outcomes = over_nats.measure(plan, calibration)
    ((own,), (others,), (alone,), (beside,)) = outcomes.values()
    assert 0 < others.node < own.node
    assert own.servers > 0
    assert min(alone.node, beside.node) > 0
    assert beside.rate < 2 * over_nats.RATE
    _assert_written(over_nats.table(outcomes, calibration), tiny, outcomes)


@contextlib.contextmanager
def _small_stage(directory: Path) -> Iterator[cluster.Stage]:
    """Run two nodes on one nats-server in the place of all clusters."""
    directory.mkdir()
    with (
        running([cluster.Alone]) as (alone,),
        nodes.database() as server,
        nodes.cluster("R1", server, directory, nodes=2, replicas=1) as two,
    ):
        yield cluster.Stage(cast(cluster.Alone, alone), two, two, two.of(cluster.SYNC, 1))


def test_capacity_is_what_the_results_say() -> None:
    """The page has the tables that the measured costs give, and those add up."""
    page = capacity.PAGE.read_text()
    assert capacity.filled(page) == page
    cost = capacity.costs()
    for scenario in capacity.SCENARIOS:
        best = capacity.fewest(scenario, cost)
        assert best.load <= capacity.FULL
        of_a_node = scenario.viewers / best.clusters / best.nodes
        assert of_a_node <= capacity.MOST_CONNECTIONS
        written = of_a_node * scenario.rate * min(cost.delivery, cost.joined) / 1e6
        assert written < best.load < written + best.hearing + best.telling + 0.3


def test_each_table_needs_only_what_is_installed_for_it() -> None:
    """On a fresh machine, `scripts/bench` installs no more for a table of one node than a node's.

    What writes a table also writes the page that is reckoned from all tables, so it counts as well.
    """
    installed = set(LOCKED.findall((ROOT / "requirements" / "runtime.txt").read_text()))
    missing = [
        module
        for module, distributions in importlib.metadata.packages_distributions().items()
        if "greenroom" not in distributions
        and installed.isdisjoint(map(canonicalize_name, distributions))
    ]
    with_more = re.search(r"case \$name in (.*)\) scripts/install cluster", BENCH.read_text())
    assert with_more is not None
    names = set(re.findall(r"scripts/bench (\w+)", (ROOT / "Makefile").read_text()))
    alone = names - set(with_more[1].split(" | "))
    assert {"fanout", "connect", "storm"} <= alone
    modules = sorted(alone)
    code = f"""import importlib, sys
sys.modules.update(dict.fromkeys({missing}))
for module in {modules}: importlib.import_module("benchmarks." + module)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_simulated_nodes(tmp_path: Path, nats_r1: list[NatsServer]) -> None:
    """A message is heard where a room's viewers are, and each other node is told of each room."""
    spread = Spread(3, 6, 12)
    there = simulation.placed(spread)
    told, heard = simulation.telling(spread), simulation.heard_by(nats_r1, spread, 0.2)
    simulation.keep(tmp_path, [told], [heard])
    assert capacity.simulated(tmp_path) == ([told], [heard])
    assert told.rooms == sum(map(len, there)) / 3
    assert told.news == 2 * told.rooms
    assert 1 < heard.nodes <= 3
    assert heard.servers > 0
    assert capacity.on(1, 5) == 1
    assert round(capacity.on(8, 8), 2) == 5.25


def test_cluster(tiny: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Viewers of two nodes get every message once and in order, and the account is of all servers.

    A peer that is not here is left out, and the table says why.
    """
    monkeypatch.setattr(cluster_peers, "RECIPES", cluster_peers.RECIPES[:1])
    monkeypatch.setattr(cluster_peers, "redis_program", _not_here)
    plan = msgspec.structs.replace(tiny, only="one at a time|echo")
    starting = _small_stage(tmp_path / "servers")
    parts = {
        table.name: (table, raw)
        for table, raw in cluster.measure(plan, Calibration(1), starting, (1, 2))
    }
    assert list(parts) == ["cluster-spread", "cluster-echo", "cluster-peers"]
    assert "is left out: needs a peer" in "".join(parts["cluster-peers"][0].notes)
    for table, raw in parts.values():
        assert isinstance(raw, dict)
        for servers in raw.values():
            for (outcome,) in servers.values():
                assert outcome.total_delivered == outcome.total_published * outcome.connections
                assert sum(outcome.server_cpus) == pytest.approx(outcome.server_cpu, rel=0.01)
        _assert_written(table, tiny, raw)


def _not_here() -> Path:
    raise NotHere("needs a peer")


def test_cores(tiny: Plan) -> None:
    """Both services deliver every message once and in order; the account has each process."""
    plan = msgspec.structs.replace(tiny, only="one at a time, 10 ")
    measured = cores.measure(plan)
    (servers,) = measured.outcomes.values()
    assert [len(outcome.server_cpus) for (outcome,) in servers.values()] == [1, 2]
    _assert_written(cores.table(plan, measured), plan, measured.outcomes)


def test_metrics(tiny: Plan) -> None:
    """The service that counts nothing delivers all the same, and counts nothing."""
    measured = metrics.measure(tiny)
    assert measured.outcomes.keys() == metrics.cases(tiny).keys()
    for servers in measured.outcomes.values():
        assert servers.keys() == {Greenroom.name, metrics.Uncounted.name}
        for (outcome,) in servers.values():
            _assert_exact(outcome)
    _assert_written(metrics.table(tiny, measured), tiny, measured.outcomes)


@pytest.mark.parametrize(("kind", "counts"), [(Greenroom, True), (metrics.Uncounted, False)])
def test_only_one_of_the_compared_counts(kind: type[Greenroom], counts: bool, tiny: Plan) -> None:
    """What is compared differs in its counting: else the table would say that it is free."""
    with running([kind]) as (server,):
        run(server, Load(connections=10, seconds=tiny.seconds, warm_up=0))
        url = f"http://127.0.0.1:{cast(Greenroom, server).port}/metrics"
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
    assert ("\nivschat_messaging_deliveries_total 0.0\n" in text) is not counts
    assert ("greenroom_fanout_seconds_count 0.0" in text) is not counts


@pytest.mark.parametrize("rooms", [1, 5])
def test_a_client_that_slept_through_it_all(rooms: int) -> None:
    """However short, a measurement has a message that was published within it."""
    with running([Greenroom]) as (server,):
        for _ in range(3):
            load = Load(connections=10, rooms=rooms, window=rooms, seconds=1e-6, warm_up=0.01)
            outcome = run(server, load)
            assert outcome.total_delivered == outcome.total_published * (10 // rooms)
            assert (outcome.frame_bytes > 0, outcome.server_cpu > 0) == (True, True)


def test_review(tiny: Plan) -> None:
    """Beside a handler that hangs every message arrives once and in order; reviews go on."""
    plan = msgspec.structs.replace(tiny, seconds=1)
    calibration = Calibration(plan.attempts)
    runs = review.measure(plan, calibration)
    assert runs.keys() == review.FUNCTIONS.keys()
    for case, (done,) in runs.items():
        _assert_exact(done.outcome)
        assert (done.reviewed > 0) is (case != review.ALONE)
    _assert_written(review.table(runs, calibration), plan, runs)


def test_verify(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios that the README names are measured, and compared with the numbers that it has."""
    few = list(verify.FANOUT.items())[:2]
    monkeypatch.setattr(verify, "FANOUT", dict(few))
    claims = list(verify.check_fanout(tiny, verify.README.read_text()))
    assert len({claim.claim for claim in claims}) == len(claims) == 2 * (len(few) + 1)
    for claim in claims:
        assert claim.published > 0
        # Of a run this short a server may have used less than the kernel's clock tells.
        assert 0 <= claim.measured.median < math.inf


@pytest.mark.parametrize("claim", [*verify.FANOUT, verify.WITHOUT, verify.CONNECT])
def test_the_readme_has_every_ratio(claim: str) -> None:
    """What is verified stands in the README."""
    assert all(ratio > 0 for ratio in verify.published_ratios(verify.README.read_text(), claim))


def test_verify_tells_what_does_not_hold() -> None:
    """A claim holds within the margin; above it the machine is to blame only if it moved."""
    near, far = Series([1.1, 1.15, 1.3]), Series([1.1, 1.3, 1.4])
    assert verify.Checked("a", 1.0, near, disturbed=True).verdict == verify.HELD
    assert verify.Checked("a", 1.0, far, disturbed=True).verdict == verify.DISTURBED
    assert verify.Checked("a", 1.0, far, disturbed=False).verdict == verify.FAILED
    assert verify.code([verify.HELD]) == 0
    assert verify.code([verify.HELD, verify.DISTURBED]) == 2
    assert verify.code([verify.FAILED, verify.DISTURBED]) == 1


def test_verify_reads_the_numbers_of_the_readme() -> None:
    """A row that is missing or says something else is an error, not a claim that holds."""
    assert verify.published_ratios("x\n| a room | 0.94 | 1.2 |\n", "a room") == [0.94, 1.2]
    with pytest.raises(ValueError, match="no row of ratios"):
        verify.published_ratios("| a room | about one | 1.2 |", "a room")


def test_peers(tiny: Plan) -> None:
    """A peer is started and measured as the reference and the service are."""
    plan = msgspec.structs.replace(tiny, only=r"websockets\.broadcast")
    field = peers.field(plan)
    assert field.starts.keys() == SERVERS | {"websockets.broadcast"}
    measured = peers.measure(plan, field)
    for servers in measured.outcomes.values():
        for (outcome,) in servers.values():
            _assert_exact(outcome)
    _assert_written(peers.table(plan, field, measured), plan, measured.outcomes)


def test_a_missing_peer_is_named(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not installed is left out, and the table says why."""
    monkeypatch.setattr(peers, "PEERS", tiny.results)
    field = peers.field(msgspec.structs.replace(tiny, only="Bun"))
    assert field.starts.keys() == SERVERS
    assert field.missing == {"Bun": "needs bun: `npm ci` in benchmarks/peers"}


def _assert_written(table: Table, plan: Plan, raw: object) -> None:
    write(table, plan, raw)
    for row in table.rows:
        assert len(row) == len(table.columns)
    markdown = (plan.results / f"{table.name}.md").read_text()
    assert markdown.startswith(f"### {table.title}\n")
    assert f"`make bench-{table.command or table.name}`" in markdown
    values = json.loads((plan.results / f"{table.name}.json").read_text())
    assert values["raw"]
    assert f"<title>{table.title}</title>" in (plan.results / f"{table.name}.svg").read_text()


# ---------------------------------------------------------- what the load client must notice

Fault = Callable[[list[str]], list[str]]
FAULTS: dict[str, Fault] = {
    "none": lambda messages: messages,
    "lost": lambda messages: messages[:3] + messages[4:],
    "repeated": lambda messages: [*messages[:3], *messages[2:]],
    "swapped": lambda messages: [messages[1], messages[0], *messages[2:]],
    "lost at the end": lambda messages: messages[:-1],
}


class Faulty:
    """A server that broadcasts ten messages, with a fault, once it has all of them."""

    name = "faulty"

    def __init__(self, port: int) -> None:
        self._port = port

    def target(self, load: Load) -> Target:
        """Return its address."""
        return Target(pid=os.getpid(), url=f"ws://127.0.0.1:{self._port}/")

    def stop(self) -> None:
        """Do nothing: the test ends it."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_load_client_notices(fault: str) -> None:
    """A message that is lost, repeated or out of order fails the run; without a fault it passes."""
    everybody: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        everybody.add(connection)
        async for messages in _tens(connection):
            for message in FAULTS[fault](messages):
                broadcast(everybody, message)

    async with serve(handle, "127.0.0.1", 0) as server:
        (listening,) = server.sockets
        faulty = Faulty(listening.getsockname()[1])
        # Ten messages at the start of a second, and none after it.
        load = Load(connections=3, rate=1, burst=10, seconds=0.1, warm_up=0.1, patience=0.3)
        running = asyncio.to_thread(functools.partial(run, faulty, load))
        if fault == "none":
            assert (await running).total_delivered == 30
        else:
            with pytest.raises(LoadFailed, match="messages"):
                await running


async def _tens(connection: ServerConnection) -> AsyncIterator[list[str]]:
    messages: list[str] = []
    async for message in connection:
        messages.append(str(message))
        if len(messages) == 10:
            yield messages
            messages = []


# --------------------------------------------------------------------------------- the rest


def test_series_compare_runs_of_the_same_round() -> None:
    """A ratio is that of two runs of one round: its median is not the ratio of the medians."""
    ours, base = Series([1.0, 9.0, 20.0]), Series([1.0, 3.0, 10.0])
    assert ours.over(base).values == [1.0, 3.0, 2.0]
    assert ours.over(base).text() == "2.00 (1.00-3.00)"
    assert ours.minus(base).values == [0.0, 6.0, 10.0]


class Machine:
    """A machine whose speed is told for each turn; its turns return how many there were before."""

    def __init__(self, *speeds: float) -> None:
        self._speeds = iter(speeds)
        self._taken = iter(range(100))
        self._now = 1.0
        self.calibration = Calibration(3, lambda: self._now)

    def turn(self) -> int:
        """Take a turn, at the next speed."""
        self._now = next(self._speeds)
        return next(self._taken)


def test_turns_are_taken_again_when_the_speed_moves() -> None:
    """Turns at different speeds are measured again, with everything beside them."""
    machine = Machine(10.0, 10 * MOVED + 0.1, 10.0, 11.0)
    assert machine.calibration.turns("case", [machine.turn] * 2) == [2, 3]
    assert machine.calibration.shown("case") == "case"
    assert not machine.calibration.is_disturbed("case")
    assert "0 of 1 rounds" in machine.calibration.note()


def test_what_is_never_steady_is_marked() -> None:
    """After the last attempt the figures are kept, and the case says that it was disturbed."""
    machine = Machine(*(2.0**number for number in range(100)))
    for last in ([4, 5], [10, 11]):
        assert machine.calibration.turns("case", [machine.turn] * 2) == last
    assert machine.calibration.shown("case") == "case (disturbed: 2 of 2)"
    assert machine.calibration.is_disturbed("case")
    assert machine.calibration.shown("another") == "another"


def test_a_machine_that_slows_down_in_a_turn() -> None:
    """The halves of a turn are compared, too; a single slow piece counts for nothing."""
    for slow, disturbed in (([1], False), ([1, 2], True)):
        pieces = iter([2.0 if number in slow else 1.0 for number in range(LEAST)])
        calibration = Calibration(1, functools.partial(next, pieces, 1.0))
        calibration.turns("case", [dict])
        assert calibration.is_disturbed("case") is disturbed


def test_the_machine_is_looked_at_while_a_turn_lasts() -> None:
    """There are pieces all along, and at least a few of the shortest turn."""
    for least in (LEAST, 10):
        with watching() as taken:
            # How long that takes is the machine's affair.
            while least > LEAST and len(taken) < least:
                time.sleep(PAUSE_SECONDS)
        assert len(taken) >= least
        assert all(taken)


def test_a_plot_is_svg_that_escapes_names() -> None:
    """Names of bars are text, whatever they hold."""
    svg = plot("a < b", "µs & more", [Bar("<x>", "x", Series([1.0, 2.0]))])
    seen: list[str] = []
    parser = ParserCreate()
    parser.CharacterDataHandler = seen.append
    parser.Parse(svg, True)
    assert {"<", "x", ">"} <= set(seen)
    assert not svg.count("<x>")


TABLES = [
    name
    for name in re.findall(r"^bench-(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if name not in {"verify", "capacity", "simulation"}  # they compare and reckon
]
TABLES += ["cluster-spread", "cluster-echo", "cluster-peers"]  # further ones of bench-cluster
TABLES += ["beyond-steps"]  # the second one of bench-beyond


@pytest.mark.parametrize("name", TABLES)
def test_the_readme_has_a_place_for_each_table(name: str, tmp_path: Path) -> None:
    """A whole measurement puts its table where the README shows it, and changes nothing else."""
    readme = tmp_path / "README.md"
    text = README.read_text()
    readme.write_text(text)
    publish(readme, name, "### New\n")
    before, marker, rest = text.partition(f"<!-- table: {name} -->\n")
    after = rest[rest.index("<!-- end -->") :]
    shown = f"\n### New\n\n![{name}](results/{name}.svg)\n\n"
    assert readme.read_text() == before + marker + shown + after


SLOW_COMPILER = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo "$2" >> "$(dirname "$2")/compiled"
printf '#!/bin/sh\\n' > "$2"; sleep 0.05; chmod +x "$2"
"""


def test_programs_are_built_once_and_appear_whole(tmp_path: Path) -> None:
    """Several workers that build at once build each program once, and none runs half of one.

    A program that is executed while the compiler writes it fails with ETXTBSY.
    """
    compiler = tmp_path / "cc"
    compiler.write_text(SLOW_COMPILER)
    compiler.chmod(0o755)
    variables = {**os.environ, "CC": str(compiler), "MAKEFLAGS": f"OUT={tmp_path / 'out'}"}
    command = [sys.executable, "-c", "from benchmarks.processes import build; build()"]
    workers = [subprocess.Popen(command, cwd=ROOT, env=variables) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    programs = {"load", "replay", "reference"}
    compiled = (tmp_path / "out" / "compiled").read_text().split()
    assert len(compiled) == len(programs), compiled
    written = {Path(path).name for path in compiled}
    assert not written & programs, "written under another name, then renamed"
    assert {path.name for path in (tmp_path / "out").iterdir()} == programs | {"compiled"}


def test_each_table_says_of_how_many_rounds_it_is() -> None:
    """Measurements differ in their rounds, so only the tables name them."""
    text = README.read_text()
    for name in TABLES:
        table = text.partition(f"<!-- table: {name} -->")[2].partition("<!-- end -->")[0]
        results = README.parent / "results" / f"{name}.json"
        if not results.exists():
            assert "has no figures here yet" in table, name
            continue
        plan = json.loads(results.read_text())["plan"]
        assert f"medians of {plan['rounds']} runs" in table, name
    assert not re.search(r"median of (?!the )\w+ rounds", text)


def test_the_projects_page_says_which_connects_it_counts() -> None:
    """Two measurements have a cost of connecting: of how many connections stands beside each."""
    text = (ROOT / "README.md").read_text()
    peers = (README.parent / "results" / "peers.md").read_text()
    opened = (README.parent / "results" / "connect.md").read_text()
    (few,) = re.findall(r"^\| Greenroom \|.*\| (\d+) \| \d+% \|$", peers, re.MULTILINE)
    assert "per connect, of 1,000 |" in text
    assert f"| **{few}** |" in text
    (many,) = re.findall(r"^\| Greenroom \| ([\d.]+) ", opened, re.MULTILINE)
    assert f"| accepting a connection, of 5,000, all in | {float(many):.0f} µs" in text


def test_configuration_of_the_caller_does_not_reach_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A setting in the environment would change what is measured."""
    monkeypatch.setenv("GREENROOM_LOG_LEVEL", "debug")
    assert "GREENROOM_LOG_LEVEL" not in environment({})


def test_javascript_lock_of_the_peers_carries_no_address() -> None:
    """The packages of the peers are locked by version and hash alone."""
    lock = json.loads((ROOT / "benchmarks" / "peers" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha"), name
