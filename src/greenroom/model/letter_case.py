"""Compare texts without regard to case: character by character.

Full case folding makes `straße` equal to `STRASSE`, and `ﬁ` to `fi`: whoever may choose a tag could
reach what a policy says of another. Here one character equals one, and only where each is the
other's in the other case: the sign of the kelvin is no K.
"""

from functools import lru_cache


def without_case(text: str) -> str:
    """Return what is equal for texts that differ in case only; as long as the text."""
    lower = text.lower()
    if text.isascii() or lower == text:
        # In the second case nothing in it has another case: what most tags of the world are.
        return lower
    return "".join(map(_lower, text))


@lru_cache(4_096)
def _lower(letter: str) -> str:
    lower = letter.lower()
    return lower if lower.upper() == letter else letter
