"""`greenroom config`: every setting, its value, and where the value came from."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from greenroom.aws_access import Service
from greenroom.aws_environment import endpoint_variable
from greenroom.chatlog.choice import chosen, credentials_at_hand
from greenroom.cli.access import find_keys
from greenroom.cli.options import fail, load_settings, settings_options
from greenroom.settings import Settings, SettingsRefused


@click.command()
@settings_options
@click.option("--explain", is_flag=True, help="Also say what each setting means.")
def config(config_file: Path | None, explain: bool, **given: str | None) -> None:
    """Show every setting, its value and its origin.

    With the options of `greenroom serve` it shows what that command would use.
    """
    try:
        settings = load_settings(given, config_file)
    except SettingsRefused as refused:
        raise fail(refused) from None
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
