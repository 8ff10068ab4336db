"""The operations that restrict users: what they answer, refuse, list and remember.

Covers: greenroom.chat.moderation
"""

from typing import Any

import msgspec
import pytest

from greenroom.bus.base import Audience, Deliver, Disconnect, RestrictionsChanged
from greenroom.model.quotas import RateProfile
from tests.stand_ins.caller import ACCOUNT, STRANGER, Caller

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
KINDS = {
    "BanUser": "BAN",
    "MuteUser": "MUTE",
    "ShadowBanUser": "SHADOW",
    "HoldUser": "HOLD",
    "MonitorUser": "MONITOR",
}


async def done(api: Caller, operation: str, **parameters: Any) -> Any:
    """Return the answer of an operation that succeeds."""
    answer = await api.call(operation, **parameters)
    assert answer.status == 200, answer.body
    return answer.body


async def listed(api: Caller, **parameters: Any) -> list[tuple[str, str]]:
    """Return who is restricted how."""
    found = await done(api, "ListRestrictions", **parameters)
    return [(each["userId"], each["kind"]) for each in found["restrictions"]]


@pytest.mark.parametrize("operation", KINDS)
async def test_a_user_is_restricted_and_free_again(operation: str) -> None:
    """For a time, with who and why; again replaces; lifting is no error where nothing holds."""
    api = await Caller().listening()
    room = await api.created()
    whom = {"roomIdentifier": room, "userId": "bob"}
    made = await done(api, operation, **whom, durationSeconds=60, reason="spam")
    assert made["restriction"] == {
        "userId": "bob",
        "kind": KINDS[operation],
        "scope": "ROOM",
        "roomIdentifier": room,
        "by": ROOT,
        "reason": "spam",
        "created": "2023-11-14T22:13:20.000Z",
        "expires": "2023-11-14T22:14:20.000Z",
    }
    again = await done(api, operation, **whom)
    assert "expires" not in again["restriction"]
    assert await listed(api, roomIdentifier=room) == [("bob", KINDS[operation])]
    card = await done(api, "GetUser", **whom)
    assert [each["kind"] for each in card["restrictions"]] == [KINDS[operation]]
    for _ in range(2):
        await done(api, "LiftRestriction", **whom, kind=KINDS[operation])
    assert await listed(api, roomIdentifier=room) == []
    card = await done(api, "GetUser", **whom)
    assert card["restrictions"] == []
    assert [each["ended"] for each in card["history"]] == [True, True, False, False]


async def test_what_expires_is_over() -> None:
    """At its millisecond; it stays in the history."""
    api = await Caller().listening()
    room = await api.created()
    await done(api, "MuteUser", roomIdentifier=room, userId="bob", durationSeconds=60)
    api.time.advance(59.999)
    assert await listed(api, roomIdentifier=room) == [("bob", "MUTE")]
    api.time.advance(0.001)
    assert await listed(api, roomIdentifier=room) == []
    card = await done(api, "GetUser", roomIdentifier=room, userId="bob")
    assert [(each["kind"], each["holds"]) for each in card["history"]] == [("MUTE", False)]


async def test_a_banned_user_gets_no_token() -> None:
    """The refusal says until when and why; in another room he does, by the account nowhere."""
    api = await Caller().listening()
    room, other = await api.created(), await api.created()
    asked = {"roomIdentifier": room, "userId": "bob"}
    await done(api, "BanUser", **asked, durationSeconds=60, reason="spam")
    answer = await api.call("CreateChatToken", **asked)
    assert answer.error() == (403, "AccessDeniedException")
    until = "2023-11-14T22:14:20Z"
    assert answer.body["message"] == f"User bob is banned from the room until {until}: spam"
    assert (await api.call("CreateChatToken", roomIdentifier=other, userId="bob")).status == 200
    assert (await api.call("CreateChatToken", roomIdentifier=room, userId="eve")).status == 200
    await done(api, "BanUser", scope="ACCOUNT", userId="bob")
    answer = await api.call("CreateChatToken", roomIdentifier=other, userId="bob")
    assert answer.body["message"] == "User bob is banned from the account"
    api.time.advance(60)
    assert (await api.call("CreateChatToken", **asked)).status == 403
    await done(api, "LiftRestriction", scope="ACCOUNT", userId="bob", kind="BAN")
    assert (await api.call("CreateChatToken", **asked)).status == 200


async def test_who_is_told() -> None:
    """The user of a ban and a mute, moderators of everything, the room of a ban alone."""
    api = await Caller().listening()
    room = await api.created()
    for operation, kind in KINDS.items():
        api.published.clear()
        await done(api, operation, roomIdentifier=room, userId="bob", durationSeconds=60)
        told = [each for each in api.published if isinstance(each, Deliver)]
        audiences = [(each.audience, each.user_id) for each in told]
        mine = [(Audience.YOU, "bob")] if kind in {"BAN", "MUTE"} else []
        assert audiences == [*mine, (Audience.MODERATORS, "")]
        item = msgspec.json.decode(msgspec.json.decode(told[-1].payload)["Attributes"]["Item"])
        assert (item["Kind"], item["UserId"], item["By"]) == (kind, "bob", ROOT)
        kicks = [each for each in api.published if isinstance(each, Disconnect)]
        assert len(kicks) == (kind == "BAN")
        for each in kicks:
            attributes = msgspec.json.decode(each.payload)["Attributes"]
            assert attributes["greenroom:until"] == "2023-11-14T22:14:20Z"


async def test_nodes_hear_of_it_before_the_user() -> None:
    """Who is told what he may not do is to find it so; a ban waits until he was told why."""
    api = await Caller().listening()
    room = await api.created()
    for operation, kind in KINDS.items():
        api.published.clear()
        await done(api, operation, roomIdentifier=room, userId="bob")
        kinds = [type(each) for each in api.published]
        assert kinds.index(RestrictionsChanged) == (len(kinds) - 1 if kind == "BAN" else 0)


async def test_notes() -> None:
    """They are in the user's history, and restrict nothing."""
    api = await Caller().listening()
    room = await api.created()
    await done(api, "AddUserNote", roomIdentifier=room, userId="bob", note="he knows Ann")
    await done(api, "AddUserNote", scope="ACCOUNT", userId="bob", note="elsewhere, too")
    card = await done(api, "GetUser", roomIdentifier=room, userId="bob")
    assert card["restrictions"] == []
    told = [each["reason"] for each in card["history"]]
    assert told == ["elsewhere, too", "he knows Ann"], "the newest first, wherever it holds"
    assert await listed(api, roomIdentifier=room) == []


@pytest.mark.parametrize("over", [0, 1, 2])
async def test_pages(over: int) -> None:
    """Each restriction is on one page, whatever is over in between."""
    api = await Caller().listening()
    room = await api.created()
    for number in range(7):
        seconds = {"durationSeconds": 5} if number % 3 == over else {}
        await done(api, "MuteUser", roomIdentifier=room, userId=f"u{number}", **seconds)
    api.time.advance(5)
    found, token = [], None
    while True:
        more: dict[str, Any] = {} if token is None else {"nextToken": token}
        page = await done(api, "ListRestrictions", roomIdentifier=room, maxResults=2, **more)
        found += [each["userId"] for each in page["restrictions"]]
        token = page.get("nextToken")
        if token is None:
            break
    left = [f"u{number}" for number in range(6, -1, -1) if number % 3 != over]
    assert found == left
    full = await done(api, "ListRestrictions", roomIdentifier=room, maxResults=len(left))
    assert (len(full["restrictions"]), "nextToken" in full) == (len(left), False)
    latest = {"roomIdentifier": room, "nextToken": "9" * 18}
    assert len((await done(api, "ListRestrictions", **latest))["restrictions"]) == len(left)


@pytest.mark.parametrize(
    ("operation", "parameters", "fields"),
    [
        ("BanUser", {}, ["userId"]),
        ("BanUser", {"userId": ""}, ["userId"]),
        ("BanUser", {"userId": "b", "durationSeconds": 0}, ["durationSeconds"]),
        ("BanUser", {"userId": "b", "durationSeconds": 31_536_001}, ["durationSeconds"]),
        ("BanUser", {"userId": "b", "reason": "x" * 257}, ["reason"]),
        ("BanUser", {"userId": "b", "scope": "ACCOUNT"}, ["roomIdentifier"]),
        ("BanUser", {"userId": "b", "roomIdentifier": None}, ["roomIdentifier"]),
        ("BanUser", {"userId": "b", "scope": "ROOM"}, ["scope"]),
        ("LiftRestriction", {"userId": "b", "kind": "NOTE"}, ["kind"]),
        ("ListRestrictions", {"nextToken": "x"}, ["nextToken"]),
        ("ListRestrictions", {"nextToken": "1" * 19}, ["nextToken"]),
        ("ListRestrictions", {"maxResults": 101}, ["maxResults"]),
        ("AddUserNote", {"userId": "b"}, ["note"]),
    ],
)
async def test_wrong_parameters(
    operation: str, parameters: dict[str, Any], fields: list[str]
) -> None:
    """Each is named, and nothing is kept."""
    api = await Caller().listening()
    room = await api.created()
    answer = await api.call(operation, **{"roomIdentifier": room, **parameters})
    assert answer.fields() == fields
    assert await listed(api, roomIdentifier=room) == []


async def test_another_accounts_users_are_its_own() -> None:
    """A room of others is not there, and a ban in one account is none in another."""
    api = await Caller().listening()
    room = await api.created()
    theirs = await api.call("CreateRoom", account=STRANGER)
    for operation in ("BanUser", "GetUser"):
        answer = await api.call(operation, account=STRANGER, roomIdentifier=room, userId="bob")
        assert answer.error() == (404, "ResourceNotFoundException")
        none = f"{room[:-12]}nosuchroom00"
        answer = await api.call(operation, roomIdentifier=none, userId="bob")
        assert answer.error() == (404, "ResourceNotFoundException")
    await done(api, "BanUser", scope="ACCOUNT", userId="bob")
    asked = {"roomIdentifier": theirs.body["arn"], "userId": "bob"}
    assert (await api.call("CreateChatToken", account=STRANGER, **asked)).status == 200


async def test_there_is_a_rate() -> None:
    """Moderators of an account do no more than so much in its rooms."""
    api = await Caller(RateProfile.OFF, moderation_rate=1).listening()
    asked = {"roomIdentifier": await api.created(), "userId": "bob"}
    statuses = [(await api.call("MuteUser", **asked)).status for _ in range(2)]
    assert statuses == [200, 429]


async def test_what_a_restriction_deletes_counts_with_it() -> None:
    """Once: what holds is not answered with 429."""
    api = await Caller(RateProfile.OFF, moderation_rate=1).listening()
    asked = {"roomIdentifier": await api.created(), "userId": "bob"}
    answers = [await api.call("MuteUser", **asked, deleteMessagesSinceSeconds=9) for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]


async def test_addresses_are_told_as_hashes() -> None:
    """Where something holds of some, with the end of each; and not when that is over."""
    api = await Caller().listening()
    room = await api.created()
    api.addresses = frozenset({"aa", "bb"})
    whom = {"roomIdentifier": room, "userId": "bob"}
    made = await done(api, "BanUser", **whom, alsoAddresses=True, durationSeconds=90_000)
    ends = "2023-11-15T22:13:20.000Z"
    expected = [{"hash": "aa", "expires": ends}, {"hash": "bb", "expires": ends}]
    assert made["restriction"]["addresses"] == expected
    (listed,) = (await done(api, "ListRestrictions", roomIdentifier=room))["restrictions"]
    assert listed["addresses"] == expected
    api.time.advance(86_400)
    (listed,) = (await done(api, "ListRestrictions", roomIdentifier=room))["restrictions"]
    assert "addresses" not in listed
    made = await done(api, "MuteUser", **whom, alsoAddresses=False)
    assert "addresses" not in made["restriction"]
    wrong = await api.call("BanUser", **whom, alsoAddresses="yes")
    assert wrong.status == 400


async def test_roles() -> None:
    """What is said of a user is on his card, also what was said before; it restricts nothing."""
    api = await Caller().listening()
    room = await api.created()
    whom = {"roomIdentifier": room, "userId": "bob"}
    assert "roles" not in await done(api, "GetUser", **whom)
    said = await done(api, "UpdateUser", **whom, roles=["vip", "subscriber", "vip"])
    assert said == {"userId": "bob", "roles": ["vip", "subscriber"]}
    await done(api, "UpdateUser", **whom, roles=[])
    card = await done(api, "GetUser", **whom)
    assert card["roles"] == card["restrictions"] == []
    found = [(each["kind"], each["roles"]) for each in card["history"]]
    assert found == [("ROLES", []), ("ROLES", ["vip", "subscriber"])]
    assert await listed(api, roomIdentifier=room) == []


@pytest.mark.parametrize("roles", [None, "vip", ["a b"], [""], ["r"] * 21, ["r" * 65], [1], ["é"]])
async def test_wrong_roles(roles: object) -> None:
    """The member and the rule, and nothing is said."""
    api = await Caller().listening()
    room = await api.created()
    given: dict[str, Any] = {} if roles is None else {"roles": roles}
    answer = await api.call("UpdateUser", roomIdentifier=room, userId="bob", **given)
    assert answer.error() == (400, "ValidationException")
    assert "oles" in str(answer.body)
    assert not await api.store.restrictions.accounts()
    missing = room[:-12] + "nosuchroom00"
    answer = await api.call("UpdateUser", roomIdentifier=missing, userId="bob", roles=[])
    assert answer.error() == (404, "ResourceNotFoundException")
