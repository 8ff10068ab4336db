"""What a start of a node refuses: one line that says what and where, and the documented code.

`greenroom config --check` says the same beforehand, and changes nothing.

Covers: greenroom.bus.nats.inspection, greenroom.storage.postgres.inspection
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from greenroom.bus.base import BusUnreachable
from greenroom.bus.nats import connection, inspection
from greenroom.bus.nats.bus import NatsBus
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.clock import Clock
from greenroom.process.start_refused import ClockRefused
from greenroom.server import cluster, kept
from greenroom.server.cluster import check_skew
from greenroom.settings.load import load
from greenroom.settings.servers import ServerUrls
from greenroom.storage.schema import POSTGRES, steps
from greenroom.telemetry import logs
from scripts.servers.nats_server import NatsServer, nats_server
from scripts.servers.node import new_secrets_key
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import PASSWORD, oldest
from tests.running.buses import until
from tests.running.servers import fresh_database, new_account
from tests.stand_ins.certificates import Authority

KEY = new_secrets_key()
NOBODY = "127.0.0.1:9"
"""Where nobody listens."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start where nothing is, wait for nobody for long, and leave the logging alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setattr(inspection, "SECONDS", 2)
    Path("logs").mkdir()


@pytest.fixture
def given(database: str, bus_url: str) -> dict[str, str]:
    """Give settings with which a node could start."""
    return {"storage": database, "bus": bus_url, "secrets_key": KEY, "chat_log_dir": "logs"}


def checked(**settings: str) -> tuple[int, str]:
    """Return the code and the output of the check."""
    variables = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
    command = ["config", "--check", "--port", "0", "--data-dir", "data"]
    ended = CliRunner().invoke(main, command, env=variables)
    assert PASSWORD not in ended.output
    return ended.exit_code, ended.output


def refused(code: ExitCode, what: str, **settings: str) -> None:
    """See that a check ends with a code and a line."""
    found, said = checked(**settings)
    assert (found, bool(re.search(what, said))) == (code, True), said
    assert not Path("data").exists()


def test_what_could_start(given: dict[str, str]) -> None:
    """All parts are looked at, and nothing is made: neither a schema nor a stream."""
    code, said = checked(**given)
    assert code == ExitCode.OK
    assert "there is no schema of ours yet" in said
    assert "17 streams are to be made" in said
    assert checked(**given)[1] == said


@pytest.mark.parametrize(
    ("changed", "code", "what"),
    [
        ({"storage": f"postgresql://u@{NOBODY}/r"}, ExitCode.SERVER_UNREACHABLE,
            f"PostgreSQL at {NOBODY}, database r cannot be used: Connection refused"),
        ({"bus": f"nats://{NOBODY}"}, ExitCode.SERVER_UNREACHABLE,
            f"NATS cannot be used: nats://{NOBODY}: Connection refused"),
        ({"storage": "postgresql://u@db"}, ExitCode.USAGE, "must name the database"),
        ({"bus": "memory"}, ExitCode.USAGE, "go together"),
        ({"storage": "sqlite"}, ExitCode.USAGE, "go together"),
        ({"secrets_key": ""}, ExitCode.USAGE, "GREENROOM_SECRETS_KEY must be printable text"),
        ({"secrets_key": "short"}, ExitCode.SECRETS_KEY, "32 bytes as base64"),
        ({"bus_tls_ca_file": "missing.pem"}, ExitCode.USAGE, "missing.pem cannot be used"),
        ({"bus_nkey_file": "missing"}, ExitCode.USAGE, "two ways to be let in by NATS"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(
    given: dict[str, str], changed: dict[str, str], code: ExitCode, what: str
) -> None:
    """Each has its line and its code, and no password is in it."""
    refused(code, what, **{**given, **changed})


def test_a_key_that_is_missing(given: dict[str, str]) -> None:
    """A node makes none of its own."""
    del given["secrets_key"]
    refused(ExitCode.SECRETS_KEY, "a cluster needs secrets_key or secrets_key_file", **given)


def test_chat_logs_without_a_place(given: dict[str, str]) -> None:
    """Files that other nodes do not see are refused, unless all goes to AWS."""
    del given["chat_log_dir"]
    refused(ExitCode.USAGE, "give chat_log_dir", **given)
    assert checked(**given, chat_log_destinations="*=aws")[0] == ExitCode.OK


def test_a_directory_of_chat_logs_that_is_not_there(given: dict[str, str]) -> None:
    """It may be a mount that is missing: nobody makes one, and no file goes where none is seen."""
    what = "chat_log_dir mnt does not exist: in a cluster it is a directory that all nodes"
    given["chat_log_dir"] = "mnt"
    refused(ExitCode.USAGE, what, **given)
    variables = {f"GREENROOM_{name.upper()}": value for name, value in given.items()}
    ended = CliRunner().invoke(main, ["serve", "--port", "0", "--data-dir", "d"], env=variables)
    assert (ended.exit_code, what in ended.output) == (ExitCode.USAGE, True)
    assert not Path("mnt").exists()


def test_a_file_that_is_not_there(given: dict[str, str]) -> None:
    """The setting that names it is told."""
    for setting, server in (
        ("storage_password_file", {"storage": f"postgresql://u@{NOBODY}/r"}),
        ("bus_token_file", {"bus": f"nats://{NOBODY}"}),
    ):
        what = f"{setting} none cannot be read: No such file or directory"
        refused(ExitCode.USAGE, what, **{**given, **server, setting: "none"})


def test_wrong_passwords(given: dict[str, str]) -> None:
    """Who is not let in is told by whom; so it is with a password from a file."""
    parts = urlsplit(given["storage"])
    bare = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    Path("word").write_text("wrong-word")
    what = "password authentication failed"
    refused(ExitCode.SERVER_UNREACHABLE, what, **{**given, "storage": bare},
        storage_password_file="word")  # fmt: skip
    Path("word").write_text(PASSWORD + "\n")
    assert checked(**{**given, "storage": bare}, storage_password_file="word")[0] == ExitCode.OK
    host = urlsplit(given["bus"]).netloc.rpartition("@")[2]
    what = f"nats://{host} does not let this node in"
    refused(ExitCode.SERVER_UNREACHABLE, what, **{**given, "bus": f"nats://x:wrong@{host}"})


def test_a_replica(given: dict[str, str], database: str, postgresql_newest: PostgreSQL) -> None:
    """A database that takes no writes is refused."""
    name = urlsplit(database).path.strip("/")
    postgresql_newest.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused(ExitCode.DATA_UNWRITABLE, "takes no writes", **given)


async def test_a_bus_that_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says at once what is waited for, why, and for how long."""
    monkeypatch.setattr(connection, "TOLD_AFTER_SECONDS", 0.1)
    options = connection.Options(servers=[f"nats://u:secret@{NOBODY}", "nats://127.0.0.1:10"])
    with capture_logs() as lines, pytest.raises(BusUnreachable):
        await NatsBus.open(options, seconds=0.5)
    (line,) = (each for each in lines if each["event"] == "waiting for NATS")
    assert line["log_level"] == "warning"
    assert line["servers"] == f"nats://{NOBODY}, nats://127.0.0.1:10"
    assert line["seconds"] == 0.5
    assert line["reason"].endswith(": Connection refused")


async def test_one_server_of_several(nats_r3: list[NatsServer]) -> None:
    """A node that knows one of them alone is told what that means; a whole list says nothing."""
    bus = new_account(nats_r3)
    for servers, told in ((bus.split(",")[:1], 1), (bus.split(","), 0)):
        with capture_logs() as lines:
            opened = await NatsBus.open(connection.Options(servers=servers, stream_bytes=8 << 20))
            await opened.close()
        found = [each for each in lines if each["event"].startswith("bus names one server")]
        assert [each["copies"] for each in found] == [3] * told


def test_another_key(given: dict[str, str]) -> None:
    """A node whose key differs from that of the first one is refused; nothing is changed."""
    variables = {f"GREENROOM_{name.upper()}": value for name, value in given.items()}
    asyncio.run(_keep_check(given["storage"]))
    refused(ExitCode.SECRETS_KEY, "were sealed with another key", **given)
    ended = CliRunner().invoke(main, ["serve", "--port", "0", "--data-dir", "d"], env=variables)
    assert ended.exit_code == ExitCode.SECRETS_KEY
    assert "were sealed with another key" in ended.stderr


def test_what_an_upgrade_changes(given: dict[str, str]) -> None:
    """A schema that would be brought forward, and rooms that nobody would reach, are told."""
    newest = steps(POSTGRES)[-1].number
    asyncio.run(_make_older(given["storage"]))
    code, said = checked(**given)
    assert code == ExitCode.OK
    assert f"; a start brings schema {newest - 1} to {newest}, from which only a backup" in said
    assert "rooms in regions that are not served: eu-west-1\n" in said
    assert "not served" not in checked(regions="eu-west-1", **given)[1]


async def _make_older(url: str) -> None:
    from greenroom.storage.postgres.store import PostgresStore

    await (await PostgresStore.open(url)).close()
    database = await asyncpg.connect(url, server_settings={"search_path": "greenroom"})
    await database.execute(
        "INSERT INTO regions (account, region, sequence, newest_update_time, rooms)"
        " VALUES ('1', 'eu-west-1', 0, 0, 1), ('1', 'us-west-2', 0, 0, 0);"
        "DELETE FROM schema_steps WHERE number = (SELECT max(number) FROM schema_steps)"
    )
    await database.close()


async def _keep_check(url: str) -> None:
    from greenroom.storage.postgres.store import PostgresStore
    from greenroom.vault.vault import open_vault

    store = await PostgresStore.open(url)
    settings = {"storage": url, "bus": "nats://a", "secrets_key": new_secrets_key()}
    variables = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
    await open_vault(load({}, variables, None), store.secrets)
    await store.close()


async def test_streams_of_somebody_else(given: dict[str, str]) -> None:
    """A stream of one of our names that was made otherwise is named, with what differs."""
    client = await nats.connect(given["bus"])
    await client.jetstream().add_stream(name="ROOMS_03", subjects=["gr.03.*"], max_msgs=10)
    await client.close()
    what = "the stream ROOMS_03 was made otherwise: .*max_msgs is 10"
    await asyncio.to_thread(refused, ExitCode.SERVER_UNFIT, what, **given)


def test_no_jetstream(given: dict[str, str], tmp_path: Path) -> None:
    """A server without streams is no bus."""
    with nats_server(tmp_path / "nats", jetstream=False) as server:
        what = "NATS cannot be used: JetStream is not enabled"
        refused(ExitCode.SERVER_UNFIT, what, **{**given, "bus": server.url})


def test_an_old_nats(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The least version is named."""
    monkeypatch.setattr(connection, "LEAST_VERSION", (2, 99))
    refused(ExitCode.SERVER_UNFIT, r"is nats-server 2\.\d+\.\d+: 2\.99 is the least", **given)


# ------------------------------------------------------------------ encryption


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give somebody who signs certificates for loopback."""
    return Authority(tmp_path)


ENCRYPTED = {"ssl": "on", "fsync": "off"}
EXPIRED = timedelta(days=-1)
VALID = timedelta(days=1)


@pytest.fixture(params=[VALID, EXPIRED], ids=["valid", "expired"])
def encrypting(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[tuple[NatsServer, bool]]:
    """Give a NATS that encrypts, and whether its certificate is valid."""
    files = authority.certificate("nats", datetime.now(UTC) + request.param)
    tls = f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}\n'
    with nats_server(tmp_path / "nats", extra=tls) as server:
        yield server, request.param is VALID


def test_certificates_of_nats(
    given: dict[str, str], encrypting: tuple[NatsServer, bool], authority: Authority
) -> None:
    """A valid one is taken from who signs it, and no other."""
    server, valid = encrypting
    given["bus"] = server.url.replace("nats://", "tls://")
    refused(ExitCode.SERVER_UNREACHABLE, "its certificate is not accepted", **given)
    given["bus_tls_ca_file"] = str(authority.file)
    if valid:
        assert checked(**given)[0] == ExitCode.OK
    else:
        refused(ExitCode.SERVER_UNREACHABLE, "not accepted: certificate has expired", **given)


async def test_certificates_that_are_renewed(tmp_path: Path, authority: Authority) -> None:
    """They count from the next connection on, without a restart; so does who signs them."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    file = tmp_path / "trusted.pem"
    file.write_bytes(authority.file.read_bytes())
    files = authority.certificate("nats", datetime.now(UTC) + VALID)
    tls = f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}\n'
    with nats_server(tmp_path / "nats", extra=tls) as server:
        renewed = cluster.RenewedTls(file, None, None)
        url = server.url.replace("nats://", "tls://")
        options = connection.Options(servers=[url], tls=renewed.get, stream_bytes=8 << 20)
        bus = await NatsBus.open(options)
        await asyncio.to_thread(server.stop)
        theirs = other.certificate("nats", datetime.now(UTC) + VALID)
        files.certificate.write_bytes(theirs.certificate.read_bytes())
        files.key.write_bytes(theirs.key.read_bytes())
        with capture_logs() as lines:
            await asyncio.to_thread(server.start)
            await until(lambda: any("not accepted" in each.get("reason", "") for each in lines))
            file.write_text("half of i")
            await until(lambda: any("trusted.pem" in each.get("reason", "") for each in lines))
            file.write_bytes(other.file.read_bytes())
            await until(lambda: bus.figures.connected)
        await bus.close()


def test_a_nats_that_does_not_encrypt(given: dict[str, str]) -> None:
    """With tls:// nothing is said to it, least of all a password."""
    given["bus"] = given["bus"].replace("nats://", "tls://")
    refused(ExitCode.SERVER_UNREACHABLE, "it does not encrypt", **given)


@pytest.mark.parametrize("until", [VALID, EXPIRED], ids=["valid", "expired"])
def test_certificates_of_postgresql(
    given: dict[str, str], until: timedelta, authority: Authority
) -> None:
    """So it is with a database whose certificate is to be looked at."""
    installation = oldest()
    if installation is None:
        pytest.skip("the newest PostgreSQL of PyPI has no TLS, and Debian's is not here")
    files = authority.certificate("postgresql", datetime.now(UTC) + until)
    kept = {"server.crt": files.certificate.read_bytes(), "server.key": files.key.read_bytes()}
    with (
        postgresql(settings=ENCRYPTED, files=kept, installation=installation) as server,
        fresh_database(server) as url,
    ):
        given["storage"] = f"{url}?sslmode=verify-full&sslrootcert={authority.file}"
        if until is VALID:
            assert checked(**given)[0] == ExitCode.OK
        else:
            refused(ExitCode.SERVER_UNREACHABLE, "certificate has expired", **given)


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("postgresql://db.example/r", True),
        ("postgresql://db.example/r?sslmode=require", True),
        ("postgresql://db.example/r?sslmode=verify-full", False),
        ("postgresql://127.0.0.1,localhost,[::1]/r", False),
        ("postgresql:///r?host=/run/postgresql", False),
    ],
)
def test_a_way_that_others_can_read(url: str, warns: bool) -> None:
    """A database on another machine that is not asked for its certificate is warned of."""
    with capture_logs() as lines:
        cluster.warn_of_readers(ServerUrls(url))
    assert bool(lines) is warns


# ------------------------------------------------------------------ clocks


@pytest.mark.parametrize("seconds", [-5, 0, 5])
def test_clocks_that_agree(seconds: float) -> None:
    """Seconds are survived."""
    check_skew(seconds)


@pytest.mark.parametrize(("seconds", "side"), [(6, "6 s ahead of"), (-3600, "3600 s behind")])
def test_clocks_that_differ(seconds: float, side: str) -> None:
    """More is refused, with the side that this machine is on."""
    with pytest.raises(ClockRefused, match=f"the clock of this machine is {side} PostgreSQL's"):
        check_skew(seconds)


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_the_clock_of_the_database(given: dict[str, str], seconds: float) -> None:
    """It is the database's clock that this machine's is held against."""
    variables = {f"GREENROOM_{name.upper()}": value for name, value in given.items()}
    there = Clock()
    here = Clock(lambda: there.wall_ns() + round(seconds * 1e9), there.monotonic)
    with pytest.raises(ClockRefused, match="60 s"):
        await cluster.look_at_store(load({}, variables, None), here)


def test_a_node_alone_imports_nothing_of_it() -> None:
    """What a cluster needs is an extra: a node alone neither has nor loads it."""
    program = (
        "import sys, greenroom.cli.main, greenroom.cli.serve, greenroom.server.serve\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('nats', 'asyncpg')])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout == b"[]\n"


def test_packages_that_are_missing(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named, with how to have them."""
    monkeypatch.setattr(kept, "find_spec", lambda _: None)
    refused(ExitCode.USAGE, r"a cluster needs asyncpg: install greenroom\[cluster\]", **given)
