"""Page tokens: good for their own listing and caller, for an hour, and for nothing else."""

from typing import Any

import pytest

from greenroom.storage.rooms import LIST_LIFETIME_MS
from tests.stand_ins.caller import LAMBDA, STRANGER, Caller


async def paged(api: Caller, operation: str = "ListRooms", **parameters: Any) -> str:
    """Return the token of a second page."""
    answer = await api.call(operation, maxResults=1, **parameters)
    return str(answer.body["nextToken"])


async def three_rooms() -> Caller:
    """Return a service with three rooms of one name."""
    api = Caller()
    for _ in range(3):
        await api.created(name="studio")
        api.time.advance(1)
    return api


async def refused(api: Caller, token: str, operation: str = "ListRooms", **more: Any) -> str:
    """Return why the token is refused; it is the field that is named."""
    answer = await api.call(operation, nextToken=token, **more)
    assert answer.fields() == ["nextToken"]
    return str(answer.body["fieldList"][0]["message"])


async def test_pages_cover_the_listing() -> None:
    """Page after page returns every room once, newest first; the last page has no token."""
    api = await three_rooms()
    seen, token = [], ""
    while True:
        page = (await api.call("ListRooms", maxResults=1, nextToken=token)).body
        seen += [room["id"] for room in page["rooms"]]
        if "nextToken" not in page:
            break
        token = page["nextToken"]
    assert len(seen) == len(set(seen)) == 3
    assert seen == sorted(seen, reverse=True)
    assert "nextToken" not in (await api.call("ListRooms", maxResults=3)).body


async def test_a_page_of_a_key_that_another_node_just_made() -> None:
    """It is good before anybody told this node of the key; one of no key at all is refused."""
    api, elsewhere = await three_rooms(), await three_rooms()
    elsewhere.ring.adopt(elsewhere.ring.rotated("new", b"n" * 32, 0))
    token = await paged(elsewhere)
    assert "this service" in await refused(api, token)
    api.ring_kept = elsewhere.ring
    rest = await api.call("ListRooms", maxResults=50, nextToken=token)
    assert len(rest.body["rooms"]) == 2


async def test_a_page_size_may_change() -> None:
    """The token holds the position, not the size of the page."""
    api = await three_rooms()
    rest = await api.call("ListRooms", maxResults=50, nextToken=await paged(api))
    assert len(rest.body["rooms"]) == 2


async def test_forged() -> None:
    """What this service did not seal, or somebody changed, or is another token, is refused."""
    api = await three_rooms()
    token = await paged(api)
    room = await api.created()
    chat = (await api.call("CreateChatToken", roomIdentifier=room, userId="u")).body["token"]
    head, _, tail = token.partition(".")
    for forged in ("x", "a.b", token[:-4], f"{head}.{tail[::-1]}", chat, token + "ä", " "):
        assert "that this service gave" in await refused(api, forged)


async def test_other_filters() -> None:
    """A token continues the listing that it came from, not one with other filters."""
    api = await three_rooms()
    token = await paged(api, name="studio")
    for filters in ({}, {"name": "other"}, {"name": "studio", "messageReviewHandlerUri": LAMBDA}):
        assert "other filters" in await refused(api, token, **filters)
    assert len((await api.call("ListRooms", name="studio", nextToken=token)).body["rooms"]) == 2


@pytest.mark.parametrize("caller", [{"account": STRANGER}, {"region": "eu-west-1"}])
async def test_other_callers(caller: dict[str, str]) -> None:
    """A token of another account or region is refused: it would tell of the other's rooms."""
    api = await three_rooms()
    await refused(api, await paged(api), **caller)


async def test_other_operation() -> None:
    """A token of rooms does not continue a listing of configurations, nor the other way."""
    api = await three_rooms()
    for _ in range(2):
        await api.configuration()
    await refused(api, await paged(api), "ListLoggingConfigurations")
    await refused(api, await paged(api, "ListLoggingConfigurations"))


async def test_too_old() -> None:
    """A listing may take an hour from its first page, however often it was continued."""
    api = await three_rooms()
    token = await paged(api)
    api.time.advance(LIST_LIFETIME_MS / 2000)
    second = str((await api.call("ListRooms", maxResults=1, nextToken=token)).body["nextToken"])
    api.time.advance(LIST_LIFETIME_MS / 2000)
    assert (await api.call("ListRooms", nextToken=second)).status == 200
    api.time.advance(0.001)
    assert "older than one hour" in await refused(api, second)


async def test_from_the_future() -> None:
    """A listing that began while the clock was ahead begins again: it might miss rooms."""
    api = await three_rooms()
    api.time.jump(1800)
    token = await paged(api)
    api.time.jump(-1)
    assert (await api.call("ListRooms", nextToken=token)).status == 200
    api.time.jump(-1)
    assert "the clock was set back" in await refused(api, token)
