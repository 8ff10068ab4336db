"""What connections ask for: from an action's text to what it does, or to an ERROR frame.

An action is a class in `protocol.actions`, which says its members, capability, quota and what the
audit log keeps of it, and a row of `PERFORMERS` here: the function that does it. Everything else
reads these two.

An action is refused by the first of these that applies, and every refusal carries its RequestId:

1. what the connection may do, and how often: see `protocol.session`.
2. another process has the store: 500. The SDKs would wait for an answer for ever.
3. the rules of the room and the account: see `chat`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from greenroom.bus.base import BusUnavailable
from greenroom.chat.chat import Chat
from greenroom.chat.outcome import Placed
from greenroom.chat.replies import Replies, is_reply
from greenroom.chat.user_names import Named
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.own_actions import OWN_PERFORMERS, Address, OwnServices, answer_to
from greenroom.model.arn import ResourceType
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException, ServiceError
from greenroom.model.message import IdSource
from greenroom.protocol import commands, events, frames
from greenroom.protocol.actions import Action, DeleteMessage, DisconnectUser, SendMessage
from greenroom.protocol.commands import is_command
from greenroom.protocol.errors import SESSION_EXPIRED, ActionError, ErrorCode
from greenroom.protocol.own_actions import OwnAction
from greenroom.protocol.session import Session, check_capability
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.metrics import Metrics

log = structlog.get_logger()

# Any: each performer takes its own action, and the table is looked up with that action's class.
Performer = Callable[[Chat, ChatTokenClaims, Any, Address], Awaitable[object] | None]
"""Does an action; returns what to wait for, if anything. Raises ActionError and ServiceError."""


class Sender(Protocol):
    """What an action needs of the connection that it came from."""

    @property
    def session(self) -> Session:
        """What the connection may do."""

    @property
    def is_open(self) -> bool:
        """Whether frames can still be written."""

    def address(self) -> str:
        """Return the client's address, as text."""

    def names(self) -> dict[str, str]:
        """Return what log lines call the connection."""

    def write(self, data: bytes) -> None:
        """Write behind what waits."""

    def end_session(self, request_id: str) -> None:
        """End the session, whose time is over, in answer to a request."""


def _send_message(
    chat: Chat, sender: ChatTokenClaims, action: SendMessage, address: Address
) -> Awaitable[object] | None:
    return chat.send_message(sender, action, address)


def _send_or_reply(
    replies: Replies, chat: Chat, sender: ChatTokenClaims, action: SendMessage, address: Address
) -> Awaitable[object] | None:
    if is_reply(action):
        return replies.send(sender, action, address)
    return chat.send_message(sender, action, address)


def _delete_message(
    chat: Chat, moderator: ChatTokenClaims, action: DeleteMessage, _: Address
) -> Awaitable[object]:
    return chat.delete_message(moderator.room_arn, action.id, action.reason, action.request_id)


def _disconnect_user(
    chat: Chat, moderator: ChatTokenClaims, action: DisconnectUser, _: Address
) -> Awaitable[object]:
    return chat.disconnect_user(
        moderator.room_arn, action.user_id, action.reason, action.request_id
    )


PERFORMERS: Mapping[type[Action], Performer] = {
    SendMessage: _send_message,
    DeleteMessage: _delete_message,
    DisconnectUser: _disconnect_user,
}
"""Who does each action."""


class Actions:
    """Takes the texts of all connections of this node."""

    def __init__(
        self,
        chat: Chat,
        hub: Hub,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
        logger: BoundedLog,
        trail: ModerationTrail,
        own: OwnServices,
    ) -> None:
        """Make it; `logger` takes the log's lines that clients can cause."""
        self._own = own
        self._chat = chat
        self._hub = hub
        self._clock = clock
        self._ids = ids
        self._errors = metrics.action_errors
        self._logger = logger
        self._trail = trail
        # Bound once: a message finds its performer in one step, and asks nothing about the audit.
        self._performers: dict[type[Action], Performer] = {
            action: partial(self._audited, perform) if action.audited else perform
            for action, perform in PERFORMERS.items()
        }
        self._performers[SendMessage] = partial(_send_or_reply, own.replies)

    def act(self, sender: Sender, text: bytes) -> Awaitable[Placed | None] | None:
        """Do what a frame asks for, or answer with an ERROR; return what to wait for, if anything.

        A `Placed` is waited for while the next frame is handled, returned or what was waited for
        came to.

        Nearly every message waits for nothing: it makes no coroutine and no task.
        """
        session = sender.session
        try:
            action = session.receive(text, self._clock.now())
            if isinstance(action, SendMessage) and is_command(action):
                has_commands = self._has_commands(session.claims)
                if has_commands is None:
                    doing = self._do_when_known(sender, action)
                    return self._finish(sender, doing, action.request_id)
                if has_commands:
                    doing = self._do_command(sender, action)
                    return self._finish(sender, doing, action.request_id)
        except ActionError as error:
            if error.code == ErrorCode.UNAUTHORIZED:
                sender.end_session(error.request_id)
            else:
                self._refuse(sender, error)
            return None
        return self._do(sender, action)

    def _do(self, sender: Sender, action: Action | OwnAction) -> Awaitable[Placed | None] | None:
        if self._hub.held:
            # Another process has the store. The SDK would wait for an answer for ever.
            self._refuse(sender, ActionError(500, _NOT_NOW, action.request_id))
            return None
        if isinstance(action, OwnAction):
            return self._do_own(sender, action)
        try:
            perform = self._performers[type(action)]
            waiting = perform(self._chat, sender.session.claims, action, sender.address)
        except (ActionError, ServiceError) as error:
            self._refuse(sender, _action_error(error, action.request_id))
            return None
        except Exception:
            self._logger.exception("action crashed", address=sender.address(), **sender.names())
            self._refuse(sender, _crash(action.request_id))
            return None
        if waiting is None:
            return None
        if isinstance(waiting, Placed):
            return Placed(self._tell(sender, waiting, action.request_id))
        return self._finish(sender, waiting, action.request_id)

    def _has_commands(self, claims: ChatTokenClaims) -> bool | None:
        """Return whether a sender's commands are any; None if the room is to be read first."""
        if _COMMANDING.isdisjoint(claims.capabilities):
            return False
        return self._own.settings.has_commands(claims.room_arn)

    async def _do_when_known(self, sender: Sender, message: SendMessage) -> Placed | None:
        """Read the moderator's room: what he meant for the service alone, the room must not see."""
        claims = sender.session.claims
        if await self._own.settings.read_has_commands(claims.room_arn):
            return await self._do_command(sender, message)
        return await _behind(self._do(sender, message))

    async def _do_command(self, sender: Sender, message: SendMessage) -> Placed | None:
        """Do what a moderator's command asks for.

        Raises:
            ActionError: 400 with the usage, or with whom it may mean.
        """
        claims = sender.session.claims
        action = commands.read(message)
        if isinstance(action, OwnAction):
            # First: who may not do it is told nothing of users.
            check_capability(action, claims)
            if word := commands.names_user(message):
                user_id = await self._user_named(claims, word, message.request_id)
                action = commands.read(message, lambda _: user_id)
        return await _behind(self._do(sender, action))

    async def _user_named(self, claims: ChatTokenClaims, word: str, request_id: str) -> str:
        """Return the id of the user whom a word means; else the word itself: it is an id then."""
        named = await self._own.named.named(claims.room_arn, word)
        if named.is_id or not named.user_ids:
            return word
        if len(named.user_ids) > 1:
            raise ActionError(ErrorCode.BAD_REQUEST, _ambiguous(word, named), request_id)
        (user_id,) = named.user_ids
        return user_id

    async def _do_own(self, sender: Sender, action: OwnAction) -> None:
        """Do one of the service's own actions, and answer it."""
        claims, answered = sender.session.claims, None
        own = msgspec.structs.replace(self._own, address=sender.address)
        doing = OWN_PERFORMERS[type(action)](own, claims, action)
        try:
            if action.audited:
                answered = await self._trail.follow(claims, action, doing, sender.address())
            else:
                answered = await doing
        except (ActionError, ServiceError) as error:
            self._refuse(sender, _action_error(error, action.request_id))
        except Exception:
            self._logger.exception("action crashed", address=sender.address(), **sender.names())
            self._refuse(sender, _crash(action.request_id))
        if answered is not None and sender.is_open:
            payload = answer_to(action, answered, self._ids(), self._clock.wall_ns())
            sender.write(frames.text_frame(payload))

    def session_over(self, request_id: str) -> tuple[bytes, str]:
        """Return the ERROR frame and the close reason of a session whose time is over."""
        self._errors.labels(401).inc()
        error_id = self._ids()
        payload = events.encode_error(error_id, request_id, 401, SESSION_EXPIRED)
        reason = events.encode_error(error_id, "", 401, SESSION_EXPIRED)
        return frames.text_frame(payload), reason.decode()

    def _audited(
        self,
        perform: Performer,
        chat: Chat,
        moderator: ChatTokenClaims,
        action: Action,
        address: Address,
    ) -> Awaitable[object]:
        doing = _done(perform, chat, moderator, action, address)
        return self._trail.follow(moderator, action, doing, address())

    async def _finish(
        self, sender: Sender, waiting: Awaitable[object], request_id: str
    ) -> Placed | None:
        placed: object = None
        try:
            placed = await waiting
        except (ActionError, ServiceError) as error:
            self._refuse(sender, _action_error(error, request_id))
        except Exception:
            self._logger.exception("action crashed", address=sender.address(), **sender.names())
            self._refuse(sender, _crash(request_id))
        if isinstance(placed, Placed):
            return Placed(self._tell(sender, placed, request_id))
        return None

    async def _tell(self, sender: Sender, placed: Placed, request_id: str) -> None:
        """Answer with an ERROR if what has its place in the queue is not published."""
        try:
            await placed
        except (ActionError, ServiceError) as error:
            self._refuse(sender, _action_error(error, request_id))
        except Exception:
            self._logger.exception("action crashed", address=sender.address(), **sender.names())
            self._refuse(sender, _crash(request_id))

    def _refuse(self, sender: Sender, error: ActionError) -> None:
        # An action may have waited, and its connection ended meanwhile.
        if not sender.is_open:
            return
        self._errors.labels(error.code).inc()
        log.debug("action refused", code=error.code, **sender.names())
        if error.you and sender.session.view:
            told = events.encode_event(
                self._ids(), error.request_id, events.YOU, error.you, self._clock.wall_ns()
            )
            sender.write(frames.text_frame(told))
        payload = events.encode_error(
            error.id or self._ids(), error.request_id, error.code, error.message
        )
        sender.write(frames.text_frame(payload))


async def _behind(doing: Awaitable[Placed | None] | None) -> Placed | None:
    """Wait for what is done; what has its place is waited for while the next frame is handled."""
    return doing if doing is None or isinstance(doing, Placed) else await doing


def _ambiguous(word: str, named: Named) -> str:
    """Return what is said of a name that several users have."""
    users = sorted(named.user_ids)
    told = ", ".join(users[:CANDIDATES])
    more = f" and {len(users) - CANDIDATES} more" if len(users) > CANDIDATES else ""
    return f"{word} is the name of several users: {told}{more}. Name one by id"


async def _done(
    perform: Performer, chat: Chat, sender: ChatTokenClaims, action: Action, address: Address
) -> None:
    waiting = perform(chat, sender, action, address)
    if waiting is not None:
        await waiting


_COMMANDING = frozenset({Capability.MODERATE, Capability.HOST})
"""Whose messages may be commands."""

CANDIDATES = 5
"""Of so many users with one name the ids are told."""

_ROOM = ResourceType.ROOM.wire_name

_NOT_NOW = "The service cannot take the request now"


def _crash(request_id: str) -> ActionError:
    """Return the ERROR for a fault of ours: the connection, and the node, go on."""
    return ActionError(500, "An internal error occurred", request_id)


def _action_error(error: ActionError | ServiceError, request_id: str) -> ActionError:
    """Return the ERROR of the messaging plane for an error of the shared rules."""
    if isinstance(error, ActionError):
        return error
    # The store's 404 speaks of ARNs and resources, which the Messaging API does not know.
    if (
        isinstance(error, ResourceNotFoundException)
        and error.resource_type == ResourceType.ROOM.wire_name
    ):
        return ActionError(404, "The room cannot be found", request_id)
    if error.status < 500 or isinstance(error, BusUnavailable):
        return ActionError(error.status, error.message, request_id)
    return ActionError(500, _NOT_NOW, request_id)
