"""boto3: users, roles, keys and policies through `iam` and `sts`, and what they then may do."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.interop.answers import ACCOUNT, allowed, denied, refusal, status
from tests.running.service import Service

Client = Callable[..., Any]
_NUMBERS = itertools.count(1)
CREATE = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ivschat:CreateRoom", "Resource": "*"}],
    }
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
)


@pytest.fixture
def of(service: Service, region: str) -> Iterator[Client]:
    """Return what makes clients: of a service, by default for the root."""
    made: list[Any] = []

    def client(name: str, credentials: dict[str, Any] | None = None) -> Any:
        given = credentials or {}
        made.append(
            boto3.client(
                name,  # type: ignore[call-overload]
                endpoint_url=service.api_url,
                region_name=region,
                aws_access_key_id=given.get("AccessKeyId", service.ready["access_key_id"]),
                aws_secret_access_key=given.get(
                    "SecretAccessKey", service.ready["secret_access_key"]
                ),
                aws_session_token=given.get("SessionToken"),
                config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
            )
        )
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses."""
    return f"user-{next(_NUMBERS)}"


@pytest.fixture
def key(of: Client, name: str) -> dict[str, Any]:
    """Return the key of a new user whom nothing allows anything."""
    iam = of("iam")
    iam.create_user(UserName=name)
    return dict(iam.create_access_key(UserName=name)["AccessKey"])


# ------------------------------------------------------------------------------ a user's life


def test_life_of_a_user(of: Client, name: str, key: dict[str, Any]) -> None:
    """A user may do what its policies allow, at once, with the key while that is active."""
    iam, chat = of("iam"), of("ivschat", key)
    assert of("sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    message = denied(chat, "create_room")
    assert message.startswith(f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized")
    iam.put_user_policy(UserName=name, PolicyName="create", PolicyDocument=CREATE)
    allowed(chat, "create_room")
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refusal(chat, "UnrecognizedClientException", "create_room")
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Active")
    allowed(chat, "create_room")
    iam.delete_user_policy(UserName=name, PolicyName="create")
    denied(chat, "create_room")
    conflict = pytest.raises(iam.exceptions.DeleteConflictException)
    with conflict:
        iam.delete_user(UserName=name)
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    refusal(chat, "UnrecognizedClientException", "create_room")
    iam.delete_user(UserName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName=name)


def test_rotating_a_key(of: Client, name: str, key: dict[str, Any]) -> None:
    """A second key is used before the first one goes: there is no moment without one."""
    iam = of("iam")
    iam.put_user_policy(UserName=name, PolicyName="create", PolicyDocument=CREATE)
    second = iam.create_access_key(UserName=name)["AccessKey"]
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_access_key(UserName=name)
    for each in (key, second):
        of("ivschat", each).create_room()
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    of("ivschat", second).create_room()
    (kept,) = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert kept["AccessKeyId"] == second["AccessKeyId"]


def test_managed_policies(of: Client, name: str, key: dict[str, Any]) -> None:
    """What is attached counts in its default version; botocore decodes the documents."""
    iam, chat = of("iam"), of("ivschat", key)
    policy = iam.create_policy(PolicyName=f"p-{name}", PolicyDocument=CREATE)["Policy"]
    iam.attach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    allowed(chat, "create_room")
    deny = CREATE.replace("Allow", "Deny")
    iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=deny, SetAsDefault=True)
    assert "with an explicit deny" in denied(chat, "create_room")
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(CREATE)
    iam.set_default_policy_version(PolicyArn=policy["Arn"], VersionId="v1")
    allowed(chat, "create_room")
    entities = iam.list_entities_for_policy(PolicyArn=policy["Arn"])
    assert [each["UserName"] for each in entities["PolicyUsers"]] == [name]
    iam.detach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    denied(chat, "create_room")


def test_a_bad_document(of: Client, name: str, key: dict[str, Any]) -> None:
    """A document is refused when it is put, and the message has the place of the fault."""
    iam = of("iam")
    bad = CREATE.replace('"Allow"', '"Permit"')
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as caught:
        iam.put_user_policy(UserName=name, PolicyName="bad", PolicyDocument=bad)
    assert "Statement[0]" in str(caught.value)
    assert "Effect" in str(caught.value)
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == []


def test_paginators(of: Client, name: str) -> None:
    """boto3's own paginators find everything, once."""
    iam = of("iam")
    for number in range(5):
        iam.create_user(UserName=f"{name}-{number}", Path=f"/{name}/")
    pages = iam.get_paginator("list_users").paginate(
        PathPrefix=f"/{name}/", PaginationConfig={"PageSize": 2}
    )
    names = [user["UserName"] for page in pages for user in page["Users"]]
    assert names == [f"{name}-{number}" for number in range(5)]


def test_resources(service: Service, name: str) -> None:
    """boto3's resource interface works as its clients do."""
    iam: Any = boto3.resource(
        "iam",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )
    user = iam.create_user(UserName=name, Tags=[{"Key": "team", "Value": "a"}])
    pair = user.create_access_key_pair()
    assert [each.id for each in user.access_keys.all()] == [pair.id]
    pair.delete()
    user.create_policy(PolicyName="p", PolicyDocument=CREATE)
    assert user.Policy("p").policy_document == json.loads(CREATE)
    assert iam.User(name).tags == [{"Key": "team", "Value": "a"}]
    user.Policy("p").delete()
    user.delete()


# ---------------------------------------------------------------------- temporary credentials


def test_assume_role(of: Client, name: str, key: dict[str, Any]) -> None:
    """A role's session has the role's permissions, narrowed by a session policy."""
    iam = of("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    every = CREATE.replace("CreateRoom", "*")
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=every)
    assume = CREATE.replace("ivschat:CreateRoom", "sts:AssumeRole")
    named = {"RoleArn": role["Arn"], "RoleSessionName": "session"}
    denied(of("sts", key), "assume_role", **named)
    iam.put_user_policy(UserName=name, PolicyName="assume", PolicyDocument=assume)
    allowed(of("sts", key), "assume_role", **named)
    answer = of("sts", key).assume_role(**named)
    chat = of("ivschat", answer["Credentials"])
    room = chat.create_room()["arn"]
    assert chat.create_chat_token(roomIdentifier=room, userId="u")["token"]
    who = of("sts", answer["Credentials"]).get_caller_identity()
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"]
    narrow = of("sts", key).assume_role(**named, Policy=CREATE)["Credentials"]
    of("ivschat", narrow).create_room()
    assert "no session policy allows" in denied(of("ivschat", narrow), "list_rooms")
    stolen = {**answer["Credentials"], "SessionToken": narrow["SessionToken"]}
    refusal(of("ivschat", stolen), "UnrecognizedClientException", "list_rooms")


def test_get_session_token(of: Client, name: str, key: dict[str, Any]) -> None:
    """A user's own temporary credentials do what the user may, but not IAM."""
    of("iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=CREATE)
    temporary = of("sts", key).get_session_token()["Credentials"]
    allowed(of("ivschat", temporary), "create_room")
    refusal(of("iam", temporary), "InvalidClientTokenId", "get_user")
    tampered = {**temporary, "SessionToken": temporary["SessionToken"][:-4] + "AAAA"}
    refusal(of("ivschat", tampered), "UnrecognizedClientException", "create_room")


# -------------------------------------------------------------------------------------- errors


def test_errors(of: Client, name: str) -> None:
    """Errors of IAM come as boto3's own exceptions, with IAM's statuses."""
    iam = of("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
        iam.get_user(UserName="nobody")
    response = caught.value.response
    assert status(response) == 404
    assert response["Error"]["Type"] == "Sender"
    assert response["ResponseMetadata"]["RequestId"]
    iam.create_user(UserName=name)
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name.upper())
    refusal(iam, "ValidationError", "create_user", UserName="not a name")
    refusal(iam, "InvalidAction", "create_group", GroupName="g")


@pytest.mark.parametrize("service_name", ["iam", "sts"])
def test_signatures(of: Client, service: Service, service_name: str) -> None:
    """Errors about signatures have the codes that IAM and STS use."""
    operation = "list_users" if service_name == "iam" else "get_caller_identity"
    unknown = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x" * 40}
    refused = refusal(of(service_name, unknown), "InvalidClientTokenId", operation)
    assert status(refused) == 403
    wrong = {"AccessKeyId": service.ready["access_key_id"], "SecretAccessKey": "x" * 40}
    assert status(refusal(of(service_name, wrong), "SignatureDoesNotMatch", operation)) == 403


def test_simulation(of: Client, name: str, key: dict[str, Any]) -> None:
    """A simulation says what a user may do before anybody tries."""
    iam = of("iam")
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    actions = ["ivschat:CreateRoom", "ivschat:DeleteRoom"]
    iam.put_user_policy(UserName=name, PolicyName="create", PolicyDocument=CREATE)
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=actions, PaginationConfig={"PageSize": 1}
    )
    results = [each for page in pages for each in page["EvaluationResults"]]
    assert [each["EvalDecision"] for each in results] == ["allowed", "implicitDeny"]


def test_presigned(of: Client) -> None:
    """GetCallerIdentity can be presigned, as tools do that prove who they are with it."""
    url = of("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["content-type"] == "text/xml"
        assert b"<Arn>arn:aws:iam::123456789012:root</Arn>" in answer.read()


def test_without_signature(service: Service) -> None:
    """An unsigned form is refused in XML, an unsigned request to the ivschat API in JSON."""
    found = []
    for path, kind in (("/", "application/x-www-form-urlencoded"), ("/ListRooms", "text/plain")):
        request = urllib.request.Request(
            service.api_url + path, b"Action=ListUsers", {"content-type": kind}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        with caught.value as error:
            found.append((error.code, error.headers["content-type"], error.read()))
    assert [each[:2] for each in found] == [(403, "text/xml"), (403, "application/json")]
    assert b"<Code>MissingAuthenticationToken</Code>" in found[0][2]
    assert b"MissingAuthenticationTokenException" in found[1][2]


def test_signed_for_one_service_sent_to_another(of: Client) -> None:
    """What is signed for IAM does not reach the ivschat API."""
    chat = of("ivschat")
    chat.meta.events.register(
        "choose-signer.ivschat",
        lambda context, **_: context.update(signing={"signing_name": "iam"}),
    )
    with pytest.raises(ClientError):
        chat.list_rooms()
