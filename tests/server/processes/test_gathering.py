"""Questions of one process to the others: who is asked, who is waited for, and how long."""

import pytest

from greenroom.server.processes.gathering import GATHER_SECONDS, SERVING, SILENT, Gatherings
from greenroom.server.processes.messages import Answers, Question, Subject, Told
from tests.stand_ins.hand_clock import HandClock


class Scene:
    """Processes, of which the test says how they are, and what each was told."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.phases = {1: SERVING, 2: SERVING, 3: SERVING, 4: "starting"}
        self.told: list[tuple[int, Told]] = []
        self.gatherings = Gatherings(
            self.time.clock, lambda process, message: self.told.append((process, message)), self._of
        )

    def _of(self, asker: int) -> tuple[dict[int, str], dict[int, int]]:
        return {each: phase for each, phase in self.phases.items() if each != asker}, {4: 2}

    def heard(self) -> list[tuple[int, Told]]:
        """Return what was told since the last time."""
        told, self.told[:] = list(self.told), []
        return told


@pytest.fixture
def scene() -> Scene:
    """Give a scene."""
    return Scene()


def test_all_that_serve_are_asked(scene: Scene) -> None:
    """The asker gets all answers at once, under its own number; the rest is how the others are."""
    scene.gatherings.ask(1, 70, Subject.HEALTH)
    assert scene.heard() == [(2, Question(1, Subject.HEALTH)), (3, Question(1, Subject.HEALTH))]
    scene.gatherings.answered(2, 1, b"two")
    scene.gatherings.answered(2, 1, b"once more")
    scene.gatherings.answered(4, 1, b"not asked")
    scene.gatherings.answered(3, 9, b"another question")
    assert scene.heard() == []
    scene.gatherings.answered(3, 1, b"three")
    phases = {2: SERVING, 3: SERVING, 4: "starting"}
    assert scene.heard() == [(1, Answers(70, {2: b"two", 3: b"three"}, phases, {4: 2}))]
    scene.gatherings.answered(3, 1, b"late")
    scene.time.advance(60)
    scene.gatherings.tick()
    assert scene.heard() == []


def test_where_nobody_else_serves(scene: Scene) -> None:
    """The answer comes at once."""
    scene.phases = {1: SERVING, 4: "starting"}
    scene.gatherings.ask(1, 70, Subject.FIGURES)
    assert scene.heard() == [(1, Answers(70, {}, {4: "starting"}, {4: 2}))]


def test_whoever_does_not_answer_is_named(scene: Scene) -> None:
    """When the time is over, and not before."""
    scene.gatherings.ask(1, 70, Subject.HEALTH)
    scene.gatherings.answered(2, 1, b"two")
    scene.time.advance(GATHER_SECONDS - 0.01)
    scene.heard()
    scene.gatherings.tick()
    assert scene.heard() == []
    scene.time.advance(0.01)
    scene.gatherings.tick()
    phases = {2: SERVING, 3: SILENT, 4: "starting"}
    assert scene.heard() == [(1, Answers(70, {2: b"two"}, phases, {4: 2}))]


def test_processes_that_end(scene: Scene) -> None:
    """Nobody waits for them, and what they asked is nobody's."""
    scene.gatherings.ask(1, 70, Subject.HEALTH)
    scene.gatherings.ask(2, 71, Subject.HEALTH)
    assert [process for process, _ in scene.heard()] == [2, 3, 1, 3]
    scene.phases.pop(2)
    scene.gatherings.gone(2)
    assert scene.heard() == []
    scene.gatherings.answered(3, 2, b"of nobody's question")
    scene.gatherings.answered(3, 1, b"three")
    ((asker, answers),) = scene.heard()
    assert asker == 1
    assert isinstance(answers, Answers)
    assert (answers.number, answers.bodies) == (70, {3: b"three"})
    scene.gatherings.ask(1, 72, Subject.HEALTH)
    scene.heard()
    scene.gatherings.gone(3)
    assert [process for process, _ in scene.heard()] == [1]
