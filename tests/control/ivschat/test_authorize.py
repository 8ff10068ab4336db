from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.control.ivschat.authorize import authorize
from greenroom.control.room_tags import tags_in_store
from greenroom.model.arn import Arn
from greenroom.model.errors import AccessDeniedException, ResourceNotFoundException
from greenroom.model.principal import Permissions, Principal, PrincipalType
from greenroom.model.room import Room
from greenroom.policies.decision import NO_POLICIES, CompiledPolicies
from greenroom.policies.ivschat_access import ACCESS
from greenroom.policies.request_context import RequestFacts
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.policies import policies, policy

ACCOUNT, REGION = "123456789012", "us-east-1"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
FACTS = RequestFacts(region=REGION, now=datetime(2026, 1, 2, tzinfo=UTC), source_ip="10.1.2.3")
TAGS = {"Team": "red"}
RESOURCE_TAGS = {"Stage": "test"}
NO_ALLOW = "because no identity-based policy allows the ivschat:{} action"
DENY = "with an explicit deny in an identity-based policy"
ALLOWED = ""


def caller(permissions: Permissions) -> Principal:
    """Return a user with these permissions."""
    return Principal(
        arn=ALICE,
        account=ACCOUNT,
        type=PrincipalType.USER,
        user_id="AIDA1",
        user_name="alice",
        permissions=permissions,
    )


def arn_of(operation: str, region: str = REGION, name: str = "AbCdEf123456") -> str:
    """Return the ARN of a resource that the operation takes."""
    return f"arn:aws:ivschat:{region}:{ACCOUNT}:{ACCESS[operation].types[-1]}/{name}"


def parameters_of(operation: str) -> dict[str, object]:
    """Return parameters with the resource and the tags that the operation takes."""
    access = ACCESS[operation]
    found: dict[str, object] = {access.parameter: arn_of(operation)} if access.parameter else {}
    if access.tags:
        found[access.tags] = TAGS if access.tags == "tags" else list(TAGS)
    return found


async def no_tags(_: str) -> Mapping[str, str]:
    """Fail: nothing in the policy looks at tags."""
    raise AssertionError("tags were fetched without need")


async def stage_tags(_: str) -> Mapping[str, str]:
    """Return the tags of every resource."""
    return RESOURCE_TAGS


async def refusal(
    operation: str,
    *statements: Mapping[str, Any],
    tags: Any = no_tags,
    parameters: dict[str, object] | None = None,
) -> str:
    """Return why a user with these statements may not perform an operation; nothing when it may."""
    permissions = policies(*statements) if statements else NO_POLICIES
    given = parameters_of(operation) if parameters is None else parameters
    try:
        await authorize(caller(permissions), operation, given, FACTS, tags)
    except AccessDeniedException as error:
        return error.message
    return ALLOWED


def allow(operation: str, resource: object = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows an operation, and tags on what it creates."""
    actions = [f"ivschat:{operation}"]
    if ACCESS[operation].tags_on_create:
        actions.append("ivschat:TagResource")
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def on_own(operation: str, region: str = REGION) -> str:
    """Return the ARN or pattern that exactly the operation's resources have."""
    name = "AbCdEf123456" if ACCESS[operation].parameter else "*"
    return arn_of(operation, region, name)


@pytest.mark.parametrize("operation", ACCESS)
class TestEveryOperation:
    async def test_nothing_without_a_policy(self, operation: str) -> None:
        """Who has no policy may do nothing."""
        assert (await refusal(operation)).endswith(NO_ALLOW.format(operation))

    async def test_the_sentence(self, operation: str) -> None:
        """The refusal says who may not do what to which resource, and why."""
        assert await refusal(operation) == (
            f"User: {ALICE} is not authorized to perform: ivschat:{operation} "
            f"on resource: {on_own(operation)} {NO_ALLOW.format(operation)}"
        )

    async def test_exact_action_and_resource(self, operation: str) -> None:
        """The exact action on the exact resource is allowed."""
        assert await refusal(operation, allow(operation, on_own(operation))) == ALLOWED

    @pytest.mark.parametrize("action", ["*", "ivschat:*", "IVSCHAT:*"])
    async def test_wildcards(self, operation: str, action: str) -> None:
        """Wildcards in actions and resources allow."""
        statement = {"Effect": "Allow", "Action": action, "Resource": "arn:aws:ivschat:*:*:*"}
        assert await refusal(operation, statement) == ALLOWED

    async def test_another_action(self, operation: str) -> None:
        """All other actions together do not allow this one."""
        statement = {"Effect": "Allow", "NotAction": f"ivschat:{operation}", "Resource": "*"}
        assert (await refusal(operation, statement)).endswith(NO_ALLOW.format(operation))

    async def test_explicit_deny(self, operation: str) -> None:
        """A Deny wins over an Allow of everything."""
        deny = {"Effect": "Deny", "Action": f"ivschat:{operation}", "Resource": on_own(operation)}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        assert (await refusal(operation, everything, deny)).endswith(DENY)

    async def test_wrong_resource(self, operation: str) -> None:
        """Another resource's permission does not count; nor one's for what has no name yet."""
        statement = allow(operation, arn_of(operation, name="ZyXwVu654321"))
        assert (await refusal(operation, statement)).endswith(NO_ALLOW.format(operation))

    async def test_wrong_region(self, operation: str) -> None:
        """A permission in another region does not count."""
        statement = allow(operation, on_own(operation, "eu-west-1"))
        assert (await refusal(operation, statement)).endswith(NO_ALLOW.format(operation))

    async def test_resource_tags(self, operation: str) -> None:
        """What exists is asked for its tags when a policy looks at them; what is new has none."""
        for stage, fits in (("test", True), ("live", False)):
            condition = {"StringEquals": {"aws:ResourceTag/stage": stage}}
            statement = allow(operation, Condition=condition)
            found = await refusal(operation, statement, tags=stage_tags)
            assert (found == ALLOWED) is (fits and ACCESS[operation].parameter is not None)

    async def test_request_tags(self, operation: str) -> None:
        """Tags in the request can be required, where the operation has some."""
        for team, fits in (("red", True), ("blue", False)):
            condition = {"StringEquals": {"aws:RequestTag/Team": team}}
            found = await refusal(operation, allow(operation, Condition=condition))
            assert (found == ALLOWED) is (fits and ACCESS[operation].tags == "tags")

    async def test_tag_keys(self, operation: str) -> None:
        """The keys of tags can be limited; a request without tags has none."""
        condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["Cost"]}}
        found = await refusal(operation, allow(operation, Condition=condition))
        assert (found == ALLOWED) is (ACCESS[operation].tags is None)

    async def test_the_callers_facts(self, operation: str) -> None:
        """Address, time and name of the caller decide where a policy looks at them."""
        fitting = {
            "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
            "DateLessThan": {"aws:CurrentTime": "2027-01-01"},
            "StringEquals": {"aws:username": "alice", "aws:RequestedRegion": REGION},
            "Bool": {"aws:SecureTransport": "false"},
        }
        assert await refusal(operation, allow(operation, Condition=fitting)) == ALLOWED
        other = {**fitting, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
        assert await refusal(operation, allow(operation, Condition=other)) != ALLOWED

    async def test_session_policies_narrow(self, operation: str) -> None:
        """A session policy must allow, too, and is named when it does not."""
        everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
        narrow = policy({"Effect": "Allow", "Action": "iam:*", "Resource": "*"})
        session = caller(CompiledPolicies([everything], [narrow]))
        given = parameters_of(operation)
        with pytest.raises(AccessDeniedException, match=f"no session policy .*{operation} action"):
            await authorize(session, operation, given, FACTS, no_tags)
        both = caller(CompiledPolicies([everything], [everything]))
        await authorize(both, operation, given, FACTS, no_tags)


@pytest.mark.parametrize("operation", ["CreateRoom", "CreateLoggingConfiguration"])
async def test_tags_on_what_is_created_need_tag_resource(operation: str) -> None:
    """Without ivschat:TagResource, a resource can be created without tags only."""
    statement = {"Effect": "Allow", "Action": f"ivschat:{operation}", "Resource": "*"}
    assert (await refusal(operation, statement)).endswith(NO_ALLOW.format("TagResource"))
    assert await refusal(operation, statement, parameters={}) == ALLOWED


# ------------------------------------------------------------------------------ tags in a store


FOREIGN = "999999999999"


async def store_with_tagged_rooms() -> MemoryStore:
    """Return a store with one room of the same id and other tags per account and region."""
    store = MemoryStore()
    for number, arn in enumerate(ROOMS):
        await store.rooms.create(
            Room(arn=Arn.parse(arn), tags={"Room": str(number)}, create_time=1, update_time=1), 0
        )
    return store


ROOMS = (
    arn_of("GetRoom"),
    arn_of("GetRoom", "eu-west-1"),
    arn_of("GetRoom").replace(ACCOUNT, FOREIGN),
    arn_of("GetRoom", "eu-west-1").replace(ACCOUNT, FOREIGN),
)
"""Own, in another region, of another account, and both."""


@pytest.mark.parametrize(
    ("account", "region", "own"),
    [
        (ACCOUNT, REGION, 0),
        (ACCOUNT, "eu-west-1", 1),
        (FOREIGN, REGION, 2),
        (FOREIGN, "eu-west-1", 3),
    ],
)
async def test_tags_come_from_the_accounts_own_resources(
    account: str, region: str, own: int
) -> None:
    """Tags are found of a room of the account in the region, and of no other that is there."""
    tags = tags_in_store((await store_with_tagged_rooms()).tags, account, region)
    found = [await tags(arn) for arn in ROOMS]
    assert found == [{"Room": str(own)} if number == own else {} for number in range(4)]


@pytest.mark.parametrize("arn", ["*", "arn:aws:s3:::b"])
async def test_what_is_no_room_has_no_tags(arn: str) -> None:
    """No error tells of it."""
    tags = tags_in_store((await store_with_tagged_rooms()).tags, ACCOUNT, REGION)
    assert await tags(arn) == {}


async def test_a_room_that_is_not_there() -> None:
    """Its tags are unknown: what may look at them is not decided without, in favour of nobody."""
    tags = tags_in_store((await store_with_tagged_rooms()).tags, ACCOUNT, REGION)
    assert await tags(arn_of("GetRoom", name="ZyXwVu654321")) is None

    async def gone(_: str) -> None:
        return None

    gold = {"StringEquals": {"aws:ResourceTag/team": "gold"}}
    allowed = allow("DisconnectUser")
    deny = {
        "Effect": "Deny",
        "Action": "ivschat:DisconnectUser",
        "Resource": "*",
        "Condition": gold,
    }
    with pytest.raises(ResourceNotFoundException):
        await refusal("DisconnectUser", allowed, deny, tags=gone)
    assert await refusal("DisconnectUser", allowed, tags=gone) == ALLOWED
    by_tag = allow("DisconnectUser", Condition=gold)
    assert await refusal("DisconnectUser", by_tag, tags=gone) != ALLOWED


async def test_a_store_that_is_down_decides_nothing() -> None:
    """Tags that cannot be read are not missing tags: a Deny on a tag would not hold."""
    store = await store_with_tagged_rooms()
    await store.close()
    deny = {
        "Effect": "Deny",
        "Action": "ivschat:GetRoom",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/Room": "0"}},
    }
    with pytest.raises(StorageUnavailable):
        await refusal(
            "GetRoom", allow("GetRoom"), deny, tags=tags_in_store(store.tags, ACCOUNT, REGION)
        )


async def test_other_faults_are_not_missing_tags_either() -> None:
    """Only a resource that is not there has no tags; every other error ends the request."""

    async def faulty(_: str) -> Mapping[str, str]:
        raise RuntimeError("a fault of the store")

    condition = {"StringNotEquals": {"aws:ResourceTag/stage": "live"}}
    with pytest.raises(RuntimeError):
        await refusal("GetRoom", allow("GetRoom", Condition=condition), tags=faulty)
