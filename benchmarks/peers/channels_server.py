"""Django Channels as an ASGI application, with its in-memory channel layer.

Served by `uvicorn channels_server:application`, or by daphne.
"""
# ruff: noqa: INP001 - a program of its own

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

settings.configure(
    SECRET_KEY="of nothing",  # noqa: S106 - nothing is signed
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()


class Consumer(AsyncWebsocketConsumer):
    """One connection of the only room."""

    groups = ("room",)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        """Send what the client says to the group."""
        await self.channel_layer.group_send("room", {"type": "chat.message", "text": text_data})

    async def chat_message(self, event: dict[str, str]) -> None:
        """Send what the group says to the client."""
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter({"websocket": Consumer.as_asgi()})
