"""Looks after several processes that serve behind one port: starts them, and starts them again.

- One that ends is started again: at once the first time, then after pauses that double, until it
  has served for `STEADY_SECONDS`. What connects to it is another one's meanwhile. One that the
  system does not make, for want of memory, is tried again after such a pause.
- One that says nothing for `SILENT_SECONDS` is killed first: its event loop stands still.
- Before all have served once, one that fails fails the whole start, with what it says.
- Nothing here waits, or looks at a clock of its own: what happens is told by calls, and `tick`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

from greenroom.clock import Clock
from greenroom.entrance.ready import Ready
from greenroom.process.os_error import in_words
from greenroom.process.start_refused import StartRefused
from greenroom.server.processes.gathering import Gatherings
from greenroom.server.processes.messages import (
    Accept,
    Alive,
    Answer,
    Ask,
    Begin,
    LetGo,
    Prepared,
    Refused,
    Released,
    Said,
    Serving,
    Stop,
    Taken,
    Told,
)

TICK_SECONDS = 0.1
"""How often `tick` is to be called."""

SILENT_SECONDS = 30.0
"""How long a process may say nothing."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a process is started again that has ended soon; each pause is twice the last."""

STEADY_SECONDS = 60.0
"""After this time a process that ends has not ended soon."""

log = structlog.get_logger()


class Phase(StrEnum):
    """How a process is."""

    STARTING = "starting"
    PREPARED = "prepared"
    SERVING = "serving"
    RELEASED = "released"
    ENDED = "ended"


class Forked(Protocol):
    """A process that runs."""

    @property
    def pid(self) -> int: ...
    def tell(self, message: Told) -> None: ...
    def kill(self) -> None: ...
    def hang_up(self) -> None: ...
    def close(self) -> None: ...


class StartFailed(StartRefused):
    """A process ended while the service started, and did not say why."""


class Entry(msgspec.Struct):
    """What is known of one process; times are monotonic."""

    number: int
    forked: Forked | None = None
    phase: Phase = Phase.ENDED
    heard: float = 0.0
    serves_since: float = 0.0
    again_at: float | None = None
    ends_soon: int = 0
    restarts: int = 0
    accepts: frozenset[int] = frozenset()


class Supervisor:
    """Knows the processes, by their numbers from 1 on."""

    def __init__(
        self,
        number: int,
        fork: Callable[[int], Forked],
        shares: Callable[[Sequence[int]], Mapping[int, frozenset[int]]],
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        """Make it without a process.

        `fork` starts one, or raises OSError; `shares` says from which sockets each of some
        processes accepts; `changed` is called when the phase of one has changed.
        """
        self._fork = fork
        self._shares = shares
        self._clock = clock
        self._changed = changed
        self.entries = {each: Entry(each) for each in range(1, number + 1)}
        self.ready: Ready | None = None
        """What the first that served has told of itself."""
        self.failure: Exception | None = None
        """Why the start has failed."""
        self.began = False
        """Whether all have served."""
        self.ending = False
        self.handing_over = False
        self._gatherings = Gatherings(clock, self._tell_one, self._others)

    def phases(self) -> set[Phase]:
        """Return the phases in which processes are now."""
        return {each.phase for each in self.entries.values()}

    @property
    def running(self) -> list[Entry]:
        """Return the processes that run."""
        return [each for each in self.entries.values() if each.forked is not None]

    # What is asked of it

    def start(self, number: int) -> None:
        """Start a process, unless all are to end: nobody would tell it to."""
        if self.ending:
            return
        entry = self.entries[number]
        entry.again_at, entry.heard = None, self._clock.monotonic()
        entry.accepts = self._shares(list(self.entries))[number]
        try:
            entry.forked = self._fork(number)
        except OSError as error:
            self._not_forked(entry, in_words(error))
        else:
            self._turn(entry, Phase.STARTING)

    def begin(self) -> None:
        """Have those that are prepared serve: the service that ran before has let go."""
        self._tell_all(Begin())

    def begun(self) -> None:
        """From now on the start cannot fail any more."""
        self.began = True

    def let_go(self) -> None:
        """Have all let go, for a successor."""
        self.handing_over = True
        self._tell_all(LetGo())

    def taken(self, taken: bool) -> None:
        """Tell all whether the successor serves: those that have let go end, or serve again."""
        self.ending = self.ending or taken
        self.handing_over = False
        self._tell_all(Taken(taken))

    def stop(self) -> None:
        """Drain and end all."""
        self.ending = True
        self._tell_all(Stop())

    def kill(self) -> None:
        """End all at once."""
        self.ending = True
        for entry in self.running:
            if entry.forked is not None:
                entry.forked.kill()

    def hang_up(self) -> None:
        """Have all read their files again."""
        for entry in self.running:
            if entry.forked is not None:
                entry.forked.hang_up()

    # What it is told

    def heard(self, number: int, message: Said) -> None:
        """Take what a process has said."""
        entry = self.entries[number]
        entry.heard = self._clock.monotonic()
        match message:
            case Prepared():
                self._turn(entry, Phase.PREPARED)
                if self.began:
                    # The service that ran before is long gone.
                    self._tell(entry, Begin())
            case Serving(ready):
                self._serves(entry, ready)
            case Released():
                self._turn(entry, Phase.RELEASED)
            case Refused(_, why):
                self._refused(number, message, why)
            case Ask(token, subject):
                self._gatherings.ask(number, token, subject)
            case Answer(token, body):
                self._gatherings.answered(number, token, body)
            case Alive():
                pass

    def ended(self, number: int, how: str) -> None:
        """Take note that a process has ended."""
        entry = self.entries[number]
        forked, entry.forked = entry.forked, None
        if forked is None:
            return
        served, now = entry.phase is Phase.SERVING, self._clock.monotonic()
        steady = served and now - entry.serves_since >= STEADY_SECONDS
        self._turn(entry, Phase.ENDED)
        self._gatherings.gone(number)
        if not (self.ending or self.began) and self.failure is None:
            self.failure = StartFailed(f"process {number} ended while it started: {how}")
        elif self.began and not self.ending:
            entry.ends_soon = 0 if steady else entry.ends_soon + 1
            pause = 0.0 if entry.ends_soon <= 1 else _pause(entry.ends_soon - 2)
            entry.again_at = now + pause
            self._log_end(entry, forked.pid, how, pause)
        forked.close()
        self._spread()
        self._changed()

    def tick(self) -> None:
        """Start again whose time has come, end who is silent, answer who waits for others."""
        now = self._clock.monotonic()
        self._gatherings.tick()
        for entry in self.entries.values():
            if entry.forked is not None and now - entry.heard >= SILENT_SECONDS:
                log.error("a process is silent: it is killed", process=entry.number)
                entry.heard = now
                entry.forked.kill()
            due = entry.again_at is not None and now >= entry.again_at
            if due and not (self.ending or self.handing_over):
                self.start(entry.number)
                entry.restarts += entry.forked is not None

    # Within

    def _not_forked(self, entry: Entry, reason: str) -> None:
        """Try again later what the system refused: for want of memory, processes, descriptors."""
        if self.began:
            entry.ends_soon += 1
            pause = _pause(max(entry.ends_soon - 2, 0))
            entry.again_at = self._clock.monotonic() + pause
            log.error(
                "a process cannot be made: it is tried again",
                process=entry.number,
                reason=reason,
                seconds=pause,
            )
        elif self.failure is None:
            self.failure = StartFailed(f"process {entry.number} cannot be made: {reason}")
        self._changed()

    def _serves(self, entry: Entry, ready: Ready) -> None:
        self.ready = self.ready or ready
        entry.serves_since = self._clock.monotonic()
        self._turn(entry, Phase.SERVING)
        if entry.restarts and entry.forked is not None:
            log.info("a process serves again", process=entry.number, pid=entry.forked.pid)
        if self.ending:
            # It was told to stop while it began.
            self._tell(entry, Stop())
        self._spread()

    def _refused(self, number: int, refused: Refused, why: str) -> None:
        if self.began or self.ending:
            log.error("a process cannot start", process=number, reason=why)
        elif self.failure is None:
            self.failure = refused_as(refused)
            self._changed()

    def _spread(self) -> None:
        """Have each living process accept from its sockets, and from those of dead ones."""
        if not self.began or self.ending or self.handing_over:
            return
        serving = [each.number for each in self.running if each.phase is Phase.SERVING]
        for number, accepts in self._shares(serving).items():
            entry = self.entries[number]
            if entry.accepts != accepts:
                entry.accepts = accepts
                self._tell(entry, Accept(sorted(accepts)))

    def _log_end(self, entry: Entry, pid: int, how: str, pause: float) -> None:
        log.error(
            "a process has ended: it is started again",
            process=entry.number,
            pid=pid,
            reason=how,
            seconds=pause,
        )

    def _others(self, number: int) -> tuple[dict[int, str], dict[int, int]]:
        """Return how all but one process are, and how often each was started again."""
        phases = {each.number: each.phase.value for each in self.entries.values()}
        del phases[number]
        return phases, {each.number: each.restarts for each in self.entries.values()}

    def _turn(self, entry: Entry, phase: Phase) -> None:
        entry.phase = phase
        self._changed()

    def _tell_all(self, message: Told) -> None:
        for entry in self.running:
            self._tell(entry, message)

    def _tell_one(self, number: int, message: Told) -> None:
        self._tell(self.entries[number], message)

    def _tell(self, entry: Entry, message: Told) -> None:
        if entry.forked is not None:
            entry.forked.tell(message)


def _pause(times: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(times, 16), LONGEST_PAUSE)


def refused_as(refused: Refused) -> StartRefused:
    """Return what a process has raised, as it has raised it."""
    waiting: list[type[StartRefused]] = [StartRefused]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == refused.kind:
            return kind(refused.why)
        waiting += kind.__subclasses__()
    return StartFailed(refused.why)
