"""How many are in rooms, as far as the commands may know."""

from unittest.mock import Mock, call

from greenroom.cli.access import CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.room.service import Rooms


def state(room: str) -> dict[str, object]:
    """Return what is told of a room."""
    return {"roomIdentifier": room, "users": 1, "connections": 2}


def test_all_pages_are_asked_for() -> None:
    """Of the service's own API, whose connections are closed then."""
    api = Mock()
    own = api.of.return_value
    own.call.side_effect = [
        {"roomStates": [state("a"), state("b")], "nextToken": "t"},
        {"roomStates": [state("c")]},
    ]
    assert Rooms(api, "us-east-1").occupied() == {each: state(each) for each in "abc"}
    api.of.assert_called_once_with("greenroom")
    asked = call("greenroom/ListRoomStates", maxResults=100)
    assert own.call.mock_calls == [
        asked,
        call("greenroom/ListRoomStates", maxResults=100, nextToken="t"),
    ]
    own.close.assert_called_once_with()


def test_who_may_not_know() -> None:
    """It is no reason to show nothing of the rooms."""
    api = Mock()
    refused = CommandRefused("no", ExitCode.REFUSED, "AccessDeniedException")
    api.of.return_value.call.side_effect = refused
    assert Rooms(api, "us-east-1").occupied() is None
