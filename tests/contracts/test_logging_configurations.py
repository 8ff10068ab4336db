"""Every `LoggingConfigurations`: what is kept, and which state follows which.

Covers: greenroom.storage.logging_configurations, greenroom.storage.memory.logging_configurations,
    greenroom.storage.postgres.logging_configurations, greenroom.storage.rules,
    greenroom.storage.sqlite.logging_configurations
"""

import asyncio
import itertools

import msgspec
import pytest

from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.room import (
    RoomChange,
)
from greenroom.storage.base import Store
from tests.stand_ins.values import (
    ACCOUNT,
    NOW,
    PLENTY,
    REGION,
    a_configuration,
    a_room,
    configuration_arn,
    new_account,
)

State = LoggingConfigurationState


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
        for _ in range(2):
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
