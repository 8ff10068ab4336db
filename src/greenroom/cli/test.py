"""`greenroom test -- COMMAND`: a service for as long as a command runs, in any language."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import click

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending
from greenroom.testing.link import UNSET, Host, HostFailed

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What a shell says of a command that there is not, and of one that is no program."""

FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""What a terminal sends to the command as well."""

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, *FROM_TERMINAL)
"""Signals that are the command's."""


def _settings(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    for each in given:
        if "=" not in each:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE")
    return {name: text for name, _, text in (each.partition("=") for each in given)}


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="A setting of the service, such as quotas=rooms=3; may be repeated.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def test(settings: dict[str, str], command: tuple[str, ...]) -> None:
    """Run a command with a service of its own: greenroom test -- npm test.

    The service keeps nothing, serves every region, and is found by AWS's SDKs through their
    variables in the environment: AWS_ENDPOINT_URL_IVSCHAT, AWS_ACCESS_KEY_ID and the others.
    IVSCHAT_MESSAGING_URL is where WebSockets connect to. It ends with the command, whose exit code
    is this one's.
    """
    try:
        host = Host(settings)
    except HostFailed as failed:
        line = str(failed).splitlines()[-1].removeprefix("Error: ")
        raise ending(RuntimeError(line), ExitCode.FAILED) from None
    try:
        code = _run(command, _environment(host))
    finally:
        ended = host.close()
    if ended != 0:
        raise ending(RuntimeError("the service ended before the command did"), ExitCode.FAILED)
    sys.exit(code)


def _environment(host: Host) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in UNSET}
    return kept | host.environment


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end; return its exit code, as a shell would."""
    try:
        with _passing_on() as running:
            process = subprocess.Popen(command, env=environment)  # noqa: S603 - what was asked for
            running.append(process)
            code = process.wait()
    except FileNotFoundError:
        click.echo(f"Error: there is no command {command[0]}", err=True)
        return NOT_FOUND
    except OSError as error:
        click.echo(f"Error: {command[0]} cannot be run: {error.strerror}", err=True)
        return NOT_EXECUTABLE
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _passing_on() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Pass signals on to the command in the list; it ends, and this process by that."""
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: object) -> None:
        if number in FROM_TERMINAL and _in_foreground():
            return
        for process in running:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Return whether a terminal sends its signals to this process and its command."""
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False
