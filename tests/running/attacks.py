"""Send hostile bytes to the real process, and check what comes back.

Whatever comes, no answer is a 5xx, each names the fault in JSON, the log holds no crash, and two
well-behaved neighbours go on exchanging messages.
"""

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from greenroom.protocol.errors import DESCRIPTIONS, CloseCode
from tests.running.service import Service, running
from tests.running.wire import (
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Answer,
    Api,
    Frame,
    Peer,
    WebSocket,
    api_of,
    client_frame,
)

FAULTS = ("crashed", "Traceback", "Fatal error", "request failed", '"level": "error"')
"""What the log must not hold."""


class Target(msgspec.Struct, frozen=True):
    """A service that is attacked, a client of its API, and the two that must not notice."""

    service: Service
    api: Api
    neighbours: "Neighbours"

    def assert_unmoved(self) -> None:
        """Check that process, log and neighbours are as before."""
        self.neighbours.wait_for(2)
        assert self.service.process.poll() is None
        with Peer(self.service) as probe:
            probe.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert probe.read_answer().status == 200
        log = self.service.log.read_text()
        for fault in FAULTS:
            assert fault not in log


@contextlib.contextmanager
def attacked(directory: Path, **variables: str) -> Iterator[Target]:
    """Run a service without rates, with two clients that talk to each other."""
    with (
        running(
            directory / "data",
            GREENROOM_CLOSE_TIMEOUT_SECONDS="1",
            GREENROOM_QUOTAS="messaging_requests_per_connection=0,logging_configurations=0",
            **variables,
        ) as service,
        api_of(service) as api,
        Neighbours(service, api) as neighbours,
    ):
        yield Target(service, api, neighbours)


class Neighbours:
    """Two clients that talk to each other, in a thread, as long as the tests run."""

    def __init__(self, service: Service, api: Api) -> None:
        room = api.room(maximumMessageRatePerSecond=100)
        self.clients = [WebSocket.connect(service, api.token(room, user)) for user in ("a", "b")]
        self.stopping = threading.Event()
        self.exchanged = 0
        self.progress = threading.Condition()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._talk)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        for client in self.clients:
            client.socket.close()

    def wait_for(self, exchanges: int) -> None:
        """Wait until they have exchanged so many messages more."""
        with self.progress:
            goal = self.exchanged + exchanges
            self.progress.wait_for(lambda: self.exchanged >= goal or self.failure, PATIENCE)
            assert self.failure is None, self.failure
            assert self.exchanged >= goal, "the neighbours cannot talk"

    def _talk(self) -> None:
        try:
            for number in itertools.count():
                if self.stopping.wait(0.012):
                    return
                self.clients[number % 2].say(Action="SEND_MESSAGE", Content=str(number))
                for client in self.clients:
                    assert client.read_json()["Content"] == str(number)
                with self.progress:
                    self.exchanged += 1
                    self.progress.notify_all()
        except BaseException as error:  # noqa: BLE001 - shown by the test that runs
            self.failure = error
            with self.progress:
                self.progress.notify_all()


def assert_named(answer: Answer) -> None:
    """Check that an answer is a success, or JSON that names the client's fault."""
    assert answer.status < 500, answer
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-amzn-errortype"]
        if answer.body:  # there is none after HEAD
            assert answer.json.get("message") or answer.json["ErrorMessage"], answer


def answers_to(service: Service, api: Api, data: bytes) -> list[Answer]:
    """Send bytes; return the answers that they brought about, all of them checked."""
    with Peer(service) as peer:
        peer.send(data)
        # Answered after what was sent before it was read, and stored if need be.
        api.call("ListRooms", maxResults=1)
        peer.end()
        peer.buffer = peer.read_all()
        answers: list[Answer] = []
        while peer.buffer and (not answers or answers[-1].status != 101):
            _, _, rest = peer.buffer.partition(b"\r\n\r\n")
            answers.append(peer.read_answer("HEAD" if rest[:5] in {b"", b"HTTP/"} else "GET"))
            assert_named(answers[-1])
    return answers


def answer_to(service: Service, data: bytes) -> Answer:
    """Send one request; return its answer, checked."""
    with Peer(service) as peer:
        peer.send(data)
        answer = peer.read_answer("HEAD" if data.startswith(b"HEAD") else "GET")
    assert_named(answer)
    return answer


def assert_sound(frame: Frame) -> None:
    """Check that a frame of the service is one that a client can make sense of."""
    if frame.first == TEXT:
        members = json.loads(frame.payload)
        assert members["Type"] in {"MESSAGE", "EVENT", "ERROR"}
        if members["Type"] == "ERROR":
            assert members["ErrorCode"] in DESCRIPTIONS
            assert members["ErrorCode"] < 500
            assert members["ErrorMessage"]
    elif frame.first == CLOSE:
        assert frame.close_code in {*CloseCode, *range(3000, 5000), 1001, *range(1007, 1015)}
        assert frame.close_code != CloseCode.INTERNAL_ERROR
    else:
        assert frame.first in {PING, PONG}


def frames_after(service: Service, api: Api, room: str, data: bytes) -> list[Frame]:
    """Send bytes on an admitted connection; return the frames that came back, checked."""
    with WebSocket.connect(service, api.token(room)) as client:
        client.send(data)
        api.call("ListRooms", maxResults=1)
        client.end()
        frames = client.read_frames()
        assert client.buffer == b""
    for frame in frames:
        assert_sound(frame)
    assert CLOSE not in [frame.first for frame in frames[:-1]], "something after the close frame"
    return frames


def said(speaker: WebSocket, payload: bytes) -> Any:
    """Send one text; return the frame that answers it. The connection must go on."""
    speaker.send(client_frame(payload))
    while (frame := speaker.read_frame()).first != TEXT:
        assert frame.first == PING, frame
    assert_sound(frame)
    return json.loads(frame.payload)
