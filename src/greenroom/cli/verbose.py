"""What `--verbose` adds, on standard error: every request with its answer, and where a fault is."""

import traceback
from contextvars import ContextVar

import click

_ON: ContextVar[bool] = ContextVar("verbose", default=False)


def add_verbose(command: click.Command) -> None:
    """Give a command, and those of a group, the option `--verbose`."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_verbose(each)
    elif command.context_settings.get("ignore_unknown_options"):
        return  # what it does not know is another program's, and so is --verbose
    elif not any(option.name == "verbose" for option in command.params):
        command.params.append(_option())


def be_verbose(*, on: bool) -> None:
    """Show more from now on, or no more."""
    _ON.set(on)


def is_verbose() -> bool:
    """Return whether somebody asked for more."""
    return _ON.get()


def note(text: str) -> None:
    """Say what happens, for those who asked for more."""
    if _ON.get():
        click.echo(click.style(f"-- {text}", dim=True), err=True)


def note_request(what: str, answer: object, seconds: float) -> None:
    """Say what was asked of the service, how it answered, and how long that took."""
    note(f"{what}: {answer} after {seconds * 1000:.0f} ms")


def note_fault(error: BaseException) -> None:
    """Say where an error comes from: all of it, whatever was kept from those who did not ask."""
    if _ON.get():
        click.echo("".join(traceback.format_exception(_whole(error))), err=True, nl=False)


def _whole(error: BaseException) -> BaseException:
    """Have the causes shown that `raise … from None` leaves out."""
    seen: BaseException | None = error
    while seen is not None:
        seen.__suppress_context__ = seen.__cause__ is not None
        seen = seen.__cause__ or seen.__context__
    return error


def _option() -> click.Option:
    return click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        callback=lambda _context, _option, on: be_verbose(on=True) if on else None,
        help="Also say what is asked of the service, and where an error comes from.",
    )
