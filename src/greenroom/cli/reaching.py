"""Which running service a command speaks to, and with which access key."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from greenroom.cli.access import (
    ClientKey,
    CommandRefused,
    find_keys,
    find_keys_of_profile,
    known_key,
)
from greenroom.cli.api import Endpoint
from greenroom.cli.completion import is_completing
from greenroom.cli.iam_client import IamClient
from greenroom.cli.options import ending, fail, load_settings
from greenroom.cli.profiles import Profile, read_profile
from greenroom.cli.verbose import is_verbose
from greenroom.network.addresses import in_url, reachable
from greenroom.process import address_file
from greenroom.settings.values import Settings, SettingsRefused

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"

_UNKNOWN_KEY = "InvalidClientTokenId"


WHICH = ("data_dir", "config_file", "endpoint_url", "profile", "region")
"""The options of `which_service`, as parameters."""

_OPTIONS = (
    click.option("--data-dir", help="Data directory of the service: its address and key are used."),
    click.option("--config", "config_file", help="TOML file that the service reads."),
    click.option("--profile", help="Profile of AWS's files, or of those in the data directory."),
    click.option("--region", help="Region of the rooms.  [the service's]"),
)


def _url(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    text = "Where the service is, when it is not on this machine."
    return click.option(*names, "endpoint_url", help=text)


class Reached(msgspec.Struct, frozen=True):
    """A service, and the key for it."""

    settings: Settings
    endpoint: Endpoint
    key: ClientKey

    @property
    def region(self) -> str:
        """Return the region that requests are signed for."""
        return self.settings.text("region")


def which_service(command: Callable[..., None], *, url: bool = True) -> Callable[..., None]:
    """Give a command, or a group for its commands, the options that say which service is meant.

    Without `url` only `--endpoint-url` says where it is: `--url` means something else there.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return _url("--url", "--endpoint-url")(command) if url else _url("--endpoint-url")(command)


def reach(options: Mapping[str, object]) -> Reached:
    """Return the service that the options mean, and the key for it; tell a person which they are.

    An option that was not given is the group's, if that was given it.

    Raises:
        SettingsRefused, UsageError, CommandRefused: as the functions below.
    """
    of_group = click.get_current_context().find_object(dict) or {}
    asked = {name: options.get(name) or of_group.get(name) for name in WHICH}
    data_dir, config, url, name, region = (None if v is None else str(v) for v in asked.values())
    profile = None if name is None else read_profile(name)
    settings = load_settings(
        {"data_dir": data_dir, "region": region or (profile.region if profile else None)},
        None if config is None else Path(config),
    )
    endpoint = find_endpoint(url, settings, profile)
    reached = Reached(settings, endpoint, find_key(endpoint, settings, profile))
    if (sys.stderr.isatty() or is_verbose()) and not is_completing():
        said = f"-- {endpoint.shown}; access key {reached.key.shown}"
        click.echo(click.style(said, dim=True), err=True)
    return reached


@contextmanager
def refusals_told() -> Iterator[None]:
    """End the command with one line, and its code, where the service or a setting is refused."""
    try:
        yield
    except CommandRefused as refused:
        raise ending(refused, refused.code) from refused
    except SettingsRefused as refused:
        raise fail(refused) from refused


def find_endpoint(url: str | None, settings: Settings, profile: Profile | None = None) -> Endpoint:
    """Return where the service is.

    That is the first of: `url`, which an option gave; the address in a data directory that an
    option gave; the profile's endpoint; AWS_ENDPOINT_URL; host and port of the settings, where they
    say something; the address in the data directory.

    Raises:
        UsageError: a URL is not valid.
    """
    if url is not None:
        return _parsed(url, "--url", "")
    written = _of_data_dir(settings)
    if written is not None and _is_option(settings, "data_dir"):
        return written
    if profile is not None and profile.endpoint_url and not _is_option(settings, "data_dir"):
        return _parsed(profile.endpoint_url, f"endpoint_url of {profile.origin}", profile.origin)
    variable = os.environ.get(ENDPOINT_VARIABLE)
    if variable and not _is_option(settings, "data_dir"):
        return _parsed(variable, ENDPOINT_VARIABLE, f"the variable {ENDPOINT_VARIABLE}")
    if written is not None and all(
        settings.values[name].origin == "default" for name in ("host", "port")
    ):
        return written
    shown = in_url(reachable(settings.text("host")))
    secure = settings.text("dev_tls") == "on" or settings.optional_path("tls_certificate_file")
    scheme = "https" if secure else "http"
    return Endpoint.parse(f"{scheme}://{shown}:{settings.number('port')}")


def find_key(endpoint: Endpoint, settings: Settings, profile: Profile | None = None) -> ClientKey:
    """Return the key to sign with; of several, the first that the service knows.

    Raises:
        CommandRefused: there is none, or the service that is asked does not answer.
    """
    if profile is not None:
        found = find_keys_of_profile(profile.name, profile.key, settings)
    else:
        found = find_keys(os.environ, settings, only_settings=_is_option(settings, "data_dir"))
    return known_key(
        found.some(),
        lambda key: _is_known(endpoint, key),
        lambda line: None if is_completing() else click.echo(f"Note: {line}", err=True),
    )


def _is_known(endpoint: Endpoint, key: ClientKey) -> bool:
    client = IamClient(endpoint, key)
    try:
        client.call("sts:GetCallerIdentity")
    except CommandRefused as refused:
        if refused.error == _UNKNOWN_KEY:
            return False
        raise
    finally:
        client.close()
    return True


def _of_data_dir(settings: Settings) -> Endpoint | None:
    directory = settings.path("data_dir")
    address = address_file.read(directory)
    if address is None:
        return None
    try:
        endpoint = Endpoint.parse(address.api_url)
    except ValueError:
        return None
    file = address.certificate_to_trust
    trusted = None if file is None else Path(file)
    return endpoint.as_found(str(directory / address_file.NAME), trusted)


def _is_option(settings: Settings, name: str) -> bool:
    return settings.values[name].origin == "command line"


def _parsed(url: str, name: str, origin: str) -> Endpoint:
    try:
        return Endpoint.parse(url).as_found(origin)
    except ValueError as error:
        raise click.UsageError(f"{name} {error}") from None
