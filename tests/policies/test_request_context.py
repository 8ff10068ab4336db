from datetime import UTC, datetime, timedelta, timezone

import pytest

from greenroom.model.principal import Principal, PrincipalType
from greenroom.policies.decision import NO_POLICIES
from greenroom.policies.request_context import (
    GLOBAL_KEYS,
    RequestFacts,
    request_context,
    with_resource,
)

ACCOUNT = "123456789012"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=1)))
FACTS = RequestFacts(
    region="us-east-1", now=NOW, source_ip="10.1.2.3", secure=True, user_agent="aws-cli"
)
ALICE = Principal(
    arn=f"arn:aws:iam::{ACCOUNT}:user/alice",
    account=ACCOUNT,
    type=PrincipalType.USER,
    user_id="AIDA1",
    user_name="alice",
    tags={"Team": "red"},
    permissions=NO_POLICIES,
)
SESSION = Principal(
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/Backend/one",
    account=ACCOUNT,
    type=PrincipalType.ASSUMED_ROLE,
    user_id="AROA1:one",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/Backend",
    token_issued=NOW,
    permissions=NO_POLICIES,
)


def test_a_users_context() -> None:
    """A user's request has its name and tags, and no time of a token."""
    found = request_context(
        ALICE, FACTS, request_tags={"Cost": "1"}, tag_keys=["Cost"], resource_tags={"Env": "dev"}
    )
    assert found == {
        "aws:currenttime": "2026-01-02T02:04:05Z",
        "aws:epochtime": "1767319445",
        "aws:principalaccount": ACCOUNT,
        "aws:principalarn": ALICE.arn,
        "aws:principaltag/team": "red",
        "aws:principaltype": "User",
        "aws:requestedregion": "us-east-1",
        "aws:requesttag/cost": "1",
        "aws:resourcetag/env": "dev",
        "aws:securetransport": "true",
        "aws:sourceip": "10.1.2.3",
        "aws:tagkeys": ("Cost",),
        "aws:useragent": "aws-cli",
        "aws:userid": "AIDA1",
        "aws:username": "alice",
    }


def test_a_sessions_context() -> None:
    """An assumed role has its role's ARN and the time of its token, and no user name."""
    found = request_context(SESSION, RequestFacts(region="eu-west-1", now=NOW.astimezone(UTC)))
    assert found["aws:principalarn"] == SESSION.role_arn
    assert found["aws:tokenissuetime"] == "2026-01-02T02:04:05Z"
    assert found["aws:securetransport"] == "false"
    assert not {"aws:username", "aws:sourceip", "aws:useragent", "aws:tagkeys"} & found.keys()


def test_every_key_is_in_the_table() -> None:
    """The table of keys has what requests have, and nothing else."""
    both = request_context(
        ALICE, FACTS, request_tags={"k": "v"}, tag_keys=["k"], resource_tags={"k": "v"}
    ) | request_context(SESSION, FACTS)
    resource = with_resource({}, f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/a")
    keys = {k if "/" not in k else k.partition("/")[0] + "/key" for k in (*both, *resource)}
    assert keys == {key.lower() for key in GLOBAL_KEYS}


def test_tags_that_differ_in_case_only_are_one_key() -> None:
    """Both values are seen, so that none hides the other."""
    found = request_context(ALICE, FACTS, request_tags={"Team": "a", "team": "b", "TEAM": "c"})
    assert found["aws:requesttag/team"] == ("a", "b", "c")


def test_a_tag_whose_key_resembles_another_is_another() -> None:
    """The sign of the kelvin is no K: who may set the one tag does not set the other."""
    found = request_context(ALICE, FACTS, request_tags={"mar\u212a": "a"})
    assert "aws:requesttag/mark" not in found


def test_a_resource() -> None:
    """Its account stands in its ARN, whatever follows; its tags are keys as others are."""
    arn = f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/a:b:c"
    found = with_resource({"aws:userid": "AIDA1"}, arn, {"Team": "red"})
    assert found == {
        "aws:userid": "AIDA1",
        "aws:resourceaccount": ACCOUNT,
        "aws:resourcetag/team": "red",
    }


@pytest.mark.parametrize("resource", ["*", "arn:aws:s3:::bucket"])
def test_resources_without_an_account(resource: str) -> None:
    """The account of a resource is there when its ARN names one."""
    assert with_resource({}, resource) == {}
