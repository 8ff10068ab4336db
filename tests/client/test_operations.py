"""What the methods of both clients ask for, with a sender that notes it.

Covers: greenroom.client.ivschat, greenroom.client.greenroom,
greenroom.client.own_service.rooms, greenroom.client.own_service.users,
greenroom.client.own_service.messages, greenroom.client.own_service.operating
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_type_hints
from unittest.mock import Mock
from uuid import UUID

import pytest

from greenroom.aws import own_service, service
from greenroom.aws.shapes import Operation
from greenroom.client import ChatToken, Greenroom, Ivschat
from greenroom.client.api import requests, results
from greenroom.client.api.client import Client
from tests.stand_ins.asked_sender import instead


def keywords(method: Any) -> set[str]:
    """Return what a method can be given."""
    hints = get_type_hints(method)
    given = get_args(hints["asked"])[0].__annotations__ if "asked" in hints else hints
    return set(given) - {"return"}


@pytest.mark.parametrize(
    ("kind", "operations"),
    [(Ivschat, service.OPERATIONS), (Greenroom, own_service.OPERATIONS)],
    ids=["ivschat", "greenroom"],
)
async def test_a_method_asks_for_its_operation(
    kind: type[Client], operations: Mapping[str, Operation]
) -> None:
    """With all that it was given, under the model's names, and returns what is answered."""
    client = kind()
    for operation in operations.values():
        result = results.RESULTS.get(operation.name)
        answer: Any = None if result is None else Mock(spec=result)
        if operation.name == "CreateChatToken":
            answer = ChatToken("token")
        sender = instead(client, answer)
        method = getattr(client, requests.snake(operation.name))
        given: dict[str, Any] = {name: f"the {name}" for name in keywords(method)}
        if "reset" in given:
            given["reset"] = ["the reset"]
        assert await method(**given) is answer, operation.name
        params = {
            each: given.get(requests.snake(each), f"the {each}_")
            for each in operation.input.members
        }
        assert sender.asked == [(operation.name, params)]
        assert sender.signed == [True]


@pytest.mark.parametrize(
    ("kind", "pages", "each", "member"),
    [
        (Ivschat, "room_pages", "rooms", "rooms"),
        (Ivschat, "logging_configuration_pages", "logging_configurations", ""),
        (Greenroom, "", "room_states", "room_states"),
        (Greenroom, "", "users", "users"),
        (Greenroom, "", "restrictions", "restrictions"),
        (Greenroom, "message_pages", "messages", "messages"),
    ],
)
async def test_pages_are_walked(kind: type[Client], pages: str, each: str, member: str) -> None:
    """To the last one, each asked for with the same, and with the token of the one before."""
    found = [page_of(member or each, [1, 2], "next"), page_of(member or each, [3], None)]
    client = kind()
    sender = instead(client, *found, *found, found[1])
    method = getattr(client, each)
    given = {name: f"the {name}" for name in keywords(method) - {"next_token", "from_", "to"}}
    assert [one async for one in method(**given)] == [1, 2, 3]
    if pages:
        assert [page async for page in getattr(client, pages)(**given)] == found
        assert [page async for page in getattr(client, pages)(next_token="next")] == [found[1]]
    asked = [params for _, params in sender.asked]
    names = {requests.snake(name): value for name, value in asked[0].items()}
    assert names == given
    assert [params.pop("nextToken", None) for params in asked] == [
        *(None, "next"),
        *((None, "next", "next") if pages else ()),
    ]
    assert all(params == asked[0] for params in asked[:4])


def page_of(member: str, found: list[int], next_token: str | None) -> Any:
    """Return a page of whatever its client lists."""
    kinds = {kind.__name__: kind for kind in results.RESULTS.values()}
    (kind,) = {
        kind for kind in kinds.values() if {member, "next_token"} <= set(kind.__struct_fields__)
    }
    page = Mock(spec=kind, next_token=next_token)
    setattr(page, member, found)
    return page


async def test_each_message_has_a_request_id() -> None:
    """Another one in each call that is not given one: further attempts never write twice."""
    client = Greenroom()
    sender = instead(client, *(Mock(spec=results.RESULTS["SendMessage"]) for _ in range(3)))
    await client.send_message(content="hi")
    await client.send_message(content="hi", request_id="")
    await client.send_message(content="hi", request_id="mine")
    first, second, third = (params["requestId"] for _, params in sender.asked)
    assert UUID(str(first)) != UUID(str(second))
    assert third == "mine"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (datetime(2026, 11, 29, 12), "2026-11-29T12:00:00+00:00"),  # noqa: DTZ001 - that is meant
        (datetime(2026, 11, 29, 12, tzinfo=UTC), "2026-11-29T12:00:00+00:00"),
        (
            datetime(2026, 11, 29, 12, tzinfo=timezone(timedelta(hours=1))),
            "2026-11-29T12:00:00+01:00",
        ),
        ("2026-11-29T12:00:00Z", "2026-11-29T12:00:00Z"),
    ],
)
async def test_times_of_lists(given: datetime | str, sent: str) -> None:
    """They are texts in the request; without a time zone they are UTC."""
    client = Greenroom()
    page = Mock(spec=results.RESULTS["ListMessages"])
    sender = instead(client, page, page, page)
    await client.list_messages(from_=given, to=given)
    await client.list_messages(from_=given)
    await client.list_messages(since="id")
    assert [params for _, params in sender.asked] == [
        {"from": sent, "to": sent},
        {"from": sent},
        {"since": "id"},
    ]
