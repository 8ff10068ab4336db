"""What the service itself tells a chat of the room: its settings, and what was done to whom."""

import asyncio
from collections.abc import Callable, Mapping

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


class _Speaker(msgspec.Struct, rename="pascal"):
    user_id: str


class _Said(msgspec.Struct, rename="pascal"):
    content: str
    sender: _Speaker


class _Pin(msgspec.Struct, rename="pascal"):
    """A message that is pinned, by whom, and until when, "" for ever."""

    message: _Said
    by: str
    until: str = ""


Attributes = Mapping[str, str]


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
        return event.event_name in _WORDS or event.event_name in _SETTINGS

    def said(self, event: ChatEvent) -> str:
        """Return what an event says to people, and keep what it says of settings; "" for nothing.

        What a newer service tells in another form is passed over.
        """
        told = event.attributes or {}
        try:
            if event.event_name not in _SETTINGS:
                return _WORDS[event.event_name](told, self._user)
            first = event.event_name == events.WELCOME
            settings = msgspec.json.decode(told.get("Settings", ""), type=RoomSettings)
            said = [self._changed(settings, first=first), _pins(told) if first else ""]
            return "; ".join(filter(None, said))
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


def _you(told: Attributes, _user: str) -> str:
    """Return what somebody is told of himself."""
    if lifted := told.get("Lifted"):
        return f"you are free of {lifted} again"
    until = f" until {told['Until']}" if told.get("Until") else ""
    reason = f": {told['Reason']}" if told.get("Reason") else ""
    return f"you are restricted: {told.get('Restriction', '')}{until}{reason}"


def _moderation(told: Attributes, user: str) -> str:
    done = msgspec.json.decode(told.get("Item", ""), type=_Done)
    if done.by == f"user:{user}":
        return ""
    until = f" until {done.until}" if done.until else ""
    reason = f": {done.reason}" if done.reason else ""
    by = done.by.removeprefix("user:")
    return f"{by} did {done.operation} to {done.user_id}{until}{reason}"


def _pins_now(told: Attributes, _user: str) -> str:
    return _pins(told) or "nothing is pinned any more"


def _pins(told: Attributes) -> str:
    pins = msgspec.json.decode(told.get("Pins", "[]"), type=tuple[_Pin, ...])
    return "; ".join(map(_pin, pins))


def _pin(pin: _Pin) -> str:
    until = f" until {pin.until}" if pin.until else ""
    said, by = pin.message, pin.by.removeprefix("user:")
    return f"pinned by {by}{until}: {said.sender.user_id}: {said.content}"


def _deleted(told: Attributes, _user: str) -> str:
    number = len(msgspec.json.decode(told.get("MessageIds", ""), type=tuple[str, ...]))
    user, reason = told.get("UserId", ""), f": {told['Reason']}" if told.get("Reason") else ""
    if number == 1:
        return f"a message of {user} was deleted{reason}"
    return f"{number} messages of {user} were deleted{reason}"


def _history(told: Attributes, _user: str) -> str:
    """Return what is to be known of the messages that follow."""
    if told.get("Recovered") == "false":
        return "some of what was said meanwhile may be missing"
    if told.get("Recovered") == "true":
        return "what was said meanwhile:" if told.get("Count", "0") != "0" else ""
    return "what was said before:" if told.get("Count", "0") != "0" else ""


def _room_deleted(_told: Attributes, _user: str) -> str:
    return "the room was deleted: nobody writes here any more"


def _nothing(_told: Attributes, _user: str) -> str:
    # As often as they come and go nobody wants to read of it: `/viewers` asks.
    return ""


_SETTINGS = (events.WELCOME, events.SETTINGS)

_WORDS: Mapping[str, Callable[[Attributes, str], str]] = {
    events.USERS: _nothing,
    events.VIEWERS: _nothing,
    events.YOU: _you,
    events.MODERATION: _moderation,
    events.PINS: _pins_now,
    events.DELETE_MESSAGES: _deleted,
    events.HISTORY: _history,
    events.ROOM_DELETED: _room_deleted,
}
"""What each event says, of its attributes, to a user; settings are told apart."""
