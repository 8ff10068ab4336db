"""What a client reads: MESSAGE, EVENT and ERROR frames, as values.

`greenroom.protocol.events` is the other side. Of what a server sends only the members that clients
need must be there; members and types that are unknown here are no fault, but come from a newer one.

Sources: Amazon IVS Chat Messaging API Reference ("Message (Subscribe)", "Event (Subscribe)",
"Error messages"); what the SDK for JavaScript requires of each.
"""

from datetime import datetime

import msgspec


class ChatUser(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Who sent a message, as the token said it."""

    user_id: str
    attributes: dict[str, str] | None = None


class ChatMessage(
    msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="MESSAGE"
):
    """A message. `request_id` is empty or None where the sender gave none."""

    id: str
    content: str
    send_time: datetime
    sender: ChatUser
    request_id: str | None = None
    attributes: dict[str, str] | None = None


class ChatEvent(
    msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="EVENT"
):
    """An event: the service's own are named `aws:…`, all others are an application's."""

    id: str
    event_name: str
    send_time: datetime
    request_id: str | None = None
    attributes: dict[str, str] | None = None


class ErrorFrame(
    msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="ERROR"
):
    """Why what this connection asked for was refused."""

    id: str
    error_code: int
    error_message: str
    request_id: str | None = None


Received = ChatMessage | ChatEvent | ErrorFrame

_decoder: msgspec.json.Decoder[Received] = msgspec.json.Decoder(Received)


def decode(frame: str | bytes) -> Received:
    """Return what a frame says.

    Raises:
        msgspec.DecodeError: it is no JSON, of no known type, or lacks a member.
    """
    return _decoder.decode(frame)
