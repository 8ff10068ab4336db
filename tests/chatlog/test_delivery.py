"""One configuration's deliveries at their edges: when a run ends, what it counts, when it waits."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
import structlog.testing

from greenroom.chatlog.base import FailureKind
from greenroom.chatlog.bounds import NANOSECONDS_PER_HOUR, Bounds
from greenroom.chatlog.delivery import DELETION_SECONDS, Delivery, Surroundings
from greenroom.chatlog.measures import Measures
from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.model.logging_configuration import LoggingConfiguration, State
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Entry, Removed
from greenroom.storage.memory.logging_configurations import MemoryLoggingConfigurations
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from tests.chatlog.test_log import moved, value
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.scene import INTERVAL, Alarm, FullJournal, FullStore, Kept, Scene, room_of
from tests.stand_ins.values import NOW, a_configuration, a_room, configuration_arn, room_arn

SIZE = 30
"""Bytes of a record's payload that the scene makes."""


class SlowStore(FullStore):
    """A store that answers some calls only while their gates are open, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.moving, self.finishing = (asyncio.Event() for _ in range(3))
        for gate in (self.reading, self.moving, self.finishing):
            gate.set()
        self.asked: list[str] = []
        self.unavailable: set[str] = set()
        self.at_once = self.logging_configurations
        self.logging_configurations = SlowConfigurations(self)

    async def answer(self, call: str, gate: asyncio.Event) -> None:
        """Return when the store would answer."""
        self.asked.append(call)
        await gate.wait()
        if call in self.unavailable:
            raise StorageUnavailable("as the test says")


class SlowConfigurations(MemoryLoggingConfigurations):
    """Its logging configurations."""

    def __init__(self, store: SlowStore) -> None:
        super().__init__(store.at_once._regions)
        self._store = store

    async def get(self, arn: Arn) -> LoggingConfiguration:
        await self._store.answer("get", self._store.reading)
        return await super().get(arn)

    async def move(self, arn: Arn, before: State, after: State, now: int) -> LoggingConfiguration:
        await self._store.answer("move", self._store.moving)
        return await super().move(arn, before, after, now)

    async def finish_delete(self, arn: Arn) -> None:
        await self._store.answer("finish", self._store.finishing)
        await super().finish_delete(arn)


async def delete(scene: Scene, configuration: LoggingConfiguration) -> None:
    """Delete the configuration as another node does: here nobody waits for it."""
    await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
    await scene.store.logging_configurations.finish_delete(configuration.arn)
    scene.log.changed(configuration.arn)


class TestEnd:
    """When nothing is left to do."""

    async def test_records_that_come_at_the_end(self) -> None:
        """What is accepted while the last look at the configuration is under way is delivered."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 1)
            scene.destination().gate.clear()
            await scene.advance(INTERVAL + 1)
            store.reading.clear()
            scene.log.changed(configuration.arn)
            scene.destination().gate.set()
            await scene.settle()
            assert scene.destination().payloads() == payloads
            payloads += await scene.records(room_of(configuration), 1)
            store.reading.set()
            await scene.advance(INTERVAL + 1)
            assert scene.destination().payloads() == payloads
            assert scene.log.depths() == []

    async def test_a_change_that_comes_at_the_end(self) -> None:
        """A deletion that begins while a run is about to end is finished by that run."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(FailureKind.NOT_FOUND)
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 60)
            assert await scene.state_of(configuration) is State.UPDATE_FAILED
            store.moving.clear()
            scene.destination().failure = None
            await scene.advance(61)
            assert store.asked[-1] == "move"
            await store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            store.moving.set()
            await scene.settle()
            assert await store.logging_configurations.unfinished() == []
            assert scene.log.depths() == []

    async def test_a_change_while_the_deletion_is_finished(self) -> None:
        """It is looked at before the run ends: nobody else would."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 1)
            store.finishing.clear()
            await store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            await scene.settle()
            assert store.asked[-1] == "finish"
            scene.log.changed(configuration.arn)
            store.finishing.set()
            await scene.settle()
            assert store.asked[-1] == "get"
            assert await scene.log.finish(configuration.arn)

    async def test_a_look_that_fails_is_taken_again(self) -> None:
        """A change is not forgotten because the store could not tell what it was."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration("old")
            scene.destination("old").fail()
            payloads = await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            store.unavailable.add("get")
            store.asked.clear()
            await moved(scene, configuration.arn, "new")
            await scene.advance(60, 60)
            assert 2 <= store.asked.count("get") <= 8
            store.unavailable.clear()
            scene.destination("old").failure = None
            await scene.advance(61)
            assert scene.destination("new").payloads() == payloads
            assert scene.destination("old").payloads() == []

    async def test_records_of_a_deleted_configuration(self) -> None:
        """They go nowhere, not even to where the configuration once said."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 3)
            await scene.advance(INTERVAL + 1)
            scene.destination().failure = None
            attempts = scene.destination().attempts
            with structlog.testing.capture_logs() as lines:
                await delete(scene, configuration)
                await scene.advance(INTERVAL + 61)
            assert scene.destination().attempts == attempts
            assert await scene.store.journal.backlogs() == {}
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 3
            dropped = [line for line in lines if line["event"] == "chat log records dropped"]
            assert [line["records"] for line in dropped] == [3]
            assert dropped[0]["since"] < dropped[0]["until"]
            assert scene.log.depths() == []

    async def test_many_records_of_a_deleted_configuration(self) -> None:
        """More than one call to the journal takes are dropped, too, the last of them as well."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            room = room_of(configuration)
            entries = [Entry(room.arn, (configuration.arn,), NOW * 1_000_000, b"{}")] * 12_000
            await scene.store.journal.append(entries)
            scene.log._appended(entries)
            await delete(scene, configuration)
            await scene.advance(INTERVAL + 61)
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 12_001
            assert scene.log.depths() == []

    async def test_a_queue_that_another_has_emptied(self) -> None:
        """A count that the journal does not bear out is given up, and not looked at for ever."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 2)
            await scene.store.journal.drop(configuration.arn, 0)
            await scene.advance(INTERVAL + 1)
            assert scene.destination().attempts == 0
            assert scene.log.depths() == []
            payloads = await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            assert scene.destination().payloads() == payloads

    async def test_more_is_removed_than_was_counted(self) -> None:
        """Others have added it: nothing is left, and what comes counts from there."""
        delivery = Delivery(configuration_arn(), Mock(random=lambda: 1.0))
        delivery.records, delivery.size = 2, 2 * SIZE
        for records in (2, 1):
            delivery._removed(Removed(records, records * SIZE))
            assert (delivery.records, delivery.size) == (0, 0)

    async def test_a_queue_that_another_has_emptied_at_its_bound(self) -> None:
        """What cannot be dropped because it is not there is not dropped for ever."""
        async with Scene(MemoryStore()).running(Bounds(size=SIZE)) as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 10 * SIZE
            scene.log._appended([Entry(a_room().arn, (configuration.arn,), 1, b"x" * 2 * SIZE)])
            await scene.settle()
            await scene.advance(INTERVAL + 1)
            assert scene.log.depths() == []

    async def test_an_emptied_queue_of_a_deleted_configuration(self) -> None:
        """It is given up as well: nothing is left to drop."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 2)
            await scene.store.journal.drop(configuration.arn, 0)
            await delete(scene, configuration)
            await scene.settle()
            assert scene.log.depths() == []

    async def test_what_others_add_while_a_deletion_is_finished(self) -> None:
        """It is delivered before the configuration goes; streams are asked when all is empty."""
        store, time, kept = MemoryStore(), HandClock(), Kept()
        asked: list[int] = []
        configuration = a_configuration(State.DELETING)
        await store.logging_configurations.create(configuration, 0)

        async def append(payload: bytes) -> None:
            entry = Entry(room_arn(), (configuration.arn,), time.wall_ns, payload)
            await store.journal.append([entry])

        async def expected(arn: Arn) -> bool:
            asked.append((await store.journal.backlog(arn)).records)
            if len(asked) == 1:
                await append(b"late")
            return False

        await append(b"early")
        around = Surroundings(
            journal=store.journal,
            configurations=store.logging_configurations,
            destination_for=lambda _: kept,
            clock=time.clock,
            wait=Alarm(time).wait,
            random=lambda: 1.0,
            bounds=Bounds(),
            measures=Measures(Metrics()),
            expected=expected,
            measure=store.journal.backlog,
        )
        await Delivery(configuration.arn, around).run()
        assert kept.payloads() == [b"early", b"late"]
        assert asked == [0, 0]
        assert await store.logging_configurations.unfinished() == []
        assert await store.journal.waiting() == []


class TestStates:
    """What the store says of the configuration's state."""

    async def failed(self, scene: Scene) -> LoggingConfiguration:
        """Let a destination be missing for long, while no state can be moved."""
        configuration = await scene.configuration()
        scene.destination().fail(FailureKind.NOT_FOUND)
        await scene.records(room_of(configuration), 1)
        return configuration

    async def test_a_state_that_cannot_be_moved(self) -> None:
        """The run waits, longer each time, and moves it when the store can."""
        store = SlowStore()
        store.unavailable.add("move")
        async with Scene(store).running() as scene:
            with structlog.testing.capture_logs() as lines:
                configuration = await self.failed(scene)
                await scene.advance(INTERVAL + 600, 100)
                assert await scene.state_of(configuration) is State.ACTIVE
                assert 5 < store.asked.count("move") < 30
            assert "chat log delivery crashed" not in [line["event"] for line in lines]
            store.unavailable.clear()
            await scene.advance(61)
            assert await scene.state_of(configuration) is State.UPDATE_FAILED

    async def test_a_state_that_cannot_be_moved_at_the_end(self) -> None:
        """With nothing left to deliver the run still waits, and does not ask again and again."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await self.failed(scene)
            await scene.advance(INTERVAL + 60)
            assert await scene.state_of(configuration) is State.UPDATE_FAILED
            store.unavailable.add("move")
            store.asked.clear()
            scene.destination().failure = None
            await scene.advance(600, 100)
            assert len(scene.destination().payloads()) == 1
            assert 5 < store.asked.count("move") < 30
            assert store.asked.count("get") <= 1
            store.unavailable.clear()
            await scene.advance(61)
            assert await scene.state_of(configuration) is State.ACTIVE

    async def test_a_state_that_somebody_else_has_moved(self) -> None:
        """Theirs stays; what it is now is read once, and then the delivery goes on."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            store.moving.clear()
            configuration = await self.failed(scene)
            await scene.advance(INTERVAL + 60)
            assert store.asked[-1] == "move"
            await store.at_once.move(configuration.arn, State.ACTIVE, State.UPDATING, NOW)
            store.asked.clear()
            store.moving.set()
            with structlog.testing.capture_logs() as lines:
                await scene.advance(200)
            assert store.asked == ["get"]
            assert lines == []
            assert await scene.state_of(configuration) is State.UPDATING

    async def test_a_deletion_is_given_up_when_its_time_is_over(self) -> None:
        """Not before, and not because of time that passed before the deletion."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 1)
            await scene.advance(2 * DELETION_SECONDS, 60)
            await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            await scene.advance(DELETION_SECONDS - 1, 60)
            assert await scene.state_of(configuration) is State.DELETING
            await scene.advance(61)
            assert await scene.state_of(configuration) is State.DELETE_FAILED

    async def test_what_comes_after_a_deletion_that_was_given_up(self) -> None:
        """The configuration is as any other again: its records wait for their interval."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 1)
            await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            await scene.advance(DELETION_SECONDS + 61, 60)
            assert await scene.state_of(configuration) is State.DELETE_FAILED
            scene.destination().gate.clear()
            scene.destination().failure = None
            await scene.advance(61)
            await scene.records(room_of(configuration), 1)
            scene.destination().gate.set()
            await scene.advance(INTERVAL - 1)
            assert len(scene.destination().payloads()) == 1
            await scene.advance(2)
            assert len(scene.destination().payloads()) == 2

    async def test_a_deletion_without_failures_is_never_given_up(self) -> None:
        """A destination that takes long is not one that fails."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 1)
            scene.destination().gate.clear()
            await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            await scene.advance(DELETION_SECONDS + 100)
            scene.destination().gate.set()
            await scene.settle()
            assert await scene.store.logging_configurations.unfinished() == []


class TestCounts:
    """What is counted stays what the journal holds."""

    async def test_a_batch_of_one_that_is_refused(self) -> None:
        """It is dropped and counted, and nothing counts as delivered."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().refuses = 1
            with structlog.testing.capture_logs() as lines:
                await scene.records(room_of(configuration), 1)
                await scene.advance(INTERVAL + 1)
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 1
            assert value(scene, "greenroom_log_records_delivered_total", configuration) == 0
            (told,) = [line for line in lines if line["event"] == "chat log records dropped"]
            assert told["since"] == told["until"]

    async def test_a_refusal_names_its_time(self) -> None:
        """From the batch's first record to its last."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().refuses = 1
            with structlog.testing.capture_logs() as lines:
                for _ in range(3):
                    await scene.records(room_of(configuration), 1)
                    await scene.advance(1)
                await scene.advance(INTERVAL)
            (told,) = [line for line in lines if line["event"] == "chat log records dropped"]
            assert (told["since"][-8:], told["until"][-8:]) == (":20.001Z", ":22.003Z")

    async def test_drops_are_told_when_the_run_ends(self) -> None:
        """What was dropped within a minute after a line is not kept back for a next time."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().refuses = 1
            scene.destination().batch_bytes = 2 * SIZE
            with structlog.testing.capture_logs() as lines:
                await scene.records(room_of(configuration), 6)
                await scene.settle()
            told = [line["records"] for line in lines if "since" in line]
            assert told == [1, 2]
            assert scene.log.depths() == []

    async def test_drops_are_told_while_records_wait(self) -> None:
        """After a minute, without another drop."""
        async with Scene(MemoryStore()).running(Bounds(size=2 * SIZE)) as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = SIZE
            scene.destination().fail()
            with structlog.testing.capture_logs() as lines:
                for _ in range(2):
                    await scene.records(room_of(configuration), 3)
                    await scene.advance(5)
                await scene.advance(200)
            told = [line["records"] for line in lines if "since" in line]
            assert len(told) == 2
            assert sum(told) == 4
            assert scene.log.depths()[0].records == 2

    async def test_over_many_batches(self) -> None:
        """Depths follow the journal through batches, failures and drops."""
        bounds = Bounds(size=100 * SIZE)
        async with Scene(MemoryStore()).running(bounds) as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 3 * SIZE
            for number in range(40):
                scene.destination().fail()
                if number % 5 == 4:
                    scene.destination().failure = None
                await scene.records(room_of(configuration), number)
                await scene.advance(7)
                backlogs = await scene.store.journal.backlogs()
                waiting = {arn: (each.records, each.size) for arn, each in backlogs.items()}
                assert {
                    each.configuration: (each.records, each.size) for each in scene.log.depths()
                } == waiting
            for depth in scene.log.depths():
                backlog = (await scene.store.journal.backlogs())[depth.configuration]
                age = (scene.time.wall_ns - backlog.oldest_ns) / 1e9
                assert depth.age_seconds == pytest.approx(age, abs=1)


class TestTimes:
    """When a batch is made."""

    async def test_exactly_the_size(self) -> None:
        """A queue that holds a batch's bytes to the byte is delivered at once."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 4 * SIZE
            await scene.records(room_of(configuration), 3)
            await scene.settle()
            assert scene.destination().attempts == 0
            await scene.records(room_of(configuration), 1)
            await scene.settle()
            assert len(scene.destination().payloads()) == 4

    async def test_exactly_the_interval(self) -> None:
        """A record that has waited for the interval waits no longer."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL - 0.001)
            assert scene.destination().attempts == 0
            await scene.advance(0.001, 1)
            assert scene.destination().attempts == 1

    async def test_what_remains_has_waited_already(self) -> None:
        """After a batch the rest waits from its own oldest record on, not from now."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 3 * SIZE
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 3)
            await scene.settle()
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL - 1)
            scene.destination().gate.set()
            await scene.advance(0.5)
            assert len(scene.destination().payloads()) == 3
            await scene.advance(0.6)
            assert len(scene.destination().payloads()) == 4

    async def test_a_deletion_waits_for_no_interval(self) -> None:
        """Its records go at once, batch after batch."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 3 * SIZE
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 10)
            await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
            assert not await scene.log.finish(configuration.arn)
            scene.destination().gate.set()
            await scene.settle()
            assert len(scene.destination().payloads()) == 10
            assert await scene.store.logging_configurations.unfinished() == []

    async def test_stop_delivers_every_batch(self) -> None:
        """The end of the service does not end a run behind its first batch."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 3 * SIZE
            scene.destination().gate.clear()
            payloads = await scene.records(room_of(configuration), 9)
            await scene.settle()
            stopping = asyncio.create_task(scene.log.stop(5))
            await scene.settle()
            scene.destination().gate.set()
            await stopping
            assert len(scene.destination().batches) == 3
            assert scene.destination().payloads() == payloads

    async def test_stop_while_the_store_cannot(self) -> None:
        """The run ends; it does not wait for a store that comes back later."""
        store = SlowStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            store.unavailable.add("get")
            await scene.records(room_of(configuration), 1)
            await scene.settle()
            async with asyncio.timeout(5):
                await scene.log.stop(60)
            assert scene.log.depths()[0].records == 1


class TestPauses:
    """What waits after a failure."""

    async def test_a_store_that_fails_now_and_then(self) -> None:
        """After a success the first pause is short again."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            scene.destination().batch_bytes = SIZE
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 2)
            await scene.settle()
            store.disk.full = True
            scene.destination().gate.set()
            await scene.advance(300)
            scene.destination().gate.clear()
            store.disk.full = False
            await scene.advance(61)
            assert scene.destination().attempts == 2
            store.disk.full = True
            scene.destination().gate.set()
            await scene.settle()
            store.disk.full = False
            await scene.advance(1.1)
            assert await store.journal.backlogs() == {}

    async def test_a_change_is_no_reason_to_hurry(self) -> None:
        """A pause after a failure of the store is one pause: it does not end again and again."""
        journal = CountingJournal()
        store = FullStore()
        store.disk = store.journal = journal
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            await scene.records(room_of(configuration), 1)
            journal.full = True
            await scene.advance(INTERVAL + 60)
            scene.log.changed(configuration.arn)
            before = journal.batches
            await scene.advance(50, 50)
            assert 1 <= journal.batches - before <= 3

    async def test_trouble_ends_with_a_success(self) -> None:
        """The next failure is told anew, and its first pause is short."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            with structlog.testing.capture_logs() as lines:
                for _ in range(2):
                    scene.destination().fail()
                    await scene.records(room_of(configuration), 1)
                    await scene.advance(INTERVAL + 200)
                    scene.destination().failure = None
                    await scene.advance(61)
            told = [line["event"] for line in lines if "destination" in line]
            assert (
                told
                == [
                    "chat log destination fails",
                    "chat log destination works again",
                ]
                * 2
            )


class CountingAlarm(Alarm):
    """Counts how often it is waited for."""

    waits = 0

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        self.waits += 1
        await super().wait(event, seconds)


async def test_nobody_is_woken_twice_for_one_reason() -> None:
    """A delivery that was woken waits again, for its next reason or its time."""
    scene = Scene(MemoryStore())
    alarm = scene.alarm = CountingAlarm(scene.time)
    async with scene.running():
        configuration = await scene.configuration()
        scene.destination().fail()
        await scene.records(room_of(configuration), 3)
        await scene.advance(INTERVAL + 200)
        alarm.waits = 0
        scene.log.changed(configuration.arn)
        await scene.advance(50, 50)
        assert alarm.waits < 20


class CountingJournal(FullJournal):
    """A full journal that counts how often it is asked for a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        self.batches += 1
        return await super().batch(configuration, maximum_size)


class TestBounds:
    """The bounds of what may wait, to the byte and to the nanosecond."""

    async def test_exactly_full(self) -> None:
        """What fits to the byte stays; one byte more drops the oldest record."""
        async with Scene(MemoryStore()).running(Bounds(size=10 * SIZE)) as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            scene.destination().batch_bytes = SIZE
            payloads = await scene.records(room_of(configuration), 10)
            await scene.advance(INTERVAL + 120)
            assert scene.log.depths()[0].records == 10
            payloads += await scene.records(room_of(configuration), 1)
            await scene.advance(120)
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 1
            scene.destination().failure = None
            await scene.advance(61)
            assert scene.destination().payloads() == payloads[1:]

    async def test_size_and_age_are_bounds_each(self) -> None:
        """Many bytes go although they are young."""
        bounds = Bounds(size=5 * SIZE, age_ns=NANOSECONDS_PER_HOUR)
        async with Scene(MemoryStore()).running(bounds) as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 12)
            await scene.advance(INTERVAL + 30)
            assert scene.log.depths()[0].records <= 5

    async def test_old_records_of_a_destination_that_works(self) -> None:
        """Age alone drops nothing, also not from a queue that is long to deliver."""
        scene = Scene(MemoryStore())
        bounds = Bounds(age_ns=NANOSECONDS_PER_HOUR)
        async with scene.running(bounds):
            configuration = await scene.configuration()
            scene.destination().batch_bytes = 2 * SIZE
            scene.destination().fail()
            payloads = await scene.records(room_of(configuration), 20)
        scene.destination().failure = None
        scene.time.advance(3 * 3600)
        async with scene.running(bounds):
            await scene.advance(1)
            assert scene.destination().payloads() == payloads


@pytest.mark.parametrize(("ahead", "seconds"), [(5.0, 5.0), (0.25, 0.25), (0.0, 0.0), (-3.0, 0.0)])
async def test_what_grew_is_looked_at_when_it_may_be(ahead: float, seconds: float) -> None:
    """At the next look, however soon that is; without news as late as the node may."""
    time = HandClock()
    around: Any = Mock(clock=time.clock, longest_wait=60.0, random=lambda: 1.0)
    delivery = Delivery(configuration_arn(), around)
    assert delivery._until_look() == 60.0
    delivery.grew()
    delivery._look_at = time.clock.monotonic() + ahead
    assert delivery._until_look() == pytest.approx(seconds)
