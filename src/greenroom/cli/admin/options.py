"""What the commands of `greenroom admin` share: the service, and how results are shown."""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec

import click

from greenroom.aws.own_service import SERVICE
from greenroom.cli.api import Api
from greenroom.cli.iam_client import Answer, IamClient
from greenroom.cli.reaching import WHICH, reach, refusals_told, which_service

P = ParamSpec("P")


class Admin:
    """A running service, and how to tell about it."""

    def __init__(self, client: IamClient, operator: Api, *, as_json: bool) -> None:
        self.client = client
        self._operator = operator
        self.as_json = as_json

    def call(self, action: str, **parameters: object) -> Answer:
        """Return the result of an action."""
        return self.client.call(action, **parameters)

    def operate(self, request: str, **parameters: object) -> dict[str, object]:
        """Return the answer to one of the operator's requests: `token-keys/rotate`."""
        return self._operator.call(f"{SERVICE}/{request}", **parameters)

    def say(self, sentence: str, answer: object) -> None:
        """Print a sentence for people, or the answer for scripts."""
        click.echo(_json(answer) if self.as_json else sentence)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]], answer: object) -> None:
        """Print rows for people, or the answer for scripts."""
        if self.as_json:
            click.echo(_json(answer))
            return
        lines = [tuple(head), *(tuple(_shown(cell) for cell in row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        for line in lines:
            cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip())


def admin_command(command: Callable[Concatenate[Admin, P], None]) -> Callable[P, None]:
    """Give a command the service as its first argument, and options that say which and how."""

    @which_service
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, nothing else.")
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.pop("as_json"))
        which = {name: kwargs.pop(name) for name in WHICH}
        with refusals_told():
            reached = reach(which)
            client = IamClient(reached.endpoint, reached.key)
            operator = Api(reached.endpoint, reached.key, reached.region, SERVICE)
            try:
                command(Admin(client, operator, as_json=as_json), *args, **kwargs)
            finally:
                client.close()
                operator.close()

    return run


def pairs(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    """Return options of the form NAME=VALUE."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"must be NAME=VALUE, not {text}")
        found[name] = value
    return found


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M} UTC"
    return "-" if cell is None or cell == "" else str(cell)


def _json(answer: object) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False, default=_json_value)


def _json_value(value: object) -> str:
    assert isinstance(value, datetime), type(value)  # noqa: S101 - the APIs answer nothing else
    return value.isoformat()
