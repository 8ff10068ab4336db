"""A service in a process of its own, and the pipe through which it is told what to do.

Each line of the pipe is a JSON object. What is asked has an `id`, and its answer has the same. The
service ends when the pipe does: when this process closes it, or dies.
"""

import contextlib
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import IO

START_SECONDS = 60.0
"""How long a start may take: far more than it does, on a machine that is busy."""

ANSWER_SECONDS = 30.0
"""How long an answer may take."""

STOP_SECONDS = 15.0
"""How long the end may take before the process is killed."""

LOG_LINES = 20
"""How many of the last lines of the service's log an error shows."""

Members = dict[str, object]

HIDDEN = ("AWS_", "GREENROOM_")
"""Variables that are for other services than one that tests start."""


UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables that would lead an application to other credentials."""


_log = logging.getLogger(__name__)


class HostFailed(RuntimeError):
    """The service did not start, ended, or refused what it was told to do."""


class Host:
    """A running service that obeys this process.

    `reviewed` is called, in a thread of its own, with the event of each message to review.
    """

    def __init__(
        self, settings: Mapping[str, str], reviewed: Callable[[Members], object] = lambda _: None
    ) -> None:
        """Start it, and wait until it answers.

        Raises:
            HostFailed: it does not start; the text has the last lines of its log.
        """
        self._reviewed = reviewed
        self._directory = tempfile.TemporaryDirectory(prefix="greenroom-test-")
        self._log = Path(self._directory.name) / "log"
        self._asked: dict[int, Future[object]] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._ready: Future[Members] = Future()
        self._gone: HostFailed | None = None
        self._process = self._start(settings)
        self._requests, self._answers = _pipes(self._process)
        self._reader = threading.Thread(target=self._read, name="greenroom", daemon=True)
        self._reader.start()
        try:
            self.ready = self._ready.result(START_SECONDS)
        except TimeoutError:
            failed = self._failure("the service was not ready in time")
            self.close()
            raise failed from None
        except HostFailed:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which AWS's SDKs, and applications, find the service."""
        told = {name: str(value) for name, value in self.ready.items()}
        return {
            "AWS_ENDPOINT_URL_IVSCHAT": told["api_url"],
            "AWS_ACCESS_KEY_ID": told["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": told["secret_access_key"],
            "AWS_DEFAULT_REGION": told["region"],
            "AWS_REGION": told["region"],
            "IVSCHAT_MESSAGING_URL": told["websocket_url"],
        }

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def ask(self, do: str, **what: object) -> object:
        """Have the service do something; return what it answers.

        Raises:
            HostFailed: it refuses, or it is gone.
        """
        number, answer = next(self._ids), Future[object]()
        self._asked[number] = answer
        try:
            if self._gone is not None:
                raise self._gone
            self._write({"id": number, "do": do, "with": what})
            return answer.result(ANSWER_SECONDS)
        except TimeoutError:
            raise self._failure(f"no answer to {do}") from None
        finally:
            self._asked.pop(number, None)

    def close(self) -> int:
        """End the service, and wait until it has ended; return its exit code."""
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(STOP_SECONDS)
        self._answers.close()
        self._directory.cleanup()
        return code

    def _start(self, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        kept = {name: text for name, text in os.environ.items() if not name.startswith(HIDDEN)}
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - this package, with settings of ours
                [sys.executable, "-m", "greenroom.testing.host", json.dumps(dict(settings))],
                env={**kept, "AWS_EC2_METADATA_DISABLED": "true"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the tests, whose ends still need the service.
                start_new_session=True,
            )

    def _read(self) -> None:
        for line in self._answers:
            told: Members = json.loads(line)
            if "ready" in told:
                ready = told["ready"]
                assert isinstance(ready, dict)  # noqa: S101 - what the host says of itself
                self._ready.set_result(ready)
            elif "review" in told:
                threading.Thread(target=self._review, args=(told,), daemon=True).start()
            else:
                self._settle(told)
        gone = self._gone = self._failure("the service has ended")
        if not self._ready.done():
            self._ready.set_exception(gone)
        for answer in tuple(self._asked.values()):
            if not answer.done():
                answer.set_exception(gone)

    def _settle(self, told: Members) -> None:
        answer = self._asked.get(int(str(told["id"])))
        if answer is None or answer.done():
            return
        if "refused" in told:
            answer.set_exception(HostFailed(str(told["refused"])))
        else:
            answer.set_result(told["answer"])

    def _review(self, told: Members) -> None:
        event = told["event"]
        assert isinstance(event, dict)  # noqa: S101 - what the host sends
        said: Members
        try:
            said = {"answer": self._reviewed(event)}
        except TimeoutError:
            said = {"failed": "timed_out"}
        except Exception as error:  # noqa: BLE001 - whatever a test's function raises
            # pytest shows it where the test fails.
            _log.exception("the review function failed")
            said = {"failed": type(error).__name__}
        # The service may be gone by now: then nobody waits.
        with contextlib.suppress(HostFailed):
            self._write({"reviewed": told["review"], **said})

    def _write(self, said: Members) -> None:
        line = json.dumps(said).encode() + b"\n"
        try:
            with self._lock:
                self._requests.write(line)
                self._requests.flush()
        except (OSError, ValueError):
            raise self._failure("the service has ended") from None

    def _failure(self, what: str) -> HostFailed:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        except OSError:
            lines = []
        return HostFailed("\n".join((what, *lines)))


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None  # noqa: S101 - asked for
    assert process.stdout is not None  # noqa: S101 - asked for
    return process.stdin, process.stdout
