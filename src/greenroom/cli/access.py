"""The access key with which a command signs its requests to a running service.

Keys for AWS itself lie where those for a service may lie. So all places are looked through, in
order, and a key that the service does not know is passed over for the next one, with a note: see
`known_key`.
"""

import configparser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from greenroom.cli.exit_codes import ExitCode
from greenroom.identities.root_key import FILE, PROFILE, file_of
from greenroom.settings.values import Settings

_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_FILE, _PROFILE = "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"


class ClientKey(msgspec.Struct, frozen=True):
    """An access key as a client holds it."""

    access_key_id: str
    secret: str
    session_token: str | None = None
    """Of temporary credentials."""
    origin: str = ""
    """Where it was found."""

    @property
    def shown(self) -> str:
        """Return which key it is, for people; without the secret."""
        return f"{self.access_key_id} of {self.origin}" if self.origin else self.access_key_id


class CommandRefused(Exception):
    """The command cannot do what it was asked: one clear line, and the code it ends with.

    `error` is the service's name for it, where it was the service that refused.
    """

    def __init__(self, message: str, code: ExitCode, error: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.error = error


class Found(msgspec.Struct, frozen=True):
    """The keys that were found, the first one first, and why there are not more."""

    keys: Sequence[ClientKey]
    missing: Sequence[str]

    def some(self) -> Sequence[ClientKey]:
        """Return the keys.

        Raises:
            CommandRefused: there is none.
        """
        if not self.keys:
            why = "; ".join(self.missing)
            raise CommandRefused(
                f"no access key: set {' and '.join(_VARIABLES)}, or give the service's data"
                f" directory with --data-dir or GREENROOM_DATA_DIR ({why})",
                ExitCode.USAGE,
            )
        return self.keys


def find_keys(
    environment: Mapping[str, str], settings: Settings, *, only_settings: bool = False
) -> Found:
    """Return the keys of the AWS variables, the settings, and the credentials files, in this order.

    The files are that of AWS_SHARED_CREDENTIALS_FILE and the one in the data directory; the profile
    in them is that of AWS_PROFILE, else the one that `greenroom serve` writes. With `only_settings`
    the variables of AWS name nothing but the profile.
    """
    keys: list[ClientKey] = []
    missing: list[str] = []
    places = [] if only_settings else [_of_variables(environment)]
    places.append(_of_settings(settings))
    if _FILE in environment and not only_settings:
        profile = environment.get(_PROFILE) or PROFILE
        places.append(_read(Path(environment[_FILE]).expanduser(), (profile,)))
    places.append(_of_data_dir(environment, settings))
    for found in places:
        if isinstance(found, ClientKey):
            keys.append(found)
        elif found:
            missing.append(found)
    return Found(keys, missing)


def find_keys_of_profile(name: str, key: ClientKey | None, settings: Settings) -> Found:
    """Return the keys that a profile names: `key`, of AWS's files, and the data directory's.

    Raises:
        CommandRefused: there is none.
    """
    own = _read(settings.path("data_dir").resolve() / FILE, (name,))
    if isinstance(own, ClientKey):
        return Found([own] if key is None else [key, own], [])
    if key is None:
        raise CommandRefused(
            f"no access key under the profile {name}: AWS's files have none, and {own}",
            ExitCode.USAGE,
        )
    return Found([key], [own])


def known_key(
    keys: Sequence[ClientKey], is_known: Callable[[ClientKey], bool], note: Callable[[str], None]
) -> ClientKey:
    """Return the first key that the service knows, else the last one; the service is asked.

    Temporary credentials were taken on purpose: they are not passed over.
    """
    *tried, last = keys
    for key in tried:
        if key.session_token is not None or is_known(key):
            return key
        note(f"the service does not know the access key {key.shown}: looking further")
    return last


def _of_variables(environment: Mapping[str, str]) -> ClientKey | str:
    access_key_id, secret = (environment.get(name, "") for name in _VARIABLES)
    if access_key_id and secret:
        token = environment.get("AWS_SESSION_TOKEN") or None
        return ClientKey(access_key_id, secret, token, "the variable AWS_ACCESS_KEY_ID")
    return f"{' and '.join(_VARIABLES)} go together" if access_key_id or secret else ""


def _of_settings(settings: Settings) -> ClientKey | str:
    given = settings.values["access_key_id"]
    if given.value is None:
        return ""
    secret = settings.text("secret_access_key")
    return ClientKey(str(given.value), secret, origin=f"the {given.origin}")


def _of_data_dir(environment: Mapping[str, str], settings: Settings) -> ClientKey | str:
    file = file_of(settings)
    if file is None:
        given = settings.optional_text("access_key_id") is not None
        return "" if given else "the storage is memory"
    # A profile of AWS's own files need not be in this one.
    return _read(Path(file), (environment.get(_PROFILE) or PROFILE, PROFILE))


def _read(file: Path, profiles: Sequence[str]) -> ClientKey | str:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        profile = next(each for each in profiles if each in parser)
        section = parser[profile]
        return ClientKey(
            section["aws_access_key_id"],
            section["aws_secret_access_key"],
            section.get("aws_session_token"),
            f"{file} [{profile}]",
        )
    except OSError as error:
        return f"{file}: {error.strerror}"
    except (configparser.Error, KeyError, StopIteration, UnicodeDecodeError):
        return f"{file} has no access key under [{profiles[0]}]"
