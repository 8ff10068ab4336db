"""The chat log as the planes see it: records, batches, failures, changes, the end."""

import asyncio
from pathlib import Path
from sqlite3 import Connection

import pytest
import structlog.testing

from greenroom.chatlog.base import DestinationFailed, FailureKind
from greenroom.chatlog.bounds import NANOSECONDS_PER_HOUR, Bounds
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationChange,
    State,
)
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.store import SqliteStore
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.scene import INTERVAL, FullStore, Scene, room_of
from tests.stand_ins.values import NOW, a_room, configuration_arn


class TestDelivery:
    """From a record to its destinations."""

    async def test_after_the_interval(self) -> None:
        """What waits is delivered in one batch when the oldest has waited for the interval."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 3)
            assert scene.published == payloads
            await scene.advance(INTERVAL - 1)
            payloads += await scene.records(room_of(configuration), 2)
            assert scene.destination().batches == {}
            await scene.advance(2)
            assert list(map(len, scene.destination().batches.values())) == [5]
            assert scene.destination().payloads() == payloads
            assert scene.log.depths() == []
            assert scene.log._running == set()

    async def test_a_full_batch_does_not_wait(self) -> None:
        """As soon as a batch's bytes wait it is made; what remains waits for its own interval."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 50)
            await scene.settle()
            kept = len(scene.destination().payloads())
            assert 20 < kept < 50
            await scene.advance(INTERVAL + 1)
            assert scene.destination().payloads() == payloads

    async def test_each_configuration_of_the_room(self) -> None:
        """Each one gets each record; one that fails keeps nobody else waiting."""
        async with Scene(MemoryStore()).running() as scene:
            good, bad = await scene.configuration("good"), await scene.configuration("bad")
            scene.destination("bad").fail()
            payloads = await scene.records(room_of(good, bad), 3)
            await scene.advance(INTERVAL + 1)
            assert scene.destination("good").payloads() == payloads
            assert scene.destination("bad").attempts > 0
            scene.destination("bad").failure = None
            await scene.advance(120)
            assert scene.destination("bad").payloads() == payloads

    async def test_retries_are_patient(self) -> None:
        """A destination that fails is asked less and less often, and never given up."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            payloads = await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            for _ in range(30):
                await scene.advance(10)
            at_first = scene.destination().attempts
            assert 5 <= at_first <= 15
            for _ in range(30):
                await scene.advance(10)
            assert 4 <= scene.destination().attempts - at_first <= 6
            scene.destination().failure = None
            await scene.advance(61)
            assert scene.destination().payloads() == payloads

    async def test_trouble_is_told_once(self) -> None:
        """The log has a line when failing begins and one when it ends, without content."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(FailureKind.NOT_FOUND)
            with structlog.testing.capture_logs() as lines:
                await scene.records(room_of(configuration), 1)
                await scene.advance(INTERVAL + 60)
                scene.destination().failure = None
                await scene.advance(61)
            told = [line["event"] for line in lines if "destination" in line]
            assert told == ["chat log destination fails", "chat log destination works again"]
            (failing,) = (line for line in lines if line["event"] == "chat log destination fails")
            assert (failing["kind"], failing["reason"]) == ("not_found", "as the test says")
            assert "Type" not in str(lines)

    async def test_a_crashing_adapter_is_a_failure(self) -> None:
        """What is no DestinationFailed is retried like one, and ends nothing."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().failure = ZeroDivisionError()  # type: ignore[assignment]
            payloads = await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            assert scene.destination().attempts > 0
            scene.destination().failure = None
            await scene.advance(60)
            assert scene.destination().payloads() == payloads

    async def test_what_is_kept_is_not_given_again(self) -> None:
        """When the journal cannot forget a delivered batch, it is not delivered a second time."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 2)
            await scene.advance(INTERVAL + 1)
            store.disk.full = True
            scene.destination().gate.set()
            await scene.advance(300)
            store.disk.full = False
            await scene.advance(61)
            assert scene.destination().attempts == 1
            assert await store.journal.backlogs() == {}

    async def test_refused_records_are_counted(self) -> None:
        """What a destination never will keep is dropped, counted and told."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().refuses = 2
            with structlog.testing.capture_logs() as lines:
                await scene.records(room_of(configuration), 5)
                await scene.advance(INTERVAL + 1)
            assert value(scene, "greenroom_log_records_delivered_total", configuration) == 3
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 2
            assert [line["records"] for line in lines if line["log_level"] == "error"] == [2]

    async def test_a_gone_configuration(self) -> None:
        """Records of a configuration that does not exist are dropped, counted and told."""
        async with Scene(MemoryStore()).running() as scene:
            arn = configuration_arn()
            with structlog.testing.capture_logs() as lines:
                await scene.records(a_room(str(arn)), 3)
                await scene.settle()
            assert await scene.store.journal.backlogs() == {}
            told = [line for line in lines if line["log_level"] == "error"]
            assert sum(line["records"] for line in told) == 3
            assert {line["reason"] for line in told} == {"the configuration is gone"}

    async def test_metrics(self) -> None:
        """Depth, age and use of the bound are shown while records wait, and failures by kind."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(FailureKind.ACCESS_DENIED)
            await scene.records(room_of(configuration), 4)
            await scene.advance(INTERVAL + 50)
            scene.log.observe()
            assert value(scene, "greenroom_journal_records", configuration) == 4
            assert value(scene, "greenroom_journal_bytes", configuration) == 4 * 30
            assert 59 < value(scene, "greenroom_journal_age_seconds", configuration) < 61
            ratio = 60 / (168 * 3600)
            shown = value(scene, "greenroom_journal_bound_ratio", configuration)
            assert shown == pytest.approx(ratio, rel=0.1)
            failures = value(scene, "ivschat_log_destination_errors_total", configuration)
            denied = "ivschat_log_destination_access_denied_errors_total"
            assert failures == value(scene, denied, configuration) == scene.destination().attempts
            scene.destination().failure = None
            await scene.advance(61)
            scene.log.observe()
            labels = {"logging_configuration": str(configuration.arn)}
            gone = scene.metrics.registry.get_sample_value("greenroom_journal_records", labels)
            assert gone is None


def value(scene: Scene, name: str, configuration: LoggingConfiguration) -> float:
    """Return a metric of a configuration."""
    labels = {"logging_configuration": str(configuration.arn)}
    found = scene.metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


class TestBound:
    """What happens when a destination fails for too long."""

    BOUNDS = Bounds(size=3000, age_ns=NANOSECONDS_PER_HOUR)

    async def test_bytes(self) -> None:
        """It is announced at three steps, then the oldest go, counted; the newest arrive."""
        async with Scene(MemoryStore()).running(self.BOUNDS) as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            with structlog.testing.capture_logs() as lines:
                for _ in range(30):
                    await scene.records(room_of(configuration), 5)
                    await scene.advance(2)
            times = [(line["since"], line["until"]) for line in lines if "since" in line]
            assert all(since < until for since, until in times)
            assert times == sorted(times)
            steps = [line["percent"] for line in lines if "percent" in line]
            assert steps == [50, 80, 95]
            dropped = value(scene, "greenroom_log_records_dropped_total", configuration)
            assert 50 <= dropped <= 50 + 33
            told = [line["records"] for line in lines if line["log_level"] == "error"]
            assert told
            assert len(told) < dropped / 5
            scene.destination().failure = None
            await scene.advance(61)
            assert scene.destination().payloads() == scene.published[int(dropped) :]

    async def test_age(self) -> None:
        """What has waited too long for a destination that fails is dropped."""
        async with Scene(MemoryStore()).running(self.BOUNDS) as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 5)
            await scene.advance(1800)
            scene.destination().batch_bytes = 150
            newer = await scene.records(room_of(configuration), 5)
            await scene.advance(1900)
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 5
            scene.destination().failure = None
            await scene.advance(61)
            assert scene.destination().payloads() == newer

    async def test_age_alone_drops_nothing(self) -> None:
        """After a long stop of the service a destination that works gets everything."""
        scene = Scene(MemoryStore())
        async with scene.running(self.BOUNDS):
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 5)
        scene.time.advance(100 * 3600)
        async with scene.running(self.BOUNDS):
            await scene.advance(1)
            assert scene.destination().payloads() == payloads


class TestFullDisk:
    """The store cannot; chat goes on."""

    async def test_behind(self) -> None:
        """Frames are published at once, their records wait in memory and arrive, in order."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            room = room_of(configuration)
            await scene.records(room, 2)
            with structlog.testing.capture_logs() as lines:
                store.disk.full = True
                await scene.records(room, 3)
                assert len(scene.published) == 5
                _ = scene.record(room, 5)
                assert len(scene.published) == 6
                behind = [scene.log.is_behind]
                assert not scene.log.must_wait(room.arn)
                scene.log.observe()
                memory = "greenroom_journal_memory_bytes"
                assert (scene.metrics.registry.get_sample_value(memory) or 0) > 4 * 30
                await scene.advance(300)
                store.disk.full = False
                await scene.advance(61)
            events = [line["event"] for line in lines]
            assert events == [
                "chat logs are behind: records wait in memory",
                "chat logs are no longer behind",
            ]
            assert [*behind, scene.log.is_behind] == [True, False]
            await scene.records(room, 1)
            await scene.advance(INTERVAL + 1)
            assert scene.destination().payloads() == scene.published
            scene.log.observe()
            assert scene.metrics.registry.get_sample_value(memory) == 0

    async def test_memory_is_bounded(self) -> None:
        """The newest that do not fit are dropped: counted, told; the others arrive."""
        store = FullStore()
        async with Scene(store).running(Bounds(memory=1000)) as scene:
            configuration = await scene.configuration()
            store.disk.full = True
            with structlog.testing.capture_logs() as lines:
                await scene.records(room_of(configuration), 20)
                store.disk.full = False
                await scene.advance(INTERVAL + 61)
            assert len(scene.published) == 20
            assert scene.destination().payloads() == scene.published[:3]
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 17
            dropped = [
                line["records"] for line in lines if line["event"] == "chat log records dropped"
            ]
            (told, rest) = [line for line in lines if "since" in line]
            assert told["since"] == told["until"] < rest["since"] < rest["until"]
            assert sum(dropped) == 17
            assert len(dropped) == 2

    async def test_a_store_that_hangs(self) -> None:
        """Frames wait for the store until memory is full; then they go on without it."""
        store = FullStore()
        async with Scene(store).running(Bounds(memory=1000)) as scene:
            configuration = await scene.configuration()
            store.disk.gate.clear()
            waiting = [scene.record(room_of(configuration), number) for number in range(3)]
            await scene.settle_briefly()
            assert scene.published == []
            assert not any(each.done() for each in waiting)
            _ = scene.record(room_of(configuration), 3)
            assert len(scene.published) == 4
            store.disk.gate.set()
            await scene.advance(INTERVAL + 61)
            assert scene.destination().payloads() == scene.published[:3]

    async def test_start_again(self) -> None:
        """What could not be read at the start of a delivery is read when the store can."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 2)
            store.disk.full = True
            await scene.advance(INTERVAL + 200)
            assert scene.destination().attempts == 0
            store.disk.full = False
            await scene.advance(61)
            assert scene.destination().payloads() == payloads

    async def test_a_database_that_cannot_grow(self, tmp_path: Path) -> None:
        """With SQLite's own refusal nothing is lost, doubled or out of order."""
        store = await hasty_store(tmp_path)
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await limit_pages(store, 1)
            published = await scene.records(room_of(configuration), 300)
            scene.log.observe()
            memory = "greenroom_journal_memory_bytes"
            assert (scene.metrics.registry.get_sample_value(memory) or 0) > 0
            await limit_pages(store, 1_000_000)
            scene.destination().failure = None
            await scene.advance(INTERVAL + 120)
            assert scene.destination().payloads() == published
        await store.close()


async def limit_pages(store: SqliteStore, pages: int) -> None:
    """Let the database have so many pages at most; those that it has it keeps."""

    def limit(connection: Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    await store._worker.write(limit)


class TestOrder:
    """Frames are published in the order in which they were accepted."""

    async def test_within_and_across_rooms(self) -> None:
        """Whatever the store's pace, publication follows acceptance."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            rooms = [room_of(configuration) for _ in range(3)]
            for number in range(60):
                _ = scene.record(rooms[number % 3], number)
                if number % 7 == 0:
                    store.disk.gate.clear()
                    await scene.settle_briefly()
                    store.disk.gate.set()
            await scene.settle()
            assert scene.published == sorted(scene.published)
            assert len(scene.published) == 60

    async def test_configurations_just_removed(self) -> None:
        """A frame that needs no record any more stays behind those that do."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            room = room_of(configuration)
            store.disk.gate.clear()
            _ = scene.record(room, 1)
            assert scene.log.must_wait(room.arn)
            assert not scene.log.must_wait(a_room().arn)
            last = scene.record(a_room(arn=room.arn), 2)
            assert scene.published == []
            store.disk.gate.set()
            await last
            assert scene.published == sorted(scene.published)
            assert len(scene.published) == 2
            assert not scene.log.must_wait(room.arn)
            await scene.advance(INTERVAL + 1)
            assert len(scene.destination().payloads()) == 1

    async def test_what_publishing_raises(self) -> None:
        """It reaches who waits for the frame, and nobody else."""
        async with Scene(MemoryStore()).running() as scene:
            room = room_of(await scene.configuration())

            def publish() -> None:
                raise ZeroDivisionError

            failed = scene.log.record(
                room.arn, room.logging_configuration_identifiers, b"{}", 1, publish
            )
            after = scene.record(room, 1)
            with pytest.raises(ZeroDivisionError):
                await failed
            await after

    async def test_a_waiter_that_is_gone(self) -> None:
        """A frame whose sender is gone is recorded and published like any other."""
        async with Scene(MemoryStore()).running() as scene:
            room = room_of(await scene.configuration())
            scene.record(room, 1).cancel()
            await scene.record(room, 2)
            assert len(scene.published) == 2


class TestStates:
    """What the configuration's state says."""

    @pytest.mark.parametrize("kind", [FailureKind.NOT_FOUND, FailureKind.ACCESS_DENIED])
    async def test_lasting_failures(self, kind: FailureKind) -> None:
        """A destination that is gone or forbidden for long shows, until it takes records again."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(kind)
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL)
            assert await scene.state_of(configuration) is State.ACTIVE
            await scene.advance(60)
            assert await scene.state_of(configuration) is State.UPDATE_FAILED
            scene.destination().failure = None
            await scene.advance(61)
            assert await scene.state_of(configuration) is State.ACTIVE

    async def test_passing_failures(self) -> None:
        """One that is down stays ACTIVE: nothing is wrong with the configuration."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(FailureKind.OTHER)
            await scene.records(room_of(configuration), 1)
            await scene.advance(600)
            assert await scene.state_of(configuration) is State.ACTIVE

    async def test_an_update_under_way_is_left_alone(self) -> None:
        """A delivery never ends somebody else's update."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail(FailureKind.NOT_FOUND)
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL)
            await scene.store.logging_configurations.update(
                configuration.arn, LoggingConfigurationChange(), State.UPDATING, NOW
            )
            await scene.advance(600)
            assert await scene.state_of(configuration) is State.UPDATING
            scene.destination().failure = None
            await scene.advance(61)
            assert await scene.state_of(configuration) is State.UPDATING

    async def test_check(self) -> None:
        """A destination's answer to the check, in words for the log."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            assert await scene.log.check(configuration) is None
            for failure, why in (
                (DestinationFailed(FailureKind.NOT_FOUND, "no such bucket"), "no such bucket"),
                (TimeoutError(), "no answer within 5 seconds"),
                (ZeroDivisionError(), "its adapter crashed"),
            ):
                scene.destination().check_failure = failure
                assert await scene.log.check(configuration) == why

    async def test_a_success_elsewhere_proves_nothing(self) -> None:
        """A new destination that failed its check stays so, whatever the old one still took."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration("old")
            scene.destination("old").gate.clear()
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            await moved(scene, configuration.arn, "missing", State.UPDATE_FAILED)
            scene.destination("old").gate.set()
            await scene.settle()
            assert len(scene.destination("old").payloads()) == 1
            assert await scene.state_of(configuration) is State.UPDATE_FAILED
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            assert await scene.state_of(configuration) is State.ACTIVE


async def moved(scene: Scene, arn: Arn, name: str, state: State = State.ACTIVE) -> None:
    """Update the configuration to another destination, as UpdateLoggingConfiguration does."""
    change = LoggingConfigurationChange(
        destination=DestinationConfiguration(DestinationKind.S3, name)
    )
    await scene.store.logging_configurations.update(arn, change, State.UPDATING, NOW)
    await scene.store.logging_configurations.move(arn, State.UPDATING, state, NOW)
    scene.log.changed(arn)


class TestChanges:
    """Updates and deletions of a configuration."""

    async def test_another_destination(self) -> None:
        """From the change on everything goes there, at once what the old one did not take."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration("old")
            payloads = await scene.records(room_of(configuration), 2)
            await scene.advance(INTERVAL + 1)
            scene.destination("old").fail()
            newer = await scene.records(room_of(configuration), 2)
            await scene.advance(200)
            attempts = scene.destination("old").attempts
            await moved(scene, configuration.arn, "new")
            await scene.settle()
            assert scene.destination("old").payloads() == payloads
            assert scene.destination("new").payloads() == newer
            assert scene.destination("old").attempts == attempts

    async def test_delete_with_nothing_waiting(self) -> None:
        """Nothing is to be waited for."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            assert await scene.log.finish(configuration.arn)
            await scene.records(room_of(configuration), 1)
            await scene.advance(INTERVAL + 1)
            assert await scene.log.finish(configuration.arn)

    async def deletion(self, scene: Scene, configuration: LoggingConfiguration) -> bool:
        """Delete the configuration as DeleteLoggingConfiguration does."""
        await scene.store.logging_configurations.begin_delete(configuration.arn, NOW)
        return await scene.log.finish(configuration.arn)

    async def test_delete_delivers_first(self) -> None:
        """What waits is delivered at once, then the configuration is gone."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            payloads = await scene.records(room_of(configuration), 3)
            assert not await self.deletion(scene, configuration)
            await scene.settle()
            assert scene.destination().payloads() == payloads
            assert await scene.store.logging_configurations.unfinished() == []

    async def test_delete_while_the_disk_is_full(self) -> None:
        """Records that wait in memory keep the configuration until they are delivered."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            store.disk.full = True
            payloads = await scene.records(room_of(configuration), 3)
            assert not await self.deletion(scene, configuration)
            await scene.advance(60)
            assert await scene.state_of(configuration) is State.DELETING
            store.disk.full = False
            await scene.advance(61)
            assert scene.destination().payloads() == payloads
            assert await scene.store.logging_configurations.unfinished() == []

    async def test_delete_while_the_destination_fails(self) -> None:
        """For minutes it is retried, then the deletion is given up and the records are kept."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            payloads = await scene.records(room_of(configuration), 3)
            assert not await self.deletion(scene, configuration)
            await scene.advance(250)
            assert await scene.state_of(configuration) is State.DELETING
            await scene.advance(150)
            assert await scene.state_of(configuration) is State.DELETE_FAILED
            assert not await self.deletion(scene, configuration)
            await scene.settle()
            assert await scene.state_of(configuration) is State.DELETING
            await scene.advance(400)
            assert await scene.state_of(configuration) is State.DELETE_FAILED
            await moved(scene, configuration.arn, "new")
            await scene.settle()
            await scene.advance(INTERVAL)
            assert scene.destination("new").payloads() == payloads
            assert await scene.state_of(configuration) is State.ACTIVE

    async def test_a_deletion_survives_a_restart(self) -> None:
        """What was DELETING is delivered and removed by the next process."""
        scene = Scene(MemoryStore())
        async with scene.running():
            configuration = await scene.configuration()
            scene.destination().fail()
            payloads = await scene.records(room_of(configuration), 3)
            assert not await self.deletion(scene, configuration)
            await scene.settle()
        scene.destination().failure = None
        async with scene.running():
            assert not await scene.log.finish(configuration.arn)
            await scene.settle()
            assert scene.destination().payloads() == payloads
            assert await scene.store.logging_configurations.unfinished() == []


class TestStop:
    """The end of the service."""

    async def test_what_waits_is_delivered(self) -> None:
        """Nothing waits for its interval."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            payloads = [scene.record(room_of(configuration), number) for number in range(60)]
            await scene.log.stop(5)
            assert all(each.done() for each in payloads)
            assert scene.destination().payloads() == scene.published
            assert len(scene.published) == 60

    async def test_a_destination_that_fails_is_tried_once(self) -> None:
        """It keeps nobody waiting; of memory storage the log says what is lost."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 3)
            await scene.advance(INTERVAL + 100)
            attempts = scene.destination().attempts
            with structlog.testing.capture_logs() as lines:
                await scene.log.stop(5)
            assert scene.destination().attempts == attempts + 1
            (told,) = lines
            assert (told["log_level"], told["records"]) == ("error", 3)
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 3

    async def test_one_that_hangs_is_left(self) -> None:
        """After the given time the process goes on to its end."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 3)
            with structlog.testing.capture_logs() as lines:
                await scene.log.stop(0.01)
            assert [line["log_level"] for line in lines] == ["info", "error"]

    async def test_the_next_process_delivers(self) -> None:
        """In a takeover destinations get a part of the time, and the journal all that it needs."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            scene.destination().gate.clear()
            store.disk.gate.clear()
            waiting = scene.record(room_of(configuration), 1)
            stopping = asyncio.create_task(scene.log.stop(60, 0.01))
            done, _ = await asyncio.wait((stopping,), timeout=0.1)
            assert not done
            store.disk.gate.set()
            async with asyncio.timeout(5):
                await stopping
                await waiting
            assert await store.journal.backlogs()

    async def test_what_is_delivered_in_time(self) -> None:
        """A destination that takes what waits has all the time that it needs."""
        async with Scene(MemoryStore()).running() as scene:
            payloads = await scene.records(room_of(await scene.configuration()), 3)
            with structlog.testing.capture_logs() as lines:
                await scene.log.stop(60, 30)
            assert scene.destination().payloads() == payloads
            assert lines == []

    async def test_what_failed_is_tried_once_more(self) -> None:
        """At once, whenever it would have been tried again."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().fail()
            await scene.records(room_of(configuration), 3)
            await scene.advance(INTERVAL + 200)
            before = scene.destination().attempts
            await scene.log.stop(0.5)
            assert scene.destination().attempts == before + 1

    @pytest.mark.parametrize(("seconds", "delivering"), [(0.01, 3600.0), (3600.0, 0.01)])
    async def test_the_part_of_the_time_for_destinations(
        self, seconds: float, delivering: float
    ) -> None:
        """It ends the wait for them, and never prolongs the whole."""
        async with Scene(MemoryStore()).running() as scene:
            configuration = await scene.configuration()
            scene.destination().gate.clear()
            await scene.records(room_of(configuration), 3)
            async with asyncio.timeout(20):
                await scene.log.stop(seconds, delivering)
            assert scene.log.depths()[0].records == 3

    async def test_the_part_for_destinations_is_not_for_the_journal(self) -> None:
        """What waits for the store is appended, also when destinations have no time at all."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            store.disk.gate.clear()
            waiting = scene.record(room_of(configuration), 1)
            stopping = asyncio.create_task(scene.log.stop(20, 0.0))
            await scene.settle_briefly()
            assert not stopping.done()
            store.disk.gate.set()
            await stopping
            assert waiting.done()
            assert (await store.journal.backlogs())[configuration.arn].records == 1

    async def test_a_full_disk_is_tried_once_more(self) -> None:
        """What it does not take then is dropped, counted and told."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            store.disk.full = True
            await scene.records(room_of(configuration), 3)
            with structlog.testing.capture_logs() as lines:
                await scene.log.stop(5)
            assert sum(line["records"] for line in lines) == 3
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 3

    async def test_a_store_that_hangs(self) -> None:
        """Who waits for it is let go."""
        store = FullStore()
        async with Scene(store).running() as scene:
            configuration = await scene.configuration()
            store.disk.gate.clear()
            waiting = scene.record(room_of(configuration), 1)
            await scene.log.stop(0.01)
            async with asyncio.timeout(5):
                await waiting
                await scene.record(room_of(configuration), 2)
            assert len(scene.published) == 2
            assert value(scene, "greenroom_log_records_dropped_total", configuration) == 2
