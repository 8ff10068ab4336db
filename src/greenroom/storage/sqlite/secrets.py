"""The service's own secrets in SQLite."""

from sqlite3 import Connection

from greenroom.storage.sqlite.worker import SqliteWorker


class SqliteSecrets:
    """`Secrets` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def keep(self, name: str, candidate: bytes) -> bytes:
        return await self._worker.write(_keep, name, candidate)

    async def get(self, name: str) -> bytes | None:
        return await self._worker.read(kept, name)

    async def replace(self, name: str, expected: bytes, replacement: bytes) -> bool:
        return await self._worker.write(_replace, name, expected, replacement)


def kept(connection: Connection, name: str) -> bytes | None:
    """Return what is kept under the name."""
    row = connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
    found: bytes | None = None if row is None else row[0]
    return found


def _keep(connection: Connection, name: str, candidate: bytes) -> bytes:
    connection.execute(
        "INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", (name, candidate)
    )
    found = kept(connection, name)
    return candidate if found is None else found


def _replace(connection: Connection, name: str, expected: bytes, replacement: bytes) -> bool:
    # What is replaced may be a secret in clear: its bytes are overwritten in the file.
    connection.execute("PRAGMA secure_delete = ON")
    changed = connection.execute(
        "UPDATE secrets SET value = ? WHERE name = ? AND value = ?", (replacement, name, expected)
    )
    return changed.rowcount == 1
