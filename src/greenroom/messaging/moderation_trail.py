"""What the audit log says about moderation by chat users: who deleted or disconnected what, where.

Reasons are not written. Actions that the token does not permit are ERROR frames to their sender and
no line: anybody could fill the log with them.
"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TypeVar

from greenroom.audit.entry import SUCCESS, AuditEntry
from greenroom.audit.log import AuditLog
from greenroom.clock import Clock
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ServiceError
from greenroom.protocol.actions import Action
from greenroom.protocol.own_actions import OwnAction

T = TypeVar("T")


class ModerationTrail:
    """Writes a line per action to the audit log, if there is one."""

    def __init__(self, audit_log: AuditLog | None = None, clock: Clock | None = None) -> None:
        self._log = audit_log
        self._clock = clock or Clock()

    async def follow(
        self,
        moderator: ChatTokenClaims,
        action: Action | OwnAction,
        doing: Awaitable[T],
        source_ip: str = "",
    ) -> T:
        """Wait for what is being done, and write what came of it; return its result."""
        try:
            result = await doing
        except ServiceError as error:
            await self._refuse(moderator, action, error.code, source_ip)
            raise
        await self._write(moderator, action, SUCCESS, source_ip)
        return result

    async def _refuse(
        self,
        moderator: ChatTokenClaims,
        action: Action | OwnAction,
        code: str,
        source_ip: str,
    ) -> None:
        if self._log is not None:
            now = self._clock.monotonic()
            suppressed = self._log.refusals.admit(moderator.room_arn, now)
            if suppressed is not None:
                await self._write(moderator, action, code, source_ip, suppressed)

    async def _write(
        self,
        moderator: ChatTokenClaims,
        action: Action | OwnAction,
        outcome: str,
        source_ip: str,
        suppressed: int = 0,
    ) -> None:
        if self._log is None:
            return
        details: dict[str, object] = {"moderator": moderator.user_id}
        details.update((name, getattr(action, member)) for name, member in action.audited.items())
        await self._log.record(
            AuditEntry(
                time=datetime.fromtimestamp(self._clock.now(), UTC),
                event=action.event if isinstance(action, OwnAction) else action.operation,
                outcome=outcome,
                request_id=action.request_id,
                source_ip=source_ip,
                resources=(moderator.room_arn,),
                details=details,
                suppressed=suppressed,
            )
        )
