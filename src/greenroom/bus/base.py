"""The port between nodes, and what every adapter of it guarantees.

- **Delivery.** At most once. An envelope reaches every node that is connected when it is
  published, the publisher included.
- **Order.** The envelopes of one publisher about one room arrive in the order of publication.
- **Waiting.** `publish` never waits; it raises nothing when a node is away.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

import msgspec

ACTIONS = ("SendMessage", "DeleteMessage", "DisconnectUser", "SendEvent")
"""What an envelope to a room's connections comes from, as metrics name it."""


class Deliver(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Give a frame's JSON text to everybody in the room. `action` labels it in metrics."""

    room: str
    payload: bytes
    action: str


class Disconnect(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Give an event to everybody in the room, then close the user's connections there."""

    action: ClassVar[str] = "DisconnectUser"

    room: str
    payload: bytes
    user_id: str
    reason: str


class RoomChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of the room: it was updated."""

    room: str


class RoomDeleted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of the room: it is gone. Its connections stay, and can be ended."""

    room: str


class IdentitiesChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of who may do what in the account."""

    account: str


class AccountSuspended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Refuse what the account would change or publish, or no longer do so."""

    account: str
    suspended: bool


class TokenKeysChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Read the keys of chat tokens again; end the connections that `killed` has let in, if any."""

    killed: str


RoomEnvelope = Deliver | Disconnect | RoomChanged | RoomDeleted
"""What the hub takes."""

Envelope = RoomEnvelope | TokenKeysChanged | IdentitiesChanged | AccountSuspended

Receiver = Callable[[Envelope], None]
"""Takes each envelope on the event loop; must not raise or block."""


class Bus(Protocol):
    """Carries envelopes to every node."""

    async def start(self, receiver: Receiver) -> None:
        """Begin to deliver to the receiver."""

    def publish(self, envelope: Envelope) -> None:
        """Send the envelope to every node, this one included."""

    async def close(self) -> None:
        """Stop delivering."""
