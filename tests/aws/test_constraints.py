import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.constraints import FAILURES_REPORTED, ITEMS_LOOKED_AT, PATTERNS, check
from greenroom.aws.service import API_VERSION, OPERATIONS
from greenroom.aws.shapes import ListShape, MapShape, Shape, StringShape, StructureShape, read_model
from greenroom.model.errors import FieldError

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/"
CONFIGURATION = "arn:aws:ivschat:us-east-1:123456789012:logging-configuration/"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"

BEGINNINGS = {
    "RoomIdentifier": ROOM,
    "LoggingConfigurationIdentifier": CONFIGURATION,
    "ResourceArn": ROOM,
    "LambdaArn": LAMBDA,
}
"""What strings of a shape begin with; the rest is any number of the letter a, but at least one."""

Failures = set[tuple[str, str]]
"""Paths and messages."""


# ------------------------------------------------------------- values made from the model's table


def text_of(shape: Shape, length: int) -> str | None:
    """Return a string of the shape with that many code points, if there is one."""
    beginning = BEGINNINGS.get(shape.name, "")
    rest = length - len(beginning)
    return beginning + "a" * rest if rest >= (1 if beginning else 0) else None


def valid(shape: Shape) -> Any:
    """Return a value that satisfies the shape, every member set."""
    if isinstance(shape, StructureShape):
        members = list(shape.members.items())
        return {name: valid(one) for name, one in (members[:1] if is_union(shape) else members)}
    if isinstance(shape, ListShape):
        return [valid(shape.member)]
    if isinstance(shape, MapShape):
        return {valid(shape.key): valid(shape.value)}
    if isinstance(shape, StringShape):
        if shape.enum:
            return shape.enum[0]
        least = max(shape.metadata.get("min", 0), 1)
        return text_of(shape, least) or text_of(shape, len(BEGINNINGS[shape.name]) + 1)
    return shape.metadata["min"]


def is_union(shape: StructureShape) -> bool:
    """Return whether exactly one member must be set."""
    return bool(shape.metadata.get("union"))


Case = tuple[str, Any, Failures]
"""What the case shows, a value, the failures that it must have and no others."""


def cases(shape: Shape, path: str) -> Iterator[Case]:
    """Yield at least one value for each side of each rule of the shape and of its parts."""
    yield "valid", valid(shape), set()
    yield from wrong_types(shape, path)
    if isinstance(shape, StructureShape):
        yield from structure_cases(shape, path)
    elif isinstance(shape, ListShape):
        yield from list_cases(shape, path)
    elif isinstance(shape, MapShape):
        yield from map_cases(shape, path)
    elif isinstance(shape, StringShape):
        yield from string_cases(shape, path)
    else:
        yield from integer_cases(shape, path)


def wrong_types(shape: Shape, path: str) -> Iterator[Case]:
    """Yield a value of every other JSON type."""
    kind = {"structure": "object", "map": "object", "list": "array"}.get(
        shape.type_name, shape.type_name
    )
    article = "an" if kind[0] in "aio" else "a"
    values = {"object": {}, "array": [], "string": "", "boolean": True, "number": 5.0, "integer": 5}
    for name, value in values.items():
        if name != kind:
            yield f"{name} for {kind}", value, {(path, f"must be {article} {kind}")}


def structure_cases(shape: StructureShape, path: str) -> Iterator[Case]:
    """Yield the cases of every member, and of members that are missing, null or unknown."""
    whole = valid(shape)
    prefix = f"{path}." if path else ""
    for name, member in shape.members.items():
        base = {} if is_union(shape) else whole
        for label, value, failures in cases(member, prefix + name):
            yield f"{name}: {label}", {**base, name: value}, failures
        required = name in shape.required_members
        failures = {(prefix + name, "is required")} if required else set()
        if not is_union(shape):
            yield f"{name}: null", {**whole, name: None}, failures
            without = {other: value for other, value in whole.items() if other != name}
            yield f"{name}: absent", without, failures
    yield "unknown members", {**whole, "unknown": {"x": 1}, "": None}, set()
    if is_union(shape):
        first, second, third = shape.members
        failures = {(path, f"must have exactly one member: {first}, {second}, {third}")}
        yield "no member", {}, failures
        yield "no known member", {"unknown": {}}, failures
        two = {first: valid(shape.members[first]), second: valid(shape.members[second])}
        yield "two members", two, failures
        yield "second member null", {**two, second: None}, set()


def list_cases(shape: ListShape, path: str) -> Iterator[Case]:
    """Yield the cases of an item, and of the number of items."""
    item = valid(shape.member)
    for label, value, failures in cases(shape.member, f"{path}[1]"):
        yield f"item: {label}", [item, value], failures
    yield "null item", [None, item], {(f"{path}[0]", "must not be null")}
    yield "no items", [], set()
    if (most := shape.metadata.get("max")) is not None:
        yield "most items", [item] * most, set()
        yield "too many items", [item] * (most + 1), {(path, f"must have at most {most} items")}


def map_cases(shape: MapShape, path: str) -> Iterator[Case]:
    """Yield the cases of a value and of a key, and of the number of entries."""
    for label, value, failures in cases(shape.value, f"{path}.k"):
        yield f"value: {label}", {"j": valid(shape.value), "k": value}, failures
    for label, key, failures in string_cases(shape.key, ""):
        if isinstance(key, str):
            entry = f"{path}.{key[:128].encode(errors='replace').decode()}"
            keyed = {(entry, f"key {message}") for _, message in failures}
            yield f"key: {label}", {key: valid(shape.value)}, keyed
    yield "null value", {"k": None}, {(f"{path}.k", "must not be null")}
    yield "no entries", {}, set()
    if (most := shape.metadata.get("max")) is not None:
        entries = {f"k{index}": valid(shape.value) for index in range(most + 1)}
        yield "too many entries", entries, {(path, f"must have at most {most} entries")}
        entries = {f"k{index}": valid(shape.value) for index in range(most)}
        yield "most entries", entries, set()


def string_cases(shape: Shape, path: str) -> Iterator[Case]:
    """Yield strings on both sides of the bounds of their length, pattern and choice."""
    assert isinstance(shape, StringShape)
    pattern = PATTERNS.get(shape.name, shape.metadata.get("pattern"))
    if shape.enum:
        one_of = {(path, f"must be one of {', '.join(shape.enum)}")}
        yield from ((value, value, set()) for value in shape.enum)
        yield from ((repr(value), value, one_of) for value in ("", "NOPE", shape.enum[0].lower()))
        return
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    matching = {(path, f"must match the pattern {pattern}")} if pattern else set()
    too_short = {(path, f"must have length at least {least}")}
    if (shortest := text_of(shape, least)) is not None:
        yield "shortest", shortest, set()
    if least > 0:
        short = "a" * (least - 1)
        fits = not pattern or re.fullmatch(pattern, short)
        yield "too short", short, too_short if fits else too_short | matching
    if most is not None:
        too_long = {(path, f"must have length at most {most}")}
        yield "longest", text_of(shape, most), set()
        yield "too long", text_of(shape, most + 1), too_long
        if not pattern:
            yield "longest in code points", "🎉" * most, set()
            yield "too long in code points", "🎉" * (most + 1), too_long
    whole = valid(shape)
    if pattern:
        yield "trailing line break", whole[:-1] + "\n", matching
        wrong = "x" * len(whole) if shape.name in BEGINNINGS else whole[:-1] + "é"
        yield "wrong characters", wrong, matching
    else:
        yield "lone surrogate", whole[:-1] + "\ud800", {(path, "must be valid Unicode")}
        yield "line break", whole[:-1] + "\n", set()


def integer_cases(shape: Shape, path: str) -> Iterator[Case]:
    """Yield integers on both sides of their bounds."""
    least, most = shape.metadata["min"], shape.metadata["max"]
    too_small = {(path, f"must be at least {least}")}
    too_large = {(path, f"must be at most {most}")}
    yield "least", least, set()
    yield "most", most, set()
    for value in (least - 1, -(10**40)):
        yield str(value), value, too_small
    for value in (most + 1, 2**63, 10**40):
        yield str(value), value, too_large


# ------------------------------------------------------------------------------------------ tests


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_rule_of_the_model_is_kept(name: str) -> None:
    """Every constraint of every input fails on its wrong side, with its path, and only there."""
    shape = OPERATIONS[name].input
    for label, value, failures in cases(shape, ""):
        errors = check(shape, value, "")
        assert (label, {(error.name, error.message) for error in errors}) == (label, failures)
        assert len(errors) == len(failures)


def test_the_table_covers_every_rule_that_the_inputs_have() -> None:
    """The kinds of rules that the table knows are all that the model uses in inputs."""
    rules: set[str] = set()

    def collect(shape: Shape) -> None:
        rules.update(shape.metadata)
        for part in (
            *(shape.members.values() if isinstance(shape, StructureShape) else ()),
            *((shape.member,) if isinstance(shape, ListShape) else ()),
            *((shape.key, shape.value) if isinstance(shape, MapShape) else ()),
        ):
            collect(part)

    for operation in OPERATIONS.values():
        collect(operation.input)
    assert rules == {"required", "min", "max", "pattern", "enum", "union", "sensitive"}
    assert sum(1 for one in OPERATIONS.values() for _ in cases(one.input, "")) > 1000


def test_all_failures_are_reported_at_once() -> None:
    """One answer names every field that is wrong, each with every rule that it breaks."""
    value = {
        "name": "!" * 129,
        "maximumMessageLength": 0,
        "messageReviewHandler": {"uri": "x", "fallbackResult": "MAYBE"},
        "loggingConfigurationIdentifiers": [None, CONFIGURATION + "a", 7],
        "tags": {"": 5},
    }
    assert check(OPERATIONS["CreateRoom"].input, value, "") == [
        FieldError("name", "must have length at most 128"),
        FieldError("name", "must match the pattern [a-zA-Z0-9-_]*"),
        FieldError("maximumMessageLength", "must be at least 1"),
        FieldError("messageReviewHandler.uri", f"must match the pattern {PATTERNS['LambdaArn']}"),
        FieldError("messageReviewHandler.fallbackResult", "must be one of ALLOW, DENY"),
        FieldError("tags.", "key must have length at least 1"),
        FieldError("tags.", "must be a string"),
        FieldError("loggingConfigurationIdentifiers[0]", "must not be null"),
        FieldError("loggingConfigurationIdentifiers[2]", "must be a string"),
    ]


def test_the_path_of_the_value_itself_comes_first() -> None:
    """A caller that checks a part of a request names where the part stands."""
    shape = OPERATIONS["CreateRoom"].input.members["messageReviewHandler"]
    assert check(shape, {"uri": 1}, "a.b") == [FieldError("a.b.uri", "must be a string")]


@pytest.mark.parametrize("kind", ["room", "logging-configuration"])
def test_real_arns_can_be_tagged(kind: str) -> None:
    """The model's pattern for tagged ARNs lacks a plus sign; ours accepts both resources."""
    shape = OPERATIONS["TagResource"].input.members["resourceArn"]
    arn = f"arn:aws:ivschat:us-west-2:123456789012:{kind}/AbCdEf123456"
    assert check(shape, arn, "resourceArn") == []
    assert re.fullmatch(shape.metadata["pattern"], arn) is None


@given(st.from_regex(r"(arn:aws:lambda:[a-z]?:[0-9]{12}:function:)?.{0,3}\n?", fullmatch=True))
def test_the_pattern_for_functions_means_what_the_models_means(text: str) -> None:
    """Our pattern is the model's without the part that takes quadratic time."""
    theirs = read_model("ivschat", API_VERSION)["shapes"]["LambdaArn"]["pattern"]
    assert bool(re.fullmatch(theirs, text)) == bool(re.fullmatch(PATTERNS["LambdaArn"], text))


def test_long_strings_take_linear_time() -> None:
    """A megabyte that almost matches is refused; with the model's pattern this would not end."""
    shape = OPERATIONS["CreateRoom"].input
    value = {"messageReviewHandler": {"uri": LAMBDA + "a" * 1_000_000 + "\n"}}
    assert len(check(shape, value, "")) == 2


def test_the_number_of_reported_failures_is_bounded() -> None:
    """A request made of failures does not get an answer many times its size."""
    tags = dict.fromkeys(map(str, range(10_000)), 0)
    identifiers = [0] * 10_000
    twice = {"k" * 129 + str(number): 0 for number in range(50)}
    for value, most in (
        ({"tags": tags}, 51),
        ({"loggingConfigurationIdentifiers": identifiers}, 4),
        ({"tags": twice, "loggingConfigurationIdentifiers": identifiers}, FAILURES_REPORTED),
    ):
        assert len(check(OPERATIONS["CreateRoom"].input, value, "")) == most


def scalar(type_name: str) -> Shape:
    """Return a shape of a type."""
    return Shape(name="S", type_name=type_name, metadata={}, serialization={})


@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_what_is_no_boolean(value: object) -> None:
    """True and false are booleans, and nothing that is like them."""
    assert check(scalar("boolean"), value, "s") == [FieldError("s", "must be true or false")]
    assert check(scalar("boolean"), True, "s") == check(scalar("boolean"), False, "s") == []


def test_types_that_the_apis_do_not_have() -> None:
    """A model with one is refused when it is read, rather than taken for another type."""
    with pytest.raises(NotImplementedError, match="shape S of type blob"):
        check(scalar("blob"), b"", "s")


def test_a_long_key_is_cut_in_the_path() -> None:
    """The path shows as much of a map's key as the longest legal key has."""
    errors = check(OPERATIONS["CreateRoom"].input, {"tags": {"é" * 5000: "v"}}, "")
    assert errors == [FieldError("tags." + "é" * 128, "key must have length at most 128")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(sorted(OPERATIONS)), st.data())
def test_whatever_json_holds_is_checked(name: str, data: st.DataObject) -> None:
    """Any value for any member gives a list of failures that can itself be sent as JSON."""
    shape = OPERATIONS[name].input
    members = dict.fromkeys(shape.members, json_values)
    value = data.draw(json_values | st.fixed_dictionaries({}, optional=members))
    errors = check(shape, value, "")
    msgspec.json.encode(errors)
    assert len(errors) <= FAILURES_REPORTED


def hushed(value: Any) -> Any:
    """Return the value with every string in it, but no key, replaced by a known one."""
    if isinstance(value, dict):
        return {key: hushed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hushed(item) for item in value]
    return "HUSH\n" * 100 if isinstance(value, str) else value


@pytest.mark.parametrize("name", OPERATIONS)
def test_messages_never_hold_values(name: str) -> None:
    """Values may be chat content or secrets: an error states the rule, never the value."""
    shape = OPERATIONS[name].input
    errors = [
        error for _, value, _ in cases(shape, "") for error in check(shape, hushed(value), "")
    ]
    assert errors
    assert not [error for error in errors if "HUSH" in error.message + error.name]


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        (
            "TagResource",
            {"resourceArn": ROOM + "a", "tags": {str(each): "" for each in range(9_000)}},
        ),
        ("CreateRoom", {"loggingConfigurationIdentifiers": [CONFIGURATION + "a"] * 9_000}),
        (
            "CreateChatToken",
            {
                "roomIdentifier": ROOM + "a",
                "userId": "u",
                "attributes": {str(each): "" for each in range(9_000)},
            },
        ),
    ],
)
def test_of_very_many_items_few_are_looked_at(operation: str, given: dict[str, Any]) -> None:
    """A body can hold hundreds of thousands: that they are too many is known at once."""
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    shape = OPERATIONS[operation].input
    sys.setprofile(note)
    try:
        (failed,) = check(shape, given, "")
    finally:
        sys.setprofile(None)
    assert "at most" in failed.message
    assert calls < 6 * ITEMS_LOOKED_AT
