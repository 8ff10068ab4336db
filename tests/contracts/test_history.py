"""Every `History` of a store: order, gaps, deletions, what is asked for, and what is removed.

Covers: greenroom.model.kept_frame, greenroom.storage.history, greenroom.storage.memory.history,
    greenroom.storage.postgres.history, greenroom.storage.sqlite.history
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from greenroom.model.kept_frame import KeptFrame
from greenroom.model.message import REPLY_ROOT
from greenroom.protocol import events
from greenroom.storage.base import StorageUnavailable, Store
from greenroom.storage.history import Extent, Kept, Newest, Query, Shown, StoredFrame
from greenroom.storage.journal import StreamPosition
from greenroom.storage.memory import history as memory_history
from greenroom.storage.postgres import history as postgres_history
from greenroom.storage.sqlite import history as sqlite_history
from tests.contracts.shared import SharedStore
from tests.stand_ins.values import new_account


def frame(name: str, time_ns: int = 1, **members: Any) -> KeptFrame:
    """Return a message."""
    members = {"author": "bob", **members}
    return KeptFrame(name, time_ns, "SendMessage", name.encode(), **members)


def room_of(name: str = "room") -> str:
    """Return a room that nobody has used."""
    return f"arn:{new_account()}:{name}"


async def said(store: Store, room: str, *frames: KeptFrame, begins: bool = False) -> None:
    """Keep frames."""
    await store.history.append([Kept(room, each, begins) for each in frames])


def ids(frames: Sequence[StoredFrame]) -> list[str]:
    """Return the ids of frames."""
    return [each.frame.id for each in frames]


async def test_what_was_kept_comes_back(store: Store) -> None:
    """As it was, in its order, each room with its own numbers."""
    room, other = room_of(), room_of()
    shadowed = frame("b", 2, audience="shadowed", user_id="bob", marked=b"m", author="b\u00fcb\x00")
    event = KeptFrame("c", 3, "DeleteMessage", b"{}", deletes=("x", "y"))
    await store.history.append(
        [Kept(room, frame("a")), Kept(other, frame("z")), Kept(room, shadowed)]
    )
    await said(store, room, event)
    found = await store.history.newest(room, 9)
    assert [each.frame for each in found.frames] == [frame("a"), shadowed, event]
    assert [each.number for each in found.frames] == [1, 2, 3]
    assert ids((await store.history.newest(room, 1)).frames) == ["b", "c"]
    assert ids((await store.history.newest(other, 9)).frames) == ["z"]
    assert await store.history.newest("nobody's", 9) == Newest()
    assert await store.history.number(room, "c") == 3
    assert await store.history.number(room, "\x00") == 0
    assert await store.history.number(room, "z") == await store.history.number("none", "a") == 0


async def test_gaps_are_known(store: Store) -> None:
    """Who says that something may be missing finds it said; what was not settled is ended."""
    room, other = room_of(), room_of()
    await said(store, room, frame("a"))
    await said(store, room, frame("b"), begins=True)
    await said(store, other, frame("z"))
    assert [each.begins for each in (await store.history.newest(room, 9)).frames] == [False, True]
    assert [await store.history.is_whole(room, number) for number in (0, 1, 2)] == [
        *(False, False, True)
    ]
    assert await store.history.is_whole(other, 0)
    await store.history.settle([room])
    assert not (await store.history.newest(room, 9)).is_ended
    assert await store.history.resume() >= {room}
    assert not {room} & await store.history.resume()
    assert (await store.history.newest(room, 9)).is_ended
    await store.history.settle([room])
    ended = [(await store.history.newest(each, 9)).is_ended for each in (room, other)]
    assert ended == [False, True]


async def test_what_is_kept_where_something_is(store: Store) -> None:
    """A deletion of a room that keeps nothing is, if the room has something yet."""
    room, other = room_of(), room_of()
    gone = KeptFrame("d", 1, "DeleteMessage", b"{}", deletes=("a",))
    for name in (room, other):
        late = Kept(name, gone, begins=True, only_if_any=True)
        if name is room:
            await store.history.append([Kept(name, frame("a")), Kept(name, frame("b")), late])
        await store.history.append([late])
    found = (await store.history.newest(room, 9)).frames
    assert [(each.frame.id, each.is_deleted) for each in found[:2]] == [("a", True), ("b", False)]
    assert ids(found[2:]) == ["d", "d"]
    assert not (await store.history.newest(other, 9)).frames
    for nowhere, there in ((0, 1), (1, 0)):
        rooms = [room_of(), room_of()]
        await store.history.append(
            [Kept(rooms[nowhere], gone, only_if_any=True), Kept(rooms[there], frame("a"))]
        )
        assert not (await store.history.newest(rooms[nowhere], 9)).frames
        assert ids((await store.history.newest(rooms[there], 9)).frames) == ["a"]
    await store.history.forget(room)
    await store.history.append([Kept(room, gone, only_if_any=True)])
    assert not (await store.history.newest(room, 9)).frames


async def test_what_a_stream_has_shown(shared: SharedStore) -> None:
    """It is kept with the place in the stream, or not at all; a room that was ended begins."""
    room, other = room_of(), room_of()
    first, second = (StreamPosition("s", number, number) for number in (1, 2))
    append = shared.journal.append_from

    def kept(name: str, *, begins: bool = False) -> Kept:
        return Kept(room, frame(name), begins)

    assert await append(3, None, first, [], Shown([kept("a"), kept("b")], [other]))
    assert not await append(3, None, first, [], Shown([kept("never")]))
    found = await shared.history.newest(room, 9)
    assert (ids(found.frames), found.is_ended) == (["a", "b"], False)
    assert not any(each.begins for each in found.frames)
    assert await append(3, first, second, [], Shown([kept("c", begins=True)], [room]))
    assert (await shared.history.newest(room, 9)).is_ended
    assert await append(3, second, first, [], Shown([kept("d"), kept("e")]))
    found = await shared.history.newest(room, 9)
    assert [each.begins for each in found.frames] == [False, False, True, True, False]
    assert (found.begin(ended=found.is_ended), found.more) == (3, False)
    assert await append(3, first, second, [], Shown([kept("f")], is_broken=True))
    found = await shared.history.newest(room, 9)
    assert (found.frames[-1].begins, found.is_ended) == (True, False)
    assert not await shared.history.is_whole(room, 5)
    assert await shared.history.is_whole(room, 6)


async def test_a_stream_that_was_ended_behind_one_frame(shared: SharedStore) -> None:
    """What is shown next begins, and nothing behind it."""
    room = room_of()
    first, second = (StreamPosition("s", number, number) for number in (1, 2))
    append = shared.journal.append_from
    assert await append(3, None, first, [], Shown([Kept(room, frame("a"))], [room]))
    shown = Shown([Kept(room, frame("b")), Kept(room, frame("c"))])
    assert await append(3, first, second, [], shown)
    found = await shared.history.newest(room, 9)
    assert [each.begins for each in found.frames] == [False, True, False]


async def test_deletions_do_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where so many of the newest are meant; of them there are so many more at most."""
    room = room_of()
    gone = [KeptFrame(f"d{number}", 9, "DeleteMessage", b"", deletes=("x",)) for number in range(4)]
    await said(store, room, frame("a"), gone[0], frame("b"), frame("c"), *gone[1:3])
    count = store.history.newest
    for number, expected in (
        (9, "a d0 b c d1 d2"),
        (2, "d0 b c d1 d2"),
        (1, "c d1 d2"),
        (0, "d1 d2"),
    ):
        assert ids((await count(room, number)).frames) == expected.split()
    for number, expected_number in ((9, 0), (3, 0), (2, 1), (1, 3), (0, 4)):
        assert await store.history.beyond(room, number) == expected_number
    assert await store.history.beyond("nobody's", 9) == 0
    for adapter in (memory_history, postgres_history, sqlite_history):
        monkeypatch.setattr(adapter, "MOST_DELETIONS", 2)
    assert ids((await count(room, 1)).frames) == ["c", "d1", "d2"]
    await said(store, room, gone[3])
    assert ids((await count(room, 1)).frames) == ["d1", "d2", "d3"]
    await store.history.trim(room, 99, 0)
    assert not (await count(room, 9)).frames


async def test_behind_what_the_newest_begin(store: Store) -> None:
    """Of messages alone; and of deletions alone, behind what was removed."""
    room = room_of()
    await said(store, room, frame("a"), frame("b"), frame("c"))
    assert [await store.history.beyond(room, count) for count in range(4)] == [3, 2, 1, 0]
    gone = [KeptFrame(f"d{number}", 9, "DeleteMessage", b"", deletes=("x",)) for number in range(3)]
    await said(store, room, *gone)
    assert await store.history.trim(room, 3, 0) == 3
    assert [await store.history.beyond(room, count) for count in range(4)] == [3, 3, 3, 3]


async def test_what_is_deleted(store: Store) -> None:
    """It is told apart in its room, and left out where only messages are asked for."""
    room, other = room_of(), room_of()
    await said(store, room, frame("a"), frame("b"))
    await said(store, other, frame("a"))
    await said(store, room, KeptFrame("c", 3, "DeleteMessage", b"{}", deletes=("a", "none")))
    assert [each.is_deleted for each in (await store.history.newest(room, 9)).frames] == [
        *(True, False, False)
    ]
    assert not (await store.history.newest(other, 9)).frames[0].is_deleted
    assert ids(await store.history.messages(room, Query(), 9)) == ["b"]
    assert ids(await store.history.messages(room, Query(with_deleted=True), 9)) == ["b", "a"]


async def test_what_is_asked_for(store: Store) -> None:
    """By number, time and author, from either end, so many; times are as large as today's."""
    room, now = room_of(), 1_800_000_000 * 10**9
    authors = ["bob", "e\x00ve", "bob", "e\x00ve", "bob"]
    frames = [
        frame(f"m{number}", now + number, author=author) for number, author in enumerate(authors, 1)
    ]
    await said(store, room, *frames)
    for query, expected in (
        (Query(), [5, 4, 3, 2, 1]),
        (Query(oldest_first=True), [1, 2, 3, 4, 5]),
        (Query(most=3), [3, 2, 1]),
        (Query(least=4, oldest_first=True), [4, 5]),
        (Query(from_ns=now + 2, to_ns=now + 4), [4, 3, 2]),
        (Query(author="e\x00ve"), [4, 2]),
        (Query(author="e\x00ve", most=3), [2]),
        (Query(author="nobody"), []),
        (Query(least=2**40), []),
    ):
        found = await store.history.messages(room, query, 9)
        assert [each.number for each in found] == expected
        assert [each.number for each in await store.history.messages(room, query, 2)] == (
            expected[:2]
        )


async def test_a_thread(store: Store) -> None:
    """The message that begins it and its replies, in both orders; no text passes for one."""
    room, root = room_of(), "Message00001"

    def message(name: str, attributes: dict[str, str], content: str = "hi") -> KeptFrame:
        payload = events.encode_message(name, "", attributes, content, 1, "bob", {})
        return msgspec.structs.replace(frame(name), payload=payload)

    reply = {REPLY_ROOT: root}
    lie = f'"{REPLY_ROOT}":"{root}"'
    await said(
        store,
        room,
        message(root, {}),
        message("Reply0000001", reply),
        message("Lie000000001", {"greenroom:reply-to": root}, lie),
        message("Lie000000002", {"a": lie}),
        message("Other0000001", {REPLY_ROOT: "Message00002"}),
        message("Reply0000002", {"a": "b", **reply}),
    )
    query = Query(root=root)
    thread = [root, "Reply0000001", "Reply0000002"]
    assert ids(await store.history.messages(room, query, 9)) == thread[::-1]
    query = msgspec.structs.replace(query, oldest_first=True)
    assert ids(await store.history.messages(room, query, 2)) == thread[:2]
    assert ids(await store.history.messages(room, Query(root=root, author="eve"), 9)) == []
    assert ids(await store.history.messages(room, Query(root="\x00"), 9)) == []
    assert ids(await store.history.messages(room_of(), Query(root=root), 9)) == []


async def test_what_is_removed(store: Store) -> None:
    """The oldest, by number or by age; numbers do not come back; a forgotten room is gone."""
    room = room_of()
    await said(store, room, *(frame(f"m{number}", number * 10) for number in range(1, 7)))
    extent = {each.room: each for each in await store.history.extents("", 10_000)}[room]
    assert (extent.oldest, extent.newest, extent.oldest_ns) == (1, 6, 10)
    assert await store.history.trim(room, 0, 10) == 0
    assert ids((await store.history.newest(room, 1)).frames) == ["m6"]
    assert len((await store.history.newest(room, 9)).frames) == 6
    assert await store.history.trim(room, 2, 0) == 2
    assert await store.history.trim(room, 0, 50) == 2
    assert ids((await store.history.newest(room, 9)).frames) == ["m5", "m6"]
    assert await store.history.trim(room, 100, 0) == 2
    (extent,) = await store.history.extents(room[:-1], 1)
    assert extent == Extent(room, oldest=7, newest=6, oldest_ns=0)
    await said(store, room, frame("m7"))
    assert (await store.history.newest(room, 9)).frames[0].number == 7
    assert await store.history.extents(room, 1) != [extent]
    assert room not in {each.room for each in await store.history.extents(room, 10_000)}
    await store.history.forget(room)
    await store.history.forget(room)
    assert (await store.history.newest(room, 9)).frames == ()
    assert room not in {each.room for each in await store.history.extents("", 10_000)}
    await said(store, room, frame("again"))
    assert ids((await store.history.newest(room, 9)).frames) == ["again"]
    assert await store.history.number(room, "m7") == 0


async def test_what_is_removed_is_the_beginning(store: Store) -> None:
    """Where a clock went back, what is old behind something that stays, stays as well."""
    room = room_of()
    await said(store, room, frame("m1", 10), frame("m2", 90), frame("m3", 20))
    assert await store.history.trim(room, 0, 50) == 1
    assert ids((await store.history.newest(room, 9)).frames) == ["m2", "m3"]


async def test_closed(store: Store) -> None:
    """A store that was closed says so, whatever is asked for."""
    await store.close()
    calls = (
        store.history.resume(),
        store.history.append([Kept("room", frame("a"))]),
        store.history.settle(["room"]),
        store.history.newest("room", 9),
        store.history.messages("room", Query(), 9),
        store.history.number("room", "a"),
        store.history.is_whole("room", 0),
        store.history.beyond("room", 9),
        store.history.extents("", 9),
        store.history.trim("room", 1, 1),
        store.history.forget("room"),
    )
    for each in calls:
        with pytest.raises(StorageUnavailable):
            await each
