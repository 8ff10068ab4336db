"""`greenroom bench`: its options, its accounting and what it prints; e2e measures real services.

Covers: greenroom.cli.bench.clients, greenroom.cli.bench.ledger, greenroom.cli.bench.plan,
    greenroom.cli.bench.result, greenroom.cli.bench.run, greenroom.cli.private_server
"""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Endpoint
from greenroom.cli.bench.clients import OPENED, Client
from greenroom.cli.bench.ledger import FOREIGN, Ledger, Sight, lost
from greenroom.cli.bench.plan import CONTENT, MeasuredRoom, check_files, check_room_rate, plan_of
from greenroom.cli.bench.result import Connections, Deliveries, Latencies, Messages
from greenroom.cli.bench.result import Result as Measured
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.protocol import frames
from greenroom.protocol.client_frames import TEXT, encode_frame
from greenroom.protocol.errors import CloseCode
from greenroom.protocol.events import encode_error, encode_message
from greenroom.protocol.handshake import accept_response, parse_upgrade

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/abcdefghijkl"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start where nothing is, with no key in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GREENROOM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("greenroom.cli.bench.command.allow_files", lambda: None)


def run(*options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["bench", *options])


# ------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give either a ROOM or --self"),
        ([ROOM, "--self"], "give either a ROOM or --self"),
        (["--self", "--endpoint-url", "http://h:1"], "leave --url out"),
        (["arn:room"], "must be the name, the id or the ARN of a room"),
        ([ROOM.replace(":room/", ":logging-configuration/")], "or the ARN of a room"),
        ([ROOM, "--endpoint-url", "ws://h"], "must be http://HOST:PORT"),
        ([ROOM, "--endpoint-url", "http://h:x"], "--url"),
        ([ROOM, "--endpoint-url", "http://h/path?x"], "must end after the port"),
        ([ROOM, "--endpoint-url", "http://h/a%2Fb"], "or after a path such as /chat"),
        ([ROOM, "--connections", "0"], "--connections"),
        ([ROOM, "--rate", "0"], "--rate"),
        ([ROOM, "--duration", "0"], "--duration"),
        ([ROOM, "--publishers", "101"], "--publishers 101 are more than --connections 100"),
        ([ROOM, "--rate", "100", "--publishers", "9"], "--rate 100 needs 10 publishers"),
        ([ROOM], "no access key: set AWS_ACCESS_KEY_ID"),
    ],
)
def test_refusals(options: list[str], words: str) -> None:
    """What does not go together is refused in one line, with code 2, before anybody connects."""
    result = run(*options)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    (line,) = result.stderr.splitlines()
    assert words in line


def test_publishers_follow_the_rate() -> None:
    """By default a connection sends half of what it may, and all send where there are few."""
    assert plan_of(100, 10, 10, None).publishers == 2
    assert plan_of(15, 100, 10, None).publishers == 15
    assert plan_of(100, 0.1, 1, None).publishers == 1


def test_messages_follow_rate_and_duration() -> None:
    """As many messages are sent as the rate has in the duration, at least one."""
    assert plan_of(100, 10, 2.5, None).messages == 25
    assert plan_of(100, 0.1, 1, None).messages == 1


def test_the_room_limits_content() -> None:
    """What is sent is no longer than the room allows."""
    plan = plan_of(1, 1, 1, None)
    assert plan.in_room(MeasuredRoom(ROOM, 10, 500)).content == CONTENT
    assert plan.in_room(MeasuredRoom(ROOM, 10, 3)).content == CONTENT[:3]


def test_the_room_limits_the_rate() -> None:
    """A rate above the room's is refused, and the line names the limit."""
    room = MeasuredRoom(ROOM, 10, 500)
    check_room_rate(10, room)
    with pytest.raises(CommandRefused, match="above the room's maximumMessageRatePerSecond, 10"):
        check_room_rate(10.5, room)


def test_descriptors_limit_connections() -> None:
    """More connections than open files are refused, and the line says how many are needed."""
    check_files(1000, None)
    check_files(1000, 1064)
    with pytest.raises(CommandRefused, match="need 1064 open files, and the system allows 1063"):
        check_files(1000, 1063)


@pytest.mark.parametrize(
    ("url", "shown", "port"),
    [
        ("http://127.0.0.1:8470/", "http://127.0.0.1:8470", 8470),
        ("https://chat.example", "https://chat.example", 443),
        ("http://[::1]:1", "http://[::1]:1", 1),
    ],
)
def test_endpoints(url: str, shown: str, port: int) -> None:
    """An endpoint is a scheme, a host and perhaps a port."""
    endpoint = Endpoint.parse(url)
    assert (endpoint.url, endpoint.port) == (shown, port)


# ---------------------------------------------------------------------------------- statistics


def test_percentiles() -> None:
    """Percentiles are those of the times, to 1 %; the maximum is exact."""
    latencies = Latencies()
    assert latencies.summary() is None
    for milliseconds in range(1000, 0, -1):
        latencies.add(milliseconds * 1_000_000)
    summary = latencies.summary()
    assert summary is not None
    assert summary.p50 == pytest.approx(500, rel=0.01)
    assert summary.p90 == pytest.approx(900, rel=0.01)
    assert summary.p99 == pytest.approx(990, rel=0.01)
    assert summary.max == 1000


def message(request_id: str) -> bytes:
    """Return a MESSAGE as the service sends it."""
    return encode_message("id" + request_id, request_id, None, "text", 0, "user", {})


def seen(ledger: Ledger, sight: Sight, *request_ids: str, now: int = 0) -> None:
    """Let a client receive messages."""
    for request_id in request_ids:
        sight.see(ledger.position(message(request_id)), now)


def faults(ledger: Ledger, *sights: Sight) -> tuple[int, int, int]:
    """Return what was lost, repeated and reordered."""
    return lost(ledger.accepted, sights), ledger.repeated, ledger.reordered


def test_all_is_well() -> None:
    """Clients that see every message once and in one order have nothing to complain about."""
    ledger = Ledger("run")
    sights = [Sight(ledger), Sight(ledger)]
    sent = [ledger.send(number % 2, now=number) for number in range(4)]
    # The room's order is its own: only one publisher's messages keep theirs.
    order = [sent[1], sent[0], sent[2], sent[3]]
    for sight in sights:
        seen(ledger, sight, *order, now=10)
    assert faults(ledger, *sights) == (0, 0, 0)
    assert (ledger.received, ledger.latencies.count, ledger.latencies.maximum) == (8, 8, 10)


def test_losses() -> None:
    """What a client did not see is lost: in the middle, at the end, and what nobody saw."""
    ledger = Ledger("run")
    whole, gap, short = Sight(ledger), Sight(ledger), Sight(ledger)
    a, b, c, _never = (ledger.send(0, now=0) for _ in range(4))
    seen(ledger, whole, a, b, c)
    seen(ledger, gap, a, c)
    seen(ledger, short, a)
    assert faults(ledger, whole, gap, short) == (1 + 2 + 3, 0, 0)


def test_repeats_and_reorders() -> None:
    """A message that comes again is a repeat, one that comes after a later one a reorder."""
    ledger = Ledger("run")
    first, second = Sight(ledger), Sight(ledger)
    a, b, c = (ledger.send(publisher, now=0) for publisher in range(3))
    seen(ledger, first, a, b, c, b)
    seen(ledger, second, a, c, b)
    assert faults(ledger, first, second) == (0, 1, 1)
    assert ledger.received == 6


def test_a_publishers_own_order() -> None:
    """That everybody sees one publisher's messages in another order is a reorder too."""
    ledger = Ledger("run")
    sight = Sight(ledger)
    a, b = ledger.send(0, now=0), ledger.send(0, now=0)
    seen(ledger, sight, b, a)
    assert faults(ledger, sight) == (0, 0, 1)


def test_refusals_are_not_losses() -> None:
    """A message that was refused is expected nowhere, and its code is counted."""
    ledger = Ledger("run")
    sight = Sight(ledger)
    a, b = ledger.send(0, now=0), ledger.send(0, now=0)
    assert ledger.position(encode_error("e", a, 429, "rate limit exceeded")) == FOREIGN
    seen(ledger, sight, b)
    assert faults(ledger, sight) == (0, 0, 0)
    assert ledger.refused == Counter({"429": 1})


@pytest.mark.parametrize("request_id", ["", "other/0", "run/1", "run/x", "run/-1"])
def test_what_others_send_does_not_count(request_id: str) -> None:
    """Other clients' messages, and what is no frame of the service, are let pass."""
    ledger = Ledger("run")
    sight = Sight(ledger)
    ledger.send(0, now=0)
    seen(ledger, sight, request_id)
    assert ledger.position(b"not JSON") == FOREIGN
    assert ledger.position(b'{"Type": "\xff"}') == FOREIGN
    assert (ledger.received, sight.seen) == (0, 0)


# ------------------------------------------------------------------------------------- clients


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.ended.append("closed")

    def abort(self) -> None:
        self.ended.append("aborted")


def upgraded(ledger: Ledger) -> tuple[Client, Wire]:
    """Return a client whose upgrade the server's own code has accepted, and its transport."""
    wire = Wire()
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    client = Client(ledger, "h:1", "to.ken", answer)
    client.connection_made(wire)
    lines = [line.split(b": ") for line in wire.written.split(b"\r\n")[1:] if line]
    upgrade = parse_upgrade(b"GET", [(name.lower(), value) for name, value in lines])
    assert upgrade.token == "to.ken"
    response, wire.written = accept_response(upgrade), b""
    client.data_received(response[:20])
    client.data_received(response[20:])
    assert answer.result() == OPENED
    return client, wire


async def test_a_client_takes_frames_in_pieces() -> None:
    """However the bytes are cut, each message is seen once; sizes of all three forms."""
    ledger = Ledger("run")
    texts = [
        encode_message("i", ledger.send(0, now=0), None, "x" * size, 0, "u", {})
        for size in (1, 500, 70_000)
    ]
    data = b"".join(frames.text_frame(text) for text in texts)
    for step in (1, 700, len(data)):
        client, wire = upgraded(ledger)
        for start in range(0, len(data), step) if step > 1 else range(200):
            client.data_received(data[start : start + step])
        assert client.sight.seen == (3 if step > 1 else 1)
        assert wire.ended == []


async def test_a_client_masks_and_answers() -> None:
    """Pings are answered and messages sent in frames that the server's decoder accepts."""
    client, wire = upgraded(Ledger("run"))
    client.data_received(frames.PING)
    client.send(b"x" * 300)
    client.close()
    assert frames.FrameDecoder().feed(wire.written) == [
        frames.Pong(b""),
        frames.Text(b"x" * 300),
        frames.Close(1000, ""),
    ]
    assert wire.ended == ["closed"]


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (frames.close_frame(CloseCode.NORMAL, "kicked"), "closed"),
        (encode_frame(TEXT, b"{}", b"mask"), "aborted"),
        (b"\x82\x00", "aborted"),
    ],
    ids=["close", "masked", "binary"],
)
async def test_a_client_ends(data: bytes, ending: str) -> None:
    """A close frame is answered; what a server must not send ends the connection."""
    client, wire = upgraded(Ledger("run"))
    client.data_received(data)
    assert (client.is_open, wire.ended) == (False, [ending])


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", "429"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n", "no WebSocket"),
        (b"", "closed"),
    ],
)
async def test_a_refused_client(response: bytes, says: str) -> None:
    """The answer of a refused connection is the status, or what was wrong instead."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    client = Client(Ledger("run"), "h", "t", answer)
    client.connection_made(Wire())
    client.data_received(response)
    client.connection_lost(None)
    assert answer.result() == says


# -------------------------------------------------------------------------------------- result


def measured(**faulty: int) -> Measured:
    """Return a result in which some deliveries are faulty."""
    counts = {"lost": 0, "repeated": 0, "reordered": 0} | faulty
    return Measured(
        endpoint="http://h:1",
        room=ROOM,
        seconds=1.0,
        interrupted=False,
        connections=Connections(100, 100, 0, 500.0, {}),
        messages=Messages(10, 10, 2, 10.0, {}),
        deliveries=Deliveries(expected=1000, received=1000, per_second=1000.0, **counts),
        latency_ms=None,
        client_cpu=0.95,
    )


def test_the_result_is_exact_only_if_nothing_is_wrong() -> None:
    """One fault of any kind is enough; the JSON says so."""
    assert measured().exact
    for fault in ("lost", "repeated", "reordered"):
        assert not measured(**{fault: 1}).exact
    assert json.loads(measured(lost=1).to_json())["exact"] is False


def test_the_lines_for_people() -> None:
    """The counts are shown, and that the load client was busy."""
    text = measured(lost=3).to_text()
    assert "100 of 100 opened" in text
    assert "3 lost, 0 repeated, 0 reordered" in text
    assert "95% of a core: it may be what was measured" in text
