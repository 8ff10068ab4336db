"""What the service itself tells a chat of the room: its settings, and what was done to whom."""

import asyncio

import msgspec

from greenroom.client import ChatEvent
from greenroom.model.room_settings import BY_NAME, RoomSettings
from greenroom.protocol import events


class _Done(msgspec.Struct, rename="pascal"):
    """What was done to a user, as moderators are told."""

    operation: str
    user_id: str
    kind: str
    by: str
    reason: str = ""
    until: str = ""


class OwnEvents:
    """Keeps what a room's settings are, and puts the service's events into words."""

    def __init__(self, user: str) -> None:
        """Make it for a person, whose own doings are not told again."""
        self._user = user
        self._settings: RoomSettings | None = None
        self._known = asyncio.Event()

    async def commands(self, seconds: float) -> bool:
        """Return whether moderators type commands in the room; not where nobody says so in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._known.wait()
        except TimeoutError:
            return False
        return self._settings is not None and self._settings.commands

    def takes(self, event: ChatEvent) -> bool:
        """Return whether an event is the service's; the first has the settings that hold."""
        return event.event_name in (
            events.WELCOME,
            events.SETTINGS,
            events.USERS,
            events.VIEWERS,
            events.YOU,
            events.MODERATION,
        )

    def said(self, event: ChatEvent) -> str:
        """Return what an event says to people, and keep what it says of settings; "" for nothing.

        What a newer service tells in another form is passed over.
        """
        told = event.attributes or {}
        try:
            if event.event_name in (events.VIEWERS, events.USERS):
                # As often as they come and go nobody wants to read of it: `/viewers` asks.
                return ""
            if event.event_name == events.YOU:
                return _you(told)
            if event.event_name == events.MODERATION:
                done = msgspec.json.decode(told.get("Item", ""), type=_Done)
                return "" if done.by == f"user:{self._user}" else _moderation(done)
            return self._changed(
                msgspec.json.decode(told.get("Settings", ""), type=RoomSettings),
                first=event.event_name == events.WELCOME,
            )
        except msgspec.DecodeError:
            return ""

    def _changed(self, settings: RoomSettings, *, first: bool) -> str:
        """Keep the settings; return those that differ from before, at first from the defaults."""
        before = self._settings or RoomSettings()
        self._settings = settings
        self._known.set()
        was, now = msgspec.to_builtins(before), msgspec.to_builtins(settings)
        changed = [
            f"{name} {BY_NAME[name].text(value) or 'none'}"
            for name, value in now.items()
            if value != was[name]
        ]
        if not changed:
            return ""
        return f"{'this room has' if first else 'the room now has'} {', '.join(changed)}"


def _you(told: dict[str, str]) -> str:
    """Return what somebody is told of himself."""
    if lifted := told.get("Lifted"):
        return f"you are free of {lifted} again"
    until = f" until {told['Until']}" if told.get("Until") else ""
    reason = f": {told['Reason']}" if told.get("Reason") else ""
    return f"you are restricted: {told.get('Restriction', '')}{until}{reason}"


def _moderation(done: _Done) -> str:
    until = f" until {done.until}" if done.until else ""
    reason = f": {done.reason}" if done.reason else ""
    by = done.by.removeprefix("user:")
    return f"{by} did {done.operation} to {done.user_id}{until}{reason}"
