import pytest

from greenroom.model.principal import Decision, Outcome, PolicyKind
from greenroom.policies.access_denied import access_denied_message

ALICE = "arn:aws:iam::123456789012:user/alice"
ROOMS = "arn:aws:ivschat:us-east-1:123456789012:room/*"
START = f"User: {ALICE} is not authorized to perform: ivschat:CreateRoom on resource: {ROOMS} "


@pytest.mark.parametrize(
    ("outcome", "kind", "why"),
    [
        # IAM User Guide, "Troubleshoot access denied error messages"
        (
            Outcome.IMPLICIT_DENY,
            PolicyKind.IDENTITY,
            "because no identity-based policy allows the ivschat:CreateRoom action",
        ),
        (
            Outcome.EXPLICIT_DENY,
            PolicyKind.IDENTITY,
            "with an explicit deny in an identity-based policy",
        ),
        (
            Outcome.IMPLICIT_DENY,
            PolicyKind.SESSION,
            "because no session policy allows the ivschat:CreateRoom action",
        ),
        (Outcome.EXPLICIT_DENY, PolicyKind.SESSION, "with an explicit deny in a session policy"),
    ],
)
def test_sentences(outcome: Outcome, kind: PolicyKind, why: str) -> None:
    """The sentence says who, which action, which resource, and why, in AWS's words."""
    decision = Decision(outcome, kind)
    assert access_denied_message(ALICE, "ivschat:CreateRoom", ROOMS, decision) == START + why
