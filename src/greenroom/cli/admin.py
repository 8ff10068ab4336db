"""`greenroom admin`: identities, token keys and the account of a running service, for people.

A group's module is imported when it is called. Another group is one more line in `GROUPS`.
"""

from importlib import import_module

import click

GROUPS = {
    "account": "admin_account",
    "key": "admin_keys",
    "policy": "admin_policies",
    "role": "admin_roles",
    "simulate": "admin_simulate",
    "token-keys": "admin_token_keys",
    "user": "admin_users",
    "whoami": "admin_whoami",
}
"""The module of each group and command; the function has the group's name, dashes
as _."""


class _Groups(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        module = import_module(f"greenroom.cli.{GROUPS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_Groups)
def admin() -> None:
    """Manage users, roles, policies, keys and the account of a running service.

    The access key is that of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else the one in the data
    directory. `account` and `token-keys` need the root's. Everything else can also be done with
    `aws iam` and `aws sts`.
    """
