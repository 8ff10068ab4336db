"""Commands that moderators type into any chat: `/timeout bob 10m spam`. Each is one of our actions.

A message that begins with a slash is one, from whoever may moderate or host and where the room has
them on; two slashes begin a message with one. What is wrong is answered with the usage.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from greenroom.model.message import STYLES
from greenroom.model.restriction import Kind
from greenroom.model.room_settings import (
    LONGEST_SECONDS,
    SettingsWrong,
    Value,
    checked,
    time_errors,
)
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import ActionError, ErrorCode
from greenroom.protocol.members import REASON_LENGTH, USER_ID_LENGTH, is_message_id
from greenroom.protocol.own_actions import (
    Announce,
    CountViewers,
    DeleteUserMessages,
    Help,
    Lift,
    OwnAction,
    PinMessage,
    Restrict,
    SetSettings,
    UnpinMessage,
)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,8})([smhd]?)")

FindUser = Callable[[str], str]
"""Returns the id of the user that a word in a command means."""


class _Wrong(ValueError):
    """The words are not those of the command."""


Make = Callable[[list[str], FindUser, str], OwnAction]


class Command(msgspec.Struct, frozen=True):
    """A row of the table: what is typed behind the name, and the action that it is."""

    usage: str
    make: Make

    @property
    def is_of_user(self) -> bool:
        """Return whether the first word names a user."""
        return self.usage.startswith("USER")


def is_command(message: SendMessage) -> bool:
    """Return whether a message is one, if its sender may moderate or host."""
    return message.content[:1] == "/"


def names_user(message: SendMessage) -> str:
    """Return the word that names a user in a command, to be looked for; "" if none does."""
    name, *words = message.content[1:].split() or [""]
    command = COMMANDS.get(name.lower())
    return (
        words[0].removeprefix("@") if command is not None and command.is_of_user and words else ""
    )


def _as_it_is(word: str) -> str:
    return word


def read(message: SendMessage, find: FindUser = _as_it_is) -> OwnAction | SendMessage:
    """Return what a command asks for, or the message that two slashes began.

    A word that names a user is an id, unless `find` says more of it.

    Raises:
        ActionError: 400 with the usage.
    """
    if message.content.startswith("//"):
        return msgspec.structs.replace(message, content=message.content[1:])
    name, *words = message.content[1:].split() or ["help"]
    command = COMMANDS.get(name.lower())
    if command is None:
        known = " ".join(f"/{each}" for each in COMMANDS)
        raise ActionError(ErrorCode.BAD_REQUEST, f"Commands: {known}", message.request_id)
    try:
        return command.make(words, find, message.request_id)
    except _Wrong:
        usage = f"Usage: /{name.lower()} {command.usage}".rstrip()
        raise ActionError(ErrorCode.BAD_REQUEST, usage, message.request_id) from None


def _restrict(kind: Kind, *, timed: bool = False) -> Make:
    def make(words: list[str], find: FindUser, request_id: str) -> OwnAction:
        if not words:
            raise _Wrong
        user, *rest = words
        seconds = _seconds(rest.pop(0)) if timed and rest else 0
        if timed and not seconds:
            raise _Wrong
        return Restrict(
            user_id=_user_id(user, find),
            kind=kind,
            seconds=seconds,
            reason=" ".join(rest)[:REASON_LENGTH],
            request_id=request_id,
            by_message=True,
        )

    return make


def _lift(kind: Kind) -> Make:
    def make(words: list[str], find: FindUser, request_id: str) -> OwnAction:
        if len(words) != 1:
            raise _Wrong
        user_id = _user_id(words[0], find)
        return Lift(user_id=user_id, kind=kind, request_id=request_id, by_message=True)

    return make


def _user_id(word: str, find: FindUser) -> str:
    """Return whom `bob` or `@bob` means; what is no user's id is as wrong as in an action."""
    user_id = find(word.removeprefix("@"))
    if not 1 <= len(user_id) <= USER_ID_LENGTH:
        raise _Wrong
    return user_id


def _set(name: str, on: Value) -> Make:
    """Return what switches a setting on, or, with `off` behind it, back to the default."""

    def make(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
        if words not in ([], ["on"], ["off"]):
            raise _Wrong
        return _settings({} if words == ["off"] else {name: on}, name, 0, request_id)

    return make


def _set_seconds(name: str) -> Make:
    """Return what sets a setting to a number of seconds, or back to the default."""

    def make(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
        if len(words) != 1:
            raise _Wrong
        if words == ["off"]:
            return _settings({}, name, 0, request_id)
        try:
            return _settings(checked({name: _seconds(words[0])}), name, 0, request_id)
        except SettingsWrong:
            raise _Wrong from None

    return make


def _pause(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if len(words) > 1:
        raise _Wrong
    seconds = _seconds(words[0]) if words else 0
    if words and (not seconds or time_errors({"paused": True}, seconds, "")):
        raise _Wrong
    return _settings({"paused": True}, "paused", seconds, request_id)


def _resume(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if words not in ([], ["discard"]):
        raise _Wrong
    return SetSettings(
        settings={},
        reset=("paused",),
        seconds=0,
        discards=bool(words),
        request_id=request_id,
        by_message=True,
    )


def _settings(values: Mapping[str, Value], name: str, seconds: int, request_id: str) -> OwnAction:
    return SetSettings(
        settings=dict(values),
        reset=() if values else (name,),
        seconds=seconds,
        request_id=request_id,
        by_message=True,
    )


def _viewers(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if words:
        raise _Wrong
    return CountViewers(request_id=request_id, by_message=True)


def _announce(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if not words:
        raise _Wrong
    return Announce(
        content=" ".join(words), style=STYLES[0], request_id=request_id, by_message=True
    )


def _clear(words: list[str], find: FindUser, request_id: str) -> OwnAction:
    if len(words) != 1:
        raise _Wrong
    return DeleteUserMessages(
        user_id=_user_id(words[0], find), request_id=request_id, by_message=True
    )


def _pin(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if len(words) not in (1, 2) or not is_message_id(words[0]):
        raise _Wrong
    seconds = _seconds(words[1]) if words[1:] else 0
    if words[1:] and not seconds:
        raise _Wrong  # 0 would be for ever
    return PinMessage(message_id=words[0], seconds=seconds, request_id=request_id, by_message=True)


def _unpin(words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    if len(words) != 1 or not is_message_id(words[0]):
        raise _Wrong
    return UnpinMessage(message_id=words[0], request_id=request_id, by_message=True)


def _help(_words: list[str], _find: FindUser, request_id: str) -> OwnAction:
    return Help(request_id=request_id, by_message=True)


def _seconds(word: str) -> int:
    """Return the seconds of `90`, `90s`, `10m`, `2h` or `7d`."""
    match = _DURATION.fullmatch(word)
    if match is None:
        raise _Wrong
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    if seconds > LONGEST_SECONDS:
        raise _Wrong
    return seconds


COMMANDS: Mapping[str, Command] = {
    "timeout": Command("USER 10m [REASON]", _restrict(Kind.MUTE, timed=True)),
    "mute": Command("USER [REASON]", _restrict(Kind.MUTE)),
    "unmute": Command("USER", _lift(Kind.MUTE)),
    "ban": Command("USER [REASON]", _restrict(Kind.BAN)),
    "unban": Command("USER", _lift(Kind.BAN)),
    "shadow": Command("USER [REASON]", _restrict(Kind.SHADOW)),
    "unshadow": Command("USER", _lift(Kind.SHADOW)),
    "monitor": Command("USER [REASON]", _restrict(Kind.MONITOR)),
    "unmonitor": Command("USER", _lift(Kind.MONITOR)),
    "slow": Command("30s | off", _set_seconds("slowModeSeconds")),
    "delay": Command("10s | off", _set_seconds("delaySeconds")),
    "pause": Command("[60s]", _pause),
    "resume": Command("[discard]", _resume),
    "freeze": Command("[on | off]", _set("frozen", on=True)),
    "subscribers": Command("[on | off]", _set("writers", on=("subscriber",))),
    "emoji": Command("[on | off]", _set("emojiOnly", on=True)),
    "shield": Command("[on | off]", _set("shield", on=True)),
    "viewers": Command("", _viewers),
    "announce": Command("TEXT", _announce),
    "clear": Command("USER", _clear),
    "pin": Command("MESSAGE-ID [10m]", _pin),
    "unpin": Command("MESSAGE-ID", _unpin),
    "help": Command("", _help),
}
"""The commands by name."""
