"""Which permission operations on rooms need: the room's ARN, its tags, and for how long."""

from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.control.greenroom import authorize as permission
from greenroom.control.greenroom.call import GreenroomCall, GreenroomServices
from greenroom.model.arn import Arn
from greenroom.model.errors import AccessDeniedException, ResourceNotFoundException
from greenroom.model.principal import Principal
from greenroom.policies.greenroom_access import GREENROOM_ACCESS, is_about_a_room
from greenroom.policies.request_context import RequestFacts
from tests.control.iam_caller import IamCaller, policy
from tests.stand_ins.values import PLENTY, a_room, room_arn

FACTS = RequestFacts(region="us-east-1", now=datetime(2026, 1, 1, tzinfo=UTC))
ABOUT_ROOMS = [name for name in GREENROOM_ACCESS if is_about_a_room(name)]


class Operator:
    """Who asks, on a store with one room."""

    def __init__(self) -> None:
        self.iam = IamCaller()
        self.room = str(room_arn())

    async def begin(self, **tags: str) -> "Operator":
        """Make the room, with tags."""
        made = await self.iam.store.rooms.create(a_room(), PLENTY)
        await self.iam.store.tags.add(made.arn, tags, 50)
        self.room = str(made.arn)
        return self

    async def may(self, who: Principal, operation: str, **parameters: object) -> bool:
        """Return whether a user may perform an operation on the room."""
        nothing: Any = None
        services = GreenroomServices(
            keys=nothing,
            accounts=nothing,
            identities=self.iam.store.identities,
            end_sessions=nothing,
            reviews=nothing,
            rooms=nothing,
            tags=self.iam.store.tags,
            settings=nothing,
            moderation=nothing,
            role_changes=nothing,
            kept_messages=nothing,
            posting=nothing,
            deletions=nothing,
            pins=nothing,
            schedules=nothing,
            restrictions=nothing,
            kept_restrictions=nothing,
            connections=nothing,
            presence=nothing,
            users=nothing,
            clock=nothing,
        )
        call = GreenroomCall(
            services=services,
            principal=who,
            parameters={
                name: value
                for name, value in {"roomIdentifier": self.room, **parameters}.items()
                if value is not None
            },
            facts=FACTS,
        )
        try:
            await permission.authorize(call, operation, FACTS)
        except AccessDeniedException:
            return False
        return True


@pytest.mark.parametrize("operation", ABOUT_ROOMS)
async def test_the_room_is_what_is_asked_about(operation: str) -> None:
    """By the ARN that ivschat gave it; a permission of ivschat's own is none for it."""
    scene = await Operator().begin(team="a")
    iam = scene.iam
    here = await iam.user("here", policy(f"greenroom:{operation}", resource=scene.room))
    there = await iam.user("there", policy("greenroom:*", resource=str(room_arn())))
    other = await iam.user("other", policy("ivschat:*", resource="*"))
    team = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    tagged = await iam.user("tagged", policy("greenroom:*", Condition=team))
    assert await scene.may(here, operation)
    assert not await scene.may(there, operation)
    assert not await scene.may(other, operation)
    assert await scene.may(tagged, operation)
    missing = str(room_arn())
    assert not await scene.may(here, operation, roomIdentifier=missing)
    either = {"Null": {"aws:ResourceTag/team": "true"}}
    anyone = await iam.user("anyone", policy("greenroom:*", Condition=either))
    assert not await scene.may(anyone, operation)
    with pytest.raises(ResourceNotFoundException):
        await scene.may(anyone, operation, roomIdentifier=missing)


async def test_in_all_rooms() -> None:
    """What is about the account is about every room of it; a policy may say for which scope."""
    scene = await Operator().begin()
    every = "arn:aws:ivschat:us-east-1:123456789012:room/*"
    rooms = {"StringEquals": {"greenroom:Scope": "ROOM"}}
    admin = await scene.iam.user("admin", policy("greenroom:BanUser", resource=every))
    one = await scene.iam.user("one", policy("greenroom:BanUser", resource=scene.room))
    junior = await scene.iam.user("junior", policy("greenroom:BanUser", Condition=rooms))
    for who, allowed in ((admin, True), (one, False), (junior, False)):
        assert await scene.may(who, "BanUser", roomIdentifier=None, scope="ACCOUNT") is allowed
        assert await scene.may(who, "BanUser")


async def test_when_tags_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one room, for a policy that looks at them: nothing else waits for the store."""
    scene = await Operator().begin(team="a")
    read: list[str] = []
    get = scene.iam.store.tags.get

    async def counted(arn: Arn) -> dict[str, str]:
        read.append(str(arn))
        return await get(arn)

    monkeypatch.setattr(scene.iam.store.tags, "get", counted)
    untagged = {"Null": {"aws:ResourceTag/team": "true"}}
    plain = await scene.iam.user("plain", policy("greenroom:BanUser"))
    looking = await scene.iam.user("looking", policy("greenroom:BanUser", Condition=untagged))
    assert await scene.may(plain, "BanUser")
    for who in (plain, looking):
        assert await scene.may(who, "BanUser", roomIdentifier=None, scope="ACCOUNT")
    assert read == []
    assert not await scene.may(looking, "BanUser")
    assert read == [scene.room]


async def test_a_restriction_that_deletes() -> None:
    """It needs the permission to delete what a user wrote, too, in the same room."""
    scene = await Operator().begin()
    deletes = {"deleteMessagesSinceSeconds": 60, "userId": "bob"}
    muting, deleting = policy("greenroom:MuteUser"), policy("greenroom:DeleteUserMessages")
    junior = await scene.iam.user("junior", muting)
    cleaner = await scene.iam.user("cleaner", deleting)
    senior = await scene.iam.user("senior", policy("greenroom:MuteUser", "greenroom:Delete*"))
    assert await scene.may(junior, "MuteUser", userId="bob")
    assert not await scene.may(junior, "MuteUser", **deletes)
    assert not await scene.may(cleaner, "MuteUser", **deletes)
    assert await scene.may(senior, "MuteUser", **deletes)


async def test_what_waits_is_deleted() -> None:
    """As what a restriction deletes: with the permission to delete, too."""
    scene = await Operator().begin()
    asked = {"reset": ["paused"]}
    junior = await scene.iam.user("junior", policy("greenroom:UpdateRoomSettings"))
    both = policy("greenroom:UpdateRoomSettings", "greenroom:DeleteUserMessages")
    senior = await scene.iam.user("senior", both)
    assert await scene.may(junior, "UpdateRoomSettings", **asked)
    assert await scene.may(junior, "UpdateRoomSettings", **asked, discardWaiting=False)
    assert not await scene.may(junior, "UpdateRoomSettings", **asked, discardWaiting=True)
    assert await scene.may(senior, "UpdateRoomSettings", **asked, discardWaiting=True)


async def test_in_whose_name() -> None:
    """A policy may have a bot write as itself alone, and meet what all others meet."""
    scene = await Operator().begin()
    itself = {
        "StringEquals": {"greenroom:UserId": "bot"},
        "BoolIfExists": {"greenroom:SkipChecks": "false"},
    }
    bot = await scene.iam.user("bot", policy("greenroom:SendMessage", Condition=itself))
    assert await scene.may(bot, "SendMessage", userId="bot")
    assert await scene.may(bot, "SendMessage", userId="bot", skipChecks=False)
    assert not await scene.may(bot, "SendMessage", userId="bot", skipChecks=True)
    assert not await scene.may(bot, "SendMessage", userId="ann")
    quiet = {"Null": {"greenroom:Announcement": "true"}}
    bridge = await scene.iam.user("bridge", policy("greenroom:SendMessage", Condition=quiet))
    assert await scene.may(bridge, "SendMessage", userId="ann")
    assert not await scene.may(bridge, "SendMessage", announcement="INFO")


async def test_for_how_long() -> None:
    """A policy may bound it; what has no end is not within a bound."""
    scene = await Operator().begin()
    short = {"NumericLessThanEquals": {"greenroom:DurationSeconds": "600"}}
    junior = await scene.iam.user("junior", policy("greenroom:*", Condition=short))
    assert await scene.may(junior, "UpdateRoomSettings", expiresInSeconds=600)
    assert not await scene.may(junior, "UpdateRoomSettings", expiresInSeconds=601)
    assert not await scene.may(junior, "UpdateRoomSettings")


async def test_whether_addresses_are_met() -> None:
    """A policy may leave that to some: others restrict users alone."""
    scene = await Operator().begin()
    alone = {"BoolIfExists": {"greenroom:AlsoAddresses": "false"}}
    junior = await scene.iam.user("junior", policy("greenroom:BanUser", Condition=alone))
    assert await scene.may(junior, "BanUser", userId="bob")
    assert await scene.may(junior, "BanUser", userId="bob", alsoAddresses=False)
    assert not await scene.may(junior, "BanUser", userId="bob", alsoAddresses=True)
