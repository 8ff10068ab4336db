"""`greenroom doctor`: look at everything that a service needs, and say what to do about it.

`greenroom health`: what a running service says of itself, for probes and for people.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click
import msgspec

from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Endpoint
from greenroom.cli.doctor import machine, probing, proxies
from greenroom.cli.doctor.findings import REMEDIES, Finding, Level, fault, looked, note, ok
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import load_settings
from greenroom.cli.profiles import Profile, read_profile
from greenroom.cli.reaching import (
    ENDPOINT_VARIABLE,
    find_endpoint,
    reach,
    refusals_told,
    which_service,
)
from greenroom.entrance.sockets import AddressInUse
from greenroom.process import address_file
from greenroom.settings.values import Settings, SettingsRefused

_COLORS = {Level.OK: "green", Level.NOTE: "yellow", Level.FAULT: "red"}


@click.command()
@which_service
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
def doctor(*, in_json: bool, **which: str | None) -> None:
    """Look at what a service needs, and say what to do about what is wrong.

    The machine: clock, disk, permissions, open files, io_uring, AWS credentials and endpoints. The
    settings: all that a start opens, the servers of a cluster among it. The service, where one
    runs: health, version, clock, upgrades, what it believes of proxies. With --url alone only the
    service is looked at. Nothing is changed. The exit code is 0 unless there is a FAULT.
    """
    found = list(_findings(which))
    if in_json:
        click.echo(json.dumps([msgspec.to_builtins(each) for each in found], indent=2))
    else:
        _show(found)
    if any(each.level is Level.FAULT for each in found):
        sys.exit(ExitCode.UNWELL)


@click.command()
@which_service
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
def health(*, in_json: bool, **which: str | None) -> None:
    """Ask a running service whether it is ready for viewers; no access key is needed."""
    with refusals_told():
        settings, profile = _settings_and_profile(which)
        endpoint = find_endpoint(which["endpoint_url"], settings, profile)
        found = _health(endpoint, which["endpoint_url"])
    if in_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        click.echo(f"{found.status}: {endpoint.shown}, version {found.version}")
        for part, meaning in found.failing.items():
            click.echo(f"  {part}: {meaning}")
        for part, meaning in found.degraded.items():
            click.echo(f"  {part}, in part: {meaning}")
    if found.failing:
        sys.exit(ExitCode.UNWELL)


def _health(endpoint: Endpoint, given: str | None) -> probing.Health:
    try:
        return probing.health(endpoint)
    except CommandRefused as refused:
        if given is not None:
            raise
        where = "--data-dir or --url says where one is; greenroom serve starts one"
        raise CommandRefused(f"{refused}; {where}", refused.code, refused.error) from None


def _findings(which: Mapping[str, str | None]) -> Iterator[Finding]:
    try:
        settings, profile = _settings_and_profile(which)
    except (SettingsRefused, CommandRefused) as refused:
        yield fault("settings", " ".join(str(refused).split()), REMEDIES["settings"])
        return
    if not _is_elsewhere(which):
        yield from looked("machine", lambda: machine.look(settings))
        yield from looked("start", lambda: _start(settings))
    if not _is_elsewhere(which) and address_file.read(settings.path("data_dir")) is None:
        yield note("service", "none has run here yet", "greenroom serve starts one")
        return
    endpoint = find_endpoint(which["endpoint_url"], settings, profile)
    found = list(looked("service", lambda: probing.look(endpoint)))
    yield from found
    if any(each.part == "service" and each.level is Level.FAULT for each in found):
        return
    try:
        yield from looked("access key", lambda: proxies.look(reach(which)))
    except CommandRefused as refused:
        yield note("access key", str(refused), "give --data-dir, or a key that the service knows")


def _settings_and_profile(
    which: Mapping[str, str | None],
) -> tuple[Settings, Profile | None]:
    profile = None if which["profile"] is None else read_profile(which["profile"])
    given = {name: which[name] for name in ("data_dir", "region")}
    config = which["config_file"]
    return load_settings(given, None if config is None else Path(config)), profile


def _is_elsewhere(which: Mapping[str, str | None]) -> bool:
    """Return whether a service is meant that need not be on this machine."""
    if which["data_dir"] is not None:
        return False
    return bool(which["endpoint_url"] or which["profile"] or os.environ.get(ENDPOINT_VARIABLE))


def _start(settings: Settings) -> Iterator[Finding]:
    """Return what a start would find, as `greenroom config --check` does."""
    # It imports all that a service does.
    from greenroom.server import start_check

    for each in asyncio.run(start_check.check(settings)):
        if isinstance(each.refused, AddressInUse):
            yield _in_use(settings)
        elif each.refused is not None:
            yield fault(each.part, each.said, REMEDIES.get(each.part, REMEDIES["settings"]))
        elif each.part == "tls_certificate_file" and "not valid now" in each.said:
            yield fault(each.part, each.said, REMEDIES[each.part])
        elif each.part == "regions":
            yield note(each.part, each.said, REMEDIES[each.part])
        else:
            yield ok(each.part, each.said)


def _in_use(settings: Settings) -> Finding:
    """Say whose the address is that a start would not get."""
    host, port = settings.text("host"), settings.number("port")
    remedy = "end it (ss -ltnp names its process), or choose another --host or --port"
    said = f"{host} port {port} is in use by {probing.listening(host, port)}"
    return fault("address", said, remedy)


def _show(found: Iterable[Finding]) -> None:
    found = list(found)
    width = max(len(each.part) for each in found)
    for each in found:
        level = click.style(f"{each.level.value:5}", fg=_COLORS[each.level])
        click.echo(f"{level}  {each.part:{width}}  {each.said}")
        if each.remedy:
            click.echo(f"{'':5}  {'':{width}}  → {each.remedy}")
    faults = sum(each.level is Level.FAULT for each in found)
    notes = sum(each.level is Level.NOTE for each in found)
    click.echo(f"\n{_counted(faults, 'fault')}, {_counted(notes, 'note')}.")


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
