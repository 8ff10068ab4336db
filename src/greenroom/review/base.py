"""The port to message review, and what every reviewer guarantees.

- **Answer.** Every submission gets a verdict, within the time limit: what a handler does not say in
  time, or says wrongly, the room's `fallbackResult` says for it.
- **Waiting.** A handler that hangs delays the senders of its own rooms only.
- **Order.** None: who needs it awaits one verdict before asking for the next.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from greenroom.model.principal import Principal
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


class Content(msgspec.Struct, frozen=True, rename="camel"):
    """What was said, and what the handler made of it."""

    content: str
    attributes: Mapping[str, str] | None = None
    answered_content: str | None = None
    answered_attributes: Mapping[str, str] | None = None
    reason: str | None = None


class Reviewed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one review went; what was said only while somebody may see it."""

    time: str
    """When it was asked for, ISO 8601."""
    room_arn: str
    message_id: str
    user_id: str
    handler: str
    """ARN or URL; "" for a room without one."""
    outcome: str
    """As in the metric `greenroom_review_seconds`."""
    verdict: str
    """ALLOW or DENY."""
    by_fallback: bool
    """Whether the room's fallbackResult said so, since the handler did not."""
    edited: bool
    """Whether the handler changed the message."""
    milliseconds: float
    shown: Content | None = None


class ReviewsPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some reviews in order, and where the next ones begin."""

    cursor: str
    missed: int
    """Reviews since the last cursor that are no longer kept."""
    reviews: Sequence[Reviewed]


class ReviewLog(Protocol):
    """The latest reviews of this process: bounded, in memory, and in no log.

    What was said is kept while somebody who may see it has asked for that within
    `REVEAL_SECONDS`, and is shown only to who asked, by what `reveal` returned.
    """

    def since(self, principal: Principal, cursor: str | None, reveal: str | None) -> ReviewsPage:
        """Return reviews in rooms of his account: the next after a cursor, without one the latest.

        A cursor of another process counts as none.
        """

    def reveal(self, principal: Principal) -> str:
        """Keep what is said from now on; return what it is shown to him for, for a while."""


REVEAL_SECONDS = 300.0
"""How long what is said is kept and shown after somebody asked for it."""
