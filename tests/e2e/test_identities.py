"""Identities in the real process: kept, sealed, declared, suspended, and audited."""

import base64
import functools
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from greenroom.cli.exit_codes import ExitCode
from tests.running.command import greenroom
from tests.running.said import until
from tests.running.service import Service, running, start
from tests.running.wire import WebSocket

FILE = """
[users.anna]
keys = [{{ id = "AKIAANNAANNAANNAANNA", secret_variable = "ANNA_SECRET", status = "{status}" }}]
policies.all.Version = "2012-10-17"
policies.all.Statement = {{ Effect = "Allow", Action = "*", Resource = "*" }}
"""
ANNA: dict[str, Any] = {
    "access_key_id": "AKIAANNAANNAANNAANNA",
    "secret": "anna-secret-" + "s" * 28,
}
ALL = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'


def iam(service: Service) -> Any:
    """Return a client of IAM for the root."""
    return boto3.client(
        "iam",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )


def sts_of(service: Service, key: dict[str, Any]) -> Any:
    """Return a client of STS for whoever has the key."""
    return boto3.client(
        "sts",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret"],
    )


def user_with_key(service: Service, name: str) -> dict[str, Any]:
    """Create a user that may do all; return the key as `Service.boto3` takes it."""
    client = iam(service)
    client.create_user(UserName=name)
    client.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=ALL)
    key = client.create_access_key(UserName=name)["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def code_of(call: Callable[[], object]) -> str:
    """Return the code with which a call is refused; empty when it is not."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def serve_fails(data_dir: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a service that is expected not to start."""
    return greenroom("serve", "--port", "0", "--data-dir", data_dir, **variables)


def test_users_survive_kill_9(tmp_path: Path) -> None:
    """A user's key that was answered works after `kill -9`; its secret is nowhere in clear."""
    data_dir = tmp_path / "data"
    service = start(data_dir)
    try:
        key = user_with_key(service, "anna")
        service.boto3(**key).create_room(name="lobby")
    finally:
        service.kill()
    files = [each for each in data_dir.iterdir() if each.is_file() and each.name != "credentials"]
    for secret in (key["secret"], service.ready["secret_access_key"]):
        assert not [each for each in files if secret.encode() in each.read_bytes()]
    with running(data_dir) as again:
        assert again.boto3(**key).list_rooms()["rooms"][0]["name"] == "lobby"
        iam(again).update_access_key(
            UserName="anna", AccessKeyId=key["access_key_id"], Status="Inactive"
        )
        assert code_of(again.boto3(**key).list_rooms) == "UnrecognizedClientException"


def test_last_use_is_kept_at_the_end(tmp_path: Path) -> None:
    """When a key was last used is known after a restart."""
    with running(tmp_path / "data", GREENROOM_REGIONS="eu-west-1") as service:
        key = user_with_key(service, "anna")
        service.boto3(**key, region="eu-west-1").list_rooms()
        assert service.stop() == ExitCode.OK
    with running(tmp_path / "data") as service:
        last = iam(service).get_access_key_last_used(AccessKeyId=key["access_key_id"])
        assert last["AccessKeyLastUsed"]["ServiceName"] == "ivschat"
        assert last["AccessKeyLastUsed"]["Region"] == "eu-west-1"


def test_declared_users_come_and_go(tmp_path: Path) -> None:
    """The file is applied at start and on SIGHUP; a fault in it leaves things as they are."""
    file = tmp_path / "identities.toml"
    file.write_text(FILE.format(status="Active"))
    variables = {"GREENROOM_IDENTITIES_FILE": str(file), "ANNA_SECRET": ANNA["secret"]}
    with running(tmp_path / "data", **variables) as service:
        anna = service.boto3(**ANNA)
        anna.list_rooms()
        file.write_text("[users.anna]\nnonsense = 1")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "nonsense" in service.log.read_text(), "the fault is named")
        anna.list_rooms()
        file.write_text(FILE.format(status="Inactive"))
        service.process.send_signal(signal.SIGHUP)
        until(lambda: code_of(anna.list_rooms) == "UnrecognizedClientException", "her key ends")
        file.write_text("")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: not iam(service).list_users()["Users"], "the users go")
        text = service.log.read_text()
        assert "delete user anna" in text
        assert ANNA["secret"] not in text


TRUSTING = """
[roles.mod]
[roles.mod.trust]
Version = "2012-10-17"
[roles.mod.trust.Statement]
Effect = "Allow"
Action = "sts:AssumeRole"
Principal.AWS = "arn:aws:iam::123456789012:user/bob"
"""


def test_a_later_owner_of_a_name_is_not_trusted(tmp_path: Path) -> None:
    """Declared or made by the API: neither `kill -9` nor SIGHUP lets in who has the name now."""
    file = tmp_path / "identities.toml"
    file.write_text("")
    variables = {"GREENROOM_IDENTITIES_FILE": str(file)}
    principal = {"AWS": "arn:aws:iam::123456789012:user/bob"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})

    def outcomes(service: Service, bob: dict[str, Any]) -> set[str]:
        """Return how it ends that somebody assumes each of the roles."""
        assume = functools.partial(sts_of(service, bob).assume_role, RoleSessionName="shift")
        roles = [f"arn:aws:iam::123456789012:role/{name}" for name in ("made", "mod")]
        return {code_of(functools.partial(assume, RoleArn=role)) for role in roles}

    with running(tmp_path / "data", **variables) as service:
        root, bob = iam(service), user_with_key(service, "bob")
        bob_id = root.get_user(UserName="bob")["User"]["UserId"]
        root.create_role(RoleName="made", AssumeRolePolicyDocument=trust)
        file.write_text(TRUSTING)
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "create role mod" in service.log.read_text(), "the role is there")
        assert outcomes(service, bob) == {""}
        root.delete_access_key(UserName="bob", AccessKeyId=bob["access_key_id"])
        root.delete_user_policy(UserName="bob", PolicyName="all")
        root.delete_user(UserName="bob")
        another = user_with_key(service, "bob")
        assert outcomes(service, another) == {"AccessDenied"}
    with running(tmp_path / "data", **variables) as service:
        assert outcomes(service, another) == {"AccessDenied"}
        service.process.send_signal(signal.SIGHUP)
        applied = "identities file applied"
        until(lambda: service.log.read_text().count(applied) > 3, "the file is applied again")
        assert outcomes(service, another) == {"AccessDenied"}
        for each in iam(service).list_roles()["Roles"]:
            shown = each["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
            assert shown == {"AWS": [bob_id]}


def test_a_fault_in_the_file_refuses_the_start(tmp_path: Path) -> None:
    """The start ends with one line that names the place, and the settings' exit code."""
    file = tmp_path / "identities.toml"
    file.write_text(FILE.format(status="Active"))
    ended = serve_fails(tmp_path / "data", GREENROOM_IDENTITIES_FILE=str(file))
    assert ended.returncode == ExitCode.USAGE
    assert "users.anna.keys[0].secret_variable: ANNA_SECRET is not set" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_wrong_master_key_refuses_the_start(tmp_path: Path) -> None:
    """Another key, or none, is one line and an exit code of its own; no file changes."""
    data_dir = tmp_path / "data"
    with running(data_dir) as service:
        user_with_key(service, "anna")
        service.stop()
    kept = (data_dir / "secrets.key").read_bytes()
    database = (data_dir / "greenroom.db").read_bytes()
    other = base64.b64encode(b"x" * 32).decode()
    for variables in ({"GREENROOM_SECRETS_KEY": other}, {}):
        if not variables:
            (data_dir / "secrets.key").unlink()
        ended = serve_fails(data_dir, **variables)
        assert ended.returncode == ExitCode.SECRETS_KEY
        assert len(ended.stderr.strip().splitlines()) == 1
        assert (data_dir / "greenroom.db").read_bytes() == database
    given = kept.decode().strip()
    with running(data_dir, GREENROOM_SECRETS_KEY=given) as service:
        assert [each["UserName"] for each in iam(service).list_users()["Users"]] == ["anna"]


def test_suspension_reaches_open_connections(tmp_path: Path) -> None:
    """A suspended account publishes nothing, on open connections too, until it is resumed."""
    file = tmp_path / "identities.toml"
    file.write_text("")
    with running(tmp_path / "data", GREENROOM_IDENTITIES_FILE=str(file)) as service:
        room = service.boto3().create_room()["arn"]
        with WebSocket.connect(service, service.token(room)) as viewer:
            viewer.say(Action="SEND_MESSAGE", Content="before", RequestId="1")
            assert viewer.read_json()["Content"] == "before"
            file.write_text("suspended = true")
            service.process.send_signal(signal.SIGHUP)
            until(
                lambda: code_of(service.boto3().create_room) == "PendingVerification", "suspended"
            )
            for action in (
                {"Action": "SEND_MESSAGE", "Content": "after"},
                {"Action": "DELETE_MESSAGE", "Id": "AAAAAAAAAAAA"},
                {"Action": "DISCONNECT_USER", "UserId": "user"},
            ):
                viewer.say(**action, RequestId="2")
                error = viewer.read_json()
                assert (error["Type"], error["ErrorCode"]) == ("ERROR", 403)
            assert service.boto3().list_rooms()["rooms"]
            file.write_text("suspended = false")
            service.process.send_signal(signal.SIGHUP)
            until(lambda: code_of(service.boto3().create_room) == "", "resumed")
            viewer.say(Action="SEND_MESSAGE", Content="again", RequestId="3")
            assert viewer.read_json()["Content"] == "again"


def command(service: Service, *words: str, code: int = 0, **variables: str) -> str:
    """Return what `greenroom admin` prints, with the root's key unless another is given."""
    given = {
        "AWS_ENDPOINT_URL": service.api_url,
        "AWS_ACCESS_KEY_ID": service.ready["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": service.ready["secret_access_key"],
        **variables,
    }
    done = greenroom("admin", *words, **given)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def test_an_account_is_suspended_by_command(tmp_path: Path) -> None:
    """At once, on open connections too, over a restart, until it is resumed; all of it audited."""
    data_dir = tmp_path / "data"
    with running(data_dir) as service:
        assert command(service, "account", "show") == "account 123456789012 is active\n"
        room = service.boto3().create_room()["arn"]
        token = service.token(room, "late")
        with WebSocket.connect(service, service.token(room)) as viewer:
            assert command(service, "account", "suspend") == "account 123456789012 is suspended\n"
            viewer.say(Action="SEND_MESSAGE", Content="no", RequestId="1")
            assert viewer.read_json()["ErrorCode"] == 403
            assert code_of(service.boto3().create_room) == "PendingVerification"
        service.kill()
    with running(data_dir) as service:
        assert code_of(service.boto3().create_room) == "PendingVerification"
        with WebSocket.connect(service, token) as viewer:
            viewer.say(Action="SEND_MESSAGE", Content="no", RequestId="1")
            assert viewer.read_json()["ErrorCode"] == 403
            assert json.loads(command(service, "account", "resume", "--json")) == {
                "account": "123456789012",
                "suspended": False,
            }
            viewer.say(Action="SEND_MESSAGE", Content="yes", RequestId="2")
            assert viewer.read_json()["Content"] == "yes"
        anna = user_with_key(service, "anna")
        chat_only = ALL.replace('"Action":"*"', '"Action":"ivschat:*"')
        iam(service).put_user_policy(UserName="anna", PolicyName="all", PolicyDocument=chat_only)
        keys = {"AWS_ACCESS_KEY_ID": anna["access_key_id"], "AWS_SECRET_ACCESS_KEY": anna["secret"]}
        assert "AccessDenied" in command(service, "account", "suspend", code=8, **keys)
        command(service, "token-keys", "rotate")
        command(service, "token-keys", "kill", "no\nkey", code=8)
        service.stop()
    lines = [json.loads(line) for line in (data_dir / "audit.log").read_text().splitlines()]
    root = "arn:aws:iam::123456789012:root"
    assert [
        (line["event"], line["outcome"], line["arn"] == root)
        for line in lines
        if line["event"].endswith(("Account", "TokenKey"))
    ] == [
        ("SuspendAccount", "Success", True),
        ("ResumeAccount", "Success", True),
        ("SuspendAccount", "AccessDeniedException", False),
        ("RotateTokenKey", "Success", True),
        ("KillTokenKey", "ValidationException", True),
    ]
    assert lines[-1]["details"] == {"keyId": "no\nkey"}


ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/AbCdEf123456"
LOGGING = "arn:aws:ivschat:us-east-1:123456789012:logging-configuration/AbCdEf123456"
S3 = {"s3": {"bucketName": "bucket"}}
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "CreateChatToken": (ROOM, {"roomIdentifier": ROOM, "userId": "u"}),
    "CreateLoggingConfiguration": (
        LOGGING.replace("AbCdEf123456", "*"),
        {"destinationConfiguration": S3},
    ),
    "CreateRoom": (ROOM.replace("AbCdEf123456", "*"), {}),
    "DeleteLoggingConfiguration": (LOGGING, {"identifier": LOGGING}),
    "DeleteMessage": (ROOM, {"roomIdentifier": ROOM, "id": "AbCdEf123456"}),
    "DeleteRoom": (ROOM, {"identifier": ROOM}),
    "DisconnectUser": (ROOM, {"roomIdentifier": ROOM, "userId": "u"}),
    "GetLoggingConfiguration": (LOGGING, {"identifier": LOGGING}),
    "GetRoom": (ROOM, {"identifier": ROOM}),
    "ListLoggingConfigurations": (LOGGING.replace("AbCdEf123456", "*"), {}),
    "ListRooms": (ROOM.replace("AbCdEf123456", "*"), {}),
    "ListTagsForResource": (ROOM, {"resourceArn": ROOM}),
    "SendEvent": (ROOM, {"roomIdentifier": ROOM, "eventName": "e"}),
    "TagResource": (ROOM, {"resourceArn": ROOM, "tags": {"k": "v"}}),
    "UntagResource": (ROOM, {"resourceArn": ROOM, "tagKeys": ["k"]}),
    "UpdateLoggingConfiguration": (LOGGING, {"identifier": LOGGING}),
    "UpdateRoom": (ROOM, {"identifier": ROOM}),
}


def test_every_operation_is_denied_with_the_sentence(tmp_path: Path) -> None:
    """Who, which action, which resource, and why: by no policy, and by an explicit deny."""
    deny = ALL.replace("Allow", "Deny")
    with running(tmp_path / "data") as service:
        anna, root = user_with_key(service, "anna"), iam(service)
        client = service.boto3(**anna)
        assert set(OPERATIONS) == set(client.meta.service_model.operation_names)
        root.delete_user_policy(UserName="anna", PolicyName="all")
        for why in (
            "because no identity-based policy allows the ivschat:{} action",
            "with an explicit deny in an identity-based policy",
        ):
            for name, (resource, parameters) in OPERATIONS.items():
                with pytest.raises(ClientError) as error:
                    client._make_api_call(name, parameters)
                assert error.value.response["Error"] == {
                    "Code": "AccessDeniedException",
                    "Message": "User: arn:aws:iam::123456789012:user/anna is not authorized to"
                    f" perform: ivschat:{name} on resource: {resource} {why.format(name)}",
                }
            root.put_user_policy(UserName="anna", PolicyName="deny", PolicyDocument=deny)


def test_revocation_holds_from_the_next_request_on(tmp_path: Path) -> None:
    """Keys switched off, policies taken away, sessions of a role: all without a restart."""
    with running(tmp_path / "data") as service:
        root, anna = iam(service), user_with_key(service, "anna")
        trusting = {"AWS": "arn:aws:iam::123456789012:user/anna"}
        statement = {"Effect": "Allow", "Principal": trusting, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
        arn = root.create_role(RoleName="mod", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        root.put_role_policy(RoleName="mod", PolicyName="all", PolicyDocument=ALL)
        sts = sts_of(service, anna)

        def session() -> Callable[[], object]:
            made = sts.assume_role(RoleArn=arn, RoleSessionName="shift")["Credentials"]
            client = boto3.client(
                "ivschat",
                endpoint_url=service.api_url,
                region_name="us-east-1",
                aws_access_key_id=made["AccessKeyId"],
                aws_secret_access_key=made["SecretAccessKey"],
                aws_session_token=made["SessionToken"],
            )
            client.list_rooms()
            return client.list_rooms

        # As the consoles of AWS revoke sessions: a Deny of all that was issued earlier.
        first = session()
        older = {"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": older}
        revoke = json.dumps({"Version": "2012-10-17", "Statement": deny})
        root.put_role_policy(RoleName="mod", PolicyName="revoke", PolicyDocument=revoke)
        assert code_of(first) == "AccessDeniedException"
        root.delete_role_policy(RoleName="mod", PolicyName="revoke")
        first()
        key = {"UserName": "anna", "AccessKeyId": anna["access_key_id"]}
        root.update_access_key(**key, Status="Inactive")
        assert code_of(first) == "UnrecognizedClientException"
        assert code_of(service.boto3(**anna).list_rooms) == "UnrecognizedClientException"
        root.update_access_key(**key, Status="Active")
        first()
        service.boto3(**anna).list_rooms()
        # The role of the same name is another one.
        root.delete_role_policy(RoleName="mod", PolicyName="all")
        assert code_of(first) == "AccessDeniedException"
        root.delete_role(RoleName="mod")
        assert code_of(first) == "UnrecognizedClientException"
        root.create_role(RoleName="mod", AssumeRolePolicyDocument=trust)
        root.put_role_policy(RoleName="mod", PolicyName="all", PolicyDocument=ALL)
        assert code_of(first) == "UnrecognizedClientException"
        session()
        root.delete_access_key(**key)
        assert code_of(service.boto3(**anna).list_rooms) == "UnrecognizedClientException"


@pytest.mark.parametrize("given", ["", "elsewhere"])
def test_the_audit_log(tmp_path: Path, given: str) -> None:
    """Changes and refusals are lines of a private file, which SIGHUP begins anew."""
    path = tmp_path / "elsewhere" if given else tmp_path / "data" / "audit.log"
    variables = {"GREENROOM_AUDIT_LOG": str(path)} if given else {}
    with running(tmp_path / "data", **variables) as service:
        key = user_with_key(service, "anna")
        room = service.boto3(**key).create_room()["arn"]
        anna_id = iam(service).get_user(UserName="anna")["User"]["UserId"]
        token = service.token(room, "ben")
        assert code_of(service.boto3(access_key_id="AKIANOBODY").list_rooms)
        until(lambda: path.read_text().count("\n") == 6, "six lines")
        path.rename(tmp_path / "moved")
        service.process.send_signal(signal.SIGHUP)
        until(path.exists, "a new file")
        service.boto3().delete_room(identifier=room)
        service.stop()
    text = (tmp_path / "moved").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line.get("event", ""), line["outcome"]) for line in lines] == [
        ("CreateUser", "Success"),
        ("PutUserPolicy", "Success"),
        ("CreateAccessKey", "Success"),
        ("CreateRoom", "Success"),
        ("CreateChatToken", "Success"),
        ("", "UnrecognizedClientException"),
    ]
    assert lines[3]["arn"] == "arn:aws:iam::123456789012:user/anna"
    assert lines[3]["principalId"] == anna_id
    assert lines[3]["sourceIp"] == "127.0.0.1"
    assert lines[4]["details"]["userId"] == "ben"
    for secret in (token, key["secret"], service.ready["secret_access_key"]):
        assert secret not in text
    assert json.loads(path.read_text())["event"] == "DeleteRoom"
    assert path.stat().st_mode & 0o777 == 0o600


def test_moderation_by_chat_users_is_audited(tmp_path: Path) -> None:
    """Who deletes or disconnects over a WebSocket is in the log, without the reason."""
    path = tmp_path / "data" / "audit.log"
    with running(tmp_path / "data") as service:
        room = service.boto3().create_room()["arn"]
        with WebSocket.connect(service, service.token(room, "mod")) as moderator:
            moderator.say(
                Action="DELETE_MESSAGE", Id="AAAAAAAAAAAA", Reason="hush-hush", RequestId="r1"
            )
            assert moderator.read_json()["EventName"] == "aws:DELETE_MESSAGE"
            moderator.say(Action="DISCONNECT_USER", UserId="troll", RequestId="r2")
            assert moderator.read_json()["EventName"] == "aws:DISCONNECT_USER"
            service.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["details"]) for line in lines[2:]] == [
        ("DeleteMessage", {"moderator": "mod", "id": "AAAAAAAAAAAA"}),
        ("DisconnectUser", {"moderator": "mod", "userId": "troll"}),
    ]
    assert lines[2]["resources"] == [room]
    assert lines[2]["sourceIp"] == "127.0.0.1"
    assert "hush" not in path.read_text()


def test_no_audit_log(tmp_path: Path) -> None:
    """It can be switched off."""
    with running(tmp_path / "data", GREENROOM_AUDIT_LOG="off") as service:
        service.boto3().create_room()
        service.stop()
    assert not (tmp_path / "data" / "audit.log").exists()


def test_sdks_retry_what_is_too_fast(tmp_path: Path) -> None:
    """Beyond the rate of IAM and STS the answer is Throttling, which an SDK tries again."""

    def client(attempts: int) -> Any:
        return boto3.client(
            "sts",
            endpoint_url=service.api_url,
            region_name="us-east-1",
            aws_access_key_id=service.ready["access_key_id"],
            aws_secret_access_key=service.ready["secret_access_key"],
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    with running(tmp_path, GREENROOM_QUOTAS="requests_per_second_per_caller.sts=2") as service:
        once, patient = client(1), client(10)
        codes = [code_of(once.get_caller_identity) for _ in range(20)]
        assert set(codes) == {"", "Throttling"}
        for _ in range(3):
            assert patient.get_caller_identity()["Account"] == "123456789012"
