"""The store for a service that keeps nothing: dictionaries, gone with the process.

It gives every guarantee of the port but durability. No call waits, so each one is a transaction.
"""

import heapq
from collections.abc import Sequence

import msgspec

from greenroom.model.arn import Arn, ResourceType
from greenroom.model.logging_configuration import (
    LoggingConfiguration,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage import rules
from greenroom.storage.base import LoggingConfigurationPage, RoomCursor, RoomPage, TokenUse
from greenroom.storage.identity_rules.calls import Identities
from greenroom.storage.memory.identities import MemoryTransactions
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.region import KeptConfiguration, KeptRoom, Region

State = LoggingConfigurationState


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self) -> None:
        self._regions: dict[tuple[str, str], Region] = {}
        self._redeemed: set[str] = set()
        self._redeemed_by_expiry: list[tuple[int, str]] = []
        self._secrets: dict[str, bytes] = {}
        self._closed = False
        self.journal = MemoryJournal()
        self._transactions = MemoryTransactions()
        self.identities = Identities(self._transactions)

    async def create_room(self, room: Room, quota: int) -> Room:
        region = self._region(room.arn.account, room.arn.region)
        if room.arn in region.rooms:
            raise rules.already_exists(room.arn)
        rules.check_quota(room.arn, len(region.rooms), quota)
        self._check_attachments(room, ())
        room = msgspec.structs.replace(room, tags=dict(room.tags))
        return region.place(KeptRoom(room), room)

    async def get_room(self, arn: Arn) -> Room:
        return self._kept_room(arn).room

    async def update_room(self, arn: Arn, change: RoomChange, now: int) -> Room:
        kept = self._kept_room(arn)
        room = change.apply(kept.room, now)
        self._check_attachments(room, kept.room.logging_configuration_identifiers)
        return self._region(arn.account, arn.region).place(kept, room)

    async def delete_room(self, arn: Arn) -> None:
        kept = self._kept_room(arn)
        self._region(arn.account, arn.region).remove(kept)

    async def list_rooms(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        if filters.logging_configuration_identifier is not None:
            self._kept_configuration(
                rules.within(filters.logging_configuration_identifier, account, region)
            )
        return self._region(account, region).page(filters, limit, after)

    async def create_logging_configuration(
        self, configuration: LoggingConfiguration, quota: int
    ) -> None:
        arn = configuration.arn
        region = self._region(arn.account, arn.region)
        if arn in region.configurations:
            raise rules.already_exists(arn)
        rules.check_quota(arn, len(region.configurations), quota)
        region.sequence += 1
        region.configurations[arn] = KeptConfiguration(configuration, region.sequence)

    async def get_logging_configuration(self, arn: Arn) -> LoggingConfiguration:
        return self._kept_configuration(arn).configuration

    async def update_logging_configuration(
        self, arn: Arn, change: LoggingConfigurationChange, state: State, now: int
    ) -> LoggingConfiguration:
        kept = self._kept_configuration(arn)
        kept.configuration = change.apply(kept.configuration.moved_to(state, now))
        return kept.configuration

    async def move_logging_configuration(
        self, arn: Arn, before: State, after: State, now: int
    ) -> LoggingConfiguration:
        kept = self._kept_configuration(arn)
        kept.configuration = rules.moved(kept.configuration, before, after, now)
        return kept.configuration

    async def begin_delete_logging_configuration(self, arn: Arn, now: int) -> None:
        kept = self._kept_configuration(arn)
        identifier = str(arn)
        attached = sum(
            identifier in kept_room.room.logging_configuration_identifiers
            for kept_room in self._region(arn.account, arn.region).rooms.values()
        )
        kept.configuration = rules.deleting(kept.configuration, attached, now)

    async def finish_delete_logging_configuration(self, arn: Arn) -> None:
        configurations = self._region(arn.account, arn.region).configurations
        kept = configurations.get(arn)
        if kept is not None and kept.configuration.state is State.DELETING:
            del configurations[arn]

    async def list_logging_configurations(
        self, account: str, region: str, limit: int, after: int | None = None
    ) -> LoggingConfigurationPage:
        found = [
            kept
            for kept in reversed(self._region(account, region).configurations.values())
            if after is None or kept.sequence < after
        ]
        following = found[limit - 1].sequence if len(found) > limit else None
        return LoggingConfigurationPage([kept.configuration for kept in found[:limit]], following)

    async def unfinished_logging_configurations(self) -> list[LoggingConfiguration]:
        self._check_open()
        unfinished = (State.CREATING, State.UPDATING, State.DELETING)
        return [
            kept.configuration
            for region in self._regions.values()
            for kept in region.configurations.values()
            if kept.configuration.state in unfinished
        ]

    async def get_tags(self, arn: Arn) -> dict[str, str]:
        return dict(self._tags(arn))

    async def tag(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        self._retag(arn, rules.tagged(self._tags(arn), tags, quota))

    async def untag(self, arn: Arn, keys: tuple[str, ...]) -> None:
        self._retag(arn, rules.untagged(self._tags(arn), keys))

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self._check_open()
        return [self._redeem(token_id, expires, now) for token_id, expires in tokens]

    def _redeem(self, token_id: str, expires: int, now: int) -> bool:
        marks = self._redeemed_by_expiry
        for _ in range(2):
            if marks and marks[0][0] < now - rules.REDEEMED_KEPT_MS:
                self._redeemed.discard(heapq.heappop(marks)[1])
        if token_id in self._redeemed:
            return False
        self._redeemed.add(token_id)
        heapq.heappush(marks, (expires, token_id))
        return True

    async def regions_in_use(self) -> frozenset[str]:
        self._check_open()
        regions = self._regions.items()
        return frozenset(name for (_, name), kept in regions if kept.rooms or kept.configurations)

    async def secret(self, name: str, candidate: bytes) -> bytes:
        self._check_open()
        return self._secrets.setdefault(name, candidate)

    async def kept_secret(self, name: str) -> bytes | None:
        self._check_open()
        return self._secrets.get(name)

    async def replace_secret(self, name: str, expected: bytes, replacement: bytes) -> bool:
        self._check_open()
        found = self._secrets.get(name) == expected
        if found:
            self._secrets[name] = replacement
        return found

    async def check_writable(self) -> None:
        self._check_open()

    async def close(self) -> None:
        self._closed = True
        self._transactions.close()
        self._regions.clear()
        self.journal.close()

    def _check_open(self) -> None:
        if self._closed:
            raise rules.closed()

    def _region(self, account: str, region: str) -> Region:
        self._check_open()
        found = self._regions.get((account, region))
        if found is None:
            found = self._regions[account, region] = Region()
        return found

    def _kept_room(self, arn: Arn) -> KeptRoom:
        kept = self._region(arn.account, arn.region).rooms.get(arn)
        if kept is None:
            raise arn.not_found()
        return kept

    def _kept_configuration(self, arn: Arn) -> KeptConfiguration:
        kept = self._region(arn.account, arn.region).configurations.get(arn)
        if kept is None:
            raise arn.not_found()
        return kept

    def _check_attachments(self, room: Room, attached: tuple[str, ...]) -> None:
        rules.check_attachments(
            room.arn,
            room.logging_configuration_identifiers,
            attached,
            lambda arn: self._kept_configuration(arn).configuration,
        )

    def _tags(self, arn: Arn) -> dict[str, str]:
        if arn.type is ResourceType.ROOM:
            return self._kept_room(arn).room.tags
        return self._kept_configuration(arn).configuration.tags

    def _retag(self, arn: Arn, tags: dict[str, str]) -> None:
        if arn.type is ResourceType.ROOM:
            kept_room = self._kept_room(arn)
            kept_room.room = msgspec.structs.replace(kept_room.room, tags=tags)
        else:
            kept = self._kept_configuration(arn)
            kept.configuration = msgspec.structs.replace(kept.configuration, tags=tags)
