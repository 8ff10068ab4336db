"""pgbouncer of Debian, unpacked by `scripts/pgbouncer`, in front of a PostgreSQL."""

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scripts.servers.ports import free_port
from scripts.servers.postgresql_installation import new_folder, owner
from scripts.servers.process import ServerProcess

UNPACKED = Path(__file__).parents[2] / "build" / "pgbouncer"
PROGRAM = Path("usr/sbin/pgbouncer")


def is_here() -> bool:
    """Return whether it was unpacked."""
    return (UNPACKED / PROGRAM).exists()


class PgBouncer(ServerProcess):
    """Lends its connections to a database for a session, a transaction or a statement."""

    def __init__(self, database: str, mode: str) -> None:
        """Make it; `database` is a URL with a password."""
        # It refuses root, as PostgreSQL does: whoever runs it reads copies.
        self._folder = new_folder()
        super().__init__(f"pgbouncer in the mode {mode}", self._folder / "pgbouncer.log")
        self._programs = self._folder / "programs"
        shutil.copytree(UNPACKED, self._programs, symlinks=True)
        self._configuration = self._folder / "pgbouncer.ini"
        self._port = free_port()
        server = urlsplit(database)
        name = server.path.strip("/")
        self.url = f"postgresql://{server.username}@127.0.0.1:{self._port}/{name}"
        told = f"host={server.hostname} port={server.port} user={server.username}"
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": f"{self._port}",
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
        }
        lines = ["[databases]", f"{name} = {told} password={server.password}", "[pgbouncer]"]
        lines += [f"{option} = {value}" for option, value in options.items()]
        self._configuration.write_text("\n".join([*lines, ""]))

    def command(self) -> Sequence[str | Path]:
        return [self._programs / PROGRAM, self._configuration]

    def owner(self) -> tuple[int, int]:
        return owner()

    def environment(self) -> Mapping[str, str]:
        libraries = {str(found.parent) for found in self._programs.rglob("lib*.so.*")}
        return {"LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))}

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port)).close()
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """End it, and delete what it had."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
