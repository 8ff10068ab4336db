"""What one of several processes answers for all, and what it tells the supervisor and hears.

Covers: greenroom.server.processes.link
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from greenroom.entrance.health import Report
from greenroom.entrance.metrics_endpoint import Monitoring
from greenroom.entrance.sockets import Listening
from greenroom.server.processes import link as module
from greenroom.server.processes import messages
from greenroom.server.processes.link import Link
from greenroom.server.processes.messages import (
    Accept,
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
    Stop,
    Subject,
    Taken,
    Told,
)
from greenroom.server.processes.pipe import Pipe
from greenroom.server.processes.together import Together
from greenroom.settings.values import SettingsRefused
from greenroom.telemetry.metrics import Metrics


class Far:
    """The supervisor's end of the pipe."""

    def __init__(self, connection: socket.socket) -> None:
        self.heard: asyncio.Queue[Said] = asyncio.Queue()
        self.pipe = Pipe(connection, self._receive, lambda: None)

    def _receive(self, data: bytes) -> None:
        self.heard.put_nowait(messages.said(data))

    def tell(self, message: Told) -> None:
        self.pipe.send(messages.encode(message))

    async def hear(self) -> Said:
        async with asyncio.timeout(10):
            return await self.heard.get()


@pytest.fixture
async def both() -> AsyncIterator[tuple[Link, Far]]:
    """Give the second of three processes, and the supervisor."""
    here, there = socket.socketpair()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    link, far = Link(2, there, Listening(sockets), frozenset({1})), Far(here)
    link.open()
    far.pipe.start()
    yield link, far
    link.listening.close()
    far.pipe.close()
    link._pipe.close()


def together(link: Link, metrics: Metrics, health: Any = None) -> Together:
    """Return what answers for all, with one figure that is 7 in this process."""
    metrics.rooms.read = lambda: 7
    monitoring = Monitoring(metrics, None, local=True)
    return Together(link, health or mock.Mock(), monitoring, metrics)


async def test_figures_of_all(both: tuple[Link, Far]) -> None:
    """Each is there once, with a number for each process; who serves, and how often it began."""
    link, far = both
    third = Link(3, socket.socket(), Listening([]), frozenset())
    other = together(third, Metrics())
    given = Answers(1, {3: await other._own_figures()}, {1: "ended", 3: "serving"}, {1: 4, 3: 0})
    asking = asyncio.create_task(together(link, Metrics()).figures())
    assert await far.hear() == Ask(1, Subject.FIGURES)
    far.tell(given)
    text = generate_latest(await asking).decode()
    samples = {
        (sample.name, sample.labels["process"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert text.count("# TYPE greenroom_rooms gauge") == 1
    assert [samples["greenroom_rooms", each] for each in "23"] == [7, 7]
    assert [samples["greenroom_process_up", each] for each in "123"] == [0, 1, 1]
    assert [samples["greenroom_process_restarts_total", each] for each in "13"] == [4, 0]
    third._pipe.close()


async def test_reports_of_all(both: tuple[Link, Far]) -> None:
    """Those that answered have a report, the others a word; so it answers the others, too."""
    link, far = both
    health = mock.Mock(report=mock.AsyncMock(return_value=Report({"memory": "too much"})))
    asked = together(link, Metrics(), health)
    far.tell(Question(5, Subject.HEALTH))
    answer = await far.hear()
    assert isinstance(answer, Answer)
    assert answer.number == 5
    asking = asyncio.create_task(asked.reports())
    assert await far.hear() == Ask(1, Subject.HEALTH)
    far.tell(Answers(1, {3: answer.body}, {1: "silent", 3: "serving"}, {}))
    assert await asking == {"1": "silent", "3": Report({"memory": "too much"})}
    assert health.others == ("2", asked.reports)


async def test_a_supervisor_that_does_not_answer(
    both: tuple[Link, Far], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process answers for itself; an answer that comes too late is nobody's."""
    link, far = both
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    text = generate_latest(await together(link, Metrics()).figures()).decode()
    assert 'greenroom_rooms{process="2"} 7.0' in text
    far.tell(Answers(1, {}, {}, {}))
    far.tell(Question(1, Subject.FIGURES))
    assert [type(await far.hear()) for _ in range(2)] == [Ask, Answer]


async def test_figures_that_nobody_may_read(both: tuple[Link, Far]) -> None:
    """Without /metrics there are none to ask for."""
    link, _ = both
    asked = Together(link, mock.Mock(), None, Metrics())
    assert link.answers.keys() == {Subject.HEALTH}
    assert asked._own(Answers(0, {}, {}, {})) == []


# ------------------------------------------------------------------------------- a takeover


async def test_it_begins_when_the_service_before_has_let_go(both: tuple[Link, Far]) -> None:
    """It says that it is prepared, and waits."""
    link, far = both
    releasing = asyncio.create_task(link.release())
    assert await far.hear() == Prepared()
    assert not releasing.done()
    far.tell(Begin())
    await releasing
    assert link.names_successor


async def test_it_lets_go(both: tuple[Link, Far]) -> None:
    """When it is asked to; it says when it has, and hears whether it is to serve again."""
    link, far = both
    wanted = asyncio.Event()
    link.wanted = wanted.set
    for taken in (False, True):
        far.tell(LetGo())
        async with asyncio.timeout(10):
            await wanted.wait()
        assert link.successor is not None
        waiting = asyncio.create_task(link.successor.serves())
        assert await far.hear() == Released()
        far.tell(Taken(taken))
        assert await waiting is taken
        assert not link.is_withdrawn
        link.close()
        wanted.clear()
    link.withdraw("it was told to stop")
    assert link.is_withdrawn


@pytest.mark.parametrize("gone", [False, True])
async def test_it_stops(
    both: tuple[Link, Far], gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the signal: when it is told to, and when the supervisor is gone."""
    link, far = both
    stopped = asyncio.Event()
    kill = mock.Mock(side_effect=lambda *_: stopped.set())
    monkeypatch.setattr(os, "kill", kill)
    if gone:
        far.pipe.close()
    else:
        far.tell(Stop())
    async with asyncio.timeout(10):
        await stopped.wait()
    kill.assert_called_once_with(os.getpid(), signal.SIGTERM)
    assert not link.is_withdrawn


async def test_it_says_why_it_cannot_begin(both: tuple[Link, Far]) -> None:
    """By the name of the error, which has an exit code, and its line."""
    link, far = both
    link.refuse(SettingsRefused("no"))
    assert await far.hear() == Refused("SettingsRefused", "no")


# ------------------------------------------------------------------------------- sockets


async def test_it_accepts_from_sockets_of_dead_processes(both: tuple[Link, Far]) -> None:
    """From its own always; from others as long as it is told to. It holds them all meanwhile."""
    link, far = both
    assert [each.getsockname() for each in link.listening.sockets] == [
        link._sockets[1].getsockname()
    ]
    accepted: list[int] = []
    ended: list[int] = []

    async def accept_from(listening: socket.socket) -> Any:
        port = listening.getsockname()[1]
        accepted.append(port)
        listening.close()
        return lambda: ended.append(port)

    link.accept_from = accept_from
    ports = [each.getsockname()[1] for each in link._sockets]
    far.tell(Accept([1, 2]))
    far.tell(Accept([0, 1]))
    far.tell(Accept([0, 1]))
    far.tell(Question(1, Subject.HEALTH))
    link.answers[Subject.HEALTH] = mock.AsyncMock(return_value=b"")
    await far.hear()
    async with link._turn:
        assert accepted == [ports[2], ports[0]]
        assert ended == [ports[2]]
    link.listening.close()
    assert [each.fileno() for each in link._sockets] == [-1, -1, -1]
