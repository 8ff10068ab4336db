"""Rules beyond the service model are reported with the model's, all at once."""

from typing import Any

import pytest

from greenroom.control.ivschat.checks import MEMBER_CHECKS
from tests.stand_ins.caller import ACCOUNT, REGION, Caller


def names(member: str, value: object) -> list[str]:
    """Return the fields that fail."""
    return [error.name for error in MEMBER_CHECKS[member](value)]


def test_each_rule() -> None:
    """Reserved and ill-formed tags, attributes over 1 KB and repeated attachments are named."""
    assert names("tags", {"aws:x": "1", "bad#": "y", "good": "z"}) == ["tags.aws:x", "tags.bad#"]
    assert names("attributes", {"k": "x" * 1024}) == ["attributes"]
    assert names("attributes", {"k": "x" * 1023}) == []
    assert names("loggingConfigurationIdentifiers", ["a", "b", "a"]) == [
        "loggingConfigurationIdentifiers[2]"
    ]


async def test_all_failures_of_a_request_are_in_one_answer() -> None:
    """What the model forbids and what else is forbidden are reported together."""
    caller = Caller()
    arn = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:logging-configuration/Abc"
    answer = await caller.call(
        "CreateRoom", name="a b", tags={"aws:x": "1"}, loggingConfigurationIdentifiers=[arn, arn]
    )
    fields = answer.fields()
    assert sorted(fields) == ["loggingConfigurationIdentifiers[1]", "name", "tags.aws:x"]


@pytest.mark.parametrize("operation", ["ListTagsForResource", "TagResource", "UntagResource"])
async def test_an_arn_of_no_kind_that_there_is(operation: str) -> None:
    """A well-formed ARN of another kind of resource is refused by name, never with a 500."""
    more: dict[str, dict[str, Any]] = {
        "TagResource": {"tags": {"a": "b"}},
        "UntagResource": {"tagKeys": ["a"]},
    }
    arn = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:banana/abc"
    answer = await Caller().call(operation, resourceArn=arn, **more.get(operation, {}))
    assert answer.fields() == ["resourceArn"]
