"""Look at a database as a start would, and change nothing."""

import msgspec

from greenroom.storage.postgres import opening, regions, secrets
from greenroom.storage.postgres.session import Connection, Password, Waits
from greenroom.storage.postgres.upgrading import newest
from greenroom.storage.schema import POSTGRES, steps

_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class Inspection(msgspec.Struct, frozen=True):
    """What there is."""

    where: str
    """The database in words."""
    exists: bool
    """Whether our schema is there."""
    kept: bytes | None
    """The secret that was asked for."""
    version: str
    """The server's."""
    clock_ns: int
    """Its wall clock, in nanoseconds since the epoch."""
    regions: frozenset[str]
    """Where any account has a room or a logging configuration."""
    schema: int
    """The last step that the database has seen; a start runs those after it."""


async def inspect(url: str, password: Password, secret: str) -> Inspection:
    """Look at the database of the URL.

    Raises:
        StoreRefused: a start would be refused; see `PostgresStore.open`.
    """

    async def look(connection: Connection, where: str) -> Inspection:
        step = await newest(connection, steps(POSTGRES), where)
        kept = None if step is None else await secrets.kept(connection, secret)
        used = frozenset() if step is None else await regions.in_use(connection)
        version = connection.get_server_version()
        clock_ns = 1_000 * await connection.fetchval(_CLOCK)
        shown = f"{version.major}.{version.minor}"
        return Inspection(where, step is not None, kept, shown, clock_ns, used, step or 0)

    return await opening.visit(url, password, Waits(), look)
