"""How news is divided: no announcement is too large for a bus, and none smaller than it must be."""

from typing import Final

import pytest

from greenroom.chat.announcements import News, in_pieces
from tests.stand_ins.values import room_arn

ROOM: Final = str(room_arn())


def news(users: int, first: int = 0) -> News:
    """Return news of a room in which so many users changed."""
    return News(ROOM, 7, 5, dict.fromkeys(range(first, first + users), 1))


@pytest.mark.parametrize(
    ("users", "pieces"),
    [
        ([], []),
        ([0], [[0]]),
        ([1, 1, 1], [[1, 1, 1]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([2, 2, 1], [[2, 2], [1]]),
        ([2, 3], [[2], [3]]),
        ([4, 0, 1, 3], [[4, 0], [1, 3]]),
        ([4, 4], [[4], [4]]),
        ([5], [[4], [1]]),
        ([1, 9, 3], [[1], [4], [4], [1, 3]]),
    ],
)
def test_in_pieces(
    users: list[int], pieces: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rooms and four users are the most; a room with more is told in parts."""
    monkeypatch.setattr("greenroom.chat.announcements.NEWS_AT_ONCE", 3)
    monkeypatch.setattr("greenroom.chat.announcements.USERS_AT_ONCE", 4)
    found = list(in_pieces(map(news, users)))
    assert [[len(each.users) for each in piece] for piece in found] == pieces


def test_parts_of_a_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says the same of the room, and every user is in one of them."""
    monkeypatch.setattr("greenroom.chat.announcements.USERS_AT_ONCE", 4)
    parts = [each for piece in in_pieces(iter([news(10)])) for each in piece]
    assert parts == [news(4), news(4, 4), news(2, 8)]
    of_five = News("room", 5, 0, dict.fromkeys(range(5), 1), {1: 1}, {0: 1, 4: 1})
    first, second = (each for piece in in_pieces(iter([of_five])) for each in piece)
    assert (first.bots, first.moderators) == ({1: 1}, {0: 1})
    assert (second.bots, second.moderators) == ({}, {4: 1})
