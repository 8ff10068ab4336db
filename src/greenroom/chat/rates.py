"""How often a room, and an account in a region, may do what: token buckets, in memory.

Both kinds of buckets are bounded, and what a bound took is counted in `evicted`. The oldest goes:
its room or account may then do a second's worth too much.
"""

from typing import TypeVar

from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas
from greenroom.model.room import Room
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import RATE_LIMIT_EXCEEDED
from greenroom.rate import TokenBucket

K = TypeVar("K")

MAXIMUM_ROOMS = 20_000
"""Rooms whose rates are kept at once."""

MAXIMUM_ACCOUNTS = 20_000
"""Rates of accounts that are kept at once: one for each kind of action and each region."""


class Rates:
    """The rates that the quotas set, and those of rooms."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self._rooms: dict[str, TokenBucket] = {}
        self._accounts: dict[tuple[str, str, str], TokenBucket] = {}
        self.evicted = {"message_rates": 0, "account_rates": 0}

    def take_message(self, room: Room, sender: ChatTokenClaims, _message: SendMessage) -> None:
        """Count a message of the room and of its account, or of neither: the last gate.

        Raises:
            ThrottlingException: the room or the account sends too much.
        """
        if not self._quotas.room_rates:
            self.take(SendMessage.quota, room.arn)
            return
        now, limit = self._clock.monotonic(), room.maximum_message_rate_per_second
        bucket = self._room(sender.room_arn, limit, now)
        if not bucket.take(now):
            raise _throttled(room.arn, limit)
        try:
            self._take(SendMessage.quota, room.arn, now)
        except ThrottlingException:
            bucket.give_back()
            raise

    def take(self, quota: str, room: Arn) -> None:
        """Count an action of the account in the room's region.

        Raises:
            ThrottlingException: the account does it too often.
        """
        self._take(quota, room, self._clock.monotonic())

    def _take(self, quota: str, room: Arn, now: float) -> None:
        limit = self._quotas[quota]
        if not limit:
            return
        key = (quota, room.account, room.region)
        bucket = self._accounts.get(key)
        if bucket is None:
            self.evicted["account_rates"] += _make_place(self._accounts, MAXIMUM_ACCOUNTS)
            bucket = self._accounts[key] = TokenBucket(limit, now)
        if not bucket.take(now):
            raise _throttled(room, limit)

    def _room(self, room_arn: str, rate: int, now: float) -> TokenBucket:
        bucket = self._rooms.get(room_arn)
        if bucket is None:
            self.evicted["message_rates"] += _make_place(self._rooms, MAXIMUM_ROOMS)
            bucket = self._rooms[room_arn] = TokenBucket(rate, now)
        else:
            bucket.change(rate)
        return bucket


def _make_place(buckets: dict[K, TokenBucket], maximum: int) -> int:
    """Let the oldest go where there is no place; return how many went."""
    if len(buckets) < maximum:
        return 0
    del buckets[next(iter(buckets))]
    return 1


def _throttled(room: Arn, limit: int) -> ThrottlingException:
    return ThrottlingException(
        RATE_LIMIT_EXCEEDED,
        resource_id=room.id,
        resource_type=room.type.wire_name,
        limit=limit,
    )
