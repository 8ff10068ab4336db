"""Questions of one process to all others, until all have answered or their time is over."""

from collections.abc import Callable, Mapping

import msgspec

from greenroom.clock import Clock
from greenroom.server.processes.messages import Answers, Question, Subject, Told

GATHER_SECONDS = 0.7
"""How long the others have for their answers: probes mostly give up after a second."""

SERVING = "serving"
SILENT = "silent"
"""What is said of a process that serves, and did not answer."""

Others = tuple[Mapping[int, str], Mapping[int, int]]


class _Gathering(msgspec.Struct):
    asker: int
    number: int
    deadline: float
    waiting: set[int]
    bodies: dict[int, bytes] = {}


class Gatherings:
    """What is being asked; the bound is what the processes have under way."""

    def __init__(
        self, clock: Clock, tell: Callable[[int, Told], None], others: Callable[[int], Others]
    ) -> None:
        """Make it with how a process is told, and how one learns how its others are."""
        self._clock = clock
        self._tell = tell
        self._others = others
        self._running: dict[int, _Gathering] = {}
        self._last = 0

    def ask(self, asker: int, number: int, subject: Subject) -> None:
        """Ask all others that serve; `number` is the asker's own, which its answer gets."""
        phases, _ = self._others(asker)
        waiting = {each for each, phase in phases.items() if phase == SERVING}
        self._last += 1
        gathering = _Gathering(asker, number, self._clock.monotonic() + GATHER_SECONDS, waiting)
        self._running[self._last] = gathering
        for each in waiting:
            self._tell(each, Question(self._last, subject))
        self._end_if_whole(self._last, gathering)

    def answered(self, by: int, number: int, body: bytes) -> None:
        """Take an answer."""
        gathering = self._running.get(number)
        if gathering is not None and by in gathering.waiting:
            gathering.waiting.discard(by)
            gathering.bodies[by] = body
            self._end_if_whole(number, gathering)

    def gone(self, process: int) -> None:
        """Wait no more for a process that has ended, nor for its questions."""
        for number, gathering in list(self._running.items()):
            gathering.waiting.discard(process)
            if gathering.asker == process:
                del self._running[number]
            else:
                self._end_if_whole(number, gathering)

    def tick(self) -> None:
        """Answer those whose time is over."""
        now = self._clock.monotonic()
        for number, gathering in list(self._running.items()):
            if now >= gathering.deadline:
                self._end(number, gathering)

    def _end_if_whole(self, number: int, gathering: _Gathering) -> None:
        if not gathering.waiting:
            self._end(number, gathering)

    def _end(self, number: int, gathering: _Gathering) -> None:
        del self._running[number]
        phases, restarts = self._others(gathering.asker)
        silent = dict.fromkeys(gathering.waiting, SILENT)
        self._tell(
            gathering.asker,
            Answers(gathering.number, gathering.bodies, {**phases, **silent}, restarts),
        )
