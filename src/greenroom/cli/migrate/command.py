"""`greenroom migrate`: from one node to a cluster, and back."""

import asyncio
from pathlib import Path

import click

from greenroom.cli.migrate import progress
from greenroom.cli.migrate.places import directory_of, places
from greenroom.cli.options import fail, load_settings
from greenroom.process.start_refused import StartRefused
from greenroom.server.kept import check_installed
from greenroom.vault.vault import KEY_FILE


@click.command()
@click.option("--from", "source", metavar="PLACE", help="Where everything is.")
@click.option("--to", "target", metavar="PLACE", help="Where it goes: a place that is empty.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file that the nodes read.",
)
def migrate(source: str | None, target: str | None, config_file: Path | None) -> None:
    """Move all that a service keeps from a data directory to PostgreSQL, or back.

    One place is a data directory, the other a URL such as postgresql://greenroom@db/greenroom; the
    URL may be left out where the configuration of the nodes names it. No service may run on either.
    Each table is read back and compared; the source stays as it is. A command that is killed has
    moved nothing: give it once more.
    """
    # Imported here: a node alone has no asyncpg.
    try:
        directory, _ = directory_of(source, target)
        settings = load_settings({"data_dir": str(directory)}, config_file)
        named = places(source, target, settings)
        check_installed()
        from greenroom.cli.migrate.run import run

        moved = asyncio.run(run(named, settings, progress.shown))
    except StartRefused as refused:
        raise fail(refused) from None
    held = moved.contents
    done = "has all of" if moved.already else "has got all of"
    click.echo(
        f"{moved.target} {done} {moved.source}: {held.rows:,} rows in {len(held.tables)} tables,"
        f" read back and equal (SHA-256 {held.sha256})."
    )
    click.echo(_next(directory, to_database=named.to_database))


def _next(directory: Path, *, to_database: bool) -> str:
    key = directory / KEY_FILE
    if not to_database:
        return f"Next: copy the nodes' key to {key}, or name its file: secrets_key_file."
    if key.exists():
        return f"Next: copy {key} to each node, and name the copy there: secrets_key_file."
    return "Next: give each node the key that the service had: secrets_key_file."
