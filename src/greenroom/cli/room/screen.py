"""What a person types and sees in a chat: a terminal, or plain input and output."""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

from greenroom.cli.escaping import printable

QUIT = "/quit"
"""The line behind which nothing is read."""

_PROMPT = "> "
_NO_TEXT = "not said: a line that is not UTF-8"


@contextmanager
def terminal_kept() -> Iterator[None]:
    """Leave the terminal as it was: the thread that reads lines there may end inside of `input`."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class Screen:
    """A terminal in which lines come while a person types; without one, plain input and output."""

    def __init__(self) -> None:
        self._interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def read(self, give: Callable[[str | None], None]) -> None:
        """Give each line of the input, None at its end; the input is read in a thread."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            while True:
                try:
                    line = input(_PROMPT) if self._interactive else _line()
                    line.encode()
                except (EOFError, OSError):
                    line = None
                except UnicodeError:
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(self.note, _NO_TEXT)
                    continue
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(give, line)
                if line is None or line == QUIT:
                    return

        if isinstance(sys.stdin, io.TextIOWrapper):
            # Else the lines around one that is not UTF-8 are lost with it.
            sys.stdin.reconfigure(errors="surrogateescape")
        if self._interactive:
            with suppress(ImportError):
                import readline  # noqa: F401 - `input` uses it when it is there
        threading.Thread(target=run, daemon=True, name="typing").start()

    def show(self, line: str) -> None:
        """Print a line above what is being typed."""
        if not self._interactive:
            click.echo(line)
            return
        typed = ""
        with suppress(ImportError):
            import readline

            typed = readline.get_line_buffer()
        click.echo(f"\r\033[K{line}\n{_PROMPT}{typed}", nl=False)

    def note(self, text: str) -> None:
        """Print what the command itself, or the service, has to say; each of its lines."""
        for line in text.splitlines():
            if self._interactive:
                self.show(click.style(f"-- {printable(line)}", dim=True))
            else:
                click.echo(f"-- {printable(line)}", err=True)


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
