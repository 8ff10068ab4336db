"""PostgreSQL on loopback, with a superuser and a user that owns the databases."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.servers.ports import free_port
from scripts.servers.postgresql_installation import (
    PASSWORD,
    SUPERUSER,
    USER,
    Installation,
    new_folder,
    newest,
    owner,
    prepared,
)
from scripts.servers.process import ServerFailed, ServerProcess


class PostgreSQL(ServerProcess):
    """One server on data of its own.

    Args:
        settings: further ones of its configuration.
        files: what else is to lie in its data directory, by name, such as a certificate or
            `standby.signal`, which makes it a replica that only reads.
        installation: which PostgreSQL; by default that of PyPI's wheel.
    """

    stop_signal = signal.SIGINT
    """A fast shutdown: transactions under way end, clients are disconnected."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        installation: Installation | None = None,
    ) -> None:
        found = prepared(installation or newest())
        self.folder = new_folder()
        super().__init__("PostgreSQL", self.folder / "postgresql.log")
        self.port = free_port()
        self.data = self.folder / "data"
        self.settings = dict(settings or {})
        self._installation = found.installation
        # A thousand files, with their owners: Python takes four times as long.
        subprocess.run(["/bin/cp", "-RPp", found.data, self.data], check=True)
        for name, content in (files or {}).items():
            (self.data / name).touch(mode=0o600)
            (self.data / name).write_bytes(content)
            if owner()[0] >= 0:
                os.chown(self.data / name, *owner())

    def url(self, database: str = "postgres", user: str = USER, password: str = PASSWORD) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database, and return its URL."""
        self.sql(f'CREATE DATABASE "{name}" OWNER {USER}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Let the superuser execute a statement; return what it prints.

        Raises:
            ServerFailed: it cannot.
        """
        done = subprocess.run(
            [newest().program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": SUPERUSER,
                "PGPASSWORD": PASSWORD,
                "PGDATABASE": database,
            },
        )
        if done.returncode:
            raise ServerFailed(f"{statement}: {done.stderr}")
        return done.stdout.strip()

    def command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            **self.settings,
        }
        told = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._installation.program("postgres"), "-D", self.data, *told]

    def owner(self) -> tuple[int, int]:
        return owner()

    def environment(self) -> Mapping[str, str]:
        return self._installation.environment()

    def is_ready(self) -> bool:
        """Return whether it takes connections: the last line of its file of the process says so."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self.pid

    def remove(self) -> None:
        """End it and delete its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def postgresql(
    *,
    settings: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    installation: Installation | None = None,
) -> Iterator[PostgreSQL]:
    """Run a server for the length of a `with` block; its data ends with it."""
    server = PostgreSQL(settings=settings, files=files, installation=installation)
    try:
        server.start()
        yield server
    finally:
        server.remove()
