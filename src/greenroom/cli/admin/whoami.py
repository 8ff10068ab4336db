"""`greenroom admin whoami`."""

import click

from greenroom.cli.admin.options import Admin, admin_command


@click.command()
@admin_command
def whoami(admin: Admin) -> None:
    """Show whose access key this is."""
    found = admin.call("sts:GetCallerIdentity")
    admin.say(found["Arn"], found)
