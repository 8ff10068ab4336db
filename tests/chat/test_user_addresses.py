"""Which addresses a user has, asked of all nodes."""

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.bus.base import About
from greenroom.chat import asking
from greenroom.chat.user_addresses import AddressesHere, AddressesOfNodes, nowhere
from greenroom.model.errors import ServiceUnavailableException

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"


class Wire:
    """Carries what nodes announce to all of them."""

    def __init__(self) -> None:
        self.receivers: list[Callable[[bytes], None]] = []

    def announce(self, payload: bytes, about: About) -> None:
        """Tell all."""
        assert about is About.USERS
        for receiver in self.receivers:
            receiver(payload)

    def on_announcement(self, receiver: Callable[[bytes], None], about: About) -> None:
        """Hear all."""
        assert about is About.USERS
        self.receivers.append(receiver)


class Node:
    """A node that knows some addresses, and that others are there."""

    def __init__(self, name: str, wire: Any, others: set[str], **hashes: set[str]) -> None:
        self.node, self._others, self._hashes = name, others, hashes
        this: Any = self
        self.addresses = AddressesOfNodes(self.here, this, wire)

    def other_nodes(self) -> frozenset[str]:
        """Return the names of the others."""
        return frozenset(self._others - {self.node})

    def here(self, scope: str, user_id: str) -> frozenset[str]:
        """Return the addresses of a user on this node."""
        assert scope == ROOM
        return frozenset(self._hashes.get(user_id, set()))


async def test_addresses_are_those_of_all_nodes() -> None:
    """Each once; what is none of it is passed over."""
    wire = Wire()
    names = {"one", "two", "three"}
    one = Node("one", wire, names, bob={"a", "b"})
    Node("two", wire, names, bob={"b", "c"}, eve={"d"})
    Node("three", wire, names)
    wire.announce(b"\xc1", About.USERS)
    assert await one.addresses(ROOM, "bob") == {"a", "b", "c"}
    assert await one.addresses(ROOM, "nobody") == frozenset()


async def test_a_node_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody knows: who asks is told so."""
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.03)
    wire = Wire()
    one = Node("one", wire, {"one", "deaf"}, bob={"a"})
    with pytest.raises(ServiceUnavailableException, match="which addresses the user has"):
        await one.addresses(ROOM, "bob")


async def test_a_node_alone() -> None:
    """It says what it knows."""
    here = AddressesHere(lambda _scope, _user_id: frozenset({"a"}))
    assert await here(ROOM, "bob") == {"a"}
    assert await nowhere(ROOM, "bob") == frozenset()
