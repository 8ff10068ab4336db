"""Logs: structured lines on standard error, without content, tokens or secrets."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from io import FileIO
from typing import Any

import structlog

from greenroom.telemetry.bounded_log import KINDS, QUIET_SECONDS, BoundedLog, places_of


def configure(level: str, log_format: str) -> None:
    """Set up logging for the process; `log_format` is auto, console or json."""
    people = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place_of_exception,
            *((_printable, _Console()) if people else (structlog.processors.JSONRenderer(),)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(_Places("%(levelname)s %(message)s"))
    handler.addFilter(Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # uvicorn's lines about malformed requests are the client's fault, and answered to it.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


def name_process(number: int) -> None:
    """Say in each line from now on which of several processes writes it."""

    def name(
        _logger: object, _method: str, event: MutableMapping[str, object]
    ) -> MutableMapping[str, object]:
        return {"process": number, **event}

    # The list itself: loggers that were used before have it.
    structlog.get_config()["processors"].insert(0, name)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Places(f"%(levelname)s process {number}: %(message)s"))


class FaultHandler:
    """The event loop's exception handler: logs a fault that nobody caught.

    asyncio's own would write the exception's text, and the arguments of the callback.
    """

    def __init__(self, lines: BoundedLog) -> None:
        self._lines = lines

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one fault."""
        error = context.get("exception")
        kind = {
            "what": str(context["message"]).partition("(")[0],
            "error": None if error is None else type(error).__name__,
            "at": places_of(None if error is None else error.__traceback__),
        }
        self._lines.write("error", "fault in the event loop", kind)


class Seldom:
    """Lets a library's line through once in ten seconds, and says how many were left out.

    Some of them a client can cause: asyncio warns of each write to a connection that is lost.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        now, key = self._now(), (record.name, str(record.msg))
        until, left_out = self._until.get(key, (now, 0))
        if now < until:
            self._until[key] = until, left_out + 1
            return False
        if len(self._until) >= KINDS:
            self._until.clear()
        self._until[key] = now + QUIET_SECONDS, 0
        if left_out:
            record.msg = f"{record.msg} ({left_out} more of these were left out)"
        return True


class _Places(logging.Formatter):
    """Lines of libraries: an exception is shown by where it was raised."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name in the standard library
        return "\n".join((ei[0].__name__, *places_of(ei[2])))


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


def _printable(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Escape what a terminal would obey: a name in a request may hold it. JSON escapes it."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return event


def _place_of_exception(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace an exception by where it was raised: its text may hold what a user wrote."""
    if event.pop("exc_info", None):
        event["at"] = places_of(sys.exc_info()[2])
    return event
