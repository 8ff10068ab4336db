"""`greenroom cluster`: status, check, init, repair. It asks NATS and PostgreSQL, as a node does."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.groups import CommandGroup
from greenroom.cli.options import fail, load_settings
from greenroom.process.start_refused import StartRefused
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.telemetry import logs

T = TypeVar("T")

_OPTIONS = (
    click.option("--storage", help="URL of the PostgreSQL."),
    click.option("--bus", help="URLs of NATS with commas between them."),
    click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="TOML file to read."
    ),
)


def _which(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_json = click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")


@click.group("cluster", cls=CommandGroup)
def cluster() -> None:
    """Look after nodes, NATS and PostgreSQL together, with the settings of a node.

    Nothing is sent to a node's port: the servers are asked, and the nodes over NATS.
    """


@cluster.command()
@_which
@_json
def status(config_file: Path | None, *, in_json: bool, **given: str | None) -> None:
    """Show nodes, streams, what chat logs lack, and clocks; exit with 13 if one is unwell.

    Nodes: versions, connections, health. Streams: leaders, copies, sizes. Chat logs: what is not
    read or not delivered yet. Clocks: how far apart.
    """
    settings = _settings(config_file, given)
    from greenroom.cli.cluster import showing
    from greenroom.server.overview import look
    from greenroom.server.verdicts import SETTINGS, Level, verdicts

    seen = _run(look(settings))
    said = (each for each in verdicts(seen) if each.part != SETTINGS)
    wrong = [each for each in said if each.level is Level.NO]
    if in_json:
        _print_json(showing.as_json(seen, wrong))
    else:
        _print(
            [*showing.lines(seen), *(f"{each.level:4} {each.part}: {each.said}" for each in wrong)]
        )
    if wrong:
        sys.exit(ExitCode.UNWELL)


@cluster.command()
@_which
@_json
def check(config_file: Path | None, *, in_json: bool, **given: str | None) -> None:
    """Tell what differs from what is recommended: NO is wrong, NOTE could be better.

    Streams, NATS, PostgreSQL's settings, permissions, versions and clocks. What NATS does with its
    disk (sync_interval) a client cannot ask: look at the servers' configuration.
    """
    settings = _settings(config_file, given)
    from greenroom.server.caring import permissions
    from greenroom.server.overview import look
    from greenroom.server.verdicts import Level, verdicts

    found = verdicts(_run(look(settings)))
    if not any(each.level is Level.NO and each.part == "nats" for each in found):
        found += _run(permissions(settings))
    if in_json:
        _print_json([msgspec.to_builtins(each) for each in found])
    else:
        width = max(len(each.part) for each in found)
        _print(f"{each.level:4} {each.part:{width}}  {each.said}" for each in found)
    if any(each.level is Level.NO for each in found):
        sys.exit(ExitCode.UNWELL)


@cluster.command()
@_which
def init(config_file: Path | None, **given: str | None) -> None:
    """Make the schema and the streams that are missing, and check those that are there.

    The first node would do the same. Here it can be done by somebody with more rights than nodes.
    """
    settings = _settings(config_file, given)
    from greenroom.server.caring import make_all

    made, left = _run(make_all(settings))
    _print([*made, *left] or ["everything is there, and as it must be"])
    if left:
        sys.exit(ExitCode.UNWELL)


@cluster.command()
@_which
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def repair(config_file: Path | None, *, dry_run: bool, **given: str | None) -> None:
    """Put right of the streams what loses no message; name what only a person can.

    Streams that are missing are made. Copies, bytes and time are raised, never lowered.
    """
    settings = _settings(config_file, given)
    from greenroom.server.caring import mend

    done, left = _run(mend(settings, dry_run=dry_run))
    prefix = "would " if dry_run else ""
    said = [f"{prefix}{each}" for each in done] + [f"not done: {each}" for each in left]
    _print(said or ["nothing is to be repaired"])
    if left:
        sys.exit(ExitCode.UNWELL)


def _settings(config_file: Path | None, given: Mapping[str, str | None]) -> Settings:
    # What a start would warn of, `check` says.
    logs.configure("error", "auto")
    try:
        settings = load_settings(given, config_file)
        if settings.database is None:
            raise SettingsRefused(
                "storage is no postgresql://…: greenroom cluster is for nodes that share one, and"
                " a bus; greenroom doctor looks at a service that is alone"
            )
        from greenroom.server.kept import check_installed

        check_installed()
    except StartRefused as refused:
        raise fail(refused) from None
    return settings


def _run(work: Awaitable[T]) -> T:
    async def run() -> T:
        return await work

    try:
        return asyncio.run(run())
    except StartRefused as refused:
        raise fail(refused) from None


def _print(said: Iterable[str]) -> None:
    for line in said:
        click.echo(line)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))
