"""The rates of rooms and accounts: what they count (tests/chat/test_chat.py), and their bounds."""

import pytest

from greenroom.chat import rates as rates_module
from greenroom.chat.outcome import Post
from greenroom.chat.rates import Rates
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.protocol.actions import SendMessage
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import a_room, room_arn

NOW = HandClock().clock.monotonic()
POST = Post("", now=NOW)


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have place for few."""
    monkeypatch.setattr(rates_module, "MAXIMUM_ROOMS", 5)
    monkeypatch.setattr(rates_module, "MAXIMUM_ACCOUNTS", 5)


def rates(**quotas: int) -> Rates:
    """Return rates that count what the quotas name, and rooms."""
    return Rates(Quotas(RateProfile.OFF, quotas), HandClock().clock)


def test_rooms_are_bounded() -> None:
    """Any number of rooms keeps so many buckets at most."""
    made = rates()
    for number in range(50):
        made.admit_message(a_room(), claims_of(room_arn=f"room{number}"), SendMessage("hi"), POST)
        made.check_message(a_room(), f"room{number}", 0, NOW)
        assert len(made._rooms) <= 5
    assert made.evicted == {"message_rates": 45, "account_rates": 0}
    reviewed = a_room(uri="arn:aws:lambda:us-east-1:123456789012:function:review")
    for number in range(50):
        made.admit_message(reviewed, claims_of(room_arn=f"room{number}"), SendMessage("hi"), POST)
        assert len(made._reviews) <= 5
    assert made.evicted == {"message_rates": 90, "account_rates": 0}


def test_accounts_are_bounded() -> None:
    """So it is with accounts, of which anybody with a token may have many."""
    made = rates(send_message_rate=1, delete_message_rate=1)
    for number in range(25):
        arn = room_arn(account=f"{number:012}")
        made.take("send_message_rate", arn)
        made.take("delete_message_rate", arn)
        assert len(made._accounts) <= 5
    assert made.evicted == {"message_rates": 0, "account_rates": 45}


def test_a_rate_that_is_kept_holds() -> None:
    """Others that come and go leave it alone, until nobody asked for it for longest."""
    made, arn = rates(send_message_rate=1), room_arn()
    made.take("send_message_rate", arn)
    for number in range(20):
        made.take("send_message_rate", room_arn(account=f"{number:012}"))
        with pytest.raises(ThrottlingException):
            made.take("send_message_rate", arn)
    for number in range(5):
        made.take("send_message_rate", room_arn(account=f"{9 - number}" * 12))
    made.take("send_message_rate", arn)


@pytest.mark.parametrize("uri", ["", "arn:aws:lambda:us-east-1:123456789012:function:review"])
def test_other_rooms_give_nobody_his_rate_anew(uri: str) -> None:
    """Who is refused in a room, and has rooms made and spoken in meanwhile, stays refused."""
    made, room = rates(), a_room(uri=uri)

    def speak(name: str) -> None:
        made.admit_message(room, claims_of(room_arn=name), SendMessage("hi"), POST)
        made.debit(name, made.check_message(room, name, 0, NOW), 0.0)

    for _ in range(10):
        speak("loud")
    for number in range(20):
        speak(f"room{number}")
        with pytest.raises(ThrottlingException):
            speak("loud")


def test_an_account_has_a_rate_where_rooms_have_none() -> None:
    """What switches off the rates of rooms leaves that of their account."""
    quotas = Quotas(RateProfile.OFF, {"send_message_rate": 1}, room_rates=False)
    made, room = Rates(quotas, HandClock().clock), a_room()
    made.admit_message(room, claims_of(), SendMessage("hi"), POST)
    assert made.check_message(room, "room", 999, NOW) == 0
    with pytest.raises(ThrottlingException):
        made.admit_message(room, claims_of(), SendMessage("hi"), POST)


def test_a_room_in_which_others_send_is_in_use() -> None:
    """What arrives from other nodes keeps its bucket, too."""
    made, room = rates(), a_room()
    for number in range(20):
        made.debit("loud", 10, 0.0)
        made.check_message(room, f"room{number}", 0, NOW)
    with pytest.raises(ThrottlingException):
        made.check_message(room, "loud", 0, NOW)


def test_what_others_sent_counts() -> None:
    """A message that arrived from elsewhere is debited, also where nobody has sent yet."""
    made, room = rates(), a_room()
    for _ in range(9):
        made.debit("room", 10, 0.0)
    assert made.check_message(room, "room", 0, NOW) == 10
    with pytest.raises(ThrottlingException):
        made.check_message(room, "room", 1, NOW)
    made.debit("room", 10, 0.0)
    with pytest.raises(ThrottlingException):
        made.admit_message(room, claims_of(room_arn="room"), SendMessage("hi"), POST)


def test_what_was_sent_a_while_ago_is_made_up_for() -> None:
    """A debit of half a second ago leaves what has been refilled since."""
    made, room = rates(), a_room()
    for _ in range(10):
        made.debit("room", 10, 0.5)
    assert made.check_message(room, "room", 4, NOW) == 10
    with pytest.raises(ThrottlingException):
        made.check_message(room, "room", 5, NOW)


def test_a_check_takes_nothing() -> None:
    """A message that is not published uses up nothing."""
    made, room = rates(), a_room()
    for _ in range(50):
        assert made.check_message(room, "room", 9, NOW) == 10


def test_what_the_account_may_not_send_is_not_reviewed() -> None:
    """It is refused, and leaves the room the reviews that it takes."""
    made, sender = rates(send_message_rate=1), claims_of()
    reviewed = a_room(uri="arn:aws:lambda:us-east-1:123456789012:function:review")
    made.admit_message(reviewed, sender, SendMessage("hi"), POST)
    for _ in range(50):
        with pytest.raises(ThrottlingException) as refused:
            made.admit_message(reviewed, sender, SendMessage("hi"), POST)
        assert refused.value.limit == 1
    for _ in range(9):
        made.give_back_message(reviewed.arn)
        made.admit_message(reviewed, sender, SendMessage("hi"), POST)


def test_a_refused_message_is_given_back_to_the_account() -> None:
    """It may send another one in its place."""
    made, sender = rates(send_message_rate=1), claims_of()
    made.give_back_message(a_room().arn)
    for _ in range(5):
        made.admit_message(a_room(), sender, SendMessage("hi"), POST)
        made.give_back_message(a_room().arn)
    made.admit_message(a_room(), sender, SendMessage("hi"), POST)
    with pytest.raises(ThrottlingException):
        made.admit_message(a_room(), sender, SendMessage("hi"), POST)


def test_reviews_have_a_rate_of_their_own() -> None:
    """As many are reviewed as the room takes; that they were uses up nothing of the room."""
    made, sender = rates(send_message_rate=12), claims_of(room_arn="room")
    room = a_room(uri="arn:aws:lambda:us-east-1:123456789012:function:review")
    for _ in range(10):
        made.admit_message(room, sender, SendMessage("hi"), POST)
    for _ in range(5):
        with pytest.raises(ThrottlingException):
            made.admit_message(room, sender, SendMessage("hi"), POST)
    assert made.check_message(room, "room", 9, NOW) == 10
    for _ in range(2):
        made.admit_message(a_room(), sender, SendMessage("hi"), POST)
    with pytest.raises(ThrottlingException):
        made.admit_message(a_room(), sender, SendMessage("hi"), POST)


def test_without_rates_of_rooms_a_message_counts_for_none() -> None:
    """However many there are, and nothing is kept of the room."""
    made = Rates(Quotas(RateProfile.OFF, room_rates=False), HandClock().clock)
    for number in range(50):
        assert made.check_message(a_room(), "room", number, NOW) == 0
        made.admit_message(a_room(), claims_of(room_arn="room"), SendMessage("hi"), POST)
    assert not len(made._rooms)
