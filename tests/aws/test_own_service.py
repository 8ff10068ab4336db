"""The model of Greenroom's own service: what botocore reads is what the service does."""

import msgspec
import pytest

from greenroom.aws import own_service
from greenroom.aws.own_service import OPERATIONS
from greenroom.aws.shapes import StringShape, StructureShape
from greenroom.control.greenroom.operations import OPERATIONS as PERFORMED
from greenroom.model import errors
from greenroom.model.room_settings import ROOM_SETTINGS, Kind
from greenroom.policies.greenroom_access import is_about_a_room

MODEL = msgspec.json.decode(own_service.file("service-2.json"))


def test_the_settings_are_those_of_the_table() -> None:
    """Names in the order of the table, kinds and bounds."""
    shape = OPERATIONS["GetRoomSettings"].output
    assert shape is not None
    settings = shape.members["effective"]
    assert isinstance(settings, StructureShape)
    assert list(settings.members) == [each.name for each in ROOM_SETTINGS]
    types = {
        Kind.SWITCH: "boolean",
        Kind.NUMBER: "integer",
        Kind.ROLES: "list",
        Kind.SETTINGS: "string",
    }
    for each in ROOM_SETTINGS:
        member = settings.members[each.name]
        assert member.type_name == types[each.kind]
        if each.kind is Kind.NUMBER:
            bounds = (member.metadata["min"], member.metadata["max"])
            assert bounds == (each.least, each.most)
    named = MODEL["shapes"]["SettingName"]["enum"]
    assert named == [each.name for each in ROOM_SETTINGS]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(name: str) -> None:
    """It is described, its errors exist with their statuses, and what is about a room names it."""
    described = MODEL["operations"][name]
    assert described["documentation"]
    assert described["http"]["requestUri"].startswith(own_service.PREFIX.decode())
    for error in OPERATIONS[name].errors:
        shape = MODEL["shapes"][error]
        assert shape["error"]["httpStatusCode"] == getattr(errors, error).status
    # This one is about all rooms, of which permissions name the pattern.
    if is_about_a_room(name) and name != "ListRoomStates":
        assert "roomIdentifier" in OPERATIONS[name].input.members
        assert "ResourceNotFoundException" in OPERATIONS[name].errors
    assert isinstance(PERFORMED[name].reads, bool)


def test_every_text_has_a_bound() -> None:
    """What clients send is bounded by the model: strings in length, lists in number."""

    def unbounded(shape: object, path: str) -> list[str]:
        found = []
        if isinstance(shape, StructureShape):
            for name, member in shape.members.items():
                found += unbounded(member, f"{path}.{name}")
        elif isinstance(shape, StringShape) and not shape.enum and "max" not in shape.metadata:
            found.append(path)
        return found

    assert [each for name, one in OPERATIONS.items() for each in unbounded(one.input, name)] == []
