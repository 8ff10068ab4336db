"""What travels over NATS, as MessagePack: batches of a room, and news for every node.

A later version may add members at the end of a value: an older one does not look at them.
Of a kind or a choice that it does not know, it understands nothing: an envelope of a batch is not
shown and counts for no rate, the others of the batch do (`decode_known`); for news everything is
forgotten. So all nodes have to know it before one sends it.
"""

from collections.abc import Callable

import msgspec

from greenroom.bus.base import ControlEnvelope, RoomEnvelope


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node publishes at once in a room; no two attempts have the same `number`.

    It is void if the stream's leader stamps it later than `until_ns`, in nanoseconds since the
    epoch: by then its senders were told that it may not be published. The stamp is that of the
    proposal, so what is stored later, the servers having lost their quorum behind it, is not void.
    """

    node: str
    number: int
    until_ns: int
    envelopes: tuple[RoomEnvelope, ...]

    def shown(self, stamp_ns: int) -> tuple[RoomEnvelope, ...]:
        """Return what everybody is shown of a batch that was stored at a time."""
        return self.envelopes if stamp_ns <= self.until_ns else ()


class _Loose(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch whose envelopes are not looked at."""

    node: str
    number: int
    until_ns: int
    envelopes: tuple[msgspec.Raw, ...]


class ForgetAll(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget every cache: more news waited than a node keeps."""


class News(msgspec.Struct, frozen=True, array_like=True):
    """What one node tells all others."""

    node: str
    envelopes: tuple[ControlEnvelope | ForgetAll, ...]


class Undecodable(ValueError):
    """The bytes are not of this service."""


def encode(value: Batch | News) -> bytes:
    """Return the bytes of a value."""
    return _encode(value)


def decode_batch(data: bytes) -> Batch:
    """Return the batch that the bytes hold.

    Raises:
        Undecodable: they hold none.
    """
    try:
        batch = _batch(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Undecodable from None
    if not all(map(_is_sound, batch.envelopes)):
        raise Undecodable
    return batch


def decode_known(data: bytes) -> Batch:
    """Return a batch of which some envelopes are of a newer version, without those.

    Raises:
        Undecodable: the bytes hold none, or nothing in it is known.
    """
    try:
        loose = _loose(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Undecodable from None
    known = tuple(each for raw in loose.envelopes if (each := _known(raw)) is not None)
    if not known:
        raise Undecodable
    return Batch(loose.node, loose.number, loose.until_ns, known)


def _known(raw: msgspec.Raw) -> RoomEnvelope | None:
    try:
        found = _envelope(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if _is_sound(found) else None


def _is_sound(envelope: RoomEnvelope) -> bool:
    """Return whether its numbers spoil no count and no order."""
    return 0 <= envelope.rate <= MOST_RATE and 0 <= envelope.time_ns < MOST_TIME_NS


def decode_news(data: bytes) -> News:
    """Return the news that the bytes hold.

    Raises:
        Undecodable: they hold none.
    """
    try:
        return _news(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Undecodable from None


MOST_RATE = 1_000_000
"""The highest rate of a room that a batch may name."""

MOST_TIME_NS = 1 << 62
"""A time that is not reached for a century: arithmetic with a lower one stays exact."""

_encode = msgspec.msgpack.Encoder().encode
_batch = msgspec.msgpack.Decoder(Batch).decode
_loose = msgspec.msgpack.Decoder(_Loose).decode
_envelope: Callable[[msgspec.Raw], RoomEnvelope] = msgspec.msgpack.Decoder(RoomEnvelope).decode
_news = msgspec.msgpack.Decoder(News).decode
