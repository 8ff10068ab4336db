"""Records as lines of JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.chatlog.base import Record
from greenroom.chatlog.record import line, timestamp
from greenroom.protocol import events
from tests.stand_ins.values import room_arn

SAMPLES = json.loads((Path(__file__).parents[1] / "parity/chat_log_records.json").read_text())
times = st.integers(0, 4_000_000_000 * 1_000_000_000)
attributes = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3)


@pytest.mark.parametrize("sample", SAMPLES)
def test_parity(sample: dict[str, Any]) -> None:
    """The line is what the real service wrote, byte for byte."""
    record: str = sample["record"]
    start, end = record.index('"payload":') + len('"payload":'), record.rindex(',"version"')
    made = Record(1, room_arn(), sample["time_ns"], record[start:end].encode())
    assert line(made) == record.encode()


@given(times, st.text(), attributes)
def test_a_message(time_ns: int, content: str, its_attributes: dict[str, str]) -> None:
    """Any message is one line whose payload is the frame as it was sent."""
    frame = events.encode_message("id", "", its_attributes, content, time_ns, "user", {})
    written = line(Record(1, room_arn(), time_ns, frame))
    assert b"\n" not in written
    assert frame in written
    read = msgspec.json.decode(written)
    assert list(read) == ["event_timestamp", "type", "payload", "version"]
    assert (read["type"], read["version"]) == ("MESSAGE", "1.0")
    assert read["payload"] == msgspec.json.decode(frame)


@given(times, st.text(min_size=1), attributes)
def test_an_event(time_ns: int, name: str, its_attributes: dict[str, str]) -> None:
    """Any event is of the type EVENT, whatever its name and attributes hold."""
    frame = events.encode_event("id", "", name, its_attributes, time_ns)
    read = msgspec.json.decode(line(Record(1, room_arn(), time_ns, frame)))
    assert (read["type"], read["payload"]) == ("EVENT", msgspec.json.decode(frame))


def test_the_type_is_the_frames_own_wherever_it_stands() -> None:
    """Where in a frame its type stands makes no difference, and an attribute cannot pass for it."""
    frame = b'{"Id":"id","Attributes":{"Type":"ERROR"},"Type":"EVENT"}'
    read = msgspec.json.decode(line(Record(1, room_arn(), 1, frame)))
    assert (read["type"], read["payload"]) == ("EVENT", msgspec.json.decode(frame))


@given(times)
def test_timestamps(time_ns: int) -> None:
    """The time is cut to milliseconds, never rounded, and always has three digits of them."""
    text = timestamp(time_ns).decode()
    assert len(text) == len("2023-01-05T14:33:32.894Z")
    read = datetime.fromisoformat(text)
    since = read - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    assert milliseconds == time_ns // 1_000_000
