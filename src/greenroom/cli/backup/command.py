"""`greenroom backup DIR` and `greenroom restore DIR`."""

from collections.abc import Callable
from pathlib import Path

import click

from greenroom.cli.backup.keys import check_key
from greenroom.cli.backup.make import make
from greenroom.cli.backup.manifest import Manifest
from greenroom.cli.backup.restore import restore, verify
from greenroom.cli.new_directory import check_free
from greenroom.cli.options import fail, load_settings
from greenroom.cli.progress import shown_progress
from greenroom.process.start_refused import StartRefused
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.storage.sqlite.database_file import DATABASE
from greenroom.vault.vault import is_at_hand

_ARGUMENT = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
_DATA_DIR = click.option("--data-dir", help="Data directory of the service.  [greenroom-data]")
_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file that the service reads.",
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    return _ARGUMENT(_DATA_DIR(_CONFIG(command)))


@click.command()
@_options
@click.option("--without-key", is_flag=True, help="Leave secrets.key out, to be kept apart.")
def backup(
    directory: Path, data_dir: str | None, config_file: Path | None, without_key: bool
) -> None:
    """Back the data directory up into the new directory DIR.

    The service may run, and notices nothing. DIR appears when it is whole, readable by its owner
    only. Audit log, chat logs in files, certificates, the identities file and the configuration
    are not in it.
    """
    try:
        settings = _settings(data_dir, config_file)
        manifest = make(settings, directory, shown_progress(), with_key=not without_key)
    except StartRefused as refused:
        raise fail(refused) from None
    click.echo(f"Backed up {settings.path('data_dir')} into {directory}. {_held(manifest)}")
    if manifest.has_key:
        click.echo("The key of the secrets is in it: keep it as secret as the service itself.")
    else:
        click.echo("The key of the secrets is not in it: a restored service needs it, too.")


@click.command("restore")
@_options
@click.option("--check", is_flag=True, help="Verify the backup, and change nothing.")
def restore_command(
    directory: Path, data_dir: str | None, config_file: Path | None, check: bool
) -> None:
    """Put the backup DIR into a data directory that is not there yet, or empty.

    All of the backup is verified before. No service may run on the data directory.
    """
    try:
        settings = _settings(data_dir, config_file)
        target = settings.path("data_dir")
        if not check:
            check_free(target)
        manifest = verify(directory, shown_progress())
        of_backup = _settings(str(directory), config_file)
        check_key(of_backup, directory / DATABASE)
        if not check:
            restore(directory, manifest, target, shown_progress())
    except StartRefused as refused:
        raise fail(refused) from None
    done = f"{directory} is whole." if check else f"Restored {directory} into {target}."
    click.echo(f"{done} {_held(manifest)}")
    if not is_at_hand(of_backup):
        place = "the data directory" if check else target
        click.echo(f"Before a start put secrets.key into {place}, or give secrets_key.")


def _held(manifest: Manifest) -> str:
    return f"Made {manifest.made} by {manifest.version}; holds {manifest.shown}."


def _settings(data_dir: str | None, config_file: Path | None) -> Settings:
    given = {} if data_dir is None else {"data_dir": data_dir}
    settings = load_settings(given, config_file)
    if settings.text("storage") == "memory":
        raise SettingsRefused(
            "storage = memory keeps nothing, so there is nothing to back up or to restore"
        )
    if settings.database is not None:
        raise SettingsRefused(
            "storage is PostgreSQL, with tools of its own: back it up with pg_dump or continuous"
            " archiving, restore it with pg_restore, and keep a copy of the key of secrets_key_file"
        )
    return settings
