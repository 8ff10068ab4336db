"""`greenroom admin token-keys`."""

from datetime import UTC, datetime

import click
import msgspec

from greenroom.cli.admin.options import Admin, admin_command
from greenroom.cli.groups import CommandGroup
from greenroom.control.greenroom.answers import TokenKeysAnswer


@click.group("token-keys", cls=CommandGroup)
def token_keys() -> None:
    """Token keys: they seal chat tokens."""


@token_keys.command("list")
@admin_command
def list_(admin: Admin) -> None:
    """List the keys, the current one first."""
    _show(admin, "list")


@token_keys.command()
@admin_command
def rotate(admin: Admin) -> None:
    """Seal with a new key from now on; tokens of the older keys stay good until they expire."""
    _show(admin, "rotate")


@token_keys.command()
@click.argument("key_id")
@admin_command
def kill(admin: Admin, key_id: str) -> None:
    """Refuse all tokens of a key at once, and end the connections that were made with it."""
    _show(admin, "kill", keyId=key_id)


def _show(admin: Admin, request: str, **parameters: str) -> None:
    answer = admin.operate(f"token-keys/{request}", **parameters)
    rows = [
        (
            info.id,
            "current" if info.current else "retired",
            _time(info.made) or "by an earlier release",
            _time(info.retired),
        )
        for info in msgspec.convert(answer, TokenKeysAnswer).token_keys
    ]
    admin.table(("KEY", "STATE", "MADE", "RETIRED"), rows, answer["tokenKeys"])


def _time(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
