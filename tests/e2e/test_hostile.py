"""Bytes that nobody should send, to the real process: each is answered with what is wrong with it.

Whatever comes, no answer is a 5xx, each names the fault in JSON, the log holds no crash, and two
well-behaved neighbours go on exchanging messages. `HOSTILE_EXAMPLES=5000` looks deeper, at random.

The names of advisories are those of other servers and libraries that fell to the same input.
"""

import itertools
import json
import os
import threading
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from greenroom.aws.service import OPERATIONS
from greenroom.protocol.errors import DESCRIPTIONS, CloseCode
from tests.e2e.wire import (
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
    http_bytes,
    signed,
    signed_bytes,
    token_line,
    upgrade_bytes,
)
from tests.service import Service, running

pytestmark = pytest.mark.xdist_group("hostile")

EXAMPLES = os.environ.get("HOSTILE_EXAMPLES")
PROFILE = settings(
    max_examples=int(EXAMPLES or 100),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

FAULTS = ("crashed", "Traceback", "Fatal error", "request failed", '"level": "error"')
"""What the log must not hold."""


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


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service without rates."""
    with running(
        tmp_path_factory.mktemp("hostile") / "data",
        GREENROOM_REQUEST_RATES="off",
        GREENROOM_CLOSE_TIMEOUT_SECONDS="1",
        GREENROOM_QUOTAS="messaging_requests_per_connection=0,logging_configurations=0",
    ) as service:
        yield service


@pytest.fixture(scope="module")
def api(service: Service) -> Iterator[Api]:
    """Return a well-behaved client of the control plane."""
    with api_of(service) as api:
        yield api


@pytest.fixture(scope="module")
def neighbours(service: Service, api: Api) -> Iterator[Neighbours]:
    """Return the two clients that must not notice anything."""
    with Neighbours(service, api) as neighbours:
        yield neighbours


@pytest.fixture(autouse=True)
def unmoved(service: Service, neighbours: Neighbours) -> Iterator[None]:
    """Check after each test that process, log and neighbours are as before."""
    before = neighbours.exchanged
    yield
    neighbours.wait_for(2)
    assert neighbours.exchanged > before
    assert service.process.poll() is None
    log = service.log.read_text()
    for fault in FAULTS:
        assert fault not in log


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


# ----------------------------------------------------------------------------------------- HTTP

Change = tuple[str, int, bytes]

changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "delete", "repeat", "cut"]),
        st.integers(0, 1 << 20),
        st.binary(min_size=1, max_size=6)
        | st.sampled_from([b"\r\n", b"\x00", b"\xff", b": ", b" "]),
    ),
    min_size=1,
    max_size=5,
)


def mutate(data: bytes, wanted: list[Change]) -> bytes:
    """Return the bytes with some changes."""
    for kind, where, piece in wanted:
        at = where % (len(data) + 1)
        head, tail = data[:at], data[at:]
        match kind:
            case "flip":
                data = head + bytes(byte ^ piece[0] for byte in tail[:1]) + tail[1:]
            case "insert":
                data = head + piece + tail
            case "delete":
                data = head + tail[len(piece) :]
            case "repeat":
                data = head + tail[: 8 * len(piece)] * 3 + tail
            case _:
                data = head if len(piece) == 1 else tail
    return data


@PROFILE
@given(data=st.binary(max_size=300))
@example(b"")
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(bytes.fromhex("16030100c8010000c40303") + bytes(190))
@example(b"GET / HTTP/1.1\r\n" + b"\x00: \x00\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0")
@example(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n")
@example(b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n")
@example(b"GET //\\@%zz? HTTP/1.1\r\nhost: x\r\n\r\n")
@example(b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n")
@example(b"OPTIONS * HTTP/1.1\r\nhost: x\r\naccess-control-request-headers: \x01\r\n\r\n")
@example(b"GET /health HTTP/1.0\r\n\r\n" * 3)
def test_random_bytes(service: Service, api: Api, data: bytes) -> None:
    """Bytes that are no HTTP, or almost, are refused as such."""
    answers_to(service, api, data)


def seeds(service: Service, api: Api) -> list[bytes]:
    """Return requests that are right, of every kind that the service takes."""
    room = api.room()
    plain = b"POST /ListRooms HTTP/1.1\r\nhost: x\r\n"
    return [
        signed(service, "CreateRoom", name="seed", tags={"a": "b"}),
        signed(service, "ListTagsForResource", resourceArn=room),
        signed(service, "UntagResource", resourceArn=room, tagKeys=["a", "b"]),
        upgrade_bytes(token_line(api.token(room))),
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + signed(service, "ListRooms"),
        plain + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        plain + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
        b"OPTIONS /ListRooms HTTP/1.1\r\nhost: x\r\naccess-control-request-headers: a,b\r\n\r\n",
    ]


@PROFILE
@given(seed=st.integers(0, 7), wanted=changes)
def test_mutated_requests(service: Service, api: Api, seed: int, wanted: list[Change]) -> None:
    """Requests of every kind with bytes changed, missing or too many are answered or refused."""
    answers_to(service, api, mutate(seeds(service, api)[seed], wanted))


names = sorted(set().union(*(operation.input.members for operation in OPERATIONS.values())))
strings = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | strings
    | st.sampled_from(
        [10**400, "x" * 2000, "arn:aws:ivschat:us-east-1:123456789012:room/x", "\x00"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=8,
)
targets = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=40
)


def parameters_of(operation: str, room: str) -> dict[str, Any]:
    """Return parameters with which an operation goes past its first checks."""
    return {
        "identifier": room,
        "roomIdentifier": room,
        "resourceArn": room,
        "name": "x",
        "userId": "user",
        "id": "a" * 12,
        "eventName": "x",
        "tags": {"a": "b"},
        "tagKeys": ["a"],
        "attributes": {"a": "b"},
        "destinationConfiguration": {"s3": {"bucketName": "bucket"}},
    }


@PROFILE
@given(
    operation=st.sampled_from(sorted(OPERATIONS)),
    changed=st.dictionaries(st.sampled_from(names) | strings, values, max_size=3),
)
def test_hostile_parameters(
    service: Service, api: Api, operation: str, changed: dict[str, Any]
) -> None:
    """Signed as they should be, parameters of any shape are served or refused by name."""
    path = {
        "TagResource": ("POST", "/tags/"),
        "UntagResource": ("DELETE", "/tags/"),
        "ListTagsForResource": ("GET", "/tags/"),
    }.get(operation)
    parameters = {**parameters_of(operation, api.room()), **changed}
    body = json.dumps(parameters).encode()
    if path is None:
        answer = answer_to(service, signed_bytes(service, "POST", f"/{operation}", body))
    else:
        arn = quote(str(parameters["resourceArn"]).encode("utf-8", "surrogatepass"), safe="")
        keys = "&".join(
            f"tagKeys={quote(str(key).encode('utf-8', 'surrogatepass'))}" for key in changed
        )
        answer = answer_to(service, signed_bytes(service, path[0], path[1] + arn, body, keys))
    assert answer.status not in {408, 431}


@PROFILE
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
    path=targets | st.sampled_from(["CreateRoom", "tags", "tags/%ff", "tags/%2", "CreateRoom/"]),
    query=targets,
    content_type=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    body=st.binary(max_size=60)
    | st.sampled_from([b"{", b"[" * 20_000, b"[]", b'"\\ud800"', b"{}x"]),
)
def test_hostile_requests(
    service: Service, method: str, path: str, query: str, content_type: str, body: bytes
) -> None:
    """Signed as they should be, any path, query, type and body are served or refused by name."""
    headers = {"content-type": content_type.strip()}
    request = signed_bytes(service, method, f"/{path}", body, query, headers)
    answer_to(service, request)


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

header_values = st.binary(max_size=80).map(
    lambda data: data.replace(b"\r", b"").replace(b"\n", b"")
) | st.lists(st.sampled_from([b"a.b", b"", b" ", b",", b"\xff", b"\t", b"="]), max_size=40).map(
    b"".join
)


@PROFILE
@given(lines=st.lists(header_values, max_size=4))
def test_random_subprotocols(service: Service, lines: list[bytes]) -> None:
    """Whatever stands in `Sec-WebSocket-Protocol`, the connection is refused and told why."""
    answer = answer_to(service, upgrade_bytes(*map(token_line, lines)))
    assert answer.status in {400, 401, 403}


@PROFILE
@given(wanted=changes)
def test_mutated_tokens(service: Service, api: Api, wanted: list[Change]) -> None:
    """A token with one byte changed opens nothing."""
    token = api.token(api.room()).encode()
    changed = mutate(token, wanted).translate(None, b"\r\n")
    if changed.strip(b" \t") != token:
        answer = answer_to(service, upgrade_bytes(token_line(changed)))
        assert answer.status in {400, 401, 403}


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
    "other protocol": (b"Upgrade: websocket", b"Upgrade: h2c", 403),
    "no upgrade": (b"Connection: Upgrade", b"Connection: close", 403),
}


@pytest.mark.parametrize(("old", "new", "status"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_handshakes(service: Service, api: Api, old: bytes, new: bytes, status: int) -> None:
    """A handshake that breaks RFC 6455 is refused by name, and its token stays good."""
    token = api.token(api.room())
    data = upgrade_bytes(token_line(token))
    assert answer_to(service, data.replace(old, new)).status == status
    WebSocket.connect(service, token).socket.close()


# --------------------------------------------------------------------------------------- frames


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


@pytest.fixture(scope="module")
def room(api: Api) -> str:
    """Return a room for hostile clients."""
    return api.room(maximumMessageRatePerSecond=100)


@PROFILE
@given(data=st.binary(min_size=1, max_size=300))
def test_random_frames(service: Service, api: Api, room: str, data: bytes) -> None:
    """Random bytes on a connection are answered with close frames that name the fault."""
    frames_after(service, api, room, data)


ACTIONS = (
    {"Action": "SEND_MESSAGE", "Content": "hello", "Attributes": {"a": "b"}, "RequestId": "r"},
    {"Action": "DELETE_MESSAGE", "Id": "a" * 12, "Reason": "why", "RequestId": "r"},
    {"Action": "DISCONNECT_USER", "UserId": "nobody", "Reason": "why", "RequestId": "r"},
)
WELL_FORMED = b"".join(
    (
        *(client_frame(json.dumps(action).encode()) for action in ACTIONS),
        client_frame(b"ping", PING),
        client_frame(b'{"Action":', 0x01),
        client_frame(b"pong", PONG),
        client_frame(b'"x"}', 0x80),
        client_frame((1000).to_bytes(2, "big") + b"bye", CLOSE),
    )
)


@PROFILE
@given(wanted=changes)
def test_mutated_frames(service: Service, api: Api, room: str, wanted: list[Change]) -> None:
    """Frames with bytes changed, missing or too many never lead to more than a close frame."""
    frames_after(service, api, room, mutate(WELL_FORMED, wanted))


@pytest.fixture(scope="module")
def speaker(service: Service, api: Api) -> Iterator[WebSocket]:
    """Return a connection that lasts, in a room of its own: no action may end it."""
    room = api.room(maximumMessageRatePerSecond=100)
    with WebSocket.connect(service, api.token(room, "speaker")) as speaker:
        yield speaker


def said(speaker: WebSocket, payload: bytes) -> Any:
    """Send one text; return the frame that answers it. The connection must go on."""
    speaker.send(client_frame(payload))
    while (frame := speaker.read_frame()).first != TEXT:
        assert frame.first == PING, frame
    assert_sound(frame)
    return json.loads(frame.payload)


@PROFILE
@given(
    action=st.sampled_from(ACTIONS),
    changed=st.dictionaries(
        st.sampled_from(["Action", "action", "Content", "Id", "UserId", "Reason", "RequestId"])
        | st.just("Attributes")
        | strings,
        values,
        max_size=3,
    ),
)
def test_hostile_actions(
    speaker: WebSocket, action: dict[str, Any], changed: dict[str, Any]
) -> None:
    """An action with members of any kind is done, or refused in an ERROR frame."""
    said(speaker, json.dumps({**action, **changed}).encode())


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

    The connection ends without waiting for the payload that was announced.
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
