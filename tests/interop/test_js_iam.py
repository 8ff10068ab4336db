"""The AWS SDKs for JavaScript: IAM and STS in v2, and a v3 profile that assumes a role."""

import json
from pathlib import Path
from typing import Any

import boto3

from tests.interop.answers import ACCOUNT
from tests.interop.test_aws_cli import output, run
from tests.running.service import Service

JS = Path(__file__).parent / "js"


def allow(*actions: str, **scope: object) -> str:
    """Return a policy document of one statement."""
    statement = {"Effect": "Allow", "Action": list(actions), **(scope or {"Resource": "*"})}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_v2(service: Service) -> None:
    """Version 2 makes users and roles, reads documents and dates, and acts in a role."""
    settings = {
        "endpoint": service.api_url,
        "accessKeyId": service.ready["access_key_id"],
        "secretAccessKey": service.ready["secret_access_key"],
        "account": ACCOUNT,
    }
    found = output(
        run(
            ["node", "--no-warnings", str(JS / "v2_iam.mjs"), json.dumps(settings)],
            AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE="1",
        )
    )
    assert found.pop("room").startswith(f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/")
    assert found == {
        "tags": [{"Key": "größe", "Value": "½ + 1"}],
        "created": True,
        "document": True,
        "expires": True,
        "missing": ["NoSuchEntity", 404, 36],
    }


def test_a_profile_of_v3(service: Service, tmp_path: Path) -> None:
    """Version 3 assumes the role of a profile by itself, and may do what the role may."""
    iam: Any = boto3.client(
        "iam",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )
    trust = allow("sts:AssumeRole", Principal={"AWS": ACCOUNT})
    role = iam.create_role(RoleName="of-v3", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    listing = allow("ivschat:ListRooms")
    iam.put_role_policy(RoleName="of-v3", PolicyName="p", PolicyDocument=listing)
    (tmp_path / "config").write_text(
        f"[profile lister]\nrole_arn = {role}\nsource_profile = root\nregion = us-east-1\n"
        f"[profile root]\naws_access_key_id = {service.ready['access_key_id']}\n"
        f"aws_secret_access_key = {service.ready['secret_access_key']}\n"
    )
    done = run(
        ["node", "--no-warnings", str(JS / "v3_profile.mjs")],
        HOME=str(tmp_path),
        AWS_PROFILE="lister",
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL=service.api_url,
    )
    found = output(done)
    assert isinstance(found["rooms"], list)
    assert found["refused"] == "AccessDeniedException"
    assert "assumed-role/of-v3/" in found["message"]
    iam.close()
