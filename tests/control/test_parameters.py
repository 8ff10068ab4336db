"""A parameter comes out as the type that its operation expects, or not at all."""

import msgspec
import pytest
from msgspec import UNSET

from greenroom.control.parameters import Parameters


def test_each_kind() -> None:
    """What is there is given as it is; what is not is absent, unset, empty or the default."""
    there = Parameters(parameters={"name": "quiz", "size": 3, "ids": ["a"]})
    assert (there.text("name"), there.optional_text("name")) == ("quiz", "quiz")
    assert (there.number("size", 5), there.texts("ids")) == (3, ["a"])
    assert there.given("size", int) == 3
    absent = Parameters(parameters={})
    assert (absent.optional_text("name"), absent.number("size", 5)) == (None, 5)
    assert (absent.texts("ids"), absent.given("size", int)) == ([], UNSET)
    with pytest.raises(KeyError):
        absent.text("name")


@pytest.mark.parametrize("value", [7, True, ["whisper"], {"whisper": "whisper"}])
def test_another_type_is_a_fault_that_tells_no_content(value: object) -> None:
    """What the codec should not have let through raises, and the error has no word of it."""
    with pytest.raises(msgspec.ValidationError) as caught:
        Parameters(parameters={"name": value}).text("name")
    assert "whisper" not in str(caught.value)


def test_what_is_empty_is_there() -> None:
    """An empty string and a zero are values: UpdateRoom clears with the one."""
    empty = Parameters(parameters={"name": "", "size": 0})
    assert (empty.given("name", str), empty.number("size", 5)) == ("", 0)
