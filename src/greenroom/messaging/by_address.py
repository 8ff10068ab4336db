"""Connections of this node by their addresses: which a user has, and whom a restriction meets."""

import asyncio
from collections.abc import Sequence
from functools import partial

from greenroom.chat.addressed import Addressed
from greenroom.messaging.fanout import SLICE
from greenroom.messaging.hub import BANNED, Hub
from greenroom.messaging.sockets import Connection
from greenroom.model.arn import Arn
from greenroom.model.restriction import Kind, Restriction

_Connections = Sequence[tuple[str, Connection]]


class ByAddress:
    """Finds connections by their addresses."""

    def __init__(self, hub: Hub, addressed: Addressed) -> None:
        self._hub = hub
        self._addressed = addressed

    def of_user(self, scope: str, user_id: str) -> frozenset[str]:
        """Return the hashes of a user's addresses in a room, by its ARN, or in an account."""
        found = {
            self._addressed.hashes.of(Arn.parse(room_arn).account, each.origin)
            for room_arn, each in self._in(scope)
            if each.user_id == user_id
        }
        return frozenset(found - {""})

    def enforce(self, entry: Restriction) -> None:
        """Have what holds of addresses meet the connections that come from there."""
        if entry.addresses:
            self._enforce(entry, self._in(entry.scope))

    def _in(self, scope: str) -> _Connections:
        rooms = self._hub.in_scope(scope)
        return [(room_arn, each) for room_arn in rooms for each in self._hub.those_in(room_arn)]

    def _enforce(self, entry: Restriction, connections: _Connections) -> None:
        """Do so, a slice at a time: there may be tens of thousands."""
        for room_arn, each in connections[:SLICE]:
            # Who was in a later slice may have left.
            if each.is_open and self._addressed.is_met_by(entry, each.claims, each.origin):
                if entry.kind is Kind.BAN:
                    self._hub.after_flush(room_arn, partial(each.disconnect, BANNED))
                else:
                    self._addressed.enter(entry.account, each.claims, each.origin)
        if rest := connections[SLICE:]:
            asyncio.get_running_loop().call_soon(self._enforce, entry, rest)
