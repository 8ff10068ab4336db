"""What Greenroom has beside IVS Chat, as the unmodified SDK in Chromium sees it.

`HISTORY_KILLS=50` breaks its connections so often; a seed, `HISTORY_SEED`, says when.
"""

import os
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.interop.breaking import WAYS, kill_under_load, remembering_room
from tests.running import messaging_driver
from tests.running.links import Link
from tests.running.messaging_driver import NoToken, Refused, Room, Rooms, Sdk, Tokens
from tests.running.service import Service

KILLS = int(os.environ.get("HISTORY_KILLS", "4"))
SEED = os.environ.get("HISTORY_SEED", "1")
SEND = ["SEND_MESSAGE"]
MODERATE = [*SEND, "greenroom:MODERATE"]

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


@pytest.mark.parametrize("way", WAYS)
async def test_killed_under_load(rooms: Rooms, service: Service, way: str) -> None:
    """Every message exactly once, in its order, however often its connection broke."""
    port = int(service.websocket_url.rpartition(":")[2].partition("/")[0])
    arn = remembering_room(service)
    async with Link(port).open() as link:
        await kill_under_load(rooms, service, link, arn, way, kills=KILLS, seed=SEED)


async def refusal(room: Room, content: str = "hi") -> tuple[int, str]:
    """Return how a message is refused."""
    with pytest.raises(Refused) as refused:
        await room.send(content)
    return refused.value.code, refused.value.message


async def test_modes(rooms: Rooms, arn: str) -> None:
    """A moderator types them; a viewer's promises are rejected with words for people."""
    ann = await rooms.enter(arn, "ann", capabilities=MODERATE)
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    await ann.send("/freeze")
    assert await refusal(bob) == (403, "Nobody may write now")
    await ann.send("/freeze off")
    await ann.send("/emoji")
    assert await refusal(bob) == (406, "Only emoji may be written now")
    assert (await bob.send("🎉"))["content"] == "🎉"
    await ann.send("/emoji off")
    await ann.send("/slow 1h")
    first = await bob.send("one")
    # AWS's sample compares the text.
    assert await refusal(bob, "two") == (429, "rate limit exceeded")
    assert (await ann.send("a moderator goes on"))["content"] == "a moderator goes on"
    await bob.next("message")
    assert await bob.next("message") == first


async def test_a_shadowed_user(rooms: Rooms, service: Service) -> None:
    """He sees what he would see otherwise; others see nothing of it, nor does who comes later."""
    arn = remembering_room(service)
    ann = await rooms.enter(arn, "ann", capabilities=MODERATE)
    bob = await rooms.enter(arn, "bob", capabilities=SEND)
    eve = await rooms.enter(arn, "eve", capabilities=SEND)
    before = await bob.send("before", {"k": "v"})
    assert await bob.next("message") == before
    await ann.send("/shadow bob")
    hidden = await bob.send("hidden", {"k": "v"})
    assert await bob.next("message") == hidden
    assert hidden.keys() == before.keys()
    assert (hidden["attributes"], hidden["sender"]) == ({"k": "v"}, before["sender"])
    end = await eve.send("end")
    assert [await eve.next("message") for _ in range(2)] == [before, end]
    url = f"{service.websocket_url}?history=10"
    late = await rooms.enter(arn, "late", url=url)
    again = await rooms.enter(arn, "bob", url=url)
    assert [await late.next("message") for _ in range(2)] == [before, end]
    assert [await again.next("message") for _ in range(3)] == [before, hidden, end]
    told = [each.seen(name) for each in (bob, again) for name in ("event", "messageDelete")]
    assert told == [[]] * 4


async def test_a_muted_and_then_banned_user(rooms: Rooms, service: Service, arn: str) -> None:
    """He is told until when; the ban ends his connection, and there is no other one."""
    tokens = Tokens(service, arn, "bob", capabilities=SEND)

    async def provider() -> Mapping[str, str]:
        try:
            return await tokens()
        except service.boto3().exceptions.AccessDeniedException as denied:
            raise NoToken(str(denied)) from None

    ann = await rooms.enter(arn, "ann", capabilities=MODERATE)
    bob = await rooms.enter(arn, provider=provider)
    await ann.send("/timeout bob 10m spam")
    code, text = await refusal(bob)
    assert (code, text[:24]) == (403, "You may not write until ")
    await ann.send("/ban bob out")
    told = await bob.next("userDisconnect")
    assert (told["userId"], told["reason"]) == ("bob", "out")
    assert await bob.next("disconnect") == "serverDisconnect"
    assert bob.seen("connecting") == [None]
    back = await rooms.begin(provider, config={"maxReconnectAttempts": 1})
    assert await back.next("disconnect") == "fetchTokenError"
