"""A record as destinations keep it: one line of JSON, byte for byte as the real service writes it.

Sources: Chat User Guide, "Chat Logging"; the records in AWS's public samples, which `tests/parity`
keeps.
"""

from datetime import UTC, datetime
from functools import lru_cache

from greenroom.chatlog.base import Record
from greenroom.protocol.events import type_of


def line(record: Record) -> bytes:
    """Return the record's JSON, without a newline at its end or anywhere within.

    `event_timestamp` is the SendTime cut to milliseconds; the frame stands in it as it was sent.
    """
    payload = record.payload
    return b'{"event_timestamp":"%b","type":"%b","payload":%b,"version":"1.0"}' % (
        timestamp(record.time_ns),
        type_of(payload).encode(),
        payload,
    )


def timestamp(time_ns: int) -> bytes:
    """Return nanoseconds since the epoch as RFC 3339 in UTC, cut to milliseconds."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return b"%b.%03dZ" % (_second(seconds), fraction // 1_000_000)


@lru_cache(maxsize=4)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
