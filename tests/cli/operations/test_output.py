"""The forms of a result: text is the AWS CLI's, so that scripts may go on."""

import io
import json

import pytest
from awscli.text import format_text  # type: ignore[import-untyped]  # it has no types

from greenroom.cli.operations.output import FORMS, as_json, as_table, as_text

RESULTS: list[object] = [
    {},
    {"arn": "a", "id": "b", "number": 3, "is": True, "none": None},
    {"rooms": [{"arn": "a", "tags": {"k": "v"}}, {"arn": "b", "name": "n", "tags": {}}]},
    {"tags": {"k": "v"}, "ids": ["a", "b"], "name": "n"},
    [["a", "b"], ["c", None]],
    ["a", "b"],
    ["a", ["b", "c"]],
    [],
    "text",
    3,
    None,
    {"a": {"b": {"c": "d"}}},
]


@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_text(result: object) -> None:
    """Fields with tabs between them, in the AWS CLI's order."""
    stream = io.StringIO()
    format_text(result, stream)
    assert as_text(result) == stream.getvalue().removesuffix("\n")


def test_json() -> None:
    """What it was; an operation without a result prints nothing."""
    assert as_json({}) == ""
    assert json.loads(as_json({"name": "日本"})) == {"name": "日本"}


def test_a_table() -> None:
    """A list of structures has a row for each, and what is inside of them a table of its own."""
    shown = as_table({"rooms": [{"id": "a", "tags": {"k": "v"}}, {"id": "bb", "n": 1}], "x": "y"})
    assert shown.split("\n\n") == [
        "+---+---+\n| x | y |\n+---+---+",
        "rooms\n+----+---+\n| id | n |\n+----+---+\n| a  |   |\n| bb | 1 |\n+----+---+",
        "rooms 1.tags\n+---+---+\n| k | v |\n+---+---+",
    ]
    assert as_table([["a", "b"], ["c"]]) == "+---+---+\n| a | b |\n| c |   |\n+---+---+"
    assert as_table({"rooms": []}) == "no rooms"
    assert as_table("one") == "one"


@pytest.mark.parametrize("form", ["text", "table"])
def test_control_characters(form: str) -> None:
    """What somebody wrote into a name cannot repaint a screen, or end a line."""
    assert "\\x1b[2J\\n" in FORMS[form]({"name": "\x1b[2J\n"})


@pytest.mark.parametrize("form", FORMS)
def test_control_characters_of_keys(form: str) -> None:
    """A tag's name is a stranger's, too; JSON stays the same value."""
    bad = "\x1b\x7f\x9b\u202e\u2028\U000e0001"
    result: list[object] = [{bad: bad}, {"a": [{bad: "v"}]}, {"a": {bad: {"k": bad}}}, {bad: []}]
    for each in result:
        shown = FORMS[form](each)
        assert not set(bad) & set(shown)
        assert form != "json" or json.loads(shown) == each
