"""The states of a logging configuration: a closed machine."""

import pytest

from greenroom.model.errors import ConflictException
from greenroom.model.logging_configuration import (
    TRANSITIONS,
    DestinationConfiguration,
    DestinationKind,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from tests.stand_ins.values import NOW, a_configuration

State = LoggingConfigurationState
WORKING = {State.CREATING, State.UPDATING, State.DELETING}


@pytest.mark.parametrize("before", State, ids=str)
def test_moves(before: State) -> None:
    """Each move of the table is made, with its time; every other one is a conflict."""
    for after in State:
        configuration = a_configuration(before)
        if after in TRANSITIONS[before]:
            moved = configuration.moved_to(after, NOW + 1)
            assert (moved.state, moved.update_time) == (after, NOW + 1)
        else:
            with pytest.raises(ConflictException) as refused:
                configuration.moved_to(after, NOW + 1)
            assert refused.value.resource_id == configuration.arn.id
            assert f"is {before}" in refused.value.message


def test_shape_of_the_machine() -> None:
    """Nothing begins from a state in which something is under way, and nothing is created twice."""
    assert set(TRANSITIONS) == set(State)
    for before in WORKING:
        assert not TRANSITIONS[before] & WORKING
    for before in set(State) - WORKING:
        assert TRANSITIONS[before] & WORKING == {State.UPDATING, State.DELETING}


def test_what_happens_by_itself() -> None:
    """Only ACTIVE and UPDATE_FAILED follow each other without an operation, as deliveries go."""
    moves = {(before, after) for before in set(State) - WORKING for after in TRANSITIONS[before]}
    assert {(before, after) for before, after in moves if after not in WORKING} == {
        (State.ACTIVE, State.UPDATE_FAILED),
        (State.UPDATE_FAILED, State.ACTIVE),
    }


def test_changes() -> None:
    """What is UNSET stays; state, times and tags are not a change's to touch."""
    before = a_configuration(name="old")
    assert LoggingConfigurationChange().apply(before) == before
    bucket = DestinationConfiguration(DestinationKind.S3, "bucket")
    after = LoggingConfigurationChange(destination=bucket).apply(before)
    assert (after.name, after.destination, after.tags) == ("old", bucket, before.tags)
    assert LoggingConfigurationChange(name="").apply(before).name == ""
