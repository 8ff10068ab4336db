"""Credentials and endpoints at hand: when they are asked for, and who waits for that."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.aws_access.clients import Credentials, Service
from greenroom.review import aws_session
from greenroom.review.aws_session import FRESH_SECONDS, STALE_SECONDS, AwsSession
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import settle


class Access:
    """Finds what a test says, when the test lets it."""

    def __init__(self) -> None:
        self.found: Credentials | Exception | None = Credentials("ONE", "secret")
        self.asked: list[bool] = []
        self.regions: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.found_own_key = False

    async def credentials(self, service: Service, *, anew: bool) -> Credentials | None:
        """Return what there is."""
        self.asked.append(anew)
        await self.open.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def endpoint(self, service: Service, region: str) -> str:
        """Return the endpoint of a region."""
        self.regions.append(region)
        return f"https://{service.value}.{region}"


class Stage:
    """A session on such an access."""

    def __init__(self) -> None:
        self.time, self.access = HandClock(), Access()
        given: Any = self.access
        self.session = AwsSession(self.time.clock, given, Service.LAMBDA)

    async def key_id(self) -> str | None:
        """Return the id of the credentials at hand."""
        found = await self.session.credentials()
        return None if found is None else found.access_key_id


async def test_credentials_are_asked_for_now_and_then() -> None:
    """Fresh ones are taken as they are, older ones too, while others are asked for; none waits."""
    stage = Stage()
    assert await stage.key_id() == "ONE"
    stage.time.advance(FRESH_SECONDS)
    assert await stage.key_id() == "ONE"
    await settle()
    assert len(stage.access.asked) == 1
    stage.access.found = Credentials("TWO", "secret")
    stage.access.open.clear()
    stage.time.advance(1)
    assert await stage.key_id() == "ONE"
    await settle()
    stage.time.advance(STALE_SECONDS - FRESH_SECONDS - 1)
    assert await stage.key_id() == "ONE"
    assert len(stage.access.asked) == 2, "one asks for all"
    stage.access.open.set()
    await settle()
    assert await stage.key_id() == "TWO"
    assert stage.access.asked == [False, False]


async def test_stale_credentials_are_not_used() -> None:
    """Whoever needs them then waits for what is found."""
    stage = Stage()
    await stage.key_id()
    stage.access.found = None
    stage.time.advance(STALE_SECONDS + 1)
    assert await stage.key_id() is None
    stage.access.found = Credentials("TWO", "secret")
    assert await stage.key_id() is None, "that there are none is remembered, too"
    stage.time.advance(STALE_SECONDS + 1)
    assert await stage.key_id() == "TWO"


async def test_refused_credentials_are_found_anew() -> None:
    """Once: the next look is an ordinary one."""
    stage = Stage()
    await stage.key_id()
    stage.session.distrust()
    await stage.key_id()
    stage.time.advance(STALE_SECONDS + 1)
    await stage.key_id()
    assert stage.access.asked == [False, True, False]


async def test_a_chain_that_fails() -> None:
    """There are no credentials then, for a while; the log says why, and nothing is raised."""
    stage = Stage()
    stage.access.found = OSError("secret")
    with capture_logs() as logs:
        assert await stage.key_id() is None
        assert await stage.key_id() is None
    assert [(line["event"], line["error"]) for line in logs] == [("no AWS credentials", "OSError")]
    stage.access.found = Credentials("TWO", "secret")
    stage.time.advance(STALE_SECONDS + 1)
    assert await stage.key_id() == "TWO"
    stage.access.found = OSError("secret")
    stage.time.advance(STALE_SECONDS + 1)
    assert await stage.key_id() is None, "those that were found before are stale"
    stage.access.found_own_key = True
    assert stage.session.found_own_key


async def test_a_look_that_fails_takes_nothing_away() -> None:
    """What was found is used on until it is stale: a moment without a network costs no review."""
    stage = Stage()
    assert await stage.key_id() == "ONE"
    stage.access.found = OSError("for a moment")
    for number in range(1, 10):
        stage.time.advance(FRESH_SECONDS + 1)
        assert await stage.key_id() == "ONE"
        await settle()
        assert await stage.key_id() == "ONE"
        assert len(stage.access.asked) == 1 + number, "it is asked for again, as often as before"
    stage.time.advance(FRESH_SECONDS + 1)
    assert await stage.key_id() is None
    stage.time.advance(FRESH_SECONDS + 1)
    assert await stage.key_id() is None, "nobody waits for what is known not to be there"
    stage.access.found = Credentials("TWO", "secret")
    await settle()
    assert await stage.key_id() == "TWO"


async def test_what_was_refused_is_not_used_on() -> None:
    """Where what else there is cannot be found."""
    stage = Stage()
    await stage.key_id()
    stage.session.distrust()
    stage.access.found = OSError("secret")
    assert await stage.key_id() is None


async def test_who_waits_may_go_away() -> None:
    """The asking goes on for the others, until the session is closed."""
    stage = Stage()
    stage.session.close()
    stage.access.open.clear()
    waiting = [asyncio.create_task(stage.key_id()) for _ in range(2)]
    await settle()
    waiting[0].cancel()
    await settle()
    assert not waiting[1].done()
    stage.access.open.set()
    assert await waiting[1] == "ONE"
    assert len(stage.access.asked) == 1
    stage.session.distrust()
    stage.access.open.clear()
    waiting = [asyncio.create_task(stage.key_id())]
    await settle()
    stage.session.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_endpoints_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many regions, the first one goes for a new one."""
    monkeypatch.setattr(aws_session, "MAXIMUM_REGIONS", 2)
    stage = Stage()
    for region in ("a", "b", "a", "c", "b", "a"):
        assert await stage.session.endpoint(region) == f"https://lambda.{region}"
    assert stage.access.regions == ["a", "b", "c", "a"]
