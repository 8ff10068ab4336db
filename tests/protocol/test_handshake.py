"""The upgrade: what is accepted, and what is refused with which status."""

import base64
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from greenroom.protocol.handshake import (
    MAXIMUM_TOKEN_LENGTH,
    HandshakeRefused,
    Refusal,
    Upgrade,
    accept_response,
    asks_for_websocket,
    is_for_websocket,
    parse_upgrade,
    refusal_response,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
TOKEN = b"AQoB-_x.yz09"

Header = tuple[bytes, bytes]


def request(
    key: bytes | None = KEY, version: bytes | None = b"13", protocol: bytes | None = TOKEN
) -> list[Header]:
    """Return the headers of an upgrade request as a browser sends them."""
    headers = [
        (b"host", b"127.0.0.1:8470"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"origin", b"http://localhost:3000"),
        (b"sec-websocket-version", version),
        (b"accept-encoding", b"gzip, deflate, br"),
        (b"sec-websocket-key", key),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        (b"sec-websocket-protocol", protocol),
    ]
    return [(name, value) for name, value in headers if value is not None]


def refused(headers: list[Header], method: bytes = b"GET") -> HandshakeRefused:
    """Return the refusal."""
    with pytest.raises(HandshakeRefused) as raised:
        parse_upgrade(method, headers)
    return raised.value


def test_accepted() -> None:
    """A browser's request gives its key and its token."""
    assert parse_upgrade(b"GET", request()) == Upgrade(KEY, TOKEN.decode())


@pytest.mark.parametrize(
    ("connection", "upgrade", "missing"),
    [
        ([], [], "Upgrade: websocket, Connection: upgrade"),
        ([b"keep-alive"], [b"websocket"], "Connection: upgrade"),
        ([b"upgrades"], [b"websocket"], "Connection: upgrade"),
        ([b"Upgrade"], [b"websockets"], "Upgrade: websocket"),
        ([b"Upgrade"], [], "Upgrade: websocket"),
        ([b"keep-alive , UPGRADE"], [b"h2c,\tWebSocket"], None),
        ([b"Upgrade", b"close"], [b"h2c", b"websocket"], None),
    ],
)
def test_what_asks_for_the_upgrade(
    connection: list[bytes], upgrade: list[bytes], missing: str | None
) -> None:
    """Both headers are needed, a word among others in each; what is missing is named."""
    headers = [each for each in request() if each[0] not in {b"connection", b"upgrade"}]
    assert is_for_websocket(headers)
    headers += [(b"connection", each) for each in connection]
    headers += [(b"upgrade", each) for each in upgrade]
    assert asks_for_websocket(headers) is (missing is None)
    if missing is None:
        assert parse_upgrade(b"GET", headers).key == KEY
        return
    refusal = refused(headers)
    assert (refusal.reason, refusal.status) == ("upgrade", 426)
    assert refusal.message.endswith(f"must pass both. Missing: {missing}")
    assert ("Upgrade", "websocket") in refusal.headers


def test_what_is_not_for_a_websocket() -> None:
    """A request of the API has none of its headers."""
    assert not is_for_websocket([(b"host", b"h"), (b"connection", b"upgrade"), (b"upgrade", b"x")])


def test_accept_response() -> None:
    """The answer is RFC 6455's sample, with the token as the subprotocol and no extension."""
    assert accept_response(Upgrade(KEY, "AQoB.yz09")) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: AQoB.yz09\r\n"
        b"\r\n"
    )


def test_a_real_client_accepts_the_answer() -> None:
    """The websockets library completes the handshake and agrees on the token."""
    client = ClientProtocol(parse_uri("ws://localhost/"), subprotocols=[TOKEN.decode()])  # type: ignore[list-item]
    asked = client.connect()
    headers = [(name.lower().encode(), value.encode()) for name, value in asked.headers.raw_items()]
    client.send_request(asked)
    client.receive_data(accept_response(parse_upgrade(b"GET", headers)))
    client.events_received()
    assert client.handshake_exc is None
    assert client.subprotocol == TOKEN.decode()
    assert client.extensions == []


@pytest.mark.parametrize("method", [b"POST", b"get", b"", b"HEAD", b"CONNECT", b"\xff"])
def test_method(method: bytes) -> None:
    """Only GET upgrades."""
    assert refused(request(), method).status == 400


@pytest.mark.parametrize("version", [None, b"", b"8", b"0", b"14", b"1", b"013", b"13, 8", b"\xb3"])
def test_version(version: bytes | None) -> None:
    """Another version is answered with the one that is spoken here."""
    error = refused(request(version=version))
    assert error.status == 426
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in refusal_response(error, "i")


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"x",
        KEY[:-1],
        KEY[:-2],
        KEY + b"=",
        KEY[:-3] + b"!==",
        base64.b64encode(b"x" * 15),
        base64.b64encode(b"x" * 17),
        b"\xff" * 24,
        b"A" * 1_000_000,
        KEY + b"," + KEY,
    ],
)
def test_key(key: bytes | None) -> None:
    """The key is 16 bytes in base64."""
    error = refused(request(key=key))
    assert error.status == 400
    assert "Sec-WebSocket-Key" in error.message


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (b"sec-websocket-key", 400),
        (b"sec-websocket-version", 426),
        (b"sec-websocket-protocol", 400),
    ],
)
def test_repeated_headers(name: bytes, status: int) -> None:
    """A header that may stand once may not stand twice."""
    headers = request()
    assert refused([*headers, *[each for each in headers if each[0] == name]]).status == status


@pytest.mark.parametrize("protocol", [None, b"", b" ", b"\t \t"])
def test_missing_token(protocol: bytes | None) -> None:
    """Without a token the answer is 401, in the words of the reference."""
    error = refused(request(protocol=protocol))
    assert (error.status, error.message) == (401, "The chat token is missing")


@pytest.mark.parametrize(
    "protocol",
    [
        b"a,b",
        b"a, b",
        b"a,",
        b",",
        b"," * 100_000,
        b", " * 100_000,
        b"a b",
        b"a\tb",
        b"a;b",
        b"a=b",
        b"a/b",
        b"a:b",
        b"a@b",
        b'"a"',
        b"(a)",
        b"a[b]",
        b"a{b}",
        b"a<b>",
        b"a?b",
        b"a\\b",
        b"a\x00b",
        b"a\r\nX-Injected: yes",
        b"a\x7f",
        b"\xff",
        b"caf\xc3\xa9",
        b"a\xa0",
        b"a" * (MAXIMUM_TOKEN_LENGTH + 1),
        b"a" * 10_000_000,
        b" " * 1_000_000 + b"a b",
        b"a" + b" " * 1_000_000 + b"b",
    ],
)
def test_malformed_token(protocol: bytes) -> None:
    """Several subprotocols, foreign characters and huge values are refused with 400.

    Libraries fell here: a regular expression that took forever (CVE-2021-32640), a byte that is
    not ASCII and ended the worker (CVE-2026-42544).
    """
    error = refused(request(protocol=protocol))
    assert error.status == 400
    assert len(error.message) < 100


def test_every_token_character() -> None:
    """Everything that RFC 7230 lets into a token is accepted, at the greatest length too."""
    assert MAXIMUM_TOKEN_LENGTH == 4096
    for token in (b"!#$%&'*+-.^_`|~09azAZ", b"ACEGmnoq#1rstu2.BDFH3vxwy!4hlm!#5", b"a" * 4096):
        assert parse_upgrade(b"GET", request(protocol=token)).token == token.decode()


def test_surrounding_space() -> None:
    """Space around a value does not belong to it."""
    upgrade = parse_upgrade(b"GET", request(b" " + KEY, b"13\t", b" " + TOKEN + b" "))
    assert upgrade == Upgrade(KEY, TOKEN.decode())


def test_thousands_of_headers() -> None:
    """The number of other headers does not matter (CVE-2024-37890)."""
    many = [(b"x-%d" % number, b"y") for number in range(5000)]
    assert parse_upgrade(b"GET", [*many, *request(), *many]).token == TOKEN.decode()
    tokens = [(b"sec-websocket-protocol", b"a")] * 5000
    assert refused([*request(), *tokens]).status == 400


def test_distinct_statuses() -> None:
    """Each way to be refused for a token has its own status."""
    statuses = {
        Refusal.TOKEN_MALFORMED: 400,
        Refusal.TOKEN_MISSING: 401,
        Refusal.TOKEN_FOREIGN: 403,
        Refusal.ROOM_GONE: 404,
        Refusal.TOKEN_USED: 409,
        Refusal.TOKEN_EXPIRED: 410,
        Refusal.TOO_MANY_CONNECTIONS: 429,
        Refusal.INTERNAL: 500,
        Refusal.UNAVAILABLE: 503,
    }
    assert {refusal: refusal.error().status for refusal in statuses} == statuses


@pytest.mark.parametrize("refusal", list(Refusal))
def test_refusal_response(refusal: Refusal) -> None:
    """A refusal is a whole HTTP answer whose body is an ERROR frame."""
    answer = refusal_response(refusal.error(), "M2YcHkgffEvU", b"Mon, 23 Nov 2026 03:22:01 GMT")
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    error = refusal.error()
    assert status.startswith(f"HTTP/1.1 {error.status} ")
    assert len(status.split(" ", 2)[2]) > 3
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    assert headers["Cache-Control"] == "no-store"
    assert headers["x-amzn-ErrorType"] == error.name
    assert headers["Date"] == "Mon, 23 Nov 2026 03:22:01 GMT"
    assert json.loads(body) == {
        "Type": "ERROR",
        "Id": "M2YcHkgffEvU",
        "RequestId": "",
        "ErrorCode": error.status,
        "ErrorMessage": error.message,
    }


def test_refusal_without_date() -> None:
    """The Date header is there when a date is given."""
    assert b"\r\nDate:" not in refusal_response(Refusal.INTERNAL.error(), "i")


pairs = st.tuples(
    st.sampled_from([b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol"])
    | st.binary(max_size=10),
    st.sampled_from([KEY, b"13", TOKEN]) | st.binary(max_size=40),
)


@settings(max_examples=300)
@given(st.sampled_from([b"GET", b"POST"]) | st.binary(max_size=5), st.lists(pairs, max_size=8))
@example(b"GET", [(b"sec-websocket-protocol", b"\x80")])
def test_random_headers(method: bytes, headers: list[Header]) -> None:
    """Random headers are an upgrade that can be answered, or a refusal that can be."""
    try:
        upgrade = parse_upgrade(method, headers)
    except HandshakeRefused as refusal:
        assert refusal_response(refusal, "i").endswith(b"}")  # noqa: PT017 - either will do
        return
    assert accept_response(upgrade).count(b"\r\n") == 6
    assert "," not in upgrade.token


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_random_tokens(protocol: bytes) -> None:
    """A subprotocol is answered with as it came, or the request is refused."""
    try:
        upgrade = parse_upgrade(b"GET", request(protocol=protocol))
    except HandshakeRefused:
        return
    assert upgrade.token.encode() == protocol.strip(b" \t")
    assert upgrade.token.isascii()
    assert upgrade.token.isprintable()
