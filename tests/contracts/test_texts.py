"""Every store keeps every text: what databases and C libraries stumble over as well."""

import msgspec
import pytest

from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.identity import User
from greenroom.model.logging_configuration import DestinationConfiguration, DestinationKind
from greenroom.model.room import RoomFilter
from greenroom.storage.base import Store
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import ACCOUNT, NOW, PLENTY, REGION, a_configuration, a_room

TEXTS = ["a\0b", "\0", "\x01\x02", "'; DROP TABLE rooms; --", "%s $1 \\x00 \\u0000", "é😀\u2028"]
LONE = ["\ud800", "a\udfffb"]
"""Lone surrogates, which UTF-8 has no bytes for."""


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_rooms(store: Store, text: str) -> None:
    """A room has the name, the handler and the tags that it was given, and is found by them."""
    room = msgspec.structs.replace(a_room(name=text, uri=text), tags={text: text})
    assert await store.rooms.create(room, PLENTY) == room
    assert await store.rooms.get(room.arn) == room
    await store.rooms.create(a_room(name="another", uri="another"), PLENTY)
    for filters in (RoomFilter(name=text), RoomFilter(message_review_handler_uri=text)):
        assert (await store.rooms.page(ACCOUNT, REGION, filters, 5)).rooms == [room]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_configurations_identities_and_secrets(store: Store, text: str) -> None:
    """All other texts come back as they were."""
    configuration = msgspec.structs.replace(
        a_configuration(),
        name=text,
        destination=DestinationConfiguration(DestinationKind.S3, text),
        tags={"key": text},
    )
    await store.logging_configurations.create(configuration, PLENTY)
    assert await store.logging_configurations.get(configuration.arn) == configuration
    user = User(account=ACCOUNT, name="anna", id="AIDA1", create_date=NOW, tags={"key": text})
    await store.identities.create_user(user)
    assert await store.identities.get_user(ACCOUNT, "anna") == user
    assert await store.secrets.keep(text, text.encode()) == text.encode()
    assert await store.secrets.get(text) == text.encode()


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_tokens(store: Store, text: str) -> None:
    """Ids of tokens that differ anywhere are different tokens."""
    assert await redeem(store, text, NOW, NOW)
    assert await redeem(store, text + "x", NOW, NOW)
    assert await redeem(store, "x" + text, NOW, NOW)
    assert not await redeem(store, text, NOW, NOW)


@pytest.mark.parametrize("text", LONE, ids=ascii)
async def test_lone_surrogates(store: Store, text: str) -> None:
    """What no request can bring is kept, or refused for what it is; the store goes on."""
    for room in (a_room(name=text), msgspec.structs.replace(a_room(), tags={"key": text})):
        try:
            await store.rooms.create(room, PLENTY)
        except UnicodeEncodeError:
            with pytest.raises(ResourceNotFoundException):
                await store.rooms.get(room.arn)
        else:
            assert await store.rooms.get(room.arn) == room
    await store.check_writable()
