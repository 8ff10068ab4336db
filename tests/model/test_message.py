"""Attribute sizes."""

import pytest

from greenroom.model.message import attributes_problem, attributes_size


@pytest.mark.parametrize(
    ("attributes", "size"),
    [({}, 0), ({"": ""}, 0), ({"key": "value"}, 8), ({"ä": "👩"}, 6), ({"a": "b", "c": "d"}, 4)],
)
def test_sizes_are_bytes(attributes: dict[str, str], size: int) -> None:
    """Keys and values count with their UTF-8 bytes."""
    assert attributes_size(attributes) == size


def test_bound() -> None:
    """1,024 bytes pass, one more does not; what is said holds no content."""
    assert attributes_problem({"k": "x" * 1023}) is None
    problem = attributes_problem({"k": "ä" * 512})
    assert problem == "at most 1024 bytes of keys and values, not 1025"
