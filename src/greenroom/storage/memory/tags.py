"""Tags in memory: a member of what has them."""

import msgspec

from greenroom.model.arn import Arn, ResourceType
from greenroom.storage import rules
from greenroom.storage.memory.region import Regions


class MemoryTags:
    """`Tags` in the values that have them."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    async def get(self, arn: Arn) -> dict[str, str]:
        return dict(self._tags(arn))

    async def add(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        self._retag(arn, rules.tagged(self._tags(arn), tags, quota))

    async def remove(self, arn: Arn, keys: tuple[str, ...]) -> None:
        self._retag(arn, rules.untagged(self._tags(arn), keys))

    def _tags(self, arn: Arn) -> dict[str, str]:
        if arn.type is ResourceType.ROOM:
            return self._regions.room(arn).room.tags
        return self._regions.configuration(arn).configuration.tags

    def _retag(self, arn: Arn, tags: dict[str, str]) -> None:
        if arn.type is ResourceType.ROOM:
            kept_room = self._regions.room(arn)
            kept_room.room = msgspec.structs.replace(kept_room.room, tags=tags)
        else:
            kept = self._regions.configuration(arn)
            kept.configuration = msgspec.structs.replace(kept.configuration, tags=tags)
