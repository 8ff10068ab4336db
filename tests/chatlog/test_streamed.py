"""Chat logging on several nodes: each record once, whoever dies; deletions, changes, bounds.

Covers: greenroom.chatlog.leased, greenroom.chatlog.tails
"""

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from unittest.mock import Mock, call

import pytest
import structlog.testing

from greenroom.chatlog import idling
from greenroom.chatlog.base import ChatLog, FailureKind
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.leased import ELSEWHERE_SECONDS
from greenroom.chatlog.streamed import (
    EVERYTHING,
    FINISHING_SECONDS,
    LOOK_SECONDS,
    PASSED_SECONDS,
    StreamedChatLog,
)
from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationChange,
    State,
)
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Backlog
from greenroom.storage.leases import Lease
from tests.stand_ins.nodes import Nodes, nodes
from tests.stand_ins.scene import INTERVAL
from tests.stand_ins.streams import MESSAGES_PER_READ
from tests.stand_ins.values import NOW, room_arn

SOON = INTERVAL + LOOK_SECONDS
FAR = SOON + ELSEWHERE_SECONDS + LOOK_SECONDS


async def is_gone(made: Nodes, configuration: LoggingConfiguration) -> bool:
    """Return whether the configuration does not exist any more."""
    try:
        await made.store.logging_configurations.get(configuration.arn)
    except ResourceNotFoundException:
        return True
    return False


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a read that brought all that one can bring here be followed by the next one."""
    monkeypatch.setattr(idling, "MANY", MESSAGES_PER_READ - 1)


class TestDelivery:
    """From the streams to the destinations."""

    async def test_after_the_interval(self) -> None:
        """What was published reaches its destination once, in order, through one node."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(INTERVAL / 2)
            payloads += made.publish(2, configuration)
            assert made.destination().attempts == 0
            await made.advance(INTERVAL)
            assert made.destination().payloads() == payloads
            assert made.destination().attempts == 1
            assert sum(bool(node.tried) for node in made.nodes) == 1
            assert [node.log.depths() for node in made.nodes] == [[], [], []]

    async def test_a_full_batch_does_not_wait(self) -> None:
        """As soon as a batch's bytes wait it is made, and what remains waits for its interval."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(600, configuration)
            await made.advance(3)
            assert 200 <= len(made.destination().payloads()) < 600
            await made.advance(SOON)
            assert made.destination().payloads() == payloads

    async def test_each_configuration_and_stream(self) -> None:
        """Each one gets each record that names it, of all streams; one that fails stops nobody."""
        async with nodes() as made:
            good, bad = await made.configuration("good"), await made.configuration("bad")
            made.destination("bad").fail()
            payloads = made.publish(3, good, bad) + made.publish(3, good, bad, stream=1)
            await made.advance(SOON)
            assert sorted(made.destination("good").payloads()) == payloads
            assert made.destination("bad").payloads() == []
            made.destination("bad").failure = None
            await made.advance(120)
            assert sorted(made.destination("bad").payloads()) == payloads

    async def test_depths(self) -> None:
        """The node that delivers tells what waits; the others tell nothing."""
        async with nodes() as made:
            configuration = await made.configuration()
            made.publish(3, configuration)
            await made.advance(2)
            (depth,) = made.holder().log.depths()
            assert (depth.configuration, depth.records, depth.size) == (configuration.arn, 3, 12)
            label = {"logging_configuration": str(configuration.arn)}
            assert made.holder().value("greenroom_journal_records", **label) == 3
            assert sum(node.value("greenroom_journal_records", **label) for node in made.nodes) == 3

    async def test_leases_are_seldom_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A node that another one was faster than does not try again with every record."""
        async with nodes(3) as made:
            configuration = await made.configuration()
            asked: list[str] = []
            lease = made.store.journal.lease

            def count(name: str) -> AbstractAsyncContextManager[Lease]:
                asked.append(name)
                return lease(name)

            monkeypatch.setattr(made.store.journal, "lease", count)
            for _ in range(20):
                made.publish(1, configuration)
                await made.advance(0.2, steps=4)
            assert 3 <= sum(name.startswith("delivery") for name in asked) <= 5

    async def test_queues_that_cannot_be_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is tried again; who hears that they grew delivers meanwhile."""
        async with nodes(1) as made:
            configuration = await made.configuration()

            async def refuse() -> list[Arn]:
                raise StorageUnavailable("as the test says")

            monkeypatch.setattr(made.store.journal, "waiting", refuse)
            payloads = made.publish(3, configuration)
            await made.advance(SOON)
            assert made.destination().payloads() == payloads
            await made.bus.close()
            payloads += made.publish(3, configuration)
            await made.advance(SOON)
            assert made.destination().payloads() == payloads[:3]
            monkeypatch.undo()
            await made.advance(SOON + LOOK_SECONDS)
            assert made.destination().payloads() == payloads

    async def test_faults_that_nobody_has_thought_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They end neither the node nor what it does: it is tried again."""
        async with nodes(1) as made:
            configuration = await made.configuration()

            def fail(name: str = "") -> AbstractAsyncContextManager[Lease]:
                raise ZeroDivisionError

            monkeypatch.setattr(made.store.journal, "waiting", fail)
            monkeypatch.setattr(made.nodes[0].log._deliveries._journal, "lease", fail)
            payloads = made.publish(3, configuration)
            await made.advance(SOON)
            assert made.destination().payloads() == []
            monkeypatch.undo()
            await made.advance(FAR)
            assert made.destination().payloads() == payloads

    async def test_looks_are_few(self) -> None:
        """However often a queue grows, it is measured once a second, and what came last as well."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            made.publish(1, configuration)
            await made.advance(1)
            measured = 0
            backlog = made.store.journal.backlog

            async def count(arn: Arn) -> Backlog:
                nonlocal measured
                measured += 1
                return await backlog(arn)

            made.nodes[0].log._around.measure = count
            for _ in range(8):
                made.publish(1, configuration)
                await made.advance(0.5, steps=10)
            assert measured <= 5
            await made.advance(1.5)
            (depth,) = made.nodes[0].log.depths()
            assert depth.records == 9

    async def test_nobody_heard(self) -> None:
        """Queues are looked at now and then, should nobody hear that they grew."""
        async with nodes() as made:
            await made.bus.close()
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(SOON + LOOK_SECONDS)
            assert made.destination().payloads() == payloads


class TestDeath:
    """Whatever dies, each record is there once."""

    async def test_before_the_batch(self) -> None:
        """Another node delivers what the dead one would have."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(2)
            await made.holder().kill()
            payloads += made.publish(3, configuration)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads

    async def test_in_a_delivery(self) -> None:
        """A batch that was under way comes again through another node, with the same records."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            made.destination().gate.clear()
            await made.advance(SOON)
            await made.holder().kill()
            payloads += made.publish(3, configuration)
            made.destination().gate.set()
            await made.advance(FAR)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            assert len(made.destination().batches) == 2

    async def test_after_a_delivery(self) -> None:
        """The same when the destination kept the batch, and the journal did not hear of it."""
        async with nodes() as made:
            configuration = await made.configuration()
            made.destination().fails_after_keeping = True
            made.destination().fail()
            payloads = made.publish(3, configuration)
            await made.advance(SOON)
            await made.holder().kill()
            made.destination().failure = None
            payloads += made.publish(3, configuration)
            await made.advance(FAR)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads

    async def test_of_all(self) -> None:
        """Nodes that are started when none lives go on."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(2)
            for node in made.nodes:
                await node.kill()
            payloads += made.publish(3, configuration)
            made.start(2)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads

    async def test_a_holder_that_lost_its_lease(self) -> None:
        """Two that deliver at the same time deliver the same batches, and end each once."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads: list[bytes] = []
            for _ in range(10):
                payloads += made.publish(30, configuration)
                await made.advance(INTERVAL / 2)
                made.store.journal.lose_leases()
                await made.advance(INTERVAL / 2)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            assert await made.store.journal.waiting() == []

    async def test_a_stop(self) -> None:
        """A node that stops ends its attempt, gives its leases back, and begins nothing more."""
        async with nodes(2) as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(2)
            stopping = made.holder()
            await stopping.log.stop(1)
            assert made.destination().attempts == 0
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            tried = len(stopping.tried)
            payloads += made.publish(3, configuration)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            assert len(stopping.tried) == tried

    async def test_a_stop_that_takes_too_long(self) -> None:
        """An attempt that does not end is left to the others: they make it again."""
        async with nodes(2) as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            made.destination().gate.clear()
            await made.advance(SOON)
            stopping = made.holder()
            await stopping.log.stop(60, 0.01)
            assert stopping.log.depths() == []
            made.destination().gate.set()
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            assert made.destination().attempts == 2

    async def test_missed_news(self) -> None:
        """After news may have been missed every configuration is looked at anew."""
        async with nodes(1) as made:
            configuration = await made.configuration("old")
            made.destination("old").fail()
            payloads = made.publish(3, configuration)
            await made.advance(SOON)
            change = LoggingConfigurationChange(
                destination=DestinationConfiguration(DestinationKind.S3, "new")
            )
            kept = made.store.logging_configurations
            await kept.update(configuration.arn, change, State.UPDATING, NOW)
            await kept.move(configuration.arn, State.UPDATING, State.ACTIVE, NOW)
            await made.advance(120)
            assert made.destination("new").payloads() == []
            made.nodes[0].reset()
            await made.advance(1)
            assert made.destination("new").payloads() == payloads

    async def test_a_stop_waits_for_no_interval(self) -> None:
        """What waits is left to the others at once, not when the time is over."""
        async with nodes(1) as made:
            made.publish(3, await made.configuration())
            await made.advance(2)
            async with asyncio.timeout(5):
                await made.nodes[0].log.stop(600)
            assert made.destination().attempts == 0


class TestConfigurations:
    """What operations do, on whichever node."""

    async def test_a_new_destination(self) -> None:
        """What waits goes to the new destination from the moment of the change, on every node."""
        async with nodes() as made:
            configuration = await made.configuration("old")
            made.destination("old").fail(FailureKind.NOT_FOUND)
            payloads = made.publish(3, configuration)
            await made.advance(SOON)
            other = next(node for node in made.nodes if node is not made.holder())
            change = LoggingConfigurationChange(
                destination=DestinationConfiguration(DestinationKind.S3, "new")
            )
            await made.store.logging_configurations.update(
                configuration.arn, change, State.ACTIVE, NOW
            )
            other.log.changed(configuration.arn)
            await made.advance(1)
            assert made.destination("new").payloads() == payloads

    async def test_check(self) -> None:
        """A destination says whether it can be written to."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            (node,) = made.nodes
            assert await node.log.check(configuration) is None
            made.destination().check_failure = ZeroDivisionError()
            assert await node.log.check(configuration) == "its adapter crashed"

    async def test_deletion_of_what_is_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing waits and nothing is on its way: it is finished at once."""
        async with nodes() as made:
            configuration = await made.configuration()
            made.publish(3, configuration)
            await made.advance(FAR)
            made.publish(3)
            await made.advance(1)
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            dropped = Mock(wraps=made.store.journal.drop)
            monkeypatch.setattr(made.store.journal, "drop", dropped)
            assert await made.nodes[0].log.finish(configuration.arn)
            # The journal learns that nobody needs the queue, and drops nothing.
            assert dropped.call_args == call(configuration.arn, EVERYTHING)

    async def test_deletion_of_what_is_full(self) -> None:
        """What waits is delivered at once, by whichever node delivers, and then it is gone."""
        async with nodes() as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(2)
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            other = next(node for node in made.nodes if node is not made.holder())
            made.destination().gate.clear()
            assert not await other.log.finish(configuration.arn)
            made.destination().gate.set()
            await made.advance(1)
            assert made.destination().payloads() == payloads
            assert await is_gone(made, configuration)

    @pytest.mark.parametrize("leads", [True, False])
    async def test_deletion_waits_for_the_streams(self, leads: bool) -> None:
        """What was published before is delivered, though no node has read it yet.

        Also where a server is asked that leads no longer, and lacks it.
        """
        async with nodes(0) as made:
            configuration = await made.configuration()
            if not leads:
                made.streams.stale[1] = await made.streams.end(1)
            payloads = made.publish(3, configuration, stream=1)
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            async with made.store.journal.lease("stream 1"):
                (node,) = made.start(1)
                await made.settle()
                finished = node.living.get_loop().create_task(node.log.finish(configuration.arn))
                await made.advance(PASSED_SECONDS + 1)
                assert not await finished
                assert not await is_gone(made, configuration)
            await made.advance(FAR)
            assert made.destination().payloads() == payloads
            assert await is_gone(made, configuration)

    async def test_deletion_of_what_is_empty_waits_for_the_streams(self) -> None:
        """As soon as they are read it is gone, though nothing in them was for it."""
        async with nodes(0) as made:
            configuration = await made.configuration()
            made.publish(3, stream=1)
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            async with made.store.journal.lease("stream 1"):
                (node,) = made.start(1)
                await made.settle()
                finished = node.living.get_loop().create_task(node.log.finish(configuration.arn))
                await made.advance(PASSED_SECONDS + 0.5)
                assert not await finished
            await made.advance(3)
            assert await is_gone(made, configuration)

    async def test_deletion_while_the_streams_are_away(self) -> None:
        """Nobody knows whether something is on its way: it is not finished now."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            made.streams.available = False
            assert not await made.nodes[0].log.finish(configuration.arn)
            made.streams.available = True
            assert await made.nodes[0].log.finish(configuration.arn)

    async def test_what_the_dead_left_unfinished(self) -> None:
        """It is looked for again and again, by one node at a time, also after an error."""
        async with nodes(2) as made:
            for _ in range(30):
                await made.advance(FINISHING_SECONDS / 10, steps=2)
            assert 3 <= made.finished <= 6
            assert made.finishing == 0

    async def test_a_gone_configuration(self) -> None:
        """Records of a configuration that does not exist are dropped, counted and told."""
        async with nodes() as made:
            configuration = await made.configuration()
            await made.store.logging_configurations.begin_delete(configuration.arn, NOW)
            await made.store.logging_configurations.finish_delete(configuration.arn)
            with structlog.testing.capture_logs() as lines:
                made.publish(3, configuration)
                await made.advance(2)
            assert await made.store.journal.waiting() == []
            dropped = [line["records"] for line in lines if line["log_level"] == "error"]
            assert dropped == [3]


class TestBounds:
    """What happens where too much waits."""

    async def test_the_oldest_go(self) -> None:
        """At the bound of bytes the oldest records of a failing destination are dropped."""
        async with nodes(bounds=Bounds(size=400)) as made:
            configuration = await made.configuration()
            made.destination().fail()
            made.publish(50, configuration)
            await made.advance(SOON)
            with structlog.testing.capture_logs() as lines:
                newest = made.publish(100, configuration)
                await made.advance(120)
            assert sum(line["records"] for line in lines if "records" in line) >= 50
            made.destination().failure = None
            await made.advance(120)
            assert made.destination().payloads() == newest

    async def test_the_lag(self) -> None:
        """It is next to nothing while all streams are read, and rises while they are not."""
        async with nodes(2) as made:
            made.publish(3, await made.configuration())
            await made.advance(5)
            name = "greenroom_chat_log_lag_seconds"
            assert max(node.value(name) for node in made.nodes) < 1
            made.streams.available = False
            await made.advance(600)
            assert max(node.value(name) for node in made.nodes) >= 595
            made.streams.available = True
            await made.advance(10)
            assert max(node.value(name) for node in made.nodes) < 1

    async def test_the_lag_is_told(self) -> None:
        """The log has a line when it begins, now and then another one, and one when it is over."""
        async with nodes(1) as made:
            made.publish(3, await made.configuration())
            await made.advance(5)
            made.streams.available = False
            with structlog.testing.capture_logs() as lines:
                for _ in range(3):
                    await made.advance(250)
                made.streams.available = True
                await made.advance(10)
            assert [
                (line["log_level"], line["event"])
                for line in lines
                if line["log_level"] in ("error", "warning")
            ] == [
                ("warning", "chat logs are behind: a stream of NATS cannot be read"),
                ("error", "chat logs are behind: a stream of NATS cannot be read"),
                ("warning", "chat logs are no longer behind: all streams are read again"),
            ]

    async def test_a_lag_that_another_node_has_taken_over(self) -> None:
        """It is over here when another node has the leases of what could not be read."""
        async with nodes(1) as made, contextlib.AsyncExitStack() as elsewhere:
            await made.advance(5)
            made.streams.available = False
            with structlog.testing.capture_logs() as lines:
                await made.advance(30)
                for stream in range(made.streams.count):
                    lease = made.store.journal.lease(f"stream {stream}")
                    assert (await elsewhere.enter_async_context(lease)).held
                await made.advance(10)
            assert [line["event"] for line in lines if "behind" in line["event"]] == [
                "chat logs are behind: a stream of NATS cannot be read",
                "chat logs are no longer behind: all streams are read again",
            ]

    async def test_messages_that_nobody_read(self) -> None:
        """They count as dropped records of nobody knows whom."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            made.publish(3, configuration)
            await made.advance(1)
            made.publish(5, configuration)
            made.streams.age(2)
            await made.advance(1)
            name = "greenroom_log_records_dropped_total"
            assert made.nodes[0].value(name, logging_configuration="unknown") == 3


class TestShares:
    """Nodes that join later have their part of the work, and everything is on record once."""

    async def test_streams(self) -> None:
        """Who reads all streams leaves some to a node that joins; what is published goes on."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            payloads = made.publish(3, configuration)
            await made.advance(5)
            assert held(made) == [2]
            made.start(1)
            for number in range(10):
                payloads += made.publish(3, configuration, stream=number % 2)
                await made.advance(2)
            assert held(made) == [1, 1]
            await made.nodes[0].kill()
            payloads += made.publish(2, configuration) + made.publish(2, configuration, stream=1)
            await made.advance(SOON)
            assert held(made) == [2]
            await made.advance(FAR)
            assert sorted(made.destination().payloads()) == sorted(payloads)

    async def test_deliveries(self) -> None:
        """Who delivers for all configurations leaves some to a node that joins."""
        async with nodes(1) as made:
            names = [f"bucket-{number}" for number in range(4)]
            configurations = [await made.configuration(name) for name in names]
            for name in names:
                made.destination(name).fail()
            sent = [made.publish(5, configuration) for configuration in configurations]
            await made.advance(SOON)
            assert [len(node.log.depths()) for node in made.nodes] == [4]
            made.start(1)
            await made.advance(60, steps=60)
            assert [len(node.log.depths()) for node in made.nodes] == [2, 2]
            for name in names:
                made.destination(name).failure = None
            for configuration, payloads in zip(configurations, sent, strict=True):
                payloads.extend(made.publish(3, configuration))
            await made.advance(300, steps=100)
            for name, payloads in zip(names, sent, strict=True):
                assert made.destination(name).payloads() == payloads

    async def test_what_the_other_node_cannot_have(self) -> None:
        """It comes back, and is on record."""
        async with nodes(1) as made:
            configuration = await made.configuration()
            await made.advance(5)
            (deaf,) = made.start(1)
            deaf.living.cancel()
            payloads: list[bytes] = []
            for number in range(40):
                payloads += made.publish(2, configuration, stream=number % 2)
                await made.advance(1)
            assert held(made) == [2]
            await made.advance(FAR)
            assert sorted(made.destination().payloads()) == sorted(payloads)


def held(made: Nodes) -> list[int]:
    """Return how many streams each node reads."""
    tails = [node.log._tails for node in made.nodes if not node.living.done()]
    return [len(each._tails[0]._share._held) for each in tails]


class TestRecord:
    """What the planes ask."""

    async def test_it_is_a_chat_log(self) -> None:
        """It does all that a chat log does."""
        async with nodes(1) as made:
            log: ChatLog = made.nodes[0].log
            assert isinstance(log, StreamedChatLog)

    async def test_it_publishes(self) -> None:
        """Nothing is recorded before it is published, and nothing waits."""
        async with nodes(1) as made:
            published: list[int] = []
            log = made.nodes[0].log
            await log.record(room_arn(), (), b"", 1, lambda: published.append(1))
            assert published == [1]
            assert not log.must_wait(room_arn())
            with pytest.raises(ZeroDivisionError):
                await log.record(room_arn(), (), b"", 1, lambda: 1 // 0)
            assert not log.is_behind
