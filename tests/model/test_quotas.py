"""Quotas: profiles, overrides, and that every operation has a rate."""

import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.model.quotas import (
    BY_NAME,
    CALLER_RATE,
    IDENTITY_RATE,
    QUOTAS,
    RELAXED_RATE,
    Quotas,
    RateProfile,
    caller_rate_name,
    request_rate_name,
)


def test_every_operation_has_a_rate() -> None:
    """The table names the operations of the service model, and the other services, each once."""
    rates = {quota.name for quota in QUOTAS if quota.name.startswith("requests_per_second.")}
    names = (*OPERATIONS, "SendMessage", "iam", "sts", "greenroom")
    assert rates == {request_rate_name(name) for name in names}
    assert len(BY_NAME) == len(QUOTAS)


@pytest.mark.parametrize("quota", QUOTAS, ids=lambda quota: str(quota.name))
def test_profiles(quota: object) -> None:
    """Profiles change request rates only; an override comes first, also one of 0."""
    name, aws = getattr(quota, "name", ""), getattr(quota, "aws", 0)
    rate = getattr(quota, "is_request_rate", False)
    assert Quotas(RateProfile.AWS)[name] == aws
    relaxed = RELAXED_RATE
    if name.endswith((".iam", ".sts", ".greenroom")):
        relaxed = CALLER_RATE if "caller" in name else IDENTITY_RATE
    assert Quotas()[name] == (relaxed if rate else aws)
    assert Quotas(RateProfile.OFF)[name] == (0 if rate else aws)
    for override in (0, 7):
        assert Quotas(RateProfile.AWS, {name: override})[name] == override


def test_unknown_quota() -> None:
    """A name that is not in the table is a mistake of ours."""
    with pytest.raises(KeyError):
        Quotas()["nothing"]


def test_rates_of_callers_have_a_name_for_each_service() -> None:
    """Settings name them so, as they name the rates of operations."""
    assert caller_rate_name("iam") == "requests_per_second_per_caller.iam"
    assert caller_rate_name("sts") != caller_rate_name("iam")
