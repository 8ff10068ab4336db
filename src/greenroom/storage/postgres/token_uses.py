"""The uses of chat tokens in PostgreSQL: a row for each, until the token has long expired.

All calls that come while a statement is under way are the next statement: the more there are, the
less each costs. Ids are sorted, so that two nodes wait for each other at most one way round. A
statement whose answer was lost is repeated with its number, by which it knows its own rows.
"""

import asyncio
import secrets
from collections.abc import Sequence

import msgspec

from greenroom.storage import rules
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.token_uses import TokenUse

_LANE = "token uses"

BATCH_BOUND = 20_000
"""How many tokens may wait for the statement that is under way; what is more is refused."""

SWEEP_EVERY = 1_000
"""After so many uses the marks of tokens that have long expired go, at most twice as many."""

_REDEEM = """
INSERT INTO redeemed_tokens (token_id, expires, use)
SELECT token_id, expires, $3 FROM unnest($1::bytea[], $2::bigint[]) AS used (token_id, expires)
ON CONFLICT (token_id) DO NOTHING RETURNING token_id
"""

_REDEEM_AGAIN = """
INSERT INTO redeemed_tokens AS kept (token_id, expires, use)
SELECT token_id, expires, $3 FROM unnest($1::bytea[], $2::bigint[]) AS used (token_id, expires)
ON CONFLICT (token_id) DO UPDATE SET use = kept.use WHERE kept.use = excluded.use RETURNING token_id
"""

_SWEEP = """
DELETE FROM redeemed_tokens WHERE token_id IN (
    SELECT token_id FROM redeemed_tokens WHERE expires < $1
    ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


class PostgresTokenUses:
    """`TokenUses` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: _Waiting | None = None
        self._unswept = 0

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self._database.check_open()
        if self._waiting is None or self._waiting.over:
            batch = _Batch()
            self._waiting = _Waiting(batch, self._database.begin(_LANE, batch.attempt))
        batch, answers = self._waiting.batch, self._waiting.answers
        if batch.expires and len(batch.expires) + len(tokens) > BATCH_BOUND:
            raise self._database.refuse()
        place = batch.add(tokens)
        self._sweep(len(tokens), now)
        return (await asyncio.shield(answers))[place]

    def _sweep(self, used: int, now: int) -> None:
        self._unswept += used
        if self._unswept >= SWEEP_EVERY:
            most, self._unswept = 2 * self._unswept, 0
            self._database.aside(_SWEEP, now - rules.REDEEMED_KEPT_MS, most)


class _Batch:
    """The tokens that one statement uses up."""

    def __init__(self) -> None:
        self.begun = False
        self.expires: dict[bytes, int] = {}
        self._calls: list[list[bytes]] = []
        self._number = secrets.randbits(63)

    def add(self, tokens: Sequence[TokenUse]) -> int:
        """Add the tokens of a call; return its place among the answers."""
        ids = [token_id.encode("utf-8", "surrogatepass") for token_id, _ in tokens]
        for token_id, (_, expires) in zip(ids, tokens, strict=True):
            self.expires.setdefault(token_id, expires)
        self._calls.append(ids)
        return len(self._calls) - 1

    async def attempt(self, connection: Connection) -> list[list[bool]]:
        """Use all up; return for each call which of its uses were the first."""
        statement = _REDEEM_AGAIN if self.begun else _REDEEM
        self.begun = True
        ids = sorted(self.expires)
        rows = await connection.fetch(
            statement, ids, [self.expires[each] for each in ids], self._number
        )
        first = {row[0] for row in rows}
        return [[_take(first, each) for each in call] for call in self._calls]


class _Waiting(msgspec.Struct, frozen=True):
    """A batch that more tokens come to, and what will come of it."""

    batch: _Batch
    answers: "asyncio.Task[list[list[bool]]]"

    @property
    def over(self) -> bool:
        """Return whether it takes no more: its statement is under way, or will never be."""
        return self.batch.begun or self.answers.done()


def _take(first: set[bytes], token_id: bytes) -> bool:
    """Return whether the token's first use is still to be had, and take it."""
    if token_id not in first:
        return False
    first.remove(token_id)
    return True
