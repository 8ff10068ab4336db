"""With CLUSTER_NODES=2 these tests speak to two nodes of a cluster behind one port.

With CLUSTER_PROCESSES=2 each node has two processes. What cannot, and why, is in `ALONE`.
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

FILES = "it is about SQLite's files, and the directory that they are in"
PROCESS = "it starts, ends, fills or measures one process, or reads what it says of itself"
OWN = (
    "audit logs, limits of addresses and of a node, and certificates for trials are each node's own"
)
AT_ONCE = "what is done on one node holds on another when that has heard of it"

ALONE = {
    "test_audit_log.py": OWN,
    "test_backup.py": FILES,
    "test_bench_command.py": PROCESS,
    "test_chat_log_exactness.py": PROCESS,
    "test_chat_log_full_disk.py": FILES,
    "test_command.py": PROCESS,
    "test_descriptors.py": PROCESS,
    "test_durability.py": FILES,
    "test_full_disk_start.py": FILES,
    "test_full_log.py": PROCESS,
    "test_health.py": PROCESS,
    "test_held.py": PROCESS,
    "test_limits.py": OWN,
    "test_log_bounds.py": PROCESS,
    "test_log_secrets.py": PROCESS,
    "test_metrics.py": PROCESS,
    "test_proxies.py": OWN,
    "test_streams.py": PROCESS,
    "test_systemd.py": PROCESS,
    "test_takeover.py": PROCESS,
    "test_tls.py": OWN,
    "test_what_a_person_meets.py": PROCESS,
    "test_write_lock.py": FILES,
    "[https": OWN,
    "test_admin.py::test_sessions_are_ended_at_once": OWN,
    "test_advisories.py::test_nothing_else_listens": PROCESS,
    "test_connections.py::test_connections_quota": AT_ONCE,
    "test_connections.py::test_deleted_room_keeps_connections": AT_ONCE,
    "test_connections.py::test_open_connection_misses_nothing": AT_ONCE,
    "test_connections.py::test_silent_peer_is_dropped": PROCESS,
    "test_connections.py::test_slow_reader": PROCESS,
    "test_connections.py::test_vanished_clients": PROCESS,
    "test_connections.py::test_a_thousand_idle_connections": PROCESS,
    "test_identities.py::test_a_wrong_master_key_refuses_the_start": FILES,
    "test_identities.py::test_an_account_is_suspended_by_command": OWN,
    "test_identities.py::test_moderation_by_chat_users_is_audited": OWN,
    "test_identities.py::test_the_audit_log": OWN,
    "test_identities.py::test_users_survive_kill_9": FILES,
    "test_operator_commands.py::test_doctor": FILES,
    "test_operator_commands.py::test_examples_work": FILES,
    "test_operator_permissions.py::test_who_did_it_is_audited": OWN,
    "test_operator_permissions.py": AT_ONCE,
    "test_regions.py::test_rooms_that_are_no_longer_served": PROCESS,
    "test_review.py::test_a_review_under_way_at_the_end": PROCESS,
    "test_room_commands.py::test_tokens_are_for_pasting": PROCESS,
    "test_tls_records.py": OWN,
    "test_token_keys.py::test_a_killed_key": AT_ONCE,
    "test_token_keys.py::test_killing_the_current_key": AT_ONCE,
}
"""Parts of the names of tests that speak to one process whatever is asked for, and why."""

ACCOUNTS = 400
"""More than there are data directories in the tests of a worker."""


@pytest.fixture(scope="session", autouse=True)
def over_nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Have `running` run as many nodes as were asked for."""
    if not TOGETHER:
        yield
        return
    database = request.getfixturevalue("postgresql_newest")
    server = NatsServer(tmp_path_factory.mktemp("nats-e2e"), extra=accounts(ACCOUNTS))
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
        storage = database.create_database(f"e2e_{len(places)}")
        places[data_dir] = Place(
            data_dir, storage, account_url([server], len(places)), new_secrets_key()
        )
    with as_one_service(
        places[data_dir], NODES, *options, GREENROOM_PROCESSES=str(PROCESSES), **variables
    ) as together:
        yield together


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot be over several nodes."""
    for item in items if TOGETHER else ():
        reasons = [why for part, why in ALONE.items() if part in item.nodeid]
        if item.path.parent == Path(__file__).parent and reasons:
            item.add_marker(pytest.mark.skip(reason=reasons[0]))
