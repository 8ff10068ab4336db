"""The AWS CLI: users, keys and policies as a person types them, and profiles that assume roles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.answers import ACCOUNT
from tests.interop.test_aws_cli import AWS, copy_of_aws, output, run, silent
from tests.running.service import Service

Cli = Callable[..., Any]


@pytest.fixture
def cli(service: Service, tmp_path: Path) -> Cli:
    """Return what calls `aws` with the endpoint in the environment, by default as the root."""

    def call(*arguments: str, **variables: str) -> Any:
        signed = {
            "AWS_ENDPOINT_URL": service.api_url,
            "AWS_ACCESS_KEY_ID": service.ready["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": service.ready["secret_access_key"],
        }
        place = {"HOME": str(tmp_path), "AWS_DEFAULT_REGION": "us-east-1"}
        if "AWS_PROFILE" in variables:
            return run([str(AWS), *arguments], **place, **variables)
        return copy_of_aws(*arguments, **place, **{**signed, **variables})

    return call


def allow(*actions: str) -> str:
    """Return a policy document."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_users_keys_and_policies(cli: Cli, tmp_path: Path) -> None:
    """A user is made, allowed something from a file, listed, and taken away again."""
    user = output(cli("iam", "create-user", "--user-name", "cli", "--tags", "Key=team,Value=a"))
    assert user["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/cli"
    key = output(cli("iam", "create-access-key", "--user-name", "cli"))["AccessKey"]
    file = tmp_path / "policy.json"
    file.write_text(allow("ivschat:ListRooms"))
    put = cli(
        *("iam", "put-user-policy", "--user-name", "cli", "--policy-name", "list"),
        *("--policy-document", f"file://{file}"),
    )
    assert silent(put)
    own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert "rooms" in output(cli("ivschat", "list-rooms", **own))
    assert "(AccessDenied)" in cli("iam", "list-users", **own).stderr
    assert "cli" in output(cli("iam", "list-users", "--query", "Users[].UserName"))
    shown = output(cli("iam", "get-user-policy", "--user-name", "cli", "--policy-name", "list"))
    assert shown["PolicyDocument"] == json.loads(allow("ivschat:ListRooms"))
    simulated = cli(
        *("iam", "simulate-principal-policy", "--policy-source-arn", user["User"]["Arn"]),
        *("--action-names", "ivschat:ListRooms", "ivschat:DeleteRoom"),
        *("--query", "EvaluationResults[].EvalDecision"),
    )
    assert output(simulated) == ["allowed", "implicitDeny"]
    for command in (
        ["delete-access-key", "--access-key-id", key["AccessKeyId"]],
        ["delete-user-policy", "--policy-name", "list"],
        ["delete-user"],
    ):
        assert silent(cli("iam", *command, "--user-name", "cli"))
    gone = cli("iam", "get-user", "--user-name", "cli")
    assert gone.returncode in {254, 255}
    assert "(NoSuchEntity) when calling the GetUser operation" in gone.stderr


def test_a_profile_that_assumes_a_role(cli: Cli, service: Service, tmp_path: Path) -> None:
    """A profile with `endpoint_url`, `role_arn` and `source_profile` acts in a role by itself."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ACCOUNT},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "shared"}},
            }
        ],
    }
    made = cli(
        *("iam", "create-role", "--role-name", "moderator"),
        *("--assume-role-policy-document", json.dumps(trust)),
    )
    role = output(made)["Role"]["Arn"]
    policy = output(
        cli(
            *("iam", "create-policy", "--policy-name", "moderate"),
            *("--policy-document", allow("ivschat:ListRooms", "ivschat:DeleteMessage")),
        )
    )["Policy"]["Arn"]
    attach = ("iam", "attach-role-policy", "--role-name", "moderator", "--policy-arn", policy)
    assert silent(cli(*attach))
    assert output(cli("iam", "create-user", "--user-name", "moderating"))
    key = output(cli("iam", "create-access-key", "--user-name", "moderating"))["AccessKey"]
    put = cli(
        *("iam", "put-user-policy", "--user-name", "moderating", "--policy-name", "assume"),
        *("--policy-document", allow("sts:AssumeRole")),
    )
    assert silent(put)
    (tmp_path / "config").write_text(
        f"[profile moderator]\nrole_arn = {role}\nsource_profile = me\nexternal_id = shared\n"
        "role_session_name = shift\n"
        f"endpoint_url = {service.api_url}\n"
        f"[profile me]\naws_access_key_id = {key['AccessKeyId']}\n"
        f"aws_secret_access_key = {key['SecretAccessKey']}\n"
        f"endpoint_url = {service.api_url}\n"
    )
    profile = {"AWS_PROFILE": "moderator", "AWS_CONFIG_FILE": str(tmp_path / "config")}
    who = output(cli("sts", "get-caller-identity", **profile))
    assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/moderator/shift"
    assert "rooms" in output(cli("ivschat", "list-rooms", **profile))
    refused = cli("ivschat", "create-room", **profile)
    assert "(AccessDeniedException)" in refused.stderr
    assert f"User: {who['Arn']} is not authorized to perform: ivschat:CreateRoom" in refused.stderr
