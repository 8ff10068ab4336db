"""Log lines: their form, and that no exception's text is ever in them."""

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from greenroom.telemetry import bounded_log, logs
from greenroom.telemetry.bounded_log import BoundedLog

SECRET = "what-a-user-wrote"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    levels = (root.level, uvicorn.level)
    monkeypatch.setattr(bounded_log, "log", structlog.get_logger())
    yield
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])
    structlog.reset_defaults()


def crash() -> None:
    """Raise what must not be shown."""
    raise ValueError(SECRET)


@pytest.mark.parametrize("log_format", ["json", "console", "auto"])
def test_an_exception_is_a_place(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is logged by where it was raised; its text may be chat content."""
    logs.configure("info", log_format)
    try:
        crash()
    except ValueError as error:
        structlog.get_logger().exception("crashed", error=type(error).__name__)
    out, err = capsys.readouterr()
    assert out == ""
    assert SECRET not in err
    assert "test_logs.py" in err
    assert "ValueError" in err


def test_lines_of_one_of_several_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """Each names it, also those of loggers that were used before, and of libraries."""
    logs.configure("info", "json")
    log = structlog.get_logger()
    log.info("before")
    logs.name_process(3)
    log.info("after", room="arn")
    log.info("of another one", process=4711)
    before, after, other = capsys.readouterr().err.splitlines()
    assert "process" not in json.loads(before)
    assert next(iter(json.loads(after))) == "process"
    assert (json.loads(after)["process"], json.loads(other)["process"]) == (3, 4711)


def test_lines_of_libraries_in_one_of_several_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name it, too."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure("info", "json")
    logging.getLogger("asyncio").warning("before")
    logs.name_process(3)
    logging.getLogger("asyncio").warning("after")
    assert capsys.readouterr().err == "WARNING before\nWARNING process 3: after\n"


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is one JSON object with a time in UTC, a level and the event."""
    logs.configure("info", "json")
    structlog.get_logger().warning("two\nlines", room="arn")
    structlog.get_logger().debug("too detailed")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "two\nlines", "level": "warning", "room": "arn"}


def test_terminals_are_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would obey is escaped: a name in a request may hold it."""
    logs.configure("info", "console")
    structlog.get_logger().info("answered", resource="a\x1b[2J\x0bb\u2028c\x85d\x9bme\u202e\u00e9")
    err = capsys.readouterr().err
    assert "resource=a\\x1b[2J\\x0bb\\u2028c\\x85d\\x9bme\\u202e\u00e9" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_levels(level: str, shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines below the level are not written."""
    logs.configure(level, "console")
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("line")
    err = capsys.readouterr().err
    assert len(err.splitlines()) == shown
    assert "\x1b" not in err


def test_lines_of_libraries(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libraries log as exceptions shows no text either; uvicorn's complaints are not shown."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure("info", "json")
    try:
        crash()
    except ValueError:
        logging.getLogger("asyncio").exception("Fatal error")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    err = capsys.readouterr().err
    assert "Fatal error" in err
    assert "test_logs.py" in err
    assert SECRET not in err
    assert "Invalid" not in err


async def test_faults_in_the_event_loop(capsys: pytest.CaptureFixture[str]) -> None:
    """A callback's or a task's fault is a line with its place: no text, no arguments."""
    logs.configure("info", "json")
    loop = asyncio.get_running_loop()
    lines = BoundedLog()
    report = logs.FaultHandler(lines)
    loop.set_exception_handler(report)

    def callback(_content: str) -> None:
        crash()

    loop.call_soon(callback, SECRET)
    await asyncio.sleep(0)
    failed = loop.create_future()
    failed.set_exception(ValueError(SECRET))
    del failed
    report(loop, {"message": "without an exception"})
    err = capsys.readouterr().err
    entries = [json.loads(line) for line in err.splitlines()]
    assert [entry["error"] for entry in entries] == ["ValueError", "ValueError", None]
    assert [entry["what"].split("test_faults")[0] for entry in entries] == [
        "Exception in callback ",
        "Future exception was never retrieved",
        "without an exception",
    ]
    assert entries[0]["what"].endswith(".callback")
    assert "test_logs.py" in entries[0]["at"][-1]
    assert SECRET not in err


def test_a_librarys_line_is_not_repeated() -> None:
    """A line that comes again and again is written every ten seconds, with how many there were."""
    now = 0.0
    seldom = logs.Seldom(lambda: now)

    def line(text: str) -> logging.LogRecord:
        return logging.LogRecord("asyncio", logging.WARNING, "", 0, text, (), None)

    first = line("lost")
    assert seldom.filter(first)
    assert first.getMessage() == "lost"
    assert [seldom.filter(line("lost")) for _ in range(99)] == [False] * 99
    assert seldom.filter(line("another"))
    now = 10.0
    again = line("lost")
    assert seldom.filter(again)
    assert again.getMessage() == "lost (99 more of these were left out)"
    kinds = []
    for number in range(1000):
        assert seldom.filter(line(str(number)))
        kinds.append(len(seldom._until))
    assert max(kinds) == bounded_log.KINDS


def test_standard_error_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes lines leaves it to the others when he is gone; a closed one loses lines."""
    with (tmp_path / "stderr").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        logger = logs._Stderr()
        logger.warning("one")
        del logger
        gc.collect()
        print("two", file=file, flush=True)
        assert (tmp_path / "stderr").read_text() == "one\ntwo\n"
    logs._Stderr().warning("three")
    assert (tmp_path / "stderr").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("log_format", "terminal", "console"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("json", True, False),
        ("console", False, True),
    ],
)
def test_who_reads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_format: str,
    terminal: bool,
    console: bool,
) -> None:
    """Lines are for people on a terminal, unless the setting says so or otherwise."""
    with (tmp_path / "stderr").open("w") as file:
        stderr = Terminal(file) if terminal else file
        monkeypatch.setattr(sys, "stderr", stderr)
        logs.configure("info", log_format)
        structlog.get_logger().info("line")
    assert (tmp_path / "stderr").read_text().startswith("{") is not console


class Terminal:
    """A terminal, as far as anybody asks."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def fileno(self) -> int:
        """Return the file's."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Return that it is one."""
        return True

    def write(self, text: str) -> int:
        """Write to the file."""
        return self._file.write(text)

    def flush(self) -> None:
        """Have it written."""
        self._file.flush()


def test_how_the_lines_of_libraries_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """From warnings on, seldom; of uvicorn only what is critical."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure("info", "json")
    (handler,) = logging.getLogger().handlers
    assert [type(each) for each in handler.filters] == [logs.Seldom]
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("uvicorn").level == logging.CRITICAL
