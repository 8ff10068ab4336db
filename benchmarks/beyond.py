"""`make bench-beyond`: what it costs that Greenroom has more than IVS Chat.

First what a delivery costs where none of it is in use, beside the version that had none of it, and
where something is in use; the services take turns. Then single steps, each beside the bound that it
is to keep: history, a join with history, the gates of a message, a ban.
"""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks.bans import HIS, MOST, Ban, ban
from benchmarks.before import Before, code
from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, Server, run
from benchmarks.plot import Bar
from benchmarks.processes import ROOT, SERVER_CORE, NotHere, on_core
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom

ROUNDS = 15
"""More than other tables: the differences are smaller than what the machine's speed varies by."""

NOTHING = "nothing in use"
MAXIMUM_PERCENT = 2.0
HISTORY = {"history-messages": "1000"}
LAST = 50
RESTRICTED = 1_000
BANNED = 10_000

STEPS: Mapping[str, tuple[str, float]] = {
    "history: a message, on the event loop": ("µs", 3.0),
    "counts and events: a message, on the event loop": ("µs", 0.0),
    f"a join with the last {LAST} messages, beside a plain one": ("µs", 30.0),
    "a ban, until the last socket of the user has ended": ("ms", 100.0),
    "a ban, until the last socket of the room is told": ("ms", 100.0),
    f"a ban of who has {MOST:,} sockets, until the last of them has ended": ("ms", 100.0),
}
"""The steps but for the gates: the unit, and the bound."""

LOOP_HISTORY, LOOP_EVENTS, JOIN, ENDED, TOLD, MANY = STEPS
GATE = "a gate: "
GATE_BOUND = 1.0
STEP = "steps"


class Extended(Greenroom):
    """A service whose rooms and tokens have what is asked for, and which restricts others."""

    def __init__(
        self,
        directory: Path,
        name: str,
        tags: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
        restricted: int = 0,
    ) -> None:
        self.name = name
        self.own = own or {}
        self._tags = {f"greenroom:{key}": value for key, value in (tags or {}).items()}
        super().__init__(directory)
        for number in range(restricted):
            request = {"roomIdentifier": self.room(), "userId": f"other-{number}"}
            self.call("MonitorUser", request, "greenroom")

    def _create_rooms(
        self, number: int, members: Mapping[str, object] | None = None
    ) -> Iterator[str]:
        return super()._create_rooms(number, {"tags": self._tags, **(members or {})})


# -------------------------------------------------------------------------------- deliveries


def cases(plan: Plan) -> dict[str, Load]:
    """Return the loads: what many connections share, and what few do."""
    thousand = plan.connections(1_000)
    load = Load(connections=thousand, seconds=plan.seconds, warm_up=plan.warm_up)
    few = msgspec.structs.replace(load, rooms=thousand // 10, window=min(100, thousand))
    found = {f"one room of {thousand:,}": load, f"{thousand // 10:,} rooms of 10": few}
    return {name: each for name, each in found.items() if plan.wanted(name)}


def _services(plan: Plan) -> list[Callable[[Path], Greenroom]]:
    make = functools.partial
    modes = {"writers": "vip", "duplicate-seconds": "5"}
    found: list[Callable[[Path], Greenroom]] = [
        make(Extended, name=NOTHING),
        make(Extended, name="history", tags=HISTORY),
        make(Extended, name="events to everybody", own={"events": "on"}),
        make(Extended, name="writers and duplicates", tags=modes, own={"roles": "vip"}),
        make(Extended, name="others restricted", restricted=plan.connections(RESTRICTED)),
    ]
    try:
        code()
    except NotHere as why:
        progress(f"{Before.name}: left out, {why}")
        return found
    return [Before, *found]


def measure(plan: Plan) -> Measured:
    """Run every case on every service, in turns, in every round; who begins alternates."""
    measured = Measured(Calibration(plan.attempts))
    chosen = cases(plan)
    for number in rounds(plan):
        if not chosen:
            break
        with running(_services(plan)) as servers:
            order = servers[:: 1 if number % 2 else -1]
            for name, load in chosen.items():
                measured.take(name, order, functools.partial(run, load=load))
    return measured


def table(measured: Measured) -> Table:
    """Return the table of deliveries."""
    return Table(
        name="beyond",
        title="What the extensions cost a delivery",
        columns=[
            "case",
            "in use",
            "CPU µs per delivery",
            "more than with nothing in use, %",
            "more than before the extensions, %",
        ],
        rows=[row for case in measured.outcomes for row in _rows(case, measured)],
        bars=[
            Bar(f"{case}: {name}", name, measured.series(case, name, _cpu))
            for case, services in measured.outcomes.items()
            for name in services
        ],
        axis="server CPU per delivery, µs",
        notes=(
            f"With nothing in use it is to be less than {MAXIMUM_PERCENT:.0f} % more than before.",
            "What is more compares two runs of one round; who begins alternates.",
            "In one room one message is on the way; in the others a hundred, to the rooms in turn.",
            "Centrifugo's recovery is not beside it: npm, PyPI and Debian do not have its server.",
            measured.calibration.note(),
        ),
    )


def _rows(case: str, measured: Measured) -> Iterator[list[str]]:
    services = measured.outcomes[case]
    for name in services:
        cpu = measured.series(case, name, _cpu)
        yield [
            measured.calibration.shown(case),
            name,
            cpu.text(),
            *(
                _percent(cpu, measured.series(case, base, _cpu)).text(1)
                if base in services and name != base
                else ""
                for base in (NOTHING, Before.name)
            ),
        ]


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def _percent(these: Series, base: Series) -> Series:
    return Series([(ratio - 1) * 100 for ratio in these.over(base).values])


# ------------------------------------------------------------------------------- single steps


class Steps(msgspec.Struct):
    """What was measured of each step, in every round."""

    calibration: Calibration
    found: dict[str, list[float]] = {}


def measure_steps(plan: Plan) -> Steps:
    """Measure each step beside what it is compared with, in every round."""
    steps = Steps(Calibration(plan.attempts))
    if not plan.wanted(STEP):
        return steps
    for _ in rounds(plan):
        with running(
            [
                functools.partial(Extended, name=NOTHING),
                functools.partial(Extended, name="events", own={"events": "on"}),
                _Replaying,
            ]
        ) as (plain, events, replaying):
            _take(steps, LOOP_EVENTS, functools.partial(_loop, plan=plan), events, plain)
            _take(steps, JOIN, functools.partial(_join, plan=plan), replaying, plain)
            _take_bans(steps, plain, plan)
        for name, cost in _own_work().items():
            step = LOOP_HISTORY if name == "history" else f"{GATE}{name}"
            steps.found.setdefault(step, []).append(cost)
        progress("history, and the gates")
    return steps


def _take(
    steps: Steps,
    step: str,
    turn: Callable[[Server], float],
    with_it: Server,
    without: Server,
) -> None:
    """Take what a step costs beside what is without it; who begins alternates."""
    turns = [functools.partial(turn, each) for each in (with_it, without)]
    found = steps.found.setdefault(step, [])
    order = 1 if len(found) % 2 else -1
    cost, base = steps.calibration.turns(step, turns[::order])[::order]
    found.append(cost - base)
    progress(step)


def _loop(server: Server, plan: Plan) -> float:
    """Return the microseconds of the event loop's thread for a message to a room of one."""
    number = plan.connections(100)
    load = Load(
        connections=number, rooms=number, window=number, seconds=plan.seconds, warm_up=plan.warm_up
    )
    target = server.target(load)
    before = _main_thread(target.pid)
    outcome = run(server, load)
    return (_main_thread(target.pid) - before) / 1e3 / outcome.total_published


def _main_thread(pid: int) -> int:
    """Return the nanoseconds of CPU that a process's first thread has had."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


class _Replaying(Extended):
    """A service whose connections begin with what was said in their room."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "history", HISTORY, {"history": str(LAST)})
        for number in range(LAST):
            said = {"userId": "ann", "content": f"{number:03} {'x' * 150}"}
            self.call("SendMessage", {"roomIdentifier": self.room(), **said}, "greenroom")


def _join(server: Server, plan: Plan) -> float:
    """Return the microseconds of the service's CPU for a connection."""
    number = plan.connections(1_000)
    run(server, Load(connections=max(1, number // 10)))
    return run(server, Load(connections=number)).connect


def _take_bans(steps: Steps, server: Server, plan: Plan) -> None:
    assert isinstance(server, Greenroom)  # noqa: S101 - for the types
    number = plan.connections(BANNED)
    turns: list[Callable[[], Ban]] = [
        functools.partial(ban, server, number),
        functools.partial(ban, server, number, plan.connections(MOST)),
    ]
    few, many = steps.calibration.turns(ENDED, turns)
    steps.found.setdefault(ENDED, []).append(few.ended)
    steps.found.setdefault(TOLD, []).append(few.told)
    steps.found.setdefault(MANY, []).append(many.ended)
    progress("a ban")


def _own_work() -> dict[str, float]:
    with on_core(SERVER_CORE):
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.own_work"], cwd=ROOT, capture_output=True, check=True
        )
    return msgspec.json.decode(found.stdout, type=dict[str, float])


def steps_table(plan: Plan, steps: Steps) -> Table:
    """Return the table of the steps."""
    rows, bars = [], []
    for step, values in steps.found.items():
        unit, bound = STEPS.get(step, ("µs", GATE_BOUND))
        series = Series(values)
        shown = steps.calibration.shown(step)
        rows.append([shown, f"{series.text(2)} {unit}", f"{bound:.0f} {unit}"])
        if unit == "µs":
            bars.append(Bar(step, step, series))
    number = plan.connections(BANNED)
    return Table(
        name="beyond-steps",
        title="What single steps of the extensions cost",
        columns=["step", "cost", "bound"],
        rows=rows,
        bars=bars,
        axis="CPU, µs",
        notes=(
            "What a step costs is what is more than without it, in two runs of one round.",
            "History and the gates are measured by themselves, for a message that passes.",
            "What other threads do for history is in the other table.",
            "Of events it is the CPU of the thread that serves, for a message to a room of one.",
            "Counts are told by the clock, not by messages: what is not zero is chance.",
            f"A ban is of a user in a room of {number:,} sockets, of which {HIS} are his, or many.",
            "It is timed by its clients, from the request to the API on.",
            steps.calibration.note(),
        ),
        command="beyond",
    )


def main() -> None:
    """Measure and write both tables."""
    chosen = plan(__doc__ or "", rounds=ROUNDS)
    measured = measure(chosen)
    if measured.outcomes:
        write(table(measured), chosen, measured.outcomes)
    steps = measure_steps(chosen)
    if steps.found:
        write(steps_table(chosen, steps), chosen, steps.found)


if __name__ == "__main__":
    main()
