"""UpdateUser: the roles that a user has in a room from now on, also on the connections that he has.

It is kept as an entry on the user, as restrictions are: so every node learns of it, also one that
was away, and a restart loses nothing. It counts for as long as a token from before it may be of
use. The user and the room's moderators are told when it holds here.
"""

from collections.abc import Sequence

import structlog

from greenroom.bus.base import Audience
from greenroom.chat.chat import Chat
from greenroom.chat.restrictions import Restrictions
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceError
from greenroom.model.restriction import MOST_ROLES_KEPT, ROLES_MS, Kind, Restriction
from greenroom.protocol import events

OPERATION = "UpdateUser"

log = structlog.get_logger()


class RoleChanges:
    """Changes the roles of users."""

    def __init__(self, chat: Chat, restrictions: Restrictions, clock: Clock) -> None:
        self._chat = chat
        self._restrictions = restrictions
        self._clock = clock

    async def change(self, room: Arn, user_id: str, roles: Sequence[str], by: str) -> Restriction:
        """Have a user have these roles in a room, and no other ones.

        Raises:
            ResourceNotFoundException: there is no such room.
            PendingVerification: the account is suspended.
            ThrottlingException: the account's moderators do too much.
            ServiceQuotaExceededException: of too many users it was said.
        """
        self._chat.check_may_change(room)
        await self._chat.room(room)
        now = self._clock.now_ms()
        said = Restriction(
            account=room.account,
            scope=str(room),
            user_id=user_id,
            kind=Kind.NOTE,
            by=by,
            at=now,
            expires=now + ROLES_MS,
            roles=tuple(dict.fromkeys(roles)),
        )
        entry = await self._restrictions.keep(said, MOST_ROLES_KEPT)
        self._restrictions.hold(entry)
        try:
            await self._tell(room, entry)
        except ServiceError as error:
            # It is kept, and holds: an error would have it asked for again.
            log.warning(
                "roles hold that not everybody was told of", room=entry.scope, error=error.code
            )
        return entry

    async def _tell(self, room: Arn, entry: Restriction) -> None:
        found, roles = await self._chat.room(room), list(entry.roles or ())
        you = {"Roles": events.json_text(roles)}
        await self._chat.tell(found, OPERATION, events.YOU, you, Audience.YOU, entry.user_id)
        item = {
            "Operation": OPERATION,
            "UserId": entry.user_id,
            "Kind": entry.listed_kind,
            "Roles": roles,
            "By": entry.by,
        }
        told = {"Item": events.json_text(item)}
        await self._chat.tell(found, OPERATION, events.MODERATION, told, Audience.MODERATORS)
