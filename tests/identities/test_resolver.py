"""From keys and session tokens to principals, as the store has them.

Covers: greenroom.identities.permissions, greenroom.model.principal
"""

from typing import Any

import pytest

from greenroom.identities.callers import Caller
from greenroom.identities.permissions import compile_policies
from greenroom.identities.resolver import Resolver
from greenroom.model.errors import ExpiredTokenException, UnrecognizedClientException
from greenroom.model.identity import (
    AccessKey,
    IdentityKind,
    KeyStatus,
    ManagedPolicy,
    PolicyVersion,
    Role,
    SessionClaims,
    User,
)
from greenroom.model.principal import AccessRequest, Outcome, PrincipalType
from greenroom.storage.memory.store import MemoryStore
from greenroom.tokens.key_ring import KeyRing
from greenroom.tokens.session_tokens import seal_session
from greenroom.vault.sealing import Sealer, key_context
from tests.stand_ins.hand_clock import START_MS, HandClock

ACCOUNT = "123456789012"
USER, ROLE = IdentityKind.USER, IdentityKind.ROLE
ALLOW = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"%s","Resource":"*"}}'


class Stage:
    """A store with a user, a role and a policy, and its resolver."""

    def __init__(self) -> None:
        self.time, self.store = HandClock(), MemoryStore().identities
        self.ring, self.sealer = KeyRing({"k": bytes(32)}, "k"), Sealer(bytes(32))
        self.resolver = Resolver(
            self.store, self.sealer, self.ring, compile_policies, self.time.clock, ["AKIAROOT"]
        )

    async def filled(self) -> "Stage":
        """Fill the store."""
        document = ALLOW % "ivschat:CreateRoom"
        version = PolicyVersion(id="v1", document=document, create_date=1)
        policy = ManagedPolicy(
            account=ACCOUNT, name="p", id="ANPA", create_date=1, update_date=1, versions=(version,)
        )
        await self.store.create_policy(policy)
        await self.store.create_user(
            User(account=ACCOUNT, name="anna", id="AIDA1", create_date=1, tags={"team": "a"})
        )
        await self.store.create_role(
            Role(
                account=ACCOUNT,
                name="mod",
                id="AROA1",
                create_date=1,
                path="/x/",
                trust_policy="{}",
                tags={"team": "r", "level": "1"},
            )
        )
        await self.store.attach_policy(ACCOUNT, USER, "anna", policy.arn)
        await self.store.put_inline_policy(ACCOUNT, ROLE, "mod", "i", ALLOW % "ivschat:*")
        await self.store.create_access_key(
            AccessKey(
                access_key_id="AKIA1",
                account=ACCOUNT,
                user_name="anna",
                sealed_secret=self.sealer.seal(key_context("AKIA1"), b"secret"),
                create_date=1,
            )
        )
        return self

    async def session(self, **members: Any) -> Caller:
        """Resolve temporary credentials of the role, or of who else is said."""
        claims = {
            "access_key_id": "ASIA1",
            "secret_access_key": "temporary",
            "account": ACCOUNT,
            "issued": START_MS,
            "expires": START_MS + 3_600_000,
            "kind": ROLE,
            "name": "mod",
            "identity_id": "AROA1",
            "session_name": "night",
            **members,
        }
        token = seal_session(self.ring, SessionClaims(**claims), bytes(12))
        return await self.resolver.resolve("ASIA1", token)


@pytest.fixture
async def stage() -> Stage:
    """Give a filled stage."""
    return await Stage().filled()


def outcome(caller: Caller, action: str) -> Outcome:
    """Return what the caller's policies say."""
    request = AccessRequest(action, "arn:aws:ivschat:us-east-1:123456789012:room/a", {})
    return caller.principal.permissions.decide(request).outcome


async def test_a_users_key(stage: Stage) -> None:
    """A key is its user with all policies, and knows its secret."""
    caller = await stage.resolver.resolve("AKIA1", None)
    principal = caller.principal
    assert (caller.secret_access_key, caller.notes_use) == ("secret", True)
    assert (principal.type, principal.user_id, principal.user_name) == (
        (PrincipalType.USER, "AIDA1", "anna")
    )
    assert (principal.arn, principal.tags) == ((f"arn:aws:iam::{ACCOUNT}:user/anna", {"team": "a"}))
    assert principal.token_issued is None
    assert outcome(caller, "ivschat:CreateRoom") is Outcome.ALLOW
    assert outcome(caller, "ivschat:DeleteRoom") is Outcome.IMPLICIT_DENY


async def test_keys_that_are_not_good(stage: Stage) -> None:
    """Inactive, deleted and unknown keys are refused alike."""
    await stage.store.update_access_key(ACCOUNT, "anna", "AKIA1", KeyStatus.INACTIVE)
    for key_id in ("AKIA1", "AKIA2"):
        with pytest.raises(UnrecognizedClientException):
            await stage.resolver.resolve(key_id, None)
    await stage.store.delete_access_key(ACCOUNT, "anna", "AKIA1")
    with pytest.raises(UnrecognizedClientException):
        await stage.resolver.resolve("AKIA1", None)


async def test_an_assumed_role(stage: Stage) -> None:
    """A session has the role's permissions, its own ARN and id, and both's tags."""
    caller = await stage.session(tags={"team": "s"}, parent_key_id="AKIA1")
    principal = caller.principal
    assert caller.secret_access_key == "temporary"
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/mod/night"
    assert principal.principal_arn == f"arn:aws:iam::{ACCOUNT}:role/x/mod"
    assert (principal.type, principal.user_id) == (PrincipalType.ASSUMED_ROLE, "AROA1:night")
    assert principal.tags == {"team": "s", "level": "1"}
    assert principal.token_issued is not None
    assert principal.token_issued.timestamp() * 1000 == START_MS
    assert outcome(caller, "ivschat:DeleteRoom") is Outcome.ALLOW


async def test_session_policies_narrow(stage: Stage) -> None:
    """Only what identity and session both allow is allowed; a policy that is gone: nothing."""
    arn = f"arn:aws:iam::{ACCOUNT}:policy/p"
    for narrow in ({"policy": ALLOW % "ivschat:CreateRoom"}, {"policy_arns": (arn,)}):
        caller = await stage.session(**narrow)
        assert outcome(caller, "ivschat:CreateRoom") is Outcome.ALLOW
        assert outcome(caller, "ivschat:DeleteRoom") is Outcome.IMPLICIT_DENY
    caller = await stage.session(policy_arns=(arn + "x",))
    assert outcome(caller, "ivschat:CreateRoom") is Outcome.IMPLICIT_DENY


async def test_users_and_roots_sessions(stage: Stage) -> None:
    """GetSessionToken's credentials are the user's, or the root's, own."""
    caller = await stage.session(kind=USER, name="anna", identity_id="AIDA1", parent_key_id="AKIA1")
    assert caller.principal.user_name == "anna"
    assert caller.principal.token_issued is not None
    caller = await stage.session(kind=None, name="", identity_id="", parent_key_id="AKIAROOT")
    assert caller.principal.is_root


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"expires": START_MS}, ExpiredTokenException),
        ({"name": "other"}, UnrecognizedClientException),
        ({"identity_id": "AROA2"}, UnrecognizedClientException),
        ({"access_key_id": "ASIA2"}, UnrecognizedClientException),
        ({"parent_key_id": "AKIA2"}, UnrecognizedClientException),
        ({"parent_key_id": "AKIA1", "parent_key_created": 2}, UnrecognizedClientException),
        ({"sessions_ended": 1}, ExpiredTokenException),
    ],
)
async def test_credentials_that_are_not_good(
    stage: Stage, members: dict[str, Any], error: type[Exception]
) -> None:
    """Expired, of a role that is gone or another one, of another key, of sessions that were ended.

    Nor do they go back to a key that is gone, or to another one of the same name.
    """
    with pytest.raises(error):
        await stage.session(**members)


async def test_sessions_that_are_ended(stage: Stage) -> None:
    """Those of before are refused, whenever they began; those of after are good."""
    caller = await stage.session(parent_key_id="AKIA1", parent_key_created=1)
    assert caller.principal.user_id == "AROA1:night"
    root = {"kind": None, "name": "", "identity_id": ""}
    await stage.store.end_sessions(ACCOUNT, ROLE, "mod")
    await stage.store.end_sessions(ACCOUNT, None, "")
    for members in ({}, root):
        with pytest.raises(ExpiredTokenException):
            await stage.session(issued=START_MS + 1, **members)
        await stage.session(sessions_ended=1, **members)


async def test_a_session_policy_is_the_one_that_was_named(stage: Stage) -> None:
    """By its id: another one of that name, made later, gives nothing."""
    arn = f"arn:aws:iam::{ACCOUNT}:policy/p"
    for policy_id, expected in (("ANPA", Outcome.ALLOW), ("ANPB", Outcome.IMPLICIT_DENY)):
        caller = await stage.session(policy_arns=(arn,), policy_ids=(policy_id,))
        assert outcome(caller, "ivschat:CreateRoom") is expected


async def test_both_kinds_of_session_policies(stage: Stage) -> None:
    """What either of them allows is allowed."""
    arn = f"arn:aws:iam::{ACCOUNT}:policy/p"
    both = {"policy": ALLOW % "ivschat:DeleteRoom", "policy_arns": (arn,)}
    caller = await stage.session(**both)
    for action, expected in (
        ("CreateRoom", Outcome.ALLOW),
        ("DeleteRoom", Outcome.ALLOW),
        ("GetRoom", Outcome.IMPLICIT_DENY),
    ):
        assert outcome(caller, f"ivschat:{action}") is expected


async def test_revocation(stage: Stage) -> None:
    """Older credentials are refused, newer ones are not; an inactive parent ends them all."""
    await stage.store.revoke_sessions(ACCOUNT, ROLE, "mod", START_MS)
    await stage.session()
    await stage.store.revoke_sessions(ACCOUNT, ROLE, "mod", START_MS + 1)
    with pytest.raises(ExpiredTokenException):
        await stage.session()
    await stage.session(issued=START_MS + 1, parent_key_id="AKIA1")
    await stage.store.update_access_key(ACCOUNT, "anna", "AKIA1", KeyStatus.INACTIVE)
    with pytest.raises(UnrecognizedClientException):
        await stage.session(issued=START_MS + 1, parent_key_id="AKIA1")
    await stage.store.revoke_sessions(ACCOUNT, None, "", START_MS + 1)
    with pytest.raises(ExpiredTokenException):
        await stage.session(kind=None, name="", identity_id="")


async def test_tokens_that_are_none(stage: Stage) -> None:
    """Any text is refused without asking the store."""
    for token in ("", "x", "a.b", "é", "x" * 5000):
        with pytest.raises(UnrecognizedClientException):
            await stage.resolver.resolve("AKIA1", token)
