"""What is looked at before a database is used, and what its schema may be.

Covers: greenroom.storage.postgres.upgrading
"""

import asyncio
import contextlib
import errno
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from urllib.parse import urlsplit

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from greenroom.storage.base import (
    StorageUnavailable,
    StoreForeign,
    StoreRefused,
    StoreUnreachable,
    StoreUnwritable,
)
from greenroom.storage.postgres import opening
from greenroom.storage.postgres.outage import LOOK_SECONDS
from greenroom.storage.postgres.session import ReadOnlyServer, Waits
from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.postgres.upgrading import LOCK
from greenroom.storage.schema import POSTGRES, Step, steps
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import oldest
from tests.running.servers import HASTY
from tests.stand_ins.queues import Queues
from tests.stand_ins.values import PLENTY, a_room
from tests.storage.postgres.conftest import Open, end_sessions, impatient

ROOT = Path(__file__).parents[3]
NEWEST = steps(POSTGRES)[-1].number
NEWER = "INSERT INTO greenroom.schema_steps SELECT max(number) + 1 FROM greenroom.schema_steps"


async def refusal(kind: type[StoreRefused], url: str) -> str:
    """Return the line of the refusal of that kind, which has one line and no password."""
    with pytest.raises(kind) as raised:
        await PostgresStore.open(url)
    line = str(raised.value)
    assert "\n" not in line
    password = urlsplit(url).password
    assert password is None or password not in line
    return line


async def test_steps_are_done_once(database: str) -> None:
    """Of four nodes that start together on an empty database one builds it; all of them work."""
    stores = await asyncio.gather(*(PostgresStore.open(database) for _ in range(4)))
    await asyncio.gather(*(store.rooms.create(a_room(), PLENTY) for store in stores))
    for store in stores:
        await store.close()
    connection = await asyncpg.connect(database)
    seen = await connection.fetch("SELECT number FROM greenroom.schema_steps ORDER BY number")
    await connection.close()
    assert [number for (number,) in seen] == list(range(1, NEWEST + 1))


async def test_a_newer_schema_is_refused(database: str, a_node: Open) -> None:
    """A node does not start on the schema of a newer version; one that runs goes on."""
    store = await a_node()
    await execute(database, NEWER)
    line = await refusal(StoreForeign, database)
    assert f"newer version (schema {NEWEST + 1}, this one knows {NEWEST})" in line
    await store.rooms.create(a_room(), PLENTY)


async def test_tables_of_others_are_left_alone(database: str) -> None:
    """A schema of our name with other tables is refused; those beside it are nobody's business."""
    await execute(database, "CREATE TABLE rooms (x int); CREATE SCHEMA greenroom")
    await execute(database, "CREATE TABLE greenroom.rooms (x int)")
    assert "tables of another application" in await refusal(StoreForeign, database)
    await execute(database, "DROP TABLE greenroom.rooms")
    store = await PostgresStore.open(database)
    await store.rooms.create(a_room(), PLENTY)
    await store.close()
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM public.rooms") == 0
    await connection.close()


async def test_a_node_that_finds_all_steps_done_waits_for_nobody(
    database: str, a_node: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the lock."""
    await a_node()
    holder = await asyncpg.connect(database)
    await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
    with monkeypatch.context() as patched:
        patched.setattr("greenroom.storage.postgres.upgrading.LOCK_SECONDS", 0.2)
        await a_node()
    await holder.close()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (asyncpg.ReadOnlySQLTransactionError("x"), StoreUnwritable, "here takes no writes: it is"),
        (ReadOnlyServer(), StoreUnwritable, "here takes no writes: it is a read-only replica"),
        (asyncpg.TargetServerAttributeNotMatched("x"), StoreUnwritable, "is the primary"),
        (asyncpg.DiskFullError("no space"), StoreUnwritable, "here: no space"),
        (asyncpg.InsufficientPrivilegeError("may not"), StoreUnwritable, "here: may not"),
        (asyncpg.DuplicatePreparedStatementError("x"), StoreForeign, "set pool_mode to session"),
        (asyncpg.InvalidSQLStatementNameError("x"), StoreForeign, "set pool_mode to session"),
        (TimeoutError(), StoreUnreachable, "here does not answer"),
        (asyncio.CancelledError(), StoreUnreachable, "here does not answer"),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            *(StoreUnreachable, "here cannot be used: Connection refused"),
        ),
        (asyncpg.DataError("a secret"), StoreUnreachable, "here cannot be used: DataError"),
    ],
)
def test_what_a_start_is_refused_with(
    error: BaseException, kind: type[StoreRefused], said: str
) -> None:
    """A line that says what is wrong, in words, and nothing that was given."""
    refused = opening.refused(error, "here")
    assert type(refused) is kind
    assert said in str(refused)
    assert "a secret" not in str(refused)


async def test_an_old_server_is_asked_nothing() -> None:
    """Its version is known with the connection."""
    connection: Any = Mock()
    connection.get_server_version.return_value.major = opening.LEAST - 1
    with pytest.raises(StoreForeign, match="too old"):
        await opening._check(connection, AsyncMock(), "here")
    assert not connection.fetchrow.called


@pytest.mark.parametrize(("fsync", "warned"), [("off", True), ("on", False)])
async def test_a_database_that_does_not_wait_for_the_disk(
    monkeypatch: pytest.MonkeyPatch, fsync: str, warned: bool
) -> None:
    """It is warned of: what was answered may be lost when its machine stops."""
    connection = Mock(fetch=AsyncMock(return_value=[]), fetchval=AsyncMock(return_value=fsync))

    async def visit(_url: str, _password: object, _waits: object, do: Any) -> None:
        await do(connection, "here")

    monkeypatch.setattr(opening, "visit", visit)
    monkeypatch.setattr(opening, "upgrade", AsyncMock())
    with capture_logs() as logs:
        await opening.prepare("postgresql://db/r", None, Waits())
    assert [line["where"] for line in logs] == ["here"] * warned


async def test_a_lock_that_is_held_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that waits in vain for another one's steps ends, and says why."""
    holder = await asyncpg.connect(database)
    await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
    with monkeypatch.context() as patched:
        patched.setattr("greenroom.storage.postgres.upgrading.LOCK_SECONDS", 0.2)
        line = await refusal(StoreUnreachable, database)
    await holder.close()
    assert "has held the schema greenroom" in line
    await (await PostgresStore.open(database)).close()


async def test_a_step_that_fails_leaves_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are done or none: the next start begins where the last one did."""
    broken = (*steps(POSTGRES), Step(NEWEST + 1, "CREATE TABLE more (x int); SELECT nowhere"))
    with monkeypatch.context() as patched:
        patched.setattr(opening, "steps", lambda _: broken)
        assert "nowhere" in await refusal(StoreUnreachable, database)
    connection = await asyncpg.connect(database)
    assert not await connection.fetchval(
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'greenroom'"
    )
    await connection.close()
    await (await PostgresStore.open(database)).close()


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    """The reason of a failed handshake is in the line; the wheel's PostgreSQL has no TLS."""
    installation = oldest()
    if installation is None:
        pytest.skip("needs Debian's postgresql-15 unpacked: scripts/postgresql-15")
    key, certificate = a_certificate(days=-1)
    (tmp_path / "ca.pem").write_bytes(certificate)
    files = {"server.key": key, "server.crt": certificate}
    settings = {**HASTY, "ssl": "on"}
    with postgresql(settings=settings, files=files, installation=installation) as server:
        url = server.create_database("tls")
        line = await refusal(
            StoreUnreachable, f"{url}?sslmode=verify-ca&sslrootcert={tmp_path / 'ca.pem'}"
        )
    assert "certificate has expired" in line


def a_certificate(days: int) -> tuple[bytes, bytes]:
    """Return a key and a certificate of 127.0.0.1 that is good for so many days more."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        certificate.public_bytes(pem),
    )


async def test_a_role_with_few_privileges_suffices(
    database: str, a_node: Open, postgresql_newest: PostgreSQL
) -> None:
    """Once the schema is there, a role that reads and writes its tables can do all."""
    await a_node()
    role = f"few_{urlsplit(database).path.strip('/')}"
    postgresql_newest.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'few'")
    url = postgresql_newest.url(urlsplit(database).path.strip("/"), role, "few")
    try:
        assert "permission denied" in await refusal(StoreUnwritable, url)
        await execute(
            database,
            f"GRANT USAGE ON SCHEMA greenroom TO {role};"
            f" GRANT SELECT ON greenroom.schema_steps TO {role}",
        )
        assert "may not SELECT, INSERT, UPDATE and DELETE" in await refusal(StoreUnwritable, url)
        await execute(
            database,
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA greenroom TO {role}",
        )
        store = await PostgresStore.open(url)
        room = await store.rooms.create(a_room(), PLENTY)
        await store.rooms.delete(room.arn)
        queues = Queues(store)
        await queues.append(2)
        await queues.journal.delivered(queues.arns[0], (await queues.batch())[-1].sequence)
        await queues.journal.drop(queues.arns[0], 0)
        async with store.journal.lease("a name") as lease:
            assert lease.held
        await store.close()
    finally:
        postgresql_newest.sql(f"DROP OWNED BY {role}", urlsplit(database).path.strip("/"))
        postgresql_newest.sql(f"DROP ROLE {role}")


async def test_a_role_that_may_not_build_is_told(postgresql_newest: PostgreSQL) -> None:
    """Where the schema is missing, the role needs the right to make it; the line says so."""
    postgresql_newest.sql("CREATE ROLE poor LOGIN PASSWORD 'poor'")
    try:
        url = postgresql_newest.url("postgres", "poor", "poor")
        line = await refusal(StoreUnwritable, url)
    finally:
        postgresql_newest.sql("DROP ROLE poor")
    assert "schema greenroom" in line
    assert "start once with a role that may create it" in line


async def test_who_does_not_let_us_in(database: str) -> None:
    """A wrong password, a missing database and a port where nobody is are told apart."""
    parts = urlsplit(database)
    wrong = database.replace(f":{parts.password}@", ":wr0ng@")
    assert "password authentication failed" in await refusal(StoreUnreachable, wrong)
    missing = database.replace(parts.path, "/missing")
    assert 'database "missing" does not exist' in await refusal(StoreUnreachable, missing)
    closed = database.replace(f":{parts.port}/", ":1/")
    line = await refusal(StoreUnreachable, closed)
    assert line.startswith("PostgreSQL at 127.0.0.1:1, database ")
    assert line.endswith("cannot be used: Connection refused")


async def test_the_password_may_come_from_elsewhere(database: str) -> None:
    """A URL without a password is completed at each connection."""
    password = urlsplit(database).password
    assert password is not None
    asked: list[str] = []

    def read() -> str:
        asked.append(password)
        return password

    store = await PostgresStore.open(database.replace(f":{password}@", "@"), read)
    await store.check_writable()
    await store.close()
    assert len(asked) == 2


async def test_a_database_that_only_reads_is_refused(
    database: str, postgresql_newest: PostgreSQL
) -> None:
    """Where transactions are read-only, as on a replica, the start is refused by name."""
    name = urlsplit(database).path.strip("/")
    postgresql_newest.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only replica" in await refusal(StoreUnwritable, database)


async def test_a_replica_is_refused() -> None:
    """A server that follows another one is refused by name, alone and among several."""
    with postgresql(settings=HASTY, files={"standby.signal": b""}) as server:
        url = server.url()
        assert "read-only replica" in await refusal(StoreUnwritable, url)
        several = url.replace("127.0.0.1:", f"127.0.0.1:{server.port},127.0.0.1:")
        assert "none of the servers is the primary" in await refusal(StoreUnwritable, several)


async def test_one_that_comes_to_only_read_is_unavailable(
    database: str, a_node: Open, postgresql_newest: PostgreSQL
) -> None:
    """A database that turns read-only refuses calls, and serves again afterwards, unasked."""
    store = await PostgresStore.open(database, bounds=impatient())
    name = urlsplit(database).path.strip("/")
    postgresql_newest.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end_sessions(postgresql_newest, name)
    with pytest.raises(StorageUnavailable):
        await store.rooms.create(a_room(), PLENTY)
    postgresql_newest.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await asyncio.sleep(LOOK_SECONDS)
    await store.rooms.create(a_room(), PLENTY)
    await store.close()


async def test_an_encoding_that_cannot_hold_every_text_is_refused(
    postgresql_newest: PostgreSQL,
) -> None:
    """A database in another encoding than UTF-8 is refused, and the line says what to do."""
    postgresql_newest.sql(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    try:
        line = await refusal(StoreForeign, postgresql_newest.url("latin"))
    finally:
        postgresql_newest.drop_database("latin")
    assert "ENCODING 'UTF8'" in line


def test_an_old_server_is_refused() -> None:
    """The least version is named."""
    opening.check_version(15, "here")
    with pytest.raises(StoreForeign, match="version 14 is too old; the least is 15"):
        opening.check_version(14, "here")


class Pooled:
    """A connection to a pooler that answers with these backends, one after the other."""

    def __init__(self, *backends: int) -> None:
        self._backends = iter(backends)

    async def fetchval(self, _statement: str) -> int:
        return next(self._backends)

    async def execute(self, _statement: str) -> None: ...


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, 2, 2), (1,)), ((1, 1, 1), (1,)), ((1, 1, 2), (3,))],
    ids=["the first is lent", "both have one", "the second is another"],
)
async def test_a_pooler_that_lends_is_refused(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """A pooler in the mode transaction is told by its connections, and refused by name."""
    with pytest.raises(StoreForeign, match="pgbouncer in the mode transaction"):
        await opening.check_pooler(Pooled(*one), Pooled(*other), "here")  # type: ignore[arg-type]


async def test_a_pooler_that_lends_nothing_more_is_refused() -> None:
    """Where the only connection is lent, or a transaction not allowed, the reason is the same."""

    class Refusing(Pooled):
        async def execute(self, _statement: str) -> None:
            raise asyncpg.ProtocolViolationError

    with pytest.raises(StoreForeign, match="set pool_mode to session"):
        await opening.check_pooler(Pooled(1), Refusing(), "here")  # type: ignore[arg-type]


async def test_a_pooler_with_a_session_each_is_fine() -> None:
    """A pooler in the mode session keeps each connection's own."""
    await opening.check_pooler(Pooled(1, 1, 1), Pooled(2), "here")  # type: ignore[arg-type]


class Looked:
    """A connection that says what is looked at first: the encoding, and whose connection it is."""

    def __init__(self, encoding: str, backend: int) -> None:
        self._row = {"encoding": encoding, "backend": backend}
        self.terminated = False

    def get_server_version(self) -> asyncpg.ServerVersion:
        return asyncpg.ServerVersion(15, 0, 0, "final", 0)

    def get_server_pid(self) -> int:
        return 7

    async def fetchrow(self, _statement: str) -> dict[str, object]:
        return self._row

    def terminate(self) -> None:
        self.terminated = True


@pytest.mark.parametrize(
    ("backend", "lends", "connections"), [(7, False, 0), (8, False, 1), (8, True, 1)]
)
async def test_when_a_pooler_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, backend: int, lends: bool, connections: int
) -> None:
    """Only where the server's process is not the one that the connection began with.

    It takes a connection more, which is given back whatever is found.
    """
    others: list[Looked] = []

    async def another() -> Any:
        others.append(Looked("UTF8", backend))
        return others[-1]

    monkeypatch.setattr(opening, "_are_lent", AsyncMock(return_value=lends))
    first: Any = Looked("UTF8", backend)
    with pytest.raises(StoreForeign, match="pgbouncer") if lends else contextlib.nullcontext():
        await opening._check(first, another, "here")
    assert len(others) == connections
    assert all(each.terminated for each in others)
    assert not first.terminated


async def execute(url: str, statements: str) -> None:
    """Execute statements in a database, as its owner."""
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


async def test_the_page_has_every_table(database: str, a_node: Open) -> None:
    """Who looks up what is kept finds each table, and the number of the lock."""
    await a_node()
    connection = await asyncpg.connect(database)
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'greenroom'"
    )
    await connection.close()
    page = (ROOT / "docs" / "reference" / "postgresql.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    named = {name for row in rows for name in row.split()}
    assert named == {f"`{name}`" for (name,) in tables}
    assert f"(number {LOCK})" in page
