"""The addresses that a user has now, over all nodes, as hashes: see `address_hashes`.

Each node knows those of its own connections, and answers who asks: see `asking`.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from greenroom.bus.base import About, Peers
from greenroom.chat.asking import Asking
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


class Question(msgspec.Struct, frozen=True, array_like=True, tag="?address"):
    """Asks all other nodes for the addresses of a user."""

    node: str
    number: int
    scope: str
    user_id: str


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="!address"):
    """Those on one node, for who asked."""

    node: str
    asked_by: str
    number: int
    hashes: frozenset[str]


class AddressesHere:
    """There is no other node."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def __call__(self, scope: str, user_id: str) -> frozenset[str]:
        return self._here(scope, user_id)


class AddressesOfNodes:
    """Asks the other nodes, and answers them."""

    def __init__(self, here: Here, presence: Presence, peers: Peers) -> None:
        self._here = here
        self._peers = peers
        self._asking = Asking[frozenset[str]](
            presence,
            too_many="The addresses of too many users are asked for at once",
            unanswered="Another node does not say which addresses the user has",
        )
        peers.on_announcement(self._heard, About.USERS)

    async def __call__(self, scope: str, user_id: str) -> frozenset[str]:
        def ask(number: int) -> None:
            question = Question(self._asking.node, number, scope, user_id)
            self._peers.announce(_encode(question), About.USERS)

        parts = await self._asking.ask(partial(AddressesHere(self._here), scope, user_id), ask)
        return frozenset[str]().union(*parts)

    def _heard(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
        except (msgspec.DecodeError, ValueError):
            # Most are about lists of users: see `user_lists`.
            return
        if isinstance(told, Answer):
            self._asking.take(told.asked_by, told.number, told.node, told.hashes)
        elif told.node != self._asking.node:
            found = self._here(told.scope, told.user_id)
            answer = Answer(self._asking.node, told.node, told.number, found)
            self._peers.announce(_encode(answer), About.USERS)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Question | Answer).decode
