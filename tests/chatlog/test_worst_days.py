"""Any sequence of failures, crashes and changes: each record reaches each of its configurations."""

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.chatlog.base import FailureKind
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationChange,
    State,
)
from greenroom.storage.sqlite.store import SqliteStore
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.scene import INTERVAL, Kept, Scene, room_of
from tests.stand_ins.values import NOW

CONFIGURATIONS = 2

Step = tuple[str, int]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 8)),
        st.tuples(st.just("advance"), st.integers(1, 100)),
        st.tuples(st.just("fail"), st.integers(0, len(FailureKind) - 1)),
        st.tuples(st.just("fail after keeping"), st.just(0)),
        st.tuples(st.just("work"), st.just(0)),
        st.tuples(st.just("attach"), st.integers(1, 2**CONFIGURATIONS - 1)),
        st.tuples(st.just("move"), st.integers(0, CONFIGURATIONS - 1)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=25,
)


class Days(Scene):
    """A scene on a disk. All configurations share one destination, which tells them apart."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.kept = Kept()
        self.configurations: list[LoggingConfiguration] = []
        self.attached: list[LoggingConfiguration] = []
        self.accepted = 0
        self.wanted: dict[str, list[bytes]] = defaultdict(list)

    def destination(self, name: str = "bucket") -> Kept:
        """Return the one destination."""
        return self.kept

    async def begin(self) -> None:
        """Create the configurations, all attached."""
        self.configurations = [await self.configuration() for _ in range(CONFIGURATIONS)]
        self.attached = self.configurations

    async def act(self, name: str, value: int) -> None:
        """Take a step that needs no other process."""
        if name == "record":
            for _ in range(value):
                self.accept()
        elif name == "advance":
            await self.advance(value, steps=3)
        elif name == "fail":
            self.kept.fail(list(FailureKind)[value])
            self.kept.fails_after_keeping = False
        elif name == "fail after keeping":
            self.kept.fail()
            self.kept.fails_after_keeping = True
        elif name == "work":
            self.kept.failure = None
        elif name == "attach":
            self.attached = [
                each for bit, each in enumerate(self.configurations) if value >> bit & 1
            ]
        elif name == "move":
            await self.move(self.configurations[value])

    def accept(self) -> None:
        """Accept a frame; what of it is published must be on record."""
        self.accepted += 1
        payload = b'{"Type":"MESSAGE","Id":"%06d"}' % self.accepted
        attached = list(self.attached)

        def publish() -> None:
            self.published.append(payload)
            for configuration in attached:
                self.wanted[str(configuration.arn)].append(payload)

        self.time.advance(0.001)
        room = room_of(*attached)
        identifiers = room.logging_configuration_identifiers
        _ = self.log.record(room.arn, identifiers, payload, self.time.wall_ns, publish)

    async def move(self, configuration: LoggingConfiguration) -> None:
        """Update a configuration, as UpdateLoggingConfiguration does."""
        destination = DestinationConfiguration(DestinationKind.S3, f"bucket-{self.accepted}")
        change = LoggingConfigurationChange(destination=destination)
        arn = configuration.arn
        await self.store.logging_configurations.update(arn, change, State.UPDATING, NOW)
        await self.store.logging_configurations.move(arn, State.UPDATING, State.ACTIVE, NOW)
        self.log.changed(arn)

    async def end(self) -> None:
        """Let everything be delivered."""
        self.kept.failure = None
        for _ in range(50):
            await self.advance(INTERVAL + 60, steps=3)
            if not await self.store.journal.backlogs():
                return
        raise AssertionError("the journal does not run empty")

    def check(self) -> None:
        """See that each configuration has its records once, in order, none missing or foreign."""
        for configuration in self.configurations:
            kept = self.kept.payloads(configuration)
            wanted = self.wanted[str(configuration.arn)]
            assert kept == sorted(set(kept))
            assert set(wanted) <= set(kept)
            # A frame may be on record whose process died before it was published.
            assert not (set(kept) - set(wanted)) & set(self.published)
        assert self.published == sorted(set(self.published))


@asynccontextmanager
async def days(directory: Path) -> AsyncIterator[Days]:
    """Give a scene whose store is closed in the end."""
    scene = Days(await hasty_store(directory))
    try:
        yield scene
    finally:
        await scene.store.close()


@settings(max_examples=150)
@given(steps)
async def test_each_record_arrives_once(taken: list[Step]) -> None:
    """What anybody saw is in the destination of each configuration of its room, exactly once."""
    with tempfile.TemporaryDirectory() as directory:
        async with days(Path(directory)) as scene:
            await scene.begin()
            rest = list(taken)
            while rest:
                async with scene.running():
                    while rest and (step := rest.pop(0))[0] != "crash":
                        await scene.act(*step)
                await scene.store.close()
                scene.store = await hasty_store(Path(directory))
            async with scene.running():
                await scene.end()
            scene.check()
            states = [await scene.state_of(each) for each in scene.configurations]
            assert states == [State.ACTIVE] * CONFIGURATIONS
