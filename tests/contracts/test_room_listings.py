"""What every adapter of the store guarantees of ListRooms.

Covers: greenroom.storage.memory.rooms, greenroom.storage.postgres.rooms,
    greenroom.storage.sqlite.rooms
"""

from random import Random

import pytest
from msgspec import UNSET, UnsetType

from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import HandlerChange, Room, RoomChange, RoomFilter
from greenroom.storage.base import Store
from greenroom.storage.rooms import LIST_LIFETIME_MS, RoomPage
from tests.contracts.room_walks import EVERY, arns, listed
from tests.stand_ins.values import (
    ACCOUNT,
    NOW,
    PLENTY,
    REGION,
    a_configuration,
    a_room,
    configuration_arn,
    new_account,
    room_arn,
)


class TestListRooms:
    async def test_newest_update_comes_first(self, store: Store) -> None:
        """Rooms are ordered by update time, newest first, for every page size."""
        rooms = [await store.rooms.create(a_room(now=NOW + n), PLENTY) for n in range(7)]
        rooms[2] = await store.rooms.update(rooms[2].arn, RoomChange(name="x"), NOW + 10)
        order = [rooms[2], *rooms[:2:-1], rooms[1], rooms[0]]
        for limit in (1, 2, 3, 6, 7, 8, 50):
            assert await listed(store, limit=limit) == order

    async def test_last_page_names_no_next(self, store: Store) -> None:
        """A page that ends with the last room has no next, even when it is full."""
        for _ in range(4):
            await store.rooms.create(a_room(), PLENTY)
        page = await store.rooms.page(ACCOUNT, REGION, EVERY, 2)
        assert page.next is not None
        page = await store.rooms.page(ACCOUNT, REGION, EVERY, 2, page.next)
        assert (len(page.rooms), page.next) == (2, None)
        assert (await store.rooms.page(new_account(), REGION, EVERY, 2)).rooms == []

    async def test_filters_by_name(self, store: Store) -> None:
        """The name filter is exact; an empty one finds rooms without a name."""
        for name in ("a", "b", "ab", None, "", "A"):
            await store.rooms.create(a_room(name=name), PLENTY)
        assert [room.name for room in await listed(store, RoomFilter(name="a"))] == ["a"]
        assert [room.name for room in await listed(store, RoomFilter(name=""))] == ["", None]
        assert await listed(store, RoomFilter(name="c")) == []

    async def test_filters_by_handler(self, store: Store) -> None:
        """The handler filter is exact; an empty one finds rooms without, or with a cleared one."""
        rooms = [await store.rooms.create(a_room(uri=uri), PLENTY) for uri in ("x", "y", None, "")]
        for uri, expected in (("x", rooms[:1]), ("", rooms[:1:-1]), ("z", [])):
            assert await listed(store, RoomFilter(message_review_handler_uri=uri)) == expected
        cleared = RoomChange(message_review_handler=HandlerChange(uri=""))
        await store.rooms.update(rooms[0].arn, cleared, NOW)
        assert await listed(store, RoomFilter(message_review_handler_uri="x")) == []

    async def test_filters_by_logging_configuration(self, store: Store) -> None:
        """The filter finds rooms that have it attached, at any position; it must exist."""
        one, two = a_configuration(), a_configuration()
        await store.logging_configurations.create(one, PLENTY)
        await store.logging_configurations.create(two, PLENTY)
        first, second = str(one.arn), str(two.arn)
        rooms = [
            await store.rooms.create(a_room(*identifiers), PLENTY)
            for identifiers in ((), (first,), (second, first), (second,))
        ]
        filters = RoomFilter(logging_configuration_identifier=first)
        assert await listed(store, filters, limit=1) == [rooms[2], rooms[1]]
        for arn in (configuration_arn(), configuration_arn(account="999999999999")):
            missing = RoomFilter(logging_configuration_identifier=str(arn))
            with pytest.raises(ResourceNotFoundException) as raised:
                await store.rooms.page(ACCOUNT, REGION, missing, 5)
            assert raised.value.resource_id == arn.id
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.page(new_account(), REGION, filters, 5)

    async def test_filters_combine(self, store: Store) -> None:
        """A room must pass every filter that is set."""
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        identifier = str(configuration.arn)
        rooms = [
            await store.rooms.create(a_room(*identifiers, name=name, uri=uri), PLENTY)
            for identifiers in ((), (identifier,))
            for name in ("a", "b")
            for uri in ("x", "y")
        ]
        filters = RoomFilter(
            name="b", message_review_handler_uri="x", logging_configuration_identifier=identifier
        )
        assert await listed(store, filters) == [rooms[6]]

    async def test_filters_hold_of_what_was_updated_since(self, store: Store) -> None:
        """A listing shows a room once where it stood when it began, if it passes all filters."""
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        identifier = str(configuration.arn)
        rooms = [
            await store.rooms.create(a_room(*identifiers, name=name, uri="x"), PLENTY)
            for identifiers in ((identifier,), ())
            for name in ("a", "b", "a")
        ]
        for filters, expected in (
            (RoomFilter(name="a"), [5, 3, 2, 0]),
            (RoomFilter(message_review_handler_uri="y"), []),
            (RoomFilter(logging_configuration_identifier=identifier), [2, 1, 0]),
        ):
            page = await store.rooms.page(ACCOUNT, REGION, filters, 1)
            seen = page.rooms
            for room in rooms[1:]:
                await store.rooms.update(room.arn, RoomChange(), NOW)
            while page.next is not None:
                page = await store.rooms.page(ACCOUNT, REGION, filters, 1, page.next)
                seen += page.rooms
            assert arns(seen) == arns(rooms[each] for each in expected)

    async def test_updates_for_a_whole_lifetime_lose_nothing(self, store: Store) -> None:
        """However often rooms are updated within the lifetime of a listing, it finds each once."""
        rooms = [await store.rooms.create(a_room(now=NOW), PLENTY) for _ in range(6)]
        page = await store.rooms.page(ACCOUNT, REGION, EVERY, 2)
        for now in (NOW, NOW + LIST_LIFETIME_MS // 2, NOW + LIST_LIFETIME_MS - 1):
            for room in rooms * 5:
                await store.rooms.update(room.arn, RoomChange(), now)
        seen = page.rooms
        while page.next is not None:
            page = await store.rooms.page(ACCOUNT, REGION, EVERY, 2, page.next)
            seen += page.rooms
        assert arns(seen) == arns(reversed(rooms))


class Listing:
    """A listing made page by page among changes, and what it must have returned at its end."""

    def __init__(self, store: Store, account: str, filters: RoomFilter) -> None:
        self.store = store
        self.account = account
        self.filters = filters
        self.rooms: dict[Arn, Room] = {}  # as they are, the least recently changed first
        self.page: RoomPage | None = None
        self.order: list[Arn] = []
        self.steady: set[Arn] = set()
        self.seen: list[Arn] = []

    def changed(self, arn: Arn, room: Room | None) -> None:
        """Remember what a room is now."""
        self.rooms.pop(arn, None)
        if room is not None:
            self.rooms[arn] = room
        if room is None or not self.filters.matches(room):
            self.steady.discard(arn)

    async def turn(self, limit: int) -> bool:
        """Get the next page; return False when there is none."""
        if self.page is None:
            self.order = list(reversed(self.rooms))
            self.steady = {arn for arn in self.order if self.filters.matches(self.rooms[arn])}
        elif self.page.next is None:
            return False
        after = self.page.next if self.page else None
        self.page = await self.store.rooms.page(self.account, REGION, self.filters, limit, after)
        assert [self.rooms[room.arn] for room in self.page.rooms] == self.page.rooms
        assert all(self.filters.matches(room) for room in self.page.rooms)
        self.seen += arns(self.page.rooms)
        return True

    def check(self) -> None:
        """Each room that was there all the time was seen once, none twice, all in order."""
        assert self.steady <= set(self.seen)
        assert [arn for arn in self.order if arn in self.seen] == self.seen

    async def create(self, random: Random, now: int, identifier: str) -> None:
        """Create a room that more often than not passes the filters."""
        room = a_room(
            *([identifier] if random.random() < 0.8 else []),
            arn=room_arn(self.account),
            now=now,
            name=random.choice(["a", "a", "b", None]),
            uri=random.choice(["x", "x", "", None]),
        )
        self.changed(room.arn, await self.store.rooms.create(room, PLENTY))

    async def update(self, random: Random, now: int, identifier: str) -> None:
        """Update some room, which sometimes brings it into the filters or out of them."""
        arn = random.choice(list(self.rooms))
        names: list[str | UnsetType] = ["a", "b", UNSET, UNSET, UNSET]
        uris: list[str | UnsetType] = ["x", "", UNSET, UNSET, UNSET]
        attached: list[tuple[str, ...] | UnsetType] = [(identifier,), (), UNSET, UNSET, UNSET]
        change = RoomChange(
            name=random.choice(names),
            message_review_handler=HandlerChange(uri=random.choice(uris)),
            logging_configuration_identifiers=random.choice(attached),
        )
        self.changed(arn, await self.store.rooms.update(arn, change, now))

    async def delete(self, random: Random) -> None:
        """Delete some room."""
        arn = random.choice(list(self.rooms))
        await self.store.rooms.delete(arn)
        self.changed(arn, None)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("filter_by", ["", "name", "uri", "configuration", "all"])
async def test_listing_among_changes_returns_each_room_once(
    store: Store, filter_by: str, seed: int
) -> None:
    """Whatever happens between its pages, a listing returns each steady room once, in order."""
    random, now = Random(seed), NOW
    configuration = a_configuration()
    await store.logging_configurations.create(configuration, PLENTY)
    identifier = str(configuration.arn)
    filters = RoomFilter(
        name="a" if filter_by in {"name", "all"} else None,
        message_review_handler_uri="x" if filter_by in {"uri", "all"} else None,
        logging_configuration_identifier=(
            identifier if filter_by in {"configuration", "all"} else None
        ),
    )
    listing = Listing(store, ACCOUNT, filters)
    for _ in range(30):
        await listing.create(random, now, identifier)
    largest = random.choice([1, 2, 3, 7])
    while await listing.turn(random.randint(1, largest)):
        for _ in range(random.choice([0, 0, 1, 3, 9])):
            now += random.choice([-5, 0, 0, 1])
            happens = random.random()
            if happens < 0.6:
                await listing.update(random, now, identifier)
            elif happens < 0.8:
                await listing.create(random, now, identifier)
            else:
                await listing.delete(random)
    listing.check()
