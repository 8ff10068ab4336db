"""Which users are in a room, asked of nodes that answer, are late, or are gone.

Covers: greenroom.chat.asking
"""

import asyncio
from typing import Any

import msgspec
import pytest

from greenroom.chat import asking, user_lists
from greenroom.chat.user_lists import (
    Answer,
    PresentUser,
    Question,
    UsersHere,
    UsersOfNodes,
    together,
)
from greenroom.model.errors import ServiceUnavailableException
from tests.stand_ins.asked_nodes import AskedNode, Wire
from tests.stand_ins.stage import settle

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"


class Node(AskedNode):
    """A node with some users."""

    def __init__(self, wire: Wire, name: str, tasks: asyncio.TaskGroup, **users: int) -> None:
        super().__init__(wire, name)
        self._users = users
        this: Any = self
        self.lists = UsersOfNodes(self.here, this, this, tasks)

    async def here(self, room_arn: str, after: str, most: int) -> list[PresentUser]:
        """Return the users of this node."""
        assert room_arn == ROOM
        found = [each for each in sorted(self._users) if each > after]
        return [PresentUser(each, self._users[each], {"on": self.node}) for each in found[:most]]


async def test_pages_are_those_of_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one order, each user once, with the connections that there are together.

    Nobody waits for longer than until the last node has answered.
    """
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 3600)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, alice=1, dave=1)
        Node(wire, "two", tasks, bob=2, alice=2)
        Node(wire, "three", tasks)
        page = await one.lists.page(ROOM, "", 2)
        assert [(each.user_id, each.connections) for each in page] == [("alice", 3), ("bob", 2)]
        assert page[1].attributes == {"on": "two"}
        page = await one.lists.page(ROOM, "bob", 9, names_only=True)
        assert [each.user_id for each in page] == ["dave"]
        page = await one.lists.page(ROOM, "", 9, names_only=True)
        assert {each.user_id: each.attributes for each in page}["bob"] == {}
        assert not one.lists._asking.asked


async def test_who_does_not_hear_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it answers; who is gone is not waited for."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, alice=1)
        two = Node(wire, "two", tasks, bob=1)
        three = Node(wire, "three", tasks, carol=1)
        two.is_deaf = three.is_deaf = True
        asked = tasks.create_task(one.lists.page(ROOM, "", 9))
        await asyncio.sleep(0.03)
        two.is_deaf = False
        del wire.nodes["three"]
        assert [each.user_id for each in await asked] == ["alice", "bob"]


async def test_a_list_is_whole_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a node is there and never answers, and where too many lists are asked for."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.05)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one, two = Node(wire, "one", tasks, alice=1), Node(wire, "two", tasks)
        two.is_deaf = True
        with pytest.raises(ServiceUnavailableException, match="does not say"):
            await one.lists.page(ROOM, "", 9)
        assert not one.lists._asking.asked
        monkeypatch.setattr(asking, "MOST_ASKED", 0)
        with pytest.raises(ServiceUnavailableException, match="Too many"):
            await one.lists.page(ROOM, "", 9)


async def test_what_others_say() -> None:
    """What is none of it, answers nobody waits for, more questions than are answered at once."""
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, alice=1)
        for payload in (b"", b"\xc1", b"[]", b"{}"):
            one.hears(payload)
        one.hears(asking._encode(Answer("two", "one", 7, [])))
        one.hears(asking._encode(Answer("two", "other", 1, [])))
        question = asking._encode(Question("two", 1, ROOM, "", 9))
        for _ in range(asking.MOST_ANSWERED + 5):
            one.hears(question)
        one.hears(asking._encode(Question("one", 1, ROOM, "", 9)))
        await asyncio.sleep(0.01)
        assert len(wire.said) == asking.MOST_ANSWERED
        assert one.lists._asking._answering == 0


def test_words_are_those_of_0_2_0() -> None:
    """Its nodes ask and answer beside these while a cluster is upgraded."""
    asked = msgspec.msgpack.decode(
        asking._encode(Question("two", 1, ROOM, "a", 9, names_only=True))
    )
    assert asked == ["?", "two", 1, ROOM, "a", 9, True]
    told = msgspec.msgpack.decode(asking._encode(Answer("two", "one", 7, [PresentUser("bob", 2)])))
    assert told == ["!", "two", "one", 7, [["bob", 2, {}]]]


async def test_how_many_a_node_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are asked for, and no more than an answer may have."""
    monkeypatch.setattr(user_lists, "MOST_USERS", 2)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, alice=1, bob=1, carol=1)
        for most in (1, 9):
            one.hears(asking._encode(Question("two", 1, ROOM, "", most)))
            await settle()
        answers = [user_lists._decode(each) for each in wire.said]
        assert [len(each.part) for each in answers if isinstance(each, Answer)] == [1, 2]


async def test_a_fault_of_a_list_ends_nobody() -> None:
    """It is told, and the next question is answered."""
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, alice=1)
        one.hears(asking._encode(Question("two", 1, "another room", "", 9)))
        await asyncio.sleep(0.01)
        assert not wire.said
        one.hears(asking._encode(Question("two", 1, ROOM, "", 9)))
        await asyncio.sleep(0.01)
        assert len(wire.said) == 1


async def test_a_node_alone() -> None:
    """It asks nobody."""

    async def here(room_arn: str, after: str, most: int) -> list[PresentUser]:
        return [PresentUser(room_arn + after, most)]

    assert await UsersHere(here).page("a", "b", 3, names_only=True) == [PresentUser("ab", 3)]


def test_attributes_of_any_part() -> None:
    """Those that were told first, and if none were, the others."""
    parts = [
        [PresentUser("a", 1)],
        [PresentUser("a", 2, {"x": "y"})],
        [PresentUser("a", 1, {"z": ""})],
    ]
    assert together(parts, 1) == [PresentUser("a", 4, {"x": "y"})]
    assert together(parts, 0) == []
