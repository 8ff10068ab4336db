"""What counts as emoji."""

import time

import pytest

from greenroom.chat.emoji import is_emoji

EMOJI = [
    "\U0001f525",
    "\u2764\ufe0f",
    "\u2764",
    "\U0001f44d\U0001f3fd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "\U0001f1e9\U0001f1ea",
    "1\ufe0f\u20e3",
    ":kappa: :a_b-c+1:",
    " \U0001f525\n\U0001f525 ",
    "\u00a9\ufe0f",
]
OTHERS = [
    "",
    "a",
    "\U0001f525a",
    "1",
    "12",
    ":a b:",
    "::",
    ":\u00fc:",
    "\u200d",
    "\U0001f1e9",
    "ok :+1",
]


@pytest.mark.parametrize("text", EMOJI)
def test_emoji(text: str) -> None:
    """Single ones, sequences, flags, keys, and names of an application's own."""
    assert is_emoji(text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts(text: str) -> None:
    """Nothing that can be read, and no half of a sequence."""
    assert not is_emoji(text)


@pytest.mark.parametrize(
    "part", ["\U0001f525", "\U0001f468\u200d", ":a", "1\ufe0f", " ", "\U0001f1e9"]
)
def test_time_grows_with_the_length(part: str) -> None:
    """A text of 50,000 parts that does not match is looked at once: no work squared."""
    begun = time.process_time()
    assert not is_emoji(part * 50_000 + "x")
    assert time.process_time() - begun < 1
