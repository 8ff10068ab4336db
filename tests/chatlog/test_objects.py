"""A batch as log objects."""

import gzip
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.chatlog.base import Record
from greenroom.chatlog.objects import by_room, key, objects
from greenroom.chatlog.record import line
from greenroom.model.arn import Arn, ResourceType

CONFIGURATION = Arn("eu-west-1", "123456789012", ResourceType.LOGGING_CONFIGURATION, "Conf")
ROOMS = [Arn("eu-west-1", "123456789012", ResourceType.ROOM, f"Room{each}") for each in "abc"]
LAST_OF_A_MINUTE = 1_665_769_259_999_999_999
FRAME = b'{"Type":"MESSAGE","Content":"%b"}'


@st.composite
def batches(draw: st.DrawFn) -> list[Record]:
    """Draw batches: sequences rise, times go where they like."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ROOMS),
                st.integers(0, 4_000_000_000_000_000_000),
                st.binary(max_size=40).map(lambda data: FRAME % data.hex().encode()),
            ),
            max_size=30,
        )
    )
    first = draw(st.integers(1, 2**60))
    return [Record(first + number, *row) for number, row in enumerate(rows)]


@given(batches(), st.integers(1, 500))
def test_every_record_once_in_order(batch: list[Record], maximum_bytes: int) -> None:
    """The objects hold each record once, each room's in their order, under keys of their own."""
    made = list(objects(CONFIGURATION, batch, maximum_bytes))
    assert len({each.key for each in made}) == len(made)
    for room in ROOMS:
        bodies = [each.body() for each in made if f"/room_{room.id}/" in each.key]
        lines = [part for body in bodies for part in gzip.decompress(body).splitlines()]
        assert lines == [line(record) for record in batch if record.room == room]


@given(batches(), st.integers(1, 500))
def test_the_same_batch_makes_the_same_objects(batch: list[Record], maximum_bytes: int) -> None:
    """A batch that is made into objects again gives the same keys and the same bytes."""
    first, again = (
        [(each.key, each.body()) for each in objects(CONFIGURATION, batch, maximum_bytes)]
        for _ in range(2)
    )
    assert first == again


@given(batches(), st.integers(1, 500))
def test_size(batch: list[Record], maximum_bytes: int) -> None:
    """No object but one of a single record has more payload than the maximum; none is empty."""
    for each in objects(CONFIGURATION, batch, maximum_bytes):
        size = sum(len(record.payload) for record in each.records)
        assert each.records
        assert size <= maximum_bytes or len(each.records) == 1


def test_exact_fits() -> None:
    """Records fill each object of a batch to the last byte, the second as the first."""
    for maximum_bytes in (20, 24):
        sizes = [10, 10, 5, 5, 10, 10, 10]
        batch = [
            Record(number, ROOMS[0], LAST_OF_A_MINUTE, b"x" * size)
            for number, size in enumerate(sizes, 1)
        ]
        made = [
            [len(record.payload) for record in each.records]
            for each in objects(CONFIGURATION, batch, maximum_bytes)
        ]
        assert made == [[10, 10], [5, 5, 10], [10, 10]]


@pytest.mark.parametrize(
    ("time_ns", "minute"),
    [
        (LAST_OF_A_MINUTE, "2022/10/14/17/ 20221014T1740Z"),
        (LAST_OF_A_MINUTE + 1, "2022/10/14/17/ 20221014T1741Z"),
        (LAST_OF_A_MINUTE + 1 + 19 * 60_000_000_000, "2022/10/14/18/ 20221014T1800Z"),
        (LAST_OF_A_MINUTE + 19 * 60_000_000_000, "2022/10/14/17/ 20221014T1759Z"),
    ],
)
def test_the_minute_of_a_key(time_ns: int, minute: str) -> None:
    """A record at hh:mm:00 exactly is of that minute, one a nanosecond earlier of the last."""
    folder, name = minute.split()
    made = key(CONFIGURATION, ROOMS[0], Record(7, ROOMS[0], time_ns, b""))
    assert f"/{folder}" in made
    assert f"_{name}_" in made


def test_the_documented_key() -> None:
    """A key is laid out as the real service's, in UTC, with its minute cut and eight hex digits."""
    made = key(CONFIGURATION, ROOMS[0], Record(7, ROOMS[0], LAST_OF_A_MINUTE, b""))
    assert re.fullmatch(
        "AWSLogs/123456789012/IVSChatLogs/1.0/eu-west-1/room_Rooma/2022/10/14/17/"
        "123456789012_IVSChatLogs_1.0_eu-west-1_room_Rooma_20221014T1740Z_[0-9a-f]{8}.log.gz",
        made,
    )


def test_keys_of_other_records_and_configurations() -> None:
    """Another first record or another configuration has another key, in the same minute."""
    other = Arn("eu-west-1", "123456789012", ResourceType.LOGGING_CONFIGURATION, "Other")
    keys = {
        key(configuration, ROOMS[0], Record(sequence, ROOMS[0], LAST_OF_A_MINUTE, b""))
        for configuration in (CONFIGURATION, other)
        for sequence in range(500)
    }
    assert len(keys) == 1000


@given(batches())
def test_by_room(batch: list[Record]) -> None:
    """Every record is with its room."""
    rooms = by_room(batch)
    assert sorted((each for some in rooms.values() for each in some), key=batch.index) == batch
    assert all(record.room == room for room, some in rooms.items() for record in some)
