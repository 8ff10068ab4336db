"""LIST_MESSAGES: what a room keeps, for who is in it, page by page, and nothing else."""

import json
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import pytest

from greenroom.model.restriction import Kind
from tests.messaging.test_own_actions import connected, do
from tests.messaging.test_replays import VIEWER, kept, say
from tests.messaging.test_restricted import restrict
from tests.stand_ins.stage import Stage, stage


def unhurried() -> AbstractAsyncContextManager[Stage]:
    """Give a plane where one may ask as often as he likes."""
    return stage(messaging_requests_per_connection=0)


async def listed(who: tuple[Any, Any], **members: Any) -> Any:
    """Return what somebody is answered."""
    frames = await do(*who, {"Action": "greenroom:LIST_MESSAGES", "RequestId": "r", **members})
    (answer,) = [each for each in frames if each["RequestId"] == "r"]
    if answer["Type"] == "ERROR":
        return answer["ErrorCode"], answer["ErrorMessage"]
    assert answer["EventName"] == "greenroom:DONE"
    assert len(json.dumps(answer).encode()) < 65_536
    return json.loads(answer["Attributes"]["Result"])


def contents(found: Any) -> tuple[list[str], bool]:
    """Return what the messages of an answer say, and whether there are earlier ones."""
    return [each["Content"] for each in found["Messages"]], found["More"]


async def test_pages() -> None:
    """The newest, the oldest of them first, as all were shown them; then those before."""
    async with unhurried() as made:
        ann = await kept(made)
        ids = await say(ann, *"abcde")
        bob = await connected(made, "bob", **VIEWER)
        found = await listed(bob, Limit=2)
        assert contents(found) == (["d", "e"], True)
        assert found["Messages"][0] == {
            "Type": "MESSAGE",
            "Id": ids[3],
            "RequestId": "",
            "Attributes": found["Messages"][0]["Attributes"],
            "Content": "d",
            "SendTime": found["Messages"][0]["SendTime"],
            "Sender": {"UserId": "ann", "Attributes": {}},
        }
        assert contents(await listed(bob, Limit=2, Before=ids[3])) == (["b", "c"], True)
        assert contents(await listed(bob, Limit="2", Before=ids[1])) == (["a"], False)
        assert contents(await listed(bob, Before=ids[0])) == ([], False)
        assert contents(await listed(bob, Before="NobodysId000")) == ([], False)
        assert contents(await listed(bob)) == ([*"abcde"], False)


async def test_what_is_not_there() -> None:
    """What was deleted, is too old, or is kept no more, and rooms that keep nothing."""
    async with unhurried() as made:
        bob = await connected(made, "bob", **VIEWER)
        await say(bob, "x")
        assert contents(await listed(bob)) == ([], False)
        ann = await kept(made, historyHours=1)
        ids = await say(ann, *"abc")
        assert contents(await listed(bob)) == ([*"abc"], False)
        await do(*ann, {"Action": "DELETE_MESSAGE", "Id": ids[1]})
        assert contents(await listed(bob)) == ([*"ac"], False)
        assert contents(await listed(bob, Before=ids[2])) == (["a"], False)
        assert contents(await listed(bob, Before=ids[1])) == (["a"], False)
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 3}})
        found, _ = contents(await listed(bob, Limit=100))
        assert "a" not in found
        made.time.advance(3599.9)
        bob = await connected(
            made,
            "bob",
            **VIEWER,
            session_expires=made.time.clock.now_ms() + 10**7,
            token_expires=made.time.clock.now_ms() + 10**5,
        )
        assert contents(await listed(bob)) == (["c"], False)
        made.time.advance(0.2)
        assert contents(await listed(bob)) == ([], False)


async def test_nobody_sees_more_than_he_was_shown() -> None:
    """What a shadowed user wrote is told to him and to moderators, who see the mark."""
    async with unhurried() as made:
        ann = await kept(made)
        bob = await connected(made, "bob", **VIEWER)
        eve = await connected(made, "eve", **VIEWER)
        await do(*ann, restrict(str(Kind.SHADOW)))
        await say(bob, "hidden")
        await say(eve, "seen")
        mod = await connected(made, "mod")
        for _ in range(2):
            assert contents(await listed(eve))[0] == ["seen"]
            assert contents(await listed(bob))[0] == ["hidden", "seen"]
            found = await listed(mod)
            assert contents(found)[0] == ["hidden", "seen"]
            assert found["Messages"][0]["Attributes"]["greenroom:mark"] == "SHADOW"
        for none in ("0", "00", "000"):
            alone = await connected(made, "zoe", **VIEWER, own={"history": none})
            assert await listed(alone) == (403, "Forbidden: the chat token has no history")


async def test_an_answer_is_an_event_that_clients_take() -> None:
    """However long messages are, and whatever is in them; what has no room comes with the next."""
    async with unhurried() as made:
        ann = await kept(made)
        content = '"\\' * 250
        ids = []
        for _ in range(40):
            made.time.advance(0.2)
            ids += await say(ann, content)
        bob = await connected(made, "bob", **VIEWER)
        found = await listed(bob, Limit=100)
        assert 5 < len(found["Messages"]) < 40
        assert found["More"] is True
        number = len(found["Messages"])
        assert [each["Id"] for each in found["Messages"]] == ids[-number:]
        found = await listed(bob, Limit=1, Before=ids[-number])
        assert [each["Id"] for each in found["Messages"]] == [ids[-number - 1]]


async def test_an_official_sdk_asks_by_a_message() -> None:
    """The promise is fulfilled by a message to it alone, which says how many there are."""
    async with unhurried() as made:
        ann = await kept(made)
        await say(ann, *"ab")
        bob = await connected(made, "bob", **VIEWER)
        attributes = {"greenroom:action": "LIST_MESSAGES", "Limit": "1"}
        (answer,) = await do(
            *bob, {"Action": "SEND_MESSAGE", "Content": "", "Attributes": attributes}
        )
        assert answer["Content"] == "messages: 1"
        assert contents(json.loads(answer["Attributes"]["Result"])) == (["b"], True)


async def test_what_cannot_be_read_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that there is nothing: he is refused, and may ask again."""
    async with unhurried() as made:
        ann = await kept(made)
        await say(ann, "a")
        bob = await connected(made, "bob", **VIEWER)

        async def filled(*_: object) -> Any:
            return SimpleNamespace(is_unread=True)

        with monkeypatch.context() as patched:
            patched.setattr(made.own.messages._history, "prepare", filled)
            assert await listed(bob) == (500, "The service cannot take the request now")
        assert contents(await listed(bob)) == (["a"], False)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"Limit": 0}, "Limit must be from 1 to 100"),
        ({"Limit": 101}, "Limit must be from 1 to 100"),
        ({"Limit": "x"}, "Limit must be a number"),
        ({"Before": "short"}, "Before must be 12 letters or digits"),
        ({"Before": 1}, "Before must be a string"),
    ],
)
async def test_wrong_members(members: dict[str, Any], said: str) -> None:
    """The member and the rule."""
    async with unhurried() as made:
        await kept(made)
        assert await listed(await connected(made, "bob", **VIEWER), **members) == (400, said)


async def test_a_page_is_dear() -> None:
    """Four of them are a second's actions: those who only ask cannot fill a node."""
    async with stage() as made:
        ann = await kept(made)
        await say(ann, "a")
        bob = await connected(made, "bob", **VIEWER)
        for _ in range(4):
            assert contents(await listed(bob)) == (["a"], False)
        assert (await listed(bob))[0] == 429
        made.time.advance(0.5)
        assert contents(await listed(bob)) == (["a"], False)
