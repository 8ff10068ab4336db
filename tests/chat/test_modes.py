"""What settings refuse, with which words, and in which order.

Covers: greenroom.chat.in_force
"""

import unicodedata
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.bus.base import History
from greenroom.chat import in_force as in_force_module
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.modes import (
    EMOJI_ONLY,
    FROZEN,
    Modes,
    normalised,
    refusal,
    remember,
    remember_anew,
)
from greenroom.chat.outcome import Post
from greenroom.model.chat_token import Capability
from greenroom.model.room_settings import DEFAULTS, Override, Overrides, RoomSettings
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import ActionError
from tests.stand_ins.hand_clock import START_MS, HandClock
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import a_room

NOW = START_MS / 1000
MINUTE_AGO = "2023-11-14T22:12:20Z"
"""A minute before `NOW`."""


def viewer(**own: str) -> Any:
    """Return the claims of somebody who may send, with attributes of ours."""
    attributes = {name.replace("_", "-"): value for name, value in own.items()}
    return claims_of(capabilities=(Capability.SEND_MESSAGE,), own=attributes)


def said(settings: RoomSettings, content: str = "hi", now: float = NOW, **own: str) -> Any:
    """Return code and text of a refusal, or None."""
    refused = refusal(settings, viewer(**own), content, lambda: now)
    return None if refused is None else (refused.code, refused.message)


def test_each_mode_refuses() -> None:
    """With the code and the words that people are shown."""
    assert said(RoomSettings()) is None
    assert said(RoomSettings(frozen=True)) == (403, FROZEN)
    assert said(RoomSettings(emoji_only=True)) == (406, EMOJI_ONLY)
    assert said(RoomSettings(emoji_only=True), "\U0001f525") is None
    roles = RoomSettings(writers=("vip", "mod"))
    assert said(roles) == said(roles, roles="other") == (403, "Only these may write now: vip, mod")
    assert said(roles, roles="other, mod") is None


@pytest.mark.parametrize(
    ("setting", "attribute", "what"),
    [
        ("follower_minutes", "following_since", "followed"),
        ("account_minutes", "account_since", "had an account"),
    ],
)
def test_ages(setting: str, attribute: str, what: str) -> None:
    """They count from the token's time, to the second; who has none is too young."""
    one, two = (msgspec.structs.replace(RoomSettings(), **{setting: minutes}) for minutes in (1, 2))
    aged: dict[str, Any] = {attribute: MINUTE_AGO}
    assert said(one, **aged) is None
    assert said(one, now=NOW - 0.001, **aged) is not None
    assert said(two, now=NOW + 60, **aged) is None
    assert said(two, **aged) == (403, f"Only who has {what} for 2 minutes may write now")
    assert said(one) == (403, f"Only who has {what} for 1 minute may write now")


SETTINGS = st.builds(
    RoomSettings,
    frozen=st.booleans(),
    writers=st.sampled_from([(), ("vip",)]),
    follower_minutes=st.sampled_from([0, 1, 3]),
    account_minutes=st.sampled_from([0, 1, 3]),
    emoji_only=st.booleans(),
)


@given(SETTINGS, st.sampled_from(["hi", "\U0001f525"]), st.booleans(), st.booleans())
def test_the_first_that_refuses_is_told(
    settings: RoomSettings, content: str, vip: bool, aged: bool
) -> None:
    """Whatever else would refuse, too: frozen, roles, ages, then what the content is."""
    own: dict[str, Any] = {"roles": "vip"} if vip else {}
    if aged:
        own |= {"following_since": MINUTE_AGO, "account_since": MINUTE_AGO}
    alone = [
        RoomSettings(frozen=settings.frozen),
        RoomSettings(writers=settings.writers),
        RoomSettings(follower_minutes=settings.follower_minutes),
        RoomSettings(account_minutes=settings.account_minutes),
        RoomSettings(emoji_only=settings.emoji_only),
    ]
    each = [said(one, content, **own) for one in alone]
    first = next((one for one in each if one is not None), None)
    assert said(settings, content, **own) == first


class Room:
    """A room with settings, and its gate."""

    def __init__(self, overrides: Overrides, **tags: str) -> None:
        self.time = HandClock()
        tags = {f"greenroom:{name}": value for name, value in tags.items()}
        self.room = a_room()
        self.change(overrides, tags)
        self.in_force = SettingsInForce(self.time.clock)
        self.modes = Modes(self.time.clock)

    def change(self, overrides: Overrides, tags: dict[str, str]) -> None:
        """Be as the store has it now."""
        self.room = msgspec.structs.replace(self.room, overrides=overrides, tags=tags)

    def post(self, message_id: str = "") -> Post:
        """Return a message on its way to the room."""
        return Post(message_id, settings=self.in_force.of(str(self.room.arn), self.room))

    def passes(self, *capabilities: Capability) -> bool:
        """Return whether a message is let through."""
        sender = claims_of(capabilities=capabilities, room_arn=str(self.room.arn))
        try:
            self.modes.passes(self.room, sender, SendMessage("hi", request_id="7"), self.post())
        except ActionError as error:
            return (error.code, error.request_id) != (403, "7")
        return True


def test_moderators_and_bots_meet_no_mode() -> None:
    """And nobody else does not, whatever capabilities he has."""
    room = Room(Overrides(1, {"frozen": Override(True, "me")}))
    assert not room.passes()
    for each in Capability:
        assert room.passes(each) is (each in {Capability.MODERATE, Capability.BYPASS})


def test_a_refusal_that_lasts_goes_before_slow_mode() -> None:
    """Who may not write at all is not told to try again in a few seconds."""
    slow = {"slowModeSeconds": Override(30, "me")}
    room = Room(Overrides(1, slow))
    sender = claims_of(capabilities=(Capability.SEND_MESSAGE,), room_arn=str(room.room.arn))
    sent = Post("m1", settings=RoomSettings(slow_mode_seconds=30))
    remember(sent, sender, "hi")
    room.modes.place(sent, "7", 0.0)
    for overrides, code in (
        (Overrides(1, slow), 429),
        (Overrides(2, {**slow, "frozen": Override(True, "me")}), 403),
    ):
        room.change(overrides, {})
        with pytest.raises(ActionError) as refused:
            room.modes.passes(room.room, sender, SendMessage("hi", request_id="7"), room.post())
        assert refused.value.code == code


def test_what_holds_ends_by_itself() -> None:
    """At its very millisecond, though nothing was changed; set back, the clock has it again."""
    room = Room(Overrides(1, {"frozen": Override(True, "me", START_MS + 1000)}))
    assert not room.passes()
    room.time.advance(0.999)
    assert not room.passes()
    room.time.advance(0.001)
    assert room.passes()
    room.time.advance(-0.001)
    assert not room.passes()


def test_a_change_holds_at_once() -> None:
    """What is known of a room goes with the room that the cache had."""
    room = Room(Overrides(), frozen="true")
    assert not room.passes()
    room.change(Overrides(1, {"frozen": Override(False, "me")}), room.room.tags)
    assert room.passes()
    room.change(Overrides(), {"team": "a"})
    assert room.passes()
    assert room.in_force.of(str(room.room.arn), room.room) is DEFAULTS


def test_whether_a_room_keeps_what_it_is_shown() -> None:
    """As its tags say, or what is set in it, whichever there is."""
    plain, tagged = Room(Overrides()), Room(Overrides(), **{"history-messages": "5"})
    changed = Room(Overrides(1, {"historyMessages": Override(5, "me")}))
    for each, kept in ((plain, History.NONE), (tagged, History.KEPT), (changed, History.KEPT)):
        assert each.in_force.history(each.room) is kept
    changed.change(Overrides(1, {"frozen": Override(True, "me")}), {})
    assert changed.in_force.history(changed.room) is History.NONE


@pytest.mark.parametrize(("seconds", "frozen"), [(0, True), (2, True), (3, False)])
def test_what_will_hold(seconds: int, *, frozen: bool) -> None:
    """In so many seconds, if nobody changes it."""
    room = Room(Overrides(1, {"frozen": Override(True, "me", START_MS + 2001)}))
    assert room.in_force.ahead(room.room, seconds).frozen is frozen


def test_what_is_remembered_of_a_text_has_a_bound() -> None:
    """Some characters are 18 when they are normalised; a text is normalised once."""
    room = Room(Overrides(1, {"duplicateSeconds": Override(30, "me")}))
    may = (Capability.SEND_MESSAGE,)
    sender = claims_of(capabilities=may, room_arn=str(room.room.arn))
    message = SendMessage("\ufdfa" * 500, request_id="7")
    with mock.patch.object(unicodedata, "normalize", wraps=unicodedata.normalize) as normalize:
        post = room.post("m1")
        room.modes.passes(room.room, sender, message, post)
        room.modes.place(post, "7", 0.0)
    assert normalize.call_count == 1
    (key,) = room.modes.recent.late
    assert isinstance(key, int)
    assert key.bit_length() <= 64


@given(st.text() | st.text(st.characters(max_codepoint=127)))
def test_what_makes_no_difference(content: str) -> None:
    """Case, forms of characters and spaces: in plain texts, which are read faster, as in others."""
    slowly = "".join(unicodedata.normalize("NFKC", content).casefold().split())
    assert normalised(content) == slowly.encode()


def test_what_is_remembered_when_settings_change() -> None:
    """While a message is reviewed: by those that hold then, and nothing of who meets no mode."""
    slow, repeated = RoomSettings(slow_mode_seconds=5), RoomSettings(duplicate_seconds=5)
    sender = viewer()
    post = Post("m1", settings=slow)
    remember(post, sender, "hi")
    assert (post.user != 0, post.text) == (True, 0)
    remember_anew(post, repeated, sender, "hi")
    assert (post.settings, post.user, post.text != 0) == (repeated, 0, True)
    remember_anew(post, slow, claims_of(capabilities=(Capability.BYPASS,)), "hi")
    assert (post.user, post.text) == (0, 0)


def test_whose_text_it_is() -> None:
    """The same text of another user is no repetition, however ids and texts are put together."""
    modes = Modes(HandClock().clock)
    settings = RoomSettings(duplicate_seconds=30)

    def place(user: str, content: str, number: int) -> None:
        sender = claims_of(user_id=user, room_arn="room")
        post = Post(f"m{number}", settings=settings)
        remember(post, sender, content)
        modes.place(post, "7", 0.0)

    for number, (user, content) in enumerate([("a", "bc"), ("ab", "c"), ("a b", "c"), ("a", "b")]):
        place(user, content, number)
    with pytest.raises(ActionError) as refused:
        place("ab", " C", 9)
    assert refused.value.code == 406


@pytest.mark.parametrize(
    ("setting", "code", "you"),
    [("slowModeSeconds", 429, {"RetryAfter": "30"}), ("duplicateSeconds", 406, None)],
)
def test_of_two_at_once_one_has_a_place(
    setting: str, code: int, you: dict[str, str] | None
) -> None:
    """Both were let pass when neither was noted: the second is refused as it gets its place."""
    room = Room(Overrides(1, {setting: Override(30, "me")}))
    sender = claims_of(capabilities=(Capability.SEND_MESSAGE,), room_arn=str(room.room.arn))
    posts = [room.post(f"m{number}") for number in (1, 2)]
    for each in posts:
        room.modes.passes(room.room, sender, SendMessage("hi"), each)
    room.modes.place(posts[0], "7", 0.0)
    with pytest.raises(ActionError) as refused:
        room.modes.place(posts[1], "8", 0.0)
    error = refused.value
    assert (error.code, error.request_id, error.you or None) == (code, "8", you)


def test_what_is_known_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more rooms than the cache of rooms has, all are computed anew."""
    monkeypatch.setattr(in_force_module, "MAXIMUM_ROOMS", 2)
    found = SettingsInForce(HandClock().clock)
    for _ in range(5):
        room = Room(Overrides(), frozen="true").room
        assert found.of(str(room.arn), room).frozen
        assert len(found._known) <= 2
