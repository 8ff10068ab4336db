"""The options of an operation, made from its model: what the AWS CLI calls them, and takes."""

from collections.abc import Iterable, Mapping, Sequence

import click

from greenroom.aws.shapes import ListShape, Shape, StringShape
from greenroom.cli.operations.models import option_of
from greenroom.cli.operations.output import FORMS
from greenroom.cli.operations.values import ValueInvalid, value_of

_METAVARS = {
    "structure": "KEY=VALUE,…|JSON",
    "map": "KEY=VALUE,…|JSON",
    "list": "VALUE…|JSON",
    "integer": "NUMBER",
    "long": "NUMBER",
}

PAGING = {"starting_token": "StartingToken", "max_items": "MaxItems", "page_size": "PageSize"}
"""Options of lists that come in pages, and what botocore calls them."""

QUERY = "What to show of the result: a JMESPath expression."
OUTPUT = "Form.  [json]"
FORM = click.Choice(list(FORMS))

SHARED = ("query", "output", "cli_input_json", "generate_cli_skeleton")
"""Options that every operation has, as parameters."""


def options_of(members: Mapping[str, Shape], required: Iterable[str]) -> list[click.Parameter]:
    """Return an option for each member of a request; a truth value has one to deny it, too."""
    return [_option(name, shape, name in required) for name, shape in members.items()]


def shared_options() -> list[click.Parameter]:
    """Return the options that every operation has."""
    return [
        click.Option(["--query"], help=QUERY),
        click.Option(["--output"], type=FORM, help=OUTPUT),
        click.Option(
            ["--cli-input-json"],
            metavar="JSON",
            help="All parameters, or file:// and a file; options go before.",
        ),
        click.Option(
            ["--generate-cli-skeleton"],
            is_flag=False,
            flag_value="input",
            type=click.Choice(["input"]),
            help="Print what --cli-input-json takes, and send nothing.",
        ),
    ]


def paging_options() -> list[click.Parameter]:
    """Return the options of a list that comes in pages: all of them are asked for, unless."""
    return [
        click.Option(["--starting-token"], help="NextToken of an answer that --max-items cut."),
        click.Option(["--max-items"], type=int, help="End after so many.  [all]"),
        click.Option(["--page-size"], type=int, help="How many to ask for at once."),
        click.Option(["--no-paginate"], is_flag=True, help="Ask for one page."),
    ]


def given_members(
    members: Mapping[str, Shape], given: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the parameters that options gave.

    Raises:
        UsageError: a value does not fit; the line names the option.
    """
    found = {}
    for name, shape in members.items():
        value = given.get(name)
        if value is None or value == ():
            continue
        if isinstance(value, str | tuple):
            texts = [value] if isinstance(value, str) else list(value)
            value = _value(name, shape, texts)
        found[name] = value
    return found


def spread(arguments: Sequence[str], lists: frozenset[str]) -> list[str]:
    """Repeat an option before each of the values that follow it; one without any is an empty list.

    `--ids a b` becomes `--ids a --ids b`, which is what click reads.
    """
    found: list[str] = []
    option: str | None = None
    empty = False
    for argument in arguments:
        if option is not None and not argument.startswith("--"):
            found += [option, argument]
            empty = False
            continue
        found += [option, "[]"] if option is not None and empty else []
        option = argument if argument in lists else None
        empty = option is not None
        if option is None:
            found.append(argument)
    return [*found, option, "[]"] if option is not None and empty else found


def _value(name: str, shape: Shape, texts: Sequence[str]) -> object:
    try:
        return value_of(shape, texts)
    except ValueInvalid as invalid:
        raise click.UsageError(f"{option_of(name)} {invalid}") from None


def _option(name: str, shape: Shape, required: bool) -> click.Parameter:
    option = option_of(name)
    text = "Required." if required else ""
    if isinstance(shape, StringShape) and shape.enum:
        text = f"{text} {', '.join(shape.enum)}.".strip()
    if shape.type_name == "boolean":
        names = [f"{option}/--no-{option.removeprefix('--')}", name]
        return click.Option(names, default=None, help=text or None)
    return click.Option(
        [option, name],
        multiple=isinstance(shape, ListShape),
        metavar=_METAVARS.get(shape.type_name, "TEXT"),
        help=text or None,
    )
