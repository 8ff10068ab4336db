"""Request rates: per account, region and operation, with a bounded memory."""

import contextlib

import pytest

from greenroom.control import throttle
from greenroom.control.throttle import BODY_BYTES, Throttle
from greenroom.model.errors import ThrottlingException
from greenroom.model.iam_errors import Throttling
from greenroom.model.quotas import CALLER_RATE, IDENTITY_RATE, Quotas, RateProfile
from tests.stand_ins.hand_clock import HandClock


def test_rates() -> None:
    """Each operation has its own rate per account and region, and refills."""
    time = HandClock()
    throttled = Throttle(Quotas(RateProfile.AWS), time.clock)
    for account, region in (("1", "a"), ("2", "a"), ("1", "b")):
        for _ in range(3):
            throttled.take("ListLoggingConfigurations", account, region)
    with pytest.raises(ThrottlingException) as refused:
        throttled.take("ListLoggingConfigurations", "1", "a")
    members = {"resourceId": "1", "resourceType": "LOGGING_CONFIGURATION", "limit": 3}
    assert refused.value.members() == members
    throttled.take("ListRooms", "1", "a")
    time.jump(-3600)
    with pytest.raises(ThrottlingException):
        throttled.take("ListLoggingConfigurations", "1", "a")
    time.advance(1)
    throttled.take("ListLoggingConfigurations", "1", "a")


def test_no_limit() -> None:
    """A rate of 0 keeps no bucket at all."""
    throttled = Throttle(Quotas(RateProfile.OFF), HandClock().clock)
    for _ in range(5000):
        throttled.take("CreateRoom", "1", "a")
    assert not throttled._buckets


def test_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the least recently used bucket goes: whoever is being refused stays refused."""
    monkeypatch.setattr(throttle, "_MAXIMUM_BUCKETS", 3)
    throttled = Throttle(Quotas(overrides={"requests_per_second.GetRoom": 1}), HandClock().clock)
    throttled.take("GetRoom", "loud", "a")
    for number in range(20):
        throttled.take("GetRoom", str(number), "a")
        with pytest.raises(ThrottlingException):
            throttled.take("GetRoom", "loud", "a")
    assert (len(throttled._buckets), throttled.evicted) == (3, 18)


def taken(throttled: Throttle, times: int, caller: str, service: str = "sts") -> int:
    """Return how many of a caller's requests were served."""
    served = 0
    for _ in range(times):
        with contextlib.suppress(Throttling):
            throttled.take_of_service(service, "1", caller)
            served += 1
    return served


def test_iam_and_sts_have_a_rate_for_each_caller() -> None:
    """One who asks without end is refused; others, and the other service, go on; it refills."""
    time = HandClock()
    throttled = Throttle(Quotas(), time.clock)
    assert taken(throttled, 1000, "mallory") == CALLER_RATE
    assert taken(throttled, 1000, "mallory", "iam") == CALLER_RATE
    assert taken(throttled, 10, "ann") == 10
    time.advance(1)
    assert taken(throttled, 1000, "mallory") == CALLER_RATE


def test_iam_and_sts_have_a_rate_for_all() -> None:
    """Many keys are no way around it, and who is refused for all loses nothing of his own."""
    time = HandClock()
    throttled = Throttle(Quotas(), time.clock)
    assert sum(taken(throttled, 30, f"user-{number}") for number in range(20)) == IDENTITY_RATE
    time.advance(10)
    assert taken(throttled, 1000, "user-19") == CALLER_RATE
    assert taken(Throttle(Quotas(RateProfile.OFF), time.clock), 1000, "mallory") == 1000


def test_large_bodies_count_as_several_requests() -> None:
    """Who sends as much as may be sent has few of a second's requests, but never none."""
    time = HandClock()
    throttled = Throttle(Quotas(), time.clock)
    served = 0
    for _ in range(100):
        with contextlib.suppress(Throttling):
            throttled.take_of_service("sts", "1", "mallory", 24 * BODY_BYTES)
            served += 1
    assert served == CALLER_RATE // 25
    few = Throttle(Quotas(overrides={"requests_per_second.GetRoom": 2}), time.clock)
    few.take("GetRoom", "1", "a", 64 * BODY_BYTES)
    with pytest.raises(ThrottlingException):
        few.take("GetRoom", "1", "a")


def test_who_is_refused_for_all_keeps_his_own_rate() -> None:
    """However often he asks, it is the account's rate that he is told of."""
    rates = {"requests_per_second.sts": 10, "requests_per_second_per_caller.sts": 2}
    throttled = Throttle(Quotas(overrides=rates), HandClock().clock)
    assert sum(taken(throttled, 2, f"user-{number}") for number in range(5)) == 10
    for _ in range(5):
        with pytest.raises(Throttling, match="an account may make 10 requests per second"):
            throttled.take_of_service("sts", "1", "mallory")
    for _ in range(2):
        with pytest.raises(Throttling, match="a caller may make 2 requests per second"):
            throttled.take_of_service("sts", "1", "user-0")


@pytest.mark.parametrize(
    ("size", "served"), [(0, 4), (BODY_BYTES - 1, 4), (BODY_BYTES, 2), (2 * BODY_BYTES, 1)]
)
def test_the_weight_of_a_body(size: int, served: int) -> None:
    """Each whole piece of a body counts once more."""
    rates = {"requests_per_second.GetRoom": 4}
    throttled = Throttle(Quotas(overrides=rates), HandClock().clock)
    for _ in range(served):
        throttled.take("GetRoom", "1", "a", size)
    with pytest.raises(ThrottlingException):
        throttled.take("GetRoom", "1", "a", size)
