"""Policy documents as they are read: what they may hold, and why one is refused.

Covers: greenroom.policies.statement, greenroom.policies.text
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.document import (
    TRUST_POLICY_SIZE,
    USER_INLINE_SIZE,
    parse_identity_policy,
    parse_trust_policy,
)
from greenroom.policies.statement import Effect, PolicyDocument, to_json
from greenroom.policies.text import MAX_TEXT, MalformedPolicyDocument, policy_size
from tests.stand_ins.policies import documents

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/AbCdEf123456"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "ivschat:*", "Resource": "*"}
TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"AWS": "123456789012"},
}


def with_statements(*statements: object, version: str = "2012-10-17") -> dict[str, object]:
    """Return a document of these statements."""
    return {"Version": version, "Statement": list(statements)}


def refusal(parse: Callable[[str], PolicyDocument], document: object) -> str:
    """Return the message with which a document is refused."""
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(MalformedPolicyDocument) as caught:
        parse(text)
    assert (caught.value.code, caught.value.status) == ("MalformedPolicyDocument", 400)
    return caught.value.message


def condition(operator: str, key: str, value: object) -> dict[str, object]:
    """Return a document with one condition."""
    return with_statements(ALLOW, {**ALLOW, "Condition": {operator: {key: value}}})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "The policy is not valid JSON (line 1, column 2)"),
        ("[" * 20_000, "The policy is not valid JSON"),
        ('{"Statement": NaN}', "The policy is not valid JSON"),
        ("[]", "The policy: must be an object"),
        ({}, "Statement: is missing"),
        ({"Statement": []}, "Statement: must hold a statement"),
        ({"Statement": "x"}, "Statement: must be an object"),
        ({"Statement": ALLOW, "Id": "x"}, "Id: is not an element"),
        ({"Statement": ALLOW, "version": "2012-10-17"}, "version: is not an element"),
        ({"Statement": ALLOW, "Version": "2012-10-18"}, "Version: must be 2012-10-17 or"),
        ('{"Statement": {}, "Statement": {}}', "Statement: stands twice"),
        (
            '{"Statement": [{"Effect": "Allow", "Effect": "Deny"}]}',
            "Statement[0].Effect: stands twice",
        ),
        (
            (
                '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",'
                '"Condition": {"Null": {"a:b": "true", "a:b": "false"}}}}'
            ),
            "Statement.Condition.Null.a:b: stands twice",
        ),
        (with_statements(ALLOW, {**ALLOW, "Efect": "Deny"}), "Statement[1].Efect: is not an"),
        (with_statements({"Action": "*", "Resource": "*"}), "Statement[0].Effect: is missing"),
        (with_statements({**ALLOW, "Effect": "allow"}), "Statement[0].Effect: must be Allow or"),
        (with_statements({**ALLOW, "Effect": True}), "Statement[0].Effect: must be Allow or"),
        (with_statements({**ALLOW, "Sid": "a b"}), "Statement[0].Sid: must be letters and"),
        (with_statements({**ALLOW, "Sid": 1}), "Statement[0].Sid: must be a string"),
        (
            with_statements({**ALLOW, "Sid": "A"}, ALLOW, {**ALLOW, "Sid": "A"}),
            "Statement[2].Sid: must be unique",
        ),
        (
            with_statements({"Effect": "Allow", "Resource": "*"}),
            "Statement[0].Action: is missing: a statement has Action or NotAction",
        ),
        (
            with_statements({**ALLOW, "NotAction": "*"}),
            "Statement[0].NotAction: cannot stand beside Action",
        ),
        (with_statements({**ALLOW, "Action": []}), "Statement[0].Action: must not be empty"),
        (
            with_statements({**ALLOW, "Action": ["ivschat:*", "CreateRoom"]}),
            "Statement[0].Action[1]: must be * or SERVICE:ACTION",
        ),
        (with_statements({**ALLOW, "Action": "ivs*:Get"}), "Statement[0].Action: must be * or"),
        (with_statements({**ALLOW, "Action": 1}), "Statement[0].Action: must be a string"),
        (
            with_statements({"Effect": "Deny", "Action": "*"}),
            "Statement[0].Resource: is missing: a statement has Resource or NotResource",
        ),
        (
            with_statements({**ALLOW, "Resource": "room/a"}),
            "Statement[0].Resource: must be * or an ARN of six parts",
        ),
        (with_statements({**ALLOW, "Resource": "arn:aws:ivschat"}), "must be * or an ARN"),
        (
            with_statements({**ALLOW, "Resource": ["*", "arn:aws:s3:::${aws:username"]}),
            "Statement[0].Resource[1]: has a ${ that begins no policy variable",
        ),
        (
            with_statements({**ALLOW, "Resource": "arn:aws:iam::${aws:PrincipalAccount}:user/x"}),
            "Statement[0].Resource: can have variables after its fifth colon only",
        ),
        (
            with_statements({**ALLOW, "Principal": "*"}),
            "Statement[0].Principal: belongs in trust policies only",
        ),
        (with_statements({**ALLOW, "Condition": []}), "Statement[0].Condition: must be an object"),
        (
            condition("StringEquls", "aws:username", "alice"),
            "Statement[1].Condition.StringEquls: is not an operator of the policy language",
        ),
        (
            condition("StringEquals", "username", "alice"),
            "Statement[1].Condition.StringEquals.username: is not a condition key",
        ),
        (
            condition("StringEquals", "aws:username", []),
            "Statement[1].Condition.StringEquals.aws:username: must not be empty",
        ),
        (
            condition("StringEquals", "aws:username", [None]),
            "Statement[1].Condition.StringEquals.aws:username[0]: must be a string",
        ),
        (
            condition("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "10.0.0"]),
            "Statement[1].Condition.IpAddress.aws:SourceIp[1]: must be an IP address or a range",
        ),
    ],
)
def test_faults_are_named_with_their_place(document: object, message: str) -> None:
    """A bad identity policy is refused with the place of the fault and the rule."""
    assert message in refusal(parse_identity_policy, document)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({**TRUST, "Resource": "*"}, "Statement[0].Resource: does not belong in a trust policy"),
        ({**TRUST, "Action": "ivschat:*"}, "Statement[0].Action: must be an action of sts"),
        (
            {"Effect": "Allow", "Action": "sts:AssumeRole"},
            "Statement[0].Principal: is missing",
        ),
        ({**TRUST, "Principal": "alice"}, "Statement[0].Principal: must be * or an object"),
        ({**TRUST, "Principal": {}}, "Statement[0].Principal: must not be empty"),
        ({**TRUST, "Principal": {"User": "x"}}, "Statement[0].Principal.User: is not an element"),
        (
            {**TRUST, "Principal": {"AWS": ["123456789012", "arn:aws:iam::123456789012:user/*"]}},
            "Statement[0].Principal.AWS[1]: must be *, an account",
        ),
    ],
)
def test_faults_of_trust_policies(statement: object, message: str) -> None:
    """A trust policy names principals and actions of sts, and no resource."""
    assert message in refusal(parse_trust_policy, with_statements(statement))


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": "123456789012"},
        {"AWS": "arn:aws:iam::123456789012:root"},
        {"AWS": ["arn:aws:iam::123456789012:user/team/alice"]},
        {"AWS": "arn:aws:iam::123456789012:role/Moderator"},
        {"AWS": "arn:aws:sts::123456789012:assumed-role/Moderator/session"},
        {"AWS": "AIDAJQABLZS4A3QDU576Q"},
        {"Service": "lambda.amazonaws.com", "AWS": "123456789012"},
        {"Federated": "accounts.google.com"},
    ],
)
def test_principals(principal: object) -> None:
    """Every form of principal that the IAM User Guide lists is read, and printed again."""
    document = parse_trust_policy(with_statements({**TRUST, "Sid": "", "Principal": principal}))
    assert parse_trust_policy(to_json(document)) == document


def test_one_value_stands_for_a_list_of_one() -> None:
    """A statement, action, resource or value may stand without its brackets."""
    short = {
        "Version": "2012-10-17",
        "Statement": {**ALLOW, "Condition": {"Bool": {"a:b": "true"}}},
    }
    long = with_statements(
        {
            "Effect": "Allow",
            "Action": ["ivschat:*"],
            "Resource": ["*"],
            "Condition": {"Bool": {"a:b": ["true"]}},
        }
    )
    assert parse_identity_policy(short) == parse_identity_policy(json.dumps(long))


def test_numbers_and_booleans_are_values_of_conditions() -> None:
    """Quotation marks are optional for them, and a number stays as it was written."""
    text = json.dumps(condition("NumericLessThan", "s:k", [1, 2])).replace("2]", "2.50]")
    found = parse_identity_policy(text).statements[1].conditions[0]
    assert found.values == ("1", "2.50")
    boolean = parse_identity_policy(condition("Bool", "aws:SecureTransport", True))
    assert boolean.statements[1].conditions[0].values == ("true",)


def test_old_version_takes_variables_as_text() -> None:
    """A document without a version is of 2008-10-17, in which `${` is text."""
    document = parse_identity_policy({"Statement": {**ALLOW, "Resource": "arn:aws:s3:::${x"}})
    assert not document.has_variables
    assert document.statements[0].effect is Effect.ALLOW


def test_white_space_does_not_count() -> None:
    """The size of a policy is that of its characters that are not white space."""
    text = json.dumps(with_statements(ALLOW))
    size = policy_size(text)
    spread = text.replace(" ", " \n\t" * 100)
    assert size == policy_size(spread)
    parse_identity_policy(spread, size)
    assert f"has {size} characters" in refusal(
        lambda given: parse_identity_policy(given, size - 1), spread
    )


def test_limits_of_size() -> None:
    """A trust policy has a limit by itself; no document is read beyond what the API takes."""
    statement = {**TRUST, "Principal": {"AWS": ["123456789012"] * (TRUST_POLICY_SIZE // 10)}}
    assert f"at most {TRUST_POLICY_SIZE}" in refusal(parse_trust_policy, with_statements(statement))
    assert USER_INLINE_SIZE == TRUST_POLICY_SIZE
    assert f"longer than {MAX_TEXT}" in refusal(parse_identity_policy, " " * (MAX_TEXT + 1))
    assert "not valid JSON" in refusal(parse_identity_policy, " " * MAX_TEXT)


def test_mappings_that_json_cannot_hold() -> None:
    """A mapping from a configuration file is read like its JSON, or refused."""
    with pytest.raises(MalformedPolicyDocument, match="what JSON cannot"):
        parse_identity_policy({"Statement": {1, 2}})


@given(documents())
def test_printing_is_stable(document: dict[str, Any]) -> None:
    """What was read and printed is read as the same document, and printed as the same text."""
    parsed = parse_identity_policy(document)
    text = to_json(parsed)
    assert parse_identity_policy(text) == parsed
    assert to_json(parse_identity_policy(text)) == text


def test_printing_keeps_characters() -> None:
    """A document is printed as people write it, not with escapes, which count for its size."""
    allow = {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::büro/*"}
    assert "büro" in to_json(parse_identity_policy({"Statement": allow}))


def test_the_id_of_a_trust_policy_is_kept() -> None:
    """It has one if it was given one, and none else."""
    trusting = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Id": "mine", "Statement": trusting}
    printed = json.loads(to_json(parse_trust_policy(document)))
    assert printed["Id"] == "mine"
    del document["Id"]
    assert "Id" not in json.loads(to_json(parse_trust_policy(document)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("Allow"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition"])
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.text(max_size=50))
def test_any_input_is_a_policy_or_refused(value: object) -> None:
    """Nothing that a caller can send raises anything else."""
    text = value if isinstance(value, str) else json.dumps(value)
    for parse in (parse_identity_policy, parse_trust_policy):
        with contextlib.suppress(MalformedPolicyDocument):
            assert parse(text).statements
