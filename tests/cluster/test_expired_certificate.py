"""A certificate that expires while nodes serve: the operator is told, and a new one is enough.

What a server shows from then on is one that has expired; connections that there are go on.
"""

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from scripts.servers.nats_server import NatsServer, nats_server
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.postgresql_installation import oldest
from tests.running.cluster import hear, nodes, place, say, viewers
from tests.running.said import assert_no_faults, entries, failing, samples, until
from tests.running.service import Service
from tests.stand_ins.certificates import Authority, Files

ENCRYPTED = {"ssl": "on", "fsync": "off"}


def show(server: PostgreSQL, files: Files) -> None:
    """Have a server show another certificate to whoever connects from now on, as all must."""
    (server.data / "server.crt").write_bytes(files.certificate.read_bytes())
    (server.data / "server.key").write_bytes(files.key.read_bytes())
    server.sql("SELECT pg_reload_conf()")
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give who signs the certificates."""
    return Authority(tmp_path)


@pytest.fixture
def encrypting(authority: Authority) -> Iterator[PostgreSQL]:
    """Give a PostgreSQL with a certificate that is good."""
    installation = oldest()
    if installation is None:
        pytest.skip("the newest PostgreSQL of PyPI has no TLS, and Debian's is not here")
    files = authority.certificate("good", datetime.now(UTC) + timedelta(days=1))
    kept = {"server.crt": files.certificate.read_bytes(), "server.key": files.key.read_bytes()}
    with postgresql(settings=ENCRYPTED, files=kept, installation=installation) as server:
        yield server


async def test_postgresql(
    tmp_path: Path, encrypting: PostgreSQL, authority: Authority, bus_url: str
) -> None:
    """The log says what it is and the alert's metric counts; rooms chat on; it heals by itself."""
    url = encrypting.create_database("rooms")
    there = place(tmp_path, f"{url}?sslmode=verify-full&sslrootcert={authority.file}", bus_url)
    with nodes(there, 1) as (service,):
        room = service.boto3().create_room()["arn"]
        async with viewers([service], room) as (viewer,):
            now = datetime.now(UTC)
            expired = authority.certificate("expired", now - timedelta(minutes=1))
            await asyncio.to_thread(show, encrypting, expired)
            await asyncio.to_thread(until, lambda: _status(service) == 503, "a call is refused")
            (told, *_) = entries(service, "store cannot answer")
            assert "certificate has expired" in told["reason"]
            assert samples(service)["greenroom_store_failures_total"] > 0
            await say(viewer, "on")
            assert (await hear(viewer)).content == "on"
            renewed = authority.certificate("renewed", now + timedelta(days=1))
            await asyncio.to_thread(show, encrypting, renewed)
            await asyncio.to_thread(until, lambda: _status(service) == 200, "calls are answered")
            assert entries(service, "store answers again")
        assert_no_faults(service)


async def test_nats(tmp_path: Path, database: str, authority: Authority) -> None:
    """The log says what it is, health and the alert's metric tell; a renewed one is enough."""
    now = datetime.now(UTC)
    files = authority.certificate("nats", now + timedelta(days=1))
    tls = f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}\n'
    with nats_server(tmp_path / "nats", extra=tls) as server:
        there = place(tmp_path, database, server.url.replace("nats://", "tls://"))
        with nodes(there, 1, bus_tls_ca_file=str(authority.file)) as (service,):
            room = service.boto3().create_room()["arn"]
            async with viewers([service], room) as (viewer,):
                expired = authority.certificate("expired", now - timedelta(minutes=1))
                await asyncio.to_thread(show_anew, service, server, files, expired)
                await asyncio.to_thread(until, lambda: _not_connected(service), "it is told why")
                assert samples(service)["greenroom_bus_connected"] == 0
                assert "bus" in failing(service)
                assert _status(service) == 200
                renewed = authority.certificate("renewed", now + timedelta(days=1))
                await asyncio.to_thread(show_anew, service, server, files, renewed)
                await asyncio.to_thread(until, lambda: not failing(service), "all is well again")
                await say(viewer, "on")
                assert (await hear(viewer)).content == "on"
            assert_no_faults(service)


def show_anew(service: Service, server: NatsServer, shown: Files, files: Files) -> None:
    """Have a server show another certificate, and a node connect again when it is back."""
    # It would tell first that the server is away, and for ten seconds nothing more of the kind.
    service.process.send_signal(signal.SIGSTOP)
    server.stop()
    shown.certificate.write_bytes(files.certificate.read_bytes())
    shown.key.write_bytes(files.key.read_bytes())
    server.start()
    service.process.send_signal(signal.SIGCONT)


def _not_connected(service: Service) -> bool:
    lines = entries(service, "NATS cannot be used: trying again")
    return any("not accepted: certificate has expired" in each["reason"] for each in lines)


def _status(service: Service) -> int:
    try:
        answer = service.boto3().create_room()
    except ClientError as error:
        answer = error.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])
