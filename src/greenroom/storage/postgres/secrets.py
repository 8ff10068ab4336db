"""The service's own secrets in PostgreSQL."""

from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection

_LANE = "secrets"


class PostgresSecrets:
    """`Secrets` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, name: str, candidate: bytes) -> bytes:
        return await self._database.write(_LANE, _keep, name, candidate)

    async def get(self, name: str) -> bytes | None:
        return await self._database.read(kept, name)

    async def replace(self, name: str, expected: bytes, replacement: bytes) -> bool:
        return await self._database.write(_LANE, _replace, name, expected, replacement)


async def kept(connection: Connection, name: str) -> bytes | None:
    """Return the secret kept under the name, or None."""
    found: bytes | None = await connection.fetchval(
        "SELECT value FROM secrets WHERE name = $1", name
    )
    return found


async def _keep(connection: Connection, name: str, candidate: bytes) -> bytes:
    await connection.execute(
        "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, candidate
    )
    found = await kept(connection, name)
    return candidate if found is None else found


async def _replace(connection: Connection, name: str, expected: bytes, replacement: bytes) -> bool:
    changed = await connection.execute(
        "UPDATE secrets SET value = $1 WHERE name = $2 AND value = $3",
        *(replacement, name, expected),
    )
    return changed == "UPDATE 1"
