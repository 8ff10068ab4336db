"""Who makes a request, and what is asked of the policies in force for it.

These are the values that identities, the pipeline and the policy evaluation share. Names of context
keys: IAM User Guide, "AWS global condition context keys".
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

NO_TAGS: Mapping[str, str] = MappingProxyType({})

ContextValue = str | tuple[str, ...]
"""One value, or those of a key that can hold several (`aws:TagKeys`)."""


class PrincipalType(StrEnum):
    """The kinds of principals, as `aws:PrincipalType` says them."""

    ACCOUNT = "Account"
    USER = "User"
    ASSUMED_ROLE = "AssumedRole"


class AccessRequest(msgspec.Struct, frozen=True):
    """One question to the policies: may this action be done to this resource?"""

    action: str
    """`ivschat:CreateRoom`; case does not matter."""
    resource: str
    """ARN."""
    context: Mapping[str, ContextValue]
    """Values by condition key, the keys in lower case: `aws:username`, `aws:requesttag/team`."""


class Outcome(StrEnum):
    """What policies say, in the words of SimulatePrincipalPolicy."""

    ALLOW = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


class PolicyKind(StrEnum):
    """The kinds of policies, in the words of the error messages."""

    IDENTITY = "identity-based"
    SESSION = "session"


class MatchedStatement(msgspec.Struct, frozen=True):
    """A statement that led to a decision."""

    policy_id: str
    """The policy's name or ARN, as its owner named it when it was compiled."""
    index: int
    """The place in the document's Statement, from 0."""
    sid: str | None


class Decision(msgspec.Struct, frozen=True):
    """What the policies in force say to one request, and which statements made them."""

    outcome: Outcome
    kind: PolicyKind
    """The policies that decided: those that deny, or that fail to allow."""
    statements: tuple[MatchedStatement, ...] = ()
    """Those that deny, or else those that allow; none when nothing matched."""


class Permissions(Protocol):
    """The compiled policies in force for a principal: identity-based and, maybe, of a session."""

    def decide(self, request: AccessRequest) -> Decision:
        """Return what the policies say."""

    @property
    def is_narrowed(self) -> bool:
        """Return whether session policies narrow the identity-based ones."""

    def uses_resource_tags(self, action: str) -> bool:
        """Return whether a decision on this action can depend on `aws:ResourceTag/...`."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The authenticated maker of a request.

    A user's temporary credentials of GetSessionToken are the user's own, with a time of issue.
    """

    arn: str
    """What errors and GetCallerIdentity say: `arn:aws:iam::ACCOUNT:root`, `...:user/PATH/NAME`,
    `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`."""
    account: str
    type: PrincipalType
    user_id: str
    """`aws:userid`: the account, `AIDA...`, or `AROA...:SESSION`."""
    permissions: Permissions
    """For the root: anything, it is not asked."""
    user_name: str | None = None
    """`aws:username`: of a user only."""
    role_arn: str | None = None
    """The IAM role of an assumed role: `arn:aws:iam::ACCOUNT:role/NAME`."""
    tags: Mapping[str, str] = NO_TAGS
    """`aws:PrincipalTag/...`: the tags of the user, or of the role and its session."""
    token_issued: datetime | None = None
    """`aws:TokenIssueTime`: of temporary credentials only, with a time zone."""

    @property
    def is_root(self) -> bool:
        """Return whether this is the account's root, whom no policy limits."""
        return self.type is PrincipalType.ACCOUNT

    @property
    def principal_arn(self) -> str:
        """Return `aws:PrincipalArn`: of an assumed role the role's ARN, not the session's."""
        return self.role_arn or self.arn
