"""The real service's metrics in CloudWatch."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.telemetry import cloudwatch
from greenroom.telemetry.cloudwatch import PUBLISHED, Growth, Publisher
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins import answering
from tests.stand_ins.kept import access_to


@pytest.fixture
async def access(aws_url: str, aws_credentials: None) -> AsyncIterator[AwsAccess]:
    """Give an access to a CloudWatch."""
    made = access_to(aws_url)
    yield made
    await made.close()


@pytest.fixture
def namespace() -> str:
    """Return a namespace that no other test has."""
    return f"Greenroom/Test{time.time_ns()}"


async def published(
    access: AwsAccess, namespace: str
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return sum and maximum of each metric, by its name and its dimension."""

    async def call(operation: str, **parameters: object) -> Any:
        return await access.call(
            Service.CLOUDWATCH, "us-east-1", operation, Namespace=namespace, **parameters
        )

    now = datetime.now(UTC)
    found = {}
    for metric in (await call("list_metrics"))["Metrics"]:
        dimensions = metric["Dimensions"]
        answer = await call(
            "get_metric_statistics",
            MetricName=metric["MetricName"],
            Dimensions=dimensions,
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum", "Maximum"],
        )
        (point,) = answer["Datapoints"]
        assert point["Unit"] == "Count"
        dimension = ",".join(f"{each['Name']}={each['Value']}" for each in dimensions)
        found[metric["MetricName"], dimension] = (point["Sum"], point["Maximum"])
    return found


async def test_names_and_dimensions(access: AwsAccess, namespace: str) -> None:
    """Each of the ten has its name and dimension; what did not grow is not published."""
    metrics = Metrics()
    publisher = Publisher(metrics, access, "us-east-1", namespace)
    metrics.concurrent_chat_connections.read = lambda: 0
    metrics.requests.read = lambda: {"SendMessage": 3}
    metrics.deliveries.read = lambda: {"SendMessage": 30, "DisconnectUser": 1}
    metrics.messaging_requests.read = lambda: 4
    metrics.messaging_deliveries.read = lambda: 31
    metrics.invocation_errors.labels("arn:aws:lambda:x").inc()
    metrics.response_validation_errors.labels("arn:aws:lambda:x").inc()
    metrics.log_destination_errors.labels("arn:aws:ivschat:x").inc(2)
    metrics.log_destination_access_denied_errors.labels("arn:aws:ivschat:x").inc()
    metrics.write_stalls.inc(9)
    with capture_logs() as logs:
        await publisher.publish()
    assert logs == []
    sums = {key: value[0] for key, value in (await published(access, namespace)).items()}
    assert sums == {
        ("ConcurrentChatConnections", ""): 0,
        ("Requests", "Action=SendMessage"): 3,
        ("Deliveries", "Action=SendMessage"): 30,
        ("Deliveries", "Action=DisconnectUser"): 1,
        ("MessagingRequests", ""): 4,
        ("MessagingDeliveries", ""): 31,
        ("InvocationErrors", "Uri=arn:aws:lambda:x"): 1,
        ("ResponseValidationErrors", "Uri=arn:aws:lambda:x"): 1,
        ("LogDestinationErrors", "LoggingConfiguration=arn:aws:ivschat:x"): 2,
        ("LogDestinationAccessDeniedError", "LoggingConfiguration=arn:aws:ivschat:x"): 1,
    }


async def test_growth_and_not_totals(access: AwsAccess, namespace: str) -> None:
    """Each publication holds what grew since the last, so that the sums are the totals."""
    metrics = Metrics()
    publisher = Publisher(metrics, access, "us-east-1", namespace)
    totals = iter((5, 5, 7))
    metrics.messaging_requests.read = lambda: next(totals)
    for _ in range(3):
        await publisher.publish()
    assert (await published(access, namespace))["MessagingRequests", ""] == (7, 5)


def test_what_has_grown() -> None:
    """Of the published counters, neither when they began nor what is as it was."""
    metrics = Metrics()
    publisher = Publisher(metrics, Mock(), "us-east-1", "namespace")
    metrics.requests.read = lambda: {"SendMessage": 3, "SendEvent": 0}
    metrics.invocation_errors.labels("arn:x").inc(2)
    metrics.response_validation_errors.labels("arn:x")
    metrics.bus_reconnects.read = lambda: 9
    assert list(publisher._grown()) == [
        Growth("ivschat_requests", "SendMessage", 3, 3),
        Growth("ivschat_invocation_errors", "arn:x", 2, 2),
    ]
    publisher._published["ivschat_requests", "SendMessage"] = 3
    assert [each.name for each in publisher._grown()] == ["ivschat_invocation_errors"]


async def test_connections_at_their_most(access: AwsAccess, namespace: str) -> None:
    """The number of connections is the highest that was seen; the next minute begins anew."""
    metrics, times = Metrics(), list[float]()
    connections = iter([3, 8, 2])
    now = [0]
    metrics.concurrent_chat_connections.read = lambda: now[0]

    async def sleep(seconds: float) -> None:
        times.append(seconds)
        now[0] = next(connections, 1)
        if len(times) > cloudwatch.PERIOD_SECONDS // cloudwatch.SAMPLE_SECONDS:
            raise asyncio.CancelledError

    publisher = Publisher(metrics, access, "us-east-1", namespace, sleep)
    with pytest.raises(asyncio.CancelledError):
        await publisher.run()
    assert sum(times[:-1]) == cloudwatch.PERIOD_SECONDS
    name = ("ConcurrentChatConnections", "")
    assert (await published(access, namespace))[name] == (8, 8)
    await publisher.publish()
    assert (await published(access, namespace))[name] == (9, 8)


async def test_a_failure(access: AwsAccess, namespace: str, aws_credentials: None) -> None:
    """A failure is logged once, and what was not published comes with the next."""
    metrics = Metrics()
    publisher = Publisher(metrics, access_to(answering.closed_url()), "us-east-1", namespace)
    numbers = {"connections": 6, "requests": 0}
    metrics.concurrent_chat_connections.read = lambda: numbers["connections"]
    metrics.messaging_requests.read = lambda: numbers["requests"]
    with capture_logs() as logs:
        for _ in range(3):
            numbers["requests"] += 2
            await publisher.publish()
            numbers["connections"] = 1
    assert [line["error"] for line in logs] == ["EndpointConnectionError"]
    down, publisher._access = publisher._access, access
    with capture_logs() as logs:
        await publisher.publish()
    assert [line["log_level"] for line in logs] == ["info"]
    assert not publisher._failing
    await down.close()
    found = await published(access, namespace)
    assert found == {("MessagingRequests", ""): (6, 6), ("ConcurrentChatConnections", ""): (6, 6)}


async def test_many_numbers(
    access: AwsAccess, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much for one call is several, each number once."""
    monkeypatch.setattr(cloudwatch, "BATCH", 3)
    metrics = Metrics()
    metrics.requests.read = lambda: {f"Action{number}": 1 for number in range(10)}
    publisher = Publisher(metrics, access, "us-east-1", namespace)
    await publisher.publish()
    await publisher.publish()
    found = await published(access, namespace)
    del found["ConcurrentChatConnections", ""]
    assert found == {("Requests", f"Action=Action{number}"): (1, 1) for number in range(10)}


def test_what_is_not_said_has_no_dimension() -> None:
    """CloudWatch refuses a value that is empty, and one that is longer than it may be."""
    assert cloudwatch._datum("ivschat_requests", "", 1)["Dimensions"] == []
    assert cloudwatch._datum("ivschat_invocation_errors", "x" * 1025, 1)["Dimensions"] == [
        {"Name": "Uri", "Value": "x" * 1024}
    ]


class Calls:
    """In place of AWS: what was put."""

    def __init__(self) -> None:
        self.put: list[list[dict[str, Any]]] = []

    async def call(self, *_: object, MetricData: list[dict[str, Any]], **__: object) -> None:  # noqa: N803 - CloudWatch's name
        """Take numbers."""
        self.put.append(MetricData)


async def test_what_one_call_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections, which may be none, and so many counters; nothing is put without a number."""
    monkeypatch.setattr(cloudwatch, "BATCH", 1)
    metrics, calls = Metrics(), Calls()
    access: Any = calls
    metrics.concurrent_chat_connections.read = lambda: 0
    publisher = Publisher(metrics, access, "us-east-1", "namespace")
    await publisher.publish()
    metrics.requests.read = lambda: {"SendMessage": 1, "SendEvent": 2}
    await publisher.publish()
    values = [[(each["MetricName"], each["Value"]) for each in data] for data in calls.put]
    assert values == [
        [("ConcurrentChatConnections", 0)],
        [("ConcurrentChatConnections", 0), ("Requests", 1)],
        [("Requests", 2)],
    ]


def test_the_table_is_that_of_the_metrics() -> None:
    """Every metric of the real service is in the table; its label, if any, is its dimension."""
    metrics = Metrics()
    families = {family.name for family in metrics.registry.collect()}
    assert {name for name in families if name.startswith("ivschat_")} == set(PUBLISHED)
    labels = {each.name.removesuffix("_total"): each.labels for each in metrics.table}
    for name, published in PUBLISHED.items():
        words = [label.title().replace("_", "") for label in labels[name]]
        assert words == ([published.dimension] if published.dimension else [])
