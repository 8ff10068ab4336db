"""`make bench-encrypted`: what TLS costs, in writing to everybody in a room and in connecting.

Greenroom with a certificate and without, and the C reference with OpenSSL take turns. The reference
writes each message to each connection by itself, or joins those that came together. Every delivery
is decrypted, counted, and its order checked.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, Server, run
from benchmarks.fanout import Case
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.service import Greenroom
from greenroom.entrance.dev_certificate import dev_certificate

CONNECTIONS = 2_000
"""What a connection costs is the mean of so many."""


class Encrypted(Greenroom):
    """The service with a certificate of its own, of an elliptic curve as all are here."""

    name = "Greenroom, TLS"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"GREENROOM_DEV_TLS": "on"})


class OneByOne(Greenroom):
    """The same where the system refuses io_uring, as in most containers."""

    name = "Greenroom, TLS, without io_uring"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"GREENROOM_DEV_TLS": "on", "GREENROOM_IO_URING": "off"})


class OpenSsl(Reference):
    """The C reference with OpenSSL."""

    name = "C and OpenSSL"

    def __init__(self, directory: Path, *, joined: bool = False) -> None:
        super().__init__(directory, dev_certificate(directory, "127.0.0.1"), joined=joined)


class Joined(OpenSsl):
    """The same, which joins the messages that it reads together."""

    name = "C and OpenSSL, joined"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, joined=True)


SERVERS: tuple[Callable[[Path], Server], ...] = (OpenSsl, Joined, Greenroom, Encrypted, OneByOne)
CONNECTING = "connecting, {:,} connections"


def cases(plan: Plan) -> list[Case]:
    """Return the rows, in the order in which they are measured."""
    thousand, four, two = (plan.connections(number) for number in (1_000, 4_000, CONNECTIONS))
    load = Load(connections=thousand, seconds=plan.seconds, warm_up=plan.warm_up)
    change = msgspec.structs.replace
    many = change(load, connections=four)
    all_cases = [
        Case(f"one at a time, {thousand:,} connections", load),
        Case(f"one at a time, {four:,} connections", many),
        Case(f"bursts of 10, {thousand:,} connections", change(load, window=10, burst=10)),
        Case(f"bursts of 10, {four:,} connections", change(many, window=10, burst=10)),
        Case(
            f"{thousand // 10:,} rooms, {thousand:,} connections",
            change(load, rooms=thousand // 10, window=100),
        ),
        Case(CONNECTING.format(two), Load(connections=two)),
    ]
    return [case for case in all_cases if plan.wanted(case.name)]


def measure(plan: Plan) -> Measured:
    """Run every case on its servers, in turns, in every round."""
    measured = Measured(Calibration(plan.attempts))
    for _ in rounds(plan):
        with running(SERVERS) as servers:
            for case in cases(plan):
                here = [each for each in servers if _is_for(case, each.name)]
                measured.take(case.name, here, functools.partial(run, load=case.load))
    return measured


def _is_for(case: Case, server: str) -> bool:
    return server != Joined.name or case.load.burst > 1


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    return Table(
        name="encrypted",
        title="TLS",
        columns=[
            "case",
            "server",
            "CPU µs",
            "ratio to C and OpenSSL",
            "ratio to joined",
            "ratio to plain",
            "p50 ms",
            "p99 ms",
        ],
        rows=[row for case in cases(plan) for row in _rows(case, measured)],
        bars=[
            Bar(f"{case.name}: {server}", server, measured.series(case.name, server, _cpu(case)))
            for case in cases(plan)
            for server in measured.outcomes[case.name]
        ],
        axis="server CPU per delivery, per connection where these are made, µs",
        notes=(
            "CPU of the server for one delivery; when connecting, for one connection, all in.",
            "TLS 1.3 with AES-256-GCM, a certificate with a P-256 key, no session resumed.",
            "For coming back, C sends two tickets, as OpenSSL does by itself, Greenroom one.",
            "Joined: one SSL_write for the messages that came together.",
            measured.calibration.note(),
        ),
    )


def _rows(case: Case, measured: Measured) -> Iterator[list[str]]:
    cpu = _cpu(case)
    servers = measured.outcomes[case.name]
    for server in servers:
        series = measured.series(case.name, server, cpu)
        yield [
            measured.calibration.shown(case.name),
            server,
            series.text(),
            *(
                series.over(measured.series(case.name, base, cpu)).text()
                if base in servers and base != server
                else ""
                for base in (OpenSsl.name, Joined.name, Greenroom.name)
            ),
            measured.series(case.name, server, lambda outcome: outcome.p50 / 1e3).text(1),
            measured.series(case.name, server, lambda outcome: outcome.p99 / 1e3).text(1),
        ]


def _cpu(case: Case) -> Callable[[Outcome], float]:
    if case.load.seconds:
        return lambda outcome: outcome.cpu
    return lambda outcome: outcome.connect


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
