"""`greenroom admin`: identities, token keys and the account of a running service, for people.

Another group is one more line in `GROUPS`.
"""

from collections.abc import Mapping
from typing import ClassVar

import click

from greenroom.cli.groups import LateGroup
from greenroom.cli.reaching import which_service

GROUPS = {
    "account": "admin.account:account",
    "key": "admin.keys:key",
    "policy": "admin.policies:policy",
    "role": "admin.roles:role",
    "simulate": "admin.simulate:simulate",
    "token-keys": "admin.token_keys:token_keys",
    "user": "admin.users:user",
    "whoami": "admin.whoami:whoami",
}
"""Where each group and command is: its module, and the function in it."""


class _Groups(LateGroup):
    late: ClassVar[Mapping[str, str]] = GROUPS


@click.group(cls=_Groups)
@which_service
@click.pass_context
def admin(ctx: click.Context, /, **which: str | None) -> None:
    """Manage users, roles, policies, keys and the account of a running service.

    With --data-dir the access key is the one in that directory. Else it is that of
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if the service knows it, else the one in the data
    directory. Each command needs the permission of what it does, as `greenroom:RotateTokenKey`; the
    root needs none. All but `account`, `token-keys` and `end-sessions` can also be done with
    `aws iam` and `aws sts`.
    """
    ctx.obj = which
