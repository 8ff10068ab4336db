"""One account in one region, as a database keeps it: its clock of changes, its count of rooms."""

import msgspec

from greenroom.storage import rules


class Region(msgspec.Struct, frozen=True):
    """A row of `regions`; see the schema for its members."""

    key: int
    sequence: int
    newest_update_time: int
    rooms: int


def changed(region: Region, now: int | None = None, rooms: int = 0) -> Region:
    """Return the region after one more change, with so many more rooms.

    `now` is when it was a room that changed.
    """
    newest = region.newest_update_time
    return Region(
        region.key,
        region.sequence + 1,
        newest if now is None else rules.update_time(newest, now),
        region.rooms + rooms,
    )
