"""Which subjects are a room's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.bus.nats import subjects
from tests.stand_ins.values import room_arn

rooms = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def test_a_rooms_subjects_are_these_for_ever() -> None:
    """Another version that computed others would not find what is stored."""
    room = "arn:aws:ivschat:us-west-2:123456789012:room/AbCdEf012345"
    assert subjects.published(room) == f"gr.08.{room}"
    assert subjects.delivered(subjects.published(room)) == f"gd.08.{room}"
    assert subjects.stream_name(subjects.stream_of(room)) == "ROOMS_08"
    assert (subjects.STREAMS, subjects.CONTROL_STREAM) == (16, "CONTROL")


@given(rooms)
def test_a_subject_is_of_one_room(room: str) -> None:
    """It has three tokens, none that stands for others, and tells its room."""
    subject = subjects.published(room)
    assert re.fullmatch(r"gr\.\d\d\.[^.*>\s]+", subject)
    assert subject.isprintable()
    assert subject.isascii()
    assert subjects.room_of(subject) == subjects.room_of(subjects.delivered(subject)) == room


def test_a_room_has_a_name() -> None:
    """An empty token is no subject."""
    with pytest.raises(ValueError, match="name"):
        subjects.published("")


def test_accounts_and_regions_never_meet() -> None:
    """Rooms of the same id in other accounts or regions have other subjects."""
    there = {
        str(room_arn(account=account, region=region)).rpartition("/")[0] + "/Room00000001"
        for account in ("1" * 12, "2" * 12)
        for region in ("us-east-1", "eu-west-1")
    }
    assert len(there) == 4
    assert len({subjects.published(room) for room in there}) == 4
    assert len({subjects.stream_of(room) for room in there}) == 1


def test_rooms_are_spread() -> None:
    """No stream has twice its part."""
    counts = [0] * subjects.STREAMS
    for _ in range(8000):
        counts[subjects.stream_of(str(room_arn()))] += 1
    assert max(counts) < 2 * 8000 / subjects.STREAMS
