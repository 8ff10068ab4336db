"""`greenroom api OPERATION`: the operations of the service models with the AWS CLI's options.

The options are made from the model, so what is in a model is on the command line. With the name of
its service before it, an operation is written as for `aws`: `greenroom api ivschat list-rooms`.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping

import click
import jmespath  # type: ignore[import-untyped]  # it has no types
from click.shell_completion import CompletionItem

from greenroom.aws.shapes import ListShape, Shape
from greenroom.cli.escaping import printable
from greenroom.cli.groups import names_and_options, write_commands
from greenroom.cli.operations import models
from greenroom.cli.operations.models import Service, option_of
from greenroom.cli.operations.options import (
    FORM,
    OUTPUT,
    PAGING,
    QUERY,
    given_members,
    options_of,
    paging_options,
    shared_options,
    spread,
)
from greenroom.cli.operations.output import FORMS, as_json
from greenroom.cli.operations.rooms import with_room_arns
from greenroom.cli.operations.values import ValueInvalid, json_of
from greenroom.cli.reaching import WHICH, reach, refusals_told, which_service
from greenroom.cli.verbose import add_verbose

_UNFIT = (ValueError, TypeError, ArithmeticError, RecursionError)
"""What jmespath raises where an expression meets a value: its own errors, and Python's."""

_READING = ("get-", "list-", "simulate-")
"""How the operations begin that change nothing."""


class _Operations(click.Group):
    """The operations of all services, and the services."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = {name for each in models.services() for name in models.operations(each)}
        return [*models.services(), *sorted(names)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in models.services():
            return _OfService(models.service(cmd_name))
        owners = models.owners(cmd_name)
        if len(owners) > 1:
            choices = " or ".join(f"greenroom api {each} {cmd_name}" for each in owners)
            raise click.UsageError(f"several services have {cmd_name}: say {choices}", ctx)
        return command_of(models.service(owners[0]), cmd_name) if owners else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        return names_and_options(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _check_known(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for name in models.services():
            of = models.service(name)
            with formatter.section(f"Operations of {name}"):
                formatter.write_dl([(each, models.about(of, each)) for each in of.operations])


class _OfService(click.Group):
    """The operations of one service."""

    def __init__(self, of: Service) -> None:
        super().__init__(of.name, help=f"Operations of {of.name}, version {of.version}.")
        self._of = of

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._of.operations)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command_of(self._of, cmd_name) if cmd_name in self._of.operations else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_commands(self, ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        return names_and_options(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _check_known(args[0], list(self._of.operations), ctx)
        return super().resolve_command(ctx, args)


def _check_known(name: str, known: Iterable[str], ctx: click.Context) -> None:
    if name.startswith("-") or name in known or ctx.resilient_parsing:
        return
    alike = difflib.get_close_matches(name, list(known), n=3)
    meant = f": did you mean {' or '.join(alike)}?" if alike else ""
    raise click.UsageError(f"there is no operation {name!r}{meant}", ctx)


@click.group(cls=_Operations)
@which_service
@click.option("--query", help=QUERY)
@click.option("--output", type=FORM, help=OUTPUT)
@click.pass_context
def api(ctx: click.Context, /, **given: str | None) -> None:
    """Call an operation of the API: what follows `aws` in an example goes here.

    Options are those of the AWS CLI: a list is several values or JSON, a structure the CLI's
    shorthand or JSON, and file://PATH is what a file holds. A room's name or id is taken for its
    ARN. What goes before the operation holds unless it is given behind it as well.
    """
    ctx.obj = given


class _Operation(click.Command):
    """The command of one operation."""

    def __init__(self, of: Service, operation: str) -> None:
        self._of, self._operation = of, operation
        asked = of.model.operation(of.operations[operation]).input
        self._members: Mapping[str, Shape] = {} if asked is None else asked.members
        self._required = () if asked is None else asked.required_members
        self._pages = models.pages_of(of, operation)
        super().__init__(
            operation, params=self._options(), help=models.about(of, operation), callback=self._run
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        lists = {option_of(n) for n, each in self._members.items() if isinstance(each, ListShape)}
        return super().parse_args(ctx, spread(args, frozenset(lists)))

    def _options(self) -> list[click.Parameter]:
        """Return the options: the operation's own, and those of the command that it leaves free."""
        paging = [] if self._pages is None else paging_options()
        taken = {name for option in paging for name in option.opts}
        found = [
            option
            for option in options_of(self._members, self._required)
            if taken.isdisjoint(option.opts)
        ]
        taken |= {name for option in found for name in option.opts}
        for option in [*shared_options(), *paging, *_which()]:
            option.opts = [name for name in option.opts if name not in taken or option in paging]
            found += [option] if option.opts else []
        return found

    def _run(self, **given: object) -> None:
        if given["generate_cli_skeleton"]:
            from greenroom.cli.operations.calling import skeleton

            with refusals_told():
                click.echo(json.dumps(skeleton(self._of, self._operation), indent=4))
            return
        parameters, paging = self._parameters(given)
        before = click.get_current_context().find_object(dict) or {}
        query = _searching(given["query"] or before.get("query"))
        form = str(given["output"] or before.get("output") or "json")
        # botocore's clients take longer to import than most commands to run.
        from greenroom.cli.operations.calling import call

        with refusals_told():
            reached = reach({name: given.get(name) for name in WHICH})
            parameters = with_room_arns(reached, self._members, parameters)
            result = call(reached, self._of, self._operation, parameters, paging)
        try:
            shown = FORMS[form](query(result))
        except _UNFIT as unfit:
            if not self._operation.startswith(_READING):
                # What was made is not made again by asking better, and it may hold a secret.
                click.echo(as_json(result), err=True)
            why = printable(" ".join(str(unfit).split()))
            raise click.UsageError(f"--query does not fit the result: {why}") from unfit
        if shown:
            click.echo(shown)

    def _parameters(
        self, given: Mapping[str, object]
    ) -> tuple[Mapping[str, object], Mapping[str, object] | None]:
        """Return the parameters, and how to ask for all pages; None for one page."""
        whole: dict[str, object] = {}
        if given["cli_input_json"] is not None:
            try:
                whole = json_of(str(given["cli_input_json"]))
            except ValueInvalid as invalid:
                raise click.UsageError(f"--cli-input-json {invalid}") from None
        found = {**whole, **given_members(self._members, given)}
        missing = [option_of(name) for name in self._required if name not in found]
        if missing:
            raise click.UsageError(f"missing {' and '.join(missing)}")
        if self._pages is None:
            return found, None
        paging = {word: given[name] for name, word in PAGING.items() if given[name] is not None}
        if not given["no_paginate"] and self._pages["input_token"] not in found:
            return found, paging
        # Whoever asks for one page by its own token means the API's own limit.
        limit = {str(self._pages["limit_key"]): paging.pop("MaxItems", None)}
        if paging:
            raise click.UsageError(
                "--starting-token and --page-size are for all pages, not for one"
            )
        return found | {name: value for name, value in limit.items() if value is not None}, None


def command_of(of: Service, operation: str) -> click.Command:
    """Return the command of an operation that the service has."""
    command = _Operation(of, operation)
    add_verbose(command)
    return command


def _which() -> list[click.Parameter]:
    """Return the options that say which service is meant."""

    @click.command()
    @which_service
    def carrier() -> None:
        """Carry the options."""

    return carrier.params


def _searching(expression: object) -> Callable[[object], object]:
    """Return what picks from a result what --query says; all of it without one."""
    if expression is None:
        return lambda result: result
    try:
        search: Callable[[object], object] = jmespath.compile(str(expression)).search
        return search
    except jmespath.exceptions.JMESPathError as invalid:
        why = str(invalid).splitlines()[0].rstrip(":").rpartition(": ")[2]
        raise click.UsageError(f"--query is no JMESPath expression: {why}") from None
