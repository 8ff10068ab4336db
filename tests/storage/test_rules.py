"""The rules that every store applies alike, and the words of their refusals."""

import pytest

from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
)
from greenroom.model.logging_configuration import LoggingConfigurationState as State
from greenroom.storage import rules
from tests.stand_ins.values import ACCOUNT, NOW, REGION, a_configuration, a_room


@pytest.mark.parametrize(("count", "quota"), [(0, 1), (4, 5), (5, 0), (10_000, 0)])
def test_there_is_room_for_one_more(count: int, quota: int) -> None:
    """Below its quota a region takes another one; 0 is no quota."""
    rules.check_quota(a_room().arn, count, quota)


@pytest.mark.parametrize(("count", "quota"), [(1, 1), (5, 5), (6, 5)])
def test_a_quota_that_is_used_up(count: int, quota: int) -> None:
    """The refusal says which kind, and how many."""
    with pytest.raises(
        ServiceQuotaExceededException, match=f"limit of {quota} .* room in"
    ) as found:
        rules.check_quota(a_room().arn, count, quota)
    assert found.value.members()["limit"] == quota


@pytest.mark.parametrize(
    ("newest", "now", "expected"),
    [
        (NOW, NOW + 1, NOW + 1),
        (NOW, NOW, NOW),
        (NOW + 1000, NOW, NOW + 1000),
        (NOW + 1001, NOW, NOW),
        (0, NOW, NOW),
    ],
)
def test_update_times(newest: int, now: int, expected: int) -> None:
    """They wait for a clock that steps back by a second, and follow one that is set back."""
    assert rules.update_time(newest, now) == expected


@pytest.mark.parametrize(
    ("rooms", "said"), [(1, "is attached to 1 room$"), (2, "is attached to 2 rooms$")]
)
def test_what_is_attached_is_not_deleted(rooms: int, said: str) -> None:
    """The refusal says how many rooms have it."""
    with pytest.raises(ConflictException, match=said):
        rules.deleting(a_configuration(State.ACTIVE), rooms, NOW)
    deleting = rules.deleting(a_configuration(State.ACTIVE), 0, NOW)
    assert (deleting.state, deleting.update_time) == (State.DELETING, NOW)


def test_a_state_that_has_changed_meanwhile() -> None:
    """Whoever finds another state than the one that he left has not the last word."""
    with pytest.raises(ConflictException, match="is ACTIVE and not CREATING"):
        rules.moved(a_configuration(State.ACTIVE), State.CREATING, State.ACTIVE, NOW)
    moved = rules.moved(a_configuration(State.CREATING), State.CREATING, State.ACTIVE, NOW)
    assert moved.state is State.ACTIVE


@pytest.mark.parametrize(("account", "region"), [("210987654321", REGION), (ACCOUNT, "eu-west-1")])
def test_what_belongs_to_others_is_not_there(account: str, region: str) -> None:
    """A room refers to what its account has in its region."""
    arn = a_configuration(State.ACTIVE).arn
    assert rules.within(str(arn), ACCOUNT, REGION) == arn
    with pytest.raises(ResourceNotFoundException, match=r"logging-configuration/\w+ not found"):
        rules.within(str(arn), account, region)


def test_tags() -> None:
    """Added ones overwrite; those that are removed need not be there."""
    assert rules.tagged({"a": "1", "b": "2"}, {"b": "3", "c": "4"}, 3) == {
        "a": "1",
        "b": "3",
        "c": "4",
    }
    assert rules.untagged({"a": "1", "b": "2"}, ("b", "none")) == {"a": "1"}
