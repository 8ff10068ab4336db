"""The connection of a node to NATS, which is made anew for as long as the node runs.

- Each connection is a client of its own: what an old one had not written yet is never sent later.
  nats-py would give up for ever where a server ends a connection for a reason of its own.
- What is sent while there is none is not kept: who sent it hears of the end, and asks again.
- A server that does not answer for `PING_SECONDS` twice is left.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

import msgspec
import structlog
from nats.errors import AuthorizationError, Error

from greenroom.bus.base import BusRefused, BusUnreachable
from greenroom.bus.figures import Figures
from greenroom.bus.nats import subjects
from greenroom.bus.nats.client import DirectClient, NotEncrypted, Subscribed
from greenroom.bus.nats.headers import status
from greenroom.bus.nats.login import Login
from greenroom.bus.nats.straight import Listener
from greenroom.process.os_error import in_words

CONNECT_SECONDS = 2
PING_SECONDS = 1
WATCH_SECONDS = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts to connect; each pause is twice the last one."""

TOLD_AFTER_SECONDS = 0.5
"""How long a first connection may take before the log says that it is waited for."""

NOBODY = "no server answers"

OUTGOING_BYTES = 4 << 20
"""Bytes that a server may not have taken yet before nothing more is given to it."""

MOST_BYTES = 512 << 10

LEAST_VERSION = (2, 11)

log = structlog.get_logger()

ENDED = (Error, OSError, RuntimeError, AttributeError)
"""What nats-py raises where a connection just ends: it may write to what is left of that."""

Answer = Callable[[bytes, bytes], None]
"""Takes an answer: its headers and its data."""


class NoAnswer(Exception):
    """No server answered."""


class NoJetStream(NoAnswer):
    """A server is there, and nobody who keeps streams."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers are, and how they are met; `replicas` of None is as many as there are."""

    servers: Sequence[str]
    login: Login = Login()
    tls: Callable[[], ssl.SSLContext] | None = None
    """Returns how servers are met that encrypt, for each connection: files may be renewed."""
    replicas: int | None = None
    stream_bytes: int = 1 << 30


class Connection:
    """Connects, tells when it did and when that ended, and carries what is sent."""

    def __init__(
        self,
        options: Options,
        node: str,
        figures: Figures,
        *,
        prepare: Callable[[], Awaitable[None]],
        up: Callable[[], None],
        down: Callable[[], None],
    ) -> None:
        """Make it.

        `prepare` does over a new connection what comes before everything else, and raises NoAnswer
        or BusRefused; `up` is told then, and `down` when it has ended.
        """
        self._options = options
        self._figures = figures
        self._prepare = prepare
        self._up = up
        self._down = down
        self._inbox = subjects.inbox(node)
        self._client: DirectClient | None = None
        self._ended = asyncio.Event()
        self._answers: dict[bytes, Answer] = {}
        self._tokens = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self._closing = False
        self._unreached: NoAnswer | None = None
        self._refusal: Callable[[str], None] = _pass_over
        self.is_up = False
        self.copies = 0
        """How many servers keep each stream, at most."""
        self.version = ""
        """The version of the server of the last connection."""
        self.servers = 0
        """How many servers the last connection told of."""
        self.most_bytes = MOST_BYTES
        """How much goes into one message with some others, in bytes."""

    async def open(self, seconds: float) -> None:
        """Connect for the first time.

        Raises:
            BusRefused: no server can be used, or none is ready in that time.
        """
        loop = asyncio.get_running_loop()
        telling = loop.call_later(TOLD_AFTER_SECONDS, self._tell_waiting, seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._reach()
        except TimeoutError:
            error = self._unreached
            kind = BusRefused if isinstance(error, NoJetStream) else BusUnreachable
            raise kind(f"NATS cannot be used: {error or NOBODY}") from None
        finally:
            telling.cancel()
        self.start(self._keep)

    async def _reach(self) -> None:
        """Try until there is a connection."""
        while not self.is_up:
            try:
                await self._connect()
            except NoAnswer as failure:
                self._unreached = failure
                await asyncio.sleep(FIRST_PAUSE * 4)

    def _tell_waiting(self, seconds: float) -> None:
        """Tell what a start waits for: it would be silent for all that time."""
        servers = ", ".join(map(_shown, self._options.servers))
        reason = str(self._unreached or NOBODY)
        log.warning("waiting for NATS", servers=servers, seconds=seconds, reason=reason)

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do something for as long as the bus runs; its errors are logged."""
        _ = self.started(work)

    def started(self, work: Callable[[], Coroutine[None, None, None]]) -> "asyncio.Task[None]":
        """Do the same; return what is done then."""
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End everything."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        client = self._client
        self._lose()
        if client is not None:
            await client.abandon()

    async def move_on(self) -> None:
        """Go to another server, if there is one."""
        if len(self._options.servers) > 1:
            await self.end()

    async def end(self) -> None:
        """End this connection; the next one is made at once."""
        client = self._client
        if client is not None:
            # Not `close`, which writes first what waits: to a server that takes nothing, or is
            # gone, that fails or does not end.
            await client.abandon()

    def send(
        self, subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message, if there is a connection."""
        if self._client is None:
            return
        try:
            self._client.say(subject, data, reply, headers)
        except Exception as error:  # noqa: BLE001 - whoever sends asks again
            self._figures.tell("a message could not be sent", reason=in_words(error))

    def expect(self, answer: Answer) -> bytes:
        """Have answers given to somebody until `forget`; return their token."""
        token = b"%d" % next(self._tokens)
        self._answers[token] = answer
        return token

    def forget(self, token: bytes) -> None:
        """Have further answers to a token go nowhere."""
        self._answers.pop(token, None)

    def reply_to(self, token: bytes) -> str:
        """Return the subject of answers to a token."""
        return self._inbox + token.decode()

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        """Ask, and return the headers and the data of the answer.

        Raises:
            NoAnswer: there was none in time, or nobody is there to give one.
        """
        answered: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()

        def answer(headers: bytes, data: bytes) -> None:
            if not answered.done():
                answered.set_result((headers, data))

        token = self.expect(answer)
        try:
            self.send(subject, data, self.reply_to(token))
            async with asyncio.timeout(seconds):
                headers, data = await answered
        except TimeoutError:
            raise NoAnswer(f"no answer to {subject} in {seconds:g} s") from None
        finally:
            self.forget(token)
        if status(headers) == 503:
            if subject.startswith("$JS."):
                raise NoJetStream("JetStream is not enabled, or has no leader")
            raise NoAnswer(f"nobody answers {subject}")
        return headers, data

    async def listen(self, subject: str, listener: Listener, *, once: bool = False) -> Subscribed:
        """Give each message of a subject to a listener, until this connection ends; or the first.

        What a listener raises is counted: it is for bytes that are not of this service.

        Raises:
            NoAnswer: the connection ended.
        """

        def guarded(subject: bytes, headers: bytes, data: bytes) -> None:
            try:
                listener(subject, headers, data)
            except Exception as error:  # noqa: BLE001 - the read loop would end
                self._figures.undecodable += 1
                self._figures.tell("a message on the bus was not understood", error=in_words(error))

        if self._client is None:
            raise NoAnswer("there is no connection")
        try:
            return await self._client.listen(subject, guarded, once=once)
        except ENDED:
            raise NoAnswer("the connection ended") from None

    async def unlisten(self, subscribed: Subscribed) -> None:
        """Give no more messages of it to anybody; so it is already if its connection ended."""
        if self._client is not None:
            with contextlib.suppress(*ENDED):
                await self._client.unlisten(subscribed)

    async def _keep(self) -> None:
        """Connect again whenever a connection ends."""
        while True:
            await self._lost()
            pause = FIRST_PAUSE
            while not self.is_up:
                try:
                    await self._connect()
                except Exception as error:  # noqa: BLE001 - who gave up would need a restart
                    known = isinstance(error, NoAnswer | BusRefused)
                    reason = str(error) if known else type(error).__name__
                    self._figures.tell("NATS cannot be used: trying again", reason=reason)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            self._figures.reconnects += 1
            log.info("connected to NATS again")

    async def _lost(self) -> None:
        """Return when the connection has ended. nats-py does not always say so: it is looked at."""
        client = self._client
        while client is not None and client is self._client and client.is_connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._ended.wait()
        self._lose()
        if client is not None:
            await client.abandon()

    async def _connect(self) -> None:
        """Connect to the next server.

        Raises:
            NoAnswer: it cannot be reached, or ended the connection.
            BusRefused: it refuses this node, or cannot be used.
        """
        servers = self._options.servers
        server = servers[self._next % len(servers)]
        self._next += 1
        client = DirectClient(
            public_nkey=self._options.login.public_nkey, encrypted=server.startswith("tls://")
        )
        self._ended.clear()
        try:
            await self._meet(client, server)
            self._client = client
            await self.listen(f"{self._inbox}*", self._answered)
            await self._prepare()
            self._check_open(client, server)
        except BaseException:
            self._lose()
            await client.abandon()
            raise
        self.is_up = self._figures.connected = True
        self._up()

    def _check_open(self, client: DirectClient, server: str) -> None:
        if client is not self._client:
            raise NoAnswer(f"{_shown(server)} ended the connection")

    async def _meet(self, client: DirectClient, server: str) -> None:
        login, failures = self._options.login, list[Exception]()

        async def failed(error: Exception) -> None:
            if client is self._client:
                self._told(in_words(error))
            else:
                failures.append(error)

        async def closed() -> None:
            if client is self._client:
                self._lose()

        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS + 1):
                await client.connect(
                    [server],
                    error_cb=failed,
                    closed_cb=closed,
                    name="greenroom",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    pending_size=OUTGOING_BYTES,
                    skip_subject_validation=True,
                    tls=None if self._options.tls is None else self._options.tls(),
                    user=login.user,
                    password=login.password,
                    token=login.token,
                    signature_cb=login.sign,
                    user_jwt_cb=login.jwt,
                )
        except (Error, OSError, TimeoutError) as error:
            cause = failures[-1] if failures else error
            text = f"{_shown(server)}: {in_words(cause)}"
            if isinstance(cause, AuthorizationError) or "authoriz" in str(cause).lower():
                raise BusUnreachable(f"{_shown(server)} does not let this node in") from None
            if isinstance(cause, ssl.SSLCertVerificationError | NotEncrypted):
                raise BusUnreachable(f"{_shown(server)}: {_reason(cause)}") from None
            raise NoAnswer(text) from None
        client.read_straight()
        version = client.connected_server_version
        if (version.major, version.minor) < LEAST_VERSION:
            raise BusRefused(
                f"{_shown(server)} is nats-server {version.major}.{version.minor}.{version.patch}:"
                f" {LEAST_VERSION[0]}.{LEAST_VERSION[1]} is the least"
            )
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        self.most_bytes = min(MOST_BYTES, client.max_payload // 2)
        self.servers = max(len(self._options.servers), len(client.servers))

    def on_refusal(self, receiver: Callable[[str], None]) -> None:
        """Call the receiver with what a server refuses of what it is asked, in its words."""
        self._refusal = receiver

    def _told(self, what: str) -> None:
        """Take what a server said of a connection that stands."""
        if "permissions violation" in what.lower():
            self._figures.tell("NATS refuses a part of what is asked", reason=what)
            self._refusal(what)

    def _lose(self) -> None:
        """Take the connection for ended."""
        was_up, self.is_up = self.is_up, False
        self._client = None
        self._figures.connected = False
        self._answers.clear()
        self._ended.set()
        if was_up and not self._closing:
            self._figures.tell("the connection to NATS ended")
        if was_up:
            self._down()

    def _answered(self, subject: bytes, headers: bytes, data: bytes) -> None:
        answer = self._answers.get(subject[len(self._inbox) :])
        if answer is not None:
            answer(headers, data)


def _pass_over(_why: str) -> None:
    """Nobody asks."""


async def _logged(work: Callable[[], Coroutine[None, None, None]]) -> None:
    try:
        await work()
    except Exception as error:
        log.exception("a task of the bus crashed", error=type(error).__name__)


def _shown(server: str) -> str:
    """Return a server's URL without its credentials."""
    scheme, separator, rest = server.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _reason(error: ssl.SSLCertVerificationError | NotEncrypted) -> str:
    if isinstance(error, NotEncrypted):
        return str(error)
    return f"its certificate is not accepted: {error.verify_message}"
