"""`greenroom config`: every setting, its value, and where the value came from."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from greenroom.aws_access.clients import Service
from greenroom.aws_access.environment import endpoint_variable
from greenroom.chatlog.choice import chosen, credentials_at_hand
from greenroom.cli.access import find_keys
from greenroom.cli.options import fail, load_settings, settings_options
from greenroom.settings.values import Settings, SettingsRefused


@click.command()
@settings_options
@click.option("--explain", is_flag=True, help="Also say what each setting means.")
@click.option("--check", is_flag=True, help="Open all that serve would open, and change nothing.")
def config(config_file: Path | None, explain: bool, check: bool, **given: str | None) -> None:
    """Show every setting, its value and its origin.

    With the options of `greenroom serve` it shows what that command would use. With --check it says
    instead whether that command could start: files, keys, modules, certificate, address and data
    are looked at. A service that runs on the data directory may go on.
    """
    try:
        settings = load_settings(given, config_file)
    except SettingsRefused as refused:
        raise fail(refused) from None
    if check:
        _check(settings)
        return
    notes = environment_notes(settings, os.environ)
    rows = [
        (value.setting, *notes.get(name, (value.shown(), value.origin)))
        for name, value in settings.values.items()
    ]
    names = max(len(setting.name) for setting, _, _ in rows)
    shown = max(len(text) for _, text, _ in rows)
    for setting, text, origin in rows:
        click.echo(f"{setting.name:{names}}  {text or '-':{shown}}  {origin}")
        if explain:
            click.echo(f"{'':{names}}  {setting.meaning} ({setting.variable})\n")


def _check(settings: Settings) -> None:
    """Print what was found; end with the first fault, and the code that serve would end with."""
    from greenroom.server import start_check

    # Functions of message review are imported, and nothing is to lie beside their modules.
    sys.dont_write_bytecode = True
    found = asyncio.run(start_check.check(settings))
    names = max(len(each.part) for each in found)
    for each in found:
        click.echo(f"{'ok' if each.refused is None else 'NO':4}{each.part:{names}}  {each.said}")
    for each in found:
        if each.refused is not None:
            raise fail(each.refused)


def environment_notes(
    settings: Settings, environment: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Return value and origin of what is not set for Greenroom, and decided by AWS's variables."""
    notes: dict[str, tuple[str, str]] = {}
    own = next(iter(find_keys({}, settings, only_settings=True).keys), None)
    own_id = None if own is None else own.access_key_id
    if not settings.table("chat_log_destinations"):
        choice = chosen(settings, environment, own_id)
        origin = f"default; {choice.why}" if choice.why else "default"
        notes["chat_log_destinations"] = (f"auto: {choice.where}", origin)
    for service in Service:
        variable = endpoint_variable(environment, service.id)
        if settings.optional_text(service.setting) is None and variable is not None:
            notes[service.setting] = (environment[variable], f"variable {variable}")
    if not settings.table("review_handlers"):
        elsewhere = settings.optional_text("lambda_endpoint") or "lambda_endpoint" in notes
        source = credentials_at_hand(environment, None if elsewhere else own_id)
        with_what = "no AWS credentials at hand" if source is None else source.shown
        notes["review_handlers"] = ("lambda", f"default; {with_what}")
    return notes
