"""Which running service a command speaks to, and with which access key."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from greenroom.cli.access import ClientKey, CommandRefused, find_keys, known_key
from greenroom.cli.api import Endpoint
from greenroom.cli.iam_client import IamClient
from greenroom.cli.options import load_settings
from greenroom.network.addresses import in_url, reachable
from greenroom.process import address_file
from greenroom.settings.values import Settings

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"

_UNKNOWN_KEY = "InvalidClientTokenId"


WHICH = ("data_dir", "config_file", "endpoint_url")
"""The options of `which_service`, as parameters."""

_OPTIONS = (
    click.option("--data-dir", help="Data directory of the service: its address and key are used."),
    click.option("--config", "config_file", help="TOML file that the service reads."),
    click.option("--endpoint-url", help="Where the service is, when it is not on this machine."),
)


def which_service(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, or a group for its commands, the options that say which service is meant."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def reach(options: Mapping[str, str | None]) -> tuple[Settings, Endpoint, ClientKey]:
    """Return the settings of the service that the options mean, where it is, and the key for it.

    An option that was not given is the group's, if that was given it.

    Raises:
        SettingsRefused, UsageError, CommandRefused: as the functions below.
    """
    of_group = click.get_current_context().find_object(dict) or {}
    data_dir, config, url = (options.get(name) or of_group.get(name) for name in WHICH)
    given = {} if data_dir is None else {"data_dir": data_dir}
    settings = load_settings(given, None if config is None else Path(config))
    endpoint = find_endpoint(url, settings)
    return settings, endpoint, find_key(endpoint, settings)


def find_endpoint(url: str | None, settings: Settings) -> Endpoint:
    """Return where the service is.

    That is the first of: `url`, which an option gave; the address in a data directory that an
    option gave; AWS_ENDPOINT_URL; host and port of the settings, where they say something; the
    address in the data directory.

    Raises:
        UsageError: a URL is not valid.
    """
    if url is not None:
        return _parsed(url, "--endpoint-url", "")
    written = _of_data_dir(settings)
    if written is not None and _is_option(settings, "data_dir"):
        return written
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


def find_key(endpoint: Endpoint, settings: Settings) -> ClientKey:
    """Return the key to sign with; of several, the first that the service knows.

    Raises:
        CommandRefused: there is none, or the service that is asked does not answer.
    """
    found = find_keys(os.environ, settings, only_settings=_is_option(settings, "data_dir"))
    return known_key(
        found.some(),
        lambda key: _is_known(endpoint, key),
        lambda line: click.echo(f"Note: {line}", err=True),
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
