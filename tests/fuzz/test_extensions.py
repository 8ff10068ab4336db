"""What Greenroom has beside IVS Chat, with input of every kind: all is answered or refused by name.

Operations with parameters of any kind, actions with members of any kind, tags, attributes of tokens
and URLs: never a 5xx, never a crash, never a connection that ends for it; and what is refused is
told by its field and the rule.

Covers: greenroom.control.greenroom.api
"""

import asyncio
import contextlib
import json
import re
import string
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws import own_service
from greenroom.model.room_settings import ROOM_SETTINGS
from greenroom.model.token_attributes import ATTRIBUTES, WISHES
from greenroom.policies.greenroom_access import GREENROOM_ACCESS, is_about_a_room
from greenroom.protocol.handshake import HandshakeRefused
from greenroom.protocol.own_actions import OWN_ACTIONS
from greenroom.protocol.wishes import asked_in
from tests.fuzz.profile import SECONDS, profile
from tests.stand_ins.caller import Answer, Caller
from tests.stand_ins.stage import client_frame, settle, stage, texts

pytestmark = pytest.mark.timeout(SECONDS)

MODEL = msgspec.json.decode(own_service.file(own_service.FILES[0]))
ABOUT_ROOMS = sorted(name for name in GREENROOM_ACCESS if is_about_a_room(name))
OF_THE_ACCOUNT = sorted(GREENROOM_ACCESS.keys() - set(ABOUT_ROOMS))
MEMBERS = {
    name: sorted(MODEL["shapes"][MODEL["operations"][name]["input"]["shape"]]["members"])
    for name in GREENROOM_ACCESS
}
MEMBERS_OF_ACTIONS = (
    *("UserId", "Kind", "DurationSeconds", "Reason", "Settings", "ExpiresInSeconds", "Content"),
    *("Style", "MessageId", "SinceSeconds", "DeleteMessagesSinceSeconds", "RequestId"),
    *("Before", "Limit"),
)

NAMED = re.compile(rf"Action|action|{'|'.join(MEMBERS_OF_ACTIONS)}|Attributes|JSON|found|Id\b|may")
"""What each refusal of an action names: a member, or what there is not."""

BEHIND = {"Action": "SEND_MESSAGE", "Content": "behind"}

TEXTS = st.text(max_size=40) | st.sampled_from(
    [*("bob", "greenroom", "Message00001", "ACCOUNT", "ROOM", "BAN", "NOTE", "INFO", "0", "on")]
)
LIKELY = st.sampled_from(
    [
        *({"frozen": True}, {"writers": ["vip"]}, {"slowModeSeconds": 3601}, {"none": 1}),
        *(["frozen"], ["none"], 1, 0, -1, 31_536_000, 31_536_001, 10**30, 1.5, True),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=32) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OWN_TAGS = [each.tag for each in ROOM_SETTINGS if not each.longest]
OWN_ATTRIBUTES = [f"greenroom:{name}" for name in ATTRIBUTES]


def some_of(names: list[str], values: st.SearchStrategy[Any] = LIKELY | VALUES) -> Any:
    """Return a strategy for some of these members, and others, with values of every kind."""
    keys = st.sampled_from(names) | TEXTS if names else TEXTS
    return st.dictionaries(keys, values, max_size=5)


def assert_told(answer: Answer) -> None:
    """Check that an answer is no failure, and says which field broke which rule."""
    assert answer.status in {200, 400, 403, 404, 406, 409, 429}, answer
    if answer.status != 400:
        return
    body = answer.body
    assert body["__type"] == "ValidationException", body
    assert body["message"], body
    if body["reason"] == "FIELD_VALIDATION_FAILED":
        assert body["fieldList"], body
        assert all(field["name"] and field["message"] for field in body["fieldList"]), body


async def answers(*frames: dict[str, Any]) -> list[dict[str, Any]]:
    """Send frames on a connection that may do everything; return all that comes."""
    async with stage() as made:
        edge, transport = await made.connect("ann")
        for frame in frames:
            edge.data_received(client_frame(json.dumps(frame).encode()))
            await settle(30)
        return texts(transport.take())


@profile(250)
@given(operation=st.sampled_from(ABOUT_ROOMS), data=st.data(), is_there=st.booleans())
def test_operations(operation: str, data: st.DataObject, *, is_there: bool) -> None:
    """Of a room that is there, or of whatever is named as one."""
    parameters = data.draw(some_of(MEMBERS[operation]))

    async def call() -> Answer:
        api = await Caller().listening()
        room = await api.created(tags={"greenroom:history-messages": "10"})
        given = {**parameters, "roomIdentifier": room} if is_there else parameters
        return await api.call(operation, **given)

    assert_told(asyncio.run(call()))


@profile(100)
@given(operation=st.sampled_from(OF_THE_ACCOUNT), data=st.data())
def test_operations_of_the_account(operation: str, data: st.DataObject) -> None:
    """Those that are about keys, sessions, reviews, the account and all its rooms."""
    parameters = data.draw(some_of(MEMBERS[operation]))

    async def call() -> Answer:
        return await (await Caller().operating()).call(operation, **parameters)

    assert_told(asyncio.run(call()))


@profile(150)
@given(
    name=st.sampled_from([each.name for each in OWN_ACTIONS]) | TEXTS,
    members=some_of(list(MEMBERS_OF_ACTIONS)),
    by_message=st.booleans(),
)
def test_actions(name: str, members: dict[str, Any], *, by_message: bool) -> None:
    """As frames of their own, and as attributes of a message; the connection goes on."""
    if by_message:
        texts = {key: value for key, value in members.items() if isinstance(value, str)}
        attributes = {**texts, "greenroom:action": name}
        frame = {"Action": "SEND_MESSAGE", "Content": "", "Attributes": attributes}
    else:
        frame = {**members, "Action": name}

    frames = asyncio.run(answers(frame, BEHIND))
    assert frames[-1].get("Content") == "behind", frames
    assert all(each.get("ErrorCode", 400) < 500 for each in frames), frames
    assert all(NAMED.search(each["ErrorMessage"]) for each in frames if "ErrorCode" in each), frames


@profile(60)
@given(content=st.text(string.printable, max_size=60) | TEXTS)
def test_commands(content: str) -> None:
    """Whatever stands behind a slash; the connection goes on."""
    typed = {"Action": "SEND_MESSAGE", "Content": f"/{content}"}
    frames = asyncio.run(answers(typed, BEHIND))
    assert frames[-1].get("Content") == "behind", frames
    assert all(each.get("ErrorCode", 400) < 500 for each in frames), frames


@profile(300)
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from([*WISHES, "History", "other"]) | TEXTS,
            TEXTS | st.sampled_from(["200", "201", "-1", "on", "off", "Message00001"]),
        ),
        max_size=4,
    ),
    raw=st.binary(max_size=20),
    is_raw=st.booleans(),
)
def test_urls(asked: list[tuple[str, str]], raw: bytes, *, is_raw: bool) -> None:
    """Whatever stands behind the question mark is heard, passed over, or refused by its name."""
    query = raw if is_raw else urlencode(asked, errors="surrogatepass").encode()
    with contextlib.suppress(HandshakeRefused):
        assert asked_in(b"/?" + query).keys() <= set(WISHES)
        return
    with pytest.raises(HandshakeRefused, match=rf": ({'|'.join(WISHES)}) must be ") as refused:
        asked_in(b"/?" + query)
    assert refused.value.status == 400


@profile(100)
@given(
    tags=some_of(OWN_TAGS, TEXTS | LIKELY.map(json.dumps)),
    attributes=some_of(OWN_ATTRIBUTES, TEXTS | st.just("2026-01-31T12:00:00Z")),
)
def test_tags_and_attributes(tags: dict[str, str], attributes: dict[str, str]) -> None:
    """Of rooms, of tokens, and of who sends over HTTP."""

    async def call() -> list[int]:
        api = await Caller().listening()
        made = await api.call("CreateRoom", tags=tags)
        room = await api.created()
        asked = {"roomIdentifier": room, "userId": "bob"}
        sent: dict[str, Any] = {
            **asked,
            "content": "x",
            "attributes": tags,
            "senderAttributes": attributes,
        }
        answers = [
            made,
            await api.call("TagResource", resourceArn=room, tags=tags),
            await api.call("CreateChatToken", **asked, attributes=attributes),
            await api.call("SendMessage", **sent),
        ]
        return [each.status for each in answers]

    assert all(status in {200, 204, 400} for status in asyncio.run(call()))
