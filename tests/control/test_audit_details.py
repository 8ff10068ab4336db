"""What the audit log tells of a request: enough to say who redirected and who widened what."""

import json
from typing import Any

import pytest

from greenroom.aws import query_service, service
from greenroom.control.audit_details import (
    DETAILS,
    IAM_DETAILS,
    details,
    resources,
)
from greenroom.control.iam.operations import OPERATIONS

POLICY = '{ "Version": "2012-10-17",\n "Statement": [] }'
SHORT = '{"Version":"2012-10-17","Statement":[]}'

UNTOLD = {
    "attributes", "content", "reason", "filterRules", "maxResults", "nextToken",
    # the caller's own words, of which nothing depends
    "Description", "ExternalId",
    # lists and what they are cut by
    "Marker", "MaxItems", "PathPrefix", "Scope", "OnlyAttached", "PolicyUsageFilter",
    "EntityFilter",
    # refused when they are given
    "PermissionsBoundary", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts",
    "MinimumSessionTokenSize",
    # questions, which change nothing
    "ActionNames", "CallerArn", "ContextEntries", "PermissionsBoundaryPolicyInputList",
    "OrderedOrganizationPolicyInputList", "PolicyInputList", "PolicyExclusionList",
    "ResourceArns", "ResourceHandlingOption", "ResourceOwner", "ResourcePolicy",
}  # fmt: skip
"""Parameters that no line has, and nobody need miss."""

NAMED = {
    "roomIdentifier", "identifier", "resourceArn", "loggingConfigurationIdentifier",
    "PolicyArn", "RoleArn", "PolicySourceArn",
}  # fmt: skip
"""Parameters that are in `resources`."""


@pytest.mark.parametrize("name", sorted(service.OPERATIONS))
def test_every_parameter_is_told_or_named_here(name: str) -> None:
    """A new parameter of the ivschat API is told, or somebody decided that it is not."""
    members = set(service.OPERATIONS[name].input.members)
    told = set(DETAILS.get(name, ())) | NAMED | UNTOLD
    if name.startswith("List"):
        told |= {"messageReviewHandlerUri", "name", "loggingConfigurationIdentifier"}
    assert members <= told


@pytest.mark.parametrize("action", sorted(OPERATIONS))
def test_every_parameter_of_iam_is_told_or_named_here(action: str) -> None:
    """The same of IAM and STS."""
    shape = query_service.operation(*action.split(":")).input
    members = set() if shape is None else set(shape.members)
    assert members <= set(IAM_DETAILS) | NAMED | UNTOLD


def test_where_chat_goes() -> None:
    """The destination of logs, the handler of reviews and the logs of a room are told."""
    destination = {"s3": {"bucketName": "elsewhere"}}
    given: dict[str, Any] = {"destinationConfiguration": destination, "tags": {"b": "x", "a": "y"}}
    for operation in ("CreateLoggingConfiguration", "UpdateLoggingConfiguration"):
        assert details(operation, given, done=True) == {
            "destinationConfiguration": destination,
            "tags": ["a", "b"],
        }
    room = {
        "loggingConfigurationIdentifiers": ["arn:1"],
        "messageReviewHandler": {"uri": "arn:2", "fallbackResult": "ALLOW"},
        "maximumMessageRatePerSecond": 9,
    }
    assert details("UpdateRoom", room, done=True) == room


@pytest.mark.parametrize("done", [True, False])
def test_what_a_reveal_is_used_by_is_not_told(done: bool) -> None:
    """It shows what was said for a while: no line has it, also not that of a refusal."""
    asked = {"cursor": "a:1", "reveal": "secret"}
    assert details("ListReviews", asked, done=done) == {}
    assert details("RevealReviews", {}, {"reveal": "secret"}, done=done) == {}
    assert resources(asked, {}) == ()


def test_what_policies_became() -> None:
    """A document is whole, without white space; tags have values, sessions their limits."""
    given = {
        "PolicyDocument": POLICY,
        "AssumeRolePolicyDocument": POLICY,
        "Policy": POLICY,
        "PolicyArns": [{"arn": "arn:1"}, {"arn": "arn:2"}],
        "Tags": [{"Key": "team", "Value": "red"}],
        "SetAsDefault": True,
    }
    assert details("CreatePolicyVersion", given, done=True) == {
        "PolicyDocument": SHORT,
        "AssumeRolePolicyDocument": SHORT,
        "Policy": SHORT,
        "PolicyArns": ["arn:1", "arn:2"],
        "Tags": {"team": "red"},
        "SetAsDefault": True,
    }


def test_what_was_refused_need_not_be_a_policy() -> None:
    """What is no JSON is told as it is: the line's bound cuts it."""
    assert details("CreatePolicy", {"PolicyDocument": "{{"}, done=False) == {"PolicyDocument": "{{"}


def test_what_was_made() -> None:
    """Ids of keys and versions are details, ARNs are resources; secrets are neither."""
    key = {"AccessKeyId": "AKIA1", "SecretAccessKey": "secret"}
    for made in ("AccessKey", "Credentials"):
        assert details("CreateAccessKey", {}, {made: key}, done=True) == {"AccessKeyId": "AKIA1"}
    version: dict[str, Any] = {"PolicyVersion": {"VersionId": "v2"}}
    assert details("CreatePolicyVersion", {}, version, done=True) == {"VersionId": "v2"}
    assert details("CreateUser", {}, {}, done=True) == {}
    role = {"Role": {"Arn": "arn:role", "RoleName": "mod"}}
    assert resources({"RoleName": "mod"}, role) == ("arn:role",)
    assert resources({"RoleName": "mod"}, {}) == ()
    assert resources({"identifier": "arn:a"}, {"arn": "arn:a"}) == ("arn:a",)


def test_documents_are_kept_exactly() -> None:
    """Taking white space out changes nothing else."""
    document = '{"Statement": [{"Sid": "a", "Condition": {"StringEquals": {"k:a": "\u8a9e  x"}}}]}'
    (told,) = details("CreatePolicy", {"PolicyDocument": document}, done=True).values()
    assert json.loads(str(told)) == json.loads(document)
    assert "\u8a9e  x" in str(told)


def test_what_is_not_as_expected_is_told_as_it_is() -> None:
    """Of a request that is refused anything may be given: it is told, and no fault."""
    given: dict[str, Any] = {"Tags": "x", "PolicyArns": "y", "Policy": 7, "UserName": ""}
    assert details("CreateUser", given, done=True) == given
    odd: dict[str, Any] = {"Tags": ["x", {"Key": "k"}], "PolicyArns": ["y", {}]}
    assert details("CreateUser", odd, done=True) == {"Tags": {"k": None}, "PolicyArns": [None]}
    assert details("TagResource", {"tags": ["b", "a"]}, done=True) == {"tags": ["b", "a"]}
    assert details("CreateUser", {"UserName": None}, done=True) == {}
    made: dict[str, Any] = {"AccessKey": "x", "Credentials": {}, "User": {}, "Role": "x"}
    assert details("CreateUser", {}, made, done=True) == {}
    assert resources({"identifier": 7, "name": "arn:x"}, made) == ()
    assert resources({}, {"arn": 7}) == ()
