"""The schema of the shared database: whether it is ours, and the steps that it has not seen.

- **Once.** All missing steps are one transaction, behind a lock: of several nodes that start
  together one does them, and the others find them done.
- **A schema that is not ours** is not touched, nor one of a newer version.
- **Privileges.** Only missing steps need the right to create tables.
"""

from collections.abc import Sequence

import asyncpg

from greenroom.storage.base import StoreForeign, StoreUnreachable, StoreUnwritable
from greenroom.storage.postgres.session import SCHEMA, Connection
from greenroom.storage.schema import Step

LOCK = 0x47526F6F6D
"""The number of the advisory lock: "GRoom" in ASCII."""

LOCK_SECONDS = 60
"""How long a node waits for another one that does the steps."""

_BEGIN = f"""
BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SET LOCAL statement_timeout = '{LOCK_SECONDS}s';
"""

_OBJECTS = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
"""

_STEPS = """
CREATE TABLE schema_steps (
    number integer PRIMARY KEY,
    done timestamptz NOT NULL DEFAULT now()
)
"""


async def upgrade(connection: Connection, schema: Sequence[Step], where: str) -> None:
    """Bring the database to the newest step; `where` names it in what is refused.

    Raises:
        StoreForeign: what is there is not ours, or of a newer version; it was not touched.
        StoreUnwritable: the role may not create what is missing.
        StoreUnreachable: somebody holds the lock.
    """
    if await newest(connection, schema, where) == schema[-1].number:
        return
    try:
        await connection.execute(_BEGIN)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=LOCK_SECONDS)
        present = await newest(connection, schema, where)
        if present is None:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            await connection.execute(_STEPS)
        for step in schema:
            if step.number > (present or 0):
                await connection.execute(step.sql, timeout=LOCK_SECONDS)
                await connection.execute(
                    "INSERT INTO schema_steps (number) VALUES ($1)", step.number
                )
        await connection.execute("COMMIT")
    except (TimeoutError, asyncpg.LockNotAvailableError) as error:
        raise StoreUnreachable(
            f"{where}: another node, or somebody else, has held the schema {SCHEMA} for"
            f" {LOCK_SECONDS} seconds"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreUnwritable(
            f"{where}: the schema {SCHEMA} cannot be brought to step {schema[-1].number}"
            f" ({str(error).partition(chr(10))[0]}): start once with a role that may create it"
        ) from error


async def newest(connection: Connection, schema: Sequence[Step], where: str) -> int | None:
    """Return the newest step that the database has seen, or None when there is nothing.

    Raises:
        StoreForeign: there is something else, or a newer step.
    """
    objects = {name for (name,) in await connection.fetch(_OBJECTS, SCHEMA)}
    if not objects:
        return None
    if "schema_steps" not in objects:
        raise StoreForeign(
            f"{where}: the schema {SCHEMA} holds tables of another application:"
            " rename it, or choose another database"
        )
    # By its full name: without the right to use a schema its tables are as if they were not there.
    newest: int = await connection.fetchval(
        f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.schema_steps"
    )
    if newest > schema[-1].number:
        raise StoreForeign(
            f"{where} is of a newer version (schema {newest}, this one knows"
            f" {schema[-1].number}): run that version, or choose another database"
        )
    return newest
