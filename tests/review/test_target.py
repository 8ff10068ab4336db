"""What it is called when a handler gives no answer."""

import pytest

from greenroom.review.target import Failure, InvocationFailed


@pytest.mark.parametrize("failure", Failure)
def test_each_failure_has_a_meaning(failure: Failure) -> None:
    """An operator reads it, in one line of its own."""
    assert failure.meaning
    assert [each for each in Failure if each.meaning == failure.meaning] == [failure]


def test_what_is_written_of_it() -> None:
    """Its name, and why if that is known."""
    assert str(InvocationFailed(Failure.TIMED_OUT)) == "timed_out"
    assert str(InvocationFailed(Failure.BAD_STATUS, "503")) == "bad_status: 503"
