"""What a room keeps, page by page, by itself: bounds of pages, and what is waited for.

How it is asked for: tests/control/greenroom/test_kept_messages.py.
"""

from unittest.mock import AsyncMock

import pytest

from greenroom.chat import kept_messages
from greenroom.chat.kept_messages import KeptMessages, Page
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.room_settings import RoomSettings
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import Kept, Query
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock

ROOM = "room"
SETTINGS = RoomSettings(history_messages=100, history_hours=1)


class Scene:
    """A room that keeps messages, which are numbered from 1 on."""

    def __init__(self) -> None:
        self.time, self.store = HandClock(), MemoryStore()
        self.catch_up = AsyncMock(return_value=True)
        self.kept = KeptMessages(self.store.history, self.catch_up, self.time.clock)

    async def keep(self, *names: str, author: str = "bob") -> "Scene":
        """Keep messages."""
        frames = [
            KeptFrame(each, self.time.wall_ns, "SendMessage", b"{}", author=author)
            for each in names
        ]
        await self.store.history.append([Kept(ROOM, each) for each in frames])
        return self

    async def page(
        self, limit: int = 9, *, before: str = "", since: str = "", most: int = 0, least: int = 0
    ) -> tuple[str, int, bool | None]:
        """Return the messages of a page, where the next one begins, and whether all was found."""
        query = Query(most=most, least=least)
        found: Page = await self.kept.page(ROOM, SETTINGS, query, limit, before=before, since=since)
        names = "".join(each.frame.id for each in found.messages)
        return names, found.next, found.recovered


@pytest.mark.parametrize(
    ("before", "most", "found"),
    [
        ("", 0, "edcba"),
        ("c", 0, "ba"),
        ("b", 0, "a"),
        ("a", 0, ""),
        ("x", 0, ""),
        ("e", 3, "cba"),
        ("c", 4, "ba"),
        ("c", 2, "ba"),
        ("c", 1, "a"),
    ],
)
async def test_what_is_before(before: str, most: int, found: str) -> None:
    """The newest first, from where a page begins; nothing where nobody knows the message."""
    scene = await Scene().keep(*"abcde")
    assert await scene.page(before=before, most=most) == (found, 0, None)


async def test_pages() -> None:
    """Each begins where the one before has ended; behind the last one is none."""
    scene = await Scene().keep(*"abcde")
    assert await scene.page(2) == ("ed", 3, None)
    assert await scene.page(2, most=3) == ("cb", 1, None)
    assert await scene.page(2, most=1) == ("a", 0, None)
    assert await scene.page(5) == ("edcba", 0, None)
    assert await scene.page(2, since="a") == ("bc", 4, True)
    assert await scene.page(2, since="a", least=4) == ("de", 0, True)
    assert await scene.page(2, since="e") == ("", 0, True)
    assert await scene.page(2, since="x") == ("", 0, False)
    scene.catch_up.return_value = False
    assert await scene.page(2, since="a") == ("bc", 4, False)


async def test_what_is_over_is_not_recovered() -> None:
    """At the very hour everything is there; behind it something is missing."""
    scene = await Scene().keep(*"abc")
    scene.time.advance(3600)
    assert await scene.page(since="a") == ("bc", 0, True)
    scene.time.advance(0.001)
    assert await scene.page(since="a") == ("", 0, False)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
async def test_all_that_somebody_wrote(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much that is, oldest first; what is being kept is waited for."""
    monkeypatch.setattr(kept_messages, "AT_ONCE", 2)
    scene = await Scene().keep("x", author="eve")
    for each in "abcde"[:number]:
        await scene.keep(each)
        await scene.keep(each.upper(), author="eve")
    found = await scene.kept.of_author(ROOM, "bob", 0)
    assert "".join(each.frame.id for each in found) == "abcde"[:number]
    scene.catch_up.assert_awaited_once_with(ROOM, surely=False)
    await scene.kept.catch_up(ROOM)
    scene.catch_up.assert_awaited_with(ROOM)
    scene.catch_up.side_effect = StorageUnavailable("away")
    with pytest.raises(StorageUnavailable):
        await scene.kept.of_author(ROOM, "bob", 0)
    with pytest.raises(StorageUnavailable):
        await scene.page()


async def test_what_is_waited_for() -> None:
    """Who goes on behind an id is told whether anything is missing: surely."""
    scene = await Scene().keep("a")
    for since, surely in (("", False), ("a", True)):
        await scene.page(since=since)
        scene.catch_up.assert_awaited_with(ROOM, surely=surely)
