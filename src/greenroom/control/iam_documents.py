"""Policy documents as they come in and go out: checked, and escaped as IAM shows them."""

from urllib.parse import quote

from greenroom.aws.policy_document import parse_identity_policy, parse_trust_policy
from greenroom.model.identity import POLICY_CHARACTERS, document_characters
from greenroom.model.identity_errors import LimitExceeded

TRUST_CHARACTERS = 2048
"""Characters that a trust policy may have, whitespace not counted ("IAM and STS quotas")."""


def check_inline(document: str) -> None:
    """Accept an inline policy; how long all of them may be together, the store knows.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
    """
    parse_identity_policy(document)


def check_managed(document: str) -> None:
    """Accept a version of a managed policy.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
        LimitExceeded: it is too long.
    """
    _check_size(document, "PolicySize", POLICY_CHARACTERS)
    parse_identity_policy(document)


def check_trust(document: str) -> None:
    """Accept a role's trust policy.

    Raises:
        MalformedPolicyDocument: it is not valid; the message says where.
        LimitExceeded: it is too long.
    """
    _check_size(document, "ACLSizePerRole", TRUST_CHARACTERS)
    parse_trust_policy(document)


def document_shown(document: str) -> str:
    """Return a document as IAM answers it: percent-encoded (RFC 3986)."""
    return quote(document, safe="")


def _check_size(document: str, quota: str, limit: int) -> None:
    if document_characters(document) > limit:
        raise LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")
