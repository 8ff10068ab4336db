"""A node of a cluster on this machine: `greenroom serve` on a PostgreSQL and NATS."""

import base64
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from scripts.servers.process import ServerProcess


def new_secrets_key() -> str:
    """Return a key for the secrets that the nodes of a cluster share."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


class Node(ServerProcess):
    """One node; what it is to itself is in a directory of its own.

    Args:
        directory: where its log, its ready file and its data directory are.
        name: what it is called.
        storage: the URL of the database.
        bus: the URLs of NATS.
        secrets_key: the same for all nodes.
        port: the port to listen on; 0 takes a free one, and another one at each start unless it
            is told to `stay`.
        settings: further settings, by name.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        storage: str,
        bus: str,
        secrets_key: str,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        # Also chat logs' directory, which nodes share: a start makes none.
        (directory / "chat-logs").mkdir(parents=True, exist_ok=True)
        super().__init__(name, directory / f"{name}.log")
        self.ready_file = directory / f"{name}.ready.json"
        self.data = directory / name
        self.port = port
        self.settings = {
            "storage": storage,
            "bus": bus,
            "secrets_key": secrets_key,
            "chat_log_dir": str(directory / "chat-logs"),
            **(settings or {}),
        }

    @property
    def ready(self) -> dict[str, object]:
        """Return what its ready file says."""
        found: dict[str, object] = json.loads(self.ready_file.read_text())
        return found

    def stay(self) -> None:
        """Have the port on from now that it had last, where it took a free one."""
        self.port = self.port or urlsplit(str(self.ready["api_url"])).port or 0

    def command(self) -> list[str | Path]:
        place: list[str | Path] = ["--port", str(self.port), "--data-dir", self.data]
        told: list[str | Path] = ["--ready-file", self.ready_file, *place]
        return [sys.executable, "-m", "greenroom", "serve", *told]

    def environment(self) -> Mapping[str, str]:
        """Return its settings: passwords are not to be seen in the list of processes."""
        return {f"GREENROOM_{name.upper()}": value for name, value in self.settings.items()}

    def is_ready(self) -> bool:
        """Return whether this start of it has written its ready file."""
        try:
            return bool(self.ready["pid"] == self.pid)
        except (FileNotFoundError, json.JSONDecodeError):
            return False
