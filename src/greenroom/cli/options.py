"""What the sub-commands share: reading the settings, and ending with one line and an exit code."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from greenroom.bus.base import BusRefused, BusUnreachable
from greenroom.cli.exit_codes import ExitCode
from greenroom.entrance.sockets import AddressRefused
from greenroom.process.start_refused import ClockRefused, FileUnreadable, FileUnwritable
from greenroom.settings import load
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.storage.base import (
    StoreForeign,
    StoreInUse,
    StoreRefused,
    StoreUnreachable,
    StoreUnwritable,
)
from greenroom.vault.vault import SecretsKeyRefused

_CODES: dict[type[Exception], ExitCode] = {
    SettingsRefused: ExitCode.USAGE,
    AddressRefused: ExitCode.ADDRESS_REFUSED,
    SecretsKeyRefused: ExitCode.SECRETS_KEY,
    StoreInUse: ExitCode.DATA_IN_USE,
    StoreUnwritable: ExitCode.DATA_UNWRITABLE,
    FileUnwritable: ExitCode.DATA_UNWRITABLE,
    StoreForeign: ExitCode.DATA_FOREIGN,
    StoreUnreachable: ExitCode.SERVER_UNREACHABLE,
    FileUnreadable: ExitCode.USAGE,
    ClockRefused: ExitCode.SERVER_UNFIT,
    BusUnreachable: ExitCode.SERVER_UNREACHABLE,
    BusRefused: ExitCode.SERVER_UNFIT,
    StoreRefused: ExitCode.FAILED,
}


_OPTIONS = (
    click.option("--host", help="Address to listen on.  [127.0.0.1]"),
    click.option("--port", help="Port to listen on; 0 takes a free one.  [8470]"),
    click.option("--data-dir", help="Directory of everything that is kept.  [greenroom-data]"),
    click.option("--storage", help="sqlite, memory, or the URL of a PostgreSQL.  [sqlite]"),
    click.option("--bus", help="memory, or URLs of NATS with commas between them.  [memory]"),
    click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="TOML file to read."
    ),
    click.option("--processes", help="Processes behind the port, for as many cores.  [1]"),
    click.option("--region", help="Region of the rooms, and of requests.  [us-east-1]"),
    click.option("--account", help="Account of the root access key.  [123456789012]"),
    click.option("--ready-file", help="File to write, once ready, with URLs, pid and access key."),
    click.option(
        "--dev-tls", flag_value="on", help="TLS with a self-signed certificate for this machine."
    ),
)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that are settings; None is an option that was not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_settings(given: Mapping[str, object], config_file: Path | None) -> Settings:
    """Collect the settings of the command line, the environment and the file.

    `given` holds the options of `settings_options`.

    Raises:
        SettingsRefused: a name is unknown, a value breaks its rule, the file cannot be read.
    """
    flags = {name: value for name, value in given.items() if value is not None}
    return load.load(flags, os.environ, load.config_file(config_file))


def fail(error: Exception) -> click.ClickException:
    """Return the end of the command: one line on standard error, and the documented code."""
    return ending(error, next(code for kind, code in _CODES.items() if isinstance(error, kind)))


def ending(error: Exception, code: ExitCode) -> click.ClickException:
    """Return an end whose code the caller knows, as `fail` does."""
    return _Ending(" ".join(str(error).split()), code)


class _Ending(click.ClickException):
    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance
