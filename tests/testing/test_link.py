"""The pipe to the service, with a process that is none."""

import io
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.testing import link
from greenroom.testing.link import LOG_LINES, Host, HostFailed

READY = {
    "api_url": "http://here",
    "websocket_url": "ws://here",
    "region": "us-east-1",
    "access_key_id": "AKIA",
    "secret_access_key": "secret",
}


class Process:
    """A double of a process: the test reads what is written to it, and writes what it says."""

    pid = 1000

    def __init__(self) -> None:
        said, output = os.pipe()
        told, given = os.pipe()
        self.stdout, self._output = os.fdopen(said, "rb"), os.fdopen(output, "wb", buffering=0)
        self.stdin, self._told = os.fdopen(given, "wb"), os.fdopen(told, "rb")
        self.started: Any = None
        self.ends: list[object] = [0, 0]
        self.killed = False

    def __call__(self, command: list[str], **more: Any) -> "Process":
        self.started = command, more
        os.write(more["stderr"].fileno(), "".join(f"line {n}\n" for n in range(30)).encode())
        return self

    def say(self, **told: object) -> None:
        """Say a line."""
        self._output.write(json.dumps(told).encode() + b"\n")

    def heard(self) -> Any:
        """Return the next line that was written to it."""
        return json.loads(self._told.readline())

    def end(self) -> None:
        """Say no more."""
        self._output.close()

    def wait(self, seconds: float | None = None) -> object:
        if not self._output.closed:
            self.end()
        ended = self.ends.pop(0)
        if isinstance(ended, Exception):
            raise ended
        return ended

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        """Close the test's ends."""
        for each in (self._told, self._output, self.stdin, self.stdout):
            each.close()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Give the process that is started next."""
    made = Process()
    monkeypatch.setattr(link.subprocess, "Popen", made)  # type: ignore[attr-defined]
    yield made
    made.close()


@pytest.fixture
def host(process: Process) -> Iterator[Host]:
    """Give a host that is ready."""
    process.say(ready=READY)
    made = Host({"log_level": "info"}, lambda event: {"seen": event})
    yield made
    made.close()


class Asking(threading.Thread):
    """Asks in a thread of its own, as a test does."""

    def __init__(self, host: Host, do: str, **what: object) -> None:
        super().__init__()
        self.outcome: object = None
        self._ask = (host, do, what)
        self.start()

    def run(self) -> None:
        host, do, what = self._ask
        try:
            self.outcome = host.ask(do, **what)
        except HostFailed as failed:
            self.outcome = failed

    def ended(self) -> Any:
        """Return the answer, or the error."""
        self.join(20)
        return self.outcome


def test_a_start(host: Host, process: Process) -> None:
    """Of this package, with the settings, and without what leads elsewhere."""
    command, more = process.started
    assert command[1:] == ["-m", "greenroom.testing.host", '{"log_level": "info"}']
    assert more["start_new_session"] is True
    assert [name for name in more["env"] if name.startswith(("AWS_", "GREENROOM_"))] == [
        "AWS_EC2_METADATA_DISABLED"
    ]
    assert host._reader.daemon
    assert more["env"]["PATH"] == os.environ["PATH"]
    assert (host.ready, host.pid) == (READY, 1000)
    assert host.environment == {
        "AWS_ENDPOINT_URL_IVSCHAT": "http://here",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "IVSCHAT_MESSAGING_URL": "ws://here",
    }


def test_answers_find_who_asked(host: Host, process: Process) -> None:
    """By their ids, in any order; one that nobody waits for is no fault."""
    first, told = Asking(host, "made"), process.heard()
    assert told == {"id": 1, "do": "made", "with": {}}
    second = Asking(host, "drop", user="alice")
    assert process.heard() == {"id": 2, "do": "drop", "with": {"user": "alice"}}
    process.say(id=9, answer="nobody's")
    process.say(id=2, answer=3)
    assert second.ended() == 3
    process.say(id=1, refused="because")
    refused = first.ended()
    assert isinstance(refused, HostFailed)
    assert str(refused) == "because"
    assert host._asked == {}


def test_an_answer_that_does_not_come(
    host: Host, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told with the end of the service's log, and comes too late afterwards."""
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.01)
    with pytest.raises(HostFailed) as failed:
        host.ask("made")
    first, *lines = str(failed.value).splitlines()
    assert first == "no answer to made"
    assert lines == [f"line {number}" for number in range(30 - LOG_LINES, 30)]
    assert host._asked == {}


def test_the_end_of_the_service(host: Host, process: Process) -> None:
    """Whoever waits is told, and whoever asks later."""
    waiting = [Asking(host, "made") for _ in range(2)]
    for _ in waiting:
        process.heard()
    process.end()
    for each in waiting:
        assert str(each.ended()).startswith("the service has ended\nline 10\n")
    with pytest.raises(HostFailed, match="the service has ended"):
        host.ask("made")
    assert host._asked == {}


def test_a_service_that_is_not_ready(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the log says why it is not."""
    monkeypatch.setattr(link, "START_SECONDS", 0.01)
    with pytest.raises(HostFailed, match="the service was not ready in time\nline 10"):
        Host({})
    assert process.stdin.closed
    assert process.stdout.closed


def test_a_service_that_does_not_start(process: Process) -> None:
    """Its last lines are the error."""
    process.end()
    with pytest.raises(HostFailed, match="the service has ended\nline 10"):
        Host({})
    assert process.stdout.closed


def test_an_end_that_takes_too_long(process: Process) -> None:
    """It is killed, and its exit code is the answer."""
    process.say(ready=READY)
    process.ends = [subprocess.TimeoutExpired("", 1), -9]
    host = Host({})
    directory = host._log.parent
    assert directory.exists()
    assert host.close() == -9
    assert process.killed
    assert not host._reader.is_alive()
    assert not directory.exists()


def test_reviews_are_answered(host: Host, process: Process) -> None:
    """By the function, each in a thread of its own."""
    process.say(review=5, event={"Content": "hi"})
    assert process.heard() == {"reviewed": 5, "answer": {"seen": {"Content": "hi"}}}


def test_a_review_that_never_ends(host: Host, process: Process) -> None:
    """It keeps nobody from ending."""
    host._reviewed = lambda _: threading.current_thread().daemon
    process.say(review=5, event={})
    assert process.heard() == {"reviewed": 5, "answer": True}


@pytest.mark.parametrize(
    ("error", "failed", "written"),
    [(TimeoutError(), "timed_out", 0), (KeyError("x"), "KeyError", 1)],
)
def test_a_review_that_fails(
    host: Host,
    process: Process,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    failed: str,
    written: int,
) -> None:
    """The service is told how; what a function raises is shown where the test fails."""
    host._reviewed = Mock(side_effect=error)
    process.say(review=5, event={})
    assert process.heard() == {"reviewed": 5, "failed": failed}
    assert [record.message for record in caplog.records] == ["the review function failed"] * written


def test_nothing_can_be_written_to_what_is_gone(host: Host) -> None:
    """A review that is late is no fault; whoever asks is told."""
    host._requests.close()
    host._review({"review": 1, "event": {}})
    with pytest.raises(HostFailed, match="the service has ended"):
        host.ask("made")
    host.close()
    with pytest.raises(HostFailed, match=r"^the service has ended$"):
        host._write({"id": 1})


def test_lines_are_not_mixed(host: Host, process: Process) -> None:
    """Each is written whole, and at once, however many write."""
    written = io.BytesIO()
    host._requests, kept = written, host._requests
    threads = [threading.Thread(target=host._write, args=({"n": n},)) for n in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    host._requests = kept
    assert sorted(json.loads(line)["n"] for line in written.getvalue().splitlines()) == [*range(5)]
    assert not host._lock.locked()


def test_ids_rise(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has another."""
    assert list(itertools.islice(host._ids, 3)) == [1, 2, 3]
