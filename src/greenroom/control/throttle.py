"""Request rates of the API, per account, region and operation."""

from collections import OrderedDict

from greenroom.clock import Clock
from greenroom.model.arn import ResourceType
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas, request_rate_name
from greenroom.rate import TokenBucket

_MAXIMUM_BUCKETS = 10_000


class Throttle:
    """One token bucket per account, region and operation, the least recently used ones dropped."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self.evicted = 0
        self._buckets: OrderedDict[tuple[str, str, str], TokenBucket] = OrderedDict()

    def take(self, operation: str, account: str, region: str) -> None:
        """Count one request.

        Raises:
            ThrottlingException: the rate is used up. Every SDK retries it.
        """
        limit = self._quotas[request_rate_name(operation)]
        if not limit:
            return
        now = self._clock.monotonic()
        key = (account, region, operation)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(limit, now)
            if len(self._buckets) > _MAXIMUM_BUCKETS:
                self._buckets.popitem(last=False)
                self.evicted += 1
        else:
            self._buckets.move_to_end(key)
        if not bucket.take(now):
            raise ThrottlingException(
                f"Rate exceeded: {operation} allows {limit} requests per second",
                resource_id=account,
                resource_type=_resource_type(operation).wire_name,
                limit=limit,
            )


def _resource_type(operation: str) -> ResourceType:
    if "LoggingConfiguration" in operation:
        return ResourceType.LOGGING_CONFIGURATION
    return ResourceType.ROOM
