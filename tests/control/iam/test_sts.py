"""The operations of STS, as botocore sees them, and what the credentials are good for.

Covers: greenroom.control.iam.sts_trust
"""

import json
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from greenroom.identities.callers import Caller
from greenroom.model.errors import ExpiredTokenException, UnrecognizedClientException
from greenroom.model.identity import IdentityKind, Role
from greenroom.model.principal import AccessRequest, Outcome, PrincipalType
from tests.control.iam_caller import ACCOUNT, ROOT, IamCaller, Refused, policy, trust

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
ASSUME = policy("sts:AssumeRole")


async def code(calling: Any) -> str:
    """Return the code of a refusal."""
    with pytest.raises(Refused) as error:
        await calling
    return error.value.code


async def with_role(document: str | None = None, **options: Any) -> IamCaller:
    """Return an account with a role that may create rooms."""
    iam = IamCaller()
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=document or trust(), **options)
    await iam(
        "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=policy("ivschat:*", "sts:*")
    )
    return iam


async def assume(iam: IamCaller, caller: Any, **parameters: Any) -> Caller:
    """Return who somebody becomes by assuming the role."""
    named = {"RoleArn": ROLE, "RoleSessionName": "session", **parameters}
    answer = await iam.sts("AssumeRole", caller, **named)
    return await iam.session(answer["Credentials"])


async def shown_trust(iam: IamCaller) -> object:
    """Return the principals of the role's trust policy as GetRole shows them."""
    document = (await iam("GetRole", RoleName="r"))["Role"]["AssumeRolePolicyDocument"]
    found = document if isinstance(document, dict) else json.loads(unquote(document))
    return found["Statement"][0]["Principal"]


def may(caller: Caller, action: str) -> bool:
    """Return whether the caller may do something."""
    request = AccessRequest(action, "arn:aws:ivschat:us-east-1:123456789012:room/*", {})
    return caller.principal.permissions.decide(request).outcome is Outcome.ALLOW


async def test_get_caller_identity() -> None:
    """Everybody may ask who they are."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    assert await iam.sts("GetCallerIdentity", anna) == {
        "UserId": anna.user_id,
        "Account": ACCOUNT,
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/anna",
    }
    session = await assume(iam, anna)
    found = await iam.sts("GetCallerIdentity", session)
    assert found["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session"
    assert found["UserId"].endswith(":session")


async def test_assume_role() -> None:
    """Who assumes a role has its permissions, and not their own, until the session ends."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    answer = await iam.sts("AssumeRole", anna, RoleArn=ROLE, RoleSessionName="session")
    assert "PackedPolicySize" not in answer
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert credentials["Expiration"].timestamp() == int(iam.time.clock.now()) + 3600
    session = await iam.session(credentials)
    assert session.principal.arn == answer["AssumedRoleUser"]["Arn"]
    assert session.principal.user_id == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert session.principal.type is PrincipalType.ASSUMED_ROLE
    assert may(session, "ivschat:CreateRoom")
    assert not may(session, "iam:CreateUser")
    iam.time.advance(3600)
    with pytest.raises(ExpiredTokenException):
        await iam.session(credentials)


async def test_revoking_the_key_ends_what_it_began() -> None:
    """Temporary credentials end with the long-term key that they go back to."""
    iam = await with_role()
    await iam("CreateUser", UserName="anna")
    await iam("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=ASSUME)
    key = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]
    anna = await iam.resolver.resolve(key["AccessKeyId"], None)
    named = {"RoleArn": ROLE, "RoleSessionName": "session"}
    first = (await iam.sts("AssumeRole", anna, **named))["Credentials"]
    chained = (await iam.sts("AssumeRole", await iam.session(first), **named))["Credentials"]
    await iam.session(chained)
    status: dict[str, Any] = {"AccessKeyId": key["AccessKeyId"], "Status": "Inactive"}
    await iam("UpdateAccessKey", UserName="anna", **status)
    for credentials in (first, chained):
        with pytest.raises(UnrecognizedClientException):
            await iam.session(credentials)


async def test_another_key_under_the_same_id_revives_nothing() -> None:
    """A file may give a key's id to another user's: what the first one began stays ended."""
    iam = await with_role()
    for name in ("anna", "bob"):
        await iam("CreateUser", UserName=name)
        await iam("PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=ASSUME)
    key_id = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]["AccessKeyId"]
    named = {"RoleArn": ROLE, "RoleSessionName": "session"}

    async def begun() -> list[dict[str, Any]]:
        """Return a session of the key's user, and one that was begun from it."""
        owner = await iam.resolver.resolve(key_id, None)
        first = (await iam.sts("AssumeRole", owner, **named))["Credentials"]
        chained = await iam.sts("AssumeRole", await iam.session(first), **named)
        return [first, chained["Credentials"]]

    ended = await begun()
    kept = await iam.store.identities.find_access_key(key_id)
    await iam("DeleteAccessKey", UserName="anna", AccessKeyId=key_id)
    iam.time.advance(1)
    again = replace(kept, user_name="bob", create_date=iam.time.clock.now_ms())
    await iam.store.identities.create_access_key(again)
    for credentials in ended:
        with pytest.raises(UnrecognizedClientException):
            await iam.session(credentials)
    for credentials in await begun():
        await iam.session(credentials)


async def test_ended_sessions_of_a_role_are_refused() -> None:
    """What was issued until then is refused, whatever the clock says; what comes later is good."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    named = {"RoleArn": ROLE, "RoleSessionName": "session"}
    iam.time.jump(7200)  # a clock that is ahead dates sessions in the future
    before = (await iam.sts("AssumeRole", anna, **named))["Credentials"]
    iam.time.jump(-7200)
    await iam.session(before)
    await iam.store.identities.end_sessions(ACCOUNT, IdentityKind.ROLE, "r")
    with pytest.raises(ExpiredTokenException):
        await iam.session(before)
    await assume(iam, anna)
    await iam.store.identities.end_sessions(ACCOUNT, IdentityKind.ROLE, "r")
    with pytest.raises(ExpiredTokenException):
        await iam.session(before)


@pytest.mark.parametrize("kind", [IdentityKind.USER, None])
async def test_ended_sessions_of_users_and_the_root_are_refused(kind: IdentityKind | None) -> None:
    """The same of GetSessionToken; sessions of others stay."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    callers = {IdentityKind.USER: anna, None: ROOT}
    others = {IdentityKind.USER: None, None: IdentityKind.USER}
    tokens = {
        each: (await iam.sts("GetSessionToken", caller))["Credentials"]
        for each, caller in callers.items()
    }
    role = await iam.sts("AssumeRole", anna, RoleArn=ROLE, RoleSessionName="session")
    await iam.store.identities.end_sessions(ACCOUNT, kind, "anna" if kind else "")
    with pytest.raises(ExpiredTokenException):
        await iam.session(tokens[kind])
    await iam.session(tokens[others[kind]])
    await iam.session(role["Credentials"])
    await iam.session((await iam.sts("GetSessionToken", callers[kind]))["Credentials"])


@pytest.mark.parametrize(
    ("trusted", "own", "allowed"),
    [
        ({"AWS": ACCOUNT}, ASSUME, True),
        ({"AWS": ACCOUNT}, None, False),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/anna"}, None, True),
        (
            {"AWS": f"arn:aws:iam::{ACCOUNT}:user/anna"},
            policy("sts:AssumeRole", effect="Deny"),
            False,
        ),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bert"}, ASSUME, False),
        ({"AWS": "210987654321"}, ASSUME, False),
        ({"Service": "lambda.amazonaws.com"}, ASSUME, False),
    ],
    ids=["account", "account-only", "user", "user-denied", "other-user", "stranger", "service"],
)
async def test_both_sides_decide(trusted: object, own: str | None, allowed: bool) -> None:
    """A trusted account delegates to its policies, a trusted principal needs none of its own."""
    iam = await with_role()
    anna = await iam.user(document=own)
    await iam.user("bert")
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust(trusted))
    if allowed:
        await assume(iam, anna)
    else:
        assert await code(assume(iam, anna)) == "AccessDenied"


async def test_a_later_owner_of_a_name_is_not_trusted() -> None:
    """A trust policy names somebody: who has the name later is not let in, nor kept out."""
    iam = IamCaller()
    bob = await iam.user("bob")
    document = trust({"AWS": bob.arn})
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=document)
    assert await shown_trust(iam) == {"AWS": bob.arn}
    await assume(iam, bob)
    await iam("DeleteUser", UserName="bob")
    assert await shown_trust(iam) == {"AWS": [bob.user_id]}
    another = await iam.user("bob")
    assert another.arn == bob.arn
    assert await code(assume(iam, another)) == "AccessDenied"
    assert await shown_trust(iam) == {"AWS": [bob.user_id]}
    (listed,) = (await iam("ListRoles"))["Roles"]
    assert bob.user_id in listed["AssumeRolePolicyDocument"]
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=document)
    assert await shown_trust(iam) == {"AWS": another.arn}
    await assume(iam, another)


async def test_a_later_role_of_a_name_is_not_trusted() -> None:
    """Roles and single sessions of them are named by the role's id, too."""
    iam = IamCaller()
    await iam("CreateRole", RoleName="from", Path="/p/", AssumeRolePolicyDocument=trust())
    of_role = f"arn:aws:iam::{ACCOUNT}:role/p/from"
    of_session = f"arn:aws:sts::{ACCOUNT}:assumed-role/from/session"
    document = trust({"AWS": [of_role, of_session]})
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=document)
    await assume(iam, await assume(iam, ROOT, RoleArn=of_role))
    role_id = (await iam("GetRole", RoleName="from"))["Role"]["RoleId"]
    await iam("DeleteRole", RoleName="from")
    await iam("CreateRole", RoleName="from", Path="/p/", AssumeRolePolicyDocument=trust())
    another = await assume(iam, ROOT, RoleArn=of_role)
    assert await code(assume(iam, another)) == "AccessDenied"
    assert await shown_trust(iam) == {"AWS": [role_id, f"{role_id}:session"]}
    gone = trust(await shown_trust(iam))
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=gone)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/nobody",
        f"arn:aws:iam::{ACCOUNT}:user/ANNA",
        f"arn:aws:iam::{ACCOUNT}:user/x/anna",
        f"arn:aws:iam::{ACCOUNT}:role/anna",
        "arn:aws:iam::210987654321:user/anna",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody/session",
    ],
)
async def test_who_is_not_there_cannot_be_trusted(arn: str) -> None:
    """A trust policy that names nobody is refused in AWS's words, and changes nothing."""
    iam = await with_role()
    await iam.user("anna")
    saying: dict[str, Any] = {
        "RoleName": "new",
        "AssumeRolePolicyDocument": trust({"AWS": [ACCOUNT, arn]}),
    }
    for calling in (
        iam("CreateRole", **saying),
        iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust({"AWS": arn})),
    ):
        with pytest.raises(Refused) as error:
            await calling
        assert (error.value.code, error.value.message) == (
            "MalformedPolicyDocument",
            f'Invalid principal in policy: "AWS":"{arn}"',
        )
    assert await shown_trust(iam) == {"AWS": ACCOUNT}
    assert await code(iam("GetRole", RoleName="new")) == "NoSuchEntity"


async def test_a_session_is_narrowed_by_the_very_policy() -> None:
    """A managed policy that narrows a session is known by its id: a later one widens nothing."""
    iam = await with_role()
    made = await iam(
        "CreatePolicy", PolicyName="narrow", PolicyDocument=policy("ivschat:ListRooms")
    )
    arn = made["Policy"]["Arn"]
    given = {"RoleArn": ROLE, "RoleSessionName": "session", "PolicyArns": [{"arn": arn}]}
    credentials = (await iam.sts("AssumeRole", ROOT, **given))["Credentials"]
    session = await iam.session(credentials)
    assert (may(session, "ivschat:ListRooms"), may(session, "ivschat:CreateRoom")) == (True, False)
    await iam("DeletePolicy", PolicyArn=arn)
    wide = policy("ivschat:*")
    await iam("CreatePolicy", PolicyName="narrow", PolicyDocument=wide)
    session = await iam.session(credentials)
    assert not may(session, "ivschat:CreateRoom")
    assert not may(session, "ivschat:ListRooms")


async def test_a_role_that_is_not_there() -> None:
    """A role that does not exist is denied like one that may not be assumed."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    for arn in (
        ROLE + "2",
        ROLE.replace(ACCOUNT, "210987654321"),
        ROLE.replace("role/", "role/x/"),
    ):
        with pytest.raises(Refused) as error:
            await assume(iam, anna, RoleArn=arn)
        assert error.value.message == (
            f"User: {anna.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )


async def test_the_root_may_assume() -> None:
    """Other than with AWS the root assumes roles that trust its account."""
    iam = await with_role()
    session = await assume(iam, ROOT)
    assert may(session, "ivschat:CreateRoom")
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust({"AWS": "210987654321"}))
    assert await code(assume(iam, ROOT)) == "AccessDenied"


async def test_external_id() -> None:
    """A trust policy can ask for a shared secret of the caller's."""
    condition = {"StringEquals": {"sts:ExternalId": "shared"}}
    iam = await with_role(trust(Condition=condition))
    anna = await iam.user(document=ASSUME)
    assert await code(assume(iam, anna)) == "AccessDenied"
    assert await code(assume(iam, anna, ExternalId="other")) == "AccessDenied"
    await assume(iam, anna, ExternalId="shared")


async def test_the_name_of_a_session() -> None:
    """A trust policy can say how sessions may be called."""
    iam = await with_role(trust(Condition={"StringLike": {"sts:RoleSessionName": "team-*"}}))
    anna = await iam.user(document=ASSUME)
    assert await code(assume(iam, anna, RoleSessionName="other")) == "AccessDenied"
    await assume(iam, anna, RoleSessionName="team-a")


async def test_durations() -> None:
    """A session lasts as long as asked, at most what the role says, an hour when chained."""
    iam = await with_role(MaxSessionDuration=7200)
    anna = await iam.user(document=ASSUME)
    session = await assume(iam, anna, DurationSeconds=7200)
    assert session.session is not None
    assert session.session.expires - session.session.issued == 7_200_000
    assert await code(assume(iam, anna, DurationSeconds=7201)) == "ValidationError"
    assert await code(assume(iam, session, DurationSeconds=3601)) == "ValidationError"
    await assume(iam, session, DurationSeconds=3600)


async def test_session_policies_narrow() -> None:
    """A session may do what both the role and the session's policies allow."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    document = policy("ivschat:GetRoom", "iam:*")
    made = await iam("CreatePolicy", PolicyName="p", PolicyDocument=policy("ivschat:ListRooms"))
    arns = [{"arn": made["Policy"]["Arn"]}]
    session = await assume(iam, anna, Policy=document, PolicyArns=arns)
    assert may(session, "ivschat:GetRoom")
    assert may(session, "ivschat:ListRooms")
    assert not may(session, "ivschat:CreateRoom")
    assert not may(session, "iam:CreateUser")
    assert await code(assume(iam, anna, Policy="{}")) == "MalformedPolicyDocument"
    missing = assume(iam, anna, PolicyArns=[{"arn": f"arn:aws:iam::{ACCOUNT}:policy/none"}])
    assert await code(missing) == "NoSuchEntity"
    answer = await iam.sts("AssumeRole", anna, RoleArn=ROLE, RoleSessionName="s1", Policy=document)
    assert 0 < answer["PackedPolicySize"] < 100


async def test_session_policies_that_do_not_fit() -> None:
    """A session token has a largest size, and what does not fit into it is refused."""
    iam = await with_role()
    anna = await iam.user(document=ASSUME)
    actions = [f"{sha256(bytes([number])).hexdigest()}" for number in range(100)]
    values = ["".join(actions[place::25]) for place in range(50)]
    tags = [{"Key": f"k{number}", "Value": each[:256]} for number, each in enumerate(values)]
    both = trust(None, "sts:AssumeRole", "sts:TagSession")
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=both)
    root = assume(iam, ROOT, Policy=policy(*(f"a:{each}" for each in actions[:20])), Tags=tags)
    assert await code(root) == "PackedPolicyTooLarge"
    await assume(iam, anna, Policy=policy("ivschat:*").ljust(2048))
    # However well it packs, it would be kept unpacked for as long as the session is known.
    assert await code(assume(iam, anna, Policy=policy("ivschat:*").ljust(2049))) == (
        "ValidationError"
    )


async def test_session_tags() -> None:
    """Tags need sts:TagSession on both sides; transitive ones are handed on and stay."""
    iam = await with_role()
    anna = await iam.user(document=policy("sts:*"))
    tags = [{"Key": "team", "Value": "a"}, {"Key": "own", "Value": "b"}]
    assert await code(assume(iam, anna, Tags=tags)) == "AccessDenied"
    both = trust(None, "sts:AssumeRole", "sts:TagSession")
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=both)
    session = await assume(iam, anna, Tags=tags, TransitiveTagKeys=["team"])
    assert session.principal.tags == {"team": "a", "own": "b"}
    following = await assume(iam, session)
    assert following.principal.tags == {"team": "a"}
    changed = assume(iam, following, Tags=[{"Key": "Team", "Value": "x"}])
    assert await code(changed) == "ValidationError"
    missing = assume(iam, anna, Tags=tags, TransitiveTagKeys=["none"])
    assert await code(missing) == "ValidationError"


async def test_a_trust_policy_sees_which_tags_are_handed_on() -> None:
    """It may ask for them, as for the session's name; without any there is nothing to match."""
    handed_on = {"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": ["team"]}}
    document = trust(None, "sts:AssumeRole", "sts:TagSession", Condition=handed_on)
    iam = await with_role(document)
    anna = await iam.user(document=policy("sts:*"))
    tags = [{"Key": "team", "Value": "a"}, {"Key": "own", "Value": "b"}]
    await assume(iam, anna, Tags=tags, TransitiveTagKeys=["own", "team"])
    for keys in (["own"], []):
        assert await code(assume(iam, anna, Tags=tags, TransitiveTagKeys=keys)) == "AccessDenied"
    none = trust(None, Condition={"Null": {"sts:TransitiveTagKeys": "true"}})
    await iam("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=none)
    await assume(iam, anna)


async def test_tags_that_are_handed_on_need_permission_in_each_role() -> None:
    """A role that lets nobody set session tags keeps its own against those of an earlier role."""
    iam = await with_role(trust(None, "sts:AssumeRole", "sts:TagSession"))
    kept = [{"Key": "team", "Value": "secret"}]
    await iam("CreateRole", RoleName="q", AssumeRolePolicyDocument=trust(), Tags=kept)
    anna = await iam.user(document=policy("sts:*"))
    tags = [{"Key": "team", "Value": "secret"}]
    plain = await assume(iam, anna, Tags=tags)
    other = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/q"}
    assert (await assume(iam, plain, **other)).principal.tags == {"team": "secret"}
    handing_on = await assume(iam, anna, Tags=tags, TransitiveTagKeys=["team"])
    assert await code(assume(iam, handing_on, **other)) == "AccessDenied"


async def test_session_tags_take_the_place_of_the_role_s() -> None:
    """A tag in another case is the same tag: it never stands beside the role's."""
    both = trust(None, "sts:AssumeRole", "sts:TagSession")
    iam = await with_role(both, Tags=[{"Key": "Team", "Value": "role"}])
    anna = await iam.user(document=policy("sts:*"))
    tags = [{"Key": "tEAM", "Value": "session"}]
    session = await assume(iam, anna, Tags=tags, TransitiveTagKeys=["teaM"])
    assert session.principal.tags == {"Team": "session"}
    assert (await assume(iam, session)).principal.tags == {"Team": "session"}


async def test_get_session_token() -> None:
    """A user's own temporary credentials are the user, without IAM and without more of them."""
    iam = IamCaller()
    await iam("CreateUser", UserName="anna")
    await iam("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=policy("*"))
    key = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]
    anna = await iam.resolver.resolve(key["AccessKeyId"], None)
    answer = await iam.sts("GetSessionToken", anna, DurationSeconds=900)
    session = await iam.session(answer["Credentials"])
    assert session.principal.arn == anna.principal.arn
    assert may(session, "ivschat:CreateRoom")
    assert await code(iam("CreateAccessKey", session)) == "InvalidClientTokenId"
    assert await code(iam.sts("GetSessionToken", session)) == "AccessDenied"


async def test_session_token_of_the_root() -> None:
    """The root's temporary credentials last an hour at most."""
    iam = IamCaller()
    answer = await iam.sts("GetSessionToken", DurationSeconds=129_600)
    session = await iam.session(answer["Credentials"])
    assert session.principal.is_root
    assert answer["Credentials"]["Expiration"].timestamp() == int(iam.time.clock.now()) + 3600
    assert await code(iam("ListUsers", session)) == "InvalidClientTokenId"


@pytest.mark.parametrize("operation", ["AssumeRole", "GetSessionToken"])
async def test_what_is_not_supported_is_refused(operation: str) -> None:
    """Multi-factor authentication is refused rather than ignored."""
    iam = await with_role()
    parameters: dict[str, Any] = {"SerialNumber": "GAHT12345678", "TokenCode": "123456"}
    if operation == "AssumeRole":
        parameters |= {"RoleArn": ROLE, "RoleSessionName": "s1"}
    assert await code(iam.sts(operation, **parameters)) == "ValidationError"


async def test_how_long_a_session_of_a_user_is() -> None:
    """Twelve hours unless the request says less; the root's as short as it is asked for."""
    iam = IamCaller()
    await iam("CreateUser", UserName="anna")
    key = (await iam("CreateAccessKey", UserName="anna"))["AccessKey"]
    anna = await iam.resolver.resolve(key["AccessKeyId"], None)
    now = int(iam.time.clock.now())
    for caller, asked, seconds in (
        (anna, {}, 43_200),
        (anna, {"DurationSeconds": 900}, 900),
        (ROOT, {}, 3600),
        (ROOT, {"DurationSeconds": 900}, 900),
    ):
        found = (await iam.sts("GetSessionToken", caller, **asked))["Credentials"]
        assert found["Expiration"].timestamp() == now + seconds


async def test_how_full_a_session_token_is() -> None:
    """Whatever narrows or tags a session, the answer says how much of the largest size it takes."""
    iam = await with_role(trust(None, "sts:AssumeRole", "sts:TagSession"))
    made = await iam("CreatePolicy", PolicyName="p", PolicyDocument=policy("ivschat:ListRooms"))
    for narrowing in (
        {"Policy": policy("ivschat:GetRoom")},
        {"PolicyArns": [{"arn": made["Policy"]["Arn"]}]},
        {"Tags": [{"Key": "team", "Value": "a"}]},
        {"Tags": [{"Key": str(n), "Value": sha256(bytes([n])).hexdigest()} for n in range(50)]},
    ):
        answer = await iam.sts(
            "AssumeRole", ROOT, RoleArn=ROLE, RoleSessionName="session", **narrowing
        )
        size = len(answer["Credentials"]["SessionToken"])
        assert answer["PackedPolicySize"] == 100 * size // 4096


async def test_ten_policies_narrow_a_session() -> None:
    """No more can be given, and as many can."""
    iam = await with_role()
    made = await iam("CreatePolicy", PolicyName="p", PolicyDocument=policy("ivschat:ListRooms"))
    arns = [{"arn": made["Policy"]["Arn"]}] * 11
    assert may(await assume(iam, ROOT, PolicyArns=arns[:10]), "ivschat:ListRooms")
    assert await code(assume(iam, ROOT, PolicyArns=arns)) == "ValidationError"


@pytest.mark.parametrize(
    "parameters",
    [
        {"SourceIdentity": "anna"},
        {
            "ProvidedContexts": [
                {"ProviderArn": "arn:aws:iam::aws:contextProvider/x", "ContextAssertion": "abcd"}
            ]
        },
    ],
)
async def test_what_else_is_not_supported(parameters: dict[str, Any]) -> None:
    """What would be kept with the session, and is not, is refused rather than ignored."""
    iam = await with_role()
    assert await code(assume(iam, ROOT, **parameters)) == "ValidationError"


async def test_a_role_of_another_account() -> None:
    """Trust alone is not enough there: the caller's own policies must allow it, too."""
    iam, other = IamCaller(), "210987654321"
    anna = await iam.user()
    allowed = await iam.user("bert", ASSUME)
    trusted = {each.arn: each.user_id for each in (anna, allowed)}
    role = Role(
        account=other,
        name="r",
        id="AROAOTHER",
        create_date=1,
        trust_policy=trust({"AWS": list(trusted)}),
        trusted=dict.fromkeys(trusted, ""),
    )
    await iam.store.identities.create_role(role)
    assert await code(assume(iam, anna, RoleArn=role.arn)) == "AccessDenied"
    session = await assume(iam, allowed, RoleArn=role.arn)
    assert session.account == other
