"""Whom a word means, asked of nodes that answer, are late, or do not know the question."""

import asyncio
from typing import Any

import pytest

from greenroom.chat import asking, user_names
from greenroom.chat.user_names import (
    MOST_NAMED,
    Named,
    NamesHere,
    NamesOfNodes,
    Question,
)
from greenroom.model.errors import ServiceUnavailableException
from tests.stand_ins.asked_nodes import AskedNode, Wire
from tests.stand_ins.stage import settle

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"


class Node(AskedNode):
    """A node with users by name."""

    def __init__(self, wire: Wire, name: str, tasks: asyncio.TaskGroup, **names: set[str]) -> None:
        super().__init__(wire, name)
        self._names = names
        self.asked, self.go_on = 0, asyncio.Event()
        self.go_on.set()
        this: Any = self
        self.names = NamesOfNodes(self.here, this, this, tasks)

    async def here(self, room_arn: str, word: str) -> Named:
        """Return whom a word means here."""
        assert room_arn == ROOM
        self.asked += 1
        await self.go_on.wait()
        if any(word in ids for ids in self._names.values()):
            return Named(is_id=True)
        return Named(user_ids=frozenset(self._names.get(word, set())))


async def test_whom_all_nodes_know() -> None:
    """A name on another node means its user; of several nodes all users; an id goes before."""
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, Max={"id-1"})
        Node(wire, "two", tasks, Bob={"id-2"}, Max={"id-1", "id-3"})
        Node(wire, "three", tasks, Eve={"Bob"}, many={f"u{each}" for each in range(50)})
        assert await one.names.named(ROOM, "Eve") == Named(user_ids=frozenset({"Bob"}))
        assert await one.names.named(ROOM, "Max") == Named(user_ids=frozenset({"id-1", "id-3"}))
        assert (await one.names.named(ROOM, "Bob")).is_id
        assert await one.names.named(ROOM, "nobody") == Named()
        assert len((await one.names.named(ROOM, "many")).user_ids) == MOST_NAMED
        said = len(wire.said)
        assert (await one.names.named(ROOM, "id-1")).is_id
        assert len(wire.said) == said, "nobody else need be asked"


async def test_who_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second at most: what the others know counts. Nodes of 0.2.0 never answer."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(user_names, "ANSWER_SECONDS", 0.05)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one, two = Node(wire, "one", tasks), Node(wire, "two", tasks, Bob={"id-2"})
        Node(wire, "old", tasks, Bob={"id-3"}).is_deaf = True
        assert await one.names.named(ROOM, "Bob") == Named(user_ids=frozenset({"id-2"}))
        two.is_deaf = True
        assert await one.names.named(ROOM, "Bob") == Named()
        assert not one.names._asking.asked
        monkeypatch.setattr(asking, "MOST_ASKED", 0)
        with pytest.raises(ServiceUnavailableException, match="by name"):
            await one.names.named(ROOM, "Bob")


async def test_who_is_late_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that was lost costs half a second."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one, two = Node(wire, "one", tasks), Node(wire, "two", tasks, Bob={"id-2"})
        two.is_deaf = True
        named = tasks.create_task(one.names.named(ROOM, "Bob"))
        await asyncio.sleep(0.02)
        two.is_deaf = False
        assert await named == Named(user_ids=frozenset({"id-2"}))


async def test_what_is_asked_is_bounded() -> None:
    """More at once than a node answers is asked again; what is no question is passed over."""
    async with asyncio.TaskGroup() as tasks:
        node = Node(Wire(), "one", tasks)
        node.go_on.clear()
        for payload in (b"\xc1", *(_question("two") for _ in range(asking.MOST_ANSWERED + 3))):
            node.hears(payload)
        node.hears(_question("one"))
        await settle()
        assert node.asked == asking.MOST_ANSWERED
        node.go_on.set()
        await settle()
        node.hears(_question("two"))
        await settle()
        assert node.asked == asking.MOST_ANSWERED + 1


async def test_what_fails_ends_no_node() -> None:
    """It is logged, and not answered."""
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        node = Node(wire, "one", tasks)
        node.hears(asking._encode(Question("two", 1, "another room", "Bob")))
        await settle()
        assert wire.said == []


async def test_a_node_alone() -> None:
    """It says what it knows."""

    async def here(_room: str, word: str) -> Named:
        return Named(is_id=word == "bob")

    assert (await NamesHere(here).named(ROOM, "bob")).is_id


def _question(node: str) -> bytes:
    return asking._encode(Question(node, 1, ROOM, "Bob"))
