"""The access key with which a command signs its requests to a running service."""

import configparser
from collections.abc import Mapping
from pathlib import Path

import msgspec

from greenroom.cli.exit_codes import ExitCode
from greenroom.credentials import PROFILE, file_of
from greenroom.settings import Settings


class AccessKey(msgspec.Struct, frozen=True):
    """An access key as a client holds it."""

    access_key_id: str
    secret: str
    session_token: str | None = None
    """Of temporary credentials."""


class CommandRefused(Exception):
    """The command cannot do what it was asked: one clear line, and the code it ends with."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


def find_key(environment: Mapping[str, str], settings: Settings) -> AccessKey:
    """Return the key of the AWS variables, else of the settings, else of a credentials file.

    The file is that of AWS_SHARED_CREDENTIALS_FILE, else the one in the data directory; the profile
    in it is that of AWS_PROFILE, else the one that `greenroom serve` writes.

    Raises:
        CommandRefused: there is none.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    access_key_id, secret = (environment.get(name, "") for name in names)
    if access_key_id and secret:
        return AccessKey(access_key_id, secret, environment.get("AWS_SESSION_TOKEN") or None)
    if access_key_id or secret:
        raise CommandRefused(f"{' and '.join(names)} go together", ExitCode.USAGE)
    given = settings.optional_text("access_key_id")
    if given is not None:
        return AccessKey(given, settings.text("secret_access_key"))
    profile = environment.get("AWS_PROFILE") or PROFILE
    file = environment.get("AWS_SHARED_CREDENTIALS_FILE") or file_of(settings)
    if file is None:
        return _none("the storage is memory")
    return _read(Path(file).expanduser(), profile)


def _read(file: Path, profile: str) -> AccessKey:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        section = parser[profile]
        return AccessKey(
            section["aws_access_key_id"],
            section["aws_secret_access_key"],
            section.get("aws_session_token"),
        )
    except OSError as error:
        return _none(f"{file}: {error.strerror}")
    except (configparser.Error, KeyError, UnicodeDecodeError):
        return _none(f"{file} has no access key under [{profile}]")


def _none(why: str) -> AccessKey:
    raise CommandRefused(
        "no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GREENROOM_DATA_DIR to"
        f" the service's data directory ({why})",
        ExitCode.USAGE,
    ) from None
