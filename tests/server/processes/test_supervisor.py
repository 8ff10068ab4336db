"""What the supervisor does when processes begin, fail, end, are silent, or are to let go.

Covers: greenroom.server.processes.messages, greenroom.server.processes.gathering
"""

import errno
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance.ready import Ready
from greenroom.entrance.shared_sockets import shares
from greenroom.process.start_refused import StartRefused
from greenroom.server.processes import messages
from greenroom.server.processes.gathering import GATHER_SECONDS
from greenroom.server.processes.messages import (
    Accept,
    Alive,
    Answer,
    Answers,
    Ask,
    Begin,
    LetGo,
    Prepared,
    Question,
    Refused,
    Released,
    Said,
    Serving,
    Stop,
    Subject,
    Taken,
    Told,
)
from greenroom.server.processes.supervisor import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    SILENT_SECONDS,
    STEADY_SECONDS,
    Phase,
    StartFailed,
    Supervisor,
)
from greenroom.storage.base import StoreUnreachable
from tests.stand_ins.hand_clock import HandClock

READY = msgspec.convert(
    {
        **dict.fromkeys(Ready.__struct_fields__, ""),
        "pid": 7,
        "secret_given": False,
        "processes": (),
    },
    Ready,
)


class Process:
    """A double of a process: what it was told, and what was done to it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.told: list[Told] = []
        self.done: list[str] = []

    def tell(self, message: Told) -> None:
        self.told.append(message)

    def kill(self) -> None:
        self.done.append("kill")

    def hang_up(self) -> None:
        self.done.append("hang up")

    def close(self) -> None:
        self.done.append("close")


class Scene:
    """A supervisor of doubles, one socket each."""

    def __init__(self, number: int = 2) -> None:
        self.time = HandClock()
        self.forked: list[tuple[int, Process]] = []
        self.refusals: list[OSError] = []
        """What making a process raises next."""
        self.changes: list[tuple[tuple[Phase, ...], str]] = []
        """At each change that was told: how each process was, and why the start had failed."""
        share = partial(shares, ["address"] * number, number)
        self.supervisor = Supervisor(number, self._fork, share, self.time.clock, self._changed)

    def _fork(self, number: int) -> Process:
        if self.refusals:
            raise self.refusals.pop(0)
        process = Process(1000 + len(self.forked))
        self.forked.append((number, process))
        return process

    def _changed(self) -> None:
        phases = tuple(each.phase for each in self.supervisor.entries.values())
        self.changes.append((phases, str(self.supervisor.failure or "")))

    def last(self, number: int) -> Process:
        """Return the process of this number that was forked last."""
        return [process for each, process in self.forked if each == number][-1]

    def hear(self, number: int, *said: Said) -> None:
        """Have a process say something."""
        for message in said:
            self.supervisor.heard(number, message)

    def advance(self, seconds: float, *, alive: Sequence[int] = ()) -> None:
        """Let time pass; some say that they live."""
        self.time.advance(seconds)
        for number in alive:
            self.hear(number, Alive())
        self.supervisor.tick()

    def serve(self) -> "Scene":
        """Have all begin, and the start be over."""
        for number in self.supervisor.entries:
            self.supervisor.start(number)
            self.hear(number, Serving(READY))
        self.supervisor.begun()
        return self

    @property
    def starts(self) -> list[int]:
        """Return which processes were started, in order."""
        return [number for number, _ in self.forked]


@pytest.fixture
def scene() -> Scene:
    """Give two processes that serve."""
    return Scene().serve()


def test_a_message_arrives_as_it_was_sent() -> None:
    """Each kind, in both directions."""
    said: list[Said] = [
        *(Prepared(), Serving(READY), Refused("X", "why"), Released(), Alive()),
        *(Ask(1, Subject.HEALTH), Answer(2, b"body")),
    ]
    told: list[Told] = [
        *(Begin(), LetGo(), Taken(taken=True), Accept([1, 2]), Stop()),
        *(Question(1, Subject.FIGURES), Answers(3, {1: b"a"}, {2: "silent"}, {1: 4})),
    ]
    assert [messages.said(messages.encode(each)) for each in said] == said
    assert [messages.told(messages.encode(each)) for each in told] == told


def test_one_that_ends_is_started_again(scene: Scene) -> None:
    """At once, and told, with its number, its process id, and how it ended."""
    with capture_logs() as logs:
        scene.supervisor.ended(2, "SIGKILL")
        scene.supervisor.tick()
        scene.hear(2, Serving(READY))
    assert scene.starts == [1, 2, 2]
    assert [{**line} for line in logs] == [
        {
            "event": "a process has ended: it is started again",
            "log_level": "error",
            "process": 2,
            "pid": 1001,
            "reason": "SIGKILL",
            "seconds": 0.0,
        },
        {
            "event": "a process serves again",
            "log_level": "info",
            "process": 2,
            "pid": 1002,
        },
    ]


def test_one_that_ends_again_and_again_waits_longer(scene: Scene) -> None:
    """Each pause is twice the last one, up to a bound; one that has served for long has none."""
    pauses = []
    for _ in range(12):
        scene.supervisor.ended(1, "exit code 1")
        begun, number = scene.time.seconds, len(scene.starts)
        while len(scene.starts) == number:
            scene.advance(FIRST_PAUSE / 2, alive=[2])
        pauses.append(scene.time.seconds - begun)
        scene.hear(1, Serving(READY))
    assert pauses[1:5] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    for _ in range(int(STEADY_SECONDS)):
        scene.advance(1, alive=[1, 2])
    number = len(scene.starts)
    scene.supervisor.ended(1, "exit code 1")
    scene.supervisor.tick()
    assert len(scene.starts) == number + 1


def test_one_that_cannot_start_again_is_told_of(scene: Scene) -> None:
    """A database that is away ends nothing: it is tried again."""
    with capture_logs() as logs:
        scene.supervisor.ended(2, "SIGKILL")
        scene.supervisor.tick()
        scene.hear(2, Refused("StoreUnreachable", "PostgreSQL does not answer"))
        scene.supervisor.ended(2, "exit code 1")
        scene.advance(FIRST_PAUSE, alive=[1])
    assert scene.starts == [1, 2, 2, 2]
    (line,) = (line for line in logs if line["event"] == "a process cannot start")
    assert (line["process"], line["reason"]) == (2, "PostgreSQL does not answer")
    assert scene.supervisor.failure is None


def test_one_that_the_system_does_not_make_is_tried_again(scene: Scene) -> None:
    """After pauses, and told of; only what was made counts as started again."""
    scene.refusals = [OSError(errno.ENOMEM, ""), OSError(errno.EMFILE, "")]
    scene.supervisor.ended(2, "SIGKILL")
    with capture_logs() as logs:
        scene.supervisor.tick()
        scene.advance(FIRST_PAUSE / 2, alive=[1])
        scene.advance(FIRST_PAUSE / 2, alive=[1])
    event = "a process cannot be made: it is tried again"
    told = [(line["process"], line["reason"], line["seconds"]) for line in logs]
    assert {line["event"] for line in logs} == {event}
    assert told == [
        (2, "Cannot allocate memory", FIRST_PAUSE),
        (2, "Too many open files", 2 * FIRST_PAUSE),
    ]
    scene.advance(2 * FIRST_PAUSE, alive=[1])
    assert scene.starts == [1, 2, 2]
    assert scene.supervisor.entries[2].restarts == 1
    assert scene.supervisor.failure is None


def test_a_start_fails_when_the_system_makes_no_process() -> None:
    """With its reason."""
    scene = Scene()
    scene.refusals = [OSError(errno.EAGAIN, "")]
    scene.supervisor.start(1)
    expected = "process 1 cannot be made: Resource temporarily unavailable"
    assert isinstance(scene.supervisor.failure, StartFailed)
    assert str(scene.supervisor.failure) == expected
    assert scene.changes == [((Phase.ENDED, Phase.ENDED), expected)]
    scene.refusals = [OSError(errno.ENOMEM, "")]
    scene.supervisor.start(2)
    assert str(scene.supervisor.failure) == expected, "the first counts"


def test_each_change_is_told() -> None:
    """Of a phase, and of a start that fails: whoever waits for either looks again then."""
    scene = Scene()
    starting, prepared, serving, ended = (
        *(Phase.STARTING, Phase.PREPARED, Phase.SERVING),
        Phase.ENDED,
    )
    for number in (1, 2):
        scene.supervisor.start(number)
    scene.hear(1, Prepared(), Serving(READY), Alive())
    scene.hear(2, Refused("Odd", "words"))
    scene.supervisor.ended(2, "exit code 1")
    assert scene.changes[:5] == [
        ((starting, ended), ""),
        ((starting, starting), ""),
        ((prepared, starting), ""),
        ((serving, starting), ""),
        ((serving, starting), "words"),
    ]
    assert scene.changes[-1] == ((serving, ended), "words")
    silent = Scene(1)
    silent.supervisor.start(1)
    silent.supervisor.ended(1, "SIGKILL")
    assert silent.changes[-1] == ((ended,), "process 1 ended while it started: SIGKILL")


def test_a_start_is_not_told_of_as_a_restart() -> None:
    """Nor is a socket given to another one before all have served; the first tells for all."""
    scene, other = Scene(), msgspec.structs.replace(READY, pid=8)
    with capture_logs() as logs:
        for number in (1, 2):
            scene.supervisor.start(number)
        scene.hear(1, Serving(READY))
        scene.hear(2, Serving(other))
        scene.supervisor.begun()
    assert logs == []
    assert [scene.last(each).told for each in (1, 2)] == [[], []]
    assert scene.supervisor.ready == READY


def test_an_end_is_heard_once(scene: Scene) -> None:
    """What the process held is let go, and it is started again once."""
    gone = scene.last(2)
    with capture_logs() as logs:
        for _ in range(2):
            scene.supervisor.ended(2, "SIGKILL")
    assert (gone.done, len(logs)) == (["close"], 1)
    scene.supervisor.tick()
    assert scene.starts == [1, 2, 2]


def test_who_served_long_and_starts_no_more_waits_longer(scene: Scene) -> None:
    """How long it has served before says nothing of those that end before they serve."""
    for _ in range(int(STEADY_SECONDS)):
        scene.advance(1, alive=[1, 2])
    scene.supervisor.ended(1, "SIGKILL")
    for _ in range(2):
        scene.supervisor.tick()
        scene.supervisor.ended(1, "exit code 1")
    scene.supervisor.tick()
    assert scene.starts == [1, 2, 1, 1]
    scene.advance(FIRST_PAUSE, alive=[2])
    assert scene.starts == [1, 2, 1, 1, 1]


def test_what_connects_to_a_dead_one_is_another_ones(scene: Scene) -> None:
    """As long as it is dead; its socket is held by all."""
    scene.supervisor.ended(2, "SIGKILL")
    assert scene.last(1).told == [Accept([0, 1])]
    scene.supervisor.tick()
    assert len(scene.last(1).told) == 1
    scene.hear(2, Serving(READY))
    assert scene.last(1).told[1:] == [Accept([0])]
    assert scene.last(2).told == []


def test_a_silent_one_is_killed(scene: Scene) -> None:
    """Its event loop stands still, and connections come to it."""
    scene.advance(SILENT_SECONDS - 1, alive=[1])
    assert scene.last(2).done == []
    with capture_logs() as logs:
        scene.advance(1, alive=[1])
        assert scene.last(2).done == ["kill"], "at the very second"
        scene.advance(1, alive=[1])
    assert (scene.last(1).done, scene.last(2).done) == ([], ["kill"])
    (line,) = logs
    assert (line["event"], line["process"]) == ("a process is silent: it is killed", 2)


def test_a_start_fails_as_its_process_does() -> None:
    """With its own error, which has an exit code; the first one counts."""
    scene = Scene()
    scene.supervisor.start(1)
    scene.hear(1, Refused("StoreUnreachable", "it does not answer"))
    scene.supervisor.ended(1, "exit code 1")
    assert isinstance(scene.supervisor.failure, StoreUnreachable)
    assert str(scene.supervisor.failure) == "it does not answer"
    scene.supervisor.tick()
    assert scene.starts == [1]


def test_a_start_fails_with_a_process_that_says_nothing() -> None:
    """The line says how it ended; an error that nobody knows is told in its words."""
    scene = Scene()
    scene.supervisor.start(1)
    scene.supervisor.ended(1, "SIGKILL")
    assert isinstance(scene.supervisor.failure, StartFailed)
    assert str(scene.supervisor.failure) == "process 1 ended while it started: SIGKILL"
    scene = Scene()
    scene.supervisor.start(1)
    scene.hear(1, Refused("Odd", "words"))
    assert isinstance(scene.supervisor.failure, StartRefused)
    assert str(scene.supervisor.failure) == "words"


def test_a_stop(scene: Scene) -> None:
    """All are told, and none is started again; one that began meanwhile is told when it serves."""
    scene.supervisor.ended(2, "SIGKILL")
    scene.supervisor.tick()
    scene.supervisor.stop()
    assert scene.last(1).told[-1:] == [Stop()]
    scene.hear(2, Serving(READY))
    assert scene.last(2).told == [Stop(), Stop()]
    assert scene.last(1).told[-1:] == [Stop()]
    with capture_logs() as logs:
        scene.supervisor.ended(1, "exit code 0")
        scene.supervisor.ended(2, "exit code 0")
        scene.advance(LONGEST_PAUSE)
    assert scene.starts == [1, 2, 2]
    assert not scene.supervisor.running
    assert logs == []


def test_a_stop_while_it_starts() -> None:
    """Who ends then has not failed; who was not started yet is not."""
    scene = Scene()
    scene.supervisor.start(1)
    scene.supervisor.stop()
    scene.supervisor.start(2)
    scene.supervisor.ended(1, "exit code 0")
    assert scene.starts == [1]
    assert scene.supervisor.failure is None


def test_signals_reach_all(scene: Scene) -> None:
    """The one that has files read again, and the last one, behind which none is started again."""
    scene.supervisor.hang_up()
    scene.supervisor.kill()
    assert [scene.last(each).done for each in (1, 2)] == [["hang up", "kill"]] * 2
    with capture_logs() as logs:
        scene.supervisor.ended(1, "SIGKILL")
        scene.advance(FIRST_PAUSE, alive=[2])
    assert (scene.starts, logs) == ([1, 2], [])


def test_nobody_takes_a_socket_over_from_who_lets_go(scene: Scene) -> None:
    """The successor accepts from it."""
    scene.supervisor.let_go()
    scene.supervisor.ended(2, "SIGKILL")
    assert scene.last(1).told == [LetGo()]


@pytest.mark.parametrize("taken", [True, False])
def test_a_takeover(scene: Scene, taken: bool) -> None:
    """All let go, and hear what became of it; meanwhile none is started again."""
    scene.supervisor.let_go()
    scene.hear(1, Released())
    scene.supervisor.ended(2, "SIGKILL")
    scene.advance(1, alive=[1])
    assert scene.starts == [1, 2]
    assert scene.supervisor.phases() == {Phase.RELEASED, Phase.ENDED}
    scene.supervisor.taken(taken)
    assert scene.last(1).told == [LetGo(), Taken(taken)]
    scene.advance(1, alive=[1])
    assert scene.starts == ([1, 2] if taken else [1, 2, 2])


def test_taking_over() -> None:
    """All prepare beside who runs, and begin together; one that dies later need not wait."""
    scene = Scene()
    for number in (1, 2):
        scene.supervisor.start(number)
        scene.hear(number, Prepared())
    assert scene.supervisor.phases() == {Phase.PREPARED}
    scene.supervisor.begin()
    assert [scene.last(each).told for each in (1, 2)] == [[Begin()], [Begin()]]
    for number in (1, 2):
        scene.hear(number, Serving(READY))
    scene.supervisor.begun()
    scene.supervisor.ended(1, "SIGKILL")
    scene.supervisor.tick()
    scene.hear(1, Prepared())
    assert scene.last(1).told == [Begin()]


# ------------------------------------------------------------------------------- questions


def answers(process: Process) -> list[tuple[int, Mapping[int, bytes], Mapping[int, str]]]:
    """Return the answers that a process was given."""
    given = [each for each in process.told if isinstance(each, Answers)]
    return [(each.number, each.bodies, each.others) for each in given]


def question(process: Process) -> Question:
    """Return the question that a process was asked last."""
    (*_, asked) = (each for each in process.told if isinstance(each, Question))
    return asked


def test_others_are_asked() -> None:
    """Each that serves; the answers go to who asked, with the number that he gave."""
    scene = Scene(3).serve()
    scene.hear(2, Ask(17, Subject.FIGURES))
    assert not any(isinstance(each, Question) for each in scene.last(2).told)
    for number in (1, 3):
        asked = question(scene.last(number))
        assert asked.subject is Subject.FIGURES
        scene.hear(number, Answer(asked.number, b"%d" % number))
    phases = {1: "serving", 3: "serving"}
    assert answers(scene.last(2)) == [(17, {1: b"1", 3: b"3"}, phases)]
    scene.hear(3, Answer(question(scene.last(3)).number, b"late"))
    assert len(answers(scene.last(2))) == 1


def test_who_does_not_answer_is_silent() -> None:
    """When the time is over the others' answers are given."""
    scene = Scene(3).serve()
    scene.hear(1, Ask(1, Subject.HEALTH))
    scene.hear(2, Answer(question(scene.last(2)).number, b"two"))
    scene.advance(GATHER_SECONDS / 2, alive=[1, 2, 3])
    assert answers(scene.last(1)) == []
    scene.advance(GATHER_SECONDS / 2, alive=[1, 2, 3])
    assert answers(scene.last(1)) == [(1, {2: b"two"}, {2: "serving", 3: "silent"})]


def test_dead_ones_are_not_waited_for() -> None:
    """Who dies before it answers, or was dead, is told of; a question of a dead one is dropped."""
    scene = Scene(3).serve()
    scene.supervisor.ended(3, "SIGKILL")
    scene.hear(1, Ask(1, Subject.HEALTH))
    scene.hear(2, Ask(9, Subject.HEALTH))
    scene.supervisor.ended(2, "SIGKILL")
    assert answers(scene.last(1)) == [(1, {}, {2: "ended", 3: "ended"})]
    scene.hear(1, Answer(question(scene.last(1)).number, b"one"))
    scene.advance(GATHER_SECONDS, alive=[1])
    assert answers(scene.last(2)) == []
