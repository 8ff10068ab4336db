"""Clients of the service and of Amazon IVS Chat, for asyncio; nothing of the server is in them.

Names are those of Amazon's own SDKs in snake case.
"""

from greenroom.client.chat_room import ChatRoom
from greenroom.client.entities import (
    ChatDisconnected,
    ChatError,
    ChatToken,
    ConnectionState,
    DeleteMessageEvent,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserEvent,
    DisconnectUserRequest,
    RequestTimeout,
    SendMessageRequest,
)
from greenroom.protocol.received import ChatEvent, ChatMessage, ChatUser

__all__ = [
    "ChatDisconnected",
    "ChatError",
    "ChatEvent",
    "ChatMessage",
    "ChatRoom",
    "ChatToken",
    "ChatUser",
    "ConnectionState",
    "DeleteMessageEvent",
    "DeleteMessageRequest",
    "DisconnectReason",
    "DisconnectUserEvent",
    "DisconnectUserRequest",
    "RequestTimeout",
    "SendMessageRequest",
]
