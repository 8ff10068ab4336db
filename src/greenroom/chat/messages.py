"""What a message is when it has its place in its room."""

from collections.abc import Mapping

from greenroom.bus.base import Deliver, History
from greenroom.chat.outcome import Post
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.room import Room
from greenroom.protocol import events
from greenroom.protocol.actions import SendMessage

NONE, KEPT = History.NONE, History.KEPT
# Looked up once: in Python 3.11 a member costs 50 ns each time.


def message(
    room: Room,
    post: Post,
    sender: ChatTokenClaims,
    request_id: str,
    content: str,
    attributes: Mapping[str, str] | None,
    rate: int,
) -> Deliver:
    """Return the message for everybody, as it was sent at the post's time."""
    is_kept = post.settings.history_messages > 0
    payload = events.encode_message(
        post.message_id,
        request_id,
        attributes,
        content,
        post.time_ns,
        sender.user_id,
        sender.attributes,
    )
    return Deliver(
        payload,
        SendMessage.operation,
        id=post.message_id,
        time_ns=post.time_ns,
        configurations=room.logging_configuration_identifiers,
        rate=rate,
        # Where it counts, other nodes are to know who has sent something.
        user_id=sender.user_id if post.user or post.text else "",
        history=KEPT if is_kept else NONE,
        author=sender.user_id if is_kept else "",
    )
