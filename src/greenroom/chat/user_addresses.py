"""The addresses that a user has now, over all nodes, as hashes: see `address_hashes`.

Each node knows those of its own connections, and answers who asks: see `asking`.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from greenroom.bus.base import Peers
from greenroom.chat.asking import Answered, Asked, Asking
from greenroom.chat.presence import Presence

UserAddresses = Callable[[str, str], Awaitable[frozenset[str]]]
"""Returns the hashes of a user's addresses in a scope: the ARN of a room, or an account.

Raises:
    ServiceUnavailableException: another node does not answer.
"""


Here = Callable[[str, str], frozenset[str]]
"""Returns those on this node."""


async def nowhere(_scope: str, _user_id: str) -> frozenset[str]:
    """Know of no address."""
    return frozenset()


class Question(Asked, frozen=True, array_like=True, tag="?address"):
    """Asks all other nodes for the addresses of a user."""

    scope: str
    user_id: str


class Answer(Answered[frozenset[str]], frozen=True, array_like=True, tag="!address"):
    """Those on one node, for who asked."""


class AddressesHere:
    """There is no other node."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def __call__(self, scope: str, user_id: str) -> frozenset[str]:
        return self._here(scope, user_id)


class AddressesOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(
        self, here: Here, presence: Presence, peers: Peers, tasks: asyncio.TaskGroup
    ) -> None:
        """Make it; `tasks` owns the answers that are being made."""
        self._here = AddressesHere(here)
        self._asking = Asking[Question, frozenset[str]](
            presence,
            peers,
            tasks,
            _decode,
            Answer,
            lambda told: self._here(told.scope, told.user_id),
            too_many="The addresses of too many users are asked for at once",
            unanswered="Another node does not say which addresses the user has",
        )

    async def __call__(self, scope: str, user_id: str) -> frozenset[str]:
        parts = await self._asking.ask(
            lambda: self._here(scope, user_id),
            lambda number: Question(self._asking.node, number, scope, user_id),
        )
        return frozenset[str]().union(*parts)


_decode = msgspec.msgpack.Decoder(Question | Answer).decode
