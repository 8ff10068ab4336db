"""PostgreSQL and NATS for tests: started once in each worker, fresh inside for each test.

Three servers of NATS are started for each file that asks for them.
"""

import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import nats
import pytest

from scripts.servers.accounts import account_url, accounts
from scripts.servers.nats_server import OLDEST, NatsServer, nats_cluster, nats_server
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import oldest

ACCOUNTS = 250
"""How many tests of one worker may ask for an account."""

_accounts = itertools.count()
_databases = itertools.count()


@pytest.fixture(scope="session")
def nats_r1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NatsServer]]:
    """Give one nats-server, as a list."""
    with nats_server(tmp_path_factory.mktemp("nats"), extra=accounts(ACCOUNTS)) as server:
        yield [server]


@pytest.fixture(scope="module")
def nats_r3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NatsServer]]:
    """Give three nats-servers that replicate; idle for half a minute they cost another start."""
    with nats_cluster(tmp_path_factory.mktemp("nats-r3"), extra=accounts(ACCOUNTS)) as servers:
        yield servers


@pytest.fixture(scope="session")
def nats_oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NatsServer]]:
    """Give one nats-server of the oldest supported version, as a list."""
    if not OLDEST.exists():
        reason = "needs the oldest nats-server: scripts/install nats-oldest"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("nats-oldest")
    with nats_server(directory, extra=accounts(ACCOUNTS), program=OLDEST) as server:
        yield [server]


@pytest.fixture(scope="session")
def postgresql_newest() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL of the newest version."""
    with postgresql(settings=HASTY) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_oldest() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL 15, Debian's; without its packages the test is skipped."""
    installation = oldest()
    if installation is None:
        pytest.skip("needs Debian's postgresql-15 unpacked: scripts/postgresql-15")
    with postgresql(settings=HASTY, installation=installation) as server:
        yield server


HASTY = {"fsync": "off"}
"""Tests kill processes, never the machine."""

END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database() AND backend_type = 'client backend'"
)
"""Ends all other connections to a database; the server's own, such as autovacuum's, may stay."""


@contextlib.contextmanager
def fresh_database(server: PostgreSQL) -> Iterator[str]:
    """Give the URL of an empty database for the length of a `with` block."""
    name = f"test_{next(_databases)}"
    yield server.create_database(name)
    server.drop_database(name)


def new_account(servers: list[NatsServer]) -> str:
    """Return the setting `bus` of an account that nobody else has."""
    number = next(_accounts)
    assert number < ACCOUNTS, "more tests than accounts: raise their number"
    return account_url(servers, number)


@contextlib.asynccontextmanager
async def fresh_account(servers: list[NatsServer]) -> AsyncIterator[str]:
    """Give the setting `bus` of an account without streams; they end with the block."""
    url = new_account(servers)
    yield url
    client = await nats.connect(url.split(","))
    for stream in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(str(stream.config.name))
    await client.close()


@pytest.fixture
def database(postgresql_newest: PostgreSQL) -> Iterator[str]:
    """Give the URL of an empty database of the newest PostgreSQL."""
    with fresh_database(postgresql_newest) as url:
        yield url


@pytest.fixture
async def bus_url(nats_r1: list[NatsServer]) -> AsyncIterator[str]:
    """Give the setting `bus` of an account without streams, of one nats-server."""
    async with fresh_account(nats_r1) as url:
        yield url
