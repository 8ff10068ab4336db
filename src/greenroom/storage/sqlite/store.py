"""The embedded store: one SQLite file, for one process.

- **Durability.** WAL with `synchronous = FULL`: an answered write also survives a power failure, as
  far as the disk keeps what it has synchronised.
- **Reads** have a connection of their own and wait for no write.
- **Order, atomicity, bounds, failures**: see `sqlite_worker`, through which every call goes.
- **Opening**: see `sqlite_file` for what is refused, and `sqlite_lock` for the directory's lock.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage import rules
from greenroom.storage.base import LoggingConfigurationPage, RoomCursor, RoomPage, TokenUse
from greenroom.storage.identity_rules.calls import Identities
from greenroom.storage.sqlite import file as sqlite_file
from greenroom.storage.sqlite import logging_configurations as configurations
from greenroom.storage.sqlite import marks, regions, rooms
from greenroom.storage.sqlite.file import DatabaseFile
from greenroom.storage.sqlite.identities import SqliteTransactions
from greenroom.storage.sqlite.journal import SqliteJournal
from greenroom.storage.sqlite.lock import unwritable
from greenroom.storage.sqlite.worker import QUEUE_BOUND, SqliteWorker, WorkerStatistics


class SqliteStore:
    """A `Store` in a directory; made by `open`."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker
        self._unpruned = 0
        self.journal = SqliteJournal(worker)
        self.identities = Identities(SqliteTransactions(worker))

    @classmethod
    async def open(cls, directory: Path, queue_bound: int = QUEUE_BOUND) -> Self:
        """Open the directory's store; a missing directory or an empty one gets a new store.

        Raises:
            StoreInUse: another process has it open.
            StoreUnwritable: the directory or the file cannot be written.
            StoreForeign: the file is damaged, not ours, or of a newer version; it was not touched.
        """
        file = DatabaseFile(directory)
        worker = await SqliteWorker.start(file.writing, file.reading, queue_bound, file.committed)
        return cls(worker)

    @staticmethod
    async def look(directory: Path, secret: str) -> bytes | None:
        """Return a kept secret while another process has the store open, of a version we know.

        Raises:
            StoreUnwritable: the file cannot be read.
            StoreForeign: it is not ours, or of a newer version.
        """

        def read() -> bytes | None:
            try:
                with sqlite_file.shared(directory) as connection:
                    return marks.kept_secret(connection, secret)
            except sqlite3.Error as error:
                raise unwritable(directory / sqlite_file.DATABASE, error) from None

        return await asyncio.to_thread(read)

    @property
    def statistics(self) -> WorkerStatistics:
        """Return the counters of calls, commits, failures and refusals, and the queue's length."""
        return self._worker.statistics

    async def create_room(self, room: Room, quota: int) -> Room:
        return await self._worker.write(rooms.create, room, quota)

    async def get_room(self, arn: Arn) -> Room:
        return await self._worker.read(rooms.get, arn)

    async def update_room(self, arn: Arn, change: RoomChange, now: int) -> Room:
        return await self._worker.write(rooms.update, arn, change, now)

    async def delete_room(self, arn: Arn) -> None:
        await self._worker.write(rooms.delete, arn)

    async def list_rooms(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        return await self._worker.read(rooms.page, account, region, filters, limit, after)

    async def create_logging_configuration(
        self, configuration: LoggingConfiguration, quota: int
    ) -> None:
        await self._worker.write(configurations.create, configuration, quota)

    async def get_logging_configuration(self, arn: Arn) -> LoggingConfiguration:
        return await self._worker.read(configurations.get, arn)

    async def update_logging_configuration(
        self,
        arn: Arn,
        change: LoggingConfigurationChange,
        state: LoggingConfigurationState,
        now: int,
    ) -> LoggingConfiguration:
        return await self._worker.write(configurations.update, arn, change, state, now)

    async def move_logging_configuration(
        self,
        arn: Arn,
        before: LoggingConfigurationState,
        after: LoggingConfigurationState,
        now: int,
    ) -> LoggingConfiguration:
        return await self._worker.write(configurations.move, arn, before, after, now)

    async def begin_delete_logging_configuration(self, arn: Arn, now: int) -> None:
        await self._worker.write(configurations.begin_delete, arn, now)

    async def finish_delete_logging_configuration(self, arn: Arn) -> None:
        await self._worker.write(configurations.finish_delete, arn)

    async def list_logging_configurations(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        return await self._worker.read(configurations.page, account, region, limit, after)

    async def unfinished_logging_configurations(self) -> list[LoggingConfiguration]:
        return await self._worker.read(configurations.unfinished)

    async def regions_in_use(self) -> frozenset[str]:
        return await self._worker.read(regions.in_use)

    async def get_tags(self, arn: Arn) -> dict[str, str]:
        return await self._worker.read(marks.get_tags, arn)

    async def tag(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        await self._worker.write(marks.tag, arn, tags, quota)

    async def untag(self, arn: Arn, keys: tuple[str, ...]) -> None:
        await self._worker.write(marks.untag, arn, keys)

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self._unpruned += len(tokens)
        prune, prune_before = 0, now - rules.REDEEMED_KEPT_MS
        if self._unpruned >= rules.PRUNE_EVERY:
            prune, self._unpruned = 2 * self._unpruned, 0
        return await self._worker.write(marks.redeem, tokens, prune, prune_before)

    async def secret(self, name: str, candidate: bytes) -> bytes:
        return await self._worker.write(marks.secret, name, candidate)

    async def kept_secret(self, name: str) -> bytes | None:
        return await self._worker.read(marks.kept_secret, name)

    async def replace_secret(self, name: str, expected: bytes, replacement: bytes) -> bool:
        return await self._worker.write(marks.replace_secret, name, expected, replacement)

    async def check_writable(self) -> None:
        await self._worker.write(marks.write_nothing)

    async def close(self) -> None:
        await self._worker.close()
