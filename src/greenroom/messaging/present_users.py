"""Which users have connections in a room of this node; bots are left out."""

import asyncio
import heapq

from greenroom.chat.user_lists import PresentUser
from greenroom.chat.user_names import Named
from greenroom.messaging.hub import Hub
from greenroom.messaging.sockets import Connection

AT_ONCE = 4_096
"""Connections that are looked at before the loop may do something else: below 2 ms."""


class PresentUsers:
    """Lists the users of this node's connections."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, room_arn: str, after: str, most: int) -> list[PresentUser]:
        """Return the users in a room whose ids come behind `after`, so many at most."""
        found: dict[str, tuple[int, Connection]] = {}
        connections = self._hub.those_in(room_arn)
        for start in range(0, len(connections), AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for each in connections[start : start + AT_ONCE]:
                user_id = each.user_id
                if user_id > after and not each.is_bot:
                    known = found.get(user_id)
                    found[user_id] = (1 if known is None else known[0] + 1, each)
        return [
            PresentUser(user_id, number, dict(connection.attributes))
            for user_id in heapq.nsmallest(most, found)
            for number, connection in [found[user_id]]
        ]


class NamedUsers:
    """Finds the users whom a word means, among this node's connections."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, room_arn: str, word: str) -> Named:
        """Return whom it means in a room: an id goes before all names."""
        found: set[str] = set()
        connections = self._hub.those_in(room_arn)
        for start in range(0, len(connections), AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for each in connections[start : start + AT_ONCE]:
                if each.user_id == word:
                    return Named(is_id=True)
                if word in each.shown_names:
                    found.add(each.user_id)
        return Named(user_ids=frozenset(found))
