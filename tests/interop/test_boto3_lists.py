"""boto3: ListRooms and ListLoggingConfigurations page by page, while their contents change."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.answers import LAMBDA, fields, refusal, s3
from tests.running.service import Service

Page = dict[str, Any]


def pages(call: Callable[..., Page], **parameters: Any) -> Iterator[Page]:
    """Yield the pages of a listing; the next one is asked for when it is wanted."""
    token: dict[str, str] = {}
    while True:
        page = call(**parameters, **token)
        yield page
        if "nextToken" not in page:
            return
        assert 0 < len(page["nextToken"]) <= 1024
        token = {"nextToken": page["nextToken"]}


def arns(page: Page) -> list[str]:
    """Return the ARNs on a page."""
    (items,) = [value for name, value in page.items() if isinstance(value, list)]
    return [item["arn"] for item in items]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 50])
def test_pages_of_rooms(client: Any, size: int) -> None:
    """Pages of any size hold each room once, newest update first, and the last has no token."""
    rooms = [client.create_room()["arn"] for _ in range(5)]
    client.update_room(identifier=rooms[1], name="newest")
    expected = [rooms[1], rooms[4], rooms[3], rooms[2], rooms[0]]
    listed = [arns(page) for page in pages(client.list_rooms, maxResults=size)]
    assert listed == [expected[start : start + size] for start in range(0, 5, size)]


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_pages_of_logging_configurations(client: Any, size: int) -> None:
    """Pages of any size hold each configuration once, the newest first."""
    expected = [s3(client)["arn"] for _ in range(4)][::-1]
    client.update_logging_configuration(identifier=expected[2], name="not-moved")
    listed = [arns(page) for page in pages(client.list_logging_configurations, maxResults=size)]
    assert listed == [expected[start : start + size] for start in range(0, 4, size)]


def test_a_page_has_fifty_by_default(client: Any) -> None:
    """Both listings stop at 50 when the request does not say."""
    for _ in range(51):
        client.create_room()
        s3(client)
    assert [len(arns(page)) for page in pages(client.list_rooms)] == [50, 1]
    assert [len(arns(page)) for page in pages(client.list_logging_configurations)] == [50, 1]


def test_empty_listings_and_tokens(client: Any) -> None:
    """An empty region has one empty page; an empty token asks for the first page."""
    assert client.list_rooms(nextToken="")["rooms"] == []
    assert "nextToken" not in client.list_rooms()
    assert client.list_logging_configurations(nextToken="")["loggingConfigurations"] == []
    assert "nextToken" not in client.list_logging_configurations()


def test_filters_of_rooms(client: Any) -> None:
    """Each filter matches exactly, several must match together, and they page as well."""
    logs = [s3(client)["arn"] for _ in range(2)]
    handled = {"messageReviewHandler": {"uri": LAMBDA}}
    rooms = [
        client.create_room(name="chat", **handled)["arn"],
        client.create_room(name="chat-1", loggingConfigurationIdentifiers=logs)["arn"],
        client.create_room(loggingConfigurationIdentifiers=logs[1:], **handled)["arn"],
        client.create_room(name="chat", messageReviewHandler={"uri": LAMBDA + ":2"})["arn"],
    ]

    def listed(**filters: str) -> list[int]:
        found = [
            arn for page in pages(client.list_rooms, maxResults=1, **filters) for arn in arns(page)
        ]
        return [rooms.index(arn) for arn in found]

    assert listed() == [3, 2, 1, 0]
    assert listed(name="chat") == [3, 0]
    assert listed(name="Chat") == []
    assert listed(name="cha") == []
    assert listed(messageReviewHandlerUri=LAMBDA) == [2, 0]
    assert listed(loggingConfigurationIdentifier=logs[0]) == [1]
    assert listed(loggingConfigurationIdentifier=logs[1]) == [2, 1]
    assert listed(name="chat", messageReviewHandlerUri=LAMBDA) == [0]
    assert listed(name="chat", loggingConfigurationIdentifier=logs[1]) == []
    client.update_room(identifier=rooms[1], loggingConfigurationIdentifiers=[])
    client.update_room(identifier=rooms[0], messageReviewHandler={"uri": ""})
    assert listed(loggingConfigurationIdentifier=logs[1]) == [2]
    assert listed(messageReviewHandlerUri=LAMBDA) == [2]


@pytest.mark.parametrize("filtered", ["", "name", "handler", "logging"])
def test_rooms_change_between_pages(client: Any, filtered: str) -> None:
    """A listing holds each room that was there all the time once, in its first order.

    Created since: not listed. Deleted since: no longer listed. Updated since: where it was.
    """
    logs = s3(client)["arn"]
    every = {
        "name": "listed",
        "messageReviewHandler": {"uri": LAMBDA},
        "loggingConfigurationIdentifiers": [logs],
    }
    filters = {
        "": {},
        "name": {"name": "listed"},
        "handler": {"messageReviewHandlerUri": LAMBDA},
        "logging": {"loggingConfigurationIdentifier": logs},
    }[filtered]
    rooms = [client.create_room(**every)["arn"] for _ in range(9)][::-1]
    listing = pages(client.list_rooms, maxResults=3, **filters)
    assert arns(next(listing)) == rooms[:3]

    created = client.create_room(**every)["arn"]
    client.delete_room(identifier=rooms[4])
    for updated in (rooms[1], rooms[6], rooms[3], rooms[6]):
        client.update_room(identifier=updated, maximumMessageLength=100)
    assert arns(next(listing)) == [rooms[3], rooms[5], rooms[6]]

    client.delete_room(identifier=rooms[7])
    client.update_room(identifier=rooms[8], maximumMessageLength=100)
    client.update_room(identifier=rooms[0], maximumMessageLength=100)
    assert [arns(page) for page in listing] == [[rooms[8]]]
    assert arns(client.list_rooms(**filters)) == [
        *(rooms[0], rooms[8], rooms[6], rooms[3], rooms[1]),
        *(created, rooms[2], rooms[5]),
    ]


def test_logging_configurations_change_between_pages(client: Any) -> None:
    """A listing of configurations is as steady as one of rooms."""
    configurations = [s3(client)["arn"] for _ in range(5)][::-1]
    listing = pages(client.list_logging_configurations, maxResults=2)
    assert arns(next(listing)) == configurations[:2]
    s3(client)
    client.delete_logging_configuration(identifier=configurations[2])
    client.update_logging_configuration(identifier=configurations[4], name="later")
    assert arns(next(listing)) == configurations[3:]
    assert list(listing) == []


# -------------------------------------------------------------------------------------- tokens


@pytest.fixture
def token(client: Any) -> str:
    """Return the token of the second page of a listing of rooms without filters."""
    for _ in range(3):
        client.create_room(name="room")
        s3(client)
    return str(client.list_rooms(maxResults=1)["nextToken"])


def test_a_token_can_be_used_again_and_with_another_size(client: Any, token: str) -> None:
    """A token is a place, not a session: the page after it can be asked for again."""
    first = client.list_rooms(nextToken=token, maxResults=1)
    assert arns(client.list_rooms(nextToken=token)) == [
        *arns(first),
        *arns(client.list_rooms(nextToken=first["nextToken"])),
    ]


def test_forged_tokens_are_refused(client: Any, token: str) -> None:
    """Whatever is not exactly a token of ours is a fault of the field nextToken."""
    head, _, tail = token.partition(".")
    other = "A" if token[-1] != "A" else "Q"
    forgeries = [
        token[:-1] + other,
        token[:-1],
        token + "A",
        token.swapcase(),
        f"{tail}.{head}",
        head,
        f"{head}.",
        "0",
        "null",
        " ",
        "tökén",
        client.create_chat_token(roomIdentifier=client.create_room()["arn"], userId="u")["token"],
    ]
    for forgery in forgeries:
        for operation in ("list_rooms", "list_logging_configurations"):
            refused = refusal(client, "ValidationException", operation, nextToken=forgery)
            assert fields(refused) == ["nextToken"]
            assert len(forgery) < 5 or forgery not in refused["message"]


def test_a_token_belongs_to_its_listing(client: Any, service: Service, token: str) -> None:
    """A token does not continue a listing with other filters, of other things, or elsewhere."""
    logs = client.list_logging_configurations(maxResults=1)
    named = client.list_rooms(maxResults=1, name="room")["nextToken"]
    elsewhere = service.boto3(region="eu-west-1")
    for caller, operation, parameters in (
        (client, "list_rooms", {"nextToken": token, "name": "room"}),
        (client, "list_rooms", {"nextToken": token, "messageReviewHandlerUri": LAMBDA}),
        (
            client,
            "list_rooms",
            {"nextToken": token, "loggingConfigurationIdentifier": arns(logs)[0]},
        ),
        (client, "list_rooms", {"nextToken": named}),
        (client, "list_rooms", {"nextToken": logs["nextToken"]}),
        (client, "list_logging_configurations", {"nextToken": token}),
        (elsewhere, "list_rooms", {"nextToken": token}),
    ):
        refused = refusal(caller, "ValidationException", operation, **parameters)
        assert fields(refused) == ["nextToken"]
    assert len(arns(client.list_rooms(nextToken=named, name="room"))) == 2
