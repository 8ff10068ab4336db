"""Actions in policies that exist, and those that do not."""

import pytest

from greenroom.policies.document import parse_identity_policy
from greenroom.policies.known_actions import ACTIONS, unknown, unknown_actions


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_is_known(action: str) -> None:
    """In whatever case it is written."""
    assert unknown(action) is None
    assert unknown(action.upper()) is None


@pytest.mark.parametrize(
    "action",
    ["*", "ivschat:*", "ivschat:Get*", "iam:*User*", "greenroom:*Token*", "ivschat:?etRoom"],
)
def test_wildcards_that_match_something(action: str) -> None:
    """They are known by what they match."""
    assert unknown(action) is None


@pytest.mark.parametrize(
    ("action", "said", "mistake", "elsewhere"),
    [
        ("ivschat:CreateRom", "did you mean ivschat:CreateRoom?", True, False),
        ("ivschat:Greet", "no action that Greenroom asks for", True, False),
        ("ivschat:Put*", "no action that Greenroom asks for", True, False),
        ("iam:CreateUsr", "did you mean iam:CreateUser", True, False),
        ("iam:ListPolicie", "iam:ListPolicies or iam:ListUserPolicies?", True, False),
        ("greenroom:Greet", "no action that Greenroom asks for", True, False),
        ("greenroom:ListTokenKey", "did you mean greenroom:ListTokenKeys", True, False),
        ("iam:PassRole", "no action that Greenroom asks for", False, False),
        ("s3:GetObject", "no action that Greenroom asks for", False, True),
    ],
)
def test_unknown_actions(action: str, said: str, mistake: bool, elsewhere: bool) -> None:
    """A typing error is told from what AWS has and Greenroom has not."""
    found = unknown(action)
    assert found is not None
    assert said in str(found)
    assert str(found).startswith(f"{action} is no action")
    assert (found.is_mistake, found.is_of_another_service) == (mistake, elsewhere)


def test_all_statements_are_looked_at() -> None:
    """Actions that are allowed, denied, and those in NotAction."""
    document = parse_identity_policy(
        '{"Version":"2012-10-17","Statement":['
        '{"Effect":"Allow","Action":["ivschat:GetRoom","ivschat:GetRom"],"Resource":"*"},'
        '{"Effect":"Deny","NotAction":"ivschat:ListRoms","Resource":"*"}]}'
    )
    assert [each.action for each in unknown_actions(document)] == [
        "ivschat:GetRom",
        "ivschat:ListRoms",
    ]
