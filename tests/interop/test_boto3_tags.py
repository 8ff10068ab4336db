"""boto3: the rules of tags, and keys that are hard to carry in a query."""

from typing import Any

import pytest

from tests.interop.answers import S3, fields, refusal
from tests.running.service import Service

KEYS = [
    "plain",
    "with space",
    " ",
    "a:b",
    "a1",
    "path/to//key",
    "a+b",
    "a=b",
    "@home",
    "under_score.dot-dash",
    "Größe",
    "日本語",
    "%41",
    "a&b",
]
LEGAL = [key for key in KEYS if key not in {"%41", "a&b"}]

FULL = {f"key-{number}": "v" * 256 for number in range(50)}


@pytest.fixture
def room(client: Any) -> str:
    """Return the ARN of a room."""
    return str(client.create_room()["arn"])


def tags(client: Any, arn: str) -> Any:
    """Return the tags of a resource."""
    return client.list_tags_for_resource(resourceArn=arn)["tags"]


def test_fifty_full_tags(client: Any) -> None:
    """A resource has 50 tags of any legal size, from its creation or later, and no more."""
    arn = client.create_room(tags=FULL)["arn"]
    assert tags(client, arn) == FULL
    client.tag_resource(resourceArn=arn, tags={"key-0": "overwritten"})
    assert tags(client, arn) == {**FULL, "key-0": "overwritten"}
    refused = refusal(
        client, "ValidationException", "tag_resource", resourceArn=arn, tags={"51": ""}
    )
    assert fields(refused) == ["tags"]
    assert len(tags(client, arn)) == 50
    client.untag_resource(resourceArn=arn, tagKeys=["key-49"])
    client.tag_resource(resourceArn=arn, tags={"51": ""})
    assert len(tags(client, arn)) == 50


def test_more_than_fifty_tags_at_once(client: Any, room: str) -> None:
    """The model's own limit refuses 51 tags in one request."""
    too_many = {**FULL, "one": "more"}
    for operation, parameters in (
        ("tag_resource", {"resourceArn": room}),
        ("create_room", {}),
        ("create_logging_configuration", {"destinationConfiguration": S3}),
    ):
        refused = refusal(client, "ValidationException", operation, tags=too_many, **parameters)
        assert fields(refused) == ["tags"]


@pytest.mark.parametrize("key", KEYS)
def test_one_key_is_removed_and_no_other(client: Any, room: str, key: str) -> None:
    """Whatever characters a key has in the query, it names the tag with that key."""
    client.tag_resource(resourceArn=room, tags=dict.fromkeys(LEGAL, "value"))
    client.untag_resource(resourceArn=room, tagKeys=[key])
    assert tags(client, room) == {other: "value" for other in LEGAL if other != key}


def test_many_keys_are_removed_at_once(client: Any, room: str) -> None:
    """Keys may come in any order and twice: what was signed is understood."""
    client.tag_resource(resourceArn=room, tags=dict.fromkeys(LEGAL, ""))
    client.untag_resource(resourceArn=room, tagKeys=[*KEYS[::-1], *KEYS])
    assert tags(client, room) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"aws:key": "v"},
        {"AWS:key": "v"},
        {"key": "aws:value"},
        {"k,ey": "v"},
        {"key": "v;"},
        {"key\t": "v"},
        {"key": "two\nlines"},
        {"key": "🎉"},
        {"k\u0000": "v"},
    ],
    ids=ascii,
)
def test_naming_rules(client: Any, room: str, wrong: dict[str, str]) -> None:
    """A reserved prefix or a character outside the rules is refused, and nothing is kept."""
    (key,) = wrong
    for operation, parameters in (
        ("tag_resource", {"resourceArn": room}),
        ("create_room", {}),
        ("create_logging_configuration", {"destinationConfiguration": S3}),
    ):
        mixed = {"right": "v", **wrong}
        refused = refusal(client, "ValidationException", operation, tags=mixed, **parameters)
        assert fields(refused) == [f"tags.{key}"]
    assert tags(client, room) == {}


@pytest.mark.parametrize("right", ["aws", "awsome:key", "key:aws:x", "\u00a0\u3000", "Ünïcødé 42"])
def test_names_at_the_edge_of_the_rules(client: Any, room: str, right: str) -> None:
    """Only `aws:` at the beginning is reserved; letters, digits and spaces are Unicode's."""
    client.tag_resource(resourceArn=room, tags={right: right})
    assert tags(client, room) == {right: right}


def test_untagging_asks_no_naming_rules(client: Any, room: str) -> None:
    """A key that no resource can have is one that this resource does not have."""
    client.untag_resource(resourceArn=room, tagKeys=["aws:key", "🎉", "a,b", "\n"])


def test_tags_of_other_resources_stay(client: Any, service: Service, room: str) -> None:
    """Tags belong to one resource."""
    other = client.create_room(tags={"key": "other"})["arn"]
    client.tag_resource(resourceArn=room, tags={"key": "value"})
    client.untag_resource(resourceArn=room, tagKeys=["key"])
    assert tags(client, other) == {"key": "other"}
