"""Room settings: the table, its two forms of values, and what holds of tags and what is set."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.pin import MOST_PINS, Pin
from greenroom.model.room_settings import (
    BY_NAME,
    DEFAULTS,
    LONGEST_TEXT,
    ROOM_SETTINGS,
    Kind,
    Override,
    Overrides,
    PinsChange,
    RoomSetting,
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
    within,
)
from greenroom.model.tags import tag_errors as general_tag_errors
from greenroom.model.token_attributes import MOST_ROLES
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
        ("writers", [str(number) for number in range(MOST_ROLES + 1)]),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    """With the setting and the rule."""
    with pytest.raises(SettingsWrong) as raised:
        checked({name: value})
    (error,) = raised.value.errors
    assert (error.name, error.message) == (f"settings.{name}", BY_NAME[name].rule)


def test_the_most_roles() -> None:
    """As many as a token may say, each once."""
    names = [str(number) for number in range(MOST_ROLES)]
    assert checked({"writers": [*names, *names]}) == {"writers": tuple(names)}


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


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Kind.NUMBER, "must be a number from"),
        (Kind.SWITCH, "must be true or false"),
        (Kind.SETTINGS, "must be settings as NAME=VALUE"),
        (Kind.ROLES, "must be roles: names of"),
    ],
)
def test_the_rule_that_is_told(kind: Kind, rule: str) -> None:
    """It is that of the setting's kind."""
    rows = [each for each in ROOM_SETTINGS if each.kind is kind]
    assert rows
    assert all(each.rule.startswith(rule) for each in rows)


@pytest.mark.parametrize("each", [each for each in ROOM_SETTINGS if each.kind is Kind.NUMBER])
def test_numbers_have_bounds(each: RoomSetting) -> None:
    """The smallest and the largest are values, and none beside them is."""
    for number in (each.least, each.most, float(each.most)):
        assert each.checked(number) == number
    for number in (each.least - 1, each.most + 1):
        with pytest.raises(ValueError, match=f"from {each.least} to {each.most}"):
            each.checked(number)


def test_how_long_the_text_of_a_shield_may_be() -> None:
    """As long as a tag's value, and no longer."""
    longest = "frozen=true".ljust(LONGEST_TEXT - 1) + " "
    assert within(longest) == {"frozen": True}
    assert within(longest + " ") is None


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
    said = str(raised.value).split("; ")
    assert [each.split(" is none of ")[0] for each in said] == ["settings.x", "settings.y"]
    wrong = {"other": "2", "greenroom:y": "1", "another": "3", "greenroom:frozen": "2"}
    assert [each.name for each in tag_errors(wrong)] == [
        "tags.greenroom:y",
        "tags.greenroom:frozen",
    ]
    (error,) = tag_errors({"greenroom:x": "1", "other": "2"})
    assert (error.name, error.message[:10]) == ("tags.greenroom:x", "is none of")
    (error,) = tag_errors({"greenroom:frozen": "2"})
    assert (error.name, error.message) == ("tags.greenroom:frozen", "must be true or false")
    assert [each.name for each in unknown(["frozen", "x"], "reset")] == ["reset[1]"]


def test_what_is_set_goes_before_the_tags() -> None:
    """A tag that is wrong, or unknown, sets nothing: it may be older than its setting."""
    tags = {"greenroom:emoji-only": "?", "greenroom:frozen": "true", "greenroom:writers": "vip"}
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
    assert overrides.version == MOST_PINS
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
    assert [each.since for each in (before, at, after)] == [0, NOW, NOW + 5]
    for found, holds in ((before, (1, 0, 0)), (at, (0, 1, 0)), (after, (0, 0, 1))):
        moments = [(NOW - 1,), (NOW, NOW + 4), (NOW + 5, NOW + 999)]
        for some, expected in zip(moments, holds, strict=True):
            assert [found.holds(each) for each in some] == [bool(expected)] * len(some)
        assert not found.is_lasting
    assert effective({}, Overrides(1, {"frozen": Override(True, "me")}), NOW).is_lasting


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
