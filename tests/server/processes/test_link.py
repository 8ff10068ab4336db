"""A process's end of its pipe: what it says, and what it does when it is told something."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.entrance.ready import Ready
from greenroom.server.processes import link as module
from greenroom.server.processes import messages
from greenroom.server.processes.link import Link
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

READY = Ready(
    pid=1,
    api_url="http://here",
    health_url="http://here/health",
    websocket_url="ws://here",
    region="us-east-1",
    account="123456789012",
    access_key_id="AKIA",
    secret_access_key="secret",
    secret_given=False,
    credentials_file=None,
    data_dir=None,
)


class Pipe:
    """A double of a pipe: notes what is said, and says what the test wants."""

    def __init__(
        self, _connection: object, receive: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        self.receive, self.ended = receive, ended
        self.said: list[Said] = []
        self.started = False

    def start(self) -> None:
        self.started = True

    def send(self, data: bytes) -> None:
        self.said.append(messages.said(data))

    def tell(self, *told: Told) -> None:
        """Tell the process something."""
        for each in told:
            self.receive(messages.encode(each))


class Scene:
    """A link of process 2, which accepts from the second of three sockets."""

    def __init__(self) -> None:
        self.sockets: list[Any] = [Mock(name=f"socket {number}") for number in range(3)]
        listening: Any = Mock(sockets=self.sockets, by_systemd=True)
        self.link = Link(2, Mock(), listening, frozenset({1}))
        pipe: Any = self.link._pipe
        assert isinstance(pipe, Pipe)
        self.pipe = pipe


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Give a scene."""
    monkeypatch.setattr(module, "Pipe", Pipe)
    made = Scene()
    yield made
    await settle()
    assert made.link._tasks == set()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_it_says(scene: Scene) -> None:
    """Each in its own message; the sockets are its own ones first."""
    scene.link.open()
    assert scene.pipe.started
    scene.link.announce(READY)
    scene.link.refuse(KeyError("why"))
    scene.link.alive()
    scene.link.serving()
    scene.link.start()
    assert scene.pipe.said == [Serving(READY), Refused("KeyError", "'why'"), Alive()]
    assert scene.link.listening.sockets == [scene.sockets[1]]
    assert scene.link.names_successor


async def test_it_begins_when_the_other_has_let_go(scene: Scene) -> None:
    """It says that it is prepared, and waits."""
    released = asyncio.create_task(scene.link.release())
    await settle()
    assert (scene.pipe.said, released.done()) == ([Prepared()], False)
    scene.pipe.tell(Begin())
    await released


async def test_it_lets_go_when_somebody_takes_over(scene: Scene) -> None:
    """It says when it has, and hears whether the other serves; what comes late is nothing."""
    wanted = Mock()
    scene.link.wanted = wanted
    scene.pipe.tell(Taken(taken=True), LetGo())
    wanted.assert_called_once_with()
    successor = scene.link.successor
    assert successor is not None
    assert successor.pid == 0
    for taken in (True, False):
        serves = asyncio.create_task(successor.serves())
        await settle()
        assert (scene.pipe.said.pop(), serves.done()) == (Released(), False)
        scene.pipe.tell(Taken(taken=taken), Taken(taken=not taken))
        assert await serves is taken
    scene.link.close()
    left: Any = scene.link.successor
    assert left is None


@pytest.mark.parametrize("how", ["told", "gone"])
async def test_it_drains(scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """When it is told to, and when the supervisor is gone: as at the signal."""
    kill = Mock()
    with monkeypatch.context() as patch:
        patch.setattr("os.kill", kill)
        patch.setattr("os.getpid", lambda: 1000)
        if how == "told":
            scene.pipe.tell(Stop())
        else:
            scene.pipe.ended()
    kill.assert_called_once_with(1000, signal.SIGTERM)


async def test_a_withdrawal_is_remembered(scene: Scene) -> None:
    """Whatever becomes of a takeover."""
    assert not scene.link.is_withdrawn
    scene.link.withdraw("it was told to stop")
    assert scene.link.is_withdrawn


async def test_the_others_are_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has a number of its own, by which its answer is known."""
    first = asyncio.create_task(scene.link.ask(Subject.HEALTH))
    second = asyncio.create_task(scene.link.ask(Subject.FIGURES))
    await settle()
    assert scene.pipe.said == [Ask(1, Subject.HEALTH), Ask(2, Subject.FIGURES)]
    two = Answers(2, {1: b"x"}, {1: "serving"}, {})
    scene.pipe.tell(Answers(9, {}, {}, {}), two, two)
    assert await second == two
    assert not first.done()
    scene.pipe.tell(one := Answers(1, {}, {3: "silent"}, {3: 1}))
    assert await first == one
    assert scene.link._asked == {}


async def test_a_supervisor_that_does_not_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time nothing is known of the others."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    assert await scene.link.ask(Subject.HEALTH) == Answers(1, {}, {}, {})
    assert scene.link._asked == {}
    scene.pipe.tell(Answers(1, {}, {}, {}))


async def test_questions_of_others_are_answered(scene: Scene) -> None:
    """Where there is something that answers them."""

    async def figures() -> bytes:
        return b"figures"

    scene.link.answers[Subject.FIGURES] = figures
    scene.pipe.tell(Question(5, Subject.HEALTH), Question(6, Subject.FIGURES))
    await settle()
    assert scene.pipe.said == [Answer(6, b"figures")]


async def test_sockets_of_dead_processes_are_accepted_from(scene: Scene) -> None:
    """As long as the supervisor says so: each once, and never those of its own anew."""
    accepted: list[object] = []
    ends = {number: Mock() for number in range(3)}

    async def accept(connection: socket.socket) -> Callable[[], None]:
        number = [each.dup.return_value for each in scene.sockets].index(connection)
        accepted.append(number)
        return ends[number]

    scene.pipe.tell(Accept((0, 1)))
    await settle()
    scene.link.accept_from = accept
    scene.pipe.tell(Accept((0, 1)), Accept((0, 1)), Accept((0, 1, 2)))
    await settle()
    assert accepted == [0, 2]
    scene.pipe.tell(Accept((1, 2)))
    await settle()
    ends[0].assert_called_once_with()
    ends[2].assert_not_called()
    scene.pipe.tell(Accept((0, 1)))
    await settle()
    assert accepted == [0, 2, 0]
    ends[2].assert_called_once_with()
    ends[1].assert_not_called()
    scene.link.close()
    none: Any = scene.link.accept_from
    assert none is None
    scene.pipe.tell(Accept((1,)))
    await settle()
    ends[0].assert_called_once_with()
