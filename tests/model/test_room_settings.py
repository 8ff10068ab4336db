"""Room settings: the table, its two forms of values, and what holds of tags and what is set."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.pin import MOST_PINS, Pin
from greenroom.model.room_settings import (
    BY_NAME,
    DEFAULTS,
    ROOM_SETTINGS,
    Kind,
    Override,
    Overrides,
    PinsChange,
    SettingsChange,
    SettingsWrong,
    TooManyPins,
    Value,
    checked,
    effective,
    of_tags,
    seconds_of,
    tag_errors,
    time_errors,
    unknown,
)
from greenroom.model.tags import tag_errors as general_tag_errors
from tests.stand_ins.values import NOW

ROLES = st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True), max_size=3, unique=True)
VALUES = {
    Kind.SWITCH: st.booleans(),
    Kind.NUMBER: st.integers(1, 30),
    Kind.ROLES: ROLES.map(tuple),
    Kind.SETTINGS: st.sampled_from(["", "frozen=true", "writers=vip+mod slow-mode-seconds=5"]),
}
SETTINGS = st.fixed_dictionaries(
    {}, optional={each.name: VALUES[each.kind] for each in ROOM_SETTINGS if not each.longest}
)


@given(SETTINGS)
def test_both_forms_say_the_same(values: dict[str, Value]) -> None:
    """What a tag says is what JSON says; every tag is one that AWS's rules allow."""
    tags = {BY_NAME[name].tag: BY_NAME[name].text(value) for name, value in values.items()}
    assert of_tags(tags) == checked(values) == values
    assert general_tag_errors(tags) == tag_errors(tags) == []
    json = msgspec.json.decode(msgspec.json.encode(values))
    assert checked(json) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frozen", 1),
        ("frozen", "yes"),
        ("frozen", None),
        ("historyHours", 0),
        ("followerMinutes", -1),
        ("followerMinutes", 525_601),
        ("followerMinutes", 0.5),
        ("followerMinutes", True),
        ("followerMinutes", "1" * 20),
        ("writers", "a b \u00fc"),
        ("writers", ["a", 1]),
        ("writers", {"a": 1}),
        ("writers", ["a b"]),
        ("writers", [str(number) for number in range(21)]),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    """With the setting and the rule."""
    with pytest.raises(SettingsWrong) as raised:
        checked({name: value})
    (error,) = raised.value.errors
    assert (error.name, error.message) == (f"settings.{name}", BY_NAME[name].rule)


def test_what_is_set_for_a_time_only() -> None:
    """It is no tag, which would set it for ever, and ends by itself."""
    (error,) = tag_errors({"greenroom:paused": "true"})
    assert (error.name, error.message[:10]) == ("tags.greenroom:paused", "is none of")
    assert of_tags({"greenroom:paused": "true"}) == {}
    (error,) = time_errors({"paused": True, "frozen": True}, 301, "seconds")
    assert (error.name, error.message) == ("seconds", "must be at most 300 where paused is set")
    assert time_errors({"paused": True, "frozen": True}, 300, "seconds") == []
    assert time_errors({"paused": False, "frozen": True}, 301, "seconds") == []
    for name, value, seconds, expected in (
        ("paused", True, 0, 300),
        ("paused", True, 7, 7),
        ("paused", False, 0, 0),
        ("frozen", True, 0, 0),
    ):
        assert seconds_of(name, value, seconds) == expected


@pytest.mark.parametrize(
    "text", ["x=1", "frozen", "paused=true", "frozen=2", "shield=true", "x" * 257, "a=b=c"]
)
def test_what_a_shield_cannot_hold(text: str) -> None:
    """Other settings only, each with a value of its own; a shield holds no shield.

    The rule that is told is the shield's.
    """
    with pytest.raises(SettingsWrong) as raised:
        checked({"shieldSettings": text})
    (error,) = raised.value.errors
    assert (error.name, error.message) == (
        "settings.shieldSettings",
        BY_NAME["shieldSettings"].rule,
    )


def test_a_shield_goes_before_all() -> None:
    """While it is on, for what it says, and for nothing else."""
    tags = {"greenroom:shield-settings": "frozen=false writers=vip+mod slow-mode-seconds=9"}
    on = {"shield": Override(True, "me", NOW + 5), "frozen": Override(True, "me")}
    shielded = effective(tags, Overrides(1, on), NOW).settings
    assert (shielded.frozen, shielded.writers, shielded.slow_mode_seconds) == (
        False,
        ("vip", "mod"),
        9,
    )
    after = effective(tags, Overrides(1, on), NOW + 5).settings
    assert (after.frozen, after.writers, after.slow_mode_seconds) == (True, (), 0)
    plain = effective({"greenroom:shield": "true"}, Overrides(), NOW).settings
    assert (plain.slow_mode_seconds, plain.duplicate_seconds) == (30, 60)


def test_an_unknown_setting_is_refused() -> None:
    """Every one at once, with the names that there are; also as a tag, and where it is reset."""
    with pytest.raises(SettingsWrong, match="is none of frozen, writers") as raised:
        checked({"x": 1, "frozen": True, "y": 2})
    assert [each.name for each in raised.value.errors] == ["settings.x", "settings.y"]
    (error,) = tag_errors({"greenroom:x": "1", "other": "2"})
    assert (error.name, error.message[:10]) == ("tags.greenroom:x", "is none of")
    (error,) = tag_errors({"greenroom:frozen": "2"})
    assert (error.name, error.message) == ("tags.greenroom:frozen", "must be true or false")
    assert [each.name for each in unknown(["frozen", "x"], "reset")] == ["reset[1]"]


def test_what_is_set_goes_before_the_tags() -> None:
    """A tag that is wrong, or unknown, sets nothing: it may be older than its setting."""
    tags = {"greenroom:frozen": "true", "greenroom:writers": "vip", "greenroom:emoji-only": "?"}
    overrides = Overrides(1, {"frozen": Override(False, "me"), "gone": Override(1, "me")})
    found = effective(tags, overrides, NOW)
    assert (found.settings.frozen, found.settings.writers, found.until) == (False, ("vip",), 0)
    assert not found.settings.emoji_only


def test_how_many_pins_a_room_has() -> None:
    """One that is pinned anew, or has expired, leaves its place to another."""
    overrides = Overrides()
    for number in range(MOST_PINS):
        pin = Pin(f"m{number}", "{}", "me", NOW, NOW + 5 if number == 0 else 0)
        overrides = PinsChange(NOW, pin).apply(overrides)
    with pytest.raises(TooManyPins):
        PinsChange(NOW, Pin("more", "{}", "me", NOW)).apply(overrides)
    again = PinsChange(NOW, Pin("m1", "{}", "you", NOW)).apply(overrides)
    assert [each.message_id for each in again.pins] == ["m0", "m2", "m1"]
    later = PinsChange(NOW + 5, Pin("more", "{}", "me", NOW)).apply(overrides)
    assert [each.message_id for each in later.pins] == ["m1", "m2", "more"]


def test_the_end_of_an_override() -> None:
    """It holds until the millisecond at which it expires, and no longer, whatever the clock did."""
    overrides = Overrides(
        1, {"frozen": Override(True, "me", NOW), "emojiOnly": Override(True, "me", NOW + 5)}
    )
    before, at, after = (effective({}, overrides, NOW + each) for each in (-1, 0, 5))
    assert (before.settings.frozen, before.settings.emoji_only, before.until) == (True, True, NOW)
    assert (at.settings.frozen, at.settings.emoji_only, at.until) == (False, True, NOW + 5)
    assert (after.settings, after.until) == (DEFAULTS, 0)
    assert effective({}, overrides, NOW - 1) == before


def test_a_change() -> None:
    """It sets and resets, drops what has expired, and leaves all else as it was."""
    before = Overrides(
        7,
        {
            "frozen": Override(True, "a"),
            "emojiOnly": Override(True, "a", NOW),
            "writers": Override((), "a"),
        },
    )
    change = SettingsChange({"followerMinutes": Override(5, "b", NOW + 9)}, ("writers",), NOW)
    after = change.apply(before)
    assert after.version == 8
    assert after.values == {
        "frozen": Override(True, "a"),
        "followerMinutes": Override(5, "b", NOW + 9),
    }
