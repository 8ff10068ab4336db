"""`greenroom admin key`."""

import click

from greenroom.cli.admin.options import Admin, admin_command
from greenroom.cli.groups import CommandGroup


@click.group(cls=CommandGroup)
def key() -> None:
    """Access keys: at most two per user, so that one can replace the other."""


@key.command("create")
@click.argument("user")
@admin_command
def create(admin: Admin, user: str) -> None:
    """Create an access key and print it: the secret is shown this once."""
    made = admin.call("iam:CreateAccessKey", UserName=user)["AccessKey"]
    # As a section of the AWS tools' shared credentials file.
    lines = (
        f"[{made['UserName']}]",
        f"aws_access_key_id = {made['AccessKeyId']}",
        f"aws_secret_access_key = {made['SecretAccessKey']}",
    )
    admin.say("\n".join(lines), made)


@key.command("list")
@click.argument("user")
@admin_command
def list_(admin: Admin, user: str) -> None:
    """List a user's access keys, and when each was used."""
    keys = admin.client.all("iam:ListAccessKeys", "AccessKeyMetadata", UserName=user)
    for each in keys:
        used = admin.call("iam:GetAccessKeyLastUsed", AccessKeyId=each["AccessKeyId"])
        each["LastUsed"] = used["AccessKeyLastUsed"]
    rows = [
        (
            each["AccessKeyId"],
            each["Status"],
            each["CreateDate"],
            each["LastUsed"].get("LastUsedDate", "never"),
        )
        for each in keys
    ]
    admin.table(("KEY", "STATUS", "CREATED", "LAST USED"), rows, keys)


@key.command("disable")
@click.argument("key_id")
@admin_command
def disable(admin: Admin, key_id: str) -> None:
    """Refuse a key from now on; `enable` takes it back."""
    _set(admin, key_id, "Inactive")


@key.command("enable")
@click.argument("key_id")
@admin_command
def enable(admin: Admin, key_id: str) -> None:
    """Accept a key again."""
    _set(admin, key_id, "Active")


@key.command("delete")
@click.argument("key_id")
@admin_command
def delete(admin: Admin, key_id: str) -> None:
    """Delete a key."""
    owner = _owner(admin, key_id)
    admin.call("iam:DeleteAccessKey", UserName=owner, AccessKeyId=key_id)
    admin.say(f"deleted key {key_id} of user {owner}", {"UserName": owner, "AccessKeyId": key_id})


def _set(admin: Admin, key_id: str, status: str) -> None:
    owner = _owner(admin, key_id)
    changed = {"UserName": owner, "AccessKeyId": key_id, "Status": status}
    admin.call("iam:UpdateAccessKey", **changed)
    admin.say(f"key {key_id} of user {owner} is {status.lower()}", changed)


def _owner(admin: Admin, key_id: str) -> str:
    return str(admin.call("iam:GetAccessKeyLastUsed", AccessKeyId=key_id)["UserName"])
