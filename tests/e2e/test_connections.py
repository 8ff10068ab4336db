"""Connections of every temper: slow, silent, kicked, half a handshake, thousands at once."""

import itertools
import json
import resource
import select
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Measured
from tests.running.said import ends, until
from tests.running.service import Service, running
from tests.running.wire import (
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Answer,
    Api,
    Closed,
    Peer,
    WebSocket,
    api_of,
    client_frame,
    token_line,
    upgrade_bytes,
)

UNTHROTTLED = {"GREENROOM_QUOTAS": "messaging_requests_per_connection=0"}
BIG = {"pad": "\x01" * 1000}
"""Attributes of 1 KB that take 6 KB as JSON."""

GONE = select.POLLHUP | select.POLLERR
"""What is left to see of a connection that was reset, without reading from it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with small bounds, but none of requests."""
    with running(
        tmp_path_factory.mktemp("connections") / "data",
        GREENROOM_OUTBOUND_QUEUE_BYTES="65536",
        GREENROOM_CLOSE_TIMEOUT_SECONDS="1",
        GREENROOM_LOG_LEVEL="debug",
        **UNTHROTTLED,
    ) as service:
        yield service
        assert "crashed" not in service.log.read_text()


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    """Return a client of the control plane."""
    with api_of(service) as api:
        yield api


@pytest.fixture
def room(api: Api) -> str:
    """Return a new room that takes 100 messages a second."""
    return api.room(maximumMessageRatePerSecond=100)


@pytest.fixture
def connect(service: Service, api: Api, room: str) -> "Iterator[Callable[..., WebSocket]]":
    """Return a function that connects a user to the room until the end of the test."""
    with ExitStack() as stack:

        def connect_user(user: str, receive_buffer: int | None = None) -> WebSocket:
            token = api.token(room, user)
            return stack.enter_context(WebSocket.connect(service, token, receive_buffer))

        yield connect_user


Connect = Callable[..., WebSocket]


def send_until(api: Api, room: str, done: Callable[[], object]) -> list[str]:
    """Send big events to the room until something has happened; return their names."""
    names: list[str] = []
    while not done():
        assert len(names) < 10_000, "it never happened"
        names.append(f"event-{len(names)}")
        api.call("SendEvent", roomIdentifier=room, eventName=names[-1], attributes=BIG)
    return names


def gone(client: WebSocket, seconds: float = 0) -> bool:
    """Return whether the connection was reset, waiting so long for it."""
    poll = select.poll()
    poll.register(client.socket, 0)
    return any(event & GONE for _, event in poll.poll(seconds * 1000))


def names_until(client: WebSocket, last: str) -> list[str]:
    """Return the names of the events up to and with the last one."""
    names: list[str] = []
    while not names or names[-1] != last:
        names.append(client.read_json()["EventName"])
    return names


# -------------------------------------------------------------------------------- slow and silent


def test_slow_reader_is_dropped(service: Service, api: Api, room: str, connect: Connect) -> None:
    """A reader that stops reading is dropped by name; its neighbour misses nothing."""
    slow, healthy = connect("slow", 4096), connect("healthy")
    before = ends(service)
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(names_until, healthy, "last")
        sent = send_until(api, room, lambda: gone(slow))
        api.call("SendEvent", roomIdentifier=room, eventName="last")
        assert received.result() == [*sent, "last"]
    assert ends(service) - before == {"slow_reader": 1}


def test_slow_reader_that_closes_is_cut(tmp_path: Path) -> None:
    """A peer that closes but never reads what waits for it is not waited for for ever."""
    with (
        running(
            tmp_path / "data",
            GREENROOM_OUTBOUND_QUEUE_BYTES=str(1 << 30),
            GREENROOM_CLOSE_TIMEOUT_SECONDS="1",
            **UNTHROTTLED,
        ) as service,
        api_of(service) as api,
    ):
        room = api.room()
        with WebSocket.connect(service, api.token(room), receive_buffer=4096) as client:
            # More than the system's own buffers take.
            count = itertools.count()
            send_until(api, room, lambda: next(count) * 5500 > 12_000_000)
            client.send(client_frame((1000).to_bytes(2, "big"), CLOSE))
            assert gone(client, PATIENCE)


def answer_pings(client: WebSocket, answer: bytes) -> list[int]:
    """Answer every ping with the bytes until an event comes; return the frames' first bytes."""
    firsts: list[int] = []
    while TEXT not in firsts:
        firsts.append(client.read_frame().first)
        if firsts[-1] == PING:
            client.send(answer)
    return firsts


def test_silent_peer_is_dropped(tmp_path: Path) -> None:
    """Who leaves pings unanswered is dropped by name; who answers, or only talks, stays."""
    with (
        running(tmp_path / "data", GREENROOM_PING_INTERVAL_SECONDS="1") as service,
        api_of(service) as api,
        ThreadPoolExecutor(2) as pool,
        ExitStack() as stack,
    ):
        room = api.room()
        silent, answering, talking = (
            stack.enter_context(WebSocket.connect(service, api.token(room, user)))
            for user in ("silent", "answering", "talking")
        )
        others = [
            pool.submit(answer_pings, answering, client_frame(b"", PONG)),
            pool.submit(answer_pings, talking, client_frame(b"", PING)),
        ]
        pings = [frame.first for frame in silent.read_frames()]
        assert len(pings) >= 2
        assert set(pings) == {PING}
        api.call("SendEvent", roomIdentifier=room, eventName="still-here")
        for other in others:
            assert other.result().count(PING) >= len(pings)
        assert ends(service) == {"silent_peer": 1}


# ------------------------------------------------------------------------------------ handshakes


def test_handshake_takes_too_long(tmp_path: Path) -> None:
    """A client that is slow with its request is cut, however it delays, and told why."""
    with running(tmp_path / "data", GREENROOM_HANDSHAKE_TIMEOUT_SECONDS="1") as service:
        upgrade = upgrade_bytes(token_line("a.b"))
        half = upgrade[: len(upgrade) // 2]
        with ExitStack() as stack:
            nothing, half_request, dripping = (stack.enter_context(Peer(service)) for _ in range(3))
            half_request.send(half)
            answered = select.poll()
            answered.register(dripping.socket, select.POLLIN)
            for byte in itertools.chain(b"GET / HTTP/1.1\r\nx: ", itertools.repeat(ord("x"), 400)):
                dripping.send(bytes((byte,)))
                if answered.poll(50):
                    break
            for peer in (nothing, half_request, dripping):
                assert_refused(peer.read_answer(), 408, "took too long")
                assert peer.read_all() == b""


def assert_refused(answer: Answer, status: int, says: str) -> None:
    """Check that a connection was refused in JSON that says why."""
    assert answer.status == status, answer
    text = answer.json.get("ErrorMessage") or answer.json["message"]
    assert says in text


def test_one_token_opens_one_connection(service: Service, api: Api, room: str) -> None:
    """Of 200 simultaneous uses of a token exactly one is let in."""
    token = api.token(room)
    with ExitStack() as stack:
        peers = [stack.enter_context(WebSocket(service)) for _ in range(200)]
        for peer in peers:
            peer.send(upgrade_bytes(token_line(token)))
        answers = [peer.read_answer() for peer in peers]
        assert Counter(answer.status for answer in answers) == {101: 1, 409: 199}
        (winner,) = (
            peer for peer, answer in zip(peers, answers, strict=True) if answer.status == 101
        )
        api.call("SendEvent", roomIdentifier=room, eventName="you")
        assert winner.read_json()["EventName"] == "you"


def leave(client: WebSocket) -> None:
    """Close a connection as a browser does, and see it end."""
    client.send(client_frame(b"", CLOSE))
    assert client.read_frames()[-1].first == CLOSE


def test_connections_quota(tmp_path: Path) -> None:
    """Beyond the quota a connection is refused with 429, and its token is good when one leaves."""
    with (
        running(tmp_path / "data", GREENROOM_QUOTAS="connections=5") as service,
        api_of(service) as api,
        ExitStack() as stack,
    ):
        room = api.room()
        tokens = [api.token(room, f"user-{number}") for number in range(20)]
        peers = [stack.enter_context(WebSocket(service)) for _ in tokens]
        for peer, token in zip(peers, tokens, strict=True):
            peer.send(upgrade_bytes(token_line(token)))
        statuses = [peer.read_answer().status for peer in peers]
        assert Counter(statuses) == {101: 5, 429: 15}
        refused = [token for token, status in zip(tokens, statuses, strict=True) if status == 429]
        leave(peers[statuses.index(101)])
        with WebSocket.connect(service, refused[0]) as late, WebSocket(service) as sixth:
            api.call("SendEvent", roomIdentifier=room, eventName="welcome")
            assert late.read_json()["EventName"] == "welcome"
            assert_refused(sixth.upgrade(refused[1]), 429, "too many connections")
            leave(late)
        # A refusal for another reason takes no place.
        for _ in range(5):
            with WebSocket(service) as again:
                assert again.upgrade(refused[0]).status == 409
        with WebSocket.connect(service, refused[1]):
            pass


def test_open_connection_misses_nothing(
    service: Service, api: Api, room: str, connect: Connect
) -> None:
    """Once a client has seen the 101, whatever is sent to the room reaches it."""
    for number in range(30):
        client = connect("user")
        api.call("SendEvent", roomIdentifier=room, eventName=f"event-{number}")
        assert client.read_json()["EventName"] == f"event-{number}"


def open_descriptors(service: Service) -> int:
    """Return how many files and sockets the process has open."""
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


def test_vanished_clients_leave_nothing(tmp_path: Path) -> None:
    """Clients that reset their connection during or after the handshake are forgotten."""
    with running(tmp_path / "data", **UNTHROTTLED) as service, api_of(service) as api:
        room = api.room()
        before = open_descriptors(service)
        for number in range(200):
            peer = WebSocket(service)
            peer.send(upgrade_bytes(token_line(api.token(room))))
            if number % 2:
                assert peer.read_answer().status == 101
            peer.vanish()
        with api_of(service) as later, WebSocket.connect(service, api.token(room)) as last:
            later.call("SendEvent", roomIdentifier=room, eventName="one")
            assert last.read_json()["EventName"] == "one"
            until(lambda: open_descriptors(service) == before + 2, "no descriptor leaks")
            assert service.stop() == 0
        (stopping,) = (line for line in service.log.read_text().splitlines() if "stopping" in line)
        assert json.loads(stopping)["connections"] == 1
        assert "crashed" not in service.log.read_text()


# -------------------------------------------------------------------------------------- the room


def test_everybody_receives_everything_in_one_order(connect: Connect) -> None:
    """Four senders at once: each of 20 connections sees every message once, all in one order."""
    senders = [connect(f"sender-{number}") for number in range(4)]
    clients = [*senders, *(connect(f"reader-{number}") for number in range(16))]

    def send(sender: WebSocket) -> None:
        for number in range(20):
            sender.say(Action="SEND_MESSAGE", Content=str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, senders))
    seen = [[client.read_json() for _ in range(80)] for client in clients]
    assert all(each == seen[0] for each in seen)
    assert len({message["Id"] for message in seen[0]}) == 80
    assert [m["SendTime"] for m in seen[0]] == sorted(m["SendTime"] for m in seen[0])
    for number in range(4):
        contents = [m["Content"] for m in seen[0] if m["Sender"]["UserId"] == f"sender-{number}"]
        assert contents == [str(each) for each in range(20)]


def read_to_close(client: WebSocket) -> list[Any]:
    """Return the JSON frames before a close frame, which is answered and returned last."""
    frames: list[Any] = []
    while (frame := client.read_frame()).first == TEXT:
        frames.append(json.loads(frame.payload))
    client.send(client_frame(frame.payload, CLOSE))
    assert client.read_all() == b""
    return [*frames, (frame.close_code, frame.close_reason)]


def test_kick_races_with_sends(service: Service, api: Api, room: str, connect: Connect) -> None:
    """A kick closes all connections of the user; nobody hears from the user after its event."""
    kicked, watching = [connect("kicked") for _ in range(3)], connect("watching")
    stop = threading.Event()

    def talk(client: WebSocket) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            client.say(Action="SEND_MESSAGE", Content=f"{number}")

    with ThreadPoolExecutor(6) as pool:
        talking = [pool.submit(talk, client) for client in kicked]
        reading = [pool.submit(read_to_close, client) for client in kicked]
        for _ in range(20):
            assert watching.read_json()["Type"] == "MESSAGE"
        api.call("DisconnectUser", roomIdentifier=room, userId="kicked", reason="out")
        api.call("SendEvent", roomIdentifier=room, eventName="after")
        for end in reading:
            *_, event, close = end.result()
            assert event["EventName"] == "aws:DISCONNECT_USER"
            assert close == (1000, "out")
        stop.set()
        for each in talking:
            each.result()
    types: list[str] = []
    while not types or types[-1] != "after":
        frame = watching.read_json()
        types.append(frame.get("EventName", frame["Type"]))
    assert types[-2:] == ["aws:DISCONNECT_USER", "after"]
    watching.say(Action="SEND_MESSAGE", Content="mine", RequestId="r")
    assert watching.read_json()["RequestId"] == "r"


def test_deleted_room_keeps_connections(
    service: Service, api: Api, room: str, connect: Connect
) -> None:
    """After DeleteRoom connections stay, publishing answers 404, and no token is good.

    Moderators still reach them: `test_deleted_rooms.py`.
    """
    client, token = connect("user"), api.token(room)
    api.call("DeleteRoom", identifier=room)
    for number, action in enumerate(
        (
            {"Action": "SEND_MESSAGE", "Content": "hello"},
            {"Action": "DELETE_MESSAGE", "Id": "a" * 12},
        )
    ):
        client.say(**action, RequestId=str(number))
        error = client.read_json()
        assert (error["Type"], error["ErrorCode"]) == ("ERROR", 404)
        assert error["RequestId"] == str(number)
    with WebSocket(service) as late:
        assert_refused(late.upgrade(token), 404, "room")
    assert api.request("SendEvent", roomIdentifier=room, eventName="x").status == 404


# --------------------------------------------------------------------------------------- closing


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1000), ((1000).to_bytes(2, "big") + b"bye", 1000), ((4000).to_bytes(2, "big"), 4000)],
    ids=["no code", "reason", "own code"],
)
def test_peer_closes(payload: bytes, code: int, connect: Connect) -> None:
    """A close frame is answered with its code, and the connection ends."""
    client = connect("user")
    client.send(client_frame(payload, CLOSE))
    (frame,) = client.read_frames()
    assert frame.close_code == code


def test_unanswered_close_frame(api: Api, room: str, connect: Connect) -> None:
    """A client that never answers a close frame is cut; what it still says reaches nobody."""
    kicked, watching = connect("kicked"), connect("watching")
    api.call("DisconnectUser", roomIdentifier=room, userId="kicked")
    assert kicked.read_json()["EventName"] == "aws:DISCONNECT_USER"
    assert kicked.read_frame().close_code == 1000
    kicked.say(Action="SEND_MESSAGE", Content="still here?")
    with pytest.raises(Closed):
        kicked.read_frame()
    assert watching.read_json()["EventName"] == "aws:DISCONNECT_USER"
    api.call("SendEvent", roomIdentifier=room, eventName="after")
    assert watching.read_json()["EventName"] == "after"


def test_half_closed_connection_ends(api: Api, room: str, connect: Connect) -> None:
    """A client that only says that it sends no more is let go of."""
    client = connect("user")
    client.end()
    assert client.read_frames() == []


# -------------------------------------------------------------------------------------- many


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    """Set how many files this process, and what it starts, may open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def rss(service: Service) -> int:
    """Return the bytes of memory that the process has."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def test_a_thousand_idle_connections(tmp_path: Path, measured: Measured) -> None:
    """An idle connection takes little memory, and the service itself asks for enough files."""
    with ExitStack() as stack:
        with open_files(256):
            service = stack.enter_context(running(tmp_path / "data", **UNTHROTTLED))
        stack.enter_context(open_files(4096))
        api = stack.enter_context(api_of(service))
        room = api.room()

        def connect(count: int) -> list[WebSocket]:
            return [
                stack.enter_context(WebSocket.connect(service, api.token(room, f"user-{number}")))
                for number in range(count)
            ]

        connect(100)
        before = rss(service)
        clients = connect(1000)
        each = (rss(service) - before) // len(clients)
        measured("bytes_per_idle_connection", each)
        assert each < 32 * 1024
        api.call("SendEvent", roomIdentifier=room, eventName="all")
        assert {client.read_json()["EventName"] for client in clients} == {"all"}


def test_a_slow_reader_who_comes_back(service: Service, api: Api) -> None:
    """He is given all that he missed, sixteen times what may wait for him otherwise, and stays."""
    room = api.room(tags={"greenroom:history-messages": "1000"})
    first = api.call("SendEvent", roomIdentifier=room, eventName="first")["id"]
    missed = [f"missed-{number}" for number in range(160)]
    for name in missed:
        api.call("SendEvent", roomIdentifier=room, eventName=name, attributes=BIG)
    token = api.token(room, "slow", attributes={"greenroom:since": first})
    with WebSocket.connect(service, token, 4096) as slow:
        live = [f"live-{number}" for number in range(5)]
        for name in live:
            api.call("SendEvent", roomIdentifier=room, eventName=name, attributes=BIG)
        assert not gone(slow)
        assert names_until(slow, live[-1]) == [*missed, *live]
