import sys

import pytest

from greenroom.model.letter_case import without_case


@pytest.mark.parametrize(
    ("one", "other"),
    [("Team", "tEAM"), ("ÄRZTE", "ärzte"), ("ΟΔΟΣ", "οδοσ"), ("Ж1", "ж1"), ("", "")],
)
def test_letters_that_differ_in_case_only(one: str, other: str) -> None:
    """A letter and the one that it becomes in the other case are equal."""
    assert without_case(one) == without_case(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("straße", "STRASSE"),
        ("ﬁ", "fi"),
        ("İ", "i"),
        ("\u0131", "I"),
        ("\u212a", "k"),  # the sign of the kelvin
        ("\u017f", "s"),
        ("ẞ", "ß"),
        ("ς", "Σ"),
        ("\u0149", "\u02bcn"),
    ],
)
def test_letters_that_only_resemble_each_other(one: str, other: str) -> None:
    """One character equals one: neither several, nor one that is another's only on one way."""
    assert without_case(one) != without_case(other)


def test_one_character_stays_one() -> None:
    """No character becomes several, or another one that has its own other case."""
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        found = without_case(letter)
        assert len(found) == 1
        assert found == letter or found.upper() == letter


def test_a_text_costs_no_call_for_each_character() -> None:
    """Fifty tags of another script are looked at in a moment: any key may send them."""
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    text = "\u8a9e" * 5_000
    sys.setprofile(note)
    try:
        without_case(text)
        without_case("\u00c4" + text)
    finally:
        sys.setprofile(None)
    assert calls < 10
