"""Roles that change while their user is there: what he may, what he is told, and what lasts.

Covers: greenroom.chat.roles, greenroom.chat.role_changes
"""

import json
from typing import Any

import pytest

from greenroom.bus.base import BusUnavailable
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.role_changes import RoleChanges
from greenroom.chat.roles import issued
from greenroom.model.chat_token import IVS_CAPABILITIES, TOKEN_VALIDITY_SECONDS
from greenroom.model.errors import ResourceNotFoundException, ThrottlingException
from greenroom.model.restriction import ROLES_MS
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import ROOM, Stage, claims_of, settle, stage

SEND = {"Action": "SEND_MESSAGE", "Content": "hi"}


async def said_by(someone: Any) -> list[dict[str, Any]]:
    """Have somebody write; return what he sees."""
    edge, transport = someone
    return await do(edge, transport, SEND)


async def viewer(made: Stage, user: str = "bob", url: str = "/", roles: str = "") -> Any:
    """Return the connection of a user whose token was issued now and has these roles."""
    now = made.time.clock.now_ms()
    return await connected(
        made,
        user,
        url,
        capabilities=IVS_CAPABILITIES,
        token_expires=now + TOKEN_VALIDITY_SECONDS * 1000,
        session_expires=now + 10**8,
        own={"roles": roles} if roles else {},
    )


async def change(made: Stage, *roles: str, user: str = "bob") -> None:
    """Change a user's roles, as the API does."""
    changes = RoleChanges(made.chat, made.restrictions, made.time.clock)
    await changes.change(ROOM, user, roles, "root")
    await settle()


async def subscribers_only(made: Stage) -> None:
    """Let nobody else write."""
    await made.settings.change(str(ROOM), {"writers": ("subscriber",)}, (), 0, "root")
    await settle()


async def may_write(someone: Any) -> bool:
    """Return whether somebody may write now."""
    (answer,) = [each for each in await said_by(someone) if each["Type"] != "EVENT"]
    return bool(answer["Type"] == "MESSAGE")


async def test_who_subscribes_may_write_at_once() -> None:
    """On all of his connections; nobody else may, and he no more when it is over."""
    async with stage() as made:
        bob, phone, eve = [await viewer(made, user) for user in ("bob", "bob", "eve")]
        await subscribers_only(made)
        assert not await may_write(bob)
        await change(made, "subscriber", "vip")
        assert [await may_write(each) for each in (bob, phone, eve)] == [True, True, False]
        await change(made)
        assert [await may_write(each) for each in (bob, phone)] == [False, False]


async def test_the_later_word_counts() -> None:
    """Of a token and of what was said: at the very millisecond what was said."""
    async with stage() as made:
        await subscribers_only(made)
        made.time.advance(1)
        before = await viewer(made, roles="subscriber")
        await change(made, "vip")
        assert not await may_write(before)
        same = await viewer(made, roles="subscriber")
        assert not await may_write(same)
        made.time.advance(0.001)
        behind = await viewer(made, roles="subscriber")
        assert await may_write(behind)
        assert not await may_write(same)
        # A word that is heard late leaves it what its token says.
        made.restrictions.roles._of.clear()
        (entry,) = await made.store.restrictions.since(ROOM.account, 0)
        made.restrictions.hold(entry)
        assert await may_write(behind)


async def test_it_is_known_to_who_comes_and_after_a_restart() -> None:
    """Until no token from before is of use: then nothing is kept of it in memory."""
    async with stage() as made:
        claims = claims_of(user_id="bob", token_expires=START_MS + 60_000)
        assert issued(claims) == START_MS
        await change(made, "subscriber")
        _, transport = await viewer(made, url="/?events=on")
        you = json.loads(took(transport)[0]["Attributes"]["You"])
        assert you["Roles"] == ["subscriber"]
        after = Restrictions(made.store.restrictions, made.bus, made.time.clock, LooseTasks())
        await after.start()
        assert after.roles.current(claims).own == {"roles": "subscriber"}
        assert after.roles.current(claims_of(user_id="eve")).own == {}
        assert len(after) == 0
        made.time.advance(ROLES_MS / 1000 - 0.001)
        assert after.roles.of(str(ROOM), "bob", made.time.clock.now_ms()) == ("subscriber",)
        after.tick()
        await settle()
        assert len(after.roles) == 1
        made.time.advance(0.001)
        assert after.roles.of(str(ROOM), "bob", made.time.clock.now_ms()) is None
        after.tick()
        await settle()
        assert len(after.roles) == 0


async def test_who_is_told() -> None:
    """The user, and moderators by whom; others, and who asked for nothing, see nothing."""
    async with stage() as made:
        ann = await connected(made, "ann", "/?events=on")
        bob, plain, eve = (
            await viewer(made, "bob", "/?events=on"),
            await viewer(made),
            await viewer(made, "eve", "/?events=on"),
        )
        for each in (ann, bob, plain, eve):
            took(each[1])
        await change(made, "vip", "vip")
        (you,) = took(bob[1])
        assert (you["EventName"], you["Attributes"]) == ("greenroom:YOU", {"Roles": '["vip"]'})
        (told,) = took(ann[1])
        assert json.loads(told["Attributes"]["Item"]) == {
            "Operation": "UpdateUser",
            "UserId": "bob",
            "Kind": "ROLES",
            "Roles": ["vip"],
            "By": "root",
        }
        assert took(plain[1]) == took(eve[1]) == []


async def test_what_nothing_is_said_in() -> None:
    """In a room that is not there, by an account that does too much: nothing is kept."""
    async with stage(moderation_rate=1) as made:
        await change(made, "vip")
        with pytest.raises(ThrottlingException):
            await change(made, "mod")
        made.time.advance(1)
        await made.store.rooms.delete(ROOM)
        made.rooms.forget(str(ROOM))
        with pytest.raises(ResourceNotFoundException):
            await change(made, "mod")
        (entry,) = await made.store.restrictions.since(ROOM.account, 0)
        assert entry.roles == ("vip",)


async def test_it_holds_whoever_could_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept: an error would have it asked for again."""
    async with stage() as made:
        bob = await viewer(made)
        await subscribers_only(made)

        async def away(*_: object, **__: object) -> str:
            raise BusUnavailable("away")

        monkeypatch.setattr(made.chat, "tell", away)
        await change(made, "subscriber")
        assert await may_write(bob)
