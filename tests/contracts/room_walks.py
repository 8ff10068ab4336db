"""Walks through all pages of a store's listings."""

from collections.abc import Iterable

from greenroom.model.arn import Arn
from greenroom.model.room import Room, RoomFilter
from greenroom.storage.base import Store
from tests.stand_ins.values import ACCOUNT, REGION

EVERY = RoomFilter()
"""The filter that every room passes."""


async def listed(
    store: Store,
    filters: RoomFilter = EVERY,
    *,
    account: str = ACCOUNT,
    region: str = REGION,
    limit: int = 50,
) -> list[Room]:
    """Return the rooms of all pages."""
    page = await store.rooms.page(account, region, filters, limit)
    rooms = page.rooms
    while page.next is not None:
        assert len(page.rooms) == limit
        page = await store.rooms.page(account, region, filters, limit, page.next)
        rooms += page.rooms
    return rooms


def arns(rooms: Iterable[Room]) -> list[Arn]:
    """Return the rooms' ARNs."""
    return [room.arn for room in rooms]
