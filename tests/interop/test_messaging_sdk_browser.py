"""The official messaging SDK for JavaScript in Chromium, in a page of another origin."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.running import messaging_driver
from tests.running.messaging_driver import Refused, Rooms, Sdk, Tokens
from tests.running.service import Service, running, start
from tests.running.tokens_of import short_session_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sdk]:
    """One page for all tests."""
    temporary = tmp_path_factory.mktemp("page")
    async with messaging_driver.running("messaging_browser.mjs", chromium, str(temporary)) as sdk:
        yield sdk


@pytest_asyncio.fixture(loop_scope="module")
async def rooms(page: Sdk, service: Service) -> AsyncIterator[Rooms]:
    """The test's own rooms."""
    rooms = Rooms(page, service)
    yield rooms
    await rooms.leave()


@pytest.fixture
def arn(service: Service) -> str:
    """A room of the test's own."""
    return str(service.boto3().create_room()["arn"])


async def test_a_message_is_sent_and_received(rooms: Rooms, arn: str) -> None:
    """`sendMessage` resolves with the message that every instance receives, emoji included."""
    alice = await rooms.enter(arn, "alice", attributes={"displayName": "Älice"})
    bob = await rooms.enter(arn, "bob")
    sent = await alice.send("Grüße 👩‍👩‍👧‍👦", {"k": "漢字"})
    assert sent["content"] == "Grüße 👩‍👩‍👧‍👦"
    assert sent["attributes"] == {"k": "漢字"}
    assert sent["sender"] == {"userId": "alice", "attributes": {"displayName": "Älice"}}
    assert await alice.next("message") == await bob.next("message") == sent


async def test_a_deletion_reaches_both(rooms: Rooms, arn: str) -> None:
    """`deleteMessage` resolves with the `messageDelete` that everybody receives."""
    moderator, bob = await rooms.enter(arn, "moderator"), await rooms.enter(arn, "bob")
    message = await bob.send("spam")
    deleted = await moderator.delete(message["id"], "spam")
    assert (deleted["messageId"], deleted["reason"]) == (message["id"], "spam")
    assert await moderator.next("messageDelete") == await bob.next("messageDelete") == deleted


async def test_a_kick_is_final(rooms: Rooms, arn: str) -> None:
    """The kicked sees the event, then a clean close with the reason, and stays out."""
    moderator = await rooms.enter(arn, "moderator")
    troll = await rooms.enter(arn, "troll", url=f"{rooms.service.websocket_url}?troll")
    event = await moderator.kick("troll", "rude")
    assert await moderator.next("userDisconnect") == await troll.next("userDisconnect") == event
    assert await troll.next("disconnect") == "serverDisconnect"
    closed = await troll.next("socketClose")
    assert closed == {"code": 1000, "reason": "rude", "wasClean": True}
    assert await troll.state() == "disconnected"
    assert troll.seen("connecting") == [None]


async def test_an_event_of_the_control_plane_arrives(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """SendEvent arrives as `event`."""
    alice = await rooms.enter(arn, "alice")
    service.boto3().send_event(roomIdentifier=arn, eventName="app:x", attributes={"k": "🎉"})
    event = await alice.next("event")
    assert (event["eventName"], event["attributes"]) == ("app:x", {"k": "🎉"})


async def test_refused_requests_reject(rooms: Rooms, service: Service) -> None:
    """Without the capability, too long, too often, in a deleted room: each promise is rejected."""
    arn = service.boto3().create_room(maximumMessageRatePerSecond=1)["arn"]
    alice = await rooms.enter(arn, "alice", capabilities=["SEND_MESSAGE"])
    with pytest.raises(Refused) as forbidden:
        await alice.kick("bob")
    with pytest.raises(Refused, match="Message exceeds maximum length") as too_long:
        await alice.send("x" * 501)
    _, *others = await asyncio.gather(*(alice.send("x") for _ in range(3)), return_exceptions=True)
    service.boto3().delete_room(identifier=arn)
    with pytest.raises(Refused) as gone:
        await alice.send("x")
    codes = [refused.value.code for refused in (forbidden, too_long, gone)]
    assert codes == [403, 413, 404]
    too_often = [each for each in others if isinstance(each, BaseException)]
    assert too_often
    for each in too_often:
        assert isinstance(each, Refused)
        assert (each.code, each.message) == (429, "rate limit exceeded")


async def test_an_expired_session_goes_on_with_a_fresh_token(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """The SDK is told that its session is over, connects again and sends."""
    given = [short_session_token(service, arn, "alice", 2), service.token(arn, "alice")]

    async def provider() -> Mapping[str, str]:
        return {"token": given.pop(0)}

    alice, bob = await rooms.enter(arn, provider=provider), await rooms.enter(arn, "bob")
    await alice.send("before")
    await bob.next("message")
    await alice.next("connect")
    assert await alice.send("after") == await bob.next("message")
    assert given == []
    assert alice.seen("disconnect") == []


async def test_token_refresh_moves_to_a_second_connection(
    rooms: Rooms, service: Service, arn: str
) -> None:
    """The page opens a second connection, closes the first, and sees each message once."""
    tokens = Tokens(service, arn, "alice")

    async def provider() -> Mapping[str, str]:
        token = await tokens()
        if tokens.given > 1:
            return token
        # The SDK connects anew 30 seconds before that time: in half a second.
        expires = datetime.now(UTC) + timedelta(seconds=30.5)
        return {**token, "tokenExpirationTime": expires.isoformat()}

    alice = await rooms.enter(arn, url=f"{service.websocket_url}?overlap", provider=provider)
    bob = await rooms.enter(arn, "bob")
    for _ in range(2):
        await alice.next("socketOpen")
    sent = [await bob.send("one"), await alice.send("two")]
    await alice.next("socketClose")
    sent += [await bob.send("three"), await alice.send("four")]
    for room in (alice, bob):
        assert [await room.next("message") for _ in sent] == sent
    assert alice.seen("connecting") == [None]
    assert alice.seen("disconnect") == []


async def test_a_used_token_is_given_up_at_last(rooms: Rooms, service: Service, arn: str) -> None:
    """A refused upgrade is an error to the page, which asks for another token each time."""
    used = service.token(arn, "alice")
    asked = 0

    async def provider() -> Mapping[str, str]:
        nonlocal asked
        asked += 1
        return {"token": used}

    await rooms.enter(arn, provider=provider)
    second = await rooms.begin(provider, config={"maxReconnectAttempts": 1})
    assert await second.next("disconnect") == "socketError"
    assert asked == 1 + 2


async def test_a_crash_is_survived(page: Sdk, tmp_path: Path) -> None:
    """When the service is killed, the page connects again as soon as it is back."""
    with running(tmp_path / "data") as service:
        arn = service.boto3().create_room()["arn"]
        up = asyncio.Event()
        up.set()
        fresh = Tokens(service, arn, "alice")

        async def provider() -> Mapping[str, str]:
            await up.wait()
            return await fresh()

        rooms = Rooms(page, service)
        alice = await rooms.enter(arn, provider=provider)
        await alice.next("connecting")
        up.clear()
        service.kill()
        await alice.next("connecting")
        port = service.api_url.rpartition(":")[2]
        again = await asyncio.to_thread(start, tmp_path / "data", "--port", port)
        try:
            up.set()
            await alice.next("connect")
            assert (await alice.send("after"))["content"] == "after"
            await rooms.leave()
        finally:
            again.kill()
