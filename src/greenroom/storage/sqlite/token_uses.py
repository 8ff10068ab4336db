"""The uses of chat tokens in SQLite: a row for each, until the token has long expired."""

from collections.abc import Sequence
from sqlite3 import Connection

from greenroom.storage import rules
from greenroom.storage.sqlite.worker import SqliteWorker
from greenroom.storage.token_uses import TokenUse


class SqliteTokenUses:
    """`TokenUses` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker
        self._unpruned = 0

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self._unpruned += len(tokens)
        prune, prune_before = 0, now - rules.REDEEMED_KEPT_MS
        if self._unpruned >= rules.PRUNE_EVERY:
            prune, self._unpruned = 2 * self._unpruned, 0
        return await self._worker.write(_redeem, tokens, prune, prune_before)


def _redeem(
    connection: Connection, tokens: Sequence[TokenUse], prune: int, prune_before: int
) -> list[bool]:
    """Mark the tokens; return for each whether it was not marked yet.

    First remove up to `prune` marks of tokens that expired before `prune_before`.
    """
    if prune:
        connection.execute(
            "DELETE FROM redeemed_tokens WHERE (expires, token_id) IN (SELECT expires, token_id"
            " FROM redeemed_tokens WHERE expires < ? ORDER BY expires, token_id LIMIT ?)",
            (prune_before, prune),
        )
    insert = "INSERT OR IGNORE INTO redeemed_tokens (token_id, expires) VALUES (?, ?)"
    return [connection.execute(insert, token).rowcount == 1 for token in tokens]
