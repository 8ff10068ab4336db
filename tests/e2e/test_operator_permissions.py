"""Greenroom's own operations, decided by policies in the real process: who may, and who may not.

Covers: greenroom.control.greenroom.account, greenroom.control.greenroom.answers,
    greenroom.control.greenroom.authorize, greenroom.control.greenroom.call,
    greenroom.control.greenroom.sessions
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from greenroom.cli.access import ClientKey, CommandRefused
from greenroom.cli.api import Api, Endpoint
from greenroom.policies.greenroom_access import GREENROOM_ACCESS, is_about_a_room
from tests.running.said import until
from tests.running.service import Service, running

ACCOUNT, REGION = "123456789012", "us-east-1"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/operator"
KEYS = f"arn:aws:greenroom::{ACCOUNT}:token-key"
REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "EndSessions": ("sessions/end", {"kind": "role", "name": "MODERATOR"}),
    "KillTokenKey": ("token-keys/kill", {"keyId": "none"}),
    "ListReviews": ("reviews/list", {}),
    "ListTokenKeys": ("token-keys/list", {}),
    "ResumeAccount": ("account/resume", {}),
    "RevealReviews": ("reviews/reveal", {}),
    "RotateTokenKey": ("token-keys/rotate", {}),
    "ShowAccount": ("account/show", {}),
    "ShowRequest": ("requests/show", {}),
    "SuspendAccount": ("account/suspend", {}),
}
"""A request for each operation; the key that is to be killed does not exist."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
}


class Subject(msgspec.Struct):
    """A service and a user of it, whose one policy each test writes anew."""

    service: Service
    root: ClientKey
    user: ClientKey

    def client(self, name: str, key: ClientKey) -> Any:
        """Return a client of an AWS API."""
        make: Any = boto3.client
        return make(
            name,
            endpoint_url=self.service.api_url,
            region_name=REGION,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret,
            aws_session_token=key.session_token,
        )

    def may(self, *statements: dict[str, Any]) -> None:
        """Let the user do what the statements say, and nothing else."""
        self.client("iam", self.root).put_user_policy(
            UserName="operator",
            PolicyName="only",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
        )

    def ask(
        self,
        operation: str,
        key: ClientKey | None = None,
        region: str = REGION,
        **parameters: str,
    ) -> str:
        """Return "" when an operation was not refused for who asks, else the sentence."""
        path, given = REQUESTS[operation]
        endpoint = Endpoint.parse(self.service.api_url)
        api = Api(endpoint, key or self.user, region, "greenroom")
        try:
            api.call(f"greenroom/{path}", **(parameters or given))
        except CommandRefused as refused:
            if refused.error == "AccessDeniedException":
                return str(refused)
            if "There is no token key of that id" not in str(refused):
                raise
        finally:
            api.close()
        return ""

    def allowed(self, key: ClientKey | None = None) -> set[str]:
        """Return the operations that are not refused."""
        return {operation for operation in REQUESTS if not self.ask(operation, key)}


def statement(*actions: str, effect: str = "Allow", resource: str = "*") -> dict[str, Any]:
    """Return a statement of a policy."""
    return {"Effect": effect, "Action": list(actions), "Resource": resource}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Give a service with a user and a role."""
    with running(tmp_path_factory.mktemp("operator") / "data") as service:
        ready = service.ready
        root = ClientKey(ready["access_key_id"], ready["secret_access_key"])
        found = Subject(service, root, root)
        iam = found.client("iam", root)
        iam.create_user(UserName="operator")
        iam.create_role(
            RoleName="moderator", Path="/chat/", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        made = iam.create_access_key(UserName="operator")["AccessKey"]
        found.user = ClientKey(made["AccessKeyId"], made["SecretAccessKey"])
        yield found


def test_every_operation_is_tried() -> None:
    """None is left out but those about rooms: see `test_room_permissions`."""
    assert REQUESTS.keys() == {name for name in GREENROOM_ACCESS if not is_about_a_room(name)}


def test_without_a_permission_nothing_is_done(subject: Subject) -> None:
    """The refusal says who, which action and which resource; the names of roles are as kept."""
    subject.may(statement("sts:AssumeRole"))
    resources = {
        "EndSessions": f"arn:aws:iam::{ACCOUNT}:role/chat/moderator",
        "KillTokenKey": f"{KEYS}/none",
        "ListReviews": f"arn:aws:greenroom::{ACCOUNT}:review/*",
        "ListTokenKeys": f"{KEYS}/*",
        "RevealReviews": f"arn:aws:greenroom::{ACCOUNT}:review/*",
        "RotateTokenKey": f"{KEYS}/*",
    }
    for operation in REQUESTS:
        action = f"greenroom:{operation}"
        resource = resources.get(operation, f"arn:aws:greenroom::{ACCOUNT}:account")
        assert (
            f"User: {OPERATOR} is not authorized to perform: {action} on resource: {resource}"
            f" because no identity-based policy allows the {action} action"
        ) in subject.ask(operation)


def test_each_permission_is_for_one_operation(subject: Subject) -> None:
    """What a policy allows is done, and nothing else."""
    for operation in REQUESTS:
        subject.may(statement(f"greenroom:{operation}"))
        assert subject.allowed() == {operation}
    subject.may(statement("greenroom:ResumeAccount"))
    assert not subject.ask("ResumeAccount")


def test_permissions_of_the_services_are_apart(subject: Subject) -> None:
    """All of the ivschat API gives nothing of Greenroom's own, nor the other way round."""
    ivschat, iam = subject.client("ivschat", subject.user), subject.client("iam", subject.user)
    subject.may(statement("ivschat:*", "iam:*", "sts:*"))
    assert subject.allowed() == set()
    assert ivschat.list_rooms()["rooms"] == []
    subject.may(statement("greenroom:*"))
    assert subject.allowed() == set(REQUESTS)
    assert not subject.ask("ResumeAccount")
    for refused in (ivschat.list_rooms, iam.list_users):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_a_deny_is_above_an_allow(subject: Subject) -> None:
    """Whatever else allows it, and whatever region the request is signed for."""
    subject.may(
        statement("*"),
        statement("greenroom:*Token*", effect="Deny", resource=f"{KEYS}/*"),
    )
    assert subject.allowed() == {name for name in REQUESTS if "Token" not in name}
    assert not subject.ask("ResumeAccount")
    for region in (REGION, "eu-west-1"):
        why = subject.ask("RotateTokenKey", region=region)
        assert "with an explicit deny in an identity-based policy" in why


def test_a_permission_can_be_about_one_resource(subject: Subject) -> None:
    """One key, or the roles below a path; who does not exist is told apart from nobody."""
    subject.may(
        statement("greenroom:KillTokenKey", resource=f"{KEYS}/none"),
        statement("greenroom:EndSessions", resource=f"arn:aws:iam::{ACCOUNT}:role/chat/*"),
    )
    assert subject.allowed() == {"KillTokenKey", "EndSessions"}
    assert subject.ask("KillTokenKey", keyId="other")
    for kind, name in (("user", "operator"), ("role", "nobody"), ("root", "")):
        assert subject.ask("EndSessions", kind=kind, name=name)


def test_a_simulation_says_so_before(subject: Subject) -> None:
    """What would be decided is told without a request."""
    subject.may(statement("greenroom:ListTokenKeys", resource=f"{KEYS}/*"))
    found = subject.client("iam", subject.root).simulate_principal_policy(
        PolicySourceArn=OPERATOR,
        ActionNames=["greenroom:ListTokenKeys", "greenroom:RotateTokenKey"],
        ResourceArns=[f"{KEYS}/*"],
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in found] == ["allowed", "implicitDeny"]


def test_session_policies_narrow_it(subject: Subject) -> None:
    """A session has what its role may, and its session policies too."""
    subject.client("iam", subject.root).put_role_policy(
        RoleName="moderator",
        PolicyName="only",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement("greenroom:*")}),
    )
    narrow = {"Version": "2012-10-17", "Statement": statement("greenroom:ShowAccount")}
    credentials = subject.client("sts", subject.root).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/chat/moderator",
        RoleSessionName="one",
        Policy=json.dumps(narrow),
    )["Credentials"]
    session = ClientKey(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    assert subject.allowed(session) == {"ShowAccount"}


def test_the_root_may_do_everything(subject: Subject) -> None:
    """With its key, and with temporary credentials of its own until its sessions are ended."""
    credentials = subject.client("sts", subject.root).get_session_token()["Credentials"]
    session = ClientKey(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    for key in (subject.root, session):
        assert subject.allowed(key) == set(REQUESTS)
        assert not subject.ask("ResumeAccount", key)


def test_who_did_it_is_audited(subject: Subject) -> None:
    """A line says which user rotated the keys, and which was refused; listing says nothing."""
    audit_log = Path(subject.service.ready["data_dir"]) / "audit.log"
    subject.may(statement("greenroom:RotateTokenKey", "greenroom:ListTokenKeys"))
    for operation in ("RotateTokenKey", "ListTokenKeys"):
        subject.ask(operation)

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in audit_log.read_text().splitlines()]

    def is_written() -> bool:
        # Of the refusals of a caller not all are written: there were many before.
        subject.ask("EndSessions", name="operator", kind="user")
        return bool(lines()[-1].get("details") == {"UserName": "operator"})

    until(is_written, "the refusal is written")
    told = [(each["event"], each["outcome"], each["arn"]) for each in reversed(lines())]
    # It was asked until a line was read, and more than one may be written by then.
    assert list(dict.fromkeys(told))[:2] == [
        ("EndSessions", "AccessDeniedException", OPERATOR),
        ("RotateTokenKey", "Success", OPERATOR),
    ]
