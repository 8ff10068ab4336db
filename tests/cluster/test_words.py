"""What an operator sees when a cluster loses a part or changes: the words of the how-to pages.

Each failure is produced; what the log, the metrics and `greenroom cluster status` say then stands
in the page about it, in the same words. So do the alerts, which exist.
"""

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from structlog.testing import capture_logs

from greenroom.bus.figures import StreamsFound
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.server.stream_watch import StreamWatch
from greenroom.telemetry.metrics import Metrics
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster
from tests.running.buses import SMALL
from tests.running.buses import until as until_it_holds
from tests.running.clock import MovedClock
from tests.running.cluster import Place, place
from tests.running.said import entries, samples, until
from tests.running.service import Service

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
PAGES = (
    *("upgrade-a-cluster", "when-a-nats-server-is-lost", "when-postgresql-is-lost"),
    *("when-a-clock-is-wrong", "grow-and-shrink-a-cluster"),
)


def page(name: str) -> str:
    """Return a page's text, as one line."""
    return " ".join((HOWTO / f"{name}.md").read_text().split())


@pytest.mark.parametrize("name", PAGES)
def test_alerts_of_a_page_exist(name: str) -> None:
    """So do its figures, and each has an alert or says when it is well again."""
    text = page(name)
    named = set(re.findall(r"\bGreenroom[A-Z][A-Za-z]+", text))
    assert named <= {rule["alert"] for rule in ALERTS}
    figures = set(re.findall(r"`(greenroom_[a-z_]+)`", text))
    assert figures <= {each.name for each in Metrics().table}


@pytest.mark.parametrize("name", PAGES)
def test_log_lines_of_a_page_are_written(name: str) -> None:
    """Each line that it quotes is written somewhere."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    source = re.sub(r'"\n\s+"', "", source)
    rows = re.findall(r"\| log of [^|]*\| ([^|]+)\|", page(name))
    lines = [line for row in rows for line in re.findall(r"`([^`]+)`", row)]
    for line in lines:
        # What comes behind a colon may be put together.
        assert f'"{line.partition(": ")[0]}' in source, line
        assert line.partition(": ")[2] in source, line


@pytest.fixture
def shared(tmp_path: Path, database: str, bus_url: str) -> Place:
    """Give the place of a cluster on servers of the session."""
    return place(tmp_path, database, bus_url)


def status(shared: Place, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Return the exit code of `greenroom cluster status`, and what it prints."""
    monkeypatch.setattr("greenroom.telemetry.logs.configure", lambda *_: None)
    ended = CliRunner().invoke(main, ["cluster", "status"], env=shared.variables())
    return ended.exit_code, ended.stdout


def logged(service: Service, event: str) -> Callable[[], Sequence[object]]:
    """Return what looks for a line of the log."""
    return lambda: entries(service, event)


def test_a_clock_that_is_wrong_and_nodes_that_come_and_go(
    shared: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log, the figure, the status with its exit code; and the refusal of a start."""
    clock, text = MovedClock(tmp_path / "clock"), page("when-a-clock-is-wrong")
    with _running(shared.node("node-1")) as one:
        with _running(_with(shared, "node-2", clock)) as two:
            clock.move(60_000_000_000)
            until(logged(one, "clocks of nodes differ"), "it is noticed")
            assert samples(one)["greenroom_clock_skew_seconds"] > 2
            code, said = status(shared, monkeypatch)
            assert code == ExitCode.UNWELL
            assert f"({two.process.pid})" in said
            assert re.search(
                r"clocks: node \S+ \d+ is (59\.9|60\.\d) s ahead of this machine", said
            )
            clock.move(0)
            until(logged(one, "clocks of nodes agree again"), "it is over")
            assert two.stop() == 0
        clock.move(60_000_000_000)
        with pytest.raises(RuntimeError, match=r"the clock of this machine is 60 s ahead of Post"):
            _with(shared, "node-2", clock)
        until(logged(one, "another node has left"), "it is gone")
        (there,) = entries(one, "another node is there")
        assert there["name"] == f"{socket.gethostname()} ({two.process.pid})"
        with _running(shared.node("node-1", "--takeover")) as after:
            assert one.process.wait(20) == 0
            taken = [
                *((one, each) for each in ("takeover begins", "handing over", "taken over")),
                *((after, each) for each in ("takes over", "ready")),
            ]
            assert all(entries(service, event) for service, event in taken)
    for line in ("clocks of nodes differ", "clocks of nodes agree again", "is 60.0 s ahead of"):
        assert line in text
    assert "`the clock of this machine is 60 s ahead of PostgreSQL's`" in text
    for line in ("another node is there", "another node has left"):
        assert line in page("grow-and-shrink-a-cluster")
    for line in (*(event for _, event in taken), "another node has left"):
        assert f"`{line}`" in page("upgrade-a-cluster")


def _with(shared: Place, name: str, clock: MovedClock) -> Service:
    """Start a node whose clock is moved."""
    with pytest.MonkeyPatch.context() as environment:
        for variable, value in clock.variables.items():
            environment.setenv(variable, value)
        return shared.node(name)


class _running:  # noqa: N801 - used as a function
    """Kills a service in the end."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> Service:
        return self._service

    def __exit__(self, *_: object) -> None:
        self._service.kill()


# ------------------------------------------------------------------------ a NATS server


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[NatsServer]]:
    """Give three servers that the test may kill."""
    with nats_cluster(tmp_path / "nats") as servers:
        yield servers


@pytest.fixture
async def bus(three: list[NatsServer]) -> AsyncIterator[NatsBus]:
    """Give a node's bus."""
    options = Options(servers=bus_of(three).split(","), stream_bytes=SMALL)
    made = await NatsBus.open(options, seconds=30)
    await made.start()
    yield made
    await made.close()


async def test_a_nats_server_that_is_lost(
    bus: NatsBus,
    three: list[NatsServer],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of three, and it is back: log, figures and status, in the page's words."""
    text = page("when-a-nats-server-is-lost")
    metrics, there = Metrics(), place(tmp_path, database, bus_of(three))
    watch = StreamWatch(bus.look_at_streams, metrics, lambda: 1)

    async def seen(holds: Callable[[StreamsFound], bool]) -> None:
        async with asyncio.timeout(60):
            for pause in itertools.repeat(0.1):
                found = await bus.look_at_streams()
                if found is not None:
                    watch.take(found)
                    if holds(found):
                        return
                await asyncio.sleep(pause)

    with capture_logs() as logs:
        await seen(lambda found: not (found.leaderless or found.copies_behind))
        three[2].kill()
        await seen(lambda found: found.copies_behind == 17 and not found.leaderless)
        code, said = await asyncio.to_thread(status, there, monkeypatch)
        assert code == ExitCode.UNWELL
        lost = r"NO +streams: nats-3 is away, or catches up: 17 copies lack up to \d+ messages"
        assert re.search(lost, said), said
        three[2].start()
        await seen(lambda found: not (found.leaderless or found.copies_behind))
    told = [line["event"] for line in logs]
    for line in (
        "streams lack copies: a NATS server is away, or catches up",
        "streams have all copies again",
    ):
        assert line in told
        assert f"`{line}`" in text
    assert "`nats-3 is away, or catches up: 17 copies lack up to 5 messages`" in text
    await until_it_holds(lambda: bus.figures.connected)
