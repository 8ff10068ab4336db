"""`greenroom token-keys`: the keys that seal chat tokens, of a running service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import msgspec

from greenroom.cli.access import CommandRefused, find_key
from greenroom.cli.api import Api, Endpoint
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending, fail, load_settings
from greenroom.control.token_keys import SERVICE, Answer
from greenroom.settings import SettingsRefused

ENDPOINT = "http://127.0.0.1:8470"
"""Where `greenroom serve` listens by default."""

_endpoint = click.option(
    "--endpoint-url", default=ENDPOINT, help=f"Where the service is.  [{ENDPOINT}]"
)


@click.group("token-keys")
def token_keys() -> None:
    """List, rotate and kill the keys of chat tokens.

    The access key must be the root's: that of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else the
    one in the data directory.
    """


@token_keys.command("list")
@_endpoint
def list_(endpoint_url: str) -> None:
    """Show the keys: id, current or since when not, when made."""
    _run(endpoint_url, "list")


@token_keys.command()
@_endpoint
def rotate(endpoint_url: str) -> None:
    """Seal with a new key from now on; tokens of the older keys stay good until they expire."""
    _run(endpoint_url, "rotate")


@token_keys.command()
@click.argument("key_id")
@_endpoint
def kill(key_id: str, endpoint_url: str) -> None:
    """Refuse all tokens of a key at once, and end the connections that were made with it."""
    _run(endpoint_url, "kill", keyId=key_id)


def _run(endpoint_url: str, action: str, **parameters: str) -> None:
    with _refusals():
        try:
            endpoint = Endpoint.parse(endpoint_url)
        except ValueError as error:
            raise CommandRefused(f"--endpoint-url {error}", ExitCode.USAGE) from None
        settings = load_settings({}, None)
        api = Api(endpoint, find_key(os.environ, settings), settings.text("region"), SERVICE)
        try:
            result = api.call(f"greenroom/token-keys/{action}", **parameters)
        finally:
            api.close()
        for info in msgspec.convert(result, Answer).token_keys:
            state = "current" if info.current else f"retired {_shown(info.retired)}"
            click.echo(f"{info.id}  {state}  made {_shown(info.made)}")


def _shown(at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="seconds") if at else "by an earlier release"


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except CommandRefused as refused:
        raise ending(refused, refused.code) from None
    except SettingsRefused as refused:
        raise fail(refused) from None
