"""Settings and restrictions over two nodes with moderators who race, against a model of both.

Whatever two nodes do at once, what they hear late or never, and when time passes: in the store the
later change wins by its version and none is lost, and a node that has heard everything enforces
exactly what the model says.

Covers: greenroom.chat.restrictions, greenroom.chat.settings
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.bus.base import ControlEnvelope, E, Renew
from greenroom.bus.memory import MemoryBus
from greenroom.bus.receivers import Receivers
from greenroom.chat.chat import Chat
from greenroom.chat.moderation import Asked, Moderation
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings
from greenroom.model.arn import Arn
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.restriction import RESTRICTIONS, Kind, Restriction
from greenroom.model.room_settings import Override, Value, of_tags, settings_of
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.values import PLENTY, a_room

NODES = st.sampled_from([0, 1])
SECONDS = st.sampled_from([0, 0, 1, 5])
USERS = st.sampled_from(["bob", "eve"])
KINDS = st.sampled_from(RESTRICTIONS)
CHANGES = st.sampled_from(
    [("frozen", True), ("frozen", False), ("slowModeSeconds", 5), ("slowModeSeconds", 9)]
)
TAGS = {"greenroom:slow-mode-seconds": "3"}


class LateControl:
    """Tells a node what all nodes broadcast when the test says so, or that it missed some."""

    def __init__(self, nodes: list["Node"]) -> None:
        self._nodes = nodes
        self._receivers = Receivers()
        self._resets: list[Renew] = []
        self.waiting: list[ControlEnvelope] = []

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        self._receivers.on(kind, receiver)

    def on_reset(self, receiver: Renew) -> None:
        self._resets.append(receiver)

    def broadcast(self, envelope: ControlEnvelope) -> None:
        for node in self._nodes:
            node.control.waiting.append(envelope)

    def hear(self) -> None:
        """Tell what waits."""
        waiting, self.waiting = self.waiting, []
        for envelope in waiting:
            self._receivers.tell(envelope)

    def miss(self) -> None:
        """Lose what waits, and know that something was lost."""
        self.waiting.clear()
        for receiver in self._resets:
            receiver()


class Node:
    """A node on the store that both share."""

    def __init__(self, nodes: list["Node"], store: MemoryStore, time: HandClock) -> None:
        self.control = LateControl(nodes)
        tasks = LooseTasks()
        self.rooms = RoomsCache(store.rooms, self.control, tasks)
        self.restrictions = Restrictions(store.restrictions, self.control, time.clock, tasks)
        chat = Chat(
            self.rooms,
            MemoryBus(),
            Quotas(RateProfile.OFF),
            time.clock,
            restrictions=self.restrictions,
        )
        self.settings = Settings(chat, self.rooms, store.rooms, self.control, time.clock)
        self.moderation = Moderation(chat, self.restrictions, time.clock)


class TwoNodes(RuleBasedStateMachine):
    """Two nodes, and the model: what is set by name, and what holds by user and kind."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.time, self.store = HandClock(), MemoryStore()
        self.nodes: list[Node] = []
        self.nodes += [Node(self.nodes, self.store, self.time) for _ in range(2)]
        self.arn: Arn = self.run(self.store.rooms.create(a_room(), PLENTY)).arn
        self.run(self.store.tags.add(self.arn, TAGS, 50))
        self.set: dict[str, Override] = {}
        self.version = 0
        self.noted: list[tuple[int, str, Value | None, int, str]] = []
        self.held: dict[tuple[str, Kind], Restriction] = {}

    def teardown(self) -> None:
        self.runner.close()

    def run(self, doing: Awaitable[Any]) -> Any:
        """Do something, and all that follows from it."""

        async def whole() -> Any:
            result = await doing
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
            return result

        return self.runner.run(whole())

    async def change(self, node: int, name: str, value: Value | None, seconds: int) -> None:
        """Set or reset on a node, and note in the model in the order of the versions."""
        values, reset = ({}, (name,)) if value is None else ({name: value}, ())
        room = await self.nodes[node].settings.change(
            str(self.arn), values, reset, seconds, f"n{node}"
        )
        self.noted.append((room.overrides.version, name, value, seconds, f"n{node}"))

    def note(self) -> None:
        """Have the model know what was done."""
        now = self.time.clock.now_ms()
        for version, name, value, seconds, by in sorted(self.noted):
            self.version += 1
            assert version == self.version
            self.set = {
                each: override
                for each, override in self.set.items()
                if not override.expires or now < override.expires
            }
            self.set.pop(name, None)
            if value is not None:
                expires = now + seconds * 1000 if seconds else 0
                self.set[name] = Override(value, by, expires)
        self.noted.clear()

    @rule(node=NODES, change=CHANGES, seconds=SECONDS)
    def sets(self, node: int, change: tuple[str, Value], seconds: int) -> None:
        self.run(self.change(node, *change, seconds))
        self.note()

    @rule(node=NODES, change=CHANGES)
    def resets(self, node: int, change: tuple[str, Value]) -> None:
        self.run(self.change(node, change[0], None, 0))
        self.note()

    @rule(first=CHANGES, second=CHANGES, seconds=SECONDS)
    def both_set(self, first: tuple[str, Value], second: tuple[str, Value], seconds: int) -> None:
        async def both() -> None:
            await asyncio.gather(self.change(0, *first, seconds), self.change(1, *second, seconds))

        self.run(both())
        self.note()

    @rule(node=NODES, user=USERS, kind=KINDS, seconds=SECONDS, lifts=st.booleans())
    def restricts(self, node: int, user: str, kind: Kind, seconds: int, *, lifts: bool) -> None:
        self.run(self.restrict(node, user, kind, seconds, lifts=lifts))

    @rule(user=USERS, kind=KINDS, seconds=SECONDS, lifts=st.booleans())
    def both_restrict(self, user: str, kind: Kind, seconds: int, *, lifts: bool) -> None:
        async def both() -> None:
            await asyncio.gather(
                self.restrict(0, user, kind, seconds, lifts=lifts),
                self.restrict(1, user, kind, 0, lifts=not lifts),
            )

        self.run(both())

    async def restrict(
        self, node: int, user: str, kind: Kind, seconds: int, *, lifts: bool
    ) -> None:
        """Restrict a user on a node or end that; of several the latest version counts."""
        asked = Asked(
            account=self.arn.account,
            room=self.arn,
            user_id=user,
            kind=kind,
            by=f"n{node}",
            seconds=seconds,
        )
        moderation = self.nodes[node].moderation
        entry = await (moderation.lift(asked) if lifts else moderation.restrict(asked))
        known = self.held.get((user, kind))
        if known is None or known.version < entry.version:
            self.held[user, kind] = entry

    @rule(node=NODES)
    def hears(self, node: int) -> None:
        async def hear() -> None:
            self.nodes[node].control.hear()

        self.run(hear())

    @rule(node=NODES)
    def misses(self, node: int) -> None:
        async def miss() -> None:
            self.nodes[node].control.miss()

        self.run(miss())

    @rule(seconds=st.sampled_from([0.001, 0.999, 1, 4]))
    def time_passes(self, seconds: float) -> None:
        self.time.advance(seconds)

    @invariant()
    def nothing_is_lost_in_the_store(self) -> None:
        """What is set there is what the model says, and as often."""
        overrides = self.run(self.store.rooms.get(self.arn)).overrides
        now = self.time.clock.now_ms()
        assert overrides.version == self.version
        assert overrides.at(now) == {
            name: each for name, each in self.set.items() if not each.expires or now < each.expires
        }

    @invariant()
    def who_has_heard_enforces_it(self) -> None:
        """A node to which nothing is to come holds what the model says, and nothing else."""
        for node in self.nodes:
            if not node.control.waiting:
                self.assert_enforces(node)

    def assert_enforces(self, node: Node) -> None:
        """Check the settings and each user's restrictions on a node."""
        now = self.time.clock.now_ms()
        values = dict(of_tags(TAGS)) | {
            name: each.value
            for name, each in self.set.items()
            if not each.expires or now < each.expires
        }
        room = self.run(node.rooms.get(str(self.arn)))
        assert node.settings.in_force(room) == settings_of(values)
        for user in ("bob", "eve"):
            expected = {
                kind: each
                for (name, kind), each in self.held.items()
                if name == user and each.holds(now)
            }
            found = node.restrictions.held(str(self.arn), self.arn.account, user)
            assert dict(found) == expected


TwoNodes.TestCase.settings = settings(
    max_examples=60, deadline=None, derandomize=True, database=None
)
TestTwoNodes = TwoNodes.TestCase
