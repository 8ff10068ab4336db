"""Restricting users: the order in which it is kept, enforced and told, for both planes.

- It is kept first; then who is to know is told; then it holds, on every node, also where somebody
  could not be told. On the node where it was made a ban holds before anybody is told of it.
- The user is told by an event of his own before he meets a refusal, if he asked for events, of all
  but SHADOW, HOLD and MONITOR, which he must not notice. A ban ends his connections, which are told
  by `aws:DISCONNECT_USER`, with its end: applications for IVS Chat show that.
- Moderators are told of each.
- What holds of a user's addresses, too, holds of those that he has now, on all nodes, and of those
  of which it held before: who asks again, because an answer was lost, finds him gone. A moderator
  in the room frees none of them, neither by replacing it nor by lifting it: the API does.
"""

from collections.abc import Callable, Collection, Mapping

import msgspec
import structlog

from greenroom.bus.base import Audience
from greenroom.chat.chat import Chat
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.user_addresses import UserAddresses, nowhere
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import AccessDeniedException, ResourceNotFoundException, ServiceError
from greenroom.model.restriction import (
    ADDRESSES_MS,
    MOST_ADDRESSES,
    OPERATIONS,
    Kind,
    Restriction,
)
from greenroom.protocol import events

log = structlog.get_logger()

_TOLD = (Kind.BAN, Kind.MUTE)

IsModerator = Callable[[str, str], bool]
"""Returns whether a user has a connection in a room, on this node, that may moderate."""


def by_user(user_id: str) -> str:
    """Return what `by` is of what a user in the room asked for."""
    return f"user:{user_id}"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants done to a user; without a room in the whole account. 0: for ever."""

    account: str
    room: Arn | None
    user_id: str
    kind: Kind
    by: str
    seconds: int = 0
    reason: str = ""
    also_addresses: bool = False

    @property
    def scope(self) -> str:
        """Return the ARN of the room, or the account."""
        return self.account if self.room is None else str(self.room)


class Moderation:
    """Restricts users, and ends that."""

    def __init__(
        self,
        chat: Chat,
        restrictions: Restrictions,
        clock: Clock,
        is_moderator: IsModerator = lambda _room, _user: False,
        addresses: UserAddresses = nowhere,
    ) -> None:
        self._chat = chat
        self._restrictions = restrictions
        self._clock = clock
        self._is_moderator = is_moderator
        self._addresses = addresses

    async def restrict(self, asked: Asked) -> Restriction:
        """Restrict a user; what of that kind held before is replaced.

        Raises:
            ResourceNotFoundException: there is no such room.
            PendingVerification: the account is suspended.
            ThrottlingException: the account's moderators do too much.
            ServiceQuotaExceededException: too many users are restricted.
            ServiceUnavailableException: another node does not say the user's addresses: nothing
                was done.
        """
        await self._check(asked)
        if not asked.also_addresses:
            return await self._enter(asked, self._entry(asked, self._clock.now_ms()))
        found = await self._addresses(asked.scope, asked.user_id)
        entry = self._entry(asked, self._clock.now_ms())
        held = self._held_of(found, entry)
        return await self._enter(asked, msgspec.structs.replace(entry, addresses=held))

    async def restrict_from_room(self, asked: Asked) -> Restriction:
        """Restrict a user as a moderator in a room does, who has no say about addresses.

        Those of which what is replaced holds are held on, for as long as they were.

        Raises:
            AccessDeniedException: the user may moderate as well: only the API restricts him.
            ResourceNotFoundException, and the others of `restrict`.
        """
        if self._is_moderator_there(asked):
            raise AccessDeniedException("Who may moderate is restricted by the API only")
        await self._check(asked)
        return await self._enter(asked, self._holding_on(self._entry(asked, self._clock.now_ms())))

    async def lift(self, asked: Asked) -> Restriction:
        """End what of a kind holds of a user; it is no error if nothing does.

        Raises: as `restrict`.
        """
        await self._check(asked)
        entry = self._entry(asked, self._clock.now_ms(), lifted=True)
        return await self._enter(asked, entry)

    async def lift_from_room(self, asked: Asked) -> Restriction:
        """End what holds of a user as a moderator in a room does, who has no say about addresses.

        Those of which it holds are held on, for as long as they were.

        Raises:
            AccessDeniedException: it is himself, or the user may moderate as well: what the API
                restricted the API alone lifts.
            ResourceNotFoundException, and the others of `restrict`.
        """
        if asked.by == by_user(asked.user_id) or self._is_moderator_there(asked):
            raise AccessDeniedException(
                "Restrictions of who may moderate are lifted by the API only"
            )
        await self._check(asked)
        entry = self._entry(asked, self._clock.now_ms(), lifted=True)
        return await self._enter(asked, self._holding_on(entry))

    def _is_moderator_there(self, asked: Asked) -> bool:
        return asked.room is not None and self._is_moderator(str(asked.room), asked.user_id)

    def _held_of(self, found: Collection[str], entry: Restriction) -> Mapping[str, int]:
        """Return the addresses that an entry is to hold of, with their ends."""
        before = self._restrictions.addresses(entry.scope, entry.user_id, entry.kind)
        most = entry.at + ADDRESSES_MS
        ends = {**before, **dict.fromkeys(found, most)}
        latest = sorted(ends, key=lambda each: (-ends[each], each))[:MOST_ADDRESSES]
        return {each: min(ends[each], entry.ends) for each in latest}

    def _holding_on(self, entry: Restriction) -> Restriction:
        """Return an entry that holds on of the addresses of which what is before it does."""
        held = self._restrictions.addresses(entry.scope, entry.user_id, entry.kind)
        return msgspec.structs.replace(entry, addresses=held)

    @staticmethod
    def _entry(asked: Asked, now: int, *, lifted: bool = False) -> Restriction:
        return Restriction(
            account=asked.account,
            scope=asked.scope,
            user_id=asked.user_id,
            kind=asked.kind,
            by=asked.by,
            at=now,
            reason=asked.reason,
            expires=now + asked.seconds * 1000 if asked.seconds and not lifted else 0,
            lifted=lifted,
        )

    async def _enter(self, asked: Asked, entry: Restriction) -> Restriction:
        entry = await self._restrictions.keep(entry)
        if entry.kind is not Kind.BAN:
            # Who is told what he may not do is to find it so, on whichever node.
            self._restrictions.hold(entry)
            await self._tell_if_possible(asked, entry)
            return entry
        # Who is told why must still be there: a ban that holds ends the connections.
        self._restrictions.learn(entry)
        try:
            await self._tell_if_possible(asked, entry)
        finally:
            self._restrictions.hold(entry)
        return entry

    async def _tell_if_possible(self, asked: Asked, entry: Restriction) -> None:
        try:
            if asked.room is not None:
                await self._tell(asked.room, entry)
        except ServiceError as error:
            # It is kept, and holds: an error would have it asked for again.
            log.warning(
                "a restriction holds that not everybody was told of",
                room=entry.scope,
                kind=str(entry.kind),
                error=error.code,
            )

    async def _check(self, asked: Asked) -> None:
        if asked.room is None:
            self._chat.check_may_moderate(asked.account)
            return
        self._chat.check_may_change(asked.room)
        await self._chat.room(asked.room)

    async def _tell(self, room: Arn, entry: Restriction) -> None:
        """Tell the user what he may know, then the moderators."""
        operation = "LiftRestriction" if entry.lifted else OPERATIONS[entry.kind]
        found = await self._chat.room(room)
        if entry.kind in _TOLD:
            you = {
                "Restriction": "" if entry.lifted else str(entry.kind),
                "Lifted": str(entry.kind) if entry.lifted else "",
                "Until": entry.until(),
                "Reason": entry.reason,
            }
            told = {name: text for name, text in you.items() if text or name == "Restriction"}
            await self._chat.tell(found, operation, events.YOU, told, Audience.YOU, entry.user_id)
        item = {
            "Operation": operation,
            "UserId": entry.user_id,
            "Kind": entry.kind,
            "By": entry.by,
            "Reason": entry.reason,
            "Until": entry.until(),
        }
        told = {"Item": events.json_text(item)}
        await self._chat.tell(found, operation, events.MODERATION, told, Audience.MODERATORS)
        if entry.kind is Kind.BAN and not entry.lifted:
            await self._disconnect(room, entry)

    async def _disconnect(self, room: Arn, entry: Restriction) -> None:
        until = {"greenroom:until": entry.until()} if entry.expires else {}
        try:
            await self._chat.disconnect_user(
                str(room), entry.user_id, entry.reason or None, more=until
            )
        except ResourceNotFoundException:
            return
