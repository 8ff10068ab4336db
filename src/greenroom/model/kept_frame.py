"""A frame that was shown in a room, as it is kept."""

import msgspec

MOST_DELETIONS = 5_000
"""A room keeps so many frames that count, and beside them so many more that delete messages.

These do not count: else a moderator who clears a room would push out what others wrote.
"""


class KeptFrame(msgspec.Struct, frozen=True, gc=False):
    """A MESSAGE or an EVENT: its JSON, who was shown it, and who wrote it.

    `time_ns` is its SendTime in nanoseconds since the epoch, `action` the operation that it comes
    from. `audience` is who was shown it, `user_id` the user whom that names; `marked` is what
    moderators were shown in its place, if anything. `author` is the user who wrote a message;
    `deletes` are the messages that it says are no longer shown.
    """

    id: str
    time_ns: int
    action: str
    payload: bytes
    audience: str = "everybody"
    user_id: str = ""
    author: str = ""
    marked: bytes = b""
    deletes: tuple[str, ...] = ()
