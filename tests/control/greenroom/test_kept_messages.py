"""ListMessages: what a room keeps, page by page, to who may see it.

Covers: greenroom.chat.kept_messages
"""

from collections.abc import Sequence
from typing import Any

import pytest

from greenroom.model.kept_frame import KeptFrame
from greenroom.model.message import REPLY_ROOT
from greenroom.protocol import events
from greenroom.storage.history import Kept, Query, StoredFrame
from tests.stand_ins.caller import STRANGER, Caller


async def kept(api: Caller, *contents: str, room: str = "", **members: Any) -> str:
    """Keep messages, a second apart; return the room."""
    room = room or await api.created(tags={"greenroom:history-messages": "100"})
    for content in contents:
        api.time.advance(1)
        message_id = f"{content:0<12}"[:12]
        payload = events.encode_message(
            message_id, "", {"a": "b"}, content, api.time.wall_ns, "bob", {"color": "red"}
        )
        frame = KeptFrame(
            message_id,
            api.time.wall_ns,
            "SendMessage",
            payload,
            **{"author": "bob", **members},
        )
        await api.store.history.append([Kept(room, frame)])
    return room


async def listed(api: Caller, room: str, **parameters: Any) -> Any:
    """Return an answer."""
    answer = await api.call("ListMessages", roomIdentifier=room, **parameters)
    assert answer.status == 200, answer.body
    return answer.body


def contents(body: Any) -> list[str]:
    """Return what the messages of an answer say."""
    return [each["content"] for each in body["messages"]]


async def test_what_is_listed() -> None:
    """The newest first, each as it was shown."""
    api = Caller()
    room = await kept(api, "one", "two")
    body = await listed(api, room)
    assert contents(body) == ["two", "one"]
    assert body["messages"][0] == {
        "id": "two000000000",
        "sendTime": "2023-11-14T22:13:22.000Z",
        "content": "two",
        "attributes": {"a": "b"},
        "sender": {"userId": "bob", "attributes": {"color": "red"}},
        "state": "SHOWN",
    }
    assert "recovered" not in body
    assert "nextToken" not in body


async def test_page_by_page() -> None:
    """Each message once, from either end."""
    api = Caller()
    room = await kept(api, *"abcdefg")
    for since, expected in (("", [*"gfedcba"]), ("a00000000000", [*"bcdefg"])):
        parameters: dict[str, Any] = {"since": since} if since else {}
        found: list[str] = []
        while True:
            body = await listed(api, room, maxResults=2, **parameters)
            found += contents(body)
            assert body.get("recovered") is (True if since else None)
            if "nextToken" not in body:
                break
            parameters["nextToken"] = body["nextToken"]
        assert found == expected


async def test_what_is_asked_for() -> None:
    """By user and time; deleted ones where they are asked for; what is not known is said."""
    api = Caller()
    room = await kept(api, "one", "two")
    await kept(api, "three", room=room, author="eve", audience="shadowed", user_id="eve")
    gone = KeptFrame(
        "event0000000", api.time.wall_ns, "DeleteMessage", b"", deletes=("two000000000",)
    )
    await api.store.history.append([Kept(room, gone)])
    assert contents(await listed(api, room)) == ["three", "one"]
    body = await listed(api, room, includeDeleted=True)
    assert [each["state"] for each in body["messages"]] == ["SHADOWED", "DELETED", "SHOWN"]
    assert contents(await listed(api, room, userId="eve")) == ["three"]
    second = events.send_time(api.time.wall_ns)
    assert contents(await listed(api, room, **{"from": second})) == ["three"]
    assert contents(await listed(api, room, **{"from": second, "to": second})) == ["three"]
    assert contents(await listed(api, room, to="2000-01-01T00:00:00Z")) == []
    assert await listed(api, room, since="unknown00000") == {"messages": [], "recovered": False}
    again = KeptFrame("later0000000", api.time.wall_ns, "SendEvent", b"")
    await api.store.history.append([Kept(room, again, begins=True)])
    assert (await listed(api, room, since="one000000000"))["recovered"] is False


async def test_before_a_message() -> None:
    """What was before it, page by page, within other bounds; nothing before what is not known."""
    api = Caller()
    room = await kept(api, *"abcdefg")
    found: list[str] = []
    parameters: dict[str, Any] = {"before": "f00000000000"}
    while True:
        body = await listed(api, room, maxResults=2, **parameters)
        assert "recovered" not in body
        found += contents(body)
        if "nextToken" not in body:
            break
        parameters["nextToken"] = body["nextToken"]
    assert found == [*"edcba"]
    for before in ("a00000000000", "none00000000"):
        assert (await listed(api, room, before=before))["messages"] == []
    assert contents(await listed(api, room, before="c00000000000", userId="bob")) == ["b", "a"]
    assert contents(await listed(api, room, before="c00000000000", userId="eve")) == []
    await api.store.history.trim(room, 3, 0)
    assert contents(await listed(api, room, before="c00000000000")) == []
    assert contents(await listed(api, room, before="e00000000000")) == ["d"]
    both = await api.call(
        "ListMessages", roomIdentifier=room, before="c00000000000", since="a00000000000"
    )
    assert both.fields() == ["before"]


async def test_a_thread() -> None:
    """The message that begins it, and its replies: by `SendMessage`, one level deep."""
    api = Caller()
    room = await kept(api, "root", "other")
    reply = KeptFrame(
        "Reply0000001",
        api.time.wall_ns,
        "SendMessage",
        events.encode_message("Reply0000001", "", {REPLY_ROOT: "root00000000"}, "re", 1, "eve", {}),
        author="eve",
    )
    await api.store.history.append([Kept(room, reply)])
    thread = await listed(api, room, replyRoot="root00000000")
    assert contents(thread) == ["re", "root"]
    behind = await listed(api, room, replyRoot="root00000000", since="root00000000")
    assert (contents(behind), behind["recovered"]) == (["re"], True)
    assert contents(await listed(api, room, replyRoot="root00000000", userId="eve")) == ["re"]
    assert contents(await listed(api, room, replyRoot="none00000000")) == []


async def test_times_that_no_store_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent so late, and all before that: no bound passes what a database takes."""
    api = Caller()
    room = await kept(api, "one")
    asked: list[Query] = []
    messages = api.store.history.messages

    async def looked_at(room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
        asked.append(query)
        return await messages(room, query, limit)

    monkeypatch.setattr(api.store.history, "messages", looked_at)
    for latest in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"):
        assert contents(await listed(api, room, **{"from": latest})) == []
        assert contents(await listed(api, room, to=latest)) == ["one"]
    assert max(max(each.from_ns, each.to_ns) for each in asked) == 2**63 - 1


async def test_limits_of_the_room() -> None:
    """What is too old or too many is not listed, though it was not removed yet."""
    api = Caller()
    room = await kept(api, *"abc")
    tags = {"greenroom:history-messages": "2", "greenroom:history-hours": "1"}
    answer = await api.call("TagResource", resourceArn=room, tags=tags)
    assert answer.status == 200
    assert contents(await listed(api, room)) == ["c", "b"]
    api.time.advance(3601)
    assert contents(await listed(api, room)) == []
    plain = await api.created()
    assert await listed(api, plain) == {"messages": []}
    assert await listed(api, plain, since="a00000000000") == {"messages": [], "recovered": False}


async def test_what_the_limits_leave_out_is_missing() -> None:
    """Behind a message that was not removed yet: so it is said."""
    api = Caller()
    room = await kept(api, *"abcd")
    tags = {"greenroom:history-messages": "2", "greenroom:history-hours": "1"}
    assert (await api.call("TagResource", resourceArn=room, tags=tags)).status == 200
    for since, recovered in (("a", False), ("b", True), ("c", True)):
        body = await listed(api, room, since=f"{since:0<12}")
        assert (since, body["recovered"]) == (since, recovered)
    api.time.advance(3601)
    assert await listed(api, room, since="c00000000000") == {"messages": [], "recovered": False}
    assert await listed(api, room, since="d00000000000") == {"messages": [], "recovered": True}


async def test_an_id_that_is_removed_between_pages() -> None:
    """The pages keep their order, and say that something may be missing."""
    api = Caller()
    room = await kept(api, *"abcdef")
    first = await listed(api, room, maxResults=2, since="a00000000000")
    await api.store.history.trim(room, 1, 0)
    parameters = {"maxResults": 2, "since": "a00000000000", "nextToken": first["nextToken"]}
    second = await listed(api, room, **parameters)
    assert (contents(first), contents(second)) == ([*"bc"], [*"de"])
    assert second["recovered"] is False


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"nextToken": "x"}, "nextToken"),
        ({"nextToken": "1" * 19}, "nextToken"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"since": "short"}, "since"),
        ({"maxResults": 101}, "maxResults"),
    ],
)
async def test_what_is_refused(parameters: dict[str, Any], field: str) -> None:
    """By its name."""
    api = Caller()
    room = await api.created()
    answer = await api.call("ListMessages", roomIdentifier=room, **parameters)
    assert set(answer.fields()) == {field}


async def test_the_longest_token() -> None:
    """A number of 18 digits is one that a store may have."""
    api = Caller()
    room = await kept(api, "one")
    assert contents(await listed(api, room, nextToken="9" * 18)) == ["one"]


async def test_only_of_the_account() -> None:
    """Another account's room is not found, nor one that is gone."""
    api = Caller()
    room = await kept(api, "one")
    answer = await api.call("ListMessages", account=STRANGER, roomIdentifier=room)
    assert answer.error() == (404, "ResourceNotFoundException")
