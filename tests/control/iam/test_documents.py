"""Policy documents that come in: how long each kind may be, without white space."""

from collections.abc import Callable

import pytest

from greenroom.control.iam.documents import (
    TRUST_CHARACTERS,
    check_inline,
    check_managed,
    check_trust,
)
from greenroom.model.identity import POLICY_CHARACTERS
from greenroom.model.identity_errors import LimitExceeded
from greenroom.policies.document import ROLE_INLINE_SIZE
from tests.control.iam_caller import policy, trust


def of_size(make: Callable[[str], str], size: int) -> str:
    """Return a document with so many characters that count, and some that do not."""
    return make("x" * (size - len(make("")))).replace(",", ", \n")


def identity_policy(value: str) -> str:
    """Return a policy whose condition has a value."""
    return policy("ivschat:GetRoom", Condition={"StringEquals": {"aws:username": value}})


def trust_policy(value: str) -> str:
    """Return a trust policy whose condition has a value."""
    return trust(Condition={"StringEquals": {"sts:ExternalId": value}})


@pytest.mark.parametrize(
    ("check", "make", "size", "quota"),
    [
        (check_inline, identity_policy, ROLE_INLINE_SIZE, "InlinePolicySize"),
        (check_managed, identity_policy, POLICY_CHARACTERS, "PolicySize"),
        (check_trust, trust_policy, TRUST_CHARACTERS, "ACLSizePerRole"),
    ],
)
def test_lengths(
    check: Callable[[str], object], make: Callable[[str], str], size: int, quota: str
) -> None:
    """The largest one is taken, and one character more is refused by the quota's name."""
    check(of_size(make, size))
    with pytest.raises(LimitExceeded, match=f"Cannot exceed quota for {quota}: {size}"):
        check(of_size(make, size + 1))


def test_a_trust_policy_says_whom_it_names() -> None:
    """Accounts are named by nobody's id; users are."""
    arn = "arn:aws:iam::123456789012:user/anna"
    assert check_trust(trust({"AWS": ["123456789012", arn]})) == (arn,)
