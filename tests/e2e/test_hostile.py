"""Bytes that nobody should send, to the real process: each is answered with what is wrong with it.

Whatever comes, no answer is a 5xx, each names the fault in JSON, the log holds no crash, and two
well-behaved neighbours go on exchanging messages. What is made at random stands in `tests/fuzz`.

The names of advisories are those of other servers and libraries that fell to the same input.
"""

import json
from collections.abc import Iterator

import pytest

from greenroom.aws.service import OPERATIONS
from tests.running.attacks import Target, answer_to, answers_to, attacked, said
from tests.running.service import Service
from tests.running.wire import (
    CLOSE,
    PING,
    TEXT,
    Api,
    Peer,
    WebSocket,
    client_frame,
    http_bytes,
    signed_bytes,
    token_line,
    upgrade_bytes,
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a service without rates."""
    with attacked(tmp_path_factory.mktemp("hostile")) as target:
        yield target


@pytest.fixture
def service(target: Target) -> Service:
    """Return the service that is attacked."""
    return target.service


@pytest.fixture(scope="module")
def api(target: Target) -> Api:
    """Return a well-behaved client of the control plane."""
    return target.api


@pytest.fixture(autouse=True)
def unmoved(target: Target) -> Iterator[None]:
    """Check after each test that process, log and neighbours are as before."""
    yield
    target.assert_unmoved()


# ----------------------------------------------------------------------------------------- HTTP


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_bodies_that_are_missing_or_cut(service: Service, api: Api, operation: str) -> None:
    """CVE-2022-21667: an empty, unsigned or aborted body harms no route."""
    path = f"/{operation}"
    assert answer_to(service, signed_bytes(service, "POST", path)).status < 500
    assert answer_to(service, http_bytes("POST", path, {"host": "x"})).status == 403
    whole = signed_bytes(service, "POST", path, b"{}" * 50)
    for cut in (1, 50):
        answers_to(service, api, whole[:-cut])
        with Peer(service) as peer:
            peer.send(whole[:-cut])
            peer.vanish()


def test_body_over_the_limit(service: Service) -> None:
    """GHSA-j4f2-536g-r55m: the default bound on a body is small, and holds for chunks too."""
    huge = b" " * (2 << 20)
    assert answer_to(service, signed_bytes(service, "POST", "/ListRooms", huge)).status == 413
    chunked = b"POST /ListRooms HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 32
    assert answer_to(service, chunked + chunks + b"0\r\n\r\n").status == 413


HEADS = {
    "name": b"x" * 200_000 + b": 1",
    "value": b"x: " + b"y" * 200_000,
    "count": b"\r\n".join(b"x-%d: 1" % number for number in range(2000)),
    "count of the token's": b"\r\n".join(token_line("a.b") for _ in range(2000)),
}


@pytest.mark.parametrize("lines", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("upgrade", [False, True], ids=["request", "upgrade"])
def test_head_over_the_limit(service: Service, upgrade: bool, lines: bytes) -> None:
    """CVE-2024-37890, GHSA-c4j6-fc7j-m34r: thousands of headers are refused, on both planes."""
    plain = b"GET / HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n\r\n"
    assert answer_to(service, upgrade_bytes(lines) if upgrade else plain).status == 431


# ------------------------------------------------------------------------------- the subprotocol

SUBPROTOCOLS = {
    "none": ((), 401),
    "empty": ((b"",), 401),
    "blank": ((b" \t ",), 401),
    "commas": ((b"," * 10_000,), 400),
    "two": ((b"a.b, c.d",), 400),
    "two headers": ((b"a.b", b"c.d"), 400),
    # CVE-2021-32640: a regular expression for " *, *" took minutes for this.
    "blanks": ((b"a" + b" " * 60_000 + b"b",), 400),
    "blanks and commas": ((b" ,  " * 15_000,), 400),
    # CVE-2026-42544: a byte that is not ASCII ended the worker.
    "not ASCII": (("tökén".encode(),), 400),
    "not UTF-8": ((b"\xff\xfe\x80",), 400),
    "long": ((b"a" * 60_000,), 400),
    "long parts": ((b"a" * 2000 + b"." + b"b" * 2000,), 400),
    "dots": ((b"." * 4000,), 400),
    "a hundred headers": ((b"a.b",) * 100, 400),
}


@pytest.mark.parametrize(("values", "status"), SUBPROTOCOLS.values(), ids=SUBPROTOCOLS)
def test_subprotocols(service: Service, values: tuple[bytes, ...], status: int) -> None:
    """CVE-2021-32640, CVE-2026-42544: hostile subprotocols are refused before any work is done."""
    assert answer_to(service, upgrade_bytes(*map(token_line, values))).status == status


EXTENSIONS = {
    # CVE-2020-7662, CVE-2020-7663: an unclosed quoted parameter took exponential time.
    "unclosed": b'a; b="' + b"\\c" * 20_000,
    "unclosed many times": b'a;b="c' * 8000,
    # CVE-2026-2229: window bits out of range ended the process.
    "window bits": b"permessage-deflate; server_max_window_bits=1000000; client_max_window_bits=-1",
    "not ASCII": b"\xff\x00\x01",
    "all": b"permessage-deflate, x-webkit-deflate-frame, permessage-bzip2",
}


@pytest.mark.parametrize("value", EXTENSIONS.values(), ids=EXTENSIONS)
def test_extensions(service: Service, api: Api, value: bytes) -> None:
    """CVE-2020-7662, CVE-2020-7663, CVE-2026-2229: offers of extensions are not even read."""
    token = api.token(api.room())
    lines = (token_line(token), b"Sec-WebSocket-Extensions: " + value)
    answer = answer_to(service, upgrade_bytes(*lines))
    if answer.status == 101:
        assert "sec-websocket-extensions" not in answer.headers
    else:
        # A control character is no HTTP at all.
        assert b"\x00" in value
        assert answer.status == 400


HANDSHAKES = {
    "method": (b"GET ", b"POST ", 400),
    "no key": (b"Sec-WebSocket-Key", b"X-Key", 400),
    "no version": (b"Sec-WebSocket-Version", b"X-Version", 426),
    "version": (b"Version: 13", b"Version: 8", 426),
    "version with more": (b"Version: 13", b"Version: 13, 8", 426),
    "other protocol": (b"Upgrade: websocket", b"Upgrade: h2c", 426),
    "no upgrade": (b"Connection: Upgrade", b"Connection: close", 426),
}


@pytest.mark.parametrize(("old", "new", "status"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_handshakes(service: Service, api: Api, old: bytes, new: bytes, status: int) -> None:
    """A handshake that breaks RFC 6455 is refused by name, and its token stays good."""
    token = api.token(api.room())
    data = upgrade_bytes(token_line(token))
    assert answer_to(service, data.replace(old, new)).status == status
    WebSocket.connect(service, token).socket.close()


# --------------------------------------------------------------------------------------- frames


@pytest.fixture(scope="module")
def room(api: Api) -> str:
    """Return a room for hostile clients."""
    return api.room(maximumMessageRatePerSecond=100)


@pytest.fixture(scope="module")
def speaker(target: Target) -> Iterator[WebSocket]:
    """Return a connection that lasts, in a room of its own: no action may end it."""
    room = target.api.room(maximumMessageRatePerSecond=100)
    with WebSocket.connect(target.service, target.api.token(room, "speaker")) as speaker:
        yield speaker


PACKETS = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "nested": b"[" * 50_000,
    "nested objects": b'{"Action":' * 5_000 + b"1" + b"}" * 5_000,
    "prototype": b'{"__proto__":{"Action":"SEND_MESSAGE"},"constructor":1,"toString":null}',
    "object for a name": b'{"Action":{"toString":1},"Content":{"length":9}}',
    "long number": b'{"Action":"SEND_MESSAGE","Content":' + b"9" * 60_000 + b"}",
    "exponent": b'{"Action":"SEND_MESSAGE","Content":1e999999}',
    "not a number": b'{"Action":"SEND_MESSAGE","Content":NaN}',
    "half a pair": b'{"Action":"SEND_MESSAGE","Content":"\\ud800","RequestId":"\\udfff"}',
    "half a pair in a key": b'{"Action":"SEND_MESSAGE","Content":"x","Attributes":{"\\ud800":""}}',
    "long id": b'{"Action":"SEND_MESSAGE","Content":"x","RequestId":"' + b"r" * 9000 + b'"}',
    "many keys": json.dumps({f"k{number}": number for number in range(4000)}).encode(),
    "attribute": b'{"Action":"SEND_MESSAGE","Content":"x","Attributes":{"a":{"b":[]}}}',
    "id": b'{"Action":"DELETE_MESSAGE","Id":"aaaaaaaaaaa\\n"}',
    "user": b'{"Action":"DISCONNECT_USER","UserId":""}',
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_packets(speaker: WebSocket, packet: bytes) -> None:
    """CVE-2024-38355, CVE-2023-32695, CVE-2022-2421, CVE-2022-41940: no packet ends anything."""
    answer = said(speaker, packet)
    assert answer["Type"] == "ERROR"
    assert answer["ErrorCode"] in {400, 413}


def head(first: int, length: int) -> bytes:
    """Return the beginning of a masked frame that says to be of this length, in eight bytes."""
    return bytes((first, 0xFF)) + length.to_bytes(8, "big") + b"mask"


BAD_FRAMES = {
    # CVE-2020-27813: a length near 2**63 overflowed.
    "2**63 - 1": (head(TEXT, 2**63 - 1), 1009),
    "2**63": (head(TEXT, 2**63), 1002),
    "2**64 - 1": (head(TEXT, 2**64 - 1), 1002),
    "2**32": (head(TEXT, 2**32), 1009),
    "continued past all bounds": (client_frame(b"x", 0x01) + head(0x80, 2**63 - 1), 1009),
    # CVE-2026-44545: limits that were configured but never reached the decoder.
    "over the limit": (head(TEXT, 65_537), 1009),
    "fragments over the limit": (client_frame(b"x" * 40_000, 0x01) + head(0x80, 30_000), 1009),
    # PYSEC-2026-4389, PYSEC-2026-2108: pieces so small that each costs more than it brings.
    "tiny fragments": (client_frame(b"", 0x01) + client_frame(b"", 0x00) * 5000, 1009),
    # CVE-2018-1000518, CVE-2026-116579, PYSEC-2026-3547: compressed, though it was never agreed.
    "compressed": (client_frame(b"\x4a\xcb\xcf\x07\x00", 0xC1), 1002),
    "reserved bit 2": (client_frame(b"x", 0xA1), 1002),
    "reserved bit 3": (client_frame(b"x", 0x91), 1002),
    "unmasked": (client_frame(b"x", mask=None), 1002),
    "opcode": (client_frame(b"x", 0x83), 1002),
    "control opcode": (client_frame(b"x", 0x8B), 1002),
    "fragmented ping": (client_frame(b"x", 0x09), 1002),
    "long ping": (client_frame(b"x" * 126, PING), 1002),
    "continuation of nothing": (client_frame(b"x", 0x80), 1002),
    "message in a message": (client_frame(b"x", 0x01) + client_frame(b"x"), 1002),
    "binary": (client_frame(b"x", 0x82), 1003),
    "not UTF-8": (client_frame(b"\xff"), 1007),
    "UTF-8 cut": (client_frame(b"\xe2\x82", 0x01) + client_frame(b"x", 0x80), 1007),
    "close of one byte": (client_frame(b"\x03", CLOSE), 1002),
    "close code": (client_frame((1005).to_bytes(2, "big"), CLOSE), 1002),
    "close reason": (client_frame((1000).to_bytes(2, "big") + b"\xff", CLOSE), 1007),
}


@pytest.mark.parametrize(("data", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames(service: Service, api: Api, room: str, data: bytes, code: int) -> None:
    """CVE-2020-27813, CVE-2018-1000518, CVE-2026-44545: bad frames have their close code, at once.

    So have CVE-2026-116579, PYSEC-2026-4389, PYSEC-2026-2108 and PYSEC-2026-3547. The connection
    ends without waiting for the payload that was announced.
    """
    with WebSocket.connect(service, api.token(room)) as client:
        client.send(data + client_frame(b"after", PING))
        *before, last = client.read_frames()
        assert last.close_code == code
        assert [frame for frame in before if frame.first != TEXT] == []


def test_largest_frame_is_taken(speaker: WebSocket) -> None:
    """CVE-2026-44545: the limit is the documented one, not less; such a text is only too long."""
    action = {"Action": "SEND_MESSAGE", "Content": ""}
    action["Content"] = "x" * (65_536 - len(json.dumps(action)))
    assert said(speaker, json.dumps(action).encode())["ErrorCode"] == 413


def test_dripping_message(service: Service, api: Api, room: str) -> None:
    """PYSEC-2026-4389: a message in thousands of tiny reads is one message in the end."""
    frame = client_frame(json.dumps({"Action": "SEND_MESSAGE", "Content": "x" * 400}).encode())
    with WebSocket.connect(service, api.token(room)) as client:
        for byte in frame:
            client.send(bytes((byte,)))
        assert len(client.read_json()["Content"]) == 400
