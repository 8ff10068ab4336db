"""How parameters become a request."""

import json
from typing import Any

import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.client import MessageReviewHandler
from greenroom.client.api import requests
from greenroom.client.api.errors import ConfigError

CREATE = OPERATIONS["CreateRoom"]


def body(operation: str, **params: object) -> Any:
    """Return the body of a request, as JSON."""
    return json.loads(requests.build(OPERATIONS[operation], params).body)


@pytest.mark.parametrize("name", ["create_room", "createRoom", "CreateRoom", "CREATEROOM"])
def test_names_of_operations(name: str) -> None:
    """In any way of writing."""
    assert requests.operation_of(name) is CREATE


def test_what_is_no_operation() -> None:
    """It is told by its name."""
    with pytest.raises(ConfigError, match="fly is no operation of ivschat"):
        requests.operation_of("fly")


def test_snake_case() -> None:
    """A capital begins a word, unless another one stands before it."""
    names = ("maximumMessageRatePerSecond", "CreateRoom", "arn", "s3Bucket", "userID")
    assert [requests.snake(name) for name in names] == [
        "maximum_message_rate_per_second",
        "create_room",
        "arn",
        "s3_bucket",
        "user_id",
    ]


def test_names_of_members() -> None:
    """Of structures as well; what is None is left out, what is unknown stays as it is."""
    handler = {"fallback_result": "ALLOW", "uri": None, "more": 1}
    given = {
        "name": None,
        "message_review_handler": handler,
        "tags": {"user_id": "x"},
        "odd_one": 1,
    }
    assert requests.named(CREATE.input, given) == {
        "messageReviewHandler": {"fallbackResult": "ALLOW", "more": 1},
        "tags": {"user_id": "x"},
        "odd_one": 1,
    }
    value = {"messageReviewHandler": MessageReviewHandler(uri="u")}
    assert requests.named(CREATE.input, value) == {"messageReviewHandler": {"uri": "u"}}
    assert requests.named(CREATE.input, {"messageReviewHandler": 5}) == {"messageReviewHandler": 5}


def test_where_parameters_stand() -> None:
    """In the path and behind it percent-encoded, and all others in the body."""
    given = {"resourceArn": "arn:a/b ü~._-", "tagKeys": ["a b", "c&d"]}
    built = requests.build(OPERATIONS["UntagResource"], given)
    assert built.method == "DELETE"
    assert built.path == "/tags/arn%3Aa%2Fb%20%C3%BC~._-"
    assert built.query == "tagKeys=a%20b&tagKeys=c%26d"
    assert built.body == b""
    one = requests.build(OPERATIONS["UntagResource"], {"resourceArn": "x", "tagKeys": "k"})
    assert one.query == "tagKeys=k"
    built = requests.build(OPERATIONS["TagResource"], {"resourceArn": "x", "tags": {"k": "v"}})
    assert (built.method, built.query, built.body) == ("POST", "", b'{"tags":{"k":"v"}}')


def test_an_empty_body_is_an_object() -> None:
    """Where the method has a body."""
    assert requests.build(OPERATIONS["ListRooms"], {}).body == b"{}"
    assert requests.build(OPERATIONS["ListTagsForResource"], {"resourceArn": "x"}).body == b""


@pytest.mark.parametrize(
    ("given", "sent"),
    [(7, 7), ("7", 7), (7.0, 7), ("seven", "seven"), ("7.5", "7.5"), ("", ""), (None, ...)],
)
def test_whole_numbers(given: object, sent: object) -> None:
    """Texts of digits are numbers, as for the SDK; what is none is for the service to refuse."""
    found = body("CreateRoom", maximumMessageLength=given, name="8")
    assert found == ({"name": "8"} if sent is ... else {"name": "8", "maximumMessageLength": sent})


def test_null_is_left_out() -> None:
    """In structures, lists and maps; members that the model does not have are, too."""
    assert body(
        "CreateRoom",
        messageReviewHandler={"uri": None, "fallbackResult": "DENY", "more": 1},
        loggingConfigurationIdentifiers=("a", None, "b"),
        tags={"k": "v", "l": None},
        more=1,
    ) == {
        "messageReviewHandler": {"fallbackResult": "DENY"},
        "loggingConfigurationIdentifiers": ["a", "b"],
        "tags": {"k": "v"},
    }


def test_what_has_another_type_is_sent_as_it_is() -> None:
    """It is the service that refuses it."""
    odd = {"messageReviewHandler": 5, "loggingConfigurationIdentifiers": "x", "tags": ["a"]}
    assert body("CreateRoom", **odd) == odd
