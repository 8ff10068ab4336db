"""How often a room, and an account in a region, may do what: token buckets, in memory.

Both kinds of buckets are bounded, and what a bound took is counted in `evicted`. The least recently
used one goes: its room or account may then do a second's worth too much.

- A room's rate is decided when a message gets its place, and debited when it has it, on every node
  that knows the room: over all nodes there are at most `rate` a second and a burst of as many.
- What needs a review is counted apart before it is reviewed, denied or not, on each node: a
  handler is asked no more often than its room takes messages.
- An account's rate is that of this node, and of all others where they tell each other:
  `account_rates`. A message that is refused after all gives it back.
"""

from greenroom.chat.account_rates import AccountRates
from greenroom.chat.outcome import Post
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas
from greenroom.model.room import Room
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import RATE_LIMIT_EXCEEDED
from greenroom.rate import Buckets

MAXIMUM_ROOMS = 20_000
"""Rooms whose rates are kept at once."""

MAXIMUM_ACCOUNTS = 20_000
"""Rates of accounts that are kept at once: one for each kind of action and each region."""


class Rates:
    """The rates that the quotas set, and those of rooms."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self._rooms: Buckets[str] = Buckets(MAXIMUM_ROOMS)
        self._reviews: Buckets[str] = Buckets(MAXIMUM_ROOMS)
        self._accounts: Buckets[tuple[str, ...]] = Buckets(MAXIMUM_ACCOUNTS)
        # The quotas that were asked for: a message asks for the same one each time.
        self._limits: dict[str, int] = {}

    def share(self, rates: AccountRates) -> None:
        """Have what accounts do count on all nodes, from now on."""
        self._accounts = rates.buckets("actions", MAXIMUM_ACCOUNTS)

    @property
    def evicted(self) -> dict[str, int]:
        """Return how many buckets went at each bound."""
        return {
            "message_rates": self._rooms.evicted + self._reviews.evicted,
            "account_rates": self._accounts.evicted,
        }

    def admit_message(
        self, room: Room, sender: ChatTokenClaims, _message: SendMessage, post: Post
    ) -> None:
        """Count a message of the account, and of the room's reviews, or of neither: the last gate.

        A room that has taken its rate refuses at once what it would refuse later.

        Raises:
            ThrottlingException: the room or the account sends too much.
        """
        now = post.now
        if not self._quotas.room_rates:
            self._take(SendMessage.quota, room.arn, now)
            return
        limit = room.maximum_message_rate_per_second
        bucket = self._rooms.get(sender.room_arn)
        if bucket is not None:
            bucket.change(limit)
            if not bucket.has(now):
                raise _throttled(room.arn, limit)
        if not is_reviewed(room):
            self._take(SendMessage.quota, room.arn, now)
            return
        reviews = self._reviews.find(sender.room_arn, limit, now)
        if not reviews.take(now):
            raise _throttled(room.arn, limit)
        try:
            self._take(SendMessage.quota, room.arn, now)
        except ThrottlingException:
            reviews.give_back()
            raise

    def check_message(self, room: Room, room_arn: str, undebited: int, now: float) -> int:
        """Return the rate that a message counts for, behind so many that are not debited yet.

        Raises:
            ThrottlingException: the room has taken its rate.
        """
        if not self._quotas.room_rates:
            return 0
        limit = room.maximum_message_rate_per_second
        if not self._rooms.find(room_arn, limit, now).has(now, undebited + 1):
            raise _throttled(room.arn, limit)
        return limit

    def debit(self, room_arn: str, rate: int, seconds_ago: float) -> None:
        """Count a message that has its place in the room."""
        now = self._clock.monotonic() - seconds_ago
        bucket = self._rooms.get(room_arn) or self._rooms.find(room_arn, rate, now)
        bucket.debit(now)

    def give_back_message(self, room: Arn) -> None:
        """Let a message that was refused after all not count for its account."""
        bucket = self._accounts.get((SendMessage.quota, room.account, room.region))
        if bucket is not None:
            bucket.give_back()

    def take(self, quota: str, room: Arn) -> None:
        """Count an action of the account in the room's region.

        Raises:
            ThrottlingException: the account does it too often.
        """
        self._take(quota, room, self._clock.monotonic())

    def _take(self, quota: str, room: Arn, now: float) -> None:
        limit = self._limits.get(quota)
        if limit is None:
            limit = self._limits[quota] = self._quotas[quota]
        if not limit:
            return
        bucket = self._accounts.find((quota, room.account, room.region), limit, now)
        if not bucket.take(now):
            raise _throttled(room, limit)


def is_reviewed(room: Room) -> bool:
    """Return whether the room's messages are shown to a review handler first."""
    handler = room.message_review_handler
    return handler is not None and bool(handler.uri)


def _throttled(room: Arn, limit: int) -> ThrottlingException:
    return ThrottlingException(
        RATE_LIMIT_EXCEEDED,
        resource_id=room.id,
        resource_type=room.type.wire_name,
        limit=limit,
    )
