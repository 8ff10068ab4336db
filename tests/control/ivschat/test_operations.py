"""The table of operations, and the rule that holds for all: nothing of others is served."""

from typing import Any

import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.control.ivschat.operations import HANDLERS
from tests.stand_ins.caller import STRANGER, Caller

ON_A_RESOURCE: dict[str, dict[str, Any]] = {
    "GetRoom": {"identifier": "room"},
    "UpdateRoom": {"identifier": "room"},
    "DeleteRoom": {"identifier": "room"},
    "ListRooms": {"loggingConfigurationIdentifier": "configuration"},
    "CreateRoom": {"loggingConfigurationIdentifiers": ["configuration"]},
    "CreateChatToken": {"roomIdentifier": "room", "userId": "u"},
    "SendEvent": {"roomIdentifier": "room", "eventName": "e"},
    "DeleteMessage": {"roomIdentifier": "room", "id": "a" * 12},
    "DisconnectUser": {"roomIdentifier": "room", "userId": "u"},
    "GetLoggingConfiguration": {"identifier": "configuration"},
    "UpdateLoggingConfiguration": {"identifier": "configuration"},
    "DeleteLoggingConfiguration": {"identifier": "configuration"},
    "ListTagsForResource": {"resourceArn": "room"},
    "TagResource": {"resourceArn": "configuration", "tags": {"a": "b"}},
    "UntagResource": {"resourceArn": "room", "tagKeys": ["a"]},
}


def filled(parameters: dict[str, Any], arns: dict[str, str]) -> dict[str, Any]:
    """Return the parameters with ARNs for the names of resources."""
    return {
        name: [arns[each] for each in value]
        if name == "loggingConfigurationIdentifiers"
        else arns.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in parameters.items()
    }


def test_the_table_is_the_service_model() -> None:
    """Every operation of the model has one coroutine of its own."""
    assert HANDLERS.keys() == OPERATIONS.keys()
    assert len(set(HANDLERS.values())) == len(HANDLERS) == 17


@pytest.mark.parametrize("operation", ON_A_RESOURCE)
@pytest.mark.parametrize("whose", ["another account's", "another region's", "nobody's"])
async def test_resources_of_others(operation: str, whose: str) -> None:
    """What belongs to another account or region is not found, as what does not exist."""
    api = await Caller().listening()
    arns = {"room": await api.created(), "configuration": await api.configuration()}
    if whose == "nobody's":
        arns = {name: arn[:-1] + "x" for name, arn in arns.items()}
    caller = {"account": STRANGER} if whose == "another account's" else {}
    region = {"region": "eu-west-1"} if whose == "another region's" else {}
    answer = await api.call(operation, **caller, **region, **filled(ON_A_RESOURCE[operation], arns))
    assert answer.error() == (404, "ResourceNotFoundException")
    assert answer.body["resourceId"] in {arn.rpartition("/")[2] for arn in arns.values()}
    assert answer.body["resourceType"] in {"ROOM", "LOGGING_CONFIGURATION"}
    assert api.published == []
