"""Who is known: what is remembered, what is forgotten, what is noted."""

import asyncio
from collections.abc import Callable
from unittest.mock import create_autospec

import pytest

from greenroom.bus.base import IdentitiesChanged
from greenroom.bus.memory import MemoryBus
from greenroom.identities.callers import (
    INVALID,
    KNOWN_SECONDS,
    Caller,
    Callers,
    RootKey,
    root_principal,
)
from greenroom.model.errors import ExpiredTokenException, UnrecognizedClientException
from greenroom.model.identity import LastUsed, SessionClaims
from greenroom.model.principal import AccessRequest, Outcome
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.hand_clock import START_MS, HandClock

ACCOUNT = "123456789012"
KEY = RootKey("AKIA1", "very-secret", ACCOUNT)


def _nothing() -> None:
    """Do nothing."""


class Store:
    """Counts how often it is asked, and knows the keys that begin with AKIA."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.during: Callable[[], None] = _nothing
        self.claims: SessionClaims | None = None

    async def resolve(self, access_key_id: str, session_token: str | None) -> Caller:
        """Return a caller, or say that there is none."""
        self.asked.append(access_key_id)
        self.during()
        if not access_key_id.startswith(("AKIA", "ASIA")):
            raise UnrecognizedClientException(INVALID)
        return Caller(
            access_key_id=access_key_id,
            secret_access_key="very-secret",
            principal=root_principal(ACCOUNT),
            notes_use=session_token is None,
            session=self.claims,
        )


@pytest.fixture
def store() -> Store:
    """Give a store."""
    return Store()


@pytest.fixture
def time() -> HandClock:
    """Give a clock."""
    return HandClock()


@pytest.fixture
def callers(store: Store, time: HandClock) -> Callers:
    """Give the callers of a root's key and of what the store knows."""
    return Callers(KEY, resolve=store.resolve, clock=time.clock)


async def test_the_roots_key_is_known_without_the_store(callers: Callers, store: Store) -> None:
    """The root's key is found by its whole id."""
    caller = await callers.find("AKIA1", None)
    assert (caller.secret_access_key, caller.account) == ("very-secret", ACCOUNT)
    assert caller.principal.is_root
    assert caller.principal.arn == f"arn:aws:iam::{ACCOUNT}:root"
    assert store.asked == []


def test_a_root_may_do_everything() -> None:
    """Nothing is denied to it, nothing narrows it, and no tags need to be read for it."""
    root = root_principal(ACCOUNT)
    decision = root.permissions.decide(AccessRequest("iam:DeleteUser", "*", {}))
    assert (decision.outcome, root.is_root) == (Outcome.ALLOW, True)
    assert not root.permissions.uses_resource_tags("ivschat:DeleteRoom")
    assert not root.permissions.is_narrowed


async def test_alone_a_root_has_no_other_keys() -> None:
    """Without a store all other keys are unknown, and so is the key with a session token."""
    alone = Callers(KEY)
    for key_id, token in (("AKIA", None), ("akia1", None), ("AKIA1", "t"), ("AKIA1", "")):
        with pytest.raises(UnrecognizedClientException) as refused:
            await alone.find(key_id, token)
        assert "AKIA" not in refused.value.message


async def test_callers_are_asked_for_once_a_minute(
    callers: Callers, store: Store, time: HandClock
) -> None:
    """A caller is remembered for a time, also one that there is not."""
    for _ in range(3):
        await callers.find("AKIA2", None)
        with pytest.raises(UnrecognizedClientException):
            await callers.find("nobody", None)
    time.advance(KNOWN_SECONDS)
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    assert store.asked == ["AKIA2", "nobody"]
    time.advance(1)
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    assert store.asked == ["AKIA2", "nobody", "AKIA2", "nobody"]


async def test_a_change_is_seen_at_once(callers: Callers, store: Store) -> None:
    """What is known of an account is forgotten, and the keys that were not known."""
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    callers.forget("210987654321")
    await callers.find("AKIA2", None)
    assert store.asked == ["AKIA2", "nobody"]
    callers.forget(ACCOUNT)
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    assert store.asked == ["AKIA2", "nobody", "AKIA2", "nobody"]


async def test_the_bus_says_what_to_forget(store: Store) -> None:
    """The account that has changed; everything when something may have been missed."""
    bus = create_autospec(MemoryBus, instance=True)
    callers = Callers(KEY, resolve=store.resolve, control=bus)
    ((kind, hear),) = [call.args for call in bus.on.mock_calls]
    ((reset,),) = [call.args for call in bus.on_reset.mock_calls]
    await callers.find("AKIA2", None)
    assert kind is IdentitiesChanged
    hear(IdentitiesChanged("210987654321"))
    assert len(callers) == 1
    hear(IdentitiesChanged(ACCOUNT))
    assert len(callers) == 0
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    assert len(callers) == 2
    reset()
    assert len(callers) == 0


@pytest.mark.parametrize("everything", [False, True])
async def test_what_was_asked_before_a_change_is_not_remembered(
    callers: Callers, store: Store, everything: bool
) -> None:
    """An answer that is under way when the account changes is used once only."""
    store.during = lambda: callers.forget_all() if everything else callers.forget(ACCOUNT)
    await callers.find("AKIA2", None)
    with pytest.raises(UnrecognizedClientException):
        await callers.find("nobody", None)
    assert len(callers) == 0


async def test_memories_are_bounded(
    callers: Callers, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound the oldest goes; unknown keys never push out known ones."""
    monkeypatch.setattr("greenroom.identities.callers.MAXIMUM_KNOWN", 3)
    for number in range(5):
        await callers.find(f"AKIA{number}0", None)
        with pytest.raises(UnrecognizedClientException):
            await callers.find(f"nobody{number}", None)
    assert len(callers) == 6
    assert callers.evicted == {"callers": 2, "unknown_keys": 2, "key_uses": 0}
    store.asked.clear()
    await callers.find("AKIA40", None)
    await callers.find("AKIA00", None)
    assert store.asked == ["AKIA00"]


async def test_who_is_asked_for_again_is_not_the_oldest(
    callers: Callers, store: Store, time: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is renewed pushes nobody out, and is the newest then: the one before it goes first."""
    monkeypatch.setattr("greenroom.identities.callers.MAXIMUM_KNOWN", 2)
    for name in ("AKIA2", "AKIA3"):
        await callers.find(name, None)
    time.advance(KNOWN_SECONDS + 1)
    for name in ("AKIA3", "AKIA2"):
        await callers.find(name, None)
    assert callers.evicted["callers"] == 0
    await callers.find("AKIA4", None)
    store.asked.clear()
    await callers.find("AKIA2", None)
    assert store.asked == []


async def test_foreign_tokens_are_not_remembered(callers: Callers) -> None:
    """Who makes up session tokens fills no memory."""
    for number in range(5):
        with pytest.raises(UnrecognizedClientException):
            await callers.find("nobody", f"token{number}")
    assert len(callers) == 0


async def test_temporary_credentials_expire_in_memory_too(
    callers: Callers, store: Store, time: HandClock
) -> None:
    """A session that is remembered ends at its time, not later."""
    store.claims = SessionClaims(
        access_key_id="ASIA1",
        secret_access_key="s",
        account=ACCOUNT,
        issued=START_MS,
        expires=START_MS + 10_000,
    )
    await callers.find("ASIA1", "token")
    time.advance(9.9)
    await callers.find("ASIA1", "token")
    time.advance(0.1)
    with pytest.raises(ExpiredTokenException) as refused:
        await callers.find("ASIA1", "token")
    assert refused.value.status == 403


async def test_uses_are_written_together(callers: Callers, time: HandClock) -> None:
    """Only the last use of each key is written; the root's and sessions' are not noted."""
    written: list[dict[str, LastUsed]] = []

    async def record(uses: dict[str, LastUsed]) -> None:
        written.append(uses)

    for key_id, token in (("AKIA1", None), ("AKIA2", None), ("ASIA1", "t")):
        callers.note_use(await callers.find(key_id, token), "ivschat", "eu-west-1")
    time.advance(1)
    callers.note_use(await callers.find("AKIA2", None), "ivschat", "us-east-1")
    await callers.write_last_used(record)
    await callers.write_last_used(record)
    assert written == [{"AKIA2": LastUsed(START_MS + 1000, "ivschat", "us-east-1")}]


async def test_uses_that_the_store_refused_are_kept(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed write loses nothing; at the bound further keys are passed over."""
    monkeypatch.setattr("greenroom.identities.callers.MAXIMUM_KNOWN", 1)

    async def refuse(uses: dict[str, LastUsed]) -> None:
        raise StorageUnavailable("now not")

    written: list[tuple[str, str]] = []

    async def record(uses: dict[str, LastUsed]) -> None:
        written.extend((key_id, use.service) for key_id, use in uses.items())

    for key_id in ("AKIA2", "AKIA3"):
        callers.note_use(await callers.find(key_id, None), "ivschat", "r")
    callers.note_use(await callers.find("AKIA2", None), "iam", "r")
    assert callers.evicted["key_uses"] == 1
    with pytest.raises(StorageUnavailable):
        await callers.write_last_used(refuse)
    await callers.write_last_used(record)
    assert written == [("AKIA2", "iam")]


async def test_uses_whose_write_is_cancelled_are_kept(callers: Callers, time: HandClock) -> None:
    """The service ends while it writes: the last write has all; a later use of a key stays."""
    writing, written = asyncio.Event(), []

    async def hang(uses: dict[str, LastUsed]) -> None:
        writing.set()
        await asyncio.Event().wait()

    async def record(uses: dict[str, LastUsed]) -> None:
        written.append(uses)

    for key_id in ("AKIA2", "AKIA3"):
        callers.note_use(await callers.find(key_id, None), "ivschat", "r")
    upkeep = asyncio.create_task(callers.write_last_used(hang))
    await writing.wait()
    time.advance(1)
    callers.note_use(await callers.find("AKIA3", None), "iam", "r")
    upkeep.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upkeep
    await callers.write_last_used(record)
    first, later = LastUsed(START_MS, "ivschat", "r"), LastUsed(START_MS + 1000, "iam", "r")
    assert written == [{"AKIA2": first, "AKIA3": later}]


async def test_secrets_are_not_shown(callers: Callers) -> None:
    """Neither repr nor str shows a secret."""
    caller = await callers.find("AKIA1", None)
    assert "very-secret" not in f"{KEY!r} {KEY} {[KEY]} {caller!r} {[caller]}"
