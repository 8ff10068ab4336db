"""The port to message review, and what every reviewer guarantees.

- **Answer.** Every submission gets a verdict, within the time limit: what a handler does not say in
  time, or says wrongly, the room's `fallbackResult` says for it.
- **Waiting.** A handler that hangs delays the senders of its own rooms only.
- **Order.** None: who needs it awaits one verdict before asking for the next.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from greenroom.model.room import Room


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One message that waits for review, as the handler is shown it.

    Source: Chat User Guide, "Chat Message Review Handler".
    """

    room_arn: str
    message_id: str
    content: str
    attributes: Mapping[str, str] | None
    user_id: str
    sender_attributes: Mapping[str, str]
    ip: str


class Allowed(msgspec.Struct, frozen=True):
    """Deliver this content with these attributes: the handler may have edited both."""

    content: str
    attributes: Mapping[str, str] | None


class Denied(msgspec.Struct, frozen=True):
    """Deliver nothing; the sender is told the reason, if the handler gave one."""

    reason: str | None = None


class Held(msgspec.Struct, frozen=True):
    """Deliver nothing until somebody has decided; no reviewer says so yet."""

    reason: str | None = None


Verdict = Allowed | Denied | Held


class Reviewer(Protocol):
    """Asks the handlers of rooms."""

    async def review(self, room: Room, submission: Submission) -> Verdict:
        """Return what the room's handler says; the room has one. Never raises."""

    async def problem(self, uri: str) -> str | None:
        """Return why the function may not be a room's handler, or None when nothing speaks against.

        What cannot be found out now is no problem.
        """
