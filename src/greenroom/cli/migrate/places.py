"""From where, and to where: one is a data directory, the other a PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from greenroom.process.kept_file import KeptFile, one_line
from greenroom.settings import servers
from greenroom.settings.servers import POSTGRESQL, ServerUrls
from greenroom.settings.values import Settings, SettingsRefused

_RULE = (
    "--from and --to: one is a data directory, the other postgresql://USER@HOST:PORT/DATABASE, or"
    " left out for the one that the setting storage names"
)


class Places(msgspec.Struct, frozen=True):
    """The two places, and whether the way leads to the database."""

    directory: Path
    url: str
    password: Callable[[], str] | None
    to_database: bool


def directory_of(source: str | None, target: str | None) -> tuple[Path, bool]:
    """Return the data directory that is named, and whether everything moves away from it.

    Raises:
        SettingsRefused: none is, or both are directories.
    """
    named = [each for each in (source, target) if each and not _is_url(each)]
    if len(named) != 1:
        raise SettingsRefused(_RULE)
    return Path(named[0]), named[0] is source


def places(source: str | None, target: str | None, settings: Settings) -> Places:
    """Return the places that the options and the settings name.

    Raises:
        SettingsRefused: a URL is not valid, shows its password to everybody, or there is none.
        FileUnreadable: the file of the password cannot be used.
    """
    directory, leaves = directory_of(source, target)
    option, given = ("--to", target) if leaves else ("--from", source)
    url = settings.database if given is None else _url(option, given)
    if url is None:
        raise SettingsRefused(_RULE)
    file = settings.optional_path("storage_password_file")
    password = (
        None
        if file is None or url.has_secret
        else KeptFile(file, one_line, "storage_password_file").get
    )
    return Places(directory, url, password, leaves)


def _is_url(place: str) -> bool:
    return place.startswith(tuple(f"{scheme}://" for scheme in POSTGRESQL))


def _url(option: str, given: str) -> ServerUrls:
    try:
        url = ServerUrls(servers.storage(given))
    except ValueError as error:
        raise SettingsRefused(f"{option} {error}") from None
    if url.has_secret:
        raise SettingsRefused(
            f"{option} has a password, which the list of processes shows to everybody: give it in"
            " PGPASSWORD or in a file (?passfile=…), or leave the URL out and give the nodes'"
            " settings with --config"
        )
    return url
