"""Every `Tags`: of rooms and of logging configurations.

Covers: greenroom.storage.memory.tags, greenroom.storage.postgres.tags,
    greenroom.storage.sqlite.tags, greenroom.storage.tags
"""

import msgspec
import pytest

from greenroom.model.arn import Arn
from greenroom.model.errors import (
    ResourceNotFoundException,
    ValidationException,
)
from greenroom.model.logging_configuration import (
    LoggingConfigurationState,
)
from greenroom.storage.base import Store
from tests.contracts.room_walks import arns, listed
from tests.stand_ins.values import (
    NOW,
    PLENTY,
    a_configuration,
    a_room,
    configuration_arn,
    room_arn,
)

State = LoggingConfigurationState


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

    @pytest.mark.parametrize("missing", [room_arn(), configuration_arn()])
    async def test_of_what_is_not_there(self, store: Store, missing: Arn) -> None:
        """It is said so, whatever is asked of them."""
        for asked in (
            store.tags.get(missing),
            store.tags.add(missing, {"a": "1"}, 50),
            store.tags.remove(missing, ("a",)),
        ):
            with pytest.raises(ResourceNotFoundException) as raised:
                await asked
            assert raised.value.resource_id == missing.id

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
