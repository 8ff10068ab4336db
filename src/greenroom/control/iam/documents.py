"""Policy documents as they come in and go out: checked, and escaped as IAM shows them."""

from collections.abc import Mapping
from urllib.parse import quote

from greenroom.model.identity import POLICY_CHARACTERS, Role, document_characters
from greenroom.model.identity_errors import LimitExceeded
from greenroom.policies.document import ROLE_INLINE_SIZE, parse_identity_policy, parse_trust_policy
from greenroom.policies.statement import to_json
from greenroom.policies.trust import named_arns, with_names

TRUST_CHARACTERS = 2048
"""Characters that a trust policy may have, whitespace not counted ("IAM and STS quotas")."""


def check_inline(document: str) -> None:
    """Accept an inline policy; how long all of them may be together, the store knows.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
        LimitExceeded: it is longer than all of a role may be: that takes no time to find out.
    """
    _check_size(document, "InlinePolicySize", ROLE_INLINE_SIZE)
    parse_identity_policy(document)


def check_managed(document: str) -> None:
    """Accept a version of a managed policy.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
        LimitExceeded: it is too long.
    """
    _check_size(document, "PolicySize", POLICY_CHARACTERS)
    parse_identity_policy(document)


def check_trust(document: str) -> tuple[str, ...]:
    """Accept a role's trust policy; return the ARNs of those whom it names.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
        LimitExceeded: it is too long.
    """
    _check_size(document, "ACLSizePerRole", TRUST_CHARACTERS)
    return named_arns(parse_trust_policy(document))


def trust_shown(role: Role, present: Mapping[str, str]) -> str:
    """Return a role's trust policy as IAM answers it: who is gone is shown by the unique id.

    `present` has the ARNs, by id, of those who are there.
    """
    names = {arn: present.get(id_, id_) for arn, id_ in role.trusted.items()}
    if all(arn == name for arn, name in names.items()):
        return document_shown(role.trust_policy)
    return document_shown(to_json(with_names(parse_trust_policy(role.trust_policy), names)))


def document_shown(document: str) -> str:
    """Return a document as IAM answers it: percent-encoded (RFC 3986)."""
    return quote(document, safe="")


def _check_size(document: str, quota: str, limit: int) -> None:
    if document_characters(document) > limit:
        raise LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")
