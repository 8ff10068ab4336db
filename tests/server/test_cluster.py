"""How what nodes share is met, as the settings say; `tests/cluster` has the servers.

Covers: greenroom.server.caring
"""

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import About, BusRefused
from greenroom.bus.nats import subjects
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.login import Login
from greenroom.bus.nats.mending import MendingFailed
from greenroom.process.start_refused import ClockRefused
from greenroom.server import caring, cluster
from greenroom.server.verdicts import Level
from greenroom.settings.load import load
from greenroom.settings.servers import ServerUrls
from greenroom.settings.values import Settings, SettingsRefused

SECOND = 10**9


def settings(**more: str) -> Settings:
    """Return settings of a node of a cluster."""
    given = {
        "data_dir": "/nowhere",
        "storage": "postgresql://127.0.0.1:1/none",
        "bus": "nats://127.0.0.1:1,nats://127.0.0.1:2",
    }
    return load({**given, **more}, {}, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, ""), (5.0, ""), (-5.0, ""), (5.1, "5 s ahead of"), (-7.0, "7 s behind")],
)
def test_clocks(seconds: float, words: str) -> None:
    """Five seconds are allowed, to either side."""
    if words:
        with pytest.raises(ClockRefused, match=f"is {words} PostgreSQL's"):
            cluster.check_skew(seconds)
    else:
        cluster.check_skew(seconds)


@pytest.mark.parametrize(
    ("there", "refused"), [(101, ""), (106, ""), (95, ""), (108, "behind"), (94, "ahead of")]
)
async def test_the_clock_of_the_database(
    monkeypatch: pytest.MonkeyPatch, there: int, refused: str
) -> None:
    """It was asked at some time between the two; only what is certain counts."""
    found = Mock(clock_ns=there * SECOND)
    monkeypatch.setattr(cluster, "inspect", AsyncMock(return_value=found))
    clock: Any = Mock(wall_ns=Mock(side_effect=[100 * SECOND, 102 * SECOND]))
    if refused:
        with pytest.raises(ClockRefused, match=refused):
            await cluster.look_at_store(settings(), clock)
    else:
        assert await cluster.look_at_store(settings(), clock) is found


def test_how_the_bus_is_met() -> None:
    """All its servers, with copies as told or by how many there are."""
    plain = cluster.options_of(settings())
    assert list(plain.servers) == ["nats://127.0.0.1:1", "nats://127.0.0.1:2"]
    assert (plain.replicas, plain.tls) == (None, None)
    assert cluster.options_of(settings(bus_replicas="3")).replicas == 3


async def test_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the settings, for what a start does and for what changes nothing."""
    asked = AsyncMock()
    options: Any = Mock()
    monkeypatch.setattr(cluster, "options_of", Mock(return_value=options))
    monkeypatch.setattr("greenroom.bus.nats.inspection.inspect", asked.looked_at)
    monkeypatch.setattr("greenroom.bus.nats.states.states", asked.states)
    monkeypatch.setattr(NatsBus, "open", asked.opened)
    given, clock = settings(), Mock()
    found: list[object] = [
        await cluster.look_at_bus(given),
        await cluster.states_of_streams(given),
        await cluster.open_bus(given, clock),
    ]
    answers = (asked.looked_at, asked.states, asked.opened)
    assert found == [each.return_value for each in answers]
    assert asked.mock_calls == [
        call.looked_at(options),
        call.states(options),
        call.opened(options, clock),
    ]


async def test_the_database_is_looked_at_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its clock first; then who may read along is warned of."""
    asked = AsyncMock(warn_of_readers=Mock())
    for name in ("look_at_store", "warn_of_readers"):
        monkeypatch.setattr(cluster, name, getattr(asked, name))
    monkeypatch.setattr(cluster.PostgresStore, "open", asked.opened)  # type: ignore[attr-defined]
    given, clock = settings(), Mock()
    assert await cluster.open_store(given, clock) is asked.opened.return_value
    assert asked.mock_calls == [
        call.look_at_store(given, clock),
        call.warn_of_readers("postgresql://127.0.0.1:1/none"),
        call.opened("postgresql://127.0.0.1:1/none", None),
    ]


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({"bus_user": "ann", "bus_password_file": "/f"}, call.by_password("ann", Path("/f"))),
        ({"bus_token_file": "/f"}, call.by_token(Path("/f"))),
        ({"bus_nkey_file": "/f"}, call.by_nkey(Path("/f"))),
        ({"bus_credentials_file": "/f"}, call.by_credentials(Path("/f"))),
        ({}, None),
    ],
)
def test_how_a_node_logs_in(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], way: Any
) -> None:
    """By what the settings name, or not at all."""
    login: Any = Mock()
    monkeypatch.setattr("greenroom.bus.nats.login.by_password", login.by_password)
    for name, by in (("token", "by_token"), ("nkey", "by_nkey"), ("credentials", "by_credentials")):
        monkeypatch.setitem(cluster._LOGINS, f"bus_{name}_file", getattr(login, by))
    found: Any = cluster.options_of(settings(**given)).login
    assert login.mock_calls == ([] if way is None else [way])
    if way is None:
        assert found == Login()
    else:
        assert found is getattr(login, way[0]).return_value


def test_the_password_of_the_database(tmp_path: Path) -> None:
    """It is read when it is asked for, from its file where there is one."""
    assert cluster.database_of(settings())[1] is None
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    file.chmod(0o600)
    url, password = cluster.database_of(settings(storage_password_file=str(file)))
    assert url == "postgresql://127.0.0.1:1/none"
    assert password is not None
    assert password() == "open sesame"


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    """All that were given are named at the start; later what they held last is used on."""
    (tmp_path / "ca").write_text("nothing")
    given = {"bus_tls_ca_file": str(tmp_path / "ca")}
    with pytest.raises(SettingsRefused, match=f"{tmp_path}/ca cannot be used: "):
        cluster.options_of(settings(**given))
    renewed = Mock(_last="before", _read=Mock(side_effect=SettingsRefused("why")))
    with capture_logs() as lines:
        used: object = cluster.RenewedTls.get(renewed)
    assert used == "before"
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("what files held is used on", "why")
    ]
    renewed._read = Mock(return_value="after")
    assert cluster.RenewedTls.get(renewed) == renewed._last == "after"


@pytest.mark.parametrize("certificate", [False, True])
def test_what_servers_are_met_with(monkeypatch: pytest.MonkeyPatch, certificate: bool) -> None:
    """Whom to trust, and who this node is where it has a certificate."""
    made: Any = Mock()
    monkeypatch.setattr(cluster.ssl, "create_default_context", made)  # type: ignore[attr-defined]
    own = {"bus_tls_certificate_file": "/c", "bus_tls_key_file": "/k"} if certificate else {}
    tls: Any = cluster.options_of(settings(bus_tls_ca_file="/ca", **own)).tls
    assert tls() is made.return_value
    assert made.mock_calls[0] == call(cafile=Path("/ca"))
    loaded = [call(Path("/c"), Path("/k"))] * (2 * certificate)
    context: Any = made.return_value
    assert context.load_cert_chain.mock_calls == loaded
    assert cluster.options_of(settings()).tls is None
    alone = {"bus_tls_certificate_file": "/c", "bus_tls_key_file": "/k"}
    assert cluster.options_of(settings(**alone)).tls is not None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://127.0.0.1/a", ""),
        ("postgresql://localhost/a", ""),
        ("postgresql://[::1]/a", ""),
        ("postgresql://db/a", "db"),
        ("postgresql://db,127.0.0.1,10.0.0.1/a", "db, 10.0.0.1"),
        ("postgresql://db/a?sslmode=require", "db"),
        ("postgresql://db/a?sslmode=verify-ca", ""),
        ("postgresql://db/a?sslmode=verify-full", ""),
    ],
)
def test_who_may_read_along(url: str, hosts: str) -> None:
    """It is said of each host that is elsewhere and not looked at."""
    with capture_logs() as lines:
        cluster.warn_of_readers(ServerUrls(url))
    assert [line["hosts"] for line in lines] == ([hosts] if hosts else [])


# --------------------------------------------------------------- what is done from the outside


class Care:
    """Streams that are planned for, and a connection on which steps are performed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.performed: list[Any] = []
        self.steps = [
            Mock(subject="$JS.API.STREAM.CREATE.A", words="make the stream A"),
            Mock(subject="$JS.API.STREAM.UPDATE.B", words="widen the stream B"),
        ]
        self.left = ("a person must look at C",)
        self.has_leader = [True] * 100
        self.slept: list[float] = []
        self.connection: Any = Mock(reply_to=lambda name: b"reply." + name)
        connected = Mock()
        connected.return_value.__aenter__ = AsyncMock(return_value=self.connection)
        connected.return_value.__aexit__ = AsyncMock(return_value=None)
        monkeypatch.setattr(caring, "connected", connected)
        monkeypatch.setattr(caring, "survey", self._survey)
        monkeypatch.setattr("greenroom.bus.nats.mending.plan", self._plan)
        monkeypatch.setattr("greenroom.bus.nats.mending.perform", self._perform)
        monkeypatch.setattr("asyncio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def _survey(self, *_: object) -> list[Any]:
        found = Mock(has_leader=self.has_leader.pop(0))
        found.name = str(self.performed[-1].subject).rpartition(".")[2] if self.performed else ""
        return [Mock(has_leader=True), found]

    def _plan(self, *_: object) -> Any:
        return Mock(
            steps=[each for each in self.steps if each not in self.performed], left=self.left
        )

    async def _perform(self, _connection: object, step: Any) -> None:
        self.performed.append(step)


@pytest.fixture
def care(monkeypatch: pytest.MonkeyPatch) -> Care:
    """Give streams."""
    return Care(monkeypatch)


async def test_what_is_missing_is_made(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema and streams, and nothing else; the rest is said."""
    found = [Mock(schema="0", where="here"), Mock(schema="5", where="here")]
    monkeypatch.setattr(caring, "survey_of_database", AsyncMock(side_effect=found))
    monkeypatch.setattr("greenroom.storage.postgres.opening.prepare", prepare := AsyncMock())
    done, left = await caring.make_all(settings())
    assert done == ["made in here: schema 0 is 5 now", "made the stream A"]
    assert left == ["not as it must be: widen the stream B", "a person must look at C"]
    assert care.performed == [care.steps[0]]
    prepare.assert_awaited_once()
    same = [Mock(schema="5", where="here")] * 2
    monkeypatch.setattr(caring, "survey_of_database", AsyncMock(side_effect=same))
    assert (await caring.make_all(settings()))[0] == []


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_is_mended(care: Care, dry_run: bool) -> None:
    """It is said in either case, and done in one."""
    done, left = await caring.mend(settings(), dry_run=dry_run)
    assert done == ["make the stream A", "widen the stream B"]
    assert left == ["a person must look at C"]
    assert care.performed == ([] if dry_run else care.steps)


async def test_a_leader_is_waited_for(care: Care) -> None:
    """After each step, for a time."""
    care.has_leader = [False] * 3 + [True]
    await caring._perform(care.connection, Mock(), care.steps[0])
    assert care.slept == [caring.LEADER_PAUSE] * 3
    care.slept.clear()
    care.has_leader = [False] * 1000
    await caring._perform(care.connection, Mock(), care.steps[0])
    assert len(care.slept) == round(caring.LEADER_SECONDS / caring.LEADER_PAUSE)


async def test_a_step_that_fails(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    """NATS refuses it, in its words."""
    failed = AsyncMock(side_effect=MendingFailed("no"))
    monkeypatch.setattr("greenroom.bus.nats.mending.perform", failed)
    with pytest.raises(BusRefused, match="no"):
        await caring.mend(settings(), dry_run=False)


async def test_what_may_be_listened_to(care: Care) -> None:
    """All that a node listens to; each refusal is a line."""
    care.connection.listen = AsyncMock()
    (verdict,) = await caring.permissions(settings())
    assert verdict.level is Level.OK
    listened = [each.args[0] for each in care.connection.listen.mock_calls]
    assert listened[:4] == [
        "gd.*.*",
        subjects.CONTROL_DELIVERED,
        b"reply.*",
        "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*",
    ]
    assert listened[4:] == [subjects.ANNOUNCEMENTS + about for about in About]
    assert care.slept == [caring.SETTLE_SECONDS]

    async def refuse(subject: object, _: object) -> None:
        if subject == "gd.*.*":
            care.connection.on_refusal.mock_calls[-1].args[0]("not gd")
        else:
            raise NoAnswer("gone")

    care.connection.listen = AsyncMock(side_effect=refuse)
    verdicts = await caring.permissions(settings())
    assert {each.level for each in verdicts} == {Level.NO}
    assert [each.said for each in verdicts] == [
        "not gd",
        f"the connection ended at {subjects.CONTROL_DELIVERED}",
    ]
    assert care.connection.listen.mock_calls[0] != call()
    assert care.connection.listen.await_count == 2
