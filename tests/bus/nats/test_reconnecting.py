"""One connection after another, step by step and without a server: what is carried, and until when.

Covers: greenroom.bus.nats.connection
"""

import asyncio
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from nats.errors import AuthorizationError, ConnectionClosedError
from structlog.testing import capture_logs

from greenroom.bus.base import BusRefused, BusUnreachable
from greenroom.bus.figures import Figures
from greenroom.bus.nats import connection
from greenroom.bus.nats.client import NotEncrypted
from greenroom.bus.nats.connection import Connection, NoAnswer, NoJetStream, Options
from greenroom.bus.nats.straight import Listener
from tests.running.buses import until

HANGS = object()
"""In place of a failure: no answer at all."""


class Client:
    """In place of nats-py's: connects, or fails as the test says."""

    def __init__(self, net: "Net", options: Mapping[str, object]) -> None:
        self.net = net
        self.made_with = dict(options)
        self.is_connected = False
        self.connected_server_version = SimpleNamespace(major=2, minor=net.minor, patch=3)
        self.max_payload = net.max_payload
        self.servers = net.known
        self.sent: list[tuple[str, bytes, str, object]] = []
        self.listeners: dict[str, Listener] = {}
        self.breaks: Exception | None = None
        """What it raises as its connection just breaks, of which nobody has heard."""
        self.unlistened: list[object] = []
        self.abandoned = self.reads_straight = False

    async def connect(self, servers: list[str], **options: Any) -> None:
        """Connect, or fail."""
        self.options = options
        self.net.tried.append(servers[0])
        await asyncio.sleep(0)
        failure = self.net.failures.pop(0) if self.net.failures else None
        if failure is HANGS:
            await asyncio.Event().wait()
        if isinstance(failure, tuple):
            await options["error_cb"](failure[0])
            raise failure[1]
        if failure is not None:
            raise failure
        self.is_connected = True

    async def listen(self, subject: str, listener: Listener, *, once: bool) -> object:
        """Note who listens."""
        self._check_whole()
        if not self.is_connected:
            raise ConnectionClosedError
        self.listeners[subject] = listener
        return subject

    async def unlisten(self, subscribed: object) -> None:
        """Note who does no longer."""
        self._check_whole()
        if not self.is_connected:
            raise ConnectionClosedError
        self.unlistened.append(subscribed)

    def read_straight(self) -> None:
        """Note it: there is no socket."""
        assert self.is_connected
        self.reads_straight = True

    def say(self, subject: str, data: bytes, reply: str, headers: object) -> None:
        """Note what is sent."""
        if data == b"bad":
            raise RuntimeError
        self.sent.append((subject, data, reply, headers))

    def _check_whole(self) -> None:
        if self.breaks is not None:
            raise self.breaks

    async def close(self) -> None:
        """End it as a server does."""
        self.is_connected = False
        await self.options["closed_cb"]()

    async def abandon(self) -> None:
        """Note that it was left."""
        self.is_connected, self.abandoned = False, True


class Net:
    """Servers, and all clients that were made."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.tried: list[str] = []
        self.failures: list[Any] = []
        """What the next attempts fail with; None is none."""
        self.minor = 11
        self.max_payload = 1 << 20
        self.known = ["one"]

    def client(self, **options: object) -> Client:
        """Make one."""
        self.clients.append(Client(self, options))
        return self.clients[-1]


class Node:
    """A connection, and what it has told."""

    def __init__(self, net: Net, *servers: str) -> None:
        self.told: list[str] = []
        self.prepare_failures: list[Exception] = []
        self.figures = Figures()
        self.connection = Connection(
            Options(servers=servers or ["nats://one"]),
            "here",
            self.figures,
            prepare=self._prepare,
            up=lambda: self.told.append("up"),
            down=lambda: self.told.append("down"),
        )

    async def _prepare(self) -> None:
        self.told.append("prepare")
        if self.prepare_failures:
            raise self.prepare_failures.pop(0)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    """Give servers, at which nothing takes long."""
    made = Net()
    monkeypatch.setattr(connection, "DirectClient", made.client)
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(connection, "WATCH_SECONDS", 0.001)
    return made


async def test_what_is_prepared_comes_first(net: Net) -> None:
    """Before anybody is told that there is a connection; answers are listened for before that."""
    node = Node(net)
    await node.connection.open(5)
    assert node.told == ["prepare", "up"]
    assert (node.connection.is_up, node.figures.connected) == (True, True)
    (client,) = net.clients
    (inbox,) = client.listeners
    assert inbox == node.connection.reply_to(b"*")
    assert client.made_with == {"public_nkey": None, "encrypted": False}
    await node.connection.close()
    assert (node.told[2:], client.abandoned) == (["down"], True)
    assert (node.connection.is_up, node.figures.connected) == (False, False)
    assert not node.connection._tasks


@pytest.mark.parametrize("error", [ConnectionResetError(), RuntimeError(), AttributeError()])
async def test_a_connection_that_breaks_while_it_is_used(net: Net, error: Exception) -> None:
    """Who listens, no longer listens or goes to another server meets no error but that it ended."""
    node = Node(net, "nats://one", "nats://two")
    await node.connection.open(5)
    net.clients[0].breaks = error
    with pytest.raises(NoAnswer, match="the connection ended"):
        await node.connection.listen("subject", lambda *_: None)
    subscribed: Any = "subject"
    await node.connection.unlisten(subscribed)
    await node.connection.move_on()
    assert net.clients[0].abandoned
    await until(lambda: len(net.clients) == 2 and node.connection.is_up)
    await node.connection.close()


async def test_servers_are_tried_in_turns(net: Net) -> None:
    """Until one can be used; TLS is asked for where its URL says so."""
    net.failures = [OSError(), None]
    node = Node(net, "nats://one", "tls://two")
    await node.connection.open(5)
    assert net.tried == ["nats://one", "tls://two"]
    assert [each.made_with["encrypted"] for each in net.clients] == [False, True]
    assert net.clients[0].abandoned
    await node.connection.move_on()
    await until(lambda: len(net.tried) == 3 and node.connection.is_up)
    assert net.tried[2] == "nats://one"
    assert node.figures.reconnects == 1
    assert node.told == ["prepare", "up", "down", "prepare", "up"]
    await node.connection.close()


async def test_a_single_server_is_not_left(net: Net) -> None:
    """There is no other to go to."""
    node = Node(net)
    await node.connection.open(5)
    await node.connection.move_on()
    await asyncio.sleep(0.01)
    assert (len(net.clients), node.told) == (1, ["prepare", "up"])
    await node.connection.close()
    await node.connection.end()


def expired() -> ssl.SSLCertVerificationError:
    """Return what Python raises for a certificate that has expired."""
    error = ssl.SSLCertVerificationError()
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("failure", "error", "said"),
    [
        (AuthorizationError(), BusUnreachable, "nats://one does not let this node in"),
        ((Exception("Authorization Violation"), OSError()), BusUnreachable, "not let this node in"),
        (NotEncrypted("it does not encrypt"), BusUnreachable, "nats://one: it does not encrypt"),
        ((expired(), OSError()), BusUnreachable, "not accepted: certificate has expired"),
    ],
)
async def test_what_will_not_pass_is_told_at_once(
    net: Net, failure: Any, error: type[Exception], said: str
) -> None:
    """A start does not wait for it; credentials are not told."""
    net.failures = [failure]
    node = Node(net, "nats://name:secret@one")
    with pytest.raises(error, match=said):
        await node.connection.open(60)
    assert net.clients[0].abandoned


@pytest.mark.parametrize(
    ("failure", "error", "said"),
    [
        (NoAnswer("no leader"), BusUnreachable, "NATS cannot be used: no leader"),
        (NoJetStream("JetStream is not enabled"), BusRefused, "cannot be used: JetStream is not"),
    ],
)
async def test_what_may_pass_is_waited_for(
    net: Net, failure: Exception, error: type[Exception], said: str
) -> None:
    """As long as a start may take: then the last reason is told."""
    node = Node(net)
    node.prepare_failures = [failure] * 3
    await node.connection.open(5)
    assert len(net.clients) == 4
    await node.connection.close()
    node = Node(net)
    node.prepare_failures = [failure] * 1000
    with pytest.raises(BusRefused, match=said) as refused:
        await node.connection.open(0.05)
    assert isinstance(refused.value, error)
    assert isinstance(refused.value, BusUnreachable) is (error is BusUnreachable)
    await node.connection.close()


async def test_a_start_that_waits_says_so(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """What for, and without credentials; when it has begun nothing is said any more."""
    loop = asyncio.get_running_loop()
    later, telling = loop.call_later, list[tuple[asyncio.TimerHandle, Any, Any]]()

    def noting(seconds: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        handle = later(seconds, callback, *arguments)
        if seconds == 3600:
            telling.append((handle, callback, arguments))
        return handle

    async def prepare() -> None:
        ((_, callback, arguments),) = telling
        callback(*arguments)

    monkeypatch.setattr(loop, "call_later", noting)
    monkeypatch.setattr(connection, "TOLD_AFTER_SECONDS", 3600)
    net.failures = [OSError("away")]
    node = Node(net, "nats://name:secret@one", "nats://two")
    node.connection._prepare = prepare
    with capture_logs() as lines:
        await node.connection.open(5)
    assert lines == [
        {
            "event": "waiting for NATS",
            "servers": "nats://one, nats://two",
            "seconds": 5,
            "reason": "nats://one: away",
            "log_level": "warning",
        }
    ]
    ((handle, _, _),) = telling
    assert handle.cancelled()
    await node.connection.close()


async def test_a_start_tries_at_the_same_pace(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded as a whole."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    node = Node(net)
    net.failures = [OSError()] * 3
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(asyncio, "sleep", pause)
    await node.connection.open(5)
    assert [each for each in pauses if each] == [0.2, 0.2, 0.2]
    await node.connection.close()


async def test_how_a_server_is_met(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py connects once, and watches; all else is decided here, where the time is bounded."""
    bounds: list[float | None] = []
    timeout = asyncio.timeout

    def bounded(seconds: float | None) -> asyncio.Timeout:
        is_first = seconds == 5 and 5 not in bounds
        bounds.append(seconds)
        return timeout(0.01 if is_first else seconds)

    monkeypatch.setattr(asyncio, "timeout", bounded)
    net.failures = [HANGS]
    node = Node(net)
    await node.connection.open(60)
    assert bounds[:3] == [60, 5, 5]
    (hanging, client) = net.clients
    assert hanging.abandoned
    assert client.reads_straight
    options = {name: value for name, value in client.options.items() if not callable(value)}
    assert options == {
        "name": "greenroom",
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": 2,
        "ping_interval": 1,
        "max_outstanding_pings": 2,
        "pending_size": connection.OUTGOING_BYTES,
        "skip_subject_validation": True,
        **dict.fromkeys(("tls", "user", "password", "token", "signature_cb", "user_jwt_cb")),
    }
    assert node.connection.version == "2.11.3"
    await node.connection.close()


async def test_what_a_server_refuses(net: Net) -> None:
    """It is told, to the log and to whoever looks at rights; another fault is not."""
    node = Node(net)
    await node.connection.open(5)
    failed = net.clients[0].options["error_cb"]
    with capture_logs() as lines:
        await failed(Exception('Permissions Violation for Publish to "a"'))
        refused: list[str] = []
        node.connection.on_refusal(refused.append)
        await failed(Exception("slow consumer"))
        await failed(Exception("nats: permissions violation"))
    assert refused == ["nats: permissions violation"]
    assert [line["event"] for line in lines] == ["NATS refuses a part of what is asked"]
    await node.connection.close()
    await failed(Exception("nats: permissions violation"))
    assert len(refused) == 1


async def test_the_end_of_an_old_connection_is_none_of_the_new_one(net: Net) -> None:
    """nats-py may say so late."""
    node = Node(net)
    await node.connection.open(5)
    await node.connection.end()
    await until(lambda: node.connection.is_up and len(net.clients) == 2)
    await net.clients[0].options["closed_cb"]()
    assert node.connection.is_up
    await node.connection.close()


async def test_an_end_is_heard_at_once(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the next look at the connection."""
    monkeypatch.setattr(connection, "WATCH_SECONDS", 60)
    node = Node(net)
    await node.connection.open(5)
    await asyncio.sleep(0)  # until it is watched
    await net.clients[0].close()
    await until(lambda: node.figures.reconnects == 1)
    await node.connection.close()


async def test_a_connection_that_ends_before_it_is_watched(net: Net) -> None:
    """The next one is made all the same."""
    node = Node(net)
    await node.connection.open(5)
    await net.clients[0].close()
    await until(lambda: node.figures.reconnects == 1)
    assert node.told == ["prepare", "up", "down", "prepare", "up"]
    await node.connection.close()


async def test_what_could_not_be_prepared_is_no_connection(net: Net) -> None:
    """Nothing goes over it; who expected an answer over it gets none over another one."""
    node = Node(net)
    node.connection.expect(lambda *_: None)
    node.prepare_failures = [BusRefused("not this one")]
    with pytest.raises(BusRefused, match="not this one"):
        await node.connection.open(5)
    node.connection.send("a", b"1")
    assert net.clients[0].sent == []
    with pytest.raises(NoAnswer, match="there is no connection"):
        await node.connection.listen("a", lambda *_: None)
    assert not node.connection._answers
    assert node.told == ["prepare"]


async def test_what_is_known_of_servers_before_one_was_met(net: Net) -> None:
    """Nothing."""
    made = Node(net).connection
    assert (made.is_up, made.copies, made.servers, made.version) == (False, 0, 0, "")


async def test_what_a_server_has_ended_is_let_go(net: Net) -> None:
    """The client holds on to its socket and its tasks until then."""
    node = Node(net)
    await node.connection.open(5)
    await asyncio.sleep(0)  # until it is watched
    await net.clients[0].close()
    await until(lambda: node.figures.reconnects == 1)
    assert net.clients[0].abandoned
    await node.connection.close()


async def test_no_server_answers(net: Net) -> None:
    """Nothing else is known, when the time is over at once."""
    with pytest.raises(BusUnreachable, match="no server answers"):
        await Node(net).connection.open(0)


@pytest.mark.parametrize(("minor", "good"), [(10, False), (11, True), (12, True)])
async def test_the_least_version(net: Net, minor: int, good: bool) -> None:
    """One that is older is refused, with both versions."""
    net.minor = minor
    node = Node(net)
    if good:
        await node.connection.open(5)
        await node.connection.close()
    else:
        with pytest.raises(BusRefused, match=r"is nats-server 2\.10\.3: 2\.11 is the least"):
            await node.connection.open(5)


@pytest.mark.parametrize(("payload", "most"), [(1 << 20, 1 << 19), (1000, 500), (8 << 20, 1 << 19)])
async def test_how_much_goes_into_a_message(net: Net, payload: int, most: int) -> None:
    """Half of what the server takes, and no more than is usual."""
    net.max_payload, net.known = payload, ["one", "two", "three"]
    node = Node(net, "nats://one", "nats://two")
    await node.connection.open(5)
    assert (node.connection.most_bytes, node.connection.servers) == (most, 3)
    await node.connection.close()


async def test_attempts_become_rarer(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound; the log says why, once."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    node = Node(net)
    await node.connection.open(5)
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(asyncio, "sleep", pause)
    net.failures = [OSError("away"), RuntimeError("secret"), *[OSError()] * 5]
    pauses.clear()
    with capture_logs() as lines:
        net.clients[0].is_connected = False
        while node.figures.reconnects == 0:
            await sleep(0.001)
    assert [each for each in pauses if each] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    events = [(line["event"], line.get("reason")) for line in lines]
    assert events == [
        ("the connection to NATS ended", None),
        ("NATS cannot be used: trying again", "nats://one: away"),
        ("connected to NATS again", None),
    ]
    await node.connection.close()


async def test_a_connection_that_ends_while_it_is_prepared_is_none(net: Net) -> None:
    """Nobody is told of it."""
    node = Node(net)

    async def prepare() -> None:
        if len(net.clients) == 1:
            await net.clients[0].close()

    node.connection._prepare = prepare
    await node.connection.open(5)
    assert (len(net.clients), node.told) == (2, ["up"])
    await node.connection.close()


async def test_what_is_sent(net: Net) -> None:
    """In its order over the connection that there is; what cannot be sent stops nothing else."""
    node = Node(net)
    node.connection.send("early", b"1")
    await node.connection.open(5)
    with capture_logs() as lines:
        node.connection.send("a", b"1", "reply", {"Name": "value"})
        node.connection.send("b", b"bad")
        node.connection.send("c", b"2")
        await until(lambda: len(net.clients[0].sent) == 2)
    assert net.clients[0].sent == [("a", b"1", "reply", {"Name": "value"}), ("c", b"2", "", None)]
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("a message could not be sent", "RuntimeError")
    ]
    node.connection.send("d", b"3")
    await node.connection.end()
    await until(lambda: len(net.clients) == 2 and node.connection.is_up)
    await asyncio.sleep(0.01)
    assert net.clients[1].sent == [], "what was not sent before is never sent"
    await node.connection.close()


async def test_answers_go_to_who_expects_them(net: Net) -> None:
    """Until they are forgotten, or the connection has ended."""
    node = Node(net)
    await node.connection.open(5)
    (listener,) = net.clients[0].listeners.values()
    got: list[tuple[bytes, bytes]] = []
    one, two = (node.connection.expect(lambda *what: got.append(what)) for _ in range(2))
    assert one != two
    subject = node.connection.reply_to(one).encode()
    listener(subject, b"h", b"1")
    listener(node.connection.reply_to(b"99").encode(), b"h", b"2")
    node.connection.forget(one)
    node.connection.forget(one)
    listener(subject, b"h", b"3")
    listener(node.connection.reply_to(two).encode(), b"h", b"4")
    assert got == [(b"h", b"1"), (b"h", b"4")]
    await node.connection.close()
    assert not node.connection._answers


async def test_requests(net: Net) -> None:
    """An answer is returned; none, nobody and no JetStream are told apart."""
    node = Node(net)
    await node.connection.open(5)
    client = net.clients[0]
    (listener,) = client.listeners.values()

    async def asked(subject: str, headers: bytes, data: bytes) -> tuple[bytes, bytes]:
        client.sent.clear()
        asking = asyncio.create_task(node.connection.request(subject, b"?", 5))
        await until(lambda: client.sent)
        _, _, reply, _ = client.sent[0]
        for _ in range(2):
            listener(reply.encode(), headers, data)
        return await asking

    assert await asked("a", b"", b"yes") == (b"", b"yes")
    assert await asked("$JS.API.x", b"NATS/1.0 404\r\n\r\n", b"") == (b"NATS/1.0 404\r\n\r\n", b"")
    with pytest.raises(NoJetStream):
        await asked("$JS.API.x", b"NATS/1.0 503\r\n\r\n", b"")
    with pytest.raises(NoAnswer, match="nobody answers a") as nobody:
        await asked("a", b"NATS/1.0 503\r\n\r\n", b"")
    assert not isinstance(nobody.value, NoJetStream)
    with pytest.raises(NoAnswer, match=r"no answer to a in 0\.01 s"):
        await node.connection.request("a", b"?", 0.01)
    assert not node.connection._answers
    await node.connection.close()


async def test_who_listens(net: Net) -> None:
    """What a listener raises ends nothing; without a connection nobody listens."""
    node = Node(net)
    got: list[bytes] = []

    def listener(subject: bytes, headers: bytes, data: bytes) -> None:
        got.append(data)
        raise ValueError(data)

    with pytest.raises(NoAnswer, match="there is no connection"):
        await node.connection.listen("a", listener)
    await node.connection.unlisten("a")  # type: ignore[arg-type]  # any will do
    await node.connection.open(5)
    subscribed = await node.connection.listen("a", listener)
    with capture_logs() as lines:
        for data in (b"1", b"2"):
            net.clients[0].listeners["a"](b"a", b"", data)
    assert (got, node.figures.undecodable) == ([b"1", b"2"], 2)
    assert [line["event"] for line in lines] == ["a message on the bus was not understood"]
    await node.connection.unlisten(subscribed)
    assert net.clients[0].unlistened == ["a"]
    net.clients[0].is_connected = False
    with pytest.raises(NoAnswer, match="the connection ended"):
        await node.connection.listen("b", listener)
    await node.connection.unlisten(subscribed)
    await node.connection.close()


async def test_tasks_of_the_bus(net: Net) -> None:
    """One that crashes is logged; those that run end with the bus."""
    node = Node(net)
    ended = asyncio.Event()

    async def crash() -> None:
        raise RuntimeError

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as lines:
        node.connection.start(crash)
        node.connection.start(last)
        await until(lambda: len(node.connection._tasks) == 1)
    assert [(line["event"], line["error"]) for line in lines] == [
        ("a task of the bus crashed", "RuntimeError")
    ]
    await node.connection.close()
    assert ended.is_set()
    assert not node.connection._tasks


async def test_the_end_of_the_bus_is_no_fault(net: Net) -> None:
    """The log tells of a connection that ended, not of one that was ended."""
    node = Node(net)
    await node.connection.open(5)
    with capture_logs() as lines:
        await node.connection.close()
    assert lines == []
