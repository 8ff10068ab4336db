"""What every adapter of the store guarantees."""

import asyncio
import itertools

import msgspec
import pytest

from greenroom.model.arn import Arn
from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.room import (
    FallbackResult,
    HandlerChange,
    MessageReviewHandler,
    Room,
    RoomChange,
    RoomFilter,
)
from greenroom.storage.base import StorageUnavailable, Store
from tests.contracts.store_walks import EVERY, arns, listed
from tests.redeeming import redeem
from tests.storage.values import (
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


class TestLoggingConfigurations:
    async def test_is_read_back_whole(self, store: Store) -> None:
        """A configuration comes back with every member as it was given."""
        for state in State:
            configuration = a_configuration(state, name="n" if state is State.ACTIVE else None)
            await store.logging_configurations.create(configuration, PLENTY)
            assert await store.logging_configurations.get(configuration.arn) == configuration

    async def test_missing_is_not_found(self, store: Store) -> None:
        """Every call about one that is not there says so; finishing its deletion does nothing."""
        arn = configuration_arn()
        for call in (
            store.logging_configurations.get(arn),
            store.logging_configurations.update(
                arn, LoggingConfigurationChange(), State.UPDATING, NOW
            ),
            store.logging_configurations.begin_delete(arn, NOW),
            store.tags.get(arn),
            store.tags.add(arn, {"a": "b"}, 50),
            store.tags.remove(arn, ("a",)),
        ):
            with pytest.raises(ResourceNotFoundException) as raised:
                await call
            assert raised.value.resource_id == arn.id
            assert raised.value.resource_type == "LOGGING_CONFIGURATION"
        await store.logging_configurations.finish_delete(arn)

    async def test_is_created_once(self, store: Store) -> None:
        """A second configuration of the same name is refused and the first one stays."""
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        again = msgspec.structs.replace(configuration, name="again")
        with pytest.raises(ConflictException):
            await store.logging_configurations.create(again, PLENTY)
        assert await store.logging_configurations.get(configuration.arn) == configuration

    async def test_quota_is_of_account_and_region(self, store: Store) -> None:
        """A full account in a region refuses configurations, also under concurrency."""
        calls = [store.logging_configurations.create(a_configuration(), 4) for _ in range(9)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if result is not None]
        assert len(refused) == 5
        for error in refused:
            assert isinstance(error, ServiceQuotaExceededException)
            assert (error.limit, error.resource_type) == (4, "LOGGING_CONFIGURATION")
        await store.logging_configurations.create(
            a_configuration(arn=configuration_arn(region="eu-west-1")), 4
        )
        page = await store.logging_configurations.page(ACCOUNT, REGION, 50)
        assert len(page.configurations) == 4

    async def test_update_moves_and_changes(self, store: Store) -> None:
        """An update gives the state and what is set, and its result is what is kept."""
        configuration = a_configuration(name="before")
        await store.logging_configurations.create(configuration, PLENTY)
        destination = DestinationConfiguration(DestinationKind.S3, "bucket")
        updated = configuration
        for change, state in (
            (LoggingConfigurationChange(destination=destination), State.UPDATING),
            (LoggingConfigurationChange(), State.UPDATE_FAILED),
            (LoggingConfigurationChange(name=""), State.UPDATING),
            (LoggingConfigurationChange(), State.ACTIVE),
        ):
            updated = await store.logging_configurations.update(
                configuration.arn, change, state, NOW + 9
            )
            assert updated.state is state
            assert await store.logging_configurations.get(configuration.arn) == updated
        assert updated == msgspec.structs.replace(
            configuration, name="", destination=destination, update_time=NOW + 9
        )

    async def test_update_refuses_a_wrong_move(self, store: Store) -> None:
        """A move that the present state does not allow is a conflict; nothing is kept."""
        configuration = a_configuration(State.CREATING)
        await store.logging_configurations.create(configuration, PLENTY)
        change = LoggingConfigurationChange(name="x")
        with pytest.raises(ConflictException):
            await store.logging_configurations.update(
                configuration.arn, change, State.UPDATING, NOW + 1
            )
        assert await store.logging_configurations.get(configuration.arn) == configuration

    async def test_move(self, store: Store) -> None:
        """A configuration moves only from the state in which the caller believes it to be."""
        configuration = a_configuration(State.CREATING, name="n")
        arn = configuration.arn
        await store.logging_configurations.create(configuration, PLENTY)
        with pytest.raises(ConflictException):
            await store.logging_configurations.move(arn, State.UPDATING, State.ACTIVE, NOW + 1)
        with pytest.raises(ConflictException):
            await store.logging_configurations.move(arn, State.CREATING, State.DELETING, NOW + 1)
        moved = await store.logging_configurations.move(arn, State.CREATING, State.ACTIVE, NOW + 1)
        assert moved == msgspec.structs.replace(
            configuration, state=State.ACTIVE, update_time=NOW + 1
        )
        assert await store.logging_configurations.get(arn) == moved
        with pytest.raises(ResourceNotFoundException):
            await store.logging_configurations.move(
                configuration_arn(), State.CREATING, State.ACTIVE, NOW
            )

    async def test_deletion_has_two_steps(self, store: Store) -> None:
        """A configuration becomes DELETING and is then removed; only a DELETING one is."""
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        await store.logging_configurations.finish_delete(configuration.arn)
        assert await store.logging_configurations.get(configuration.arn) == configuration
        await store.logging_configurations.begin_delete(configuration.arn, NOW + 1)
        assert await store.logging_configurations.get(configuration.arn) == (
            msgspec.structs.replace(configuration, state=State.DELETING, update_time=NOW + 1)
        )
        with pytest.raises(ConflictException):
            await store.logging_configurations.begin_delete(configuration.arn, NOW + 2)
        await store.logging_configurations.finish_delete(configuration.arn)
        with pytest.raises(ResourceNotFoundException):
            await store.logging_configurations.get(configuration.arn)

    async def test_attached_one_stays(self, store: Store) -> None:
        """While rooms have it attached it cannot be deleted, and the error counts them."""
        configuration = a_configuration()
        await store.logging_configurations.create(configuration, PLENTY)
        identifier = str(configuration.arn)
        rooms = [await store.rooms.create(a_room(identifier, identifier), PLENTY) for _ in range(2)]
        for room, count in zip(rooms, ("2 rooms", "1 room"), strict=True):
            with pytest.raises(ConflictException, match=f"is attached to {count}$") as raised:
                await store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert raised.value.resource_id == configuration.arn.id
            if count == "2 rooms":
                await store.rooms.delete(room.arn)
        detach = RoomChange(logging_configuration_identifiers=())
        await store.rooms.update(rooms[1].arn, detach, NOW)
        await store.logging_configurations.begin_delete(configuration.arn, NOW)
        await store.logging_configurations.finish_delete(configuration.arn)

    async def test_deleting_and_attaching_exclude_each_other(self, store: Store) -> None:
        """Of a deletion and an attachment at once, one is refused."""
        for first_deletes in (True, False):
            configuration = a_configuration()
            await store.logging_configurations.create(configuration, PLENTY)
            calls = [
                store.logging_configurations.begin_delete(configuration.arn, NOW),
                store.rooms.create(a_room(str(configuration.arn)), PLENTY),
            ]
            results = await asyncio.gather(
                *(calls if first_deletes else reversed(calls)), return_exceptions=True
            )
            assert sum(isinstance(result, ConflictException) for result in results) == 1

    @pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
    async def test_newest_comes_first(self, store: Store, limit: int) -> None:
        """Configurations are listed by creation, newest first, whatever happens in between."""
        configurations = [a_configuration(name=f"{n}") for n in range(5)]
        for configuration in configurations:
            await store.logging_configurations.create(configuration, PLENTY)
        seen: list[str | None] = []
        after: int | None = None
        for pages in itertools.count(1):
            page = await store.logging_configurations.page(ACCOUNT, REGION, limit, after)
            seen += [configuration.name for configuration in page.configurations]
            after = page.next
            if after is None:
                break
            await store.logging_configurations.create(a_configuration(name="new"), PLENTY)
            await store.logging_configurations.update(
                configurations[0].arn,
                LoggingConfigurationChange(),
                State.UPDATING if pages % 2 else State.ACTIVE,
                NOW,
            )
        assert seen == ["4", "3", "2", "1", "0"]
        assert pages == -(-5 // limit)

    async def test_unfinished_are_found_in_all_accounts(self, store: Store) -> None:
        """What was interrupted on its way to another state is found, whoever owns it."""
        expected = []
        for state in State:
            configuration = a_configuration(state, arn=configuration_arn(new_account()))
            await store.logging_configurations.create(configuration, PLENTY)
            if state in {State.CREATING, State.UPDATING, State.DELETING}:
                expected.append(configuration)
        found = await store.logging_configurations.unfinished()
        assert sorted(found, key=lambda each: each.arn) == sorted(
            expected, key=lambda each: each.arn
        )


class TestTags:
    @pytest.fixture(params=["room", "configuration"])
    async def arn(self, store: Store, request: pytest.FixtureRequest) -> Arn:
        """Create one resource of each kind, with the tag a=1."""
        if request.param == "room":
            room = msgspec.structs.replace(a_room(), tags={"a": "1"})
            return (await store.rooms.create(room, PLENTY)).arn
        configuration = msgspec.structs.replace(a_configuration(), tags={"a": "1"})
        await store.logging_configurations.create(configuration, PLENTY)
        return configuration.arn

    async def test_are_added_overwritten_and_removed(self, store: Store, arn: Arn) -> None:
        """Tagging merges, untagging removes what is there and ignores the rest."""
        await store.tags.add(arn, {"b": "2", "a": "3"}, 50)
        assert await store.tags.get(arn) == {"a": "3", "b": "2"}
        await store.tags.remove(arn, ("a", "missing"))
        assert await store.tags.get(arn) == {"b": "2"}
        await store.tags.remove(arn, ("b",))
        assert await store.tags.get(arn) == {}

    async def test_have_a_quota(self, store: Store, arn: Arn) -> None:
        """More tags than the quota are refused whole; overwriting at the quota is fine."""
        await store.tags.add(arn, {"b": "2", "c": "3"}, 3)
        with pytest.raises(ValidationException) as raised:
            await store.tags.add(arn, {"a": "9", "d": "4"}, 3)
        assert [field.name for field in raised.value.fields] == ["tags"]
        await store.tags.add(arn, {"a": "0"}, 3)
        assert await store.tags.get(arn) == {"a": "0", "b": "2", "c": "3"}

    async def test_are_part_of_the_resource(self, store: Store, arn: Arn) -> None:
        """The resource itself shows its tags, and its update time has not changed."""
        await store.tags.add(arn, {"b": "2"}, 50)
        resource = await (
            store.rooms.get(arn) if arn.type == "room" else store.logging_configurations.get(arn)
        )
        assert (resource.tags, resource.update_time) == ({"a": "1", "b": "2"}, NOW)

    async def test_do_not_move_a_room(self, store: Store) -> None:
        """Tagging leaves the order of listings alone."""
        rooms = [await store.rooms.create(a_room(), PLENTY) for _ in range(2)]
        await store.tags.add(rooms[0].arn, {"b": "2"}, 50)
        await store.tags.remove(rooms[0].arn, ("b",))
        assert arns(await listed(store)) == [rooms[1].arn, rooms[0].arn]


class TestRedeem:
    async def test_is_true_once(self, store: Store) -> None:
        """The first call for a token returns True, every later one False."""
        assert await redeem(store, "one", NOW, NOW) is True
        assert await redeem(store, "one", NOW, NOW) is False
        assert await redeem(store, "two", NOW, NOW) is True

    async def test_is_true_once_under_concurrency(self, store: Store) -> None:
        """Of many calls at once for one token, exactly one returns True."""
        results = await asyncio.gather(*(redeem(store, "t", NOW, NOW) for _ in range(50)))
        assert sorted(results) == [False] * 49 + [True]

    async def test_many_at_once(self, store: Store) -> None:
        """Uses in one call are told apart, and one token twice in it is first once."""
        await redeem(store, "used", NOW, NOW)
        tokens = [("a", NOW), ("used", NOW), ("b", NOW), ("a", NOW)]
        assert await store.token_uses.redeem(tokens, NOW) == [True, False, True, False]
        assert await store.token_uses.redeem([], NOW) == []

    async def test_is_remembered_for_an_hour_after_expiry(self, store: Store) -> None:
        """However many tokens come and go, a mark stays for an hour after the token's expiry."""
        for number in range(300):
            assert await redeem(store, f"{number}", NOW, NOW)
        hour_later = NOW + 3_600_000
        for number in range(300):
            assert not await redeem(store, f"{number}", NOW, hour_later)
        for number in range(300, 1_000):
            assert await redeem(store, f"{number}", hour_later + 9, hour_later + 1)
        for number in range(300, 1_000):
            assert not await redeem(store, f"{number}", hour_later + 9, hour_later + 1)


class TestSecrets:
    async def test_first_one_is_kept(self, store: Store) -> None:
        """The first candidate becomes the secret, byte for byte; later ones get it back."""
        first = bytes(range(256))
        assert await store.secrets.keep("key", first) == first
        assert await store.secrets.keep("key", b"second") == first
        assert await store.secrets.keep("other", b"") == b""
        assert await store.secrets.keep("other", b"second") == b""

    async def test_a_secret_is_replaced_by_who_knows_it(self, store: Store) -> None:
        """The replacement takes the place of the expected one only; of many at once, one does."""
        await store.secrets.keep("key", b"first")
        assert not await store.secrets.replace("key", b"other", b"second")
        assert await store.secrets.replace("key", b"first", b"second")
        assert await store.secrets.keep("key", b"third") == b"second"
        assert not await store.secrets.replace("none", b"", b"second")
        assert await store.secrets.keep("none", b"first") == b"first"
        values = [bytes([n]) for n in range(20)]
        replaced = await asyncio.gather(
            *(store.secrets.replace("key", b"second", value) for value in values)
        )
        assert sum(replaced) == 1
        assert await store.secrets.keep("key", b"third") == values[replaced.index(True)]

    async def test_all_get_the_same_one(self, store: Store) -> None:
        """Of many candidates at once, one becomes the secret of all."""
        results = await asyncio.gather(*(store.secrets.keep("s", bytes([n])) for n in range(20)))
        assert len(set(results)) == 1


class TestEnd:
    async def test_it_can_be_asked_for_a_write(self, store: Store) -> None:
        """Asking whether writes can be kept changes nothing."""
        for _ in range(3):
            await store.check_writable()
        assert await store.secrets.get("none") is None

    async def test_closed_store_answers_nothing(self, store: Store) -> None:
        """After `close`, which may be called twice, every call is refused."""
        room = await store.rooms.create(a_room(), PLENTY)
        await store.close()
        await store.close()
        configuration = a_configuration()
        for call in (
            store.rooms.create(a_room(), PLENTY),
            store.rooms.get(room.arn),
            store.rooms.update(room.arn, RoomChange(), NOW),
            store.rooms.delete(room.arn),
            store.rooms.page(ACCOUNT, REGION, EVERY, 5),
            store.logging_configurations.create(configuration, PLENTY),
            store.logging_configurations.get(configuration.arn),
            store.logging_configurations.begin_delete(configuration.arn, NOW),
            store.logging_configurations.finish_delete(configuration.arn),
            store.logging_configurations.page(ACCOUNT, REGION, 5),
            store.logging_configurations.unfinished(),
            store.tags.get(room.arn),
            store.tags.add(room.arn, {}, 50),
            store.tags.remove(room.arn, ()),
            redeem(store, "t", NOW, NOW),
            store.secrets.replace("s", b"", b""),
            store.secrets.keep("s", b""),
            store.check_writable(),
        ):
            with pytest.raises(StorageUnavailable) as raised:
                await call
            assert (raised.value.code, raised.value.status) == ("ServiceUnavailableException", 503)

    async def test_close_finishes_what_was_accepted(self, store: Store) -> None:
        """Calls that were made before `close` are answered."""
        calls = [asyncio.ensure_future(store.rooms.create(a_room(), PLENTY)) for _ in range(9)]
        await asyncio.sleep(0)
        await store.close()
        assert len(await asyncio.gather(*calls)) == 9

    async def test_cancelled_callers_disturb_nobody(self, store: Store) -> None:
        """When callers go away, the calls of the others are done and answered."""
        tasks = [asyncio.ensure_future(store.rooms.create(a_room(), PLENTY)) for _ in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        stayed = [result for result in results[1::2] if isinstance(result, Room)]
        assert len(stayed) == 20
        assert set(arns(stayed)) <= set(arns(await listed(store)))
