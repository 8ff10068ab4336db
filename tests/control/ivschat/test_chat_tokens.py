"""CreateChatToken: what the token says, and when it is refused.

Covers: greenroom.model.chat_token
"""

from typing import Any

import pytest

from greenroom.model.chat_token import Capability
from greenroom.tokens.key_ring import open_claims
from tests.stand_ins.caller import Caller
from tests.stand_ins.hand_clock import START_MS

START = "2023-11-14T22:13:20.000Z"


async def test_defaults() -> None:
    """Without options: no capability, no attributes, one minute to connect, an hour to stay."""
    api = Caller()
    room = await api.created()
    answer = await api.call("CreateChatToken", roomIdentifier=room, userId="ann")
    claims = open_claims(api.ring, answer.body["token"])
    assert (claims.room_arn, claims.user_id) == (room, "ann")
    assert (claims.capabilities, claims.attributes) == ((), {})
    assert claims.token_expires == START_MS + 60_000
    assert claims.session_expires == START_MS + 3_600_000
    assert answer.body["tokenExpirationTime"] == START.replace("13:20", "14:20")
    assert answer.body["sessionExpirationTime"] == START.replace("T22", "T23")


async def test_everything_given() -> None:
    """The token holds what the request had; a capability given twice counts once."""
    api = Caller()
    answer = await api.call(
        "CreateChatToken",
        roomIdentifier=await api.created(),
        userId="ann",
        capabilities=["DELETE_MESSAGE", "SEND_MESSAGE", "DELETE_MESSAGE"],
        attributes={"name": "Ann"},
        sessionDurationInMinutes=180,
    )
    claims = open_claims(api.ring, answer.body["token"])
    assert claims.capabilities == (Capability.DELETE_MESSAGE, Capability.SEND_MESSAGE)
    assert claims.attributes == {"name": "Ann"}
    assert claims.session_expires == START_MS + 180 * 60_000


async def test_tokens_differ() -> None:
    """Equal requests give tokens that can be used once each."""
    api = Caller()
    room = await api.created()
    answers = [await api.call("CreateChatToken", roomIdentifier=room, userId="a") for _ in range(2)]
    ids = {open_claims(api.ring, answer.body["token"]).token_id for answer in answers}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"userId": ""}, ["userId"]),
        ({"userId": "x" * 129}, ["userId"]),
        ({"userId": None}, ["userId"]),
        ({"capabilities": ["SEND_MESSAGE", "VIEW"]}, ["capabilities[1]"]),
        ({"sessionDurationInMinutes": 0}, ["sessionDurationInMinutes"]),
        ({"sessionDurationInMinutes": 181}, ["sessionDurationInMinutes"]),
        ({"attributes": {"k": "x" * 1024}}, ["attributes"]),
        ({"attributes": {"k": 1}}, ["attributes.k"]),
        ({"roomIdentifier": "AbCdEf123456", "userId": ""}, ["roomIdentifier", "userId"]),
    ],
)
async def test_refusals(parameters: dict[str, Any], fields: list[str]) -> None:
    """Each constraint is named by the path of its field."""
    api = Caller()
    given = {"roomIdentifier": await api.created(), "userId": "ann", **parameters}
    answer = await api.call("CreateChatToken", **given)
    assert answer.fields() == fields


async def test_largest_token() -> None:
    """The largest request that is valid makes a token that can be opened."""
    api = Caller()
    answer = await api.call(
        "CreateChatToken",
        roomIdentifier=await api.created(),
        userId="\U0001f469" * 128,
        capabilities=[each.value for each in Capability],
        attributes={chr(0x4E00 + number): "x" * 61 for number in range(16)},
    )
    assert len(open_claims(api.ring, answer.body["token"]).attributes) == 16


async def test_own_capabilities_and_attributes() -> None:
    """Both ways give capabilities; what is for the service is in no attribute that others see."""
    api = Caller()
    answer = await api.call(
        "CreateChatToken",
        roomIdentifier=await api.created(),
        userId="ann",
        capabilities=["SEND_MESSAGE", "greenroom:HOST"],
        attributes={
            "name": "Ann",
            "greenroom:capabilities": "HOST,greenroom:MODERATE",
            "greenroom:roles": "vip",
        },
    )
    claims = open_claims(api.ring, answer.body["token"])
    assert claims.capabilities == (
        Capability.SEND_MESSAGE,
        Capability.HOST,
        Capability.MODERATE,
    )
    assert claims.attributes == {"name": "Ann"}
    assert claims.own == {"capabilities": "HOST,greenroom:MODERATE", "roles": "vip"}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"userId": "greenroom"}, "userId"),
        ({"attributes": {"greenroom:history": "x"}}, "attributes.greenroom:history"),
        ({"attributes": {"greenroom:other": "x"}}, "attributes.greenroom:other"),
        ({"capabilities": ["greenroom:OTHER"]}, "capabilities[0]"),
    ],
)
async def test_wrong_ones_are_refused(parameters: dict[str, Any], field: str) -> None:
    """With the field and the rule; nobody speaks as the service."""
    api = Caller()
    asked = {"roomIdentifier": await api.created(), "userId": "ann", **parameters}
    answer = await api.call("CreateChatToken", **asked)
    assert answer.error() == (400, "ValidationException")
    assert [each["name"] for each in answer.body["fieldList"]] == [field]
