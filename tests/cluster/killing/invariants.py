"""What must hold of a history and of what is stored: each function raises AssertionError.

Figures are in seconds of the history's clock, unless they say otherwise.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from math import inf

import msgspec

from greenroom.bus.base import Disconnect, RoomEnvelope, Stage
from greenroom.bus.nats.publication import UNPUBLISHED
from greenroom.protocol import events
from tests.cluster.killing.history import Call, Redeem, Send, View

INTERNAL, UNAVAILABLE = 500, 503
FAULT = "An internal error occurred"
"""What an action is answered with that failed; 500 alone also says that the store cannot answer."""

KNOWN_SECONDS = 3.5
"""When each node knows what another one was told, or that has noticed that it is cut off."""


class Place(msgspec.Struct, frozen=True):
    """Something in a room's stream: when it was stored, by the clock of the servers."""

    stamp_ns: int
    envelope: RoomEnvelope

    @property
    def id(self) -> str:
        """Return the id of the message or the event."""
        return self.envelope.id

    @property
    def frame(self) -> Mapping[str, object]:
        """Return what viewers were shown."""
        found: dict[str, object] = msgspec.json.decode(self.envelope.payload)
        return found


Stored = Mapping[str, Sequence[Place]]
"""What is stored of each room, in its order."""


def has_place(event_name: object) -> bool:
    """Return whether an event of that name, or a message, has its place in what viewers see.

    Some of the service's own events are those of one connection.
    """
    own = str(event_name or "").startswith("greenroom:")
    return not own or event_name == events.DELETE_MESSAGES


def views_are_parts(views: Iterable[View], stored: Stored) -> None:
    """Every viewer's list is a contiguous part of the room's stream; so what was seen is stored."""
    places = {room: {each.id: at for at, each in enumerate(all_)} for room, all_ in stored.items()}
    for view in views:
        at = [places.get(view.room, {}).get(each) for each in view.ids]
        assert None not in at, f"seen, not stored: {view.ids[at.index(None)]} in {_name(view)}"
        for number, (one, next_) in enumerate(pairwise(at)):
            assert one is not None
            assert next_ is not None
            assert next_ == one + 1, (
                f"place {next_} of the stream follows {one}, at {number + 1} of {_name(view)};"
                f" the stream has {_told(stored[view.room][one : next_ + 1])}"
            )


def _told(places: Sequence[Place]) -> list[str]:
    """Return the first of them in words, with the times at which they were stored."""
    return [
        f"{each.id} at {datetime.fromtimestamp(each.stamp_ns / 1e9, UTC)}" for each in places[:5]
    ]


def stored_once(stored: Stored) -> None:
    """Nothing is in the streams twice, neither by its id nor by its request.

    Messages that were released are as they were when they began to wait, and once themselves.
    """
    for room, all_ in stored.items():
        places = [each for each in all_ if each.envelope.stage is not Stage.RELEASED]
        released = (each.id for each in all_ if each.envelope.stage is Stage.RELEASED)
        for name, found in (
            ("Id", Counter(each.id for each in places)),
            ("RequestId", Counter(filter(None, (each.frame.get("RequestId") for each in places)))),
            ("what is released", Counter(released)),
        ):
            twice = [key for key, times in found.items() if times > 1]
            assert not twice, f"{name} stored more than once in {room}: {twice[:5]}"


def outcomes_are_true(sends: Iterable[Send], stored: Stored) -> None:
    """What was acknowledged is stored; what was refused is not.

    With 503 it may be stored, once and perhaps later, unless the text says that it is not.
    """
    stamps = {
        (room, each.frame.get("RequestId")): each.stamp_ns
        for room, places in stored.items()
        for each in places
        if each.envelope.stage is not Stage.RELEASED
    }
    for send in sends:
        stamp = stamps.get((send.room, send.request_id))
        assert send.text != FAULT, f"an internal error: {send}"
        if send.status == 200:
            assert stamp is not None, f"acknowledged, not stored: {send}"
        elif send.status == UNAVAILABLE:
            known = send.text.startswith(UNPUBLISHED)
            assert stamp is None or not known, f"not published, but stored: {send}"
            assert stamp is None or stamp <= send.ended_ns, f"taken after its answer: {send}"
        elif send.status >= 400:
            assert stamp is None, f"refused, but stored: {send}"


def nothing_fails_inside(calls: Iterable[Call], redeems: Iterable[Redeem]) -> None:
    """No call and no upgrade is answered with an internal error."""
    answers: list[Call | Redeem] = [*calls, *redeems]
    failed = [each for each in answers if each.status == INTERNAL]
    assert not failed, f"internal errors: {failed[:3]}"


def rate_holds(places: Sequence[Place], rate: int) -> None:
    """In any second there are at most a burst and a second's worth of messages."""
    stamps = [each.stamp_ns for each in places if each.envelope.rate]
    first = 0
    for last, stamp in enumerate(stamps):
        while stamps[first] <= stamp - 1_000_000_000:
            first += 1
        assert last - first + 1 <= 2 * rate, (
            f"{last - first + 1} messages within a second before {stamp}, at {rate} a second"
        )


def send_times_rise(stored: Stored) -> None:
    """SendTime rises strictly in each room's order."""
    for room, places in stored.items():
        for one, next_ in pairwise(places):
            assert one.envelope.time_ns < next_.envelope.time_ns, (
                f"{next_.id} follows {one.id} in {room}, and is"
                f" {(one.envelope.time_ns - next_.envelope.time_ns) / 1e9:.3f} s earlier"
            )


def logs_are_the_stream(
    recorded: Mapping[tuple[str, str], Sequence[str]], stored: Stored, configurations: Sequence[str]
) -> None:
    """Each log has every record of each room once and in order.

    `recorded` has the ids in files by configuration and room.
    """
    for configuration in configurations:
        for room, places in stored.items():
            meant = [each.id for each in places if configuration in each.envelope.configurations]
            found = list(recorded.get((configuration, room), ()))
            missing, more = Counter(meant) - Counter(found), Counter(found) - Counter(meant)
            what = f"of {len(meant)} in {room} for {configuration}"
            assert not missing, f"not in the log: {len(missing)} {what}: {list(missing)[:5]}"
            assert not more, f"too often in the log: {len(more)} {what}: {list(more)[:5]}"
            assert found == meant, f"the log has another order {what}"


def tokens_open_once(redeems: Iterable[Redeem]) -> None:
    """The redeems are linearizable: a token's one use is within its call, others fail behind it."""
    by_token: defaultdict[str, list[Redeem]] = defaultdict(list)
    for redeem in redeems:
        by_token[redeem.token].append(redeem)
    for calls in by_token.values():
        opened = [each for each in calls if each.status == 101]
        assert len(opened) <= 1, f"a token opened {len(opened)} connections: {calls}"
        # One that had no answer has used it only if nobody else has; so has one that got 503, where
        # the database committed and its answer was lost.
        users = opened or [each for each in calls if each.status in (0, 503)]
        told = [each.ended for each in calls if each.status == 409]
        if told:
            used = any(each.started < min(told) for each in users)
            assert used, f"a token was used up by nobody: {calls}"


def kicks_end_connections(views: Iterable[View], stored: Stored, now: float) -> None:
    """Nobody who was disconnected is shown anything behind that, nor keeps a connection."""
    kicks = {
        (room, each.id): each.envelope
        for room, places in stored.items()
        for each in places
        if isinstance(each.envelope, Disconnect)
    }
    for view in views:
        for number, each in enumerate(view.ids, 1):
            kick = kicks.get((view.room, each))
            if isinstance(kick, Disconnect) and kick.user_id == view.user:
                assert number == len(view.ids), f"shown more behind a kick: {_name(view)}"
                assert view.closed is not None, f"open behind a kick, at {now:.2f}: {_name(view)}"


def kicked_are_gone(views: Sequence[View], kicks: Iterable[Call]) -> None:
    """Whoever was connected when a kick began does not stay; `subject` is room and user."""
    by_subject: defaultdict[str, list[View]] = defaultdict(list)
    for view in views:
        by_subject[f"{view.room} {view.user}"].append(view)
    for kick in kicks:
        for view in by_subject[kick.subject] if kick.done else ():
            if view.opened < kick.started:
                assert view.closed is not None, f"open in spite of {kick}: {_name(view)}"


def places_hold(views: Iterable[View], user: str, most: int) -> None:
    """A user never has more connections at a time."""
    changes = [
        change
        for view in views
        if view.user == user
        for change in ((view.opened, 1), (inf if view.closed is None else view.closed, -1))
    ]
    there = 0
    for at, change in sorted(changes):
        there += change
        assert there <= most, f"{there} connections of {user} at {at:.2f}, of {most} at most"


def serving(sends: Iterable[Send], well: float) -> set[str]:
    """Return which nodes have taken messages that were sent behind a time."""
    return {send.node for send in sends if send.status == 200 and send.started > well}


def quota_holds(calls: Sequence[Call], create: str, delete: str, limit: int, others: int) -> None:
    """There are never more than the limit, and nothing is refused that there was place for.

    So it must be if each call took effect at one moment between its start and its answer.
    `others` are there all the time. `result` of a creation is what `subject` of a deletion names.
    """
    creations = [each for each in calls if each.operation == create]
    deletions: defaultdict[str, list[Call]] = defaultdict(list)
    for each in calls:
        if each.operation == delete:
            deletions[each.subject].append(each)
    surely: list[tuple[float, float]] = []
    maybe: list[tuple[float, float]] = []
    for each in creations:
        if each.refused:
            continue
        gone = deletions[each.result]
        if each.done:
            assert each.ended is not None
            surely.append((each.ended, min((one.started for one in gone), default=inf)))
        # Who is told that there is none may be told of an own deletion, which had no answer.
        known = (one.ended for one in gone if one.ended and (one.done or one.status == 404))
        maybe.append((each.started, min(known, default=inf)))
    for at, there in zip(*_counted(surely), strict=True):
        assert others + there <= limit, f"{others + there} at {at:.2f}, of {limit} at most"
    moments, counts = _counted(maybe)
    for each in (each for each in creations if each.status == 402):
        assert each.ended is not None
        # At some moment of the call there must have been as many, by whatever had no answer.
        first, last = bisect_right(moments, each.started) - 1, bisect_left(moments, each.ended)
        there = others + max(counts[max(first, 0) : last], default=0)
        assert there >= limit, f"refused at {there} of {limit}: {each}"


def _counted(spans: Iterable[tuple[float, float]]) -> tuple[list[float], list[int]]:
    """Return the moments at which it changes how many spans there are, and how many from then on.

    A span is there from its first moment on, and no longer at its last one.
    """
    changes: Counter[float] = Counter()
    for begin, end in spans:
        changes[begin] += 1
        changes[end] -= 1
    moments = sorted(changes)
    return moments, list(accumulate(changes[at] for at in moments))


def limits_hold(
    sends: Iterable[Send],
    changes: Sequence[Call],
    apart: Sequence[tuple[float, float]] = (),
) -> None:
    """A message is as long as the room allows while it is sent; `result` is the limit.

    A change is known everywhere `KNOWN_SECONDS` after it was answered, or after servers of NATS
    that were `apart` then are together: the node that has answered may be with the lonely one.
    """

    def known_at(change: Call) -> float:
        ends = [end for began, end in apart if began - KNOWN_SECONDS < change.started < end]
        return max(change.ended or inf, *ends, 0) + KNOWN_SECONDS

    known = [(each, known_at(each)) for each in changes]
    for send in sends:
        if send.status != 200 or send.ended is None:
            continue
        settled = [each for each, at in known if each.done and at < send.started]
        if not settled:
            continue
        last = settled[-1].started
        # A call without an answer may be carried out at any time.
        begun = [
            int(each.result)
            for each, at in known
            if each.started < send.ended
            and not each.refused
            and (each.started >= last or not each.done or at >= send.started)
        ]
        assert send.length <= max(begun), f"longer than {max(begun)}: {send}"


def _name(view: View) -> str:
    return f"the view of {view.user} on {view.node} in {view.room} from {view.opened:.2f} on"
