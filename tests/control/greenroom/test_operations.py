"""Greenroom's own operations: what they do, and which permission each of them needs.

Covers: greenroom.control.greenroom.requests, greenroom.control.greenroom.reviews
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.aws import own_service
from greenroom.bus.memory import MemoryBus
from greenroom.control.greenroom import authorize as permission
from greenroom.control.greenroom.call import GreenroomCall, GreenroomServices
from greenroom.control.greenroom.operations import OPERATIONS, is_path
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import root_principal
from greenroom.model.errors import AccessDeniedException
from greenroom.model.identity import IdentityKind
from greenroom.model.principal import Principal
from greenroom.policies.request_context import RequestFacts
from greenroom.review.recent import RecentReviews
from greenroom.tokens.key_ring import CHAT_PURPOSE, TokenForeign
from greenroom.vault.token_keys import TokenKeys
from greenroom.vault.vault import Vault
from tests.control.iam_caller import ACCOUNT, IamCaller, policy, trust
from tests.stand_ins.loose_tasks import LooseTasks

FACTS = RequestFacts(region="us-east-1", now=datetime(2026, 1, 1, tzinfo=UTC))


class Operator:
    """Calls of the operations on a store in memory."""

    def __init__(self) -> None:
        self.iam = IamCaller()
        self.ended: list[tuple[IdentityKind | None, str]] = []
        self.bus = MemoryBus()

    async def begin(self) -> "Operator":
        """Open the keys."""
        await self.bus.start()
        store, clock = self.iam.store, self.iam.time.clock
        self.reviews = RecentReviews(clock)
        nothing: Any = None
        sealer = self.iam.services.sealer
        self.keys = await TokenKeys.open(
            Vault(store.secrets, sealer), self.bus, clock, LooseTasks()
        )
        self.services = GreenroomServices(
            keys=self.keys,
            accounts=Accounts(store.identities, self.bus, clock),
            identities=store.identities,
            end_sessions=self.end,
            reviews=self.reviews,
            rooms=store.rooms,
            tags=store.tags,
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
            clock=clock,
        )
        return self

    async def end(self, kind: IdentityKind | None, name: str) -> None:
        """Note whose sessions are ended."""
        self.ended.append((kind, name))

    def call(self, principal: Principal, **parameters: object) -> GreenroomCall:
        """Return a call."""
        return GreenroomCall(
            services=self.services,
            principal=principal,
            parameters=dict(parameters),
            facts=FACTS,
        )

    async def does(self, operation: str, **parameters: object) -> Any:
        """Perform an operation as the root."""
        return await OPERATIONS[operation].handler(self.call(root_principal(ACCOUNT), **parameters))

    async def may(self, who: Principal, operation: str, **parameters: object) -> bool:
        """Return whether a user may perform an operation."""
        try:
            await permission.authorize(self.call(who, **parameters), operation, FACTS)
        except AccessDeniedException:
            return False
        return True


@pytest.fixture
async def operator() -> Operator:
    """Give an operator."""
    return await Operator().begin()


async def test_the_account(operator: Operator) -> None:
    """It is suspended and resumed, and each answer says how it is then."""
    for operation, suspended in (
        ("ShowAccount", False),
        ("SuspendAccount", True),
        ("ShowAccount", True),
        ("ResumeAccount", False),
        ("ShowAccount", False),
    ):
        answer = await operator.does(operation)
        assert (answer.account, answer.suspended) == (ACCOUNT, suspended)


async def test_token_keys(operator: Operator) -> None:
    """A new key seals from now on; what a killed one sealed is refused."""
    (first,) = (await operator.does("ListTokenKeys")).token_keys
    sealed = operator.keys.ring.seal(CHAT_PURPOSE, b"x", bytes(12))
    after = (await operator.does("RotateTokenKey")).token_keys
    assert [each.id for each in after[1:]] == [first.id]
    assert operator.keys.ring.open(CHAT_PURPOSE, sealed) == b"x"
    left = (await operator.does("KillTokenKey", keyId=first.id)).token_keys
    assert [each.id for each in left] == [after[0].id]
    with pytest.raises(TokenForeign):
        operator.keys.ring.open(CHAT_PURPOSE, sealed)


def test_what_is_a_path_of_an_operation() -> None:
    """Each of the service model's; the prefix alone is none."""
    assert all(is_path(each.path.encode()) for each in own_service.OPERATIONS.values())
    assert not is_path(own_service.PREFIX)
    assert not is_path(own_service.PREFIX + b"None")


async def test_sessions(operator: Operator) -> None:
    """A user's, a role's, or the root's are ended."""
    for kind, ended in (("user", IdentityKind.USER), ("role", IdentityKind.ROLE), ("root", None)):
        answer = await operator.does("EndSessions", kind=kind, name="n")
        assert (answer.kind, answer.name) == (kind, "n")
        assert operator.ended.pop() == (ended, "n")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"kind": "root"}, {}),
        ({"kind": "user", "name": "anna"}, {"UserName": "anna"}),
        ({"kind": "role", "name": "anna"}, {"RoleName": "anna"}),
    ],
)
def test_sessions_are_audited_as_in_iam(
    parameters: dict[str, object], named: dict[str, object]
) -> None:
    """A user or a role is named as IAM's operations name it."""
    also = OPERATIONS["EndSessions"].also
    assert also is not None
    assert also(parameters) == named


async def test_reviews_and_what_was_said(operator: Operator) -> None:
    """How reviews went is one permission, what was said another, that is good for a while."""
    anna = await operator.iam.user("anna", policy("greenroom:ListReviews"))
    assert await operator.may(anna, "ListReviews")
    assert not await operator.may(anna, "RevealReviews")
    page = await operator.does("ListReviews", cursor=None, reveal=None)
    assert (page.missed, list(page.reviews)) == (0, [])
    revealed = await operator.does("RevealReviews")
    assert revealed.seconds == 300
    assert OPERATIONS["ListReviews"].reads
    assert not OPERATIONS["RevealReviews"].reads


async def test_how_a_request_is_seen(operator: Operator) -> None:
    """The answer has what policies are asked about."""
    answer = await operator.does("ShowRequest")
    assert (answer.source_ip, answer.secure, answer.region) == ("", False, "us-east-1")


async def test_permissions_are_about_a_resource(operator: Operator) -> None:
    """Each operation is allowed by its name, and on its resource only."""
    keys, account = f"arn:aws:greenroom::{ACCOUNT}:token-key/", f"arn:aws:greenroom::{ACCOUNT}:"
    anna = await operator.iam.user("anna", policy("greenroom:*", resource=keys + "a*"))
    bert = await operator.iam.user("bert", policy("greenroom:*", resource=account + "account"))
    carl = await operator.iam.user("carl", policy("greenroom:*", resource=keys + "*"))
    assert await operator.may(anna, "KillTokenKey", keyId="abc")
    assert not await operator.may(anna, "KillTokenKey", keyId="bcd")
    assert not await operator.may(anna, "KillTokenKey")
    for operation in ("SuspendAccount", "ResumeAccount", "ShowAccount"):
        assert await operator.may(bert, operation)
        assert not await operator.may(carl, operation)
    for operation in ("RotateTokenKey", "ListTokenKeys"):
        assert await operator.may(carl, operation)
        assert not await operator.may(anna, operation)
        assert not await operator.may(bert, operation)


async def test_permissions_to_end_sessions(operator: Operator) -> None:
    """They ask about the user or role as it is kept, with its path and its tags."""
    iam = operator.iam
    tags: Any = [{"Key": "team", "Value": "a"}]
    await iam("CreateUser", UserName="Web", Path="/app/", Tags=tags)
    await iam("CreateRole", RoleName="Web", Path="/app/", AssumeRolePolicyDocument=trust())
    arn = f"arn:aws:iam::{ACCOUNT}:"
    on_path = await iam.user("a", policy("greenroom:EndSessions", resource=arn + "user/app/Web"))
    on_role = await iam.user("b", policy("greenroom:EndSessions", resource=arn + "role/app/Web"))
    on_root = await iam.user("c", policy("greenroom:EndSessions", resource=arn + "root"))
    on_none = await iam.user("d", policy("greenroom:EndSessions", resource=arn + "user/none"))
    team = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    on_tags = await iam.user("e", policy("greenroom:*", Condition=team))
    wanted = {
        ("user", "web"): [on_path, on_tags],
        ("role", "web"): [on_role],
        ("root", ""): [on_root],
        ("user", "none"): [on_none],
    }
    for (kind, name), allowed in wanted.items():
        for who in (on_path, on_role, on_root, on_none, on_tags):
            may = await operator.may(who, "EndSessions", kind=kind, name=name)
            assert may is any(who is each for each in allowed), (kind, name, who)
    # Tags are those of whom it is about: no other operation has any.
    assert not await operator.may(on_tags, "ShowAccount", kind="user", name="web")
