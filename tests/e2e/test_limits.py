"""Every limit of the edge, on the real process: what happens at it, and that others go on.

The sizes of heads, bodies, frames and messages are in `test_hostile.py`; the handshake deadline,
queues, pings and the quota of an account in `test_connections.py`.
"""

import contextlib
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.running.said import assert_no_faults, entries
from tests.running.service import Service, running
from tests.running.wire import (
    PATIENCE,
    Answer,
    Api,
    Closed,
    Peer,
    WebSocket,
    api_of,
    http_bytes,
    token_line,
    upgrade_bytes,
)

HEALTH = http_bytes("GET", "/health", {"host": "h"})


def own_address() -> str | None:
    """Return an address of this machine that is not its loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel only looks for a way.
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
        return None if address.startswith("127.") else address


@contextmanager
def limited(directory: Path, host: str = "127.0.0.1", **limits: int | str) -> Iterator[Service]:
    """Run a service with limits; nothing may crash, and the end is clean."""
    variables = {f"GREENROOM_{name.upper()}": str(value) for name, value in limits.items()}
    variables |= {"GREENROOM_LOG_FORMAT": "json"}
    with running(directory / "data", "--host", host, **variables) as service:
        yield service
        assert service.stop() == 0
        assert_no_faults(service)


@pytest.fixture(params=["plain", "tls"])
def outside(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return an address whose connections are counted, and whether there is TLS."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has only its loopback address")
    return address, "on" if request.param == "tls" else "off"


def is_closed(peer: Peer) -> bool:
    """Return whether the service closed the connection without a word."""
    try:
        return peer.socket.recv(1) == b""
    except ConnectionError:
        return True


def is_open(peer: Peer) -> bool:
    """Return whether nothing came, and no end, in a moment."""
    peer.socket.settimeout(0.2)
    try:
        return peer.socket.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        peer.socket.settimeout(PATIENCE)


def limits_met(service: Service) -> Counter[str]:
    """Return the bounds that the log names."""
    return Counter(entry["limit"] for entry in entries(service, "connection limit met"))


def upgraded(service: Service, token: str, stack: ExitStack) -> Answer:
    """Ask for an upgrade on a connection that stays open; return the answer."""
    return stack.enter_context(WebSocket(service)).upgrade(token)


def error(answer: Answer) -> str:
    """Return what a refused client is told."""
    return str(answer.json["ErrorMessage"])


def test_connections_of_an_address(tmp_path: Path, outside: tuple[str, str]) -> None:
    """Beyond the limit a connection is closed before a byte is read; when one ends, one may come.

    Connections from the loopback address go on.
    """
    host, tls = outside
    with limited(tmp_path, host, dev_tls=tls, connections_per_address=3) as service:
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(service)) for _ in range(5)]
            assert [is_open(each) for each in peers] == [True] * 3 + [False] * 2
            peers[0].socket.close()
            deadline = time.monotonic() + PATIENCE
            while True:
                with Peer(service) as again:
                    if is_open(again):
                        break
                assert time.monotonic() < deadline
        assert limits_met(service)["connections_per_address"]


def test_new_connections_of_an_address(tmp_path: Path, outside: tuple[str, str]) -> None:
    """Who comes too often within a second is closed; the next second is another one."""
    host, tls = outside
    limit = {"new_connections_per_second_per_address": 5}
    with limited(tmp_path, host, dev_tls=tls, **limit) as service, ExitStack() as stack:
        peers = [stack.enter_context(Peer(service)) for _ in range(30)]
        states = [is_open(each) for each in peers]
        assert 5 <= sum(states) < 30
        time.sleep(1)
        assert is_open(stack.enter_context(Peer(service)))
        assert limits_met(service)["new_connections_per_second_per_address"]


def test_unfinished_connections_of_an_address(tmp_path: Path, outside: tuple[str, str]) -> None:
    """Half-open handshakes of one address are bounded; who finishes a request makes place."""
    host, tls = outside
    limit = {"unfinished_connections_per_address": 4}
    with limited(tmp_path, host, dev_tls=tls, **limit) as service, ExitStack() as stack:
        peers = [stack.enter_context(Peer(service)) for _ in range(6)]
        assert [is_open(each) for each in peers] == [True] * 4 + [False] * 2
        if tls == "off":
            peers[0].send(HEALTH)
            assert peers[0].read_answer().status == 200
            assert is_open(stack.enter_context(Peer(service)))
        assert limits_met(service)["unfinished_connections_per_address"]


@pytest.mark.parametrize("tls", ["off", "on"])
def test_unfinished_connections_of_the_node(tmp_path: Path, tls: str) -> None:
    """Of too many half-open handshakes the oldest ends; who comes is served, and others stay."""
    with limited(tmp_path, dev_tls=tls, unfinished_connections=20) as service, ExitStack() as stack:
        peers = [stack.enter_context(Peer(service)) for _ in range(60)]
        assert all(is_closed(each) for each in peers[:40])
        assert all(is_open(each) for each in (peers[45], peers[59]))
        if tls == "off":
            room, api = "", stack.enter_context(api_of(service))
            room = api.room()
            assert upgraded(service, api.token(room), stack).status == 101
        assert limits_met(service)["unfinished_connections"]


def test_new_connections_of_the_node_wait(tmp_path: Path) -> None:
    """Beyond the rate connections wait for their turn, and each is served."""
    with limited(tmp_path, new_connections_per_second=5) as service:
        begun = time.monotonic()
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(service)) for _ in range(15)]
            for each in peers:
                each.send(HEALTH)
            assert [each.read_answer().status for each in peers] == [200] * 15
        # A second's worth at once, the other 10 at 5 a second.
        assert time.monotonic() - begun > 1
        assert limits_met(service)["new_connections_per_second"]


def test_a_flood_that_is_over_holds_nobody_up(tmp_path: Path) -> None:
    """Who comes after many more than the rate allows is served, not queued behind their turns."""
    with limited(tmp_path, new_connections_per_second=20, handshake_timeout_seconds=2) as service:
        for _ in range(400):  # twenty seconds' worth
            Peer(service).socket.close()
        begun = time.monotonic()
        status = 0
        while status != 200:
            assert time.monotonic() - begun < PATIENCE / 2
            with contextlib.suppress(OSError, Closed), Peer(service) as peer:
                peer.send(HEALTH)
                status = peer.read_answer().status
        assert limits_met(service)["new_connections_per_second"]


def test_bodies_that_are_read_at_once(tmp_path: Path) -> None:
    """Strangers fill no memory with bodies that do not end; requests of usual size go on."""
    head = b"POST /CreateRoom HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
    with limited(tmp_path, request_bodies_bytes=1_048_576) as service, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Peer(service)).send(head + bytes(999_999))
        with api_of(service) as api:
            api.room()
            answer = api.request("CreateRoom", name="x" * 900_000)
            assert answer.status == 503
            assert "request failed" not in service.log.read_text()


def test_the_memory_that_an_attacker_took(tmp_path: Path) -> None:
    """Eight connections, a quarter of a megabyte each: when they have gone, viewers come in."""
    with limited(tmp_path, memory_bytes=200_000_000) as service, ExitStack() as stack:
        api = stack.enter_context(api_of(service))
        token = api.token(api.room())
        with ExitStack() as attack:
            requests = b"GET / HTTP/1.1\r\nHost:\r\n\r\n" * 10_000
            for _ in range(8):
                attack.enter_context(Peer(service)).send(requests)
            time.sleep(1.5)  # The memory is looked at once a second.
        time.sleep(1.5)
        assert upgraded(service, token, stack).status == 101
        assert entries(service, "memory pressure: new connections are refused") == []


@pytest.fixture
def api(few: Service) -> Iterator[Api]:
    """Return a client of the service with few places."""
    with api_of(few) as api:
        yield api


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with few places."""
    with limited(
        tmp_path_factory.mktemp("few"),
        connections_per_node=8,
        connections_per_room=4,
        connections_per_user=2,
    ) as service:
        yield service


def test_connections_of_a_user(few: Service, api: Api) -> None:
    """A user has so many places in a room, and as many in the next; the token stays good."""
    with ExitStack() as stack:
        room, other = api.room(), api.room()
        for _ in range(2):
            assert upgraded(few, api.token(room, "ann"), stack).status == 101
        refused, token = upgraded(few, late := api.token(room, "ann"), stack), late
        assert (refused.status, error(refused)) == (
            429,
            "There are too many connections of this user",
        )
        assert upgraded(few, api.token(room, "bob"), stack).status == 101
        assert upgraded(few, api.token(other, "ann"), stack).status == 101
        api.call("DisconnectUser", roomIdentifier=room, userId="ann")
        assert upgraded(few, token, stack).status == 101


def test_connections_in_a_room(few: Service, api: Api) -> None:
    """A full room refuses the next viewer; other rooms have place."""
    with ExitStack() as stack:
        room = api.room()
        for number in range(4):
            assert upgraded(few, api.token(room, f"{number}"), stack).status == 101
        refused = upgraded(few, api.token(room, "one more"), stack)
        assert (refused.status, error(refused)) == (
            429,
            "There are too many connections in the room",
        )
        assert upgraded(few, api.token(api.room()), stack).status == 101


def test_connections_of_the_node(few: Service, api: Api) -> None:
    """A full node refuses WebSockets with 503, and serves the API as ever."""
    with ExitStack() as stack:
        for room in (api.room(), api.room()):
            for number in range(4):
                assert upgraded(few, api.token(room, f"{number}"), stack).status == 101
        room = api.room()
        refused = upgraded(few, api.token(room), stack)
        assert refused.status == 503
        assert error(refused) == "The service has too many connections"


def test_header_count(tmp_path: Path) -> None:
    """CVE-2024-37890: requests and upgrades with more headers than the limit are refused."""
    with limited(tmp_path, header_count=20) as service:
        for count, status in ((19, 200), (2000, 431)):
            with Peer(service) as peer:
                headers = {"host": "h"} | {f"x-{number}": "y" for number in range(count)}
                peer.send(http_bytes("GET", "/health", headers))
                assert peer.read_answer().status == status
        lines = [b"x-%d: y" % number for number in range(2000)]
        with Peer(service) as peer:
            peer.send(upgrade_bytes(*lines))
            assert peer.read_answer().status == 431


@pytest.mark.parametrize(
    ("origin", "status"),
    [(b"https://example.com", 101), (b"https://example.com.evil.com", 403), (b"null", 403)],
)
@pytest.mark.parametrize("in_two", [False, True])
def test_origins(origins: Service, origin: bytes, status: int, in_two: bool) -> None:
    """CVE-2022-42975: both ways to an upgrade compare the whole origin; no token is used up."""
    with api_of(origins) as api, Peer(origins) as peer:
        token = api.token(api.room())
        request = upgrade_bytes(token_line(token), b"Origin: " + origin)
        if in_two:
            # What does not come at once takes the other way.
            peer.send(request[:20])
            time.sleep(0.05)
            peer.send(request[20:])
        else:
            peer.send(request)
        assert peer.read_answer().status == status
        if status == 403:
            with Peer(origins) as again:
                again.send(upgrade_bytes(token_line(token)))
                assert again.read_answer().status == 101


def test_the_origin_is_checked_before_the_token(origins: Service) -> None:
    """A page that may not connect does not learn whether its token is good."""
    for token in ("rubbish", secrets.token_urlsafe()):
        with Peer(origins) as peer:
            peer.send(upgrade_bytes(token_line(token), b"Origin: https://evil.com"))
            answer = peer.read_answer()
            assert (answer.status, error(answer)) == (403, "The page's origin may not connect")


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that pages of one origin may use."""
    allowed = "https://example.com, http://localhost:3000"
    with limited(tmp_path_factory.mktemp("origins"), allowed_origins=allowed) as service:
        yield service


BEGUN = {"http": b"GET / HTTP/1.1\r\nHost", "https": b"\x16\x03\x01\x02\x00\x01"}
"""The beginning of an upgrade's head, and of a handshake of TLS."""


def half_open(service: Service) -> socket.socket:
    """Return a connection that has begun what the service waits for, and goes on with nothing."""
    url = urlsplit(service.api_url)
    half = socket.create_connection((url.hostname, url.port), PATIENCE)
    with contextlib.suppress(OSError):  # it may be closed by now: there are too many
        half.sendall(BEGUN[url.scheme])
    return half


def test_ten_thousand_half_open_handshakes(tmp_path: Path) -> None:
    """While connections come that never say anything, viewers come in and the API answers."""
    with limited(tmp_path, unfinished_connections=300) as service, ExitStack() as stack:
        api = stack.enter_context(api_of(service))
        room = api.room()
        for number in range(10_000):
            half = half_open(service)
            if number % 500 == 0:
                assert upgraded(service, api.token(room), stack).status == 101
            if number % 2 or number < 9_000:
                half.close()
            else:
                stack.callback(half.close)
        api.call("SendEvent", roomIdentifier=room, eventName="still here")
        try:
            stack.enter_context(WebSocket(service)).upgrade("x")
        except Closed:
            pytest.fail("a new connection was closed")
