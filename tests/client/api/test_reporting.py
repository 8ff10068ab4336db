"""What a logger is told of a request: its name, its time, and nothing that is said in rooms."""

import logging
from types import MappingProxyType

import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.client.api.reporting import SENSITIVE, report


class Console:
    """What has a `log`, and a `write` that is not asked for."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def log(self, text: str, /) -> None:
        """Keep it."""
        self.told.append(text)

    def write(self, text: str, /) -> None:
        """Never be called."""
        raise AssertionError


class Stream:
    """What has a `write`."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def write(self, text: str, /) -> None:
        """Keep it."""
        self.told.append(text)


def told(operation: str, **params: object) -> str:
    """Return what is told of a request."""
    stream = Stream()
    report(stream, "ivschat", OPERATIONS[operation], params, 200, 0.1234, 2)
    (line,) = stream.told
    return line


def test_where_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A line each; a request without an answer has no status."""
    console, stream, logger = Console(), Stream(), logging.getLogger("chosen")
    line = "[AWS ivschat - 0.123s 0 retries] list_rooms()"
    with caplog.at_level(logging.INFO):
        for each in (console, stream, logger):
            report(each, "ivschat", OPERATIONS["ListRooms"], {}, None, 0.1234, 0)
    assert (console.told, stream.told) == ([line], [line + "\n"])
    assert [record.getMessage() for record in caplog.records] == [line]


def test_numbers() -> None:
    """Status, time and retries stand before the call."""
    assert told("GetRoom", identifier="arn").startswith(
        "[AWS ivschat 200 0.123s 2 retries] get_room(identifier='arn')"
    )


def test_what_is_said_is_not_told() -> None:
    """Neither what the model calls sensitive, nor what holds content, nor what nobody knows."""
    line = told("CreateChatToken", roomIdentifier="arn", userId="u", attributes={"k": "v"}, x="y")
    hidden = ", ".join(f"{name}='{SENSITIVE}'" for name in ("user_id", "attributes", "x"))
    assert line.endswith(f"(room_identifier='arn', {hidden})\n")
    assert f"reason='{SENSITIVE}'" in told("DeleteMessage", reason="spam")


def test_structures_are_told_as_they_are_sent() -> None:
    """Lists, maps and structures with all their members, known and unknown."""
    handler = {"uri": "u", "fallbackResult": "ALLOW", "more": 1}
    line = told(
        "CreateRoom",
        messageReviewHandler=handler,
        loggingConfigurationIdentifiers=["a", "b"],
        tags={"k": "v", "attributes": "w"},
    )
    assert f"{{'uri': 'u', 'fallbackResult': 'ALLOW', 'more': '{SENSITIVE}'}}" in line
    assert "logging_configuration_identifiers=['a', 'b']" in line
    assert "tags={'k': 'v', 'attributes': 'w'}" in line
    assert "tags={'k': 'v'}" in told("CreateRoom", tags=MappingProxyType({"k": "v"}))
    assert "capabilities=['X']" in told("CreateChatToken", capabilities=("X",))


def test_what_has_another_type_is_told_as_it_is() -> None:
    """It is refused for that; whoever reads sees why."""
    line = told("CreateRoom", messageReviewHandler=5, tags="t", loggingConfigurationIdentifiers="l")
    assert "message_review_handler=5, tags='t', logging_configuration_identifiers='l'" in line
