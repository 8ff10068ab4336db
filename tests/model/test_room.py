"""Rooms: partial changes, and the filters of a listing."""

import pytest

from greenroom.model.room import (
    FallbackResult,
    HandlerChange,
    MessageReviewHandler,
    RoomChange,
    RoomFilter,
)
from tests.stand_ins.values import NOW, a_room, full_room

DENY = FallbackResult.DENY


def test_an_empty_change_moves_the_time_only() -> None:
    """What is UNSET stays, the review handler included."""
    before = full_room("arn")
    after = RoomChange().apply(before, NOW + 99)
    assert after.update_time == NOW + 99
    assert RoomChange().apply(after, before.update_time) == before


def test_what_is_given_replaces() -> None:
    """Each member changes alone, and empty values clear."""
    room = full_room("arn")
    change = RoomChange(name="", logging_configuration_identifiers=(), maximum_message_length=1)
    after = change.apply(room, NOW)
    assert (after.name, after.logging_configuration_identifiers) == ("", ())
    assert (after.maximum_message_length, after.maximum_message_rate_per_second) == (1, 77)
    assert after.message_review_handler == room.message_review_handler
    change = RoomChange(message_review_handler=HandlerChange(uri="u"))
    handler = MessageReviewHandler("u", DENY)
    assert change.apply(room, NOW).message_review_handler == handler


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (None, HandlerChange(), MessageReviewHandler("", FallbackResult.ALLOW)),
        (None, HandlerChange(fallback_result=DENY), MessageReviewHandler("", DENY)),
        (
            MessageReviewHandler("u", DENY),
            HandlerChange(uri=""),
            MessageReviewHandler("", DENY),
        ),
        (
            MessageReviewHandler("u", DENY),
            HandlerChange(fallback_result=FallbackResult.ALLOW),
            MessageReviewHandler("u", FallbackResult.ALLOW),
        ),
    ],
)
def test_handler_changes(
    before: MessageReviewHandler | None, change: HandlerChange, after: MessageReviewHandler
) -> None:
    """A handler changes in part: what is absent stays, and a new one has the defaults."""
    assert change.apply(before) == after


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        (RoomFilter(), True),
        (RoomFilter(name="studio-1"), True),
        (RoomFilter(name="Studio-1"), False),
        (RoomFilter(message_review_handler_uri="arn:aws:lambda:x"), True),
        (RoomFilter(message_review_handler_uri=""), False),
        (RoomFilter(logging_configuration_identifier="one"), True),
        (RoomFilter(logging_configuration_identifier="on"), False),
        (RoomFilter(name="studio-1", logging_configuration_identifier="x"), False),
    ],
)
def test_filters(filters: RoomFilter, matches: bool) -> None:
    """A room passes when every filter that is set does, and as a whole value."""
    assert filters.matches(full_room("zero", "one")) is matches


def test_filters_of_bare_rooms() -> None:
    """A room without name or handler counts as one with empty ones."""
    assert RoomFilter(name="", message_review_handler_uri="").matches(a_room())
