"""Which parameters are sent, and what is said of those that are not.

`tests/interop/test_python_client.py` compares the sentences with those of the SDK for JavaScript.
"""

from typing import Any

import pytest

from greenroom.aws import own_service
from greenroom.aws.service import OPERATIONS
from greenroom.client.api.errors import ParameterError
from greenroom.client.api.options import ParamValidation
from greenroom.client.api.validation import validate

EVERYTHING = ParamValidation(min=True, max=True, pattern=True, enum=True)


def refusal(
    operation: str, rules: ParamValidation = EVERYTHING, **params: object
) -> ParameterError | None:
    """Return why parameters are refused, None where they are not."""
    try:
        validate(OPERATIONS[operation].input, params, rules)
    except ParameterError as error:
        return error
    return None


def test_one_error_is_itself() -> None:
    """It has its own code, and no list."""
    error = refusal("GetRoom")
    assert error is not None
    assert (error.code, error.errors) == ("MissingRequiredParameter", ())
    assert error.message == "Missing required key 'identifier' in params"


def test_several_errors_are_listed() -> None:
    """Each has its line, and can be asked for."""
    error = refusal("CreateRoom", maximumMessageLength=501, name=5)
    assert error is not None
    assert error.code == "MultipleValidationErrors"
    assert error.message.startswith("There were 2 validation errors:\n* ")
    assert [each.code for each in error.errors] == ["MaxRangeError", "InvalidParameterType"]


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (500, True), (501, False)])
def test_bounds(length: int, good: bool) -> None:
    """Both are still allowed, and each is looked at only by who asks for it."""
    assert (refusal("CreateRoom", maximumMessageLength=length) is None) is good
    assert refusal("CreateRoom", ParamValidation(), maximumMessageLength=length) is None
    least, most = ParamValidation(min=True), ParamValidation(max=True)
    assert (refusal("CreateRoom", least, maximumMessageLength=length) is None) is (length >= 1)
    assert (refusal("CreateRoom", most, maximumMessageLength=length) is None) is (length <= 500)


@pytest.mark.parametrize(
    ("value", "good"),
    [(7, True), ("7", True), ("7.5", False), ("", False), (True, False), (None, True), ([], False)],
)
def test_numbers(value: object, good: bool) -> None:
    """A text of digits is one, as for the SDK; a truth value is none."""
    assert (refusal("CreateRoom", maximumMessageRatePerSecond=value) is None) is good


@pytest.mark.parametrize(("value", "good"), [(True, True), (False, True), (1, False), ("", False)])
def test_truth_values(value: object, *, good: bool) -> None:
    """Nothing else is one."""
    shape = own_service.OPERATIONS["UpdateRoomSettings"].input
    params = {"roomIdentifier": "x", "discardWaiting": value}
    if good:
        validate(shape, params, ParamValidation())
    else:
        with pytest.raises(ParameterError, match="to be a boolean"):
            validate(shape, params, ParamValidation())


def test_lengths_count_as_javascript_does() -> None:
    """A character beyond the first plane is two."""
    for count, good in ((64, True), (65, False)):
        params = {"roomIdentifier": "x", "userId": "\U0001f389" * count}
        assert (refusal("CreateChatToken", ParamValidation(max=True), **params) is None) is good


def test_texts_with_a_pattern_or_choices() -> None:
    """Looked at by who asks for it."""
    assert refusal("GetRoom", ParamValidation(enum=True), identifier="no ARN") is None
    error = refusal("GetRoom", ParamValidation(pattern=True), identifier="no ARN")
    assert error is not None
    assert error.code == "PatternMatchError"
    handler = {"uri": "", "fallbackResult": "MAYBE"}
    error = refusal("CreateRoom", ParamValidation(enum=True), messageReviewHandler=handler)
    assert error is not None
    assert "but expected ALLOW|DENY for params.messageReviewHandler.fallbackResult" in error.message
    assert refusal("CreateRoom", ParamValidation(), messageReviewHandler=handler) is None


def test_what_stands_in_the_path_is_not_empty() -> None:
    """Another operation would be asked for, whoever asks for which rules."""
    error = refusal("ListTagsForResource", ParamValidation(), resourceArn="")
    assert error is not None
    assert error.code == "UriParameterError"


def test_where_it_is_wrong() -> None:
    """Each message names the place, in lists and maps as well."""
    wrong: dict[str, Any] = {
        "loggingConfigurationIdentifiers": ["ok", 5],
        "tags": {"k": 5},
        "unknown": None,
    }
    error = refusal("CreateRoom", ParamValidation(), **wrong)
    assert error is not None
    assert [each.message for each in error.errors] == [
        "Expected params.loggingConfigurationIdentifiers[1] to be a string",
        "Expected params.tags['k'] to be a string",
    ]
    error = refusal("CreateRoom", unknown=1)
    assert error is not None
    assert error.message == "Unexpected key 'unknown' found in params"
    error = refusal("CreateRoom", loggingConfigurationIdentifiers={})
    assert error is not None
    assert error.message == "Expected params.loggingConfigurationIdentifiers to be an Array"


def test_what_is_none_is_absent() -> None:
    """Among members and in lists; what stands behind it is looked at all the same."""
    listed = {"loggingConfigurationIdentifiers": ["a", None]}
    assert refusal("CreateRoom", ParamValidation(), **listed) is None
    error = refusal("CreateRoom", ParamValidation(), unknown=None, name=5)
    assert error is not None
    assert error.message == "Expected params.name to be a string"


def test_keys_of_maps() -> None:
    """They have rules of their own."""
    error = refusal("CreateRoom", ParamValidation(max=True), tags={"k" * 129: "v"})
    assert error is not None
    assert error.message == (
        f"Expected string length <= 128, but found 129 for params.tags[key='{'k' * 129}']"
    )


def test_how_many_there_may_be() -> None:
    """In maps and in lists; what has another type has no number."""
    rules = ParamValidation(max=True)
    for count, good in ((50, True), (51, False)):
        tags = {str(number): "v" for number in range(count)}
        assert (refusal("CreateRoom", rules, tags=tags) is None) is good
    for count, good in ((3, True), (4, False)):
        listed = ["arn"] * count
        assert (
            refusal("CreateRoom", rules, loggingConfigurationIdentifiers=listed) is None
        ) is good
    wrong: dict[str, Any] = {
        "loggingConfigurationIdentifiers": 5,
        "tags": 5,
        "messageReviewHandler": 5,
    }
    error = refusal("CreateRoom", **wrong)
    assert error is not None
    assert [each.message for each in error.errors] == [
        "Expected params.loggingConfigurationIdentifiers to be an Array",
        "Expected params.tags to be a map",
        "Expected params.messageReviewHandler to be a structure",
    ]
