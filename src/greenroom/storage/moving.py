"""Move all that is kept from one kind of database to the other, and see that it is there.

What is read is hashed on its way, and what was written is read back and hashed as well: each table
has as many rows in the target as in the source, with the same values. Only then it is kept there.
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec

from greenroom.storage.base import StoreRefused
from greenroom.storage.tables import TABLES, Row, Table

ROWS = 2_000
"""How many rows are under way at a time."""

Progress = Callable[[str, int], None]
"""Is told of each table by its name that so many rows more were copied, or read back."""


class Held(msgspec.Struct, frozen=True):
    """What a table holds: how many rows, and the SHA-256 of their values in order."""

    rows: int
    sha256: str


class Contents(msgspec.Struct, frozen=True):
    """What a database holds, by table; `numbers` is the highest number that a record ever had."""

    tables: Mapping[str, Held]
    numbers: int

    @property
    def rows(self) -> int:
        """Return the number of all rows."""
        return sum(held.rows for held in self.tables.values())

    @property
    def sha256(self) -> str:
        """Return one hash for all."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def difference(self, expected: "Contents") -> str:
        """Return in words what is not as expected, or "" when nothing is."""
        for name, held in self.tables.items():
            wanted = expected.tables[name]
            if held.rows != wanted.rows:
                return f"{name} has {held.rows:,} rows instead of {wanted.rows:,}"
            if held != wanted:
                return f"{name} has other values"
        return "" if self.numbers == expected.numbers else "the journal's numbers are others"


class Source(Protocol):
    """A database that nobody else uses, and that can be read; `where` names it in words."""

    where: str

    async def counts(self) -> dict[str, int]:
        """Return the number of rows of each of `TABLES`."""

    def rows(self, table: Table) -> AsyncGenerator[list[Row], None]:
        """Give all rows of a table in its order, up to `ROWS` at a time."""

    async def numbers(self) -> int:
        """Return the highest number that a record of the journal ever had, 0 for none."""


class Target(Source, Protocol):
    """A database that is empty, and filled."""

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Write rows of a table, all those before it being there."""

    async def finish(self, numbers: int) -> None:
        """Write what follows from all rows, and the highest number of a record."""


class NotMoved(StoreRefused):
    """What was written is not what was read."""


async def move(source: Source, target: Target, progress: Progress) -> Contents:
    """Write all of the source into the target, and read it back.

    Raises:
        NotMoved: it is not there as it was read.
    """
    read = await _contents(source, progress, target.add)
    await target.finish(read.numbers)
    different = (await contents(target, progress)).difference(read)
    if different:
        raise NotMoved(
            f"{target.where} does not hold what {source.where} does: {different}; it was not kept"
        )
    return read


async def contents(database: Source, progress: Progress) -> Contents:
    """Read all of a database, and return what it holds."""
    return await _contents(database, progress, _leave)


async def _contents(
    database: Source,
    progress: Progress,
    do: Callable[[Table, Sequence[Row]], Awaitable[None]],
) -> Contents:
    held: dict[str, Held] = {}
    for table in TABLES:
        digest, number = hashlib.sha256(), 0
        progress(table.name, 0)
        async with aclosing(database.rows(table)) as some:
            async for rows in some:
                for row in rows:
                    digest.update(f"{row!r}\n".encode())
                await do(table, rows)
                number += len(rows)
                progress(table.name, len(rows))
        held[table.name] = Held(number, digest.hexdigest())
    return Contents(held, await database.numbers())


async def _leave(table: Table, rows: Sequence[Row]) -> None:
    """Do nothing with them."""
