"""The command line: `greenroom serve`, `backup`, `restore`, `admin` and the others.

A command's module is imported when it is called, which leaves little time in which a signal meets
a process that does not handle it yet.
"""

import gc
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import click

from greenroom import __version__
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.groups import LateGroup
from greenroom.cli.streams import OutputFailed, end_of, take_streams
from greenroom.cli.verbose import be_verbose, is_verbose, note_fault

COMMANDS = {
    "admin": "admin.command:admin",
    "api": "operations.command:api",
    "backup": "backup.command:backup",
    "bench": "bench.command:bench",
    "chat": "room.chat:chat",
    "cheat": "cheat:cheat",
    "cluster": "cluster.command:cluster",
    "completion": "completion:completion",
    "config": "config:config",
    "delete-message": "room.acting:delete_message",
    "doctor": "doctor.command:doctor",
    "event": "room.acting:event",
    "health": "doctor.command:health",
    "help": "about:show_help",
    "install-model": "install_model:install_model",
    "kick": "room.acting:kick",
    "migrate": "migrate.command:migrate",
    "restore": "backup.command:restore_command",
    "review": "review.command:review",
    "room": "room.command:room",
    "rooms": "room.command:rooms",
    "say": "room.say:say",
    "serve": "serve:serve",
    "tail": "room.tail:tail",
    "test": "test:test",
    "token": "room.acting:token",
    "version": "about:show_version",
}
"""Where each command is: its module, and the function in it."""


class _Commands(LateGroup):
    """A group that says in one line what is wrong with an option, like every other refusal."""

    late: ClassVar[Mapping[str, str]] = COMMANDS

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line, whatever its streams are."""
        take_streams()
        be_verbose(on=False)
        try:
            return super().main(*args, **options)
        except OutputFailed as failed:
            sys.exit(end_of(failed))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "serve":
            _stop_quietly()
            # What a start makes stays: looking for garbage in it took a tenth of the time.
            gc.disable()
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _without_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _without_usage(), _faults_told(ctx):
            return super().invoke(ctx)


def _stop_quietly() -> None:
    """Let a stop during the start be a stop like any other; the server takes over when it can."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(ExitCode.OK))


@contextmanager
def _faults_told(ctx: click.Context) -> Iterator[None]:
    """Show where an error comes from to those who asked; a fault of ours is one line to others."""
    try:
        yield
    except click.ClickException as error:
        note_fault(error)
        raise
    except (click.Abort, click.exceptions.Exit, OutputFailed):
        raise
    except Exception as error:
        # What a service ends with belongs into its log, as it is.
        if ctx.invoked_subcommand == "serve" or is_verbose():
            raise
        # Its text could hold what nobody may read.
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise click.ClickException(
            f"a fault of Greenroom's own, {type(error).__name__} in {place.filename} line"
            f" {place.lineno}: please report it; --verbose shows all of it"
        ) from error


@contextmanager
def _without_usage() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # With a context click prints the usage before the error. Asked for nothing, it only helps.
        if error.ctx is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
            raise
        said = error.format_message()
        stop = "" if said.endswith((".", "?", "?)")) else "."
        raise click.UsageError(f"{said}{stop} See {error.ctx.command_path} --help") from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="To begin: greenroom serve, and in another terminal greenroom chat lobby --as alice."
    " Examples: greenroom cheat.",
)
@click.version_option(__version__, prog_name="greenroom", message="%(prog)s %(version)s")
def main() -> None:
    """Greenroom: a self-hosted chat service that speaks Amazon IVS Chat's own protocols."""
