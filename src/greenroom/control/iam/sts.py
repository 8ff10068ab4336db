"""The operations of STS: who calls, and temporary credentials.

- Other than with AWS the root may assume roles that trust its account: a set-up begins with it.
- There is no multi-factor authentication; what asks for it is refused rather than ignored.
"""

import msgspec

from greenroom.control.iam.call import IamCall
from greenroom.control.iam.sts_trust import assumable_role
from greenroom.control.pipeline import Result
from greenroom.model.errors import AccessDeniedException, FieldError
from greenroom.model.iam_errors import PackedPolicyTooLarge, ValidationError
from greenroom.model.identity import (
    SECRET_ENTROPY_BYTES,
    IdentityKind,
    IdPrefix,
    ManagedPolicy,
    Role,
    SessionClaims,
    secret_of,
)
from greenroom.model.letter_case import without_case
from greenroom.model.principal import PrincipalType
from greenroom.policies.document import parse_identity_policy
from greenroom.tokens.key_ring import NONCE_BYTES
from greenroom.tokens.session_tokens import SessionTooLarge, seal_session

HOUR = 3600
"""Seconds of a role's session when the request does not say; at most for the root's, and for a
role's that was begun from another role's ("role chaining")."""

USER_SECONDS = 43_200
"""Seconds of a user's session when the request does not say (GetSessionToken)."""

TOKEN_CHARACTERS = 4096
"""The longest session token."""

POLICY_CHARACTERS = 2048
"""Characters of an inline session policy (AssumeRole, `Policy`). Packed, far longer ones would fit:
whoever may assume a role could fill the memory with them."""

POLICY_ARNS = 10
"""Managed policies that can narrow one session (AssumeRole, `PolicyArns`)."""

_UNSUPPORTED = ("SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts")


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whose session, and how narrow: the members of `SessionClaims` of these names."""

    account: str
    kind: IdentityKind | None
    name: str
    identity_id: str
    session_name: str = ""
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    policy_ids: tuple[str, ...] = ()
    sessions_ended: int = 0
    tags: dict[str, str] = {}
    transitive_tag_keys: tuple[str, ...] = ()


async def get_caller_identity(call: IamCall) -> Result:
    """GetCallerIdentity: allowed to everybody."""
    principal = call.principal
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


async def assume_role(call: IamCall) -> Result:
    """AssumeRole: the role's trust policy decides, with the caller's own policies."""
    _refuse_unsupported(call)
    tags = call.tags()
    handed_on = _handed_on(call, tags)
    role = await assumable_role(call, tags, handed_on)
    tags = _spelled_as(role.tags, tags)
    seconds = _role_seconds(call, role)
    policy = call.optional_text("Policy")
    if policy is not None:
        _check_policy(policy)
    narrowing = await _session_policies(call, role.account)
    inherited = _spelled_as(role.tags, handed_on)
    session = _Session(
        account=role.account,
        kind=IdentityKind.ROLE,
        name=role.name,
        identity_id=role.id,
        session_name=call.text("RoleSessionName"),
        sessions_ended=role.sessions_ended,
        policy=policy,
        policy_arns=tuple(each.arn for each in narrowing),
        policy_ids=tuple(each.id for each in narrowing),
        tags={**inherited, **tags},
        transitive_tag_keys=(*inherited, *_transitive(call, tags)),
    )
    credentials, size = _issued(call, seconds, session)
    narrowed = policy is not None or session.policy_arns or session.tags
    return {
        "Credentials": credentials,
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.id}:{session.session_name}",
            "Arn": role.session_arn(session.session_name),
        },
        "PackedPolicySize": 100 * size // TOKEN_CHARACTERS if narrowed else None,
    }


async def get_session_token(call: IamCall) -> Result:
    """GetSessionToken: temporary credentials of the caller itself; needs no permission."""
    _refuse_unsupported(call)
    principal = call.principal
    if call.session is not None:
        raise AccessDeniedException("Cannot call GetSessionToken with session credentials")
    seconds = call.number("DurationSeconds", USER_SECONDS)
    kind, name = (None, "") if principal.is_root else (IdentityKind.USER, principal.user_name or "")
    found = await call.identities.resolve_identity(principal.account, kind, name)
    session = _Session(
        account=principal.account,
        kind=kind,
        name=name,
        identity_id="" if principal.is_root else principal.user_id,
        sessions_ended=(found.identity or found.account).sessions_ended,
    )
    # "If the duration is longer than one hour, the session for AWS account owners defaults to one
    # hour."
    credentials, _ = _issued(call, min(seconds, HOUR) if principal.is_root else seconds, session)
    return {"Credentials": credentials}


def _issued(call: IamCall, seconds: int, session: _Session) -> tuple[Result, int]:
    """Return new credentials, and the length of their session token."""
    entropy, now, begun_in = call.services.entropy, call.now_ms(), call.session
    claims = SessionClaims(
        access_key_id=call.new_id(IdPrefix.TEMPORARY_KEY),
        secret_access_key=secret_of(entropy(SECRET_ENTROPY_BYTES)),
        issued=now,
        expires=now + seconds * 1000,
        parent_key_id=begun_in.parent_key_id if begun_in else call.access_key_id,
        parent_key_created=begun_in.parent_key_created if begun_in else call.caller.key_created,
        **msgspec.structs.asdict(session),
    )
    try:
        token = seal_session(call.services.ring, claims, entropy(NONCE_BYTES))
    except SessionTooLarge as refused:
        raise PackedPolicyTooLarge(str(refused)) from None
    credentials: Result = {
        "AccessKeyId": claims.access_key_id,
        "SecretAccessKey": claims.secret_access_key,
        "SessionToken": token,
        "Expiration": claims.expires,
    }
    return credentials, len(token)


def _role_seconds(call: IamCall, role: Role) -> int:
    seconds = call.number("DurationSeconds", HOUR)
    if seconds > role.max_session_seconds:
        raise ValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if seconds > HOUR and call.principal.type is PrincipalType.ASSUMED_ROLE:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by"
            " role chaining"
        )
    return seconds


async def _session_policies(call: IamCall, account: str) -> list[ManagedPolicy]:
    arns = [str(each.get("arn", "")) for each in call.structures("PolicyArns")]
    if len(arns) > POLICY_ARNS:
        raise ValidationError(f"A session can have {POLICY_ARNS} managed policies.")
    return [await call.identities.get_policy(account, arn) for arn in arns]


def _spelled_as(kept: dict[str, str], tags: dict[str, str]) -> dict[str, str]:
    """Return session tags so that each takes the place of the role's tag of the same key.

    Keys have no case: else a session could add a second value to a tag that policies trust.
    """
    known = {without_case(key): key for key in kept}
    return {known.get(without_case(key), key): value for key, value in tags.items()}


def _check_policy(policy: str) -> None:
    if len(policy) > POLICY_CHARACTERS:
        rule = f"Member must have length less than or equal to {POLICY_CHARACTERS}"
        raise ValidationError.of_fields(FieldError("policy", rule))
    parse_identity_policy(policy)


def _handed_on(call: IamCall, tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that the caller's session hands on, which cannot be set anew."""
    before = call.session
    if before is None:
        return {}
    kept = {key: before.tags[key] for key in before.transitive_tag_keys if key in before.tags}
    if {without_case(key) for key in kept} & {without_case(key) for key in tags}:
        raise ValidationError("One of the specified transitive tag keys can't be set anew.")
    return kept


def _transitive(call: IamCall, tags: dict[str, str]) -> tuple[str, ...]:
    known = {without_case(key): key for key in tags}
    asked = {without_case(key) for key in call.texts("TransitiveTagKeys")}
    if not asked <= known.keys():
        raise ValidationError("The specified transitive tag key must be included in the tags.")
    return tuple(known[key] for key in sorted(asked))


def _refuse_unsupported(call: IamCall) -> None:
    for name in _UNSUPPORTED:
        if call.parameters.get(name):
            raise ValidationError(f"{name} is not supported.")
