"""The rates of rooms and accounts: what they count (tests/chat/test_chat.py), and their bounds."""

import pytest

from greenroom.chat import rates as rates_module
from greenroom.chat.rates import Rates
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.protocol.actions import SendMessage
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import a_room, room_arn


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
        made.take_message(a_room(), claims_of(room_arn=f"room{number}"), SendMessage("hi"))
        assert len(made._rooms) <= 5
    assert made.evicted == {"message_rates": 45, "account_rates": 0}


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
    """Others that come and go leave it alone, until it is the oldest."""
    made, arn = rates(send_message_rate=1), room_arn()
    made.take("send_message_rate", arn)
    for number in range(4):
        made.take("send_message_rate", room_arn(account=f"{number:012}"))
    with pytest.raises(ThrottlingException):
        made.take("send_message_rate", arn)
    made.take("send_message_rate", room_arn(account="9" * 12))
    made.take("send_message_rate", arn)
