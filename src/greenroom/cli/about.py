"""`greenroom help` and `greenroom version`: what people type before they know of the options."""

import click

from greenroom import __version__
from greenroom.cli.groups import unknown


@click.command("help")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show what there is, or how a command is used: greenroom help admin user."""
    place = ctx.find_root()
    command = place.command
    for name in names:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{place.command_path} has no commands of its own")
        found = command.get_command(place, name)
        if found is None:
            raise unknown(place, name, command.list_commands(place))
        command, place = found, click.Context(found, parent=place, info_name=name)
    click.echo(command.get_help(place))


@click.command("version")
def show_version() -> None:
    """Show the version, as --version does."""
    click.echo(f"greenroom {__version__}")
