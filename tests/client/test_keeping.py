"""How a room is kept connected, with connections of the test's own and no time that passes."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from greenroom.client import keeping
from greenroom.client.connection import Ended
from greenroom.client.entities import ChatToken, ConnectionState, DisconnectReason
from greenroom.client.keeping import Keeper

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOBODY: Any = None
"""A session that nothing is asked of."""


class Connection:
    """A double of a connection, which ends when the test says so."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.closed = False

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


class World:
    """What a keeper has around it: tokens, connections, time, and who is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Connection] = []
        self.failures: list[Exception] = []
        """What the next attempts fail with."""
        self.tokens: list[object] = []
        self.told: list[object] = []
        self.slept: list[float] = []
        sleep = asyncio.sleep

        async def asleep(seconds: float) -> None:
            if seconds:
                self.slept.append(seconds)
            await sleep(0)

        class Now(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return NOW

        monkeypatch.setattr(keeping.asyncio, "sleep", asleep)  # type: ignore[attr-defined]
        monkeypatch.setattr(keeping, "datetime", Now)
        monkeypatch.setattr("greenroom.client.connection.Connection.open", self.open)

    async def open(self, *asked: Any) -> Connection:
        """Open a connection, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.opened.append(Connection(asked[2]))
        return self.opened[-1]

    async def provide(self) -> object:
        """Return the next token."""
        token = self.tokens.pop(0) if self.tokens else "token"
        if isinstance(token, Exception):
            raise token
        return token

    def keeper(self, attempts: int | None = 2) -> Keeper:
        """Return a keeper that waits ten seconds more before each attempt."""
        return Keeper(
            lambda: "ws://here",
            self.provide,
            attempts=attempts,
            delay=lambda attempt: attempt * 10.0,
            ssl=True,
            received=lambda _: None,
            changed=self.told.append,
            broke=lambda: self.told.append("broke"),
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world in which time stands still."""
    return World(monkeypatch)


async def until(holds: Callable[[], object]) -> None:
    """Let everybody go on until something holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come about")


def ending(seconds: float) -> ChatToken:
    """Return a token whose session ends so soon."""
    return ChatToken("ending", NOW + timedelta(seconds=seconds))


async def test_attempts_wait_and_are_bounded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Each waits longer, is written, and the last one's reason is the room's."""
    world.failures = [OSError("one"), TimeoutError("two")]
    world.tokens = ["token", "token", RuntimeError("three")]
    keeper = world.keeper()
    with caplog.at_level(logging.INFO):
        reason = await keeper.stay_connected(NOBODY)
    assert reason is DisconnectReason.FETCH_TOKEN_ERROR
    assert str(keeper.failure) == "three"
    assert world.slept == [10.0, 20.0]
    assert world.told == [ConnectionState.CONNECTING]
    assert [record.getMessage() for record in caplog.records] == [
        "attempt 1 to connect failed: socketError",
        "attempt 2 to connect failed: socketError",
    ]


async def test_attempts_without_a_bound(world: World) -> None:
    """They go on until one succeeds; the next connection has attempts anew."""
    world.failures = [OSError()] * 50
    keeping_on = asyncio.create_task((keeper := world.keeper(None)).stay_connected(NOBODY))
    await until(lambda: world.opened)
    assert world.slept == [10.0 * number for number in range(1, 51)]
    assert keeper.failure is None
    await until(lambda: world.told[-1] is ConnectionState.CONNECTED)
    world.failures = [OSError()]
    world.opened[0].ended.set_result(Ended.BROKEN)
    await until(lambda: len(world.opened) == 2)
    assert world.slept[50:] == [10.0]
    world.opened[1].ended.set_result(Ended.CLOSED)
    assert await keeping_on is DisconnectReason.SERVER_DISCONNECT
    assert keeper.current is None
    assert world.told == [ConnectionState.CONNECTING, ConnectionState.CONNECTED, "broke"] * 2


@pytest.mark.parametrize(
    ("token", "words"),
    [(ChatToken("lasting"), ""), (ending(0), "clock is ahead"), (ending(-5), "clock is ahead")],
    ids=["no end", "ends now", "has ended"],
)
async def test_sessions_that_are_not_replaced(
    world: World, caplog: pytest.LogCaptureFixture, token: ChatToken, words: str
) -> None:
    """Of which nobody knows the end, and what has ended when it comes: the log says why."""
    later = asyncio.create_task(world.keeper()._open_later(NOBODY, token))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not later.done()
    later.cancel()
    assert world.opened == []
    assert world.slept == []
    assert words in caplog.text
    assert bool(caplog.text) is bool(words)


@pytest.mark.parametrize(("seconds", "waits"), [(3600, 3540), (0.5, 1.0), (1, 1.0)])
async def test_sessions_that_are_replaced(world: World, seconds: float, waits: float) -> None:
    """In time, and again and again while that fails; each attempt waits longer."""
    world.failures = [OSError(), OSError()]
    world.tokens = [RuntimeError()]
    connection, token = await world.keeper()._open_later(NOBODY, ending(seconds))
    opened: list[Any] = [*world.opened]
    assert opened == [connection]
    assert token == ChatToken("token")
    assert world.slept == [waits, 10.0, 20.0, 30.0]


async def test_a_replacement_that_is_not_needed_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a connection that ends nobody opens the next one later."""
    waiting: list[str] = []

    async def later(*_: object) -> Any:
        waiting.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            waiting.append("ended")

    keeper = world.keeper()
    monkeypatch.setattr(keeper, "_open_later", later)
    connection: Any = Connection("token")
    fresh = asyncio.create_task(keeper._keep_fresh(NOBODY, connection, ending(60)))
    await until(lambda: waiting)
    connection.ended.set_result(Ended.BROKEN)
    assert await fresh is Ended.BROKEN
    await until(lambda: waiting == ["begun", "ended"])


async def test_a_connection_that_is_replaced_is_closed(world: World) -> None:
    """Each in its turn, and nothing is remembered of it."""
    world.tokens = [ending(120), ending(120), "lasting"]
    keeper = world.keeper()
    room = asyncio.create_task(keeper.stay_connected(NOBODY))
    await until(lambda: len(world.opened) == 3)
    first, second, last = world.opened
    await until(lambda: first.closed and second.closed and not keeper._closing)
    current: Any = keeper.current
    assert current is last
    assert [each.token for each in world.opened] == ["ending", "ending", "lasting"]
    await keeper.close()
    assert last.closed
    await until(lambda: keeper.current is None and not keeper._closing)
    room.cancel()
