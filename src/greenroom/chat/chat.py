"""What can happen in a room: the rules that both planes share.

- Every accepted action becomes one frame, encoded here at its place in the room's order.
- A refused action changes nothing and uses up nothing of the room's rate.
- A message in a room with a review handler is reviewed after it was accepted, and before anybody
  sees it. The limits and the handler are those of the room as it was accepted; a room that was
  deleted meanwhile gets nothing.
- What waits while this node is cut off from the others is judged once more when they are back:
  length and account by what holds then.
- Send times strictly increase in a room's order, as far as `send_times` says; the order of a room
  never depends on the clock.
- What a message needs to know of those before it, the room's rate and the last send time, is
  decided when it gets its place: see `bus.base.Grant`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping

import msgspec

from greenroom.bus.base import (
    Audience,
    Before,
    BusUnavailable,
    Deliver,
    Disconnect,
    Grant,
    History,
    RoomLine,
)
from greenroom.chat import gates
from greenroom.chat.held_queues import held as waiting
from greenroom.chat.holding import Holding
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.kicks import Kicks
from greenroom.chat.marks import marked
from greenroom.chat.messages import message
from greenroom.chat.modes import Modes, remember_anew
from greenroom.chat.outcome import Placed, Post, done, placed
from greenroom.chat.rates import Rates, is_reviewed
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.send_times import SendTimes
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException, ServiceError
from greenroom.model.message import ANNOUNCEMENT, IdSource
from greenroom.model.quotas import Quotas
from greenroom.model.room import Room
from greenroom.model.room_settings import DEFAULTS
from greenroom.process.randomness import new_id
from greenroom.protocol import events
from greenroom.protocol.actions import OPERATIONS, DeleteMessage, DisconnectUser, SendMessage
from greenroom.protocol.errors import ActionError, ErrorCode
from greenroom.protocol.own_actions import MODERATION_RATE
from greenroom.review.base import Reviewer

DEFAULT_KICK_REASON = "Disconnected by a moderator"
KICKED = "The user was disconnected from the room"
"""The close reason of a kicked connection when the moderator gave none."""

_NO_ATTRIBUTES: Mapping[str, str] = {}


def _allow(_account: str) -> None:
    """Let every account publish."""


class Chat:
    """Send, delete, disconnect, event. `settings` are those in force in each room."""

    def __init__(
        self,
        rooms: RoomsCache,
        line: RoomLine,
        quotas: Quotas,
        clock: Clock | None = None,
        ids: IdSource = new_id,
        check_account: gates.CheckAccount = _allow,
        reviewer: Reviewer | None = None,
        restrictions: Restrictions | None = None,
    ) -> None:
        """Make the rules; `check_account` raises PendingVerification for a suspended account."""
        self._check_account = check_account
        self._rooms = rooms
        self._line = line
        self._clock = clock or Clock()
        self._send_time = SendTimes(self._clock, line).following
        self._ids = ids
        self._reviewer = reviewer
        self.rates = Rates(quotas, self._clock)
        line.on_debit(self.rates.debit)
        self._kicks = Kicks()
        self.settings = SettingsInForce(self._clock)
        self._restrictions = restrictions
        self._modes = modes = Modes(self._clock)
        line.on_arrival(gates.noting(self._kicks, modes.recent, self._clock))
        # Asked once more behind what takes its time.
        self._still_may = None if restrictions is None else gates.restricted(restrictions)
        self._gates = gates.message_gates(check_account, restrictions, modes, self.rates)
        self.when_deleted: Callable[[Room, Collection[str]], Awaitable[None]] | None = None
        """Is told of messages that were deleted, when everybody has been."""
        self.holding: Holding | None = None
        """Decides which messages viewers see later; without it none are."""
        self.when_written: Callable[[Room, int], None] | None = None
        """Is told when somebody wrote in a room with schedules: the SendTime, in nanoseconds."""
        self.requests = dict.fromkeys(OPERATIONS, 0)

    def send_message(
        self,
        sender: ChatTokenClaims,
        action: SendMessage,
        address: Callable[[], str],
        post: Post | None = None,
    ) -> Awaitable[object] | None:
        """Give a message to the sender's room; return what to wait for, if anything.

        What the outcome waits for is a `Placed`, returned or what was waited for came to.
        `address` returns the sender's IP address, which only review handlers are told. `post` is
        for who wants to know when it was sent.

        Raises (at once, or when awaited):
            ActionError: 413 the content is too long for the room, 406 the review denied it.
            ResourceNotFoundException: the room was deleted.
            PendingVerification: the account is suspended; so for the other actions.
            ThrottlingException: the room or the account sends too much.
        """
        try:
            room = self._rooms.peek(sender.room_arn)
        except KeyError:
            return self._send_when_known(sender, action, address, post)
        except ResourceNotFoundException:
            self._check_account(Arn.parse(sender.room_arn).account)
            raise
        return self._accept(room, sender, action, address, post)

    async def delete_message(
        self, room_arn: str, message_id: str, reason: str | None, request_id: str = ""
    ) -> str:
        """Tell the room's clients to delete a message; return the id of the event.

        The message need not exist: the service keeps none ("un-render it from view").

        Raises:
            ResourceNotFoundException: there is no such room.
            ThrottlingException: the account deletes too much.
            ServiceUnavailableException: as for `forget`.
        """
        room = await self._room(room_arn)
        self._check_account(room.arn.account)
        self.rates.take(DeleteMessage.quota, room.arn)
        attributes = events.delete_message_attributes(message_id, reason)
        event_id = self._ids()

        def grant(before: Before) -> Deliver:
            time_ns = self._send_time(before)
            payload = events.encode_event(
                event_id, request_id, events.DELETE_MESSAGE, attributes, time_ns
            )
            shown = self._event(payload, DeleteMessage.operation, event_id, time_ns, room)
            return msgspec.structs.replace(shown, deletes=(message_id,))

        await done(self._publish(DeleteMessage.operation, room_arn, grant))
        await self.forget(room, (message_id,))
        return event_id

    async def forget(self, room: Room, deleted: Collection[str]) -> None:
        """Wait until what was told of as deleted comes back neither at a start nor with history.

        Raises:
            ServiceUnavailableException: they may, the store cannot keep it: try again.
        """
        had_waited = self.holding is not None and self.holding.queues.has_over(deleted)
        if room.tags or room.overrides.values or had_waited:
            await done(self._line.kept())
        if self.when_deleted is not None:
            await self.when_deleted(room, deleted)

    async def disconnect_user(
        self,
        room_arn: str,
        user_id: str,
        reason: str | None,
        request_id: str = "",
        more: Mapping[str, str] = _NO_ATTRIBUTES,
    ) -> None:
        """Tell the room that a user is disconnected, then close all connections of the user there.

        `more` are further attributes of the event.

        A user without connections is no error. A room that was deleted keeps its connections, and
        they can be closed; what happens there is in no chat log.

        Raises:
            ResourceNotFoundException: there is no such room, and nobody can still be in it.
            ThrottlingException: the account disconnects too much.
        """
        room = await self._room_or_deleted(room_arn)
        arn = Arn.parse(room_arn) if room is None else room.arn
        self._check_account(arn.account)
        self.rates.take(DisconnectUser.quota, arn)
        attributes = {**events.disconnect_user_attributes(user_id, reason), **more}
        event_id = self._ids()

        def grant(before: Before) -> Disconnect:
            time_ns = self._send_time(before)
            payload = events.encode_event(
                event_id, request_id, events.DISCONNECT_USER, attributes, time_ns
            )
            why = reason or DEFAULT_KICK_REASON
            # What waits behind it here may get its place before this is heard.
            self._kicks.note(room_arn, user_id)
            configurations = () if room is None else room.logging_configuration_identifiers
            history = History.NONE if room is None else self.settings.history(room)
            return Disconnect(payload, user_id, why, event_id, time_ns, configurations, history)

        await done(self._publish(DisconnectUser.operation, room_arn, grant))

    async def send_event(
        self, room_arn: str, name: str, attributes: Mapping[str, str] | None
    ) -> str:
        """Send an application's event to a room; return its id.

        Raises:
            ResourceNotFoundException: there is no such room.
        """
        room = await self._room(room_arn)
        self._check_account(room.arn.account)
        event_id = self._ids()

        def grant(before: Before) -> Deliver:
            time_ns = self._send_time(before)
            payload = events.encode_event(event_id, "", name, attributes, time_ns)
            return self._event(payload, "SendEvent", event_id, time_ns, room)

        await done(self._publish("SendEvent", room_arn, grant))
        return event_id

    def check_may_change(self, room: Arn) -> None:
        """Count what a moderator or a host does in a room.

        Raises:
            PendingVerification: the account is suspended.
            ThrottlingException: the account's moderators do too much.
        """
        self.check_may_moderate(room.account, room)

    def check_may_moderate(self, account: str, room: Arn | None = None) -> None:
        """Do so for a whole account."""
        self._check_account(account)
        if room is not None:
            self.rates.take(MODERATION_RATE, room)

    async def room(self, room: Arn) -> Room:
        """Return a room.

        Raises:
            ResourceNotFoundException: there is none.
        """
        return await self._rooms.get(str(room))

    async def room_anew(self, room: Arn) -> Room:
        """Return a room as the store has it now; raises as `room`."""
        self._rooms.forget(str(room))
        return await self.room(room)

    async def tell(
        self,
        room: Room,
        operation: str,
        name: str,
        attributes: Mapping[str, str],
        audience: Audience,
        user_id: str = "",
        deletes: tuple[str, ...] = (),
        for_moderators: Mapping[str, str] | None = None,
    ) -> str:
        """Publish one of the service's own events in a room, for an audience; return its id.

        `for_moderators` are the attributes of their frame, where it differs: see `Deliver.marked`.
        """
        event_id = self._ids()

        def grant(before: Before) -> Deliver:
            time_ns = self._send_time(before)
            payload = events.encode_event(event_id, "", name, attributes, time_ns)
            shown = self._event(payload, operation, event_id, time_ns, room)
            theirs = b""
            if for_moderators is not None:
                theirs = events.encode_event(event_id, "", name, for_moderators, time_ns)
            return msgspec.structs.replace(
                shown,
                marked=theirs,
                audience=audience,
                user_id=user_id,
                deletes=deletes,
                configurations=() if audience is Audience.SHADOWED else shown.configurations,
            )

        await done(self._publish(operation, str(room.arn), grant))
        return event_id

    async def _room(self, room_arn: str) -> Room:
        """Return the room.

        Raises:
            PendingVerification: there is none, and the account is suspended, which counts more.
            ResourceNotFoundException: there is none.
        """
        try:
            return await self._rooms.get(room_arn)
        except ResourceNotFoundException:
            self._check_account(Arn.parse(room_arn).account)
            raise

    async def _room_or_deleted(self, room_arn: str) -> Room | None:
        """Return the room, None for one that was deleted under its connections.

        Raises:
            ResourceNotFoundException: there is neither.
        """
        try:
            return await self._rooms.get(room_arn)
        except ResourceNotFoundException:
            if not self._rooms.may_have_connections(room_arn):
                raise
            return None

    async def _send_when_known(
        self,
        sender: ChatTokenClaims,
        action: SendMessage,
        address: Callable[[], str],
        post: Post | None,
    ) -> object:
        room = await self._room(sender.room_arn)
        return await placed(self._accept(room, sender, action, address, post))

    def _accept(
        self,
        room: Room,
        sender: ChatTokenClaims,
        action: SendMessage,
        address: Callable[[], str],
        post: Post | None,
    ) -> Awaitable[object] | None:
        if post is None:
            post = Post("")
        post.now = self._clock.monotonic()
        post.settings = self.settings.of(sender.room_arn, room)
        for passes in self._gates:
            passes(room, sender, action, post)
        kicks = self._kicks.count
        if not post.message_id:
            post.message_id = self._ids()
        if post.finds is not None or (self._reviewer is not None and is_reviewed(room)):
            return self._accept_later(room, sender, action, address, post, kicks)
        return self._publish_message(
            room, post, sender, action, action.content, action.attributes, kicks
        )

    async def _accept_later(
        self,
        room: Room,
        sender: ChatTokenClaims,
        action: SendMessage,
        address: Callable[[], str],
        post: Post,
        kicks: int,
    ) -> Awaitable[object] | None:
        """Publish a message behind what takes its time: what it replies to, and its review."""
        if post.finds is not None:
            try:
                post.own = {**post.own, **await post.finds()}
            except (ServiceError, ActionError):
                self._give_back(room.arn)
                raise
        content = action.content
        attributes: Mapping[str, str] | None = action.attributes
        if self._reviewer is not None and is_reviewed(room):
            submission = gates.submitted(sender, action, post.message_id, address())
            verdict = await self._reviewer.review(room, submission)
            allowed = gates.reviewed(verdict, action, post.message_id)
            content, attributes = allowed.content, allowed.attributes
        # The room may be gone by now, or log elsewhere.
        room = await self._rooms.get(sender.room_arn)
        if self._still_may is not None:
            self._still_may(room, sender, action, post)
        settings = self.settings.of(sender.room_arn, room)
        if settings is not post.settings:
            remember_anew(post, settings, sender, action.content)
        return self._publish_message(room, post, sender, action, content, attributes, kicks)

    def _publish_message(
        self,
        room: Room,
        post: Post,
        sender: ChatTokenClaims,
        action: SendMessage,
        content: str,
        attributes: Mapping[str, str] | None,
        kicks: int,
    ) -> Awaitable[object] | None:
        request_id = action.request_id
        if post.own:
            attributes = {**(attributes or {}), **post.own}
        resets = self._rooms.resets
        held = None
        if self._restrictions is not None:
            held = self._restrictions.of_sender(room, sender)
        holding, settings = self.holding, post.settings
        # Most rooms have no settings: then it is asked only where something waits anywhere.
        waits = (
            holding is not None
            and (settings is not DEFAULTS or bool(holding.queues.by_room))
            and holding.holds(settings, sender)
        )

        def grant(before: Before) -> Deliver:
            if self._kicks.have_met(sender.room_arn, sender.user_id, kicks):
                raise ActionError(ErrorCode.FORBIDDEN, KICKED, request_id)
            if resets != self._rooms.resets:
                self._check_again(sender.room_arn, content, request_id)
            now = self._clock.monotonic()
            rate = self.rates.check_message(room, sender.room_arn, before.undebited, now)
            if waits and holding is not None:
                holding.queues.check(sender.room_arn, request_id)
            if post.user or post.text:
                self._modes.place(post, request_id, now)
            post.time_ns = self._send_time(before)
            if room.schedules and self.when_written is not None and ANNOUNCEMENT not in post.own:
                self.when_written(room, post.time_ns)
            shown = message(room, post, sender, request_id, content, attributes, rate)
            shown = marked(shown, held, sender.user_id) if held else shown
            return waiting(shown, sender.user_id) if waits else shown

        return self._publish(SendMessage.operation, sender.room_arn, grant, room.arn)

    def _publish(
        self, action: str, room_arn: str, grant: Grant, charged: Arn | None = None
    ) -> Awaitable[object] | None:
        """Publish what was accepted; return what to wait for, if anything.

        A message whose room is `charged` counts for its account already.
        """
        try:
            published = self._line.publish(room_arn, grant)
        except (ServiceError, ActionError):
            self._give_back(charged)
            raise
        if not isinstance(published, int):
            return Placed(self._outcome(action, room_arn, published, charged))
        self._count(action)
        return None

    def _event(
        self, payload: bytes, action: str, event_id: str, time_ns: int, room: Room
    ) -> Deliver:
        return Deliver(
            payload,
            action,
            id=event_id,
            time_ns=time_ns,
            configurations=room.logging_configuration_identifiers,
            history=self.settings.history(room),
        )

    def _count(self, action: str) -> None:
        # The service's own events are no requests of IVS Chat's: they are not counted.
        if action in self.requests:
            self.requests[action] += 1

    async def _outcome(
        self, action: str, room_arn: str, published: Awaitable[object], charged: Arn | None
    ) -> None:
        try:
            with self._rooms.held(room_arn):
                await published
        except (ServiceError, ActionError):
            self._give_back(charged)
            raise
        self._count(action)

    def _check_again(self, room_arn: str, content: str, request_id: str) -> None:
        """Judge a message by what holds now: this node was cut off since it was accepted.

        Raises: what refuses it; BusUnavailable while the room cannot be read.
        """
        try:
            room = self._rooms.peek(room_arn)
        except KeyError:
            raise BusUnavailable("what holds in the room cannot be read now") from None
        self._check_account(room.arn.account)
        gates.check_length(room, content, request_id)

    def _give_back(self, charged: Arn | None) -> None:
        if charged is not None:
            self.rates.give_back_message(charged)
