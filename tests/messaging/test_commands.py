"""Commands that moderators type, in any client; what each means is `tests/protocol`'s."""

from typing import Any
from unittest.mock import AsyncMock

import pytest

from greenroom.chat.user_names import Named
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.restriction import Kind
from greenroom.protocol.commands import COMMANDS
from greenroom.protocol.own_actions import Restrict
from greenroom.storage.base import StorageUnavailable
from tests.messaging.test_own_actions import connected, do, took
from tests.stand_ins.stage import ROOM, Stage, stage

VIEWER: dict[str, Any] = {"capabilities": IVS_CAPABILITIES}


async def answer(who: tuple[Any, Any], content: str) -> dict[str, Any]:
    """Send a message and return its answer."""
    frames = await do(*who, {"Action": "SEND_MESSAGE", "Content": content, "RequestId": "r"})
    (found,) = [each for each in frames if each["RequestId"] == "r"]
    return found


async def held(made: Stage, user: str) -> dict[str, int]:
    """Return what holds of a user, and for how many seconds."""
    now = made.time.clock.now_ms()
    kept = made.restrictions.held(str(ROOM), ROOM.account, user)
    return {
        str(kind): (each.expires - now) // 1000 if each.expires else 0
        for kind, each in kept.items()
    }


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/timeout bob 10m spam and more", {"MUTE": 600}),
        ("/timeout @bob 90", {"MUTE": 90}),
        ("/TIMEOUT bob 1h", {"MUTE": 3600}),
        ("/mute bob", {"MUTE": 0}),
        ("/ban bob get out", {"BAN": 0}),
        ("/shadow bob", {"SHADOW": 0}),
        ("/monitor bob", {"MONITOR": 0}),
    ],
)
async def test_users_are_restricted(command: str, expected: dict[str, int]) -> None:
    """As by the action; the answer is for who typed it alone, and the lift undoes it."""
    async with stage() as made:
        ann = await connected(made, "ann")
        eve = await connected(made, "eve", **VIEWER)
        took(eve[1])
        said = await answer(ann, command)
        assert (said["Type"], said["Sender"]["UserId"]) == ("MESSAGE", "greenroom")
        assert said["Content"].startswith("bob: ")
        assert await held(made, "bob") == expected
        assert all(each["Type"] == "EVENT" for each in took(eve[1]))
        lift = command.split(maxsplit=1)[0].lower().replace("/timeout", "/mute").replace("/", "/un")
        assert (await answer(ann, f"{lift} bob"))["Type"] == "MESSAGE"
        assert await held(made, "bob") == {}


@pytest.mark.parametrize(
    ("command", "setting", "value"),
    [
        ("/slow 30s", "slowModeSeconds", 30),
        ("/slow 2m", "slowModeSeconds", 120),
        ("/freeze", "frozen", True),
        ("/subscribers on", "writers", ("subscriber",)),
        ("/emoji", "emojiOnly", True),
        ("/shield", "shield", True),
    ],
)
async def test_settings_are_set(command: str, setting: str, value: object) -> None:
    """And are as by default again with `off`."""
    async with stage() as made:
        ann = await connected(made, "ann")
        said = await answer(ann, command)
        assert setting in said["Content"]
        room = await made.store.rooms.get(ROOM)
        assert room.overrides.values[setting].value == value
        await answer(ann, f"{command.split(maxsplit=1)[0]} off")
        assert (await made.store.rooms.get(ROOM)).overrides.values == {}


async def test_every_answer_says_something() -> None:
    """It is shown as a message: an empty one would look like a fault."""
    async with stage() as made:
        ann = await connected(made, "ann")
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"historyMessages": 10}})
        bob = await connected(made, "bob", **VIEWER)
        await answer(bob, "hello")
        took(ann[1])
        for command, said in {
            "/clear bob": "bob: deleted messages: 1",
            "/announce hi": "announced",
            "/unpin Message00001": "taken down, pins: 0",
            "/viewers": "users: 1, connections: 1",
            "/freeze off": "frozen as by default",
        }.items():
            assert (await answer(ann, command))["Content"] == said


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "help"])
async def test_what_is_wrong_is_answered_with_the_usage(command: str) -> None:
    """Too few words, too many, or others; nothing is changed."""
    async with stage() as made:
        ann = await connected(made, "ann")
        none = COMMANDS[command].usage.startswith(("USER", "TEXT", "MESSAGE-ID"))
        error = await answer(ann, f"/{command}" if none else f"/{command} x y z")
        assert (error["ErrorCode"], error["ErrorMessage"]) == (
            400,
            f"Usage: /{command} {COMMANDS[command].usage}".rstrip(),
        )
        assert (await made.store.rooms.get(ROOM)).overrides.version == 0


@pytest.mark.parametrize("user", ["@", "u" * 129, "@" + "u" * 129])
async def test_words_that_are_no_users_id(user: str) -> None:
    """Empty, or longer than ids are: nothing of it is kept. The longest id is fine."""
    async with stage() as made:
        ann = await connected(made, "ann")
        for command in ("/mute", "/unmute"):
            usage = COMMANDS[command[1:]].usage
            error = await answer(ann, f"{command} {user}")
            assert error["ErrorMessage"] == f"Usage: {command} {usage}"
        await answer(ann, f"/mute @{'u' * 128}")
        assert await held(made, "u" * 128) == {"MUTE": 0}


async def test_the_longest_and_the_shortest_time() -> None:
    """A year is one; no slow mode at all is one, too."""
    async with stage() as made:
        ann = await connected(made, "ann")
        await answer(ann, "/timeout bob 365d")
        assert await held(made, "bob") == {"MUTE": 31_536_000}
        await answer(ann, "/timeout bob 1")
        assert await held(made, "bob") == {"MUTE": 1}
        await answer(ann, "/slow 0")
        room = await made.store.rooms.get(ROOM)
        assert room.overrides.values["slowModeSeconds"].value == 0


@pytest.mark.parametrize(
    "wrong",
    [
        *("/timeout bob", "/timeout bob soon", "/timeout bob 0", "/timeout bob 31536001"),
        *("/slow 2h", "/slow", "/pin Message00001 0s", "/pin Message00001 366d"),
    ],
)
async def test_wrong_times(wrong: str) -> None:
    """No time, no number, none at all, or a longer one than there is."""
    async with stage() as made:
        error = await answer(await connected(made, "ann"), wrong)
        assert error["ErrorMessage"].startswith("Usage: ")


async def test_help_and_unknown_commands() -> None:
    """Both say what there is."""
    async with stage() as made:
        ann = await connected(made, "ann")
        for command in ("/help", "/"):
            assert "/timeout USER 10m [REASON]" in (await answer(ann, command))["Content"]
        asked = {"Action": "greenroom:HELP", "RequestId": "h"}
        (told,) = [each for each in await do(*ann, asked) if each["RequestId"] == "h"]
        assert "/timeout USER 10m [REASON]" in told["Attributes"]["Result"]
        error = await answer(ann, "/dance")
        assert error["ErrorMessage"].startswith("Commands: /timeout /mute")


async def test_a_slash_of_others_is_a_message() -> None:
    """Of viewers, where commands are off, and of a moderator who writes two."""
    async with stage() as made:
        ann, bob = await connected(made, "ann"), await connected(made, "bob", **VIEWER)
        assert (await answer(bob, "/ban ann"))["Content"] == "/ban ann"
        assert (await answer(ann, "//ban bob"))["Content"] == "/ban bob"
        assert await held(made, "ann") == await held(made, "bob") == {}
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"commands": False}})
        assert (await answer(ann, "/ban bob"))["Content"] == "/ban bob"


async def test_a_name_that_is_shown() -> None:
    """It means the one user who has it; an id goes before, and of two users the ids are told."""
    async with stage() as made:
        ann = await connected(made, "ann")
        await connected(made, "id-1", attributes={"displayName": "Bob"}, **VIEWER)
        await connected(made, "id-2", attributes={"username": "Eve"}, **VIEWER)
        await connected(made, "id-3", attributes={"displayName": "Eve"}, **VIEWER)
        await answer(ann, "/mute Bob")
        assert await held(made, "id-1") == {"MUTE": 0}
        error = await answer(ann, "/mute Eve")
        assert (error["ErrorCode"], error["ErrorMessage"]) == (
            400,
            "Eve is the name of several users: id-2, id-3. Name one by id",
        )
        for user in ("id-2", "id-3", "Eve"):
            assert await held(made, user) == {}
        for number in range(4, 9):
            await connected(made, f"id-{number}", attributes={"username": "Eve"}, **VIEWER)
        error = await answer(ann, "/clear @Eve")
        assert "id-2, id-3, id-4, id-5, id-6 and 2 more. Name" in error["ErrorMessage"]
        await answer(ann, "/mute id-2")
        assert await held(made, "id-2") == {"MUTE": 0}


async def test_who_may_not_is_told_nothing_of_users() -> None:
    """A host who is no moderator does not learn who has a name; nor is anybody looked for."""
    async with stage() as made:
        host = await connected(made, "host", capabilities=(Capability.HOST, *IVS_CAPABILITIES))
        for user in ("id-1", "id-2"):
            await connected(made, user, attributes={"username": "Eve"}, **VIEWER)
        assert (await answer(host, "/mute Eve"))["ErrorCode"] == 403


async def test_a_name_that_is_shown_on_another_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """It means whom all nodes together say; where too much is asked, nobody is restricted."""
    async with stage() as made:
        ann = await connected(made, "ann")
        named = AsyncMock(side_effect=[Named(user_ids=frozenset({"id-1"})), Named(is_id=True)])
        monkeypatch.setattr(made.own.named, "named", named)
        await answer(ann, "/mute Bob")
        await answer(ann, "/ban id-2")
        assert (await held(made, "id-1"), await held(made, "id-2")) == ({"MUTE": 0}, {"BAN": 0})
        assert [each.args for each in named.await_args_list] == [
            (str(ROOM), "Bob"),
            (str(ROOM), "id-2"),
        ]
        named.side_effect = ServiceUnavailableException("too many")
        assert (await answer(ann, "/mute Max"))["ErrorCode"] == 500
        assert await held(made, "Max") == {}


@pytest.mark.parametrize(("commands", "code"), [(True, 0), (False, 0), (True, 500)])
async def test_a_room_that_is_not_known_is_read_first(commands: bool, code: int) -> None:
    """Its viewers never see a command, also where the store cannot say whether it has any."""
    async with stage() as made:
        ann, eve = await connected(made, "ann"), await connected(made, "eve", **VIEWER)
        await do(*ann, {"Action": "greenroom:SET", "Settings": {"commands": commands}})
        took(eve[1])
        made.rooms.forget(str(ROOM))
        made.store.error = StorageUnavailable("away") if code else None
        said = await answer(ann, "/mute bob")
        assert said.get("ErrorCode", 0) == code
        assert await held(made, "bob") == ({"MUTE": 0} if commands and not code else {})
        assert [each["Content"] for each in took(eve[1])] == ([] if commands else ["/mute bob"])


async def test_what_is_wrong_in_a_room_that_is_not_known() -> None:
    """The usage, as ever."""
    async with stage() as made:
        ann = await connected(made, "ann")
        made.rooms.forget(str(ROOM))
        assert (await answer(ann, "/mute"))["ErrorMessage"] == "Usage: /mute USER [REASON]"


def test_what_is_said_of_a_restriction() -> None:
    """Who, what, and for how long if it ends."""
    for seconds, said in ((0, "bob: BAN"), (90, "bob: BAN for 90 seconds")):
        asked = Restrict(
            user_id="bob",
            kind=Kind.BAN,
            seconds=seconds,
            reason="",
            request_id="r",
            by_message=False,
        )
        assert asked.said == said
