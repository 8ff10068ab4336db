"""Behind a proxy: whose connections are counted as whose, on the real process.

The tests are the proxy, on the loopback address. That an address was believed shows in its limit.
"""

import contextlib
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.running.said import samples, until
from tests.running.service import Service, running
from tests.running.wire import (
    PATIENCE,
    Answer,
    Api,
    Closed,
    Peer,
    api_of,
    http_bytes,
    signed_bytes,
    token_line,
    upgrade_bytes,
)

ANN, BOB = "192.0.2.1", "2001:db8::2"
HEALTH = http_bytes("GET", "/health", {"host": "h"})


@pytest.fixture(scope="module", params=["x-forwarded-for", "forwarded"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service that believes this machine, and lets each client in once."""
    variables = {
        "GREENROOM_TRUSTED_PROXIES": "127.0.0.0/8, 10.0.0.0/8",
        "GREENROOM_FORWARDED_HEADER": request.param,
        "GREENROOM_CONNECTIONS_PER_ADDRESS": "1",
    }
    with running(tmp_path_factory.mktemp("proxies") / "data", **variables) as service:
        service.ready["header"] = request.param
        yield service
        assert service.stop() == 0
        assert "crashed" not in service.log.read_text()


def naming(service: Service, *hops: str) -> bytes:
    """Return the header of a proxy that was called through these hops."""
    if service.ready["header"] == "x-forwarded-for":
        return b"X-Forwarded-For: " + ", ".join(hops).encode()
    parts = [f'for="[{hop}]:80"' if ":" in hop else f"for={hop}" for hop in hops]
    return b"Forwarded: " + ", ".join(parts).encode()


def upgrade(
    service: Service, api: Api, stack: ExitStack, *lines: bytes, in_two: bool = False
) -> Answer:
    """Ask for an upgrade on a connection that stays open."""
    token = api.token(api.room())
    peer = stack.enter_context(Peer(service))
    request = upgrade_bytes(token_line(token), *lines)
    if in_two:
        peer.send(request[:20])
        time.sleep(0.05)
        request = request[20:]
    peer.send(request)
    return peer.read_answer()


@pytest.mark.parametrize("in_two", [False, True])
def test_clients_are_told_apart(service: Service, in_two: bool) -> None:
    """Each client has its own limit, on both ways to an upgrade, whatever it claims itself."""
    with api_of(service) as api, ExitStack() as stack:
        for hops in ((ANN,), (BOB,), ("203.0.113.9",)):
            header = naming(service, *hops)
            assert upgrade(service, api, stack, header, in_two=in_two).status == 101
            answer = upgrade(service, api, stack, header, in_two=in_two)
            assert (answer.status, answer.headers["x-amzn-errortype"]) == (
                429,
                "ThrottlingException",
            )
            lie = naming(service, "198.51.100.7", *hops, "10.0.0.9")
            assert upgrade(service, api, stack, lie, in_two=in_two).status == 429


def test_the_header_that_the_proxy_does_not_write_is_not_read(service: Service) -> None:
    """It is the client's: nobody gets out of its limit with it, or into another's."""
    other = b"Forwarded: for=" if b"X-" in naming(service) else b"X-Forwarded-For: "
    with api_of(service) as api, ExitStack() as stack:
        header = naming(service, "192.0.2.33")
        assert upgrade(service, api, stack, header, other + b"192.0.2.44").status == 101
        assert upgrade(service, api, stack, header, other + b"192.0.2.55").status == 429
        assert upgrade(service, api, stack, naming(service, "192.0.2.44")).status == 101


def test_a_banned_address_stays_out(tmp_path: Path) -> None:
    """Over a restart, whoever comes from there; the proxy itself, and others, are not met."""
    variables = {"GREENROOM_TRUSTED_PROXIES": "127.0.0.0/8"}
    home, away = b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 192.0.2.2"

    def status(service: Service, room: str, *lines: bytes) -> int:
        with Peer(service) as peer:
            peer.send(upgrade_bytes(token_line(service.token(room, "other")), *lines))
            return peer.read_answer().status

    with running(tmp_path / "data", **variables) as service:
        room = service.boto3().create_room()["arn"]
        with Peer(service) as bob, Peer(service) as alias:
            for peer, user in ((bob, "bob"), (alias, "alias")):
                peer.send(upgrade_bytes(token_line(service.token(room, user)), home))
                assert peer.read_answer().status == 101
            whom = {"roomIdentifier": room, "userId": "bob"}
            service.greenroom().ban_user(**whom, alsoAddresses=True)
            for peer in (bob, alias):
                assert peer.read_until(b"by a moderator")
        assert service.stop() == 0
        log = service.log.read_text()
        assert "192.0.2.1" not in (tmp_path / "data" / "greenroom.db").read_bytes().decode(
            "latin-1"
        )
        assert "crashed" not in log
    with running(tmp_path / "data", **variables) as service:
        assert status(service, room, home) == 403
        assert status(service, room, away) == 101
        assert status(service, room) == 101
        service.greenroom().lift_restriction(**whom, kind="BAN")
        assert status(service, room, home) == 101


def test_a_client_that_leaves_makes_place(service: Service) -> None:
    """Its connection was counted as its own, and is given back as its own."""
    header = naming(service, "192.0.2.66")
    with api_of(service) as api:
        for _ in range(3):
            deadline = time.monotonic() + PATIENCE
            status = 0
            while status != 101 and time.monotonic() < deadline:
                with ExitStack() as stack:
                    status = upgrade(service, api, stack, header).status
            assert status == 101


def test_nobody_is_believed_by_default(tmp_path: Path) -> None:
    """Without trusted proxies the headers are a client's words."""
    with (
        running(tmp_path / "data", GREENROOM_CONNECTIONS_PER_ADDRESS="1") as service,
        api_of(service) as api,
        ExitStack() as stack,
    ):
        for _ in range(3):
            line = b"X-Forwarded-For: " + ANN.encode()
            assert upgrade(service, api, stack, line).status == 101


def test_a_proxy_that_drops_the_upgrade(tmp_path: Path) -> None:
    """It gets its fault told, not one of credentials; the refusal is counted, the token good."""
    with running(tmp_path / "data") as service, api_of(service) as api, ExitStack() as stack:
        token = api.token(api.room())
        request = upgrade_bytes(token_line(token))
        for lost in (b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"):
            request = request.replace(lost, b"")
            for version in (b"HTTP/1.1", b"HTTP/1.0"):
                peer = stack.enter_context(Peer(service))
                peer.send(request.replace(b"HTTP/1.1", version))
                answer = peer.read_answer()
                assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
                assert (
                    lost.split(b":")[0].decode() in answer.json["ErrorMessage"].split("Missing")[1]
                )
                assert peer.read_all() == b""
        assert samples(service)["greenroom_handshake_refusals_total:upgrade"] == 4
        peer = stack.enter_context(Peer(service))
        peer.send(upgrade_bytes(token_line(token)))
        assert peer.read_answer().status == 101


# ------------------------------------------------------------------------------------ base path


@pytest.fixture(scope="module", params=["/chat", "/greenroom"])
def based(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service whose clients have a path in their endpoint."""
    path = request.param
    with running(tmp_path_factory.mktemp("based") / "data", GREENROOM_BASE_PATH=path) as service:
        service.ready["base"] = path
        yield service


def exchange(service: Service, request: bytes) -> Answer:
    """Return the answer to a request on a connection of its own."""
    with Peer(service) as peer:
        peer.send(request)
        return peer.read_answer()


def test_everything_is_below_the_base_path(based: Service) -> None:
    """The API, WebSockets, health, metrics, the operator's requests and a browser's page."""
    base = based.ready["base"]
    for front in (base, "", "/", f"{base}/"):
        for path in ("/health", "/metrics"):
            assert exchange(based, http_bytes("GET", front + path, {"host": "h:1"})).status in {
                *(200, 401)
            }
        assert exchange(based, signed_bytes(based, "POST", f"{front}/ListRooms")).status == 200
        keys = f"{front}/greenroom/token-keys/list"
        asked = signed_bytes(based, "POST", keys, scope="greenroom")
        assert exchange(based, asked).status == 200
    page = exchange(based, http_bytes("GET", base, {"host": "h", "accept": "text/html"}))
    assert f'href="{base}/health"'.encode() in page.body
    with api_of(based) as api, Peer(based) as peer:
        token = api.token(api.room())
        peer.send(upgrade_bytes(token_line(token), path=base.encode()))
        assert peer.read_answer().status == 101


def test_a_signature_covers_the_base_path_where_a_proxy_cut_it_off(based: Service) -> None:
    """What was signed with it is good without it; what was signed for another path is not."""
    base = based.ready["base"]
    for signed, arrived, expected in (
        (f"{base}/ListRooms", "/ListRooms", 200),
        (f"{base}/ListRooms", "//ListRooms", 200),
        (f"{base}/GetRoom", "/ListRooms", 403),
        (f"{base}{base}/ListRooms", "/ListRooms", 403),
        ("/ListRooms", f"{base}/ListRooms", 403),
        ("/other/ListRooms", "/ListRooms", 403),
    ):
        request = signed_bytes(based, "POST", signed, b"{}")
        request = request.replace(signed.encode() + b" ", arrived.encode() + b" ", 1)
        assert exchange(based, request).status == expected, (signed, arrived)


@pytest.mark.parametrize("path", ["chat", "/chat/", "/health", "/Chat", "/a/../b"])
def test_a_base_path_that_is_none(tmp_path: Path, path: str) -> None:
    """It is refused with the rule, before anything is written."""
    with (
        pytest.raises(RuntimeError, match="GREENROOM_BASE_PATH must"),
        running(tmp_path / "data", GREENROOM_BASE_PATH=path),
    ):
        pass
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------------------------ PROXY protocol


@pytest.fixture(scope="module", params=["off", "on"])
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service behind a TCP proxy, without and with TLS in the process."""
    variables = {
        "GREENROOM_TRUSTED_PROXIES": "127.0.0.1",
        "GREENROOM_PROXY_PROTOCOL": "on",
        "GREENROOM_DEV_TLS": request.param,
        "GREENROOM_CONNECTIONS_PER_ADDRESS": "1",
        "GREENROOM_HANDSHAKE_TIMEOUT_SECONDS": "2",
    }
    with running(tmp_path_factory.mktemp("proxy") / "data", **variables) as service:
        yield service
        assert service.stop() == 0
        for word in ("crashed", "fault in the event loop", "Traceback"):
            assert word not in service.log.read_text()


def version_1(address: str) -> bytes:
    """Return a header of version 1."""
    return f"PROXY TCP4 {address} 10.0.0.1 4711 443\r\n".encode()


def version_2(address: str, local: bool = False) -> bytes:
    """Return a header of version 2, with something more in it."""
    body = bytes(map(int, address.split("."))) + bytes(8) + b"\x04\x00\x01x"
    head = b"\r\n\r\n\x00\r\nQUIT\n" + (b"\x20" if local else b"\x21") + b"\x11"
    return head + len(body).to_bytes(2, "big") + body


@contextlib.contextmanager
def through(service: Service, *parts: bytes) -> Iterator[Peer]:
    """Connect, send the parts one after another, and begin TLS where there is."""
    with Peer(service) as peer:
        for part in parts:
            peer.send(part)
            if len(parts) > 1:
                time.sleep(0.05)
        trusted = service.ready["certificate_to_trust"]
        if trusted is not None:
            context = ssl.create_default_context(cafile=trusted)
            peer.socket = context.wrap_socket(peer.socket, server_hostname="127.0.0.1")
        yield peer


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((version_1(ANN),), id="version 1"),
        pytest.param((version_2(ANN),), id="version 2"),
        pytest.param((version_2(ANN, local=True),), id="the proxy's own call"),
        pytest.param((b"PROXY UNKNOWN\r\n",), id="unknown"),
        pytest.param((version_2(ANN)[:5], version_2(ANN)[5:20], version_2(ANN)[20:]), id="bits"),
    ],
)
def test_requests_behind_a_header(behind: Service, parts: tuple[bytes, ...]) -> None:
    """What comes behind the header is served, TLS or not, also when the header comes in bits."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with through(behind, *parts) as peer:
                peer.send(HEALTH)
                assert peer.read_answer().status == 200
                break
        except (Closed, OSError):
            # The client of the test before may not be gone yet, and each may come once.
            assert time.monotonic() < deadline
            time.sleep(0.05)


def ask(service: Service, header: bytes) -> Answer:
    """Return the answer to a request on a connection of its own."""
    with through(service, header) as peer:
        peer.send(HEALTH)
        return peer.read_answer()


def test_the_header_names_the_client(behind: Service) -> None:
    """Two connections of one client are one too many; another client comes in."""
    with through(behind, version_2("192.0.2.10")) as one:
        one.send(HEALTH)
        assert one.read_answer().status == 200
        with pytest.raises((Closed, OSError)):
            ask(behind, version_1("192.0.2.10"))
        assert ask(behind, version_2("192.0.2.11")).status == 200


@pytest.mark.parametrize("first", [b"", HEALTH, b"PROXY TCP4 x\r\n", b"\x16\x03\x01\x00"])
def test_without_a_header_the_connection_ends(behind: Service, first: bytes) -> None:
    """A trusted proxy always sends one; nothing is served to who does not, nor waits for ever."""
    with Peer(behind) as peer:
        peer.send(first)
        assert peer.read_all() == b""


def test_a_client_behind_an_unknown_header_has_no_address_of_its_own(tmp_path: Path) -> None:
    """Neither for limits nor for what this machine alone may read does it count what it claims."""
    variables = {
        "GREENROOM_TRUSTED_PROXIES": "127.0.0.1",
        "GREENROOM_PROXY_PROTOCOL": "on",
        "GREENROOM_CONNECTIONS_PER_ADDRESS": "1",
    }
    with (
        running(tmp_path / "data", **variables) as service,
        api_of(service) as api,
        ExitStack() as stack,
    ):
        api.preface = version_2("192.0.2.99")
        token, claim = api.token(api.room()), b"X-Forwarded-For: " + ANN.encode()
        with through(service, version_1(ANN)) as first:
            first.send(HEALTH)
            assert first.read_answer().status == 200
            # The address is full; that this is another one's claim of it makes no difference.
            peer = stack.enter_context(through(service, b"PROXY UNKNOWN\r\n"))
            peer.send(upgrade_bytes(token_line(token), claim))
            assert peer.read_answer().status == 101
        for header in (b"PROXY UNKNOWN\r\n", version_2(ANN, local=True), version_1("127.0.0.1")):
            with through(service, header) as peer:
                peer.send(http_bytes("GET", "/metrics", {"host": "localhost"}))
                assert peer.read_answer().status == 401


@pytest.mark.parametrize("name", ["proxy_protocol", "forwarded_proto"])
def test_whom_to_believe_needs_trusted_proxies(tmp_path: Path, name: str) -> None:
    """A start without anybody to believe is refused."""
    with (
        pytest.raises(RuntimeError, match=f"{name} needs trusted_proxies"),
        running(tmp_path / "data", **{f"GREENROOM_{name.upper()}": "on"}),
    ):
        pass


# ------------------------------------------------------------------------------------ policies

ANNA = {"access_key_id": "AKIAANNAANNAANNAANNA", "secret_access_key": "anna-secret-" + "s" * 28}
FROM_HOME = """
[users.anna]
keys = [{{ id = "{access_key_id}", secret = "{secret_access_key}" }}]
policies.home = '''{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*",
"Resource": "*", "Condition": {{"IpAddress": {{"aws:SourceIp": "192.0.2.0/24"}},
"Bool": {{"aws:SecureTransport": "true"}}}}}}}}'''
"""


@contextlib.contextmanager
def watched(directory: Path, *options: str, **variables: str) -> Iterator[Service]:
    """Run a service where Anna may do everything, from home and over TLS."""
    file = directory / "identities.toml"
    file.write_text(FROM_HOME.format(**ANNA))
    variables["GREENROOM_IDENTITIES_FILE"] = str(file)
    with running(directory / "data", *options, **variables) as service:
        yield msgspec.structs.replace(service, ready={**service.ready, **ANNA})


def rooms(service: Service, *lines: str) -> bytes:
    """Return a request of Anna's with further header lines, which a proxy would add."""
    first, rest = signed_bytes(service, "POST", "/ListRooms", b"{}").split(b"\r\n", 1)
    return b"\r\n".join((first, *(line.encode() for line in lines), rest))


def status(service: Service, *lines: str) -> int:
    """Return how a request with these lines is answered."""
    with Peer(service) as peer:
        peer.send(rooms(service, *lines))
        return peer.read_answer().status


def test_policies_see_the_client_behind_a_proxy(tmp_path: Path) -> None:
    """`aws:SourceIp` and `aws:SecureTransport` are what the trusted proxy says, and nobody else."""
    trusted = {"GREENROOM_TRUSTED_PROXIES": "127.0.0.1"}
    with watched(tmp_path, GREENROOM_FORWARDED_PROTO="on", **trusted) as service:
        home, secure = "X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https"
        assert status(service, home, secure) == 200
        assert status(service, home) == 403
        assert status(service, home, "X-Forwarded-Proto: http") == 403
        assert status(service, "X-Forwarded-For: 192.0.2.9, 203.0.113.1", secure) == 403
        assert status(service, home, "X-Forwarded-For: 203.0.113.1", secure) == 403
        assert status(service, "Forwarded: for=192.0.2.9;proto=https") == 403
        assert status(service, "X-Forwarded-For: 192.0.2.9x", secure) == 403
        assert status(service) == 403
        audit = tmp_path / "data" / "audit.log"
        until(lambda: '"sourceIp":"203.0.113.1"' in audit.read_text(), "its address is in a line")
    for variables in ({}, trusted):
        # Nobody is believed; then, a proxy that may pass on what the client says of TLS.
        with watched(tmp_path, **variables) as service:
            assert status(service, home, secure) == 403


def test_policies_see_the_client_behind_a_tcp_proxy(tmp_path: Path) -> None:
    """They are the PROXY header's and the process's own TLS; headers of HTTP are not read."""
    variables = {"GREENROOM_TRUSTED_PROXIES": "127.0.0.1", "GREENROOM_PROXY_PROTOCOL": "on"}
    with watched(tmp_path, "--dev-tls", **variables) as service:
        for address, lines, expected in (
            ("192.0.2.9", (), 200),
            ("203.0.113.1", (), 403),
            ("203.0.113.1", ("X-Forwarded-For: 192.0.2.9",), 403),
        ):
            with through(service, version_2(address)) as peer:
                peer.send(rooms(service, *lines))
                assert peer.read_answer().status == expected
        for header in (b"PROXY UNKNOWN\r\n", version_2(ANN, local=True)):
            # The proxy says nothing of whose headers these are.
            with through(service, header) as peer:
                peer.send(rooms(service, "X-Forwarded-For: 192.0.2.9"))
                assert peer.read_answer().status == 403
        with through(service, version_2("192.0.2.9")) as peer:
            peer.send(version_2("192.0.2.9") + HEALTH)
            assert peer.read_answer().status == 400
