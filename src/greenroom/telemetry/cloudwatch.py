"""The real service's ten metrics, published to CloudWatch once a minute under their names there.

- Counters are published as what they grew by since CloudWatch last took them: a failure delays
  numbers and loses none, but an answer that got lost has them counted again. What did not grow is
  left out. The number of connections is published as its highest of the minute, as the real
  service reports it.
- A failure is logged once, until a publication succeeds again; chat never notices.
- Source of names and dimensions: Chat User Guide, "Monitoring Amazon IVS Chat".
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import structlog

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.telemetry.metrics import Metrics

PERIOD_SECONDS = 60
SAMPLE_SECONDS = 5
"""How often the number of connections is looked at."""

BATCH = 500
"""Numbers in one call; PutMetricData takes 1,000, and 1 MB."""

MAXIMUM_DIMENSION = 1024
"""Characters of a dimension's value (CloudWatch API reference, Dimension)."""


class Published(msgspec.Struct, frozen=True):
    """What a metric is called in CloudWatch, and what its only label is called there."""

    name: str
    dimension: str | None = None


PUBLISHED = {
    "ivschat_concurrent_chat_connections": Published("ConcurrentChatConnections"),
    "ivschat_requests": Published("Requests", "Action"),
    "ivschat_deliveries": Published("Deliveries", "Action"),
    "ivschat_messaging_requests": Published("MessagingRequests"),
    "ivschat_messaging_deliveries": Published("MessagingDeliveries"),
    "ivschat_invocation_errors": Published("InvocationErrors", "Uri"),
    "ivschat_response_validation_errors": Published("ResponseValidationErrors", "Uri"),
    "ivschat_log_destination_access_denied_errors": Published(
        "LogDestinationAccessDeniedError", "LoggingConfiguration"
    ),
    "ivschat_log_destination_resource_not_found_errors": Published(
        "LogDestinationResourceNotFoundErrors", "LoggingConfiguration"
    ),
    "ivschat_log_destination_errors": Published("LogDestinationErrors", "LoggingConfiguration"),
}
"""Each metric of the real service, by its name in `/metrics`."""

log = structlog.get_logger()


class Growth(msgspec.Struct, frozen=True):
    """How much a counter grew, and what it is now; `value` is its label's, or empty."""

    name: str
    value: str
    grown: float
    total: float


class Publisher:
    """Publishes to one namespace and region; `run` belongs to the caller's task group."""

    def __init__(
        self,
        metrics: Metrics,
        access: AwsAccess,
        region: str,
        namespace: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._metrics = metrics
        self._access = access
        self._region = region
        self._namespace = namespace
        self._sleep = sleep
        self._published: dict[tuple[str, str], float] = {}
        self._most = 0.0
        self._failing = False

    async def run(self) -> None:
        """Publish every minute, until cancelled; what counts since the last time is then lost."""
        while True:
            for _ in range(PERIOD_SECONDS // SAMPLE_SECONDS):
                self.sample()
                await self._sleep(SAMPLE_SECONDS)
            await self.publish()

    def sample(self) -> None:
        """Look at the number of connections."""
        self._most = max(self._most, self._connections())

    async def publish(self) -> None:
        """Publish what there is since the last time. Never raises."""
        try:
            await self._publish()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the service
            if not self._failing:
                log.warning("metrics are not published to CloudWatch", error=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.info("metrics are published to CloudWatch again")
            self._failing = False

    async def _publish(self) -> None:
        self.sample()
        data = [_datum("ivschat_concurrent_chat_connections", "", self._most)]
        grown = list(self._grown())
        for start in range(0, max(1, len(grown)), BATCH):
            some = grown[start : start + BATCH]
            data += [_datum(each.name, each.value, each.grown) for each in some]
            await self._put(data)
            self._published |= {(each.name, each.value): each.total for each in some}
            self._most = self._connections()
            data = []

    async def _put(self, data: list[dict[str, object]]) -> None:
        await self._access.call(
            Service.CLOUDWATCH,
            self._region,
            "put_metric_data",
            Namespace=self._namespace,
            MetricData=data,
        )

    def _grown(self) -> Iterator[Growth]:
        for family in self._metrics.registry.collect():
            if family.type != "counter" or family.name not in PUBLISHED:
                continue
            for sample in family.samples:
                value = next(iter(sample.labels.values()), "")
                grown = sample.value - self._published.get((family.name, value), 0.0)
                if sample.name == f"{family.name}_total" and grown > 0:
                    yield Growth(family.name, value, grown, sample.value)

    def _connections(self) -> float:
        (family,) = self._metrics.concurrent_chat_connections.collect()
        return sum(sample.value for sample in family.samples)


def _datum(name: str, value: str, number: float) -> dict[str, object]:
    published = PUBLISHED[name]
    dimension = {"Name": published.dimension, "Value": value[:MAXIMUM_DIMENSION]}
    return {
        "MetricName": published.name,
        "Dimensions": [dimension] if published.dimension and value else [],
        "Value": number,
        "Unit": "Count",
    }
