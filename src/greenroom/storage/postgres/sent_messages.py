"""Messages that were sent over HTTP, in PostgreSQL: a row for each, for ten minutes."""

from greenroom.model.sent_message import KEPT_MS, SentMessage
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.rows import SENT_COLUMNS, sent_from, sent_row
from greenroom.storage.rules import PRUNE_EVERY

_SWEEP = """
DELETE FROM sent_messages WHERE key IN (
    SELECT key FROM sent_messages WHERE asked_at <= $1
    ORDER BY asked_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""

_CLAIM = f"""
INSERT INTO sent_messages AS kept ({SENT_COLUMNS}) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint,
    message_id = excluded.message_id, asked_at = excluded.asked_at, time_ns = excluded.time_ns
WHERE kept.asked_at <= $6 RETURNING 1
"""


class PostgresSentMessages:
    """`SentMessages` in the database; a lane for each key, so that others do not wait for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unswept = 0

    async def claim(self, sent: SentMessage) -> SentMessage | None:
        self._unswept += 1
        if self._unswept >= PRUNE_EVERY:
            most, self._unswept = 2 * self._unswept, 0
            self._database.aside(_SWEEP, sent.asked_at - KEPT_MS, most)
        return await self._database.write(_lane(sent), _claim, sent)

    async def settle(self, sent: SentMessage) -> None:
        await self._database.write(_lane(sent), _settle, sent)

    async def release(self, sent: SentMessage) -> None:
        await self._database.write(_lane(sent), _release, sent)


def _lane(sent: SentMessage) -> str:
    return f"sent {sent.key}"


async def _claim(connection: Connection, sent: SentMessage) -> SentMessage | None:
    # The row of another node that is about to claim is waited for.
    if await connection.fetchval(_CLAIM, *sent_row(sent), sent.asked_at - KEPT_MS):
        return None
    found = await connection.fetchrow(
        f"SELECT {SENT_COLUMNS} FROM sent_messages WHERE key = $1", sent.key
    )
    # Released in between, which it would have been told had it asked a little later.
    return await _claim(connection, sent) if found is None else sent_from(tuple(found))


async def _settle(connection: Connection, sent: SentMessage) -> None:
    await connection.execute(
        "UPDATE sent_messages SET time_ns = $1 WHERE key = $2 AND message_id = $3",
        sent.time_ns,
        sent.key,
        sent.message_id,
    )


async def _release(connection: Connection, sent: SentMessage) -> None:
    await connection.execute(
        "DELETE FROM sent_messages WHERE key = $1 AND message_id = $2", sent.key, sent.message_id
    )
