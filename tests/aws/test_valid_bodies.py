import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws import own_service, service
from greenroom.aws.rest_json import parse
from greenroom.aws.shapes import Operation, Shape, StringShape, StructureShape
from greenroom.aws.valid_bodies import Decode, decoder
from greenroom.model.errors import ValidationException
from tests.aws.test_constraints import cases

OPERATIONS = {**service.OPERATIONS, **own_service.OPERATIONS}
WITHOUT_BODY = {"ListTagsForResource", "TagResource", "UntagResource"}
WITH_UNION = {"CreateLoggingConfiguration", "UpdateLoggingConfiguration"}
DECODED = sorted(service.OPERATIONS.keys() - WITHOUT_BODY - WITH_UNION)

BODIES = {
    "CreateChatToken": b'{"userId":"u","roomIdentifier":"arn:aws:ivschat:r:1:room/A","attributes":'
    b'{"a":"b","c":"\\ud83c\\udf89"},"capabilities":["SEND_MESSAGE"],"sessionDurationInMinutes":9}',
    "UpdateRoom": b'{"maximumMessageLength":5,"messageReviewHandler":{"uri":""},"identifier":'
    b'"arn:aws:ivschat:r:1:room/A","loggingConfigurationIdentifiers":[],"name":"x_-9"}',
    "SendMessage": b'{"roomIdentifier":"arn:aws:ivschat:r:1:room/A","content":"hello"}',
}


def of(name: str) -> Decode:
    """Return an operation's decoder."""
    found = decoder(OPERATIONS[name].input)
    assert found is not None
    return found


def carefully(operation: Operation, body: bytes) -> Any:
    """Return what the constraints make of a body, or None for an error: they know what to ignore.

    A member that no operation has brings every body to them.
    """
    assert body.startswith(b"{")
    rest = body[1:] if body[1:].strip() == b"}" else b"," + body[1:]
    try:
        return parse(operation, {}, b"", None, b'{"no such member":1' + rest)
    except ValidationException:
        return None


@pytest.mark.parametrize("name", DECODED)
def test_what_breaks_no_rule_is_taken_and_nothing_else(name: str) -> None:
    """At each side of each rule: bodies that break one, or have what is ignored, are not taken."""
    operation, decode = OPERATIONS[name], of(name)
    for label, value, failures in cases(operation.input, ""):
        taken = decode(json.dumps(value).encode())
        ignorable = any(word in label for word in ("null", "unknown"))
        assert (taken is not None) == (not failures and not ignorable), label
        if taken is not None:
            assert taken == value, label


@given(
    st.sampled_from(sorted(BODIES)),
    st.lists(st.tuples(st.integers(1, 250), st.integers(0, 3), st.binary(max_size=3)), max_size=3),
)
def test_both_ways_lead_to_the_same_members(
    name: str, mutations: list[tuple[int, int, bytes]]
) -> None:
    """Of bodies with bytes removed, replaced and added, those that are taken mean the same."""
    body = BODIES[name]
    for place, removed, added in mutations:
        body = body[:place] + added + body[place + removed :]
    taken = of(name)(body)
    if taken is not None:
        meant = carefully(OPERATIONS[name], body)
        assert taken == meant
        assert list(taken) == list(meant)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_members_come_in_the_models_order(name: str) -> None:
    """The audit log names resources in that order, whatever the client's."""
    taken = of(name)(BODIES[name])
    assert taken is not None
    model = [each for each in OPERATIONS[name].input.members if each in taken]
    assert list(taken) == model


@pytest.mark.parametrize(
    "body",
    [
        b'{"userId":"u","x":"\xff"}',
        b'{"userId":"\xed\xa0\x80"}',
        b'{"userId":"\\ud800"}',
        b'{"userId":"u"} ',
        b"[" * 100_000,
        b"",
        b"[]",
        b"null",
    ],
)
def test_what_is_no_valid_json_is_left_to_the_constraints(body: bytes) -> None:
    """Nothing is raised: what is wrong, they say."""
    assert of("CreateChatToken")(body) is None


@pytest.mark.parametrize("name", sorted(WITH_UNION))
def test_a_rule_that_cannot_be_checked_so_needs_the_constraints(name: str) -> None:
    """Exactly one member of a union must be set."""
    assert decoder(OPERATIONS[name].input) is None


@pytest.mark.parametrize(
    "member",
    [
        Shape(name="T", type_name="timestamp", metadata={}, serialization={}),
        StringShape(
            name="S", type_name="string", metadata={"min": 1}, serialization={}, enum=("", "a")
        ),
    ],
)
def test_other_shapes_need_the_constraints(member: Shape) -> None:
    """No type says it: times, and words that have another rule besides."""
    shape = StructureShape(
        name="I",
        type_name="structure",
        metadata={},
        serialization={},
        members={"a": member},
        required_members=(),
    )
    assert decoder(shape) is None
