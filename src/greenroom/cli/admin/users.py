"""`greenroom admin user`."""

import click

from greenroom.cli.admin.options import Admin, admin_command, pairs
from greenroom.cli.groups import CommandGroup


@click.group(cls=CommandGroup)
def user() -> None:
    """Users: people and programs with access keys of their own."""


@user.command("add")
@click.argument("name")
@click.option("--path", help="Path in the user's ARN.  [/]")
@click.option("--tag", "tags", multiple=True, callback=pairs, help="Tag, as NAME=VALUE.")
@admin_command
def add(admin: Admin, name: str, path: str | None, tags: dict[str, str]) -> None:
    """Add a user, who may do nothing yet."""
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = admin.call("iam:CreateUser", UserName=name, Path=path, Tags=given or None)["User"]
    admin.say(f"{made['Arn']}\nNext: greenroom admin key create {name}", made)


@user.command("list")
@admin_command
def list_(admin: Admin) -> None:
    """List the users."""
    users = admin.client.all("iam:ListUsers", "Users")
    rows = [(each["UserName"], each["Path"], each["CreateDate"], each["UserId"]) for each in users]
    admin.table(("USER", "PATH", "CREATED", "ID"), rows, users)


@user.command("show")
@click.argument("name")
@admin_command
def show(admin: Admin, name: str) -> None:
    """Show a user's keys, policies and tags."""
    found = admin.call("iam:GetUser", UserName=name)["User"]
    of = {"UserName": name}
    keys = admin.client.all("iam:ListAccessKeys", "AccessKeyMetadata", **of)
    inline = admin.client.all("iam:ListUserPolicies", "PolicyNames", **of)
    attached = admin.client.all("iam:ListAttachedUserPolicies", "AttachedPolicies", **of)
    rows = [
        ("arn", found["Arn"]),
        ("created", found["CreateDate"]),
        *(("tag", f"{tag['Key']}={tag['Value']}") for tag in found["Tags"]),
        *(("key", f"{key['AccessKeyId']} {key['Status']}") for key in keys),
        *(("policy", policy) for policy in inline),
        *(("policy", policy["PolicyArn"]) for policy in attached),
    ]
    everything = {"User": found, "Keys": keys, "Policies": inline, "AttachedPolicies": attached}
    admin.table(("USER", found["UserName"]), rows, everything)


@user.command("end-sessions")
@click.argument("name")
@admin_command
def end_sessions(admin: Admin, name: str) -> None:
    """End all sessions of a user: temporary credentials that the user got."""
    answer = admin.operate("sessions/end", kind="user", name=name)
    admin.say(f"ended the sessions of user {name}", answer)


@user.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Take keys and policies away first.")
@admin_command
def remove(admin: Admin, name: str, *, force: bool) -> None:
    """Remove a user."""
    of = {"UserName": name}
    if force:
        for key in admin.client.all("iam:ListAccessKeys", "AccessKeyMetadata", **of):
            admin.call("iam:DeleteAccessKey", AccessKeyId=key["AccessKeyId"], **of)
        for policy in admin.client.all("iam:ListUserPolicies", "PolicyNames", **of):
            admin.call("iam:DeleteUserPolicy", PolicyName=policy, **of)
        for each in admin.client.all("iam:ListAttachedUserPolicies", "AttachedPolicies", **of):
            admin.call("iam:DetachUserPolicy", PolicyArn=each["PolicyArn"], **of)
    admin.call("iam:DeleteUser", **of)
    admin.say(f"removed user {name}", {})
