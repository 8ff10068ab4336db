"""Rooms by what people call them, where the API takes ARNs alone."""

from collections.abc import Mapping
from contextlib import closing

from greenroom.aws.shapes import Shape
from greenroom.cli.api import Api
from greenroom.cli.reaching import Reached
from greenroom.cli.room.service import Rooms

_SHAPE = "RoomIdentifier"
"""What the models call a member that names a room."""


def with_room_arns(
    reached: Reached, members: Mapping[str, Shape], parameters: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the parameters with the ARN of each room that is named by its name or id.

    Raises:
        CommandRefused: there is none, or several have the name.
    """
    named = {
        name: value
        for name, value in parameters.items()
        if name in members and members[name].name == _SHAPE and isinstance(value, str)
    }
    if not named:
        return parameters
    with closing(Api(reached.endpoint, reached.key, reached.region)) as api:
        rooms = Rooms(api, reached.region)
        return {**parameters, **{name: rooms.find(value) for name, value in named.items()}}
