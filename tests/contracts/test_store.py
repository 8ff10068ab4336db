"""What every adapter of the store guarantees about all of its ports: writing, and the end.

Covers: greenroom.storage.base, greenroom.storage.memory.opened, greenroom.storage.memory.store,
    greenroom.storage.postgres.store, greenroom.storage.sqlite.store
"""

import asyncio

import pytest

from greenroom.model.logging_configuration import (
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room import (
    Room,
    RoomChange,
)
from greenroom.model.room_settings import SettingsChange
from greenroom.model.sent_message import SentMessage
from greenroom.storage.base import StorageUnavailable, Store
from tests.contracts.room_walks import EVERY, arns, listed
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import (
    ACCOUNT,
    NOW,
    PLENTY,
    REGION,
    a_configuration,
    a_room,
)

State = LoggingConfigurationState


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
        sent = SentMessage(key="k", fingerprint="f", message_id="m", asked_at=NOW)
        entry = Restriction(
            account=ACCOUNT, scope=ACCOUNT, user_id="u", kind=Kind.MUTE, by="b", at=NOW
        )
        for call in (
            store.rooms.create(a_room(), PLENTY),
            store.rooms.get(room.arn),
            store.rooms.update(room.arn, RoomChange(), NOW),
            store.rooms.delete(room.arn),
            store.rooms.set(room.arn, SettingsChange({}, (), NOW)),
            store.rooms.page(ACCOUNT, REGION, EVERY, 5),
            store.rooms.regions_in_use(),
            store.logging_configurations.create(configuration, PLENTY),
            store.logging_configurations.get(configuration.arn),
            store.logging_configurations.update(
                configuration.arn, LoggingConfigurationChange(), State.UPDATING, NOW
            ),
            store.logging_configurations.move(configuration.arn, State.UPDATING, State.ACTIVE, NOW),
            store.logging_configurations.begin_delete(configuration.arn, NOW),
            store.logging_configurations.finish_delete(configuration.arn),
            store.logging_configurations.page(ACCOUNT, REGION, 5),
            store.logging_configurations.unfinished(),
            store.tags.get(room.arn),
            store.tags.add(room.arn, {}, 50),
            store.tags.remove(room.arn, ()),
            redeem(store, "t", NOW, NOW),
            store.token_uses.redeem([], NOW),
            store.restrictions.add(entry, PLENTY),
            store.restrictions.since(ACCOUNT, 0),
            store.restrictions.accounts(),
            store.restrictions.page(ACCOUNT, "", "", 0, 9),
            store.restrictions.prune(NOW),
            store.sent_messages.claim(sent),
            store.sent_messages.settle(sent),
            store.sent_messages.release(sent),
            store.held_messages.add([]),
            store.held_messages.rooms(),
            store.held_messages.waiting(0, 1),
            store.held_messages.of_room("r"),
            store.held_messages.remove("r", ["m"]),
            store.secrets.get("s"),
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
