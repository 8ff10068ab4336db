"""`greenroom config`: every setting, its value, and where the value came from."""

from pathlib import Path

import click

from greenroom.cli.options import fail, load_settings
from greenroom.settings import SettingsRefused


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file to read.")
@click.option("--explain", is_flag=True, help="Also say what each setting means.")
def config(config_file: Path | None, explain: bool) -> None:
    """Show every setting, its value and where the value came from."""
    try:
        settings = load_settings({}, config_file)
    except SettingsRefused as refused:
        raise fail(refused) from None
    rows = [(each.setting.name, each.shown(), each) for each in settings.values.values()]
    names = max(len(name) for name, _, _ in rows)
    shown = max(len(text) for _, text, _ in rows)
    for name, text, value in rows:
        click.echo(f"{name:{names}}  {text or '-':{shown}}  {value.origin}")
        if explain:
            click.echo(f"{'':{names}}  {value.setting.meaning} ({value.setting.variable})\n")
