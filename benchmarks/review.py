"""`make bench-review`: what a review handler that hangs does to the rooms without one.

In every round the same steady load goes to a room without a handler three times: alone, while
others send in a room whose handler answers, and while they send in one whose handler hangs. The
circuit breaker is off: each of their messages waits its 200 milliseconds.
"""

import contextlib
import functools
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, run
from benchmarks.plot import Bar
from benchmarks.processes import BESIDE_CORE, end, start_server, wait_until_ready
from benchmarks.report import Table, write
from benchmarks.reviewed import RATE as SENDER_RATE
from benchmarks.runs import Plan, plan, rounds
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom

MEMBERS = 100
RATE = 100
"""Messages a second in the room that is measured."""

SENDERS = 50
"""Connections that send in the room with the handler."""

ALONE, ANSWERS, HANGS = "alone", "another room's handler answers", "another room's handler hangs"
ROUND = "the three cases"
FUNCTIONS = {ALONE: None, ANSWERS: "answer", HANGS: "hang"}


class Run(msgspec.Struct, frozen=True):
    """What the load client saw, and how many messages a second were reviewed meanwhile."""

    outcome: Outcome
    reviewed: float


def measure(plan: Plan, calibration: Calibration) -> dict[str, list[Run]]:
    """Run the three cases on one service, in turns, in every round."""
    runs: dict[str, list[Run]] = {}
    load = Load(
        connections=plan.connections(MEMBERS),
        rate=RATE,
        seconds=plan.seconds,
        warm_up=plan.warm_up,
    )
    for _ in rounds(plan):
        with (
            tempfile.TemporaryDirectory(prefix="greenroom-bench-") as directory,
            handler(Path(directory)) as port,
            contextlib.closing(_Service(Path(directory), port)) as service,
        ):
            turns = [
                functools.partial(service.run, load, function, plan)
                for function in FUNCTIONS.values()
            ]
            for case, run in zip(FUNCTIONS, calibration.turns(ROUND, turns), strict=True):
                runs.setdefault(case, []).append(run)
            progress(ROUND)
    return runs


@contextlib.contextmanager
def handler(directory: Path) -> Iterator[int]:
    """Run the handler; give its port."""
    file = directory / "port"
    process = _beside(["handler", str(file)], directory / "handler.log")
    try:
        yield int(wait_until_ready(process, directory / "handler.log", file))
    finally:
        end(process)


class _Service:
    """A service with a room for each of the handler's two functions."""

    def __init__(self, directory: Path, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        handlers = [f"*:{name}={url}/{name}" for name in FUNCTIONS.values() if name]
        settings = {
            "GREENROOM_REVIEW_HANDLERS": ",".join(handlers),
            "GREENROOM_REVIEW_HTTP_SECRET": "secret-of-the-benchmark",
            "GREENROOM_REVIEW_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8",
            "GREENROOM_REVIEW_CIRCUIT_FAILURES": "0",
        }
        self._directory = directory
        self._greenroom = Greenroom(directory, settings)

    def run(self, load: Load, function: str | None, plan: Plan) -> Run:
        """Measure, with or without senders beside it."""
        if function is None:
            return Run(run(self._greenroom, load), 0)
        with self._senders(function, plan.connections(SENDERS)) as process:
            outcome = run(self._greenroom, load)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        number, seconds = (self._directory / f"{function}.log").read_text().split()
        return Run(outcome, int(number) / float(seconds))

    def close(self) -> None:
        """End the service."""
        self._greenroom.stop()

    @contextlib.contextmanager
    def _senders(self, function: str, number: int) -> Iterator["subprocess.Popen[bytes]"]:
        uri = f"arn:aws:lambda:us-east-1:123456789012:function:{function}"
        handler = {"uri": uri, "fallbackResult": "DENY"}
        room = self._greenroom.create_room({"messageReviewHandler": handler})
        tokens, ready = (
            self._directory / f"{function}.tokens",
            self._directory / f"{function}.ready",
        )
        tokens.write_text("\n".join(self._greenroom.tokens(room, number)))
        log = self._directory / f"{function}.log"
        authority = f"127.0.0.1:{self._greenroom.port}"
        process = _beside(["senders", authority, str(tokens), str(ready)], log)
        try:
            wait_until_ready(process, log, ready)
            yield process
        finally:
            end(process)


def _beside(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.reviewed", *words]
    return start_server(command, log, core=BESIDE_CORE)


def table(runs: Mapping[str, list[Run]], calibration: Calibration) -> Table:
    """Return the table of what was measured."""
    alone = runs[ALONE]
    rows, bars = [], []
    for case, these in runs.items():
        p50, p99 = _series(these, "p50"), _series(these, "p99")
        reviewed = Series([each.reviewed for each in these])
        cpu = Series([100 * each.outcome.server_cpu / each.outcome.seconds for each in these])
        rows.append(
            [
                case,
                p50.text(),
                p50.over(_series(alone, "p50")).text() if these is not alone else "1",
                p99.text(),
                p99.over(_series(alone, "p99")).text() if these is not alone else "1",
                _series(these, "longest").text(),
                reviewed.text(0),
                cpu.text(1),
            ]
        )
        bars.append(Bar(case, Greenroom.name, p50))
    return Table(
        name="review",
        title="A room without a review handler, beside a room with one",
        columns=[
            "case",
            "p50 ms",
            "ratio to alone",
            "p99 ms",
            "ratio to alone",
            "longest ms",
            "reviews per second",
            "server CPU, % of a core",
        ],
        rows=rows,
        bars=bars,
        axis="p50 of the deliveries in the room without a handler, ms",
        notes=[
            f"{RATE} messages a second to {MEMBERS} members; latency counts from when one was due.",
            f"{SENDERS} connections send in the other room, {SENDER_RATE} messages a second each.",
            "The handler is an HTTP endpoint. A message that it hangs at waits 200 ms.",
            "With two cores, the senders and the handler share the load client's.",
            calibration.note(),
        ],
    )


def _series(runs: list[Run], figure: str) -> Series:
    return Series([getattr(each.outcome, figure) / 1e3 for each in runs])


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "", seconds=5)
    calibration = Calibration(chosen.attempts)
    runs = measure(chosen, calibration)
    write(table(runs, calibration), chosen, runs)


if __name__ == "__main__":
    main()
