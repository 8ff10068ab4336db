"""Messages that were sent over HTTP, in SQLite: a row for each, for ten minutes."""

from sqlite3 import Connection

from greenroom.model.sent_message import KEPT_MS, SentMessage
from greenroom.storage.rows import SENT_COLUMNS, sent_from, sent_row
from greenroom.storage.rules import PRUNE_EVERY
from greenroom.storage.sqlite.worker import SqliteWorker


class SqliteSentMessages:
    """`SentMessages` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker
        self._unpruned = 0

    async def claim(self, sent: SentMessage) -> SentMessage | None:
        self._unpruned += 1
        prune = 0
        if self._unpruned >= PRUNE_EVERY:
            prune, self._unpruned = 2 * self._unpruned, 0
        return await self._worker.write(_claim, sent, prune)

    async def settle(self, sent: SentMessage) -> None:
        await self._worker.write(_settle, sent)

    async def release(self, sent: SentMessage) -> None:
        await self._worker.write(_release, sent)


def _claim(connection: Connection, sent: SentMessage, prune: int) -> SentMessage | None:
    over = sent.asked_at - KEPT_MS
    if prune:
        connection.execute(
            "DELETE FROM sent_messages WHERE key IN"
            " (SELECT key FROM sent_messages WHERE asked_at <= ? ORDER BY asked_at LIMIT ?)",
            (over, prune),
        )
    connection.execute(
        "DELETE FROM sent_messages WHERE key = ? AND asked_at <= ?", (sent.key, over)
    )
    inserted = connection.execute(
        f"INSERT OR IGNORE INTO sent_messages ({SENT_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        sent_row(sent),
    )
    if inserted.rowcount == 1:
        return None
    found = connection.execute(
        f"SELECT {SENT_COLUMNS} FROM sent_messages WHERE key = ?", (sent.key,)
    )
    return sent_from(found.fetchone())


def _settle(connection: Connection, sent: SentMessage) -> None:
    connection.execute(
        "UPDATE sent_messages SET time_ns = ? WHERE key = ? AND message_id = ?",
        (sent.time_ns, sent.key, sent.message_id),
    )


def _release(connection: Connection, sent: SentMessage) -> None:
    connection.execute(
        "DELETE FROM sent_messages WHERE key = ? AND message_id = ?", (sent.key, sent.message_id)
    )
