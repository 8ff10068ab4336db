"""The command line: `greenroom serve`, `config`, `bench`, `--version`."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from greenroom import __version__
from greenroom.cli.bench import bench
from greenroom.cli.config import config
from greenroom.cli.serve import serve


class _Commands(click.Group):
    """A group that says in one line what is wrong with an option, like every other refusal."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _without_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _without_usage():
            return super().invoke(ctx)


@contextmanager
def _without_usage() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # With a context click prints the usage before the error. Asked for nothing, it only helps.
        if not isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.ctx = None
        raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="greenroom", message="%(prog)s %(version)s")
def main() -> None:
    """Greenroom: a self-hosted chat service that speaks Amazon IVS Chat's own protocols."""


main.add_command(serve)
main.add_command(config)
main.add_command(bench)
