"""What a connection begins with beside its 101: what was in its room before.

Many who come at once are given the same bytes: what was made for one is kept for the next, for as
long as nothing new is in the room. Users whom some of it is for alone are given their own.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping

import msgspec

from greenroom.bus.base import RoomEnvelope
from greenroom.chat.history import Found, History, Wanted, has_waited
from greenroom.chat.settings import Settings
from greenroom.clock import Clock
from greenroom.messaging.lost_nodes import LostNodes
from greenroom.messaging.resumes import Place, Resumes
from greenroom.messaging.views import is_by_name, payload_for
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.message import IdSource
from greenroom.model.room import Room
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol import events
from greenroom.protocol.frames import text_frame
from greenroom.protocol.session import Session
from greenroom.protocol.wishes import View, Wishes

MOST_ANSWERS = 64
MOST_BYTES = 8 << 20
"""How many answers are kept for others, and of how many bytes together."""

FRESH_SECONDS = 10
"""How long, at most: what is too old goes, though nothing new has come."""


class Replay(msgspec.Struct, frozen=True):
    """Frames as bytes, how many there are, and what is told of them."""

    data: bytes
    count: int
    told: Mapping[str, str]
    named: frozenset[str] = frozenset()
    """The users who are shown others, because something of the room was for them by name."""


class Replays:
    """Makes them."""

    def __init__(self, history: History, settings: Settings, clock: Clock, ids: IdSource) -> None:
        self.resumes = Resumes(clock, history.oldest)
        self.lost: LostNodes | None = None
        """Where users were whose nodes died, in a cluster."""
        self._history = history
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self.recoveries = {"recovered": 0, "not_recovered": 0}
        """How many came back, by whether they were given all that they had missed."""
        self._made: OrderedDict[object, Replay] = OrderedDict()
        self._bytes = 0

    async def prepare(self, room: Room, claims: ChatTokenClaims, wishes: Wishes) -> None:
        """Have in memory what a connection is to begin with: that may take a moment."""
        settings = self._settings.in_force(room)
        asks = wishes.history or wishes.since or settings.resume_seconds
        if not settings.history_messages or not asks:
            return
        waiting = self._history.prepare(claims.room_arn, Wanted(wishes.history, wishes.since))
        if waiting is not None:
            await waiting
        if self.lost is not None and settings.resume_seconds and not wishes.since:
            for answer in self.lost.look(claims.room_arn, claims.user_id):
                await answer

    def first(
        self, session: Session, wishes: Wishes, room: Room, to_come: Collection[str]
    ) -> tuple[bytes | None, Place | None]:
        """Return the frames that somebody begins with, and his place if it is to be kept.

        They include those `to_come`, which he is not to be shown again. Who asked for none, and
        is not resumed, has None instead: he is shown what is to come as everybody is.
        """
        settings, claims = self._settings.in_force(room), session.claims
        place, wanted = None, Wanted(wishes.history, wishes.since)
        if settings.resume_seconds and settings.history_messages:
            left = self._left(claims, settings.resume_seconds)
            if left and not wishes.since:
                wanted = Wanted(wishes.history, left, both=True)
            asks = wanted.count or wanted.since
            since = left or self._history.place(claims.room_arn, () if asks else to_come)
            place = Place(since, settings.resume_seconds)
        if not wanted.count and not wanted.since:
            return None, place
        made = self._replay(session, wanted, settings)
        if wanted.since:
            recovered = made.told["Recovered"] == "true"
            self.recoveries["recovered" if recovered else "not_recovered"] += 1
        return self._first(session, made), place

    def _left(self, claims: ChatTokenClaims, seconds: int) -> str:
        """Return where the former connection of a user stood, "" if it has not broken."""
        room_arn, user_id = claims.room_arn, claims.user_id
        left = self.resumes.take(room_arn, user_id)
        if left or self.lost is None:
            return left
        shown_ns = self.lost.take(room_arn, user_id, seconds)
        return self._history.place_at(room_arn, shown_ns) if shown_ns else ""

    def place(self, room_arn: str, to_come: Collection[str]) -> str:
        """Return the place of who has been shown all but what is `to_come`."""
        return self._history.place(room_arn, to_come)

    def _first(self, session: Session, made: Replay) -> bytes:
        if session.view is View.PLAIN:
            return made.data
        attributes = {**made.told, "Count": str(made.count)}
        told = events.encode_event(
            self._ids(), "", events.HISTORY, attributes, self._clock.wall_ns()
        )
        return text_frame(told) + made.data

    def _replay(self, session: Session, wanted: Wanted, settings: RoomSettings) -> Replay:
        room, view = session.claims.room_arn, session.view
        fresh = int(self._clock.monotonic() / FRESH_SECONDS)
        newest = self._history.newest(room)
        key = (room, newest, view, wanted, fresh, settings)
        made = self._made.get(key)
        if made is None:
            made = self._make(room, view, wanted, settings)
            self._keep(key, made)
        if session.claims.user_id in made.named:
            return self._make(room, view, wanted, settings, session.claims.user_id)
        return made

    def _make(
        self,
        room: str,
        view: View,
        wanted: Wanted,
        settings: RoomSettings,
        user_id: str | None = None,
    ) -> Replay:
        """Make what a user is given, or everybody whom nothing of it is for by name."""
        named: set[str] = set()

        def sees(envelope: RoomEnvelope) -> bytes | None:
            if is_by_name(envelope):
                named.add(envelope.user_id)
            return payload_for(envelope, view, user_id)

        def saw_before(envelope: RoomEnvelope) -> bool:
            if not has_waited(envelope):
                return False
            named.add(envelope.author)
            return view is View.MODERATORS or user_id == envelope.author

        made = _joined(self._history.find(room, settings, wanted, sees, saw_before))
        return msgspec.structs.replace(made, named=frozenset(named))

    def _keep(self, key: object, made: Replay) -> None:
        self._made[key] = made
        self._bytes += len(made.data)
        while len(self._made) > MOST_ANSWERS or self._bytes > MOST_BYTES:
            _, former = self._made.popitem(last=False)
            self._bytes -= len(former.data)


def _joined(found: Found) -> Replay:
    told = {"More": _word(found.more)}
    if found.recovered is not None:
        told["Recovered"] = _word(found.recovered)
    data = b"".join([text_frame(frame) for frame in found.frames])
    return Replay(data, len(found.frames), told)


def _word(truth: bool) -> str:
    return "true" if truth else "false"
