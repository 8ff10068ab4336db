"""Debian's haproxy and nginx with the configurations of `deploy`, in front of a test's services."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from scripts.servers.ports import free_port
from tests.running.service import STARTUP_SECONDS, Service

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / "build" / "proxies"
"""`scripts/proxies` brings them."""

DEPLOY = ROOT / "deploy"

NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {file};
}}
"""


def program(name: str) -> Path:
    """Return the path of a proxy; without it the test is skipped."""
    path = UNPACKED / "usr" / "sbin" / name
    if sys.platform != "linux" or not path.exists():
        pytest.skip(f"needs Debian's {name} unpacked: scripts/proxies")
    return path


@contextlib.contextmanager
def haproxy(directory: Path, name: str, services: Sequence[Service]) -> Iterator[int]:
    """Run haproxy with a configuration of `deploy/haproxy`; give its port."""
    port = free_port()
    file = directory / name
    file.write_text(_adapted(DEPLOY / "haproxy" / name, services, port))
    with _running([program("haproxy"), "-db", "-f", file], directory / f"{name}.log", port):
        yield port


@contextlib.contextmanager
def nginx(directory: Path, services: Sequence[Service]) -> Iterator[int]:
    """Run nginx with the configuration of `deploy/nginx`; give its port."""
    port = free_port()
    (directory / "greenroom.conf").write_text(
        _adapted(DEPLOY / "nginx" / "greenroom.conf", services, port)
    )
    file = directory / "nginx.conf"
    file.write_text(NGINX.format(directory=directory, file=directory / "greenroom.conf"))
    command: list[str | Path] = [program("nginx"), "-p", directory, "-c", file]
    with _running(command, directory / "nginx.out", port):
        yield port


def behind(service: Service, port: int) -> Service:
    """Return a service as who comes through a proxy at a port reaches it."""
    own = service.api_url.rpartition(":")[2]
    urls = {
        name: str(service.ready[name]).replace(f":{own}", f":{port}")
        for name in ("api_url", "websocket_url")
    }
    return msgspec.structs.replace(service, ready={**service.ready, **urls})


def _adapted(source: Path, services: Sequence[Service], port: int) -> str:
    """Return a configuration with other addresses: the nodes', and one to listen at."""
    # As many connections as they would have take more open files than a process of a test may have.
    text = source.read_text().replace("maxconn 100000", "maxconn 2000")
    for number in (1, 2, 3):
        there = f" node-{number}:8470"
        assert there in text
        if number <= len(services):
            own = services[number - 1].api_url.rpartition(":")[2]
            text = text.replace(there, f" 127.0.0.1:{own}")
        else:
            text = re.sub(rf"^.*{there}.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^( *bind) :\d+$", rf"\1 127.0.0.1:{port}", text, flags=re.MULTILINE)
    return re.sub(r"^( *listen) \d+;$", rf"\1 127.0.0.1:{port};", text, flags=re.MULTILINE)


@contextlib.contextmanager
def _running(command: Sequence[str | Path], log: Path, port: int) -> Iterator[None]:
    libraries = {str(path.parent) for path in UNPACKED.rglob("*.so*")}
    variables = {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
