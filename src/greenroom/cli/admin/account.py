"""`greenroom admin account`."""

import click

from greenroom.cli.admin.options import Admin, admin_command
from greenroom.cli.groups import CommandGroup


@click.group(cls=CommandGroup)
def account() -> None:
    """Account: a suspended one changes and publishes nothing."""


@account.command()
@admin_command
def show(admin: Admin) -> None:
    """Show whether the account is suspended."""
    _tell(admin, "show")


@account.command()
@admin_command
def suspend(admin: Admin) -> None:
    """Refuse what changes or publishes, on open connections too; `resume` ends it."""
    _tell(admin, "suspend")


@account.command()
@admin_command
def resume(admin: Admin) -> None:
    """End the suspension."""
    _tell(admin, "resume")


@account.command("end-sessions")
@admin_command
def end_sessions(admin: Admin) -> None:
    """End all sessions of the root: temporary credentials that its access key got."""
    answer = admin.operate("sessions/end", kind="root")
    admin.say("ended the sessions of the root", answer)


def _tell(admin: Admin, request: str) -> None:
    answer = admin.operate(f"account/{request}")
    state = "suspended" if answer["suspended"] else "active"
    admin.say(f"account {answer['account']} is {state}", answer)
