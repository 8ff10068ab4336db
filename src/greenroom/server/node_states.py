"""What each node of a cluster tells of itself: now and then, and to whoever asks.

The other nodes need little of it, and people more: `greenroom cluster status` asks all that are
there. Fields are only ever added, with a default: nodes of two versions understand each other.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from greenroom import __version__
from greenroom.bus.base import About, Peers
from greenroom.chatlog.streamed import StreamedChatLog
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub

TELL_SECONDS = 10.0
"""How often a node tells it unasked."""

SILENT_SECONDS = 35.0
"""A node that was silent for so long is forgotten."""

ASK_SECONDS = 1.0
"""How often nodes are asked of which nothing is known."""

ANSWER_SECONDS = 3.0
"""When one should have answered: it was asked three times."""

MOST_NODES = 10_000
MOST_DELIVERIES = 20


class Delivering(msgspec.Struct, frozen=True):
    """What waits for a logging configuration that the node delivers for."""

    configuration: str
    records: int
    age_seconds: float


class NodeState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, as it says; times are its own, in nanoseconds since the epoch."""

    node: str
    host: str = ""
    pid: int = 0
    process: int = 0
    """Its number among several behind one port; 0: it is alone."""
    version: str = ""
    started_ns: int = 0
    sent_ns: int = 0
    connections: int = 0
    rooms: int = 0
    failing: Sequence[str] = ()
    """Parts of its health that fail; it is looked at for who asks."""
    lags: Mapping[int, float] = {}
    """The streams that it reads for chat logs, with the age of what may be missing of each."""
    deliveries: Sequence[Delivering] = ()
    answers: str = ""
    """Which question it answers, if any."""
    holds: bool = False
    """Whether it knows of messages that wait until viewers may see them."""


log = structlog.get_logger()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(NodeState)

encode = _encoder.encode


def decode(payload: bytes) -> NodeState:
    """Return what a node has told.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is nothing of the kind.
    """
    return _decoder.decode(payload)


class NodeStates:
    """Tells what this node is, and knows of which versions the others are."""

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        read: Callable[[], NodeState],
        there: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Make it; `read` returns what is true of this node now, `there` which others there are."""
        self._peers = peers
        self._clock = clock
        self._tasks = tasks
        self._read = read
        self._there = there
        self._others: dict[str, tuple[str, float]] = {}
        # Those of them that know nothing of messages that wait, and the nodes that ever said that
        # they do: a process does not forget it.
        self._without: set[str] = set()
        self._with: dict[str, None] = {}
        # Since when it matters what the others are, of which that is not known.
        self._unknown: dict[str, float] = {}
        self._asked_at = float("-inf")
        self._answering = False
        self.failing: Callable[[], Awaitable[Sequence[str]]] | None = None
        """Looks which parts of the health fail."""
        peers.on_announcement(self._heard, About.STATE)
        peers.on_announcement(self._asked, About.ASKED)

    def start(self) -> None:
        """Tell the others at once, and ask what they are."""
        self._tell()
        self._ask()

    def tick(self) -> None:
        """Tell the others; forget who is silent."""
        self._tell()
        now = self._clock.monotonic()
        silent = [each for each, (_, at) in self._others.items() if now - at >= SILENT_SECONDS]
        for node in silent:
            del self._others[node]
            self._without.discard(node)

    @property
    def versions(self) -> int:
        """How many versions the nodes are of, this one included."""
        return len({__version__, *(version for version, _ in self._others.values())})

    @property
    def all_hold(self) -> bool:
        """Return whether all nodes know of messages that wait: those of 0.2.0 show them at once.

        One of which no more than its presence is known is asked. Until it should have answered it
        is taken for one that does, as nearly all are: else what is said while a node comes would
        not wait.
        """
        unknown = [each for each in self._there() if each not in self._with]
        if not unknown:
            self._unknown.clear()
            return not self._without
        now = self._clock.monotonic()
        if now - self._asked_at >= ASK_SECONDS:
            self._ask()
        self._unknown = {each: self._unknown.get(each, now) for each in unknown}
        is_answer_due = now - min(self._unknown.values()) >= ANSWER_SECONDS
        return not (self._without or is_answer_due)

    def _ask(self) -> None:
        self._asked_at = self._clock.monotonic()
        self._peers.announce(b"", About.ASKED)

    def _heard(self, payload: bytes) -> None:
        try:
            told = decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Counted where announcements of presence are: it is the same stranger.
            return
        if len(self._others) < MOST_NODES or told.node in self._others:
            self._others[told.node] = told.version, self._clock.monotonic()
            if not told.holds:
                self._without.add(told.node)
                return
            self._with[told.node] = None
            while len(self._with) > MOST_NODES:
                del self._with[next(iter(self._with))]

    def _asked(self, payload: bytes) -> None:
        if not payload:
            # Another node, which does not ask for the health.
            self._tell()
        elif not self._answering:
            # One at a time: what comes meanwhile is answered by the next tick.
            self._answering = True
            self._tasks.create_task(self._answer(payload[:64].decode("ascii", "replace")))

    async def _answer(self, question: str) -> None:
        failing: Sequence[str] = ()
        try:
            if self.failing is not None:
                failing = await self.failing()
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("a health could not be looked at", error=type(error).__name__)
        finally:
            self._answering = False
        self._tell(failing, question)

    def _tell(self, failing: Sequence[str] = (), answers: str = "") -> None:
        state = msgspec.structs.replace(self._read(), failing=failing, answers=answers)
        self._peers.announce(encode(state), About.STATE)


def reader(
    node: str,
    clock: Clock,
    hub: Hub,
    chat_log: StreamedChatLog,
    process: int = 0,
) -> Callable[[], NodeState]:
    """Return what reads the state of this node."""
    lasting = of_this_process(node, clock, process)

    def read() -> NodeState:
        depths = sorted(chat_log.depths(), key=lambda depth: -depth.age_seconds)
        return msgspec.structs.replace(
            lasting,
            sent_ns=clock.wall_ns(),
            connections=hub.connections,
            rooms=hub.rooms,
            lags=chat_log.lags(),
            deliveries=[
                Delivering(str(each.configuration), each.records, each.age_seconds)
                for each in depths[:MOST_DELIVERIES]
            ],
        )

    return read


def name_of_process() -> str:
    """Return what people know this process by in the logs of other nodes: its machine, its pid."""
    return f"{_host()} ({os.getpid()})"


def of_this_process(node: str, clock: Clock, process: int) -> NodeState:
    """Return what stays true of this node as long as it runs."""
    return NodeState(
        node=node,
        host=_host(),
        pid=os.getpid(),
        process=process,
        version=__version__,
        started_ns=clock.wall_ns(),
        holds=True,
    )


def _host() -> str:
    return socket.gethostname()[:255]
