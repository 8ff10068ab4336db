"""What policies ask of a request, in the real process, by boto3: its facts, and tags of rooms."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.running.at_last import at_last
from tests.running.service import Service, running

ACCOUNT, REGION = "123456789012", "us-east-1"
TESTER = f"arn:aws:iam::{ACCOUNT}:user/qa/tester"


class Subject(msgspec.Struct):
    """A user whose one policy each test writes anew, with a key and a session of the user's."""

    service: Service
    key: dict[str, str]

    def client(self, name: str = "ivschat", **key: str) -> Any:
        """Return a client of the user, or of whoever has the key."""
        make: Any = boto3.client
        return make(
            name,
            endpoint_url=self.service.api_url,
            region_name=REGION,
            verify=self.service.ready.get("certificate_to_trust"),
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"}, user_agent_extra="rota/1.4"
            ),
            **(key or self.key),
        )

    def root(self, name: str = "ivschat") -> Any:
        """Return a client of the account's root."""
        ready = self.service.ready
        key = {
            "aws_access_key_id": ready["access_key_id"],
            "aws_secret_access_key": ready["secret_access_key"],
        }
        return self.client(name, **key)

    def may(self, *statements: dict[str, Any]) -> None:
        """Let the user do what the statements say, and nothing else."""
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.root("iam").put_user_policy(
            UserName="tester", PolicyName="only", PolicyDocument=json.dumps(document)
        )


def allow(*actions: str, **condition: Any) -> dict[str, Any]:
    """Return a statement that allows actions on everything under a condition."""
    found = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {**found, "Condition": condition} if condition else found


def passes(call: Callable[..., object], **parameters: Any) -> bool:
    """Return whether a call is allowed; any refusal but AccessDenied fails the test."""
    try:
        call(**parameters)
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("AccessDenied"):
            raise
        return False
    return True


def assert_found(expected: object, look: Callable[[], object]) -> None:
    """Check what is found, where another node has heard of what was changed."""
    assert at_last(look, expected.__eq__) == expected


@pytest.fixture(scope="module", params=["off", "on"], ids=["http", "https"])
def tester(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """Give a service, with TLS or without, and a user with tags."""
    data_dir = tmp_path_factory.mktemp("conditions") / "data"
    with running(data_dir, GREENROOM_DEV_TLS=request.param, GREENROOM_REGIONS="*") as service:
        found = Subject(service, {})
        root = found.root("iam")
        root.create_user(UserName="tester", Path="/qa/", Tags=[{"Key": "Team", "Value": "red"}])
        made = root.create_access_key(UserName="tester")["AccessKey"]
        found.key = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
        }
        yield found


FACTS = [
    ("StringLike", "aws:UserAgent", "Boto3/* rota/1.4*", "Boto3/* rota/1.5*"),
    ("IpAddress", "aws:SourceIp", "127.0.0.0/8", "10.0.0.0/8"),
    ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", "127.0.0.1/32"),
    ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    ("NumericGreaterThan", "aws:EpochTime", "1700000000", "32500000000"),
    ("StringEquals", "aws:RequestedRegion", REGION, "eu-west-1"),
    ("StringEquals", "aws:PrincipalAccount", ACCOUNT, "999999999999"),
    ("ArnEquals", "aws:PrincipalArn", TESTER, TESTER.replace("/qa", "")),
    ("StringEquals", "aws:PrincipalType", "User", "AssumedRole"),
    ("StringEquals", "aws:PrincipalTag/team", "red", "blue"),
    ("StringEquals", "aws:ResourceAccount", ACCOUNT, "999999999999"),
    ("StringEquals", "aws:username", "tester", "Tester"),
    ("StringLike", "aws:userid", "AIDA*", "AROA*"),
    ("Null", "aws:TokenIssueTime", "true", "false"),
]


@pytest.mark.parametrize(("operator", "key", "fitting", "other"), FACTS)
def test_the_facts_of_a_request(
    tester: Subject, operator: str, key: str, fitting: str, other: str
) -> None:
    """What a condition asks is what the process knows: a fitting value allows, another does not."""
    chat, iam = tester.client(), tester.client("iam")
    for value, fits in ((fitting, True), (other, False)):
        tester.may(allow("ivschat:ListRooms", "iam:GetUser", **{operator: {key: value}}))
        assert_found([fits] * 2, lambda: [passes(chat.list_rooms), passes(iam.get_user)])


def test_secure_transport(tester: Subject) -> None:
    """Whether a request came over TLS."""
    secure = tester.service.api_url.startswith("https")
    for value in ("true", "false"):
        tester.may(allow("ivschat:ListRooms", Bool={"aws:SecureTransport": value}))
        fits = value == str(secure).lower()
        assert_found(fits, lambda: passes(tester.client().list_rooms))


def test_the_time_of_a_token(tester: Subject) -> None:
    """Temporary credentials have the time of their issue."""
    made = tester.client("sts").get_session_token()["Credentials"]
    session = tester.client(
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    )
    for time, fits in (("2026-01-01T00:00:00Z", True), ("2999-01-01T00:00:00Z", False)):
        condition = {"DateGreaterThan": {"aws:TokenIssueTime": time}}
        tester.may(allow("ivschat:ListRooms", **condition))
        assert_found(fits, lambda: passes(session.list_rooms))
        assert_found(False, lambda: passes(tester.client().list_rooms))


# --------------------------------------------------------------------------------- tags of rooms


def test_tags_of_rooms_decide(tester: Subject) -> None:
    """A room's own tags count as they are at the request, in an Allow and in a Deny."""
    root, chat = tester.root(), tester.client()
    test, live = (root.create_room(tags={"Stage": stage})["arn"] for stage in ("test", "live"))
    plain = root.create_room()["arn"]
    tester.may(allow("ivschat:*", StringEquals={"aws:ResourceTag/stage": "test"}))
    rooms = (test, live, plain)
    assert_found(
        [True, False, False], lambda: [passes(chat.get_room, identifier=room) for room in rooms]
    )
    assert passes(chat.update_room, identifier=test, name="n")
    assert not passes(chat.create_chat_token, roomIdentifier=live, userId="u")
    deny = allow("ivschat:GetRoom", StringEquals={"aws:ResourceTag/stage": "live"})
    tester.may(allow("ivschat:*"), {**deny, "Effect": "Deny"})
    assert_found(
        [True, False, True], lambda: [passes(chat.get_room, identifier=room) for room in rooms]
    )
    root.tag_resource(resourceArn=test, tags={"Stage": "live"})
    root.untag_resource(resourceArn=live, tagKeys=["Stage"])
    assert_found(
        [False, True, True], lambda: [passes(chat.get_room, identifier=room) for room in rooms]
    )


def test_tags_of_what_belongs_to_others(tester: Subject) -> None:
    """Tags of a room in another region do not count, nor do those of another account's."""
    elsewhere = tester.service.boto3(region="eu-west-1")
    there = elsewhere.create_room(tags={"Stage": "test"})["arn"]
    tester.may(allow("ivschat:*", StringEquals={"aws:ResourceTag/stage": "test"}))
    chat = tester.client()
    assert not passes(chat.get_room, identifier=there)
    assert not passes(chat.list_tags_for_resource, resourceArn=there)
    own = tester.root().create_room(tags={"Stage": "test"})["arn"]
    assert_found(True, lambda: passes(chat.get_room, identifier=own))
    assert not passes(chat.get_room, identifier=own.replace(ACCOUNT, "999999999999"))


def test_tags_of_logging_configurations_and_users(tester: Subject) -> None:
    """Every kind of resource that has tags is asked for its own."""
    root, iam = tester.root(), tester.root("iam")
    destination = {"s3": {"bucketName": "a-bucket"}}
    logs = [
        root.create_logging_configuration(destinationConfiguration=destination, tags=tags)["arn"]
        for tags in ({"Stage": "test"}, {"Stage": "live"})
    ]
    for name, stage in (("own", "test"), ("others", "live")):
        iam.create_user(UserName=name, Tags=[{"Key": "Stage", "Value": stage}])
    condition = {"StringEquals": {"aws:ResourceTag/Stage": "test"}}
    tester.may(allow("ivschat:GetLoggingConfiguration", "iam:GetUser", **condition))
    get_logs = tester.client().get_logging_configuration
    assert_found([True, False], lambda: [passes(get_logs, identifier=arn) for arn in logs])
    get_user = tester.client("iam").get_user
    assert_found(
        [True, False], lambda: [passes(get_user, UserName=name) for name in ("own", "others")]
    )
