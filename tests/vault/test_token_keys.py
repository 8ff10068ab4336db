import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import ControlEnvelope, E, Renew
from greenroom.model.errors import ValidationException
from greenroom.storage.base import StorageUnavailable, Store
from greenroom.storage.memory.store import MemoryStore
from greenroom.tokens.key_ring import CHAT_PURPOSE, MAXIMUM_KEYS, TokenForeign
from greenroom.vault import token_keys
from greenroom.vault.sealing import Sealer
from greenroom.vault.token_keys import TokenKeys
from greenroom.vault.vault import Vault
from tests.stand_ins.hand_clock import HandClock


class Wire:
    """The control port between nodes; it carries only when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[ControlEnvelope] = []
        self.receivers: list[Callable[[Any], None]] = []
        self.resets: list[Renew] = []

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        self.receivers.append(receiver)

    def on_reset(self, receiver: Renew) -> None:
        self.resets.append(receiver)

    def broadcast(self, envelope: ControlEnvelope) -> None:
        self.waiting.append(envelope)


class Node:
    """One process: its keys, and which connections its hub was told to end."""

    def __init__(self, keys: TokenKeys) -> None:
        self.keys = keys
        self.ended: list[tuple[str, bool]] = []
        """Ids of killed keys, and whether the key was refused by then."""
        keys.when_killed(self.end)

    def end(self, key_id: str) -> None:
        """Do as the hub does."""
        self.ended.append((key_id, all(info.id != key_id for info in self.keys.describe())))

    def seal(self) -> str:
        """Return a token."""
        return self.keys.ring.seal(CHAT_PURPOSE, b"x", bytes(12))

    def opens(self, token: str) -> bool:
        """Return whether a token is good here."""
        try:
            return self.keys.ring.open(CHAT_PURPOSE, token) == b"x"
        except TokenForeign:
            return False


class Cluster:
    """Two nodes on one store."""

    def __init__(self, store: Store, wire: Wire, nodes: list[Node]) -> None:
        self.store = store
        self.wire = wire
        self.first, self.second = nodes

    async def renew(self) -> None:
        """Have every node forget what may be out of date, and wait until it was read again."""
        for reset in self.wire.resets:
            reading = reset()
            if reading is not None:
                await reading

    async def carry(self) -> None:
        """Deliver what waits to every node, and let them work."""
        waiting, self.wire.waiting = self.wire.waiting, []
        for envelope in waiting:
            for receive in self.wire.receivers:
                receive(envelope)
        for _ in range(5):
            await asyncio.sleep(0)


def key_of(node: Node, token: str) -> str:
    """Return which key sealed a token."""
    return node.keys.ring.open_with_key(CHAT_PURPOSE, token)[1]


async def until_refused(node: Node, token: str) -> None:
    """Return when a token is no longer good on a node."""
    for _ in range(5_000):
        if not node.opens(token):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the token stays good")


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Give two nodes that started one after the other."""
    store, wire, clock = MemoryStore(), Wire(), HandClock().clock
    vault = Vault(store.secrets, Sealer(bytes(32)))
    async with asyncio.TaskGroup() as tasks:
        nodes = [Node(await TokenKeys.open(vault, wire, clock, tasks)) for _ in range(2)]
        yield Cluster(store, wire, nodes)
        for node in nodes:
            node.keys.close()


async def test_nodes_share_one_ring() -> None:
    """What one node seals the other opens, from the first start on."""
    async with cluster() as made:
        assert made.second.opens(made.first.seal())


async def test_a_rotation_reaches_every_node() -> None:
    """The new key seals everywhere, and the old tokens stay good."""
    async with cluster() as made:
        old = made.first.seal()
        key_id = await made.first.keys.rotate()
        await made.carry()
        for node in (made.first, made.second):
            assert node.keys.describe()[0].id == key_id
            assert key_of(node, node.seal()) == key_id
            assert node.opens(old)
            assert node.opens(made.first.seal())


async def test_a_killed_key_is_gone_everywhere() -> None:
    """The current key is replaced first; what it sealed is refused by every node."""
    async with cluster() as made:
        old = made.first.seal()
        killed = made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        assert not made.first.opens(old)
        await made.carry()
        assert not made.second.opens(old)
        assert made.second.opens(made.first.seal())
        assert made.first.ended == [(killed, True), (killed, True)]
        assert made.second.ended == [(killed, False), (killed, True)]
        with pytest.raises(ValidationException, match="no token key"):
            await made.second.keys.kill(killed)


async def test_the_current_one_of_several_keys_is_killed() -> None:
    """Another one takes its place, and the older ones stay."""
    async with cluster() as made:
        old, killed = made.first.seal(), await made.first.keys.rotate()
        await made.first.keys.kill(killed)
        current, *others = (info.id for info in made.first.keys.describe())
        assert others == [key_of(made.first, old)]
        assert killed not in (current, *others)


async def test_a_token_that_comes_before_the_news_of_its_key() -> None:
    """A node that is asked to reads the keys, and the token is good; so is a killed key gone."""
    async with cluster() as made:
        old, killed = made.first.seal(), made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        token = made.first.seal()
        assert not made.second.opens(token)
        await made.second.keys.read_again()
        assert made.second.opens(token)
        assert not made.second.opens(old)
        assert made.second.ended == [(killed, True)]


async def test_forged_keys_have_the_store_read_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One reading is under way, however many ask, and the next one waits for its time.

    Who comes while it is under way may have a newer key: he is answered by the next.
    """
    monkeypatch.setattr(token_keys, "UNKNOWN_SECONDS", 0.05)
    async with cluster() as made:
        keep, begun = made.store.secrets.keep, list[float]()
        reads, gate = asyncio.Event(), asyncio.Event()

        async def slowly(name: str, candidate: bytes) -> bytes:
            begun.append(asyncio.get_running_loop().time())
            kept = await keep(name, candidate)
            reads.set()
            await gate.wait()
            return kept

        monkeypatch.setattr(made.store.secrets, "keep", slowly)

        def ask() -> "asyncio.Future[list[None]]":
            return asyncio.gather(*(made.second.keys.read_again() for _ in range(100)))

        first = ask()
        await asyncio.wait_for(reads.wait(), 10)
        await made.first.keys.rotate()
        second = ask()
        token = made.first.seal()
        await asyncio.sleep(0.1)
        assert (len(begun), first.done(), second.done()) == (1, False, False)
        gate.set()
        await first
        assert not made.second.opens(token)
        await second
        assert made.second.opens(token)
        third = ask()
        await third
        assert len(begun) == 3
        assert begun[2] - begun[1] >= token_keys.UNKNOWN_SECONDS


async def test_nobody_can_say_whether_there_is_such_a_key() -> None:
    """Whoever asks is told; when the node ends, who waits for his turn is let go."""
    async with cluster() as made:
        await made.store.close()
        asked = [made.second.keys.read_again() for _ in range(2)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in outcomes] == [StorageUnavailable] * 2
        waiting = asyncio.ensure_future(made.second.keys.read_again())
        for _ in range(3):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_too_many_keys() -> None:
    """A rotation is refused while all keys that the ring may have are still needed."""
    async with cluster() as made:
        for _ in range(MAXIMUM_KEYS - 1):
            await made.first.keys.rotate()
        before = made.first.keys.describe()
        with pytest.raises(ValidationException, match="Too many token keys"):
            await made.first.keys.rotate()
        assert made.first.keys.describe() == before
        assert len(before) == MAXIMUM_KEYS


async def test_a_retired_key_is_gone_before_the_store_is_read() -> None:
    """A node that hears of it refuses at once."""
    async with cluster() as made:
        old, killed = made.first.seal(), made.first.keys.describe()[0].id
        await made.first.keys.rotate()
        await made.carry()
        await made.first.keys.kill(killed)
        (envelope,) = made.wire.waiting
        made.wire.receivers[1](envelope)
        assert not made.second.opens(old)
        assert made.second.ended == [(killed, True)]


async def test_a_missed_change_is_made_up_for() -> None:
    """A node that may have missed something reads the store, and ends what a killed key let in."""
    async with cluster() as made:
        old = made.first.seal()
        await made.first.keys.rotate()
        await made.carry()
        killed, current = key_of(made.first, old), made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        assert [each.id for each in made.first.keys.describe()] == [current]
        made.wire.waiting.clear()
        with capture_logs() as logs:
            await made.renew()
        assert logs == [], "what could be read is no news"
        assert not made.second.opens(old)
        assert made.second.opens(made.first.seal())
        assert made.second.ended == [(killed, True)]
        await made.renew()
        assert len(made.second.ended) == 1


async def test_changes_at_the_same_time_all_hold() -> None:
    """Rotations of two nodes at once leave both keys in the ring of both."""
    async with cluster() as made:
        ids = await asyncio.gather(made.first.keys.rotate(), made.second.keys.rotate())
        await made.carry()
        for node in (made.first, made.second):
            assert set(ids) < {info.id for info in node.keys.describe()}
        assert made.first.keys.describe() == made.second.keys.describe()


async def test_a_change_that_is_not_kept_did_not_happen() -> None:
    """Nothing is sealed with a key that the store does not have, and nobody is told."""
    async with cluster() as made:
        before = made.first.keys.describe()
        await made.store.close()
        for change in (made.first.keys.rotate(), made.first.keys.kill(before[0].id)):
            with pytest.raises(StorageUnavailable):
                await change
        assert made.first.keys.describe() == before
        assert not made.wire.waiting


async def test_a_change_that_cannot_be_read() -> None:
    """What the killed key has let in is ended all the same; the log says that it was not read."""
    async with cluster() as made:
        killed = made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        before = made.second.keys.describe()
        await made.store.close()
        with capture_logs() as logs:
            await made.carry()
        assert made.second.keys.describe() == before
        assert made.second.ended == [(killed, False), (killed, False)]
    assert {(line["event"], line["error"]) for line in logs} == {
        ("token keys not read", "StorageUnavailable")
    }


@pytest.mark.parametrize("told", [True, False], ids=["told", "reset"])
async def test_a_store_that_is_away_for_a_while(
    told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The killed key is refused as soon as the store can be read, though nobody says it again."""
    monkeypatch.setattr(token_keys, "RETRY_SECONDS", 0.001)
    async with cluster() as made:
        old, killed = made.first.seal(), made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        get, away = made.store.secrets.keep, True

        async def keep(name: str, candidate: bytes) -> bytes:
            if away:
                raise StorageUnavailable("The store cannot answer now")
            return await get(name, candidate)

        monkeypatch.setattr(made.store.secrets, "keep", keep)
        if told:
            await made.carry()
        else:
            await made.renew()
        assert made.second.opens(old)
        away = False
        with capture_logs() as logs:
            await until_refused(made.second, old)
            await asyncio.sleep(0.01)
        assert 1 <= len(logs) <= 2, "each of the nodes says once that it was read at last"
        assert made.second.ended[-1] == (killed, True)


async def test_a_store_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who renews all and waits for it no longer ends nothing: the keys are read all the same."""
    async with cluster() as made:
        old, killed = made.first.seal(), made.first.keys.describe()[0].id
        await made.first.keys.kill(killed)
        get, gate = made.store.secrets.keep, asyncio.Event()

        async def keep(name: str, candidate: bytes) -> bytes:
            await gate.wait()
            return await get(name, candidate)

        monkeypatch.setattr(made.store.secrets, "keep", keep)
        reading = made.wire.resets[1]()
        assert reading is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reading, 0.01)
        gate.set()
        await until_refused(made.second, old)
