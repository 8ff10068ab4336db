"""Room settings: what a room does that IVS Chat's rooms do not. One table, and what holds of it.

- A tag of the room, `greenroom:` and the setting's name in kebab-case, is the room's default.
- What a moderator sets goes before it, until it is reset or expires: applying the tags once more,
  as Terraform does, undoes no moderator.
- A setting has two forms: a JSON value (`{"writers": ["vip", "mod"]}`), and a text for tags, whose
  characters AWS limits (`greenroom:writers` = `vip mod`).

Everything else reads the table: the service model, the operations, the tags, the documentation.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from greenroom.model.errors import FieldError
from greenroom.model.pin import MOST_PINS, Pin
from greenroom.model.token_attributes import PREFIX, roles_problem

Value = bool | int | str | tuple[str, ...]
"""What a setting holds."""

LONGEST_SECONDS = 31_536_000
"""For how long something may be set at most: a year."""


class Kind(StrEnum):
    """The kinds of values."""

    NUMBER = "number"
    SWITCH = "switch"
    ROLES = "roles"
    SETTINGS = "settings"


class RoomSetting(msgspec.Struct, frozen=True):
    """A row of the table: `least` and `most` are the smallest and the largest number.

    What is on for `longest` seconds at most is set by moderators alone: no tag is, which would set
    it for ever, nor is it a part of a shield.
    """

    name: str
    kind: Kind
    default: Value
    group: str
    meaning: str
    most: int = 0
    least: int = 0
    longest: int = 0

    @property
    def tag(self) -> str:
        """Return the key of the tag that sets the room's default, where there is one."""
        return PREFIX + re.sub("([A-Z])", r"-\1", self.name).lower()

    @property
    def rule(self) -> str:
        """Return what a value must be."""
        if self.kind is Kind.NUMBER:
            return f"must be a number from {self.least} to {self.most}"
        if self.kind is Kind.SWITCH:
            return "must be true or false"
        if self.kind is Kind.SETTINGS:
            return "must be settings as NAME=VALUE, as tags name them, with spaces between"
        return "must be roles: names of 1 to 64 letters, digits and _ . -"

    def checked(self, value: object) -> Value:
        """Return a JSON value, or a text, as the setting's value.

        Raises:
            ValueError: it is none; the message is the rule.
        """
        found = self._of_text(value) if isinstance(value, str) else self._of_json(value)
        if found is None:
            raise ValueError(self.rule)
        return found

    def _of_text(self, text: str) -> Value | None:
        if self.kind is Kind.NUMBER:
            return self._of_json(int(text)) if _NUMBER.fullmatch(text) else None
        if self.kind is Kind.SWITCH:
            return _SWITCHES.get(text)
        if self.kind is Kind.SETTINGS:
            return text if within(text) is not None else None
        return self._of_json(re.split(r"[ ,]+", text) if text else [])

    def _of_json(self, value: object) -> Value | None:
        if self.kind is Kind.SWITCH:
            return value if isinstance(value, bool) else None
        if self.kind is Kind.NUMBER:
            return self._number(value)
        return _roles(value)

    def _number(self, value: object) -> int | None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # the Messaging API's parser makes all numbers floats
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return value if self.least <= value <= self.most else None

    def text(self, value: Value) -> str:
        """Return a value as the text of a tag."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return " ".join(value) if isinstance(value, tuple) else str(value)


def within(text: str) -> dict[str, Value] | None:
    """Return the settings in a text such as `slow-mode-seconds=30 writers=vip+mod`, or None."""
    values: dict[str, Value] = {}
    for each in text.split():
        name, equals, value = each.partition("=")
        setting = _BY_TAG.get(PREFIX + name)
        if setting is None or not equals or setting.group == SHIELDS or len(text) > LONGEST_TEXT:
            return None
        try:
            values[setting.name] = setting.checked(value.replace("+", " "))
        except ValueError:
            return None
    return values


LONGEST_TEXT = 256
"""Characters of settings in a text: what a tag holds."""


def _roles(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        return None
    roles = tuple(dict.fromkeys(value))
    return None if roles_problem(roles) else roles


_NUMBER = re.compile(r"[0-9]{1,9}")
_SWITCHES = {"true": True, "false": False, "on": True, "off": False}

MODES = "modes"
COMMANDS = "commands"
PRESENCE = "presence"
HISTORY = "history"
SHIELDS = "shield"

ROOM_SETTINGS: tuple[RoomSetting, ...] = (
    RoomSetting("frozen", Kind.SWITCH, False, MODES, "nobody may write"),
    RoomSetting(
        "writers", Kind.ROLES, (), MODES, "only users with one of these roles may write; none: all"
    ),
    RoomSetting(
        "followerMinutes",
        Kind.NUMBER,
        0,
        MODES,
        "only who has followed for so long may write",
        most=525_600,
    ),
    RoomSetting(
        "accountMinutes",
        Kind.NUMBER,
        0,
        MODES,
        "only who has had an account for so long may write",
        most=525_600,
    ),
    RoomSetting(
        "slowModeSeconds",
        Kind.NUMBER,
        0,
        MODES,
        "how long a user waits from one message to the next",
        most=3_600,
    ),
    RoomSetting(
        "emojiOnly", Kind.SWITCH, False, MODES, "only emoji, `:names:` and spaces may be written"
    ),
    RoomSetting(
        "duplicateSeconds",
        Kind.NUMBER,
        0,
        MODES,
        "how long a user cannot write the same once more; case and spaces do not count",
        most=3_600,
    ),
    RoomSetting(
        "delaySeconds",
        Kind.NUMBER,
        0,
        MODES,
        "how much later viewers see messages than moderators and who wrote them",
        most=30,
    ),
    RoomSetting(
        "paused",
        Kind.SWITCH,
        False,
        MODES,
        "messages wait until it ends: moderators and who wrote them see them before",
        longest=300,
    ),
    RoomSetting(
        "historyMessages",
        Kind.NUMBER,
        0,
        HISTORY,
        "how many of the last messages and events are kept for who comes, or comes back; 0: none",
        most=10_000,
    ),
    RoomSetting(
        "historyHours",
        Kind.NUMBER,
        24,
        HISTORY,
        "for how long they are kept at most",
        least=1,
        most=8_760,
    ),
    RoomSetting(
        "resumeSeconds",
        Kind.NUMBER,
        0,
        HISTORY,
        "for how long a user whose connection broke is given what he missed, without asking; 0: not"
        " at all",
        most=3_600,
    ),
    RoomSetting(
        "commands",
        Kind.SWITCH,
        True,
        COMMANDS,
        "what moderators write behind a slash is a command: `/help`",
    ),
    RoomSetting(
        "presence", Kind.SWITCH, False, PRESENCE, "everybody may know which users are there"
    ),
    RoomSetting("shield", Kind.SWITCH, False, SHIELDS, "what `shieldSettings` say goes before all"),
    RoomSetting(
        "shieldSettings",
        Kind.SETTINGS,
        "slow-mode-seconds=30 duplicate-seconds=60",
        SHIELDS,
        "what holds while `shield` is on: for a raid of many at once",
    ),
)
"""The settings, in the order of the documentation."""

BY_NAME: Mapping[str, RoomSetting] = MappingProxyType({each.name: each for each in ROOM_SETTINGS})

_BY_TAG = {each.tag: each for each in ROOM_SETTINGS if not each.longest}


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What holds in a room; the members are the rows of the table."""

    frozen: bool = False
    writers: tuple[str, ...] = ()
    follower_minutes: int = 0
    account_minutes: int = 0
    slow_mode_seconds: int = 0
    emoji_only: bool = False
    duplicate_seconds: int = 0
    delay_seconds: int = 0
    paused: bool = False
    history_messages: int = 0
    history_hours: int = 24
    resume_seconds: int = 0
    commands: bool = True
    presence: bool = False
    shield: bool = False
    shield_settings: str = "slow-mode-seconds=30 duplicate-seconds=60"


DEFAULTS = RoomSettings()

if {each.encode_name: each.default for each in msgspec.structs.fields(RoomSettings)} != {
    each.name: each.default for each in ROOM_SETTINGS
}:
    raise ImportError("the members of RoomSettings differ from the table")


class Override(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody set in a room; `expires` in milliseconds since the epoch, 0 is never."""

    value: Value
    by: str
    expires: int = 0


class Overrides(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is set in a room beside its tags, by name; the version rises with each change."""

    version: int = 0
    values: dict[str, Override] = {}
    pins: tuple[Pin, ...] = ()

    def at(self, now: int) -> dict[str, Override]:
        """Return what has not expired at a time."""
        return {
            name: each
            for name, each in self.values.items()
            if not each.expires or now < each.expires
        }


class SettingsChange(msgspec.Struct, frozen=True):
    """What is to be set in a room and what to be reset, at a time in milliseconds."""

    values: Mapping[str, Override]
    reset: Collection[str]
    now: int

    def apply(self, before: Overrides) -> Overrides:
        """Return what is set then: nothing of what others have set meanwhile is lost."""
        kept = {name: each for name, each in before.at(self.now).items() if name not in self.reset}
        return Overrides(before.version + 1, {**kept, **self.values}, before.pins)


class TooManyPins(Exception):
    """The room has as many as it may."""


class PinsChange(msgspec.Struct, frozen=True):
    """A message that is to be pinned in a room, and those that are not any more, at a time."""

    now: int
    pin: Pin | None = None
    without: Collection[str] = ()

    def apply(self, before: Overrides) -> Overrides:
        """Return what is set then.

        Raises:
            TooManyPins: the room has as many as it may.
        """
        gone = {*self.without, *(() if self.pin is None else (self.pin.message_id,))}
        pins = [
            each for each in before.pins if each.holds(self.now) and each.message_id not in gone
        ]
        if self.pin is not None:
            if len(pins) >= MOST_PINS:
                raise TooManyPins
            pins.append(self.pin)
        return Overrides(before.version + 1, before.values, tuple(pins))


Change = SettingsChange | PinsChange


class Effective(msgspec.Struct, frozen=True):
    """What holds in a room from a time in milliseconds until another; 0 is without an end.

    What had expired at `since` has not if the clock is set back behind that.
    """

    settings: RoomSettings
    since: int = 0
    until: int = 0

    @property
    def is_lasting(self) -> bool:
        """Return whether no time ends it."""
        return not self.since and not self.until

    def holds(self, now: int) -> bool:
        """Return whether it holds at a time, as long as nothing is changed."""
        return self.since <= now and (not self.until or now < self.until)


def effective(tags: Mapping[str, str], overrides: Overrides, now: int) -> Effective:
    """Return what holds in a room with these tags, and what is set in it."""
    values: dict[str, Value] = dict(of_tags(tags))
    current = overrides.at(now)
    values.update({name: each.value for name, each in current.items() if name in BY_NAME})
    ends = [each.expires for each in overrides.values.values() if each.expires]
    since = max((end for end in ends if end <= now), default=0)
    return Effective(settings_of(values), since, min((end for end in ends if end > now), default=0))


def settings_of(values: Mapping[str, Value]) -> RoomSettings:
    """Return the settings with these values, and the defaults of all others."""
    settings = msgspec.convert(values, RoomSettings)
    if settings.shield:
        shielding = within(settings.shield_settings) or {}
        settings = msgspec.convert({**values, **shielding}, RoomSettings)
    return settings


def of_tags(tags: Mapping[str, str]) -> dict[str, Value]:
    """Return the values that tags set; a tag that is wrong, as older ones may be, sets nothing."""
    values: dict[str, Value] = {}
    for key, text in tags.items():
        setting = _BY_TAG.get(key)
        if setting is not None:
            try:
                values[setting.name] = setting.checked(text)
            except ValueError:
                continue
    return values


def is_setting_tag(key: str) -> bool:
    """Return whether a tag's key is one of ours."""
    return key.startswith(PREFIX)


def tag_errors(tags: Mapping[str, str], path: str = "tags") -> list[FieldError]:
    """Return what is wrong with those tags of a room that are ours."""
    errors = []
    for key, text in tags.items():
        if not is_setting_tag(key):
            continue
        setting = _BY_TAG.get(key)
        if setting is None:
            errors.append(FieldError(f"{path}.{key}", f"is none of {', '.join(_BY_TAG)}"))
            continue
        try:
            setting.checked(text)
        except ValueError as error:
            errors.append(FieldError(f"{path}.{key}", str(error)))
    return errors


def checked(values: Mapping[str, object], path: str = "settings") -> dict[str, Value]:
    """Return values by name, checked.

    Raises:
        SettingsWrong: some name no setting, or are none of its values.
    """
    found: dict[str, Value] = {}
    errors = []
    for name, value in values.items():
        setting = BY_NAME.get(name)
        if setting is None:
            errors.append(FieldError(f"{path}.{name[:64]}", f"is none of {', '.join(BY_NAME)}"))
            continue
        try:
            found[name] = setting.checked(value)
        except ValueError as error:
            errors.append(FieldError(f"{path}.{name}", str(error)))
    if errors:
        raise SettingsWrong(tuple(errors))
    return found


def seconds_of(name: str, value: Value, seconds: int) -> int:
    """Return for how long a setting holds that is set for so long; 0 is for ever.

    What may not be is set for as long as it may, where nobody says for how long.
    """
    longest = BY_NAME[name].longest
    return longest if longest and value and not seconds else seconds


def time_errors(values: Mapping[str, Value], seconds: int, path: str) -> list[FieldError]:
    """Return what is wrong with setting these for so many seconds."""
    return [
        FieldError(path, f"must be at most {BY_NAME[name].longest} where {name} is set")
        for name, value in values.items()
        if value and 0 < BY_NAME[name].longest < seconds
    ]


def unknown(names: Iterable[str], path: str) -> list[FieldError]:
    """Return what is wrong with names of settings."""
    return [
        FieldError(f"{path}[{index}]", f"is none of {', '.join(BY_NAME)}")
        for index, name in enumerate(names)
        if name not in BY_NAME
    ]


class SettingsWrong(ValueError):
    """Some settings are not what they must be."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("; ".join(f"{each.name} {each.message}" for each in errors))
        self.errors = errors
