"""Every `Rooms`: what is kept, in which order, for whom, and what may be attached.

Covers: greenroom.storage.memory.rooms, greenroom.storage.postgres.regions,
    greenroom.storage.postgres.rooms, greenroom.storage.regions, greenroom.storage.rooms,
    greenroom.storage.rows, greenroom.storage.sqlite.regions, greenroom.storage.sqlite.rooms
"""

import asyncio

import msgspec
import pytest

from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from greenroom.model.logging_configuration import (
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.pin import Pin
from greenroom.model.room import (
    FallbackResult,
    HandlerChange,
    MessageReviewHandler,
    Room,
    RoomChange,
    RoomFilter,
)
from greenroom.model.room_settings import Override, PinsChange, SettingsChange, TooManyPins
from greenroom.model.schedule import (
    MOST_SCHEDULES,
    PASSED_OVER_MS,
    Claim,
    Put,
    Remove,
    Schedule,
    Settle,
    TooManySchedules,
    Written,
)
from greenroom.storage.base import Store
from tests.contracts.room_walks import arns, listed
from tests.stand_ins.values import (
    ACCOUNT,
    NOW,
    PLENTY,
    REGION,
    a_configuration,
    a_room,
    configuration_arn,
    full_room,
    new_account,
    room_arn,
)

State = LoggingConfigurationState


async def attached_room(store: Store, state: State) -> Room:
    """Create a room with an ACTIVE configuration and move that to the state afterwards."""
    configuration = a_configuration()
    await store.logging_configurations.create(configuration, PLENTY)
    room = await store.rooms.create(a_room(str(configuration.arn)), PLENTY)
    await store.logging_configurations.update(
        configuration.arn, LoggingConfigurationChange(), state, NOW
    )
    return room


def a_schedule(name: str, at: int, content: str = "Be kind") -> Schedule:
    """Return a schedule that was made at a time, for each minute."""
    return Schedule(
        name=name,
        content=content,
        style="INFO",
        seconds=60,
        by="ann",
        created=at,
        due=at + 60_000,
    )


async def test_regions_in_use(store: Store) -> None:
    """Those with a room or a logging configuration of whomever, and no others that were asked."""
    of_rooms, of_logs = room_arn(region="eu-rooms-1"), configuration_arn(region="eu-logs-1")
    await store.rooms.page(new_account(), "eu-asked-1", RoomFilter(), 1)
    assert not await store.rooms.regions_in_use() & {"eu-rooms-1", "eu-logs-1", "eu-asked-1"}
    await store.rooms.create(a_room(arn=of_rooms), PLENTY)
    await store.logging_configurations.create(a_configuration(arn=of_logs), PLENTY)
    found = await store.rooms.regions_in_use()
    assert found & {"eu-rooms-1", "eu-logs-1", "eu-asked-1"} == {"eu-rooms-1", "eu-logs-1"}
    await store.rooms.delete(of_rooms)
    assert "eu-rooms-1" not in await store.rooms.regions_in_use()


class TestRooms:
    async def test_is_read_back_whole(self, store: Store) -> None:
        """A room comes back with every member as it was given."""
        first, second = a_configuration(), a_configuration()
        await store.logging_configurations.create(first, PLENTY)
        await store.logging_configurations.create(second, PLENTY)
        room = full_room(str(second.arn), str(first.arn))
        for each in (room, a_room(), a_room(name="", uri="")):
            created = await store.rooms.create(each, PLENTY)
            assert msgspec.structs.replace(created, update_time=each.update_time) == each
            assert await store.rooms.get(each.arn) == created

    async def test_is_not_changed_through_what_was_passed(self, store: Store) -> None:
        """What the caller does to its tags afterwards does not reach the store."""
        tags = {"a": "1"}
        room = await store.rooms.create(msgspec.structs.replace(a_room(), tags=tags), PLENTY)
        tags["a"] = "2"
        assert (await store.rooms.get(room.arn)).tags == {"a": "1"}
        (await store.tags.get(room.arn))["a"] = "3"
        assert (await store.rooms.get(room.arn)).tags == {"a": "1"}

    async def test_missing_is_not_found(self, store: Store) -> None:
        """Every call about a room that is not there says so, with the room's id and type."""
        arn = room_arn()
        for call in (
            store.rooms.get(arn),
            store.rooms.update(arn, RoomChange(), NOW),
            store.rooms.delete(arn),
            store.tags.get(arn),
            store.tags.add(arn, {"a": "b"}, 50),
            store.tags.remove(arn, ("a",)),
        ):
            with pytest.raises(ResourceNotFoundException) as raised:
                await call
            assert raised.value.members() == {"resourceId": arn.id, "resourceType": "ROOM"}

    async def test_is_created_once(self, store: Store) -> None:
        """A second room of the same name is refused and the first one stays."""
        room = await store.rooms.create(a_room(name="first"), PLENTY)
        with pytest.raises(ConflictException) as raised:
            await store.rooms.create(msgspec.structs.replace(room, name="second"), PLENTY)
        assert raised.value.resource_id == room.arn.id
        assert await listed(store) == [room]

    async def test_quota_is_of_account_and_region(self, store: Store) -> None:
        """A full account in a region refuses rooms; others and a freed place take them."""
        rooms = [await store.rooms.create(a_room(), 3) for _ in range(3)]
        refused = a_room()
        with pytest.raises(ServiceQuotaExceededException) as raised:
            await store.rooms.create(refused, 3)
        assert raised.value.members() == {
            "resourceId": refused.arn.id,
            "resourceType": "ROOM",
            "limit": 3,
        }
        await store.rooms.create(a_room(arn=room_arn(account="999999999999")), 3)
        await store.rooms.create(a_room(arn=room_arn(region="eu-west-1")), 3)
        await store.rooms.delete(rooms[1].arn)
        await store.rooms.create(refused, 3)
        assert set(arns(await listed(store))) == {rooms[0].arn, rooms[2].arn, refused.arn}

    async def test_quota_holds_under_concurrency(self, store: Store) -> None:
        """Of 50 creations at once against a quota of 10, exactly 10 succeed."""
        calls = [store.rooms.create(a_room(), 10) for _ in range(50)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        created = [result for result in results if isinstance(result, Room)]
        refused = [
            result for result in results if isinstance(result, ServiceQuotaExceededException)
        ]
        assert (len(created), len(refused)) == (10, 40)
        assert set(arns(await listed(store))) == set(arns(created))

    async def test_update_changes_what_is_set(self, store: Store) -> None:
        """A partial update leaves the rest, and its result is what is kept."""
        room = await store.rooms.create(full_room(), PLENTY)
        change = RoomChange(
            name="", message_review_handler=HandlerChange(fallback_result=FallbackResult.ALLOW)
        )
        updated = await store.rooms.update(room.arn, change, NOW + 60)
        handler = MessageReviewHandler("arn:aws:lambda:x", FallbackResult.ALLOW)
        assert updated == msgspec.structs.replace(
            room, name="", message_review_handler=handler, update_time=NOW + 60
        )
        assert await store.rooms.get(room.arn) == updated
        everything = RoomChange(
            name="n",
            maximum_message_rate_per_second=1,
            maximum_message_length=2,
            message_review_handler=HandlerChange(uri=""),
        )
        await store.rooms.update(room.arn, everything, NOW + 61)
        assert await store.rooms.get(room.arn) == msgspec.structs.replace(
            updated,
            name="n",
            maximum_message_rate_per_second=1,
            maximum_message_length=2,
            message_review_handler=MessageReviewHandler("", FallbackResult.ALLOW),
            update_time=NOW + 61,
        )

    async def test_update_times_wait_for_a_clock_that_steps_back(self, store: Store) -> None:
        """A small step does not carry update times with it; other regions are free."""
        room = await store.rooms.create(a_room(now=NOW + 100), PLENTY)
        later = await store.rooms.create(a_room(now=NOW), PLENTY)
        assert (later.create_time, later.update_time) == (NOW, NOW + 100)
        assert (await store.rooms.update(room.arn, RoomChange(), NOW)).update_time == NOW + 100
        elsewhere = await store.rooms.create(a_room(arn=room_arn(region="eu-west-1")), PLENTY)
        assert elsewhere.update_time == NOW
        assert arns(await listed(store)) == [room.arn, later.arn]

    async def test_update_times_follow_a_clock_that_is_set_back(self, store: Store) -> None:
        """A clock that was once hours ahead stops no time; listings keep the order of changes."""
        room = await store.rooms.create(a_room(now=NOW + 7_200_000), PLENTY)
        later = await store.rooms.create(a_room(now=NOW), PLENTY)
        assert later.update_time == NOW
        assert arns(await listed(store)) == [later.arn, room.arn]
        assert (await store.rooms.update(room.arn, RoomChange(), NOW + 5)).update_time == NOW + 5
        assert arns(await listed(store)) == [room.arn, later.arn]

    async def test_what_is_set_is_kept(self, store: Store) -> None:
        """Each change takes effect on what the last one left, and changes nothing else."""
        room = await store.rooms.create(a_room(), PLENTY)
        later = await store.rooms.create(a_room(), PLENTY)
        values = {
            "frozen": Override(True, "a"),
            "writers": Override(("x", "y"), "b", NOW + 5),
            "n": Override(7, "c"),
        }
        await asyncio.gather(
            *(
                store.rooms.set(room.arn, SettingsChange({name: value}, (), NOW))
                for name, value in values.items()
            )
        )
        changed = await store.rooms.set(room.arn, SettingsChange({}, ("frozen",), NOW))
        assert changed.overrides.version == 4
        assert changed.overrides.values == {name: values[name] for name in ("writers", "n")}
        assert await store.rooms.get(room.arn) == changed
        assert msgspec.structs.replace(changed, overrides=room.overrides) == room
        assert arns(await listed(store))[:2] == [later.arn, room.arn]
        updated = await store.rooms.update(room.arn, RoomChange(name="x"), NOW)
        assert updated.overrides == changed.overrides
        await store.rooms.delete(room.arn)
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.set(room.arn, SettingsChange({}, (), NOW))

    async def test_pins_are_at_most_three(self, store: Store) -> None:
        """Whoever pins at the same time; what has expired or was taken down makes room."""
        room = await store.rooms.create(a_room(), PLENTY)
        await store.rooms.set(room.arn, SettingsChange({"n": Override(7, "c")}, (), NOW))

        async def pin(number: int, now: int = NOW) -> None:
            added = Pin(
                f"m{number}", '{"Content": "\\u0000"}', "a", now, NOW + 9 if number == 2 else 0
            )
            await store.rooms.set(room.arn, PinsChange(now, added))

        done = await asyncio.gather(*(pin(2) for _ in range(2)), pin(1))
        assert done == [None] * 3
        outcomes = await asyncio.gather(pin(3), pin(4), return_exceptions=True)
        assert [type(each) for each in outcomes] == [type(None), TooManyPins]
        await pin(4, NOW + 9)
        changed = await store.rooms.set(room.arn, PinsChange(NOW + 9, without=("m1", "x")))
        assert [each.message_id for each in changed.overrides.pins] == ["m3", "m4"]
        assert changed.overrides.values == {"n": Override(7, "c")}
        assert await store.rooms.get(room.arn) == changed

    async def test_schedules_are_changed_one_after_the_other(self, store: Store) -> None:
        """Whoever changes them at the same time: one claims it, and what is set stays."""
        room = await store.rooms.create(a_room(), PLENTY)
        await store.rooms.set(room.arn, SettingsChange({"n": Override(7, "c")}, (), NOW))
        made = a_schedule("x", NOW, content="\u0000\u00e4")
        kept = await store.rooms.schedule(room.arn, Put(made))
        assert kept.schedules == (made,)
        claims = [Claim(made, f"m{number}", NOW) for number in range(5)]
        done = await asyncio.gather(*(store.rooms.schedule(room.arn, each) for each in claims))
        assert [each for each in claims if each.of(done[-1].schedules)] == claims[:1]
        kept = await store.rooms.get(room.arn)
        assert kept.schedules == done[-1].schedules
        assert kept.overrides.values == {"n": Override(7, "c")}
        updated = await store.rooms.update(room.arn, RoomChange(name="x"), NOW)
        assert updated.schedules == kept.schedules
        full = [Put(a_schedule(f"n{number}", NOW)) for number in range(MOST_SCHEDULES)]
        outcomes = await asyncio.gather(
            *(store.rooms.schedule(room.arn, each) for each in full), return_exceptions=True
        )
        assert [type(each) for each in outcomes][-2:] == [Room, TooManySchedules]
        await store.rooms.delete(room.arn)
        assert await store.rooms.scheduled(NOW * 2, 5) == []
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.schedule(room.arn, Put(made))

    async def test_those_to_be_looked_at_come_first(self, store: Store) -> None:
        """Of all accounts, as many as asked for; what was settled or removed is not among them."""
        rooms = []
        for number in range(4):
            room = await store.rooms.create(a_room(arn=room_arn(new_account())), PLENTY)
            at = NOW - number * 1000
            rooms.append(await store.rooms.schedule(room.arn, Put(a_schedule("x", at))))
        first = NOW - 3000 + 60_000 + PASSED_OVER_MS
        assert await store.rooms.scheduled(first - 1, 9) == []
        assert await store.rooms.scheduled(first + 1000, 9) == rooms[:1:-1]
        assert await store.rooms.scheduled(NOW * 2, 3) == rooms[:0:-1]
        (seen,) = rooms[3].schedules
        await store.rooms.schedule(rooms[3].arn, Settle(seen, NOW * 3))
        await store.rooms.schedule(rooms[2].arn, Remove("x"))
        wanted = await store.rooms.schedule(rooms[0].arn, Written(NOW + 1))
        assert await store.rooms.scheduled(NOW * 2, 9) == [wanted, rooms[1]]

    async def test_is_deleted_once(self, store: Store) -> None:
        """A deleted room is gone from everywhere."""
        room = await store.rooms.create(a_room(), PLENTY)
        await store.rooms.update(room.arn, RoomChange(name="x"), NOW)
        await store.rooms.delete(room.arn)
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.delete(room.arn)
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.get(room.arn)
        assert await listed(store) == []

    async def test_calls_take_effect_in_order(self, store: Store) -> None:
        """What is written later is done later, also when nobody waits; what is answered is seen."""
        room = a_room()
        calls = [store.rooms.create(room, PLENTY)]
        calls += [store.rooms.update(room.arn, RoomChange(name=f"{n}"), NOW) for n in range(20)]
        results = await asyncio.gather(*calls)
        assert [result.name for result in results] == [None, *map(str, range(20))]
        assert (await store.rooms.get(room.arn)).name == "19"


class TestIsolation:
    @pytest.mark.parametrize("other", [{"account": "999999999999"}, {"region": "eu-west-1"}])
    async def test_other_accounts_and_regions_are_unseen(
        self, store: Store, other: dict[str, str]
    ) -> None:
        """An ARN with another account or region names nothing, and lists do not mix."""
        room = await store.rooms.create(a_room(), PLENTY)
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        with pytest.raises(ResourceNotFoundException):
            await store.rooms.get(msgspec.structs.replace(room.arn, **other))
        foreign = msgspec.structs.replace(configuration.arn, **other)
        with pytest.raises(ResourceNotFoundException):
            await store.logging_configurations.get(foreign)
        place = {"account": ACCOUNT, "region": REGION, **other}
        assert await listed(store, account=place["account"], region=place["region"]) == []
        page = await store.logging_configurations.page(place["account"], place["region"], 50)
        assert page.configurations == []


class TestAttachments:
    async def test_must_exist_in_the_rooms_account_and_region(self, store: Store) -> None:
        """A configuration that is missing, or somebody else's, is not found; nothing is kept."""
        room = await store.rooms.create(a_room(name="before"), PLENTY)
        foreign = [configuration_arn(account="999999999999"), configuration_arn(region="eu-west-1")]
        for arn in foreign:
            await store.logging_configurations.create(a_configuration(arn=arn), PLENTY)
        for arn in (configuration_arn(), *foreign):
            with pytest.raises(ResourceNotFoundException) as raised:
                await store.rooms.create(a_room(str(arn)), 2)
            assert raised.value.resource_id == arn.id
            assert raised.value.resource_type == "LOGGING_CONFIGURATION"
            change = RoomChange(name="after", logging_configuration_identifiers=(str(arn),))
            with pytest.raises(ResourceNotFoundException):
                await store.rooms.update(room.arn, change, NOW + 1)
        assert await listed(store) == [room]
        await store.rooms.create(a_room(), 2)

    @pytest.mark.parametrize("state", [state for state in State if state is not State.ACTIVE])
    async def test_must_be_active(self, store: Store, state: State) -> None:
        """A configuration in any other state cannot be attached; nothing is kept."""
        configuration = a_configuration(state)
        await store.logging_configurations.create(configuration, PLENTY)
        identifier = str(configuration.arn)
        with pytest.raises(ConflictException) as raised:
            await store.rooms.create(a_room(identifier), PLENTY)
        assert raised.value.resource_id == configuration.arn.id
        room = await store.rooms.create(a_room(), PLENTY)
        change = RoomChange(name="after", logging_configuration_identifiers=(identifier,))
        with pytest.raises(ConflictException):
            await store.rooms.update(room.arn, change, NOW + 1)
        assert await listed(store) == [room]

    async def test_attached_one_may_have_any_state(self, store: Store) -> None:
        """An update that keeps an attached configuration does not ask for its state."""
        room = await attached_room(store, State.UPDATING)
        identifiers = room.logging_configuration_identifiers
        change = RoomChange(name="x", logging_configuration_identifiers=identifiers)
        assert (await store.rooms.update(room.arn, change, NOW)).name == "x"
        await store.rooms.update(room.arn, RoomChange(name="y"), NOW)
        with pytest.raises(ConflictException):
            await store.rooms.create(a_room(*identifiers), PLENTY)

    async def test_replaces_in_order(self, store: Store) -> None:
        """An update replaces the whole list, its order and repetitions kept; empty clears it."""
        configurations = [a_configuration() for _ in range(3)]
        for configuration in configurations:
            await store.logging_configurations.create(configuration, PLENTY)
        one, two, three = (str(configuration.arn) for configuration in configurations)
        room = await store.rooms.create(a_room(three, one), PLENTY)
        for identifiers in ((two, three), (three, two, three), ()):
            change = RoomChange(logging_configuration_identifiers=identifiers)
            updated = await store.rooms.update(room.arn, change, NOW)
            assert updated.logging_configuration_identifiers == identifiers
            assert await store.rooms.get(room.arn) == updated
            found = await listed(store, RoomFilter(logging_configuration_identifier=three))
            assert arns(found) == [room.arn] * (three in identifiers)
