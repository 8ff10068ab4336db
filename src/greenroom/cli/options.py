"""What the sub-commands share: reading the settings, and ending with one line and an exit code."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from greenroom import settings
from greenroom.cli.exit_codes import ExitCode
from greenroom.server import AddressRefused
from greenroom.settings import Settings, SettingsRefused
from greenroom.storage.base import StoreForeign, StoreInUse, StoreRefused, StoreUnwritable

_CODES: dict[type[Exception], ExitCode] = {
    SettingsRefused: ExitCode.USAGE,
    AddressRefused: ExitCode.ADDRESS_REFUSED,
    StoreInUse: ExitCode.DATA_IN_USE,
    StoreUnwritable: ExitCode.DATA_UNWRITABLE,
    StoreForeign: ExitCode.DATA_FOREIGN,
    StoreRefused: ExitCode.FAILED,
}


def load_settings(flags: Mapping[str, object], config_file: Path | None) -> Settings:
    """Collect the settings of the command line, the environment and the file.

    Raises:
        SettingsRefused: a name is unknown, a value breaks its rule, the file cannot be read.
    """
    return settings.load(flags, os.environ, settings.config_file(config_file))


def fail(error: Exception) -> click.ClickException:
    """Return the end of the command: one line on standard error, and the documented code."""
    code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
    return _Ending(" ".join(str(error).split()), code)


class _Ending(click.ClickException):
    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]
