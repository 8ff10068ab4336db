"""Every `HeldMessages`: what waits is kept in its order until it is released, and once.

Covers: greenroom.storage.held_messages, greenroom.storage.memory.held_messages,
    greenroom.storage.postgres.held_messages, greenroom.storage.sqlite.held_messages
"""

import itertools

import msgspec

from greenroom.model.held_message import HeldMessage
from greenroom.storage.base import Store
from greenroom.storage.history import Shown
from greenroom.storage.journal import Entry, StreamPosition
from tests.contracts.shared import SharedStore
from tests.stand_ins.values import configuration_arn, room_arn

_rooms = itertools.count()

ODD = "b\u00f6b\0"
"""A user's id that not every database keeps by itself."""


def a_room() -> str:
    """Return a room that no other test has."""
    return f"arn:aws:ivschat:us-east-1:123456789012:room/Held{next(_rooms):08}"


def message(room: str, number: int = 0, author: str = ODD, **changes: object) -> HeldMessage:
    """Return a message of a room."""
    made = HeldMessage(room, f"Message{number:05}", author, 10**18 + number, b"{}", b"{1}")
    return msgspec.structs.replace(made, **changes)


async def waiting(store: Store, *rooms: str) -> list[HeldMessage]:
    """Return what waits in rooms, in order."""
    found = []
    after = 0
    while some := await store.held_messages.waiting(after, 2):
        numbers = [number for number, _ in some]
        assert after < numbers[0] <= numbers[-1]
        after = numbers[-1]
        found += [each for _, each in some if each.room in rooms]
    return found


async def test_they_come_out_as_they_went_in(store: Store) -> None:
    """In their order over rooms, whole; those that are removed no longer."""
    one, two = a_room(), a_room()
    sent = [
        message(one, 1),
        message(two, 1, is_shadowed=True),
        message(one, 2, marked=b""),
        message(one, 3, is_recorded=True),
    ]
    await store.held_messages.add(sent[:2])
    await store.held_messages.add(sent[2:])
    assert await waiting(store, one, two) == sent
    await store.held_messages.remove(one, [sent[0].id, "unknown", "\0"])
    await store.held_messages.remove(one, [])
    assert await waiting(store, one, two) == sent[1:]


async def test_those_of_some_rooms(store: Store) -> None:
    """Page by page, as those of all; a room is known while some wait there, and no longer."""
    one, two, three = a_room(), a_room(), a_room()
    sent = [message(room, number) for number in range(3) for room in (one, two, three)]
    await store.held_messages.add(sent)
    assert {one, two, three} <= set(await store.held_messages.rooms())
    known = await store.held_messages.rooms()
    assert len(known) == len(set(known))
    expected = [each for each in sent if each.room != two]
    first = await store.held_messages.waiting(0, 4, [one, three])
    last = await store.held_messages.waiting(first[-1][0], 4, [one, three])
    assert [each for _, each in (*first, *last)] == expected
    assert await store.held_messages.waiting(0, 4, []) == []
    assert await store.held_messages.waiting(0, 4, ["\0"]) == []
    await store.held_messages.remove(two, [each.id for each in sent if each.room == two])
    assert two not in await store.held_messages.rooms()


async def test_one_that_is_added_again(store: Store) -> None:
    """It is there once, as it was at first; one of another room with its id is another one."""
    one, two = a_room(), a_room()
    await store.held_messages.add([message(one)])
    await store.held_messages.add([message(one, payload=b"[]"), message(two)])
    assert await waiting(store, one, two) == [message(one), message(two)]


async def test_those_of_an_author(store: Store) -> None:
    """Of a room, or of one who wrote there: without what they say."""
    one, two = a_room(), a_room()
    sent = [message(one, 1), message(one, 2, "eve"), message(two, 3), message(one, 4)]
    await store.held_messages.add(sent)
    bare = [msgspec.structs.replace(each, payload=b"", marked=b"") for each in sent]
    assert await store.held_messages.of_room(one) == [bare[0], bare[1], bare[3]]
    assert await store.held_messages.of_room(one, sent[0].author) == [bare[0], bare[3]]
    assert await store.held_messages.of_room(one, "eve") == [bare[1]]
    assert await store.held_messages.of_room(one, "zoe") == []


async def test_that_chat_logs_have_it(store: Store) -> None:
    """It is kept with the record: so that no other process records it once more."""
    room = room_arn()
    await store.held_messages.add([message(str(room), 1), message(str(room), 2)])
    configuration = configuration_arn()
    await store.journal.append(
        [Entry(room, (configuration,), 1, b"{}", "Message00001"), Entry(room, (), 1, b"{}")]
    )
    found = await waiting(store, str(room))
    assert [each.is_recorded for each in found] == [True, False]


async def test_what_streams_show(shared: SharedStore) -> None:
    """What waits and what no longer does is kept with the position, or neither is."""
    one = a_room()
    first, second, third = (StreamPosition("then", number, number) for number in (1, 2, 3))
    sent = [message(one, 1), message(one, 2), message(one, 3)]
    shown = Shown(held=sent[:2])
    assert await shared.journal.append_from(7, None, first, [], shown)
    assert await waiting(shared, one) == sent[:2]
    late = Shown(held=[sent[2]], released=[(one, sent[0].id)])
    assert not await shared.journal.append_from(7, third, second, [], late)
    assert await waiting(shared, one) == sent[:2]
    both = Shown(held=[sent[2]], released=[(one, sent[0].id), (one, sent[2].id), (one, "\0")])
    assert await shared.journal.append_from(7, first, second, [], both)
    assert await waiting(shared, one) == [sent[1]]
