import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.policies.ivschat_access import ACCESS, Check, checks, requested_tags

ACCOUNT, REGION = "123456789012", "us-east-1"
ROOM = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:room/AbCdEf123456"
LOGGING = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:logging-configuration/AbCdEf123456"
ROOMS = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:room/*"
LOGGINGS = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:logging-configuration/*"


def test_every_operation_is_in_the_table() -> None:
    """The 17 operations of the model are those of the table."""
    assert len(ACCESS) == 17
    assert ACCESS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("operation", ACCESS)
def test_parameters_are_those_of_the_model(operation: str) -> None:
    """The ARN's parameter is one that the model requires; the tags' one that it has."""
    access, model = ACCESS[operation], OPERATIONS[operation].input
    assert access.parameter is None or access.parameter in model.required_members
    assert access.tags is None or access.tags in model.members
    takes_tags = {"tags", "tagKeys"} & set(model.members)
    assert takes_tags == ({access.tags} if access.tags else set())


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        ("GetRoom", {"identifier": ROOM}, [("ivschat:GetRoom", ROOM, True)]),
        ("CreateChatToken", {"roomIdentifier": ROOM}, [("ivschat:CreateChatToken", ROOM, True)]),
        ("TagResource", {"resourceArn": LOGGING}, [("ivschat:TagResource", LOGGING, True)]),
        ("ListRooms", {}, [("ivschat:ListRooms", ROOMS, False)]),
        (
            "ListLoggingConfigurations",
            {},
            [("ivschat:ListLoggingConfigurations", LOGGINGS, False)],
        ),
        ("CreateRoom", {}, [("ivschat:CreateRoom", ROOMS, False)]),
        ("CreateRoom", {"tags": {}}, [("ivschat:CreateRoom", ROOMS, False)]),
        (
            "CreateRoom",
            {"tags": {"a": "b"}},
            [("ivschat:CreateRoom", ROOMS, False), ("ivschat:TagResource", ROOMS, False)],
        ),
        (
            "CreateLoggingConfiguration",
            {"tags": {"a": "b"}},
            [
                ("ivschat:CreateLoggingConfiguration", LOGGINGS, False),
                ("ivschat:TagResource", LOGGINGS, False),
            ],
        ),
    ],
)
def test_checks(
    operation: str, parameters: dict[str, object], expected: list[tuple[str, str, bool]]
) -> None:
    """An operation asks for its action on its resource; tags on a new one, for TagResource too."""
    found = checks(operation, parameters, ACCOUNT, REGION)
    assert found == tuple(Check(*each) for each in expected)


def test_tags_of_requests() -> None:
    """The tags and their keys come from where each operation has them."""
    tags = {"Team": "red"}
    assert requested_tags("CreateRoom", {"tags": tags}) == (tags, ("Team",))
    assert requested_tags("TagResource", {"tags": tags}) == (tags, ("Team",))
    assert requested_tags("UntagResource", {"tagKeys": ["Team"]}) == ({}, ("Team",))
    assert requested_tags("CreateRoom", {}) == ({}, ())
    assert requested_tags("GetRoom", {"tags": tags}) == ({}, ())
