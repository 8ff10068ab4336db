"""Sends messages of users over HTTP, where they need no connection: each `requestId` once.

- A `requestId` is claimed in the store before its message meets anything. Whoever asks with it once
  more, on whichever node, after whichever restart, gets what became of it, and sends nothing.
- What was refused is released: asked for again, it is judged anew.
- What has no outcome in time never gets one: the node that sent it died in between, or it was
  never heard of again. Whoever asks again is told that, so nothing is sent twice.
"""

import asyncio
from collections.abc import Mapping
from hashlib import blake2b

import msgspec
import structlog

from greenroom.bus.base import BusUnavailable
from greenroom.chat.chat import Chat
from greenroom.chat.outcome import Post, done
from greenroom.chat.replies import Replies, is_reply
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import ConflictException, ServiceError
from greenroom.model.message import ANNOUNCEMENT, IdSource
from greenroom.model.sent_message import SentMessage
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import ActionError
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.sent_messages import SentMessages
from greenroom.telemetry.metrics import Metrics

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds until the outcome of what is being sent is looked for, each time twice as long."""

log = structlog.get_logger()

_fingerprinted = msgspec.json.Encoder(order="deterministic").encode


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A message that somebody wants sent, as its sender would who had a token with such claims.

    `request` is all that was asked for: what comes with the same `requestId` must be the same.
    """

    sender: ChatTokenClaims
    message: SendMessage
    address: str
    own: Mapping[str, str]
    request: Mapping[str, object]


class Posting:
    """Sends what is asked for."""

    def __init__(
        self,
        chat: Chat,
        replies: Replies,
        kept: SentMessages,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
    ) -> None:
        self._chat = chat
        self._replies = replies
        self._kept = kept
        self._clock = clock
        self._ids = ids
        self._repeated = metrics.repeated_sends

    async def send(self, asked: Asked) -> Post:
        """Send a message, or find out what became of it; return its id and its SendTime.

        Raises:
            ActionError: what refuses it, as it refuses an action.
            ConflictException: the `requestId` was given for another message, or nobody knows
                whether its message was sent.
            ServiceError: as `Chat.send_message`.
        """
        if not asked.message.request_id:
            return await self._send(asked, self._ids())
        return await self._send_once(asked)

    async def announce(
        self,
        sender: ChatTokenClaims,
        content: str,
        style: str,
        address: str,
        message_id: str = "",
    ) -> Post:
        """Send an announcement, which meets no mode: everybody sees it as a message.

        It gets that id, or a new one.

        Raises: as `send`.
        """
        return await self._send(
            Asked(
                sender=meeting_no_modes(sender),
                message=SendMessage(content),
                address=address,
                own={ANNOUNCEMENT: style},
                request={},
            ),
            message_id or self._ids(),
        )

    async def _send_once(self, asked: Asked) -> Post:
        key, fingerprint = _key(asked), _fingerprint(asked)
        pause = FIRST_PAUSE
        while True:
            now = self._clock.now_ms()
            claim = SentMessage(
                key=key, fingerprint=fingerprint, message_id=self._ids(), asked_at=now
            )
            known = await self._kept.claim(claim)
            if known is None:
                return await self._send_claimed(asked, claim)
            if known.fingerprint != fingerprint:
                raise _conflict(asked, "requestId was given for another message")
            if known.time_ns:
                self._repeated.inc()
                return Post(known.message_id, time_ns=known.time_ns)
            if not known.is_pending(now):
                raise _conflict(asked, UNKNOWN)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _send_claimed(self, asked: Asked, claim: SentMessage) -> Post:
        try:
            post = await self._send(asked, claim.message_id)
        except (ActionError, ServiceError) as error:
            if not (isinstance(error, BusUnavailable) and error.is_open):
                await self._release(claim)
            raise
        try:
            await self._kept.settle(msgspec.structs.replace(claim, time_ns=post.time_ns))
        except StorageUnavailable:
            log.warning("a message was sent, and its requestId is not known as that")
        return post

    async def _send(self, asked: Asked, message_id: str) -> Post:
        post = Post(message_id, asked.own)
        send = self._replies.send if is_reply(asked.message) else self._chat.send_message
        await done(send(asked.sender, asked.message, lambda: asked.address, post))
        return post

    async def _release(self, claim: SentMessage) -> None:
        try:
            await self._kept.release(claim)
        except StorageUnavailable:
            log.warning("a message was refused, and its requestId is not free for another attempt")


def meeting_no_modes(sender: ChatTokenClaims) -> ChatTokenClaims:
    """Return a sender whom no mode of the room holds for."""
    capabilities = (*sender.capabilities, Capability.BYPASS)
    return msgspec.structs.replace(sender, capabilities=capabilities)


UNKNOWN = (
    "It is not known whether the message of this requestId was sent, and it is not sent again: "
    "give another requestId to send it in any case"
)


def _conflict(asked: Asked, message: str) -> ConflictException:
    room = Arn.parse(asked.sender.room_arn)
    return ConflictException(message, resource_id=room.id, resource_type=room.type.wire_name)


def _key(asked: Asked) -> str:
    return _digest(f"{asked.sender.room_arn} {asked.message.request_id}".encode())


def _fingerprint(asked: Asked) -> str:
    return _digest(_fingerprinted(asked.request))


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
