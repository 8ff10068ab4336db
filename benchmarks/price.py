"""`make bench-price`: what each thing costs that a service in production has on.

The same load goes to services that differ in one thing, and to one that has everything, in turns.
A chat log and a review cost for each message, TLS for each delivery.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, run
from benchmarks.plot import Bar
from benchmarks.report import Table, write
from benchmarks.review import handler
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.series import Series
from benchmarks.service import SETTINGS, Greenroom

PLAIN, UNCOUNTED, LOGGED = "metrics alone", "nothing", "and a chat log to files"
REVIEWED, ENCRYPTED, ALL = "and review over HTTP", "and TLS", "all of it"
TLS = {"GREENROOM_DEV_TLS": "on"}
CONNECTIONS, ROOMS = 1_000, 10
IN_FLIGHT = 10


class Priced(Greenroom):
    """A service whose rooms have what is asked for."""

    def __init__(
        self,
        directory: Path,
        name: str,
        settings: Mapping[str, str],
        *,
        log: bool = False,
        review: bool = False,
    ) -> None:
        self.name = name
        if name == UNCOUNTED:
            self.module = "benchmarks.uncounted"
        super().__init__(directory, settings)
        self._members = dict[str, object]()
        if log:
            made = self.call(
                "CreateLoggingConfiguration",
                {"destinationConfiguration": {"s3": {"bucketName": "price"}}},
            )
            self._members["loggingConfigurationIdentifiers"] = [made["arn"]]
        if review:
            uri = "arn:aws:lambda:us-east-1:123456789012:function:allow"
            self._members["messageReviewHandler"] = {"uri": uri, "fallbackResult": "DENY"}

    def _create_rooms(
        self, number: int, members: Mapping[str, object] | None = None
    ) -> Iterator[str]:
        return super()._create_rooms(number, {**self._members, **(members or {})})


def _starts(port: int) -> list[Callable[[Path], Priced]]:
    review = {
        "GREENROOM_REVIEW_HANDLERS": f"*:allow=http://127.0.0.1:{port}/allow",
        "GREENROOM_REVIEW_HTTP_SECRET": "secret-of-the-benchmark",
        "GREENROOM_REVIEW_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8",
        # One that is late on a busy machine would end the measurement: its message is refused.
        "GREENROOM_QUOTAS": SETTINGS["GREENROOM_QUOTAS"] + ",message_review_milliseconds=20000",
    }
    make = functools.partial
    return [
        make(Priced, name=UNCOUNTED, settings={}),
        make(Priced, name=PLAIN, settings={}),
        make(Priced, name=LOGGED, settings={}, log=True),
        make(Priced, name=REVIEWED, settings=review, review=True),
        make(Priced, name=ENCRYPTED, settings=TLS),
        make(Priced, name=ALL, settings={**review, **TLS}, log=True, review=True),
    ]


def cases(plan: Plan) -> dict[str, Load]:
    """Return the loads."""
    number = plan.connections(CONNECTIONS)
    load = {"connections": number, "seconds": plan.seconds, "warm_up": plan.warm_up}
    found = {
        f"one room of {number:,}": Load(**load),  # type: ignore[arg-type]  # these are all numbers
        f"{ROOMS} rooms of {number // ROOMS}": Load(**load, rooms=ROOMS, window=IN_FLIGHT),  # type: ignore[arg-type]  # likewise
    }
    return {name: each for name, each in found.items() if plan.wanted(name)}


def measure(plan: Plan) -> Measured:
    """Run every case on every service, in turns, in every round."""
    measured = Measured(Calibration(plan.attempts))
    for _ in rounds(plan):
        with (
            tempfile.TemporaryDirectory(prefix="greenroom-bench-") as name,
            handler(Path(name)) as port,
            running(_starts(port)) as services,
        ):
            for case, load in cases(plan).items():
                measured.take(case, services, functools.partial(run, load=load))
    return measured


def _per_message(outcome: Outcome) -> float:
    return outcome.cpu * outcome.connections / outcome.rooms


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    return Table(
        name="price",
        title="The price of each thing that is on",
        columns=[
            "case",
            "what is on",
            "CPU µs per delivery",
            "CPU µs per message",
            "more than with metrics alone",
            "ratio to metrics alone",
        ],
        rows=[row for case in cases(plan) for row in _rows(case, measured)],
        bars=[
            Bar(f"{case}: {name}", name, _series(measured, case, name))
            for case in cases(plan)
            for name in measured.outcomes[case]
        ],
        axis="server CPU per message, to everybody in its room, µs",
        notes=(
            "One at a time in one room; in ten, ten messages are on the way.",
            "A review waits for its handler, which is in a process of its own and not counted.",
            measured.calibration.note(),
        ),
    )


def _series(measured: Measured, case: str, name: str) -> Series:
    return measured.series(case, name, _per_message)


def _rows(case: str, measured: Measured) -> Iterator[list[str]]:
    base = _series(measured, case, PLAIN)
    for name in measured.outcomes[case]:
        message = _series(measured, case, name)
        yield [
            measured.calibration.shown(case),
            name,
            measured.series(case, name, lambda outcome: outcome.cpu).text(),
            message.text(0),
            message.minus(base).text(0) if name != PLAIN else "",
            message.over(base).text() if name != PLAIN else "",
        ]


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "", rounds=3)
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
