"""`greenroom config`: every setting, its value, and where the value came from."""

from pathlib import Path

import click

from greenroom.cli.options import fail, load_settings, settings_options
from greenroom.settings import SettingsRefused


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
    rows = [(each.setting.name, each.shown(), each) for each in settings.values.values()]
    names = max(len(name) for name, _, _ in rows)
    shown = max(len(text) for _, text, _ in rows)
    for name, text, value in rows:
        click.echo(f"{name:{names}}  {text or '-':{shown}}  {value.origin}")
        if explain:
            click.echo(f"{'':{names}}  {value.setting.meaning} ({value.setting.variable})\n")
