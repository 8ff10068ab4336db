"""`greenroom admin role`."""

import json
from pathlib import Path
from urllib.parse import unquote

import click

from greenroom.cli.admin.options import Admin, admin_command
from greenroom.cli.admin.policies import document_in
from greenroom.cli.groups import CommandGroup
from greenroom.cli.iam_client import Answer

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group(cls=CommandGroup)
def role() -> None:
    """Roles: what users, and others who are trusted, can act as for a while."""


@role.command("add")
@click.argument("name")
@click.option("--trust", type=_FILE, help="Trust policy.  [who in the account is allowed to]")
@click.option("--description", help="What it is for.")
@click.option("--hours", type=click.IntRange(1, 12), help="Longest session.  [1]")
@admin_command
def add(
    admin: Admin, name: str, trust: Path | None, description: str | None, hours: int | None
) -> None:
    """Add a role, which may do nothing yet."""
    document = document_in(trust) if trust is not None else _of_the_account(admin)
    made = admin.call(
        "iam:CreateRole",
        RoleName=name,
        AssumeRolePolicyDocument=document,
        Description=description,
        MaxSessionDuration=None if hours is None else hours * 3600,
    )["Role"]
    admin.say(made["Arn"], _readable(made))


@role.command("list")
@admin_command
def list_(admin: Admin) -> None:
    """List the roles."""
    roles = admin.client.all("iam:ListRoles", "Roles")
    rows = [
        (each["RoleName"], each["Path"], each["CreateDate"], each.get("Description"))
        for each in roles
    ]
    answer = [_readable(each) for each in roles]
    admin.table(("ROLE", "PATH", "CREATED", "DESCRIPTION"), rows, answer)


@role.command("trust")
@click.argument("name")
@click.argument("file", type=_FILE)
@admin_command
def trust_(admin: Admin, name: str, file: Path) -> None:
    """Set who may assume a role."""
    document = document_in(file)
    admin.call("iam:UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=document)
    admin.say(f"set the trust policy of role {name}", {"RoleName": name})


@role.command("end-sessions")
@click.argument("name")
@admin_command
def end_sessions(admin: Admin, name: str) -> None:
    """End all sessions of a role: who acts in it must assume it again."""
    answer = admin.operate("sessions/end", kind="role", name=name)
    admin.say(f"ended the sessions of role {name}", answer)


@role.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Take policies away first.")
@admin_command
def remove(admin: Admin, name: str, *, force: bool) -> None:
    """Remove a role; who acts in it is refused from then on."""
    of = {"RoleName": name}
    if force:
        for policy in admin.client.all("iam:ListRolePolicies", "PolicyNames", **of):
            admin.call("iam:DeleteRolePolicy", PolicyName=policy, **of)
        for each in admin.client.all("iam:ListAttachedRolePolicies", "AttachedPolicies", **of):
            admin.call("iam:DetachRolePolicy", PolicyArn=each["PolicyArn"], **of)
    admin.call("iam:DeleteRole", **of)
    admin.say(f"removed role {name}", {})


def _readable(found: Answer) -> Answer:
    """Return a role with its trust policy as JSON: on the wire it is escaped text."""
    return {
        **found,
        "AssumeRolePolicyDocument": json.loads(unquote(found["AssumeRolePolicyDocument"])),
    }


def _of_the_account(admin: Admin) -> str:
    account = admin.call("sts:GetCallerIdentity")["Account"]
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
