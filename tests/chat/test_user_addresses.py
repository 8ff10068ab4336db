"""Which addresses a user has, asked of all nodes."""

import asyncio
from typing import Any

import pytest

from greenroom.chat import asking
from greenroom.chat.user_addresses import AddressesHere, AddressesOfNodes, nowhere
from greenroom.model.errors import ServiceUnavailableException
from tests.stand_ins.asked_nodes import AskedNode, Wire

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"


class Node(AskedNode):
    """A node that knows some addresses."""

    def __init__(self, wire: Wire, name: str, tasks: asyncio.TaskGroup, **hashes: set[str]) -> None:
        super().__init__(wire, name)
        self._hashes = hashes
        this: Any = self
        self.addresses = AddressesOfNodes(self.here, this, this, tasks)

    def here(self, scope: str, user_id: str) -> frozenset[str]:
        """Return the addresses of a user on this node."""
        assert scope == ROOM
        return frozenset(self._hashes.get(user_id, set()))


async def test_addresses_are_those_of_all_nodes() -> None:
    """Each once; what is none of it is passed over."""
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, bob={"a", "b"})
        Node(wire, "two", tasks, bob={"b", "c"}, eve={"d"})
        Node(wire, "three", tasks)
        wire.carry(b"\xc1")
        assert await one.addresses(ROOM, "bob") == {"a", "b", "c"}
        assert await one.addresses(ROOM, "nobody") == frozenset()


async def test_a_node_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody knows: who asks is told so."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.03)
    async with asyncio.TaskGroup() as tasks:
        wire = Wire()
        one = Node(wire, "one", tasks, bob={"a"})
        Node(wire, "two", tasks).is_deaf = True
        with pytest.raises(ServiceUnavailableException, match="which addresses the user has"):
            await one.addresses(ROOM, "bob")


async def test_a_node_alone() -> None:
    """It says what it knows."""
    here = AddressesHere(lambda _scope, _user_id: frozenset({"a"}))
    assert await here(ROOM, "bob") == {"a"}
    assert await nowhere(ROOM, "bob") == frozenset()
