"""The checks of the killer notice what they are for."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from greenroom.bus.base import Deliver, Disconnect
from greenroom.bus.nats.publication import UNPUBLISHED
from tests.cluster.killing import invariants
from tests.cluster.killing.history import Call, Redeem, Send, View
from tests.cluster.killing.invariants import Place

SECOND = 1_000_000_000


def places(*ids: str, apart: float = 1.0, rate: int = 10) -> list[Place]:
    """Return messages of a room, so many seconds apart."""
    return [
        Place(
            int(number * apart * SECOND),
            Deliver(
                b'{"RequestId":"request-%s"}' % each.encode(),
                "SendMessage",
                id=each,
                time_ns=number + 1,
                configurations=("logged",),
                rate=rate,
            ),
        )
        for number, each in enumerate(ids)
    ]


def view(*ids: str, closed: float | None = 9.0, opened: float = 0.0) -> View:
    """Return what a viewer of the room saw."""
    return View("room", "user", "node-1", opened, list(ids), closed)


STORED = {"room": places("a", "b", "c")}


@pytest.mark.parametrize("ids", [("a", "c"), ("b", "a"), ("a", "a"), ("a", "x")])
def test_a_view_with_a_gap(ids: tuple[str, ...]) -> None:
    """A gap, another order, a repetition, and what is not stored are noticed."""
    invariants.views_are_parts([view("a", "b", "c"), view("b", "c"), view()], STORED)
    with pytest.raises(AssertionError, match="node-1"):
        invariants.views_are_parts([view(*ids)], STORED)


def test_what_is_stored_twice() -> None:
    """An id or a request that is in a stream twice is noticed."""
    invariants.stored_once(STORED)
    with pytest.raises(AssertionError, match="more than once"):
        invariants.stored_once({"room": places("a", "a")})


def test_outcomes() -> None:
    """What was acknowledged and is not stored, or refused and is stored, is noticed."""

    def send(request: str, status: int) -> Send:
        return Send("room", "node-1", request, 5, 0, 1, status, SECOND)

    right = [send("request-a", 200), send("x", 503), send("y", 0), send("request-b", 503)]
    invariants.outcomes_are_true(right, STORED)
    with pytest.raises(AssertionError, match="acknowledged, not stored"):
        invariants.outcomes_are_true([send("x", 200)], STORED)
    with pytest.raises(AssertionError, match="refused, but stored"):
        invariants.outcomes_are_true([send("request-a", 429)], STORED)
    with pytest.raises(AssertionError, match="taken after its answer"):
        invariants.outcomes_are_true([send("request-c", 503)], STORED)
    unpublished = msgspec.structs.replace(send("request-b", 503), text=UNPUBLISHED)
    with pytest.raises(AssertionError, match="not published, but stored"):
        invariants.outcomes_are_true([unpublished], STORED)
    fault = msgspec.structs.replace(send("x", 500), text=invariants.FAULT)
    with pytest.raises(AssertionError, match="an internal error"):
        invariants.outcomes_are_true([fault], STORED)
    with pytest.raises(AssertionError, match="internal errors"):
        invariants.nothing_fails_inside([], [Redeem("token", "node-1", 0, 1, 500)])


def test_a_rate() -> None:
    """More than a burst and a second's worth in any second is noticed."""
    invariants.rate_holds(places(*map(str, range(40)), apart=0.05, rate=10), 10)
    with pytest.raises(AssertionError, match="21 messages within a second"):
        invariants.rate_holds(places(*map(str, range(40)), apart=0.045, rate=10), 10)


def test_send_times() -> None:
    """A time that does not rise is noticed."""
    invariants.send_times_rise(STORED)
    with pytest.raises(AssertionError, match="earlier"):
        invariants.send_times_rise({"room": [*places("a", "b"), *places("c")]})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["a", "b"], "not in the log: 1"),
        (["a", "b", "c", "c"], "too often"),
        (["b", "a", "c"], "another order"),
    ],
)
def test_logs(found: list[str], message: str) -> None:
    """A record that is missing, there twice or in another place is noticed."""
    invariants.logs_are_the_stream({("logged", "room"): ["a", "b", "c"]}, STORED, ["logged"])
    with pytest.raises(AssertionError, match=message):
        invariants.logs_are_the_stream({("logged", "room"): found}, STORED, ["logged"])


def test_tokens() -> None:
    """Two uses of a token are noticed, and a use by nobody."""

    def redeem(started: float, ended: float, status: int) -> Redeem:
        return Redeem("token", "node-1", started, ended, status)

    invariants.tokens_open_once([redeem(0, 2, 101), redeem(1, 1.5, 409), redeem(3, 4, 503)])
    for unknown in (0, 503):
        invariants.tokens_open_once([redeem(0, 2, unknown), redeem(1, 1.5, 409)])
    with pytest.raises(AssertionError, match="opened 2 connections"):
        invariants.tokens_open_once([redeem(0, 2, 101), redeem(3, 4, 101)])
    with pytest.raises(AssertionError, match="by nobody"):
        invariants.tokens_open_once([redeem(0, 1, 409), redeem(2, 3, 101)])
    # What had no answer was not the one that used it, if a later one was let in.
    with pytest.raises(AssertionError, match="by nobody"):
        invariants.tokens_open_once([redeem(0, 9, 0), redeem(1, 2, 409), redeem(3, 4, 101)])


def test_redeems_by_all_orders() -> None:
    """The check agrees with trying each order in which calls can have taken effect, one by one."""
    draw, judged = random.Random(11), Counter[bool]()
    for _ in range(3000):
        calls = []
        for _ in range(draw.randint(1, 5)):
            started = draw.randint(0, 8)
            status = draw.choice([101, 409, 409, 0])
            calls.append(Redeem("token", "node-1", started, started + draw.randint(1, 4), status))
        possible = any(_explains(order) for order in itertools.permutations(calls))
        judged[possible] += 1
        try:
            invariants.tokens_open_once(calls)
        except AssertionError:
            assert not possible, calls
        else:
            assert possible, calls
    assert min(judged.values()) > 300


def _explains(order: Sequence[Redeem]) -> bool:
    """Return whether calls can have taken effect in an order, and answered what they did.

    Who had no answer may have taken effect at any time from his start on, or not at all.
    """
    latest, used = 0.0, {False}
    for call in order:
        latest = max(latest, call.started)
        if call.status and latest >= call.ended:
            return False
        if call.status == 101:
            used = {True} if False in used else set()
        elif call.status == 409:
            used &= {True}
        elif used:
            used |= {True}
    return bool(used)


def test_kicks() -> None:
    """Who is shown more after being disconnected, or stays connected, is noticed."""
    stored = {"room": [*places("a"), Place(1, Disconnect(b"{}", "user", "", "kick")), *places("b")]}
    invariants.kicks_end_connections([view("a", "kick"), view("b", closed=None)], stored, 9)
    with pytest.raises(AssertionError, match="shown more"):
        invariants.kicks_end_connections([view("kick", "b")], stored, 9)
    with pytest.raises(AssertionError, match="open behind a kick"):
        invariants.kicks_end_connections([view("kick", closed=None)], stored, 9)
    kick = Call("DisconnectUser", "node-1", "room user", 1, 2, 200)
    invariants.kicked_are_gone([view(), view(closed=None, opened=1.5)], [kick])
    with pytest.raises(AssertionError, match="open in spite of"):
        invariants.kicked_are_gone([view(closed=None)], [kick])


def test_places() -> None:
    """More connections at a time than there may be are noticed."""
    views = [view(opened=0, closed=1), view(opened=1, closed=2), view(opened=1.5, closed=None)]
    invariants.places_hold(views, "user", 2)
    with pytest.raises(AssertionError, match="2 connections"):
        invariants.places_hold(views, "user", 1)


def test_quotas() -> None:
    """More than a quota are noticed, and what was refused although there was place."""

    def call(operation: str, room: str, started: float, status: int) -> Call:
        is_made = operation == "create"
        subject, result = ("", room) if is_made else (room, "")
        return Call(operation, "node-1", subject, started, started + 1, status, result)

    def check(*calls: Call) -> None:
        invariants.quota_holds(calls, "create", "delete", limit=2, others=1)

    first = call("create", "a", 0, 200)
    check(
        first, call("create", "", 2, 402), call("delete", "a", 4, 200), call("create", "b", 5, 200)
    )
    check(first, call("delete", "a", 2, 0), call("create", "b", 3, 200))
    check(call("create", "", 0, 0), call("create", "", 2, 402))
    with pytest.raises(AssertionError, match="3 at"):
        check(first, call("create", "b", 3, 200))
    with pytest.raises(AssertionError, match="refused at 1"):
        check(first, call("delete", "a", 2, 200), call("create", "", 4, 402))
    # Of two that were there one after the other, none was there beside the other.
    long = Call("create", "node-1", "", 0.5, 9, 402)
    with pytest.raises(AssertionError, match="refused at 2 of 3"):
        invariants.quota_holds(
            [first, call("delete", "a", 2, 200), call("create", "b", 5, 200), long],
            *("create", "delete"), limit=3, others=1,
        )  # fmt: skip


def test_quotas_of_what_is_atomic() -> None:
    """Nothing is said against calls that took effect one by one, whatever their times and answers.

    Here each takes effect at a moment of its own, and some have no answer.
    """
    draw = random.Random(5)
    for _ in range(500):
        limit, there, calls = draw.randint(1, 3), list[str](), list[Call]()
        for number in range(draw.randint(2, 12)):
            at, lost = float(number), draw.random() < 0.2
            begin, end = at - draw.random() * 3, None if lost else at + draw.random() * 3
            if there and draw.random() < 0.5:
                room = there.pop(draw.randrange(len(there)))
                status = 0 if lost else 200
                calls.append(Call("delete", "node-1", room, begin, end, status, ""))
            elif len(there) < limit:
                there.append(f"room-{number}")
                # Who had no answer does not know what was made.
                status, made = (0, "") if lost else (200, there[-1])
                calls.append(Call("create", "node-1", "", begin, end, status, made))
            else:
                status = 0 if lost else 402
                calls.append(Call("create", "node-1", "", begin, end, status, ""))
        invariants.quota_holds(calls, "create", "delete", limit=limit, others=0)


def test_limits() -> None:
    """A message that is longer than any limit that may have held is noticed."""

    def change(started: float, limit: int, status: int = 200) -> Call:
        return Call("UpdateRoom", "node-1", "room", started, started + 1, status, str(limit))

    def send(started: float, status: int = 200) -> Send:
        return Send("room", "node-1", "request", 60, started, started + 1, status)

    invariants.limits_hold([send(0), send(2.5), send(9, 413)], [change(1, 20)])
    invariants.limits_hold([send(9)], [change(1, 20), change(9, 200)])
    invariants.limits_hold([send(9)], [change(0, 200, status=0), change(1, 20)])
    with pytest.raises(AssertionError, match="longer than 20"):
        invariants.limits_hold([send(9)], [change(1, 20), change(2, 200, status=400)])
    # Who has answered may have been with a server that was apart, and others hear of it later.
    both = [change(0, 200), change(4, 20)]
    invariants.limits_hold([send(9), send(13)], both, [(3, 10)])
    for apart, at in ((3, 10), 14), ((8, 20), 9), ((0, 3), 9):
        with pytest.raises(AssertionError, match="longer than 20"):
            invariants.limits_hold([send(at)], both, [apart])
