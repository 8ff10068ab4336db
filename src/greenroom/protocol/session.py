"""One connection as a state machine: what its token allows it to do, and how often.

An action is refused by the first of these that applies:

1. the session is over: 401. The connection is closed in any case.
2. the connection's rate is exceeded: 429. Every action counts, refused ones too, and
   some for several.
3. the action is malformed: 400, or too large: 413.
4. the token lacks the action's capability: 403.

Every refusal carries the action's RequestId if it could be read, so that a client's request is
settled. What depends on the room (its length and rate limits, its existence) is checked above.
"""

from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol.actions import Action, decode
from greenroom.protocol.errors import (
    RATE_LIMIT_EXCEEDED,
    SESSION_EXPIRED,
    ActionError,
    ErrorCode,
)
from greenroom.protocol.own_actions import OwnAction
from greenroom.protocol.wishes import View
from greenroom.rate import TokenBucket


class Session:
    """What one connection may do. `now` is in seconds since the epoch.

    `rate` is in actions per second; zero is no limit.
    """

    __slots__ = ("_bucket", "claims", "view")

    def __init__(
        self, claims: ChatTokenClaims, rate: float, now: float, view: View = View.PLAIN
    ) -> None:
        self.claims = claims
        self.view = view
        self._bucket = TokenBucket(rate, now)

    def receive(self, text: bytes, now: float) -> Action | OwnAction:
        """Decode one frame's text and return the action, which its sender may do.

        Raises:
            ActionError: see the module for codes and their order.
        """
        within_rate = self._bucket.take(now)
        try:
            action = decode(text)
        except ActionError as error:
            self._check(error.request_id, within_rate, now)
            raise
        claims = self.claims
        if not within_rate or now * 1000 >= claims.session_expires:
            self._check(action.request_id, within_rate, now)
        if isinstance(action, OwnAction) and action.costs > 1:
            # Owed: so any rate allows it, and waits for longer behind it.
            self._bucket.owe(now, action.costs - 1)
        if action.capability not in claims.capabilities:
            check_capability(action, claims)
        return action

    def expired(self, now: float) -> bool:
        """Return whether the session is over."""
        return now * 1000 >= self.claims.session_expires

    def _check(self, request_id: str, within_rate: bool, now: float) -> None:
        if self.expired(now):
            raise ActionError(ErrorCode.UNAUTHORIZED, SESSION_EXPIRED, request_id) from None
        if not within_rate:
            raise ActionError(
                ErrorCode.TOO_MANY_REQUESTS, RATE_LIMIT_EXCEEDED, request_id
            ) from None


def check_capability(action: Action | OwnAction, claims: ChatTokenClaims) -> None:
    """Return while a token allows an action.

    Raises:
        ActionError: 403.
    """
    if action.capability not in claims.capabilities and action.capability is not None:
        raise ActionError(
            ErrorCode.FORBIDDEN,
            f"Forbidden: the chat token lacks the capability {action.capability}",
            action.request_id,
        )
