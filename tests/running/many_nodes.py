"""With CLUSTER_NODES=2 tests speak to two nodes of a cluster behind one port.

They are those of `e2e` and `interop`. With CLUSTER_PROCESSES=2 each node has two processes. What
cannot, and why, is in `alone`.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripts.servers.accounts import account_url, accounts
from scripts.servers.nats_server import NatsServer
from scripts.servers.node import new_secrets_key
from scripts.servers.postgresql import PostgreSQL
from tests.running import service
from tests.running.asked import NODES, PROCESSES, TOGETHER
from tests.running.cluster import Place, as_one_service
from tests.running.service import Service

ACCOUNTS = 400
"""More than there are data directories in the tests of a worker."""


@pytest.fixture(scope="session")
def many_nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Have `running` run as many nodes as were asked for."""
    if not TOGETHER:
        yield
        return
    database = request.getfixturevalue("postgresql_newest")
    server = NatsServer(tmp_path_factory.mktemp("nats-of-many"), extra=accounts(ACCOUNTS))
    # It promises streams to each account, and no more than it has.
    lines = server.configuration.read_text()
    server.configuration.write_text(
        lines.replace("jetstream {", "jetstream { max_file_store: 1TB,")
    )
    try:
        server.start()
        service.in_its_place = partial(_several, {}, server, database)
        yield
    finally:
        service.in_its_place = None
        server.stop()


@contextlib.contextmanager
def _several(
    places: dict[Path, Place],
    server: NatsServer,
    database: PostgreSQL,
    data_dir: Path,
    *options: str,
    **variables: str,
) -> Iterator[Service]:
    """Run nodes on what a data directory stands for: the same when it is started again."""
    if data_dir not in places:
        storage = database.create_database(f"many_{len(places)}")
        places[data_dir] = Place(
            data_dir, storage, account_url([server], len(places)), new_secrets_key()
        )
    with as_one_service(
        places[data_dir], NODES, *options, GREENROOM_PROCESSES=str(PROCESSES), **variables
    ) as together:
        yield together
