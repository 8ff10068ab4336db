"""What a room has shown, as a store keeps it: perhaps one that a newer version has written."""

from collections.abc import Sequence
from functools import lru_cache

import structlog

from greenroom.bus.base import Audience, Deliver, History, Older, RoomEnvelope, Stage
from greenroom.model.held_message import HeldMessage
from greenroom.model.kept_frame import KeptFrame

log = structlog.get_logger()


def kept_of(envelope: RoomEnvelope) -> KeptFrame:
    """Return an envelope as it is kept."""
    return KeptFrame(
        envelope.id,
        envelope.time_ns,
        envelope.action,
        envelope.payload,
        envelope.audience,
        envelope.user_id,
        envelope.author,
        envelope.marked,
        envelope.deletes,
    )


def held_of(room: str, envelope: RoomEnvelope) -> HeldMessage:
    """Return what is kept of a message that waits until viewers may see it."""
    return HeldMessage(
        room,
        envelope.id,
        envelope.author,
        envelope.time_ns,
        envelope.payload,
        envelope.marked,
        is_shadowed=envelope.stage is Stage.APART,
    )


def envelope_of(frame: KeptFrame) -> Deliver:
    """Return what was kept, to be shown again: what else it did is done."""
    return Deliver(
        frame.payload,
        frame.action,
        Audience(frame.audience),
        frame.user_id,
        id=frame.id,
        time_ns=frame.time_ns,
        history=History.KEPT,
        marked=frame.marked,
        author=frame.author,
        deletes=frame.deletes,
    )


def older_of(frames: Sequence[KeptFrame], begin: int, *, more: bool) -> Older:
    """Return what is kept as memory takes it: something may be missing before index `begin`.

    What a newer version kept for an audience that is not known here is passed over: nobody is shown
    it, and the store leaves out what it deletes.
    """
    return Older(_known(frames[begin:]), _known(frames[:begin]), more)


def _known(frames: Sequence[KeptFrame]) -> list[Deliver]:
    known = [each for each in frames if each.audience in _AUDIENCES]
    for audience in {each.audience for each in frames} - _AUDIENCES:
        _tell_of_unknown(audience)
    return [envelope_of(each) for each in known]


_AUDIENCES = frozenset(map(str, Audience))


@lru_cache(maxsize=16)
def _tell_of_unknown(audience: str) -> None:
    """Log it once: rooms are read again and again."""
    log.warning("what a newer version kept in history is not shown", audience=audience)
