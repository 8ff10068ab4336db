"""Several nodes on one database: what each call promises holds over all of them.

Covers: greenroom.storage.postgres.identities, greenroom.storage.postgres.logging_configurations,
    greenroom.storage.postgres.regions, greenroom.storage.postgres.rooms,
    greenroom.storage.postgres.secrets, greenroom.storage.postgres.tags,
    greenroom.storage.postgres.token_uses
"""

import asyncio
import random

import msgspec

from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from greenroom.model.identity import KEYS_PER_USER, AccessKey, User
from greenroom.model.identity_errors import EntityAlreadyExists, LimitExceeded
from greenroom.model.logging_configuration import LoggingConfigurationState
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.storage.postgres.store import PostgresStore
from tests.stand_ins.values import ACCOUNT, NOW, PLENTY, REGION, a_configuration, a_room

Nodes = list[PostgresStore]


async def test_tokens_are_used_once(nodes: Nodes) -> None:
    """200 tokens shown to four nodes at once, in any order, have 200 first uses."""
    tokens = [(f"token {number}", NOW) for number in range(200)]

    async def use_all(node: PostgresStore) -> list[str]:
        mine = random.sample(tokens, len(tokens))
        batches = [mine[start : start + 20] for start in range(0, len(mine), 20)]
        results = await asyncio.gather(*(node.token_uses.redeem(batch, NOW) for batch in batches))
        firsts = [first for result in results for first in result]
        return [token for (token, _), first in zip(mine, firsts, strict=True) if first]

    used = await asyncio.gather(*map(use_all, nodes))
    assert sorted(token for each in used for token in each) == sorted(token for token, _ in tokens)


async def test_a_quota_of_rooms_is_exact(nodes: Nodes) -> None:
    """Of many creations at once on all nodes exactly as many succeed as the quota allows."""
    results = await asyncio.gather(
        *(node.rooms.create(a_room(), 7) for node in nodes for _ in range(6)),
        return_exceptions=True,
    )
    created = [each for each in results if isinstance(each, Room)]
    refused = [each for each in results if isinstance(each, ServiceQuotaExceededException)]
    assert (len(created), len(refused)) == (7, 17)
    assert {each.arn for each in await listed(nodes[0])} == {each.arn for each in created}


async def test_a_quota_of_configurations_is_exact(nodes: Nodes) -> None:
    """Of many creations at once on all nodes exactly as many succeed as the quota allows."""
    results = await asyncio.gather(
        *(
            node.logging_configurations.create(a_configuration(), 3)
            for node in nodes
            for _ in range(3)
        ),
        return_exceptions=True,
    )
    assert results.count(None) == 3
    assert sum(isinstance(each, ServiceQuotaExceededException) for each in results) == 9


async def test_names_are_unique(nodes: Nodes) -> None:
    """Of users of one name, in any case, made on all nodes at once, one is made."""
    for round_ in range(5):
        users = [a_user(name) for name in (f"Anna{round_}", f"ANNA{round_}")]
        results = await asyncio.gather(
            *(node.identities.create_user(user) for node in nodes for user in users),
            return_exceptions=True,
        )
        assert results.count(None) == 1
        assert sum(isinstance(each, EntityAlreadyExists) for each in results) == 7


async def test_a_rule_over_several_rows_holds(nodes: Nodes) -> None:
    """A quota that a rule counts, which no constraint of the database knows, is exact."""
    await nodes[0].identities.create_user(a_user("anna"))
    results = await asyncio.gather(
        *(
            node.identities.create_access_key(a_key(f"AKIA{place}{number}"))
            for place, node in enumerate(nodes)
            for number in range(3)
        ),
        return_exceptions=True,
    )
    assert results.count(None) == KEYS_PER_USER
    assert sum(isinstance(each, LimitExceeded) for each in results) == 12 - KEYS_PER_USER
    assert len(await nodes[1].identities.list_access_keys(ACCOUNT, "anna")) == KEYS_PER_USER


async def test_what_is_attached_is_not_deleted(nodes: Nodes) -> None:
    """Either a room gets a configuration or the configuration is deleted, never both."""
    one, other, *_ = nodes
    attached = 0
    for _ in range(12):
        configuration = a_configuration(LoggingConfigurationState.ACTIVE)
        await one.logging_configurations.create(configuration, PLENTY)
        room = msgspec.structs.replace(
            a_room(), logging_configuration_identifiers=(str(configuration.arn),)
        )
        created, deleted = await asyncio.gather(
            one.rooms.create(room, PLENTY),
            other.logging_configurations.begin_delete(configuration.arn, NOW),
            return_exceptions=True,
        )
        if isinstance(created, Room):
            attached += 1
            assert isinstance(deleted, ConflictException)
        else:
            assert deleted is None
            assert isinstance(created, ConflictException | ResourceNotFoundException)
    assert 0 <= attached <= 12


async def test_changes_have_one_order(nodes: Nodes) -> None:
    """Updates on all nodes at once leave a listing that has each room once."""
    rooms = [await nodes[0].rooms.create(a_room(), PLENTY) for _ in range(4)]
    await asyncio.gather(
        *(
            node.rooms.update(room.arn, RoomChange(maximum_message_length=number + 1), NOW)
            for node in nodes
            for number, room in enumerate(rooms)
        )
    )
    found = await listed(nodes[1], limit=1)
    assert sorted(each.arn for each in found) == sorted(each.arn for each in rooms)


async def test_a_node_sees_what_another_was_answered(nodes: Nodes) -> None:
    """What one node has been answered every other one reads at once."""
    for writer in nodes:
        room = await writer.rooms.create(a_room(), PLENTY)
        await writer.tags.add(room.arn, {"a": "1"}, 50)
        for reader in nodes:
            assert (await reader.rooms.get(room.arn)).tags == {"a": "1"}


async def test_a_secret_is_that_of_all(nodes: Nodes) -> None:
    """Of candidates of all nodes one is kept, and all get it."""
    kept = await asyncio.gather(
        *(node.secrets.keep("key", bytes([place])) for place, node in enumerate(nodes))
    )
    assert len(set(kept)) == 1


async def test_marks_of_expired_tokens_go(nodes: Nodes) -> None:
    """An hour after their expiry the marks are swept as more come, by whichever node."""
    old = [(f"old {number}", NOW) for number in range(1_000)]
    await nodes[0].token_uses.redeem(old, NOW)
    later = NOW + 3_600_001
    for number in range(3):
        new = [(f"new {number} {each}", later) for each in range(400)]
        assert all(await nodes[1].token_uses.redeem(new, later))
    await nodes[1].close()
    assert all(await nodes[2].token_uses.redeem(old, later))


async def listed(store: PostgresStore, limit: int = 50) -> list[Room]:
    """Return all rooms, page by page."""
    page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), limit)
    found = page.rooms
    while page.next is not None:
        page = await store.rooms.page(ACCOUNT, REGION, RoomFilter(), limit, page.next)
        found += page.rooms
    return found


def a_user(name: str) -> User:
    """Return a user of that name."""
    return User(account=ACCOUNT, name=name, id=f"AIDA{name}", create_date=NOW)


def a_key(access_key_id: str) -> AccessKey:
    """Return a key of that id, anna's."""
    return AccessKey(
        account=ACCOUNT,
        access_key_id=access_key_id,
        user_name="anna",
        create_date=NOW,
        sealed_secret=b"sealed",
    )
