"""A transaction that is kept exactly once, also when its connection is lost while it commits.

It inserts a number of its own into `commits`. Who does not hear the answer to COMMIT asks for that
number with another connection. When it is there, all is kept. When it is not, the question leaves
the number behind, marked as not kept: a commit that is still on its way to a server that stands
still meets it and fails. Where the answer is still open, the database makes the question wait.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from greenroom.storage.postgres.failures import ERRORS, Meaning, meaning_of
from greenroom.storage.postgres.session import Connection

T = TypeVar("T")

READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"
SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"

_MARK = "INSERT INTO commits (number, kept) VALUES ($1, true)"

_ASK = """
INSERT INTO commits AS found (number, kept) VALUES ($1, false)
ON CONFLICT (number) DO UPDATE SET kept = found.kept RETURNING kept
"""

SWEEP = """
DELETE FROM commits WHERE number IN (
    SELECT number FROM commits WHERE at < now() - interval '10 minutes'
    ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED
)
"""


class Commit(Generic[T]):
    """One writing call: a function of a connection, called with one connection after the other."""

    def __init__(self, begin: str, function: Callable[[Connection], Awaitable[T]]) -> None:
        self._begin = begin
        self._function = function
        self._open: tuple[int, T] | None = None

    async def attempt(self, connection: Connection) -> T:
        """Run the function in a transaction, unless an earlier attempt turns out to be kept.

        Raises:
            Exception: what the function raises, or one of `failures.ERRORS`; then try again.
        """
        if self._open is not None:
            number, result = self._open
            if await connection.fetchval(_ASK, number):
                return result
            self._open = None
        await connection.execute(self._begin)
        result = await self._function(connection)
        number = secrets.randbits(63)
        await connection.execute(_MARK, number)
        await self._commit(connection, number, result)
        return result

    async def _commit(self, connection: Connection, number: int, result: T) -> None:
        try:
            await connection.execute("COMMIT")
        except ERRORS as error:
            if meaning_of(error) is Meaning.LOST:
                self._open = number, result
            raise
