"""Has a line read what it did not hear: when it is opened, after a gap, after a connection's end.

What the leader says is the last message is where the line has to come to; one that lacks what the
line has seen is believed when it has shown that it leads. A stream that lost its end gives numbers
again, under the same name: the line begins with the message that it has, and compares the stamps.
"""

import asyncio

from greenroom.bus.figures import Figures
from greenroom.bus.nats import headers
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.stored import Message, Reader
from greenroom.bus.streams import KEPT_SECONDS

RATE_NS = headers.NANOSECONDS
"""How long ago a message must be to count no more for a room's rate."""

BEHIND_SECONDS = 0.02
"""How long a server that has not got the newest messages yet is given."""

BEHIND_TIMES = 100

_AGED_NS = KEPT_SECONDS * headers.NANOSECONDS * 9 // 10


async def catch_up(line: Line, reader: Reader, figures: Figures, now_ns: int) -> None:
    """Read up to the room's last message; `now_ns` is what the servers' clocks show.

    Raises:
        NoAnswer: it cannot be read now. What was read is taken.
    """
    last = await reader.last()
    if _lacks(last, line, now_ns):
        last = await reader.settled_last()
    if not line.opened:
        await _open(line, reader, last, now_ns)
    elif last is None:
        if line.last:
            if now_ns - _ns(line.stamp) < _AGED_NS:
                _lost(line, reader.stream, figures)
            line.last, line.stamp = 0, b""
    elif (last.sequence, last.stamp_ns) == (line.last, _ns(line.stamp)):
        return
    elif last.sequence <= line.last or not await _read_on(line, reader, last):
        _lost(line, reader.stream, figures)
        await _read_after(line, reader, last, _ns(line.stamp) + 1)


def _lacks(last: Message | None, line: Line, now_ns: int) -> bool:
    """Return whether the line has seen more than there is, and not so long ago that it is gone."""
    if last is None:
        return bool(line.last) and now_ns - _ns(line.stamp) < _AGED_NS
    return last.sequence < line.last


async def _open(line: Line, reader: Reader, last: Message | None, now_ns: int) -> None:
    """Begin: know the last message, have those of the last second counted, show what is missed."""
    if last is None:
        return
    starts = [] if line.since_ns is None else [line.since_ns]
    if now_ns - last.stamp_ns < 2 * RATE_NS:
        starts.append(last.stamp_ns - RATE_NS)
    if not starts or min(starts) > last.stamp_ns:
        line.note(last.sequence, last.stamp, last.data, (now_ns - last.stamp_ns) / 1e9)
        return
    await _read_after(line, reader, last, min(starts), now_ns)


async def _read_on(line: Line, reader: Reader, last: Message) -> bool:
    """Show what comes behind the line's last message; return False if that is not what it was."""
    here = line.last
    for _ in range(BEHIND_TIMES):
        found = await reader.some({"seq": max(line.last, 1)})
        if found and line.last:
            if found[0].sequence == line.last:
                if found[0].stamp_ns != _ns(line.stamp):
                    return False
                del found[0]
            elif found[0].stamp_ns <= _ns(line.stamp):
                return False
        for message in found:
            line.take(message.sequence, message.stamp, message.data)
        if line.last >= last.sequence:
            return True
        if line.last == here:
            await asyncio.sleep(BEHIND_SECONDS)
        here = line.last
    raise NoAnswer(f"{reader.stream} does not give what it has")


async def _read_after(
    line: Line, reader: Reader, last: Message, start_ns: int, now_ns: int | None = None
) -> None:
    """Show what was stored from a time on; with `now_ns`, what came before the line's time not.

    The room is read on from there.
    """
    found = await reader.some({"start_time": headers.written(start_ns)})
    line.last, line.stamp = 0, b""
    if not found:
        line.note(last.sequence, last.stamp, last.data, 0.0)
        return
    for message in found:
        _take_or_note(line, message, now_ns)
    # What was shown is not shown again when the rest cannot be read now.
    line.opened = True
    while line.last < last.sequence:
        more = await reader.some({"seq": line.last + 1})
        if not more:
            raise NoAnswer(f"{reader.stream} does not give what it has")
        for message in more:
            _take_or_note(line, message, now_ns)


def _take_or_note(line: Line, message: Message, now_ns: int | None) -> None:
    early = now_ns is not None and (line.since_ns is None or message.stamp_ns < line.since_ns)
    if now_ns is not None and early:
        ago = max(0.0, (now_ns - message.stamp_ns) / 1e9)
        line.note(message.sequence, message.stamp, message.data, ago)
    else:
        line.take(message.sequence, message.stamp, message.data)


def _lost(line: Line, name: str, figures: Figures) -> None:
    line.lost()
    figures.resets += 1
    figures.tell("a stream lost messages that this node has seen", stream=name)


def _ns(stamp: bytes) -> int:
    return headers.stamp_ns(stamp) if stamp else 0
