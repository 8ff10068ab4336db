"""Logs: structured lines on standard error, without content, tokens or secrets."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # uvicorn's lines about malformed requests are the client's fault, and answered to it.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


class _Console(structlog.dev.ConsoleRenderer):
    """Lines for people: no colour unless the terminal has it."""

    def __init__(self) -> None:
        super().__init__(colors=sys.stderr.isatty())


def _place_of_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace an exception by where it was raised: its text may hold what a user wrote."""
    if event.pop("exc_info", None):
        frames = traceback.extract_tb(sys.exc_info()[2])
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event
