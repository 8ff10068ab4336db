"""Tags: which keys and values are refused, and by which name."""

import pytest

from greenroom.model.tags import tag_count_errors, tag_errors, tag_key_errors


@pytest.mark.parametrize("text", ["a", "größe", "大きい 1", "a_b.c:/=+-@", "", "x\u00a0y", "awsx:"])
def test_accepted(text: str) -> None:
    """Letters and digits of every script, spaces and eight signs may stand in both."""
    assert tag_errors({text: text}) == []


@pytest.mark.parametrize("text", ["a\n", "\t", "a;b", "a*", "<b>", "a,b", "a\\b", "😀", "\x00"])
def test_refused(text: str) -> None:
    """Other characters are refused, line breaks among them; key and value count one each."""
    errors = tag_errors({text: text})
    assert [error.name for error in errors] == [f"tags.{text}"] * 2
    assert "tag keys may" in errors[0].message
    assert "tag values may" in errors[1].message


@pytest.mark.parametrize("prefix", ["aws:", "AWS:", "aWs:x"])
def test_reserved_prefix(prefix: str) -> None:
    """`aws:` is reserved in any case, for keys and values, and that alone is said."""
    assert [error.message for error in tag_key_errors([prefix + "*"], "tagKeys")] == [
        "tag keys must not start with aws:"
    ]
    assert [error.message for error in tag_errors({"k": prefix})] == [
        "tag values must not start with aws:"
    ]


@pytest.mark.parametrize(("count", "quota", "refused"), [(50, 50, 0), (51, 50, 1), (99, 0, 0)])
def test_count(count: int, quota: int, refused: int) -> None:
    """A quota is how many there may be; 0 is no limit."""
    assert len(tag_count_errors(count, quota)) == refused
