"""Nodes that ask each other, on a wire that a test cuts."""

from collections.abc import Callable

from greenroom.bus.base import About


class Wire:
    """Carries what nodes announce to all of them, but to those that are deaf."""

    def __init__(self) -> None:
        self.nodes: dict[str, AskedNode] = {}
        self.said: list[bytes] = []

    def carry(self, payload: bytes) -> None:
        """Give the bytes to every node."""
        self.said.append(payload)
        for node in self.nodes.values():
            if not node.is_deaf:
                node.hears(payload)


class AskedNode:
    """Stands for its own ports and presence."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.node, self.is_deaf, self._wire = name, False, wire
        self.hears: Callable[[bytes], None] = lambda payload: None
        wire.nodes[name] = self

    def other_nodes(self) -> frozenset[str]:
        """Return the names of the others."""
        return frozenset(self._wire.nodes) - {self.node}

    def announce(self, payload: bytes, about: About) -> None:
        """Tell all."""
        assert about is About.USERS
        self._wire.carry(payload)

    def on_announcement(self, receiver: Callable[[bytes], None], about: About) -> None:
        """Hear all."""
        assert about is About.USERS
        self.hears = receiver
