"""A room that delays, and is paused at times: its clients, and what must hold of it.

What is said of a room holds of it as of others: here is what is different. A message is in its
stream twice, as it begins to wait and as it is released, and not everybody is shown the same.
"""

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from greenroom.bus.base import Audience, Deliver, Stage
from greenroom.bus.base import History as Kept
from greenroom.messaging.views import payload_for
from greenroom.model.kept_frame import MOST_DELETIONS
from greenroom.protocol import wishes
from tests.cluster.killing.clients import AGAIN_SECONDS, Clients, Door, both
from tests.cluster.killing.cluster import NodeThere
from tests.cluster.killing.history import Call, History, View
from tests.cluster.killing.invariants import Place, Stored, has_place
from tests.running.viewers import Viewer, seen

DELAY_SECONDS = 2
PAUSE_SECONDS = 20
"""Of a pause that nobody ends."""

DELETED_SHARE = 0.1
"""Of what a moderator sees, by chance."""

DELETED, DISCARDED = "deleted", "discarded"
"""What the calls did that are about messages that wait."""


# ---------------------------------------------------------------------------------- clients


async def moderate(clients: Clients, room: str, user: str, door: Door) -> None:
    """Be a moderator who sees messages early, and has some deleted, through any node."""
    while not clients.ending:
        entered = await clients.enter(room, user, door, moderates=True)
        if entered is None:
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        _, viewer = entered
        await _moderate_on(clients, room, viewer)
        viewer.transport.abort()


async def _moderate_on(clients: Clients, room: str, viewer: Viewer) -> None:
    found: list[str] = []

    def look(text: bytes) -> None:
        frame = seen(text)
        if frame.type == "MESSAGE" and clients.chance.random() < DELETED_SHARE:
            found.append(frame.id)

    viewer.on_text = both(viewer.on_text, look)
    while not (viewer.ended or clients.ending):
        while found:
            await _delete(clients, room, found.pop())
        await asyncio.sleep(0.1)


async def _delete(clients: Clients, room: str, message_id: str) -> None:
    node = clients.chance.choice(clients.cluster.nodes)
    done = node.api.delete_message(room_identifier=room, id=message_id)
    call, _ = await clients.call("DeleteMessage", message_id, node, done)
    call.result = DELETED


async def pause(clients: Clients, room: str) -> None:
    """Pause the room again and again, and have it go on, at times without what waited."""
    while not clients.ending:
        await asyncio.sleep(clients.chance.uniform(2, 6))
        if room in clients.silent:
            break
        await _pause(clients, room, clients.chance.choice(clients.cluster.nodes))
        await asyncio.sleep(clients.chance.uniform(0.5, 4))
        await go_on(clients, room, discards=clients.chance.random() < 0.4)
    await go_on(clients, room, discards=False)


async def _pause(clients: Clients, room: str, node: NodeThere) -> None:
    done = node.own.update_room_settings(
        room_identifier=room, settings={"paused": True}, expires_in_seconds=PAUSE_SECONDS
    )
    await clients.call("UpdateRoomSettings", room, node, done)


async def go_on(clients: Clients, room: str, *, discards: bool) -> None:
    """End a pause, through any node, until one has done it."""
    while not clients.ending:
        node = clients.chance.choice(clients.cluster.nodes)
        done = node.own.update_room_settings(
            room_identifier=room, reset=["paused"], discard_waiting=discards
        )
        call, _ = await clients.call("UpdateRoomSettings", room, node, done)
        call.result = DISCARDED if discards else ""
        if call.done:
            return
        await asyncio.sleep(AGAIN_SECONDS)


# ------------------------------------------------------------------------------- invariants


def waits_all(places: Iterable[Place]) -> None:
    """Every message waits before it is for all."""
    for each in places:
        if each.envelope.action == "SendMessage":
            assert each.envelope.stage is not Stage.NONE, f"it did not wait: {each.id}"


def released_as_accepted(places: Sequence[Place]) -> None:
    """What is released has waited and was not deleted: in the same order, byte for byte."""
    waiting: dict[str, tuple[int, bytes]] = {}
    last = -1
    for number, each in enumerate(places):
        envelope = each.envelope
        for deleted in envelope.deletes:
            waiting.pop(deleted, None)
        if envelope.stage.waits:
            waiting[each.id] = number, envelope.payload
        elif envelope.stage is Stage.RELEASED:
            assert each.id in waiting, f"released, and did not wait: {each.id}"
            place, payload = waiting.pop(each.id)
            assert payload == envelope.payload, f"released as something else: {each.id}"
            assert place > last, f"released behind one that came later: {each.id}"
            last = place


def left(places: Iterable[Place]) -> list[str]:
    """Return what waits yet: in the end all is released or deleted."""
    waiting: dict[str, None] = {}
    for each in places:
        if each.envelope.stage.waits:
            waiting[each.id] = None
        elif each.envelope.stage is Stage.RELEASED:
            waiting.pop(each.id, None)
        for deleted in each.envelope.deletes:
            waiting.pop(deleted, None)
    return list(waiting)


def nothing_is_left(places: Iterable[Place]) -> None:
    """Hold that all that waited was released or deleted."""
    assert not (late := left(places)), f"neither released nor deleted: {late[:5]}"


def counted(places: Sequence[Place]) -> dict[str, int]:
    """Return how many messages waited, were released, and were deleted before."""
    waits = sum(each.envelope.stage.waits for each in places)
    released = sum(each.envelope.stage is Stage.RELEASED for each in places)
    return {"all": waits, "released": released, "deleted": waits - released - len(left(places))}


def deleted_is_not_shown(places: Iterable[Place], calls: Iterable[Call], history: History) -> None:
    """What a call has deleted, or discarded, is not released behind its answer."""
    since = {each.id: each.stamp_ns for each in places if each.envelope.stage.waits}
    released = {each.id: each.stamp_ns for each in places if each.envelope.stage is Stage.RELEASED}
    latest = sorted(released.items(), key=lambda each: each[1], reverse=True)
    # Of those that were released last, however many: the one that had waited longest.
    oldest = list(accumulate(((since[each], each) for each, _ in latest), min))
    for call in calls:
        if not call.done or call.ended is None or call.result not in (DELETED, DISCARDED):
            continue
        began = call.started_ns or history.wall_ns(call.started)
        ended = call.ended_ns or history.wall_ns(call.ended)
        if call.result == DELETED:
            at = released.get(call.subject, 0)
            assert at <= ended, f"released in spite of {call}: {call.subject}"
        elif behind := bisect_left(latest, -ended, key=lambda each: -each[1]):
            waits, name = oldest[behind - 1]
            assert waits >= began, f"released in spite of {call}: {name}"


def viewers_are_told(places: Iterable[Place], calls: Iterable[Call], history: History) -> None:
    """Of a message that was released, and deleted behind that, not only moderators are told.

    A call that discards and fails may have told of some, and finds them no more.
    """
    failed = [call for call in calls if call.result == DISCARDED and not call.done]
    released: set[str] = set()
    untold: dict[str, int] = {}
    for each in places:
        if each.envelope.stage is Stage.RELEASED:
            released.add(each.id)
        for deleted in released.intersection(each.envelope.deletes):
            if each.envelope.audience in (Audience.EVERYBODY, Audience.PLAIN):
                untold.pop(deleted, None)
                released.discard(deleted)
            else:
                untold.setdefault(deleted, each.stamp_ns)
    for deleted, stamp_ns in untold.items():
        assert any(history.wall_ns(call.started) < stamp_ns for call in failed), (
            f"shown, and deleted behind the backs of viewers: {deleted}"
        )


def views_are_parts(
    views: Iterable[View], stored: Stored, end: float = 0.0, shown_ns: int = 0
) -> None:
    """Every viewer's list is a contiguous part of what he is to be shown, each message once.

    He who was shown a message as it began to wait is not shown it again. Who was there up to the
    end was shown all that had its place by `shown_ns`, on the servers' clock.
    """
    shown: dict[tuple[str, str, bool], Shown] = {}
    for view in views:
        key = view.room, view.user, view.moderates
        if key not in shown:
            shown[key] = Shown([each for each in stored[view.room] if _is_shown(each, view)])
        stays = view.closed is None or view.closed >= end
        _check(view, shown[key], shown_ns if stays else 0)


class Shown:
    """What somebody is to be shown, in its order, and where each message is in it."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        self.at: defaultdict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(places):
            self.at[each.id].append(number)


def _is_shown(place: Place, view: View) -> bool:
    envelope = place.envelope
    kind = wishes.View.MODERATORS if view.moderates else wishes.View.PLAIN
    is_shown = payload_for(envelope, kind, view.user) is not None
    return is_shown and (
        envelope.action == "SendMessage" or has_place(place.frame.get("EventName"))
    )


def _check(view: View, shown: Shown, shown_ns: int) -> None:
    if not view.ids:
        return
    # A message that waited may be where he came in, or its release.
    starts = shown.at.get(view.ids[0])
    assert starts, f"seen, not stored: {view.ids[0]} in {view}"
    wrong = [_difference(view, shown.places[start:], shown_ns) for start in starts]
    assert "" in wrong, f"{wrong} in the view of {view.user} on {view.node} from {view.opened:.2f}"


def _difference(view: View, shown: Sequence[Place], shown_ns: int) -> str:
    """Return where a view differs from what is shown from its first on."""
    meant = _once(shown)
    for number, found in enumerate(view.ids):
        place = next(meant, None)
        if place is None or place.id != found:
            return f"{found} at {number} for {place and place.id}"
    missing = next(meant, None)
    return f"{missing.id} is missing" if missing and missing.stamp_ns <= shown_ns else ""


def _once(shown: Iterable[Place]) -> Iterator[Place]:
    """Give what is shown without the releases of what was shown before."""
    early: set[str] = set()
    for each in shown:
        if each.envelope.stage.waits:
            early.add(each.id)
        if each.envelope.stage is not Stage.RELEASED or each.id not in early:
            yield each


def remembered(places: Sequence[Place], most: int) -> list[str]:
    """Return which messages a room is to list that keeps so many frames, and those that delete.

    Of these `MOST_DELETIONS` beside at most: with more of them fewer others are kept.
    """
    kept = [each for each in places if each.envelope.history is Kept.KEPT]
    kept = kept[-most - MOST_DELETIONS :]
    counted = [each for each in kept if not each.envelope.deletes][-most:]
    gone = {each for place in places for each in place.envelope.deletes}
    return [each.id for each in counted if is_kept(each) and each.id not in gone]


def is_kept(place: Place) -> bool:
    """Return whether something is a message as everybody is shown it."""
    envelope = place.envelope
    return (
        isinstance(envelope, Deliver)
        and envelope.action == "SendMessage"
        and not envelope.stage.waits
    )
