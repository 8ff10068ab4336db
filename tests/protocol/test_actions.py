"""Actions: what clients send is understood or refused by name, never a surprise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.model.chat_token import IVS_CAPABILITIES
from greenroom.protocol import actions
from greenroom.protocol.actions import (
    Action,
    DeleteMessage,
    DisconnectUser,
    SendMessage,
    decode,
)
from greenroom.protocol.errors import ActionError
from greenroom.protocol.own_actions import OwnAction

FIXTURES = json.loads((Path(__file__).parents[1] / "parity/messaging_actions.json").read_text())
ACTIONS: dict[str, type[SendMessage] | type[DeleteMessage] | type[DisconnectUser]] = {
    "SEND_MESSAGE": SendMessage,
    "DELETE_MESSAGE": DeleteMessage,
    "DISCONNECT_USER": DisconnectUser,
}
ID = "M2YcHkgffEvU"


def frame(**members: object) -> bytes:
    """Return the members as a frame's text."""
    return json.dumps(members).encode()


def send(**members: object) -> bytes:
    """Return a SEND_MESSAGE, changed by the members."""
    return frame(**{"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": "r", **members})


def refused(text: bytes) -> ActionError:
    """Return the refusal."""
    with pytest.raises(ActionError) as raised:
        decode(text)
    return raised.value


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture["source"][:60])
def test_frames_of_real_clients(fixture: dict[str, Any]) -> None:
    """What published clients send is understood as they mean it."""
    action = decode(fixture["frame"].encode())
    assert isinstance(action, ACTIONS[fixture["action"]])
    assert msgspec.structs.asdict(action).items() >= fixture["members"].items()


def test_capabilities() -> None:
    """Each action names the capability that allows it, which has its name."""
    assert {name: action.capability for name, action in ACTIONS.items()} == {
        capability.value: capability for capability in IVS_CAPABILITIES
    }


def test_optional_members() -> None:
    """What is not sent is absent: no attributes, no reason, an empty request id."""
    assert decode(frame(Action="SEND_MESSAGE", Content="")) == SendMessage("", None, "")
    assert decode(frame(Action="DELETE_MESSAGE", Id=ID)) == DeleteMessage(ID, None, "")
    assert decode(frame(Action="DISCONNECT_USER", UserId="u")) == DisconnectUser("u", None, "")


def test_null_is_absent() -> None:
    """A null member counts as not sent."""
    assert decode(send(Attributes=None, RequestId=None)) == SendMessage("hi", None, "")
    assert decode(frame(Action="DELETE_MESSAGE", Id=ID, Reason=None)) == DeleteMessage(ID)
    assert refused(send(Content=None)).message == "Content is required"
    assert refused(send(Action=None)).message == "Action is required"


def test_empty_reason_is_absent() -> None:
    """An empty reason counts as none."""
    assert decode(frame(Action="DELETE_MESSAGE", Id=ID, Reason="")) == DeleteMessage(ID)
    assert decode(frame(Action="DISCONNECT_USER", UserId="u", Reason="")) == DisconnectUser("u")


def test_last_spelling_counts_in_moderation() -> None:
    """So it is in every action, with keys as the SDKs write them and with others after them."""
    twice = b'{"Action":"DELETE_MESSAGE","Id":"%b","id":"%b"}' % (b"a" * 12, b"b" * 12)
    assert decode(twice) == DeleteMessage("b" * 12)
    assert decode(b'{"Action":"DISCONNECT_USER","UserId":"a","userid":"b"}') == DisconnectUser("b")


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, str.swapcase])
def test_keys_match_in_any_case(spell: type[str]) -> None:
    """The case of a key does not matter; keys within Attributes are kept as they are."""
    attributes = {"Content": "a", "content": "b", "ACTION": "c"}
    members = {"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": "r"}
    text = frame(
        **{spell(key): value for key, value in members.items()}, **{spell("Attributes"): attributes}
    )
    assert decode(text) == SendMessage("hi", attributes, "r")


@pytest.mark.parametrize(
    "text",
    [
        b'{"Action":"SEND_MESSAGE","Content":"a","content":"b"}',
        b'{"Action":"SEND_MESSAGE","Content":"a","Content":"b"}',
        b'{"Action":"SEND_MESSAGE","content":"x","Content":"a","content":"b"}',
        b'{"Action":"SEND_MESSAGE","CONTENT":null,"content":"a","Content":"b"}',
        b'{"Action":"DELETE_MESSAGE","action":"SEND_MESSAGE","Content":"b"}',
        b'{"Action":"DELETE_MESSAGE","Content":"b","Action":"SEND_MESSAGE"}',
    ],
)
def test_last_spelling_counts(text: bytes) -> None:
    """Of several members that differ in case only, or not at all, the last one counts."""
    assert decode(text) == SendMessage("b")


def test_unknown_members_are_ignored() -> None:
    """Members that an action does not have are ignored, whatever they hold."""
    values: list[object] = [1, None, "x", {"Action": "x"}, [[]], 1e300, 10**300]
    for value in values:
        assert decode(send(id=value, Type=value)) == SendMessage("hi", None, "r")
    long_number = b'{"Action":"SEND_MESSAGE","Content":"b","n":%b}' % (b"1" * 50_000)
    assert decode(long_number) == SendMessage("b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "JSON"),
        (b"hello", "JSON"),
        (b"[object Object]", "JSON"),
        (b"{", "JSON"),
        (b"{}{}", "JSON"),
        (b'{"Action":"SEND_MESSAGE","Content":NaN}', "JSON"),
        (b'{"Action":"SEND_MESSAGE","Content":Infinity}', "JSON"),
        (b'{"Action":"SEND_MESSAGE","Content":"a",}', "JSON"),
        (b"{'Action':'SEND_MESSAGE','Content':'a'}", "JSON"),
        (b'{"Action":"SEND_MESSAGE","Content":"\n"}', "JSON"),
        (b'\xef\xbb\xbf{"Action":"SEND_MESSAGE","Content":"a"}', "JSON"),
        (b'{"Action":"SEND_MESSAGE","Content":"\xff"}', "JSON"),
        ('{"Action":"SEND_MESSAGE","Content":"a"}'.encode("utf-16"), "JSON"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"1", "object"),
        (b"[" * 60_000, "JSON"),
        (b"[" * 30_000 + b"]" * 30_000, "JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "JSON"),
        (b"{}", "Action is required"),
    ],
)
def test_not_a_frame(text: bytes, message: str) -> None:
    """What is not a JSON object with an action is refused with 400, however deep it is."""
    error = refused(text)
    assert error.code == 400
    assert message in error.message
    assert error.request_id == ""


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"Action": "send_message"}, 400, "Action must be one of"),
        ({"Action": "SEND_MESSAGE "}, 400, "Action must be one of"),
        ({"Action": ""}, 400, "Action must be one of"),
        ({"Action": 1}, 400, "Action must be a string"),
        ({"Action": ["SEND_MESSAGE"]}, 400, "Action must be a string"),
        ({"Content": 1}, 400, "Content must be a string"),
        ({"Content": True}, 400, "Content must be a string"),
        ({"Content": {}}, 400, "Content must be a string"),
        ({"Attributes": "x"}, 400, "Attributes must be an object"),
        ({"Attributes": []}, 400, "Attributes must be an object"),
        ({"Attributes": {"a": 1}}, 400, "Attributes: every value must be a string"),
        ({"Attributes": {"a": None}}, 400, "Attributes: every value must be a string"),
        ({"Attributes": {"a": {}}}, 400, "Attributes: every value must be a string"),
        ({"Attributes": {"a": "x" * 1024}}, 413, "Attributes: at most 1024 bytes"),
        ({"Attributes": {"é" * 256: "é" * 256, "a": ""}}, 413, "Attributes: at most 1024 bytes"),
        ({"Action": "DELETE_MESSAGE"}, 400, "Id is required"),
        ({"Action": "DELETE_MESSAGE", "Id": 1}, 400, "Id must be a string"),
        ({"Action": "DELETE_MESSAGE", "Id": ""}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID[:11]}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID + "a"}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID + "\n"}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID[:11] + "-"}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID[:11] + "é"}, 400, "Id must be 12"),
        ({"Action": "DELETE_MESSAGE", "Id": ID, "Reason": 1}, 400, "Reason must be a string"),
        ({"Action": "DELETE_MESSAGE", "Id": ID, "Reason": "x" * 257}, 413, "Reason: at most 256"),
        ({"Action": "DISCONNECT_USER"}, 400, "UserId is required"),
        ({"Action": "DISCONNECT_USER", "UserId": ""}, 400, "UserId must not be empty"),
        ({"Action": "DISCONNECT_USER", "UserId": "x" * 129}, 413, "UserId: at most 128"),
        ({"Action": "DISCONNECT_USER", "UserId": 1}, 400, "UserId must be a string"),
        ({"Action": "DISCONNECT_USER", "UserId": "u", "Reason": []}, 400, "Reason must be a"),
        ({"Action": "DISCONNECT_USER", "UserId": "u", "Reason": "x" * 257}, 413, "Reason: at"),
    ],
)
def test_refusals(members: dict[str, object], code: int, message: str) -> None:
    """A refusal names the member and the rule and carries the request id."""
    for text in (send(**members), send(**{key.lower(): value for key, value in members.items()})):
        error = refused(text)
        assert error.code == code
        assert error.message.startswith(message)
        assert error.request_id == "r"


def test_limits_are_inclusive() -> None:
    """What is exactly as large as allowed passes: characters, not bytes, except attributes."""
    longest = send(RequestId="🎉" * 256, Attributes={"é" * 256: "é" * 256})
    assert decode(longest).request_id == "🎉" * 256
    assert decode(frame(Action="DELETE_MESSAGE", Id=ID, Reason="🎉" * 256)).request_id == ""
    assert decode(frame(Action="DISCONNECT_USER", UserId="🎉" * 128)) == DisconnectUser("🎉" * 128)
    # The same, not in the spelling of the SDKs.
    assert decode(frame(action="DELETE_MESSAGE", id=ID, reason="🎉" * 256)) == DeleteMessage(
        ID, "🎉" * 256
    )


def test_request_id() -> None:
    """A request id that is too long is refused and echoed; one that is no string is not."""
    error = refused(send(RequestId="x" * 257))
    assert (error.code, error.request_id) == (413, "x" * 257)
    assert "RequestId" in error.message
    values: list[object] = [1, True, {}, ["r"]]
    for value in values:
        error = refused(send(RequestId=value))
        assert (error.code, error.request_id) == (400, "")
        assert error.message == "RequestId must be a string"


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"Content": "cut in half: \ud83c"}, "Content"),
        ({"Content": "\udf89"}, "Content"),
        ({"Attributes": {"a": "\ud83c"}}, "Attributes"),
        ({"Attributes": {"\ud83c": "a"}}, "Attributes"),
        ({"Action": "\ud83c"}, "Action"),
        ({"Action": "DELETE_MESSAGE", "Id": "\ud83c"}, "Id"),
        ({"Action": "DISCONNECT_USER", "UserId": "\ud83c"}, "UserId"),
        ({"Action": "DISCONNECT_USER", "UserId": "u", "Reason": "\ud83c"}, "Reason"),
    ],
)
def test_half_surrogate_pairs(members: dict[str, object], name: str) -> None:
    """Half of a surrogate pair never passes, and its sender learns which member holds it.

    JavaScript sends it for a string that was cut in the middle of an emoji.
    """
    error = refused(send(**members))
    assert error.code == 400
    assert error.message.startswith(f"{name} must not hold half")
    assert error.request_id == "r"
    error = refused(send(RequestId="\ud83c"))
    assert (error.message[:9], error.request_id) == ("RequestId", "")


def test_whole_surrogate_pairs() -> None:
    """An escaped pair is one character."""
    assert decode(b'{"Action":"SEND_MESSAGE","Content":"\\ud83c\\udf89"}') == SendMessage("🎉")


def test_half_a_pair_where_nobody_looks() -> None:
    """Half a pair in a member that is ignored harms nobody."""
    assert decode(send(other="\ud83c", **{"\ud83c": 1})) == SendMessage("hi", None, "r")


def test_content_is_not_echoed() -> None:
    """No refusal repeats content."""
    for text in (
        send(Content="secret \ud83c"),
        b'secret{"Content":"secret"',
        send(Action="secret"),
    ):
        error = refused(text)
        assert "secret" not in error.message
        assert error.__suppress_context__ or error.__context__ is None


NAMES = ["Action", "Content", "RequestId", "Attributes", "Id", "UserId", "Reason", "other"]
keys = st.sampled_from([*NAMES, *map(str.lower, NAMES), "Reque\u017ftId", "\u212aey"])
strings = st.sampled_from(["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER", ID, "", "é"])
strings |= st.text(max_size=300)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
members_lists = st.lists(st.tuples(keys, strings | values), max_size=8)


def write(members: list[tuple[str, object]]) -> bytes:
    """Return the members as an object in their order, repeated keys included."""
    return b"{%b}" % b",".join(
        json.dumps(key).encode() + b":" + json.dumps(value).encode() for key, value in members
    )


Outcome = Action | OwnAction | tuple[int, str]


def outcome(text: bytes, read: Callable[[bytes], Action | OwnAction] = decode) -> Outcome:
    """Return the action, or the code and request id of the refusal; both can be encoded."""
    result: Outcome
    try:
        result = read(text)
    except ActionError as error:
        result = error.code, error.request_id
        error.message.encode()
    msgspec.json.encode(result)
    assert not isinstance(result, tuple) or result[0] in {400, 413}
    return result


@settings(max_examples=300)
@given(st.binary(max_size=300))
@example(b"\x00")
@example(b'{"Action":"SEND_MESSAGE","Content":"\\u0000"}')
def test_random_bytes(data: bytes) -> None:
    """Random bytes are an action or an ActionError."""
    outcome(data)


@settings(max_examples=300)
@given(members_lists)
def test_both_readers_agree(members: list[tuple[str, object]]) -> None:
    """Random members are an action or an ActionError that can be encoded.

    The quick reader of the SDKs' spelling and the lenient one understand the same.
    """
    text = write(members)
    assert outcome(text) == outcome(text, actions._decode_leniently)


@settings(max_examples=300)
@given(st.sampled_from(FIXTURES), st.integers(0, 2**10), st.integers(0, 5), st.binary(max_size=5))
def test_mutated_frames(fixture: dict[str, str], start: int, removed: int, added: bytes) -> None:
    """A real frame with bytes changed, taken out or put in is an action or an ActionError."""
    text = fixture["frame"].encode()
    start %= len(text) + 1
    outcome(text[:start] + added + text[start + removed :])


@pytest.mark.parametrize("key", ["Action", "action"])
def test_nobody_forges_what_the_service_says(key: str) -> None:
    """Attributes of ours go, in a frame of any form; those that clients may set stay."""
    frame = {
        key: "SEND_MESSAGE",
        "Content": "hi",
        "Attributes": {
            "greenroom:announcement": "INFO",
            "greenroom:reply-to": "M2YcHkgffEvU",
            "name": "x",
        },
    }
    action = decode(json.dumps(frame).encode())
    assert isinstance(action, SendMessage)
    assert action.attributes == {"greenroom:reply-to": "M2YcHkgffEvU", "name": "x"}
    frame["Attributes"] = {"greenroom:announcement": "INFO"}
    assert decode(json.dumps(frame).encode()) == SendMessage("hi")
