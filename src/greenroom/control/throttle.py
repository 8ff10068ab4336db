"""Request rates of the APIs: ivschat's per account, region and operation, those of others in all.

Those of IAM, of STS and of Greenroom's own API hold for each caller, and for the account: regions
and operations are no way around them, sessions neither. What has a large body counts as several
requests, as it costs.
"""

from greenroom.chat.account_rates import AccountRates
from greenroom.clock import Clock
from greenroom.model.arn import ResourceType
from greenroom.model.errors import ThrottlingException
from greenroom.model.iam_errors import Throttling
from greenroom.model.quotas import Quotas, caller_rate_name, request_rate_name
from greenroom.rate import Buckets, TokenBucket

BODY_BYTES = 16_384
"""Bytes of a body that one request may have; each further piece of this size counts once more."""

_MAXIMUM_BUCKETS = 10_000


class Throttle:
    """Token buckets, the least recently used ones dropped."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self._buckets: Buckets[tuple[str, ...]] = Buckets(_MAXIMUM_BUCKETS)

    def share(self, rates: AccountRates) -> None:
        """Have requests count on all nodes, from now on."""
        self._buckets = rates.buckets("requests", _MAXIMUM_BUCKETS)

    @property
    def evicted(self) -> int:
        """Return how many buckets were dropped."""
        return self._buckets.evicted

    def take(self, operation: str, account: str, region: str, size: int = 0) -> None:
        """Count one request, whose body has so many bytes.

        Raises:
            ThrottlingException: the rate is used up. Every SDK retries it.
        """
        limit = self._quotas[request_rate_name(operation)]
        bucket = self._bucket(limit, account, region, operation)
        if not bucket.take(self._clock.monotonic(), _weight(size)):
            raise ThrottlingException(
                f"Rate exceeded: {operation} allows {limit} requests per second",
                resource_id=account,
                resource_type=_resource_type(operation).wire_name,
                limit=limit,
            )

    def take_of_service(self, service: str, account: str, caller: str, size: int = 0) -> None:
        """Count one request of such a service; the caller is the user, the role or the root.

        Raises:
            Throttling: a rate is used up. Every SDK retries it.
        """
        now, tokens = self._clock.monotonic(), _weight(size)
        each, all_ = (
            self._quotas[caller_rate_name(service)],
            self._quotas[request_rate_name(service)],
        )
        own = self._bucket(each, account, service, caller)
        if not own.take(now, tokens):
            raise Throttling(f"Rate exceeded: a caller may make {each} requests per second")
        if not self._bucket(all_, account, service).take(now, tokens):
            own.give_back(tokens)
            raise Throttling(f"Rate exceeded: an account may make {all_} requests per second")

    def _bucket(self, limit: int, *key: str) -> TokenBucket:
        if not limit:
            return _UNLIMITED
        return self._buckets.find(key, limit, self._clock.monotonic())


_UNLIMITED = TokenBucket(0, 0.0)


def _weight(size: int) -> float:
    return 1.0 + size // BODY_BYTES


def _resource_type(operation: str) -> ResourceType:
    if "LoggingConfiguration" in operation:
        return ResourceType.LOGGING_CONFIGURATION
    return ResourceType.ROOM
