"""Groups of commands whose modules are imported when a command is called.

That keeps `--version` fast. A name that is no command is refused with those that look like it.
"""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click
from click.shell_completion import CompletionItem

from greenroom.cli.verbose import add_verbose

_SENTENCE = 200
"""Characters of a first sentence, at most."""


class CommandGroup(click.Group):
    """A group that lists first sentences whole, and names what a wrong name was meant for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_commands(self, ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        wrong = not name.startswith("-") and name not in self.list_commands(ctx)
        if wrong and not ctx.resilient_parsing:  # a shell that completes is told nothing
            raise unknown(ctx, name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class LateGroup(CommandGroup):
    """A group whose `late` commands are named as `module:function`, in `greenroom.cli`."""

    late: ClassVar[Mapping[str, str]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({**self.commands, **self.late})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.late.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, function = place.partition(":")
        command: click.Command = getattr(import_module(f"greenroom.cli.{module}"), function)
        add_verbose(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        return names_and_options(self, ctx, incomplete)


def write_commands(group: click.Group, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """List a group's commands, each with its first sentence whole: cut off, it would say little."""
    found = ((name, group.get_command(ctx, name)) for name in group.list_commands(ctx))
    rows = [(name, each.get_short_help_str(_SENTENCE)) for name, each in found if each]
    with formatter.section("Commands"):
        formatter.write_dl(rows)


def names_and_options(
    group: click.Group, ctx: click.Context, incomplete: str
) -> list[CompletionItem[str]]:
    """Return what may follow a group's name; the commands are not imported for it."""
    names = [name for name in group.list_commands(ctx) if name.startswith(incomplete)]
    options = click.Command.shell_complete(group, ctx, incomplete)
    return [*map(CompletionItem, names), *options]


def unknown(ctx: click.Context, name: str, known: list[str]) -> click.UsageError:
    """Return the refusal of a name that is no command: with what it may have been meant for."""
    alike = difflib.get_close_matches(name, known, n=3)
    meant = f"did you mean {' or '.join(alike)}?" if alike else f"there are {', '.join(known)}"
    return click.UsageError(f"{ctx.command_path} has no command {name!r}: {meant}")
