"""Logs: structured lines on standard error, without content, tokens or secrets."""

import asyncio
import logging
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from io import FileIO
from types import TracebackType
from typing import Any

import structlog

log = structlog.get_logger()


def configure(level: str, log_format: str) -> None:
    """Set up logging for the process; `log_format` is auto, console or json."""
    people = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place_of_exception,
            _Console() if people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(_Places("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # uvicorn's lines about malformed requests are the client's fault, and answered to it.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


def report_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a fault that nobody caught, as the event loop's exception handler.

    asyncio's own would write the exception's text, and the arguments of the callback.
    """
    error = context.get("exception")
    log.error(
        "fault in the event loop",
        what=str(context["message"]).partition("(")[0],
        error=None if error is None else type(error).__name__,
        at=_places(None if error is None else error.__traceback__),
    )


class _Places(logging.Formatter):
    """Lines of libraries: an exception is shown by where it was raised."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name in the standard library
        return "\n".join((ei[0].__name__, *_places(ei[2])))


class _Stderr:
    """Writes lines to standard error. One that cannot be written is given up.

    A log on a full disk, or a reader that is gone, must not fail what is being logged.
    """

    def __init__(self, *_: object) -> None:
        # Unbuffered: what a buffer kept of a lost line would fail the end of the process.
        self._stream: FileIO | None = None
        with suppress(OSError, ValueError):
            self._stream = FileIO(sys.stderr.fileno(), "w", closefd=False)

    def msg(self, line: str) -> None:
        """Write a line."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
            else:
                sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = msg


class _Console(structlog.dev.ConsoleRenderer):
    """Lines for people: no colour unless the terminal has it."""

    def __init__(self) -> None:
        super().__init__(colors=sys.stderr.isatty())


def _place_of_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace an exception by where it was raised: its text may hold what a user wrote."""
    if event.pop("exc_info", None):
        event["at"] = _places(sys.exc_info()[2])
    return event


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
