"""The Messaging API to general WebSocket clients: `websockets`, `websocket-client`, raw bytes."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import websocket
import websockets
import websockets.sync.client
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from tests.running.service import Service, running
from tests.running.tokens_of import short_session_token
from tests.running.wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    WebSocket,
    action,
    client_frame,
)

MESSAGE_ID = "abcDEF123456"
REQUEST_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"


@pytest.fixture
def arn(service: Service) -> str:
    """A room of the test's own, in which 100 messages a second are allowed."""
    return str(service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"])


@contextlib.asynccontextmanager
async def entered(
    service: Service, arn: str, user: str = "user", **options: Any
) -> AsyncIterator[ClientConnection]:
    """Connect with `websockets`."""
    async with opened(service, service.token(arn, user, **options)) as connection:
        yield connection


@contextlib.asynccontextmanager
async def opened(service: Service, token: str) -> AsyncIterator[ClientConnection]:
    """Connect with a token."""
    async with websockets.connect(
        service.websocket_url, subprotocols=[Subprotocol(token)], proxy=None
    ) as connection:
        yield connection


def raw(service: Service, arn: str, user: str = "user", **options: Any) -> WebSocket:
    """Connect with a socket that sends any bytes."""
    return WebSocket.connect(service, service.token(arn, user, **options))


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    """Return one frame as a client sends it, by default whole and masked."""
    first = opcode | 0x80 if final else opcode & 0x7F
    return client_frame(payload, first) if masked else client_frame(payload, first, None)


async def act(connection: ClientConnection, **members: object) -> None:
    """Send an action as compact JSON."""
    await connection.send(json.dumps(members, separators=(",", ":"), ensure_ascii=False))


async def entity(connection: ClientConnection) -> dict[str, Any]:
    """Return the next frame."""
    text = await connection.recv()
    assert isinstance(text, str)
    decoded: dict[str, Any] = json.loads(text)
    return decoded


async def still_serves(connection: ClientConnection) -> None:
    """Show that the connection goes on: what is sent next is what arrives next."""
    await act(connection, Action="SEND_MESSAGE", Content="still here")
    assert (await entity(connection))["Content"] == "still here"


# Every client


def test_synchronous_clients_chat(service: Service, arn: str) -> None:
    """`websockets` without asyncio and websocket-client see the same frames."""
    token = Subprotocol(service.token(arn, "alice"))
    bob = websocket.create_connection(
        service.websocket_url, subprotocols=[service.token(arn, "bob")]
    )
    with (
        contextlib.closing(bob),
        websockets.sync.client.connect(
            service.websocket_url, subprotocols=[token], proxy=None
        ) as alice,
    ):
        alice.send(json.dumps({"Action": "SEND_MESSAGE", "Content": "Grüße 🎉"}))
        by_alice, by_bob = alice.recv(), bob.recv()
        assert by_alice == by_bob
        assert json.loads(by_alice)["Content"] == "Grüße 🎉"
        bob.send(json.dumps({"Action": "DISCONNECT_USER", "UserId": "alice", "Reason": "bye"}))
        assert alice.recv() == bob.recv()
        with pytest.raises(websockets.ConnectionClosedOK) as closed:
            alice.recv()
        assert closed.value.rcvd == websockets.frames.Close(1000, "bye")


def test_websocket_client_sees_a_clean_close(service: Service, arn: str) -> None:
    """A kick ends in a close frame with code 1000 and the reason."""
    connection = websocket.create_connection(
        service.websocket_url, subprotocols=[service.token(arn, "troll")]
    )
    service.boto3().disconnect_user(roomIdentifier=arn, userId="troll", reason="rude")
    assert json.loads(connection.recv())["EventName"] == "aws:DISCONNECT_USER"
    opcode, data = connection.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert data == b"\x03\xe8rude"
    connection.shutdown()  # type: ignore[no-untyped-call]


# Frames to clients


_ID = "[A-Za-z0-9]{12}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"


def _matches(text: object, frame_text: str) -> bool:
    """Return whether a frame is this text, with any id for `<id>` and any time for `<time>`."""
    pattern = re.escape(frame_text).replace("<id>", _ID).replace("<time>", _TIME)
    return re.fullmatch(pattern, str(text)) is not None


async def test_a_message_has_its_members_in_order(service: Service, arn: str) -> None:
    """Every byte of a MESSAGE is as the real service sends it; attributes are sorted."""
    request = {
        "Action": "SEND_MESSAGE",
        "RequestId": REQUEST_ID,
        "Content": "ü",
        "Attributes": {"b": "2", "a": "1"},
    }
    async with entered(service, arn, "bob", attributes={"name": "B", "avatar": "x"}) as bob:
        await act(bob, **request)
        text = await bob.recv()
    assert _matches(
        text,
        f'{{"Type":"MESSAGE","Id":"<id>","RequestId":"{REQUEST_ID}",'
        '"Attributes":{"a":"1","b":"2"},"Content":"ü","SendTime":"<time>",'
        '"Sender":{"UserId":"bob","Attributes":{"avatar":"x","name":"B"}}}',
    )


async def test_a_bare_message_has_every_member(service: Service, arn: str) -> None:
    """What was not given is "", null or {}, never absent."""
    async with entered(service, arn, "bob") as bob:
        await act(bob, Action="SEND_MESSAGE", Content="hi")
        text = await bob.recv()
    assert _matches(
        text,
        '{"Type":"MESSAGE","Id":"<id>","RequestId":"","Attributes":null,"Content":"hi",'
        '"SendTime":"<time>","Sender":{"UserId":"bob","Attributes":{}}}',
    )


_DELETED = (
    '{"Type":"EVENT","Id":"<id>","RequestId":"<request>","EventName":"aws:DELETE_MESSAGE",'
    f'"Attributes":{{"MessageID":"{MESSAGE_ID}","MessageId":"{MESSAGE_ID}","Reason":"spam"}},'
    '"SendTime":"<time>"}'
)
_DISCONNECTED = (
    '{"Type":"EVENT","Id":"<id>","RequestId":"<request>","EventName":"aws:DISCONNECT_USER",'
    '"Attributes":{"Reason":"rude","UserId":"nobody"},"SendTime":"<time>"}'
)


async def test_events_look_alike_whoever_asked(service: Service, arn: str) -> None:
    """A deletion or kick over WebSocket and one over HTTP differ in RequestId alone."""
    api = service.boto3()
    deletion = {"Action": "DELETE_MESSAGE", "Id": MESSAGE_ID, "Reason": "spam"}
    kick = {"Action": "DISCONNECT_USER", "UserId": "nobody", "Reason": "rude"}
    async with entered(service, arn) as user:
        await act(user, RequestId=REQUEST_ID, **deletion)
        await act(user, RequestId=REQUEST_ID, **kick)
        asked_here = [await user.recv(), await user.recv()]
        api.delete_message(roomIdentifier=arn, id=MESSAGE_ID, reason="spam")
        api.disconnect_user(roomIdentifier=arn, userId="nobody", reason="rude")
        asked_there = [await user.recv(), await user.recv()]
    for texts, request_id in ((asked_here, REQUEST_ID), (asked_there, "")):
        for text, expected in zip(texts, (_DELETED, _DISCONNECTED), strict=True):
            assert _matches(text, expected.replace("<request>", request_id))


async def test_an_events_attributes_may_be_missing(service: Service, arn: str) -> None:
    """SendEvent without attributes gives null; the answer's id is the event's."""
    async with entered(service, arn) as user:
        answer = service.boto3().send_event(roomIdentifier=arn, eventName="app:x")
        received = await entity(user)
    assert received == {
        "Type": "EVENT",
        "Id": answer["id"],
        "RequestId": "",
        "EventName": "app:x",
        "Attributes": None,
        "SendTime": received["SendTime"],
    }


async def test_an_error_goes_to_its_sender_alone(service: Service, arn: str) -> None:
    """An ERROR has its members in order, the request's id and a numeric code."""
    async with (
        entered(service, arn, "alice", capabilities=[]) as alice,
        entered(service, arn, "bob") as bob,
    ):
        await act(alice, Action="SHOUT", RequestId=REQUEST_ID)
        text = await alice.recv()
        await still_serves(bob)
    error = (
        f'{{"Type":"ERROR","Id":"<id>","RequestId":"{REQUEST_ID}","ErrorCode":400,'
        '"ErrorMessage":"Action must be one of SEND_MESSAGE, DELETE_MESSAGE, DISCONNECT_USER"}'
    )
    assert _matches(text, error)


# Actions from clients


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"SEND_MESSAGE","content":"hi","attributes":{"Key":"v"}}',
        '{"ACTION":"SEND_MESSAGE","CONTENT":"hi","aTTributes":{"Key":"v"},"requestid":""}',
        '{\n  "Action": "SEND_MESSAGE",\n\t"Content": "hi",\r\n  "Attributes": {"Key": "v"}\n}\n',
        '{"id":"x","Extra":[1,{}],"Action":"SEND_MESSAGE","Content":"hi","Attributes":{"Key":"v"}}',
        '{"Action":"SEND_MESSAGE","Content":"\\u0068i","Attributes":{"Key":"v"},"RequestId":null}',
    ],
)
async def test_keys_match_in_any_case(service: Service, arn: str, text: str) -> None:
    """Any case of the keys and any spacing is understood; keys of attributes are kept."""
    async with entered(service, arn) as user:
        await user.send(text)
        received = await entity(user)
    assert (received["Content"], received["Attributes"]) == ("hi", {"Key": "v"})
    assert received["RequestId"] == ""


async def test_moderation_with_lower_case_keys(service: Service, arn: str) -> None:
    """The moderation of AWS's first applications works: lower-case keys, no RequestId."""
    async with entered(service, arn) as user:
        await act(user, action="DELETE_MESSAGE", reason="spam", id=MESSAGE_ID)
        await act(user, action="DISCONNECT_USER", userId="nobody", reason="rude")
        deleted, disconnected = await entity(user), await entity(user)
    assert deleted["Attributes"]["MessageId"] == MESSAGE_ID
    assert disconnected["Attributes"] == {"Reason": "rude", "UserId": "nobody"}
    assert deleted["RequestId"] == disconnected["RequestId"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{",
        "[]",
        "null",
        '"SEND_MESSAGE"',
        "{}",
        '{"Action":"SHOUT","Content":"hi"}',
        '{"Action":"send_message","Content":"hi"}',
        '{"Action":"SEND_MESSAGE"}',
        '{"Action":"SEND_MESSAGE","Content":7}',
        '{"Action":"SEND_MESSAGE","Content":"hi","Attributes":{"k":1}}',
        '{"Action":"SEND_MESSAGE","Content":"\\ud800"}',
        '{"Action":"DELETE_MESSAGE","Id":"short"}',
        '{"Action":"DISCONNECT_USER","UserId":""}',
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"Action":"SEND_MESSAGE","Content":NaN}',
        "[object Object]",
    ],
    ids=lambda text: text[:40],
)
async def test_what_cannot_be_understood_is_400(service: Service, arn: str, text: str) -> None:
    """A malformed action is answered with an ERROR, and the connection goes on."""
    async with entered(service, arn) as user:
        await user.send(text)
        error = await entity(user)
        assert (error["Type"], error["ErrorCode"], error["RequestId"]) == ("ERROR", 400, "")
        assert error["ErrorMessage"]
        await still_serves(user)


async def test_a_request_id_is_echoed(service: Service, arn: str) -> None:
    """The RequestId comes back on what the action led to, and on its refusal."""
    async with entered(service, arn, capabilities=["SEND_MESSAGE"]) as user:
        await act(user, Action="SEND_MESSAGE", Content="hi", RequestId=REQUEST_ID)
        assert (await entity(user))["RequestId"] == REQUEST_ID
        for code, refused in (
            (400, {"Action": "SEND_MESSAGE"}),
            (400, {"Action": "SHOUT"}),
            (403, {"Action": "DELETE_MESSAGE", "Id": MESSAGE_ID}),
            (413, {"Action": "SEND_MESSAGE", "Content": "x" * 501}),
        ):
            await act(user, RequestId=REQUEST_ID, **refused)
            error = await entity(user)
            assert (error["ErrorCode"], error["RequestId"]) == (code, REQUEST_ID)


_ACTIONS: dict[str, dict[str, str]] = {
    "SEND_MESSAGE": {"Content": "hi"},
    "DELETE_MESSAGE": {"Id": MESSAGE_ID},
    "DISCONNECT_USER": {"UserId": "nobody"},
}


@pytest.mark.parametrize("allowed", [*_ACTIONS, None])
async def test_each_action_needs_its_capability(
    service: Service, arn: str, allowed: str | None
) -> None:
    """A token's capabilities allow exactly the actions of their names."""
    capabilities = [] if allowed is None else [allowed]
    async with entered(service, arn, capabilities=capabilities) as user:
        for name, members in _ACTIONS.items():
            await act(user, Action=name, **members)
            received = await entity(user)
            if name == allowed:
                assert received["Type"] in {"MESSAGE", "EVENT"}
            else:
                assert received["ErrorCode"] == 403
                assert "Forbidden" in received["ErrorMessage"]


async def test_attributes_hold_one_kilobyte(service: Service, arn: str) -> None:
    """Keys and values have 1,024 bytes of UTF-8 together, not one more."""
    async with entered(service, arn) as user:
        for attributes in ({"k": "v" * 1023}, {"ü" * 256: "🎉" * 128}):
            await act(user, Action="SEND_MESSAGE", Content="", Attributes=attributes)
            assert (await entity(user))["Attributes"] == attributes
        for attributes in ({"k": "v" * 1024}, {"ü" * 256: "🎉" * 128 + "x"}):
            await act(user, Action="SEND_MESSAGE", Content="", Attributes=attributes)
            assert (await entity(user))["ErrorCode"] == 413


@pytest.mark.parametrize("character", ["x", "é", "漢", "🎉"])
async def test_length_is_counted_in_code_points(service: Service, arn: str, character: str) -> None:
    """The room's maximum counts code points, neither bytes nor UTF-16 units."""
    service.boto3().update_room(identifier=arn, maximumMessageLength=250)
    async with entered(service, arn) as user:
        await act(user, Action="SEND_MESSAGE", Content=character * 250)
        assert (await entity(user))["Content"] == character * 250
        await act(user, Action="SEND_MESSAGE", Content=character * 251)
        error = await entity(user)
    assert error["ErrorCode"] == 413
    assert error["ErrorMessage"] == "Message exceeds maximum length"


# Limits of rooms and connections


async def test_a_changed_length_applies_at_once(service: Service, arn: str) -> None:
    """UpdateRoom holds for connections that are open, from its answer on."""
    async with entered(service, arn) as user:
        for maximum in (5, 500, 1):
            service.boto3().update_room(identifier=arn, maximumMessageLength=maximum)
            await act(user, Action="SEND_MESSAGE", Content="x" * maximum)
            assert (await entity(user))["Type"] == "MESSAGE"
            await act(user, Action="SEND_MESSAGE", Content="x" * (maximum + 1))
            assert (await entity(user))["ErrorCode"] == 413


async def test_a_changed_rate_applies_at_once(service: Service, arn: str) -> None:
    """So does the rate: lowered, the next burst is cut; raised, it passes."""
    burst = b"".join(action(Action="SEND_MESSAGE", Content="x") for _ in range(4))
    api = service.boto3()
    with raw(service, arn) as user:
        api.update_room(identifier=arn, maximumMessageRatePerSecond=1)
        begun = time.monotonic()
        user.send(burst)
        received = [user.read_json()["Type"] for _ in range(4)]
        assert 1 <= received.count("MESSAGE") <= 1 + (time.monotonic() - begun)
        api.update_room(identifier=arn, maximumMessageRatePerSecond=100)
        await asyncio.sleep(0.05)  # in which the new rate allows five messages, the old one none
        user.send(burst)
        assert [user.read_json()["Type"] for _ in range(4)] == ["MESSAGE"] * 4


def test_a_connection_has_its_own_rate(service: Service, arn: str) -> None:
    """One connection makes ten requests a second, whatever the room allows."""
    with raw(service, arn) as user, raw(service, arn) as other:
        begun = time.monotonic()
        user.send(
            b"".join(
                action(Action="SEND_MESSAGE", Content="x", RequestId=str(number))
                for number in range(30)
            )
        )
        received = [user.read_json() for _ in range(30)]
        allowed = 10 + 10 * (time.monotonic() - begun)
        errors = [each for each in received if each["Type"] == "ERROR"]
        assert 10 <= 30 - len(errors) <= allowed
        assert {error["RequestId"] for error in errors}.isdisjoint(map(str, range(10)))
        assert {error["ErrorCode"] for error in errors} <= {429}
        assert {error["ErrorMessage"] for error in errors} <= {"rate limit exceeded"}
        other.send(action(Action="SEND_MESSAGE", Content="of the other"))
        assert user.read_json()["Content"] == "of the other"


def test_a_room_has_a_rate_for_all(service: Service) -> None:
    """Connections share what the room allows."""
    arn = service.boto3().create_room(maximumMessageRatePerSecond=3)["arn"]
    burst = b"".join(action(Action="SEND_MESSAGE", Content="x") for _ in range(3))
    with raw(service, arn) as alice, raw(service, arn) as bob:
        begun = time.monotonic()
        alice.send(burst)
        assert [alice.read_json()["Type"] for _ in range(3)] == ["MESSAGE"] * 3
        bob.send(burst * 2)
        received = [bob.read_json() for _ in range(9)]
        allowed = 3 + 3 * (time.monotonic() - begun)
    errors = [each for each in received if each["Type"] == "ERROR"]
    assert 9 - len(errors) <= allowed
    assert {error["ErrorCode"] for error in errors} <= {429}
    assert {error["ErrorMessage"] for error in errors} <= {"rate limit exceeded"}


async def test_a_deleted_room_answers_404(service: Service, arn: str) -> None:
    """Connections stay open when their room is deleted; nothing in it but moderating users goes."""
    async with entered(service, arn) as user:
        await still_serves(user)
        service.boto3().delete_room(identifier=arn)
        for name, members in _ACTIONS.items():
            if name == "DISCONNECT_USER":
                continue
            await act(user, Action=name, RequestId=REQUEST_ID, **members)
            error = await entity(user)
            assert (error["ErrorCode"], error["RequestId"]) == (404, REQUEST_ID)
        await (await user.ping())


# Order


async def test_everybody_sees_one_order(service: Service, arn: str) -> None:
    """Frames of a room arrive at all connections in the same order, those of a sender in its."""
    async with contextlib.AsyncExitStack() as stack:
        senders = [
            await stack.enter_async_context(entered(service, arn, name)) for name in ("a", "b")
        ]
        receivers = [
            await stack.enter_async_context(entered(service, arn, capabilities=[]))
            for _ in range(3)
        ]

        async def speak(sender: ClientConnection) -> None:
            for number in range(10):
                await act(sender, Action="SEND_MESSAGE", Content=str(number))

        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(speak(sender))
        seen = [[await entity(each) for _ in range(20)] for each in (*senders, *receivers)]
    assert all(other == seen[0] for other in seen)
    assert len({message["Id"] for message in seen[0]}) == 20
    for name in ("a", "b"):
        own = [each["Content"] for each in seen[0] if each["Sender"]["UserId"] == name]
        assert own == [str(number) for number in range(10)]


def test_messages_of_one_segment_are_answered_in_order(service: Service, arn: str) -> None:
    """Several frames that arrive together are each handled, in order, behind the upgrade too."""
    frames = [action(Action="SEND_MESSAGE", Content=str(number)) for number in range(4)]
    with WebSocket.connect(service, service.token(arn), behind=b"".join(frames)) as user:
        assert [user.read_json()["Content"] for _ in frames] == ["0", "1", "2", "3"]
        moderated = [action(Action="DELETE_MESSAGE", Id=f"{number:012}") for number in range(2)]
        user.send(frames[0] + moderated[0] + frames[1] + moderated[1] + frames[2])
        received = [user.read_json() for _ in range(5)]
    assert [each.get("Content") or each["Attributes"]["MessageId"] for each in received] == [
        "0",
        "0" * 12,
        "1",
        f"{1:012}",
        "2",
    ]


def test_a_frame_may_come_byte_by_byte(service: Service, arn: str) -> None:
    """Where the network cuts a frame does not matter."""
    with raw(service, arn) as user:
        for byte in action(Action="SEND_MESSAGE", Content="🎉"):
            user.send(bytes((byte,)))
        assert user.read_json()["Content"] == "🎉"


# WebSocket itself


async def test_fragments_make_one_message(service: Service, arn: str) -> None:
    """A message in fragments is one message, wherever they are cut."""
    async with entered(service, arn) as user:
        await user.send(['{"Action":"SEND_', 'MESSAGE","Cont', 'ent":"Grü', 'ße"}'])
        assert (await entity(user))["Content"] == "Grüße"
    whole = json.dumps({"Action": "SEND_MESSAGE", "Content": "🎉"}, ensure_ascii=False).encode()
    with raw(service, arn) as user_raw:
        user_raw.send(frame(TEXT, whole[:-4], final=False))  # within the emoji's bytes
        user_raw.send(frame(PING, b"in between"))
        assert user_raw.read_frame() == Frame(PONG, b"in between")
        user_raw.send(frame(0, whole[-4:]))
        assert user_raw.read_json()["Content"] == "🎉"


async def test_pings_are_answered(service: Service, arn: str) -> None:
    """A ping is answered with its payload, pongs that nobody asked for are ignored."""
    async with entered(service, arn) as user:
        await (await user.ping(b"x" * 125))
        await user.pong(b"unasked")
        await still_serves(user)


def test_64_kilobytes_are_the_limit(service: Service, arn: str) -> None:
    """A message of 65,536 bytes is taken, whole or in fragments; one more byte closes with 1009."""
    text = json.dumps({"Action": "SEND_MESSAGE", "Content": "hi"}).encode()
    largest = text.ljust(65_536)
    with raw(service, arn) as user:
        user.send(frame(TEXT, largest))
        assert user.read_json()["Content"] == "hi"
        user.send(frame(TEXT, largest[:40_000], final=False) + frame(0, largest[40_000:]))
        assert user.read_json()["Content"] == "hi"
        user.send(frame(TEXT, largest + b" "))
        code, reason = user.read_close()
    assert code == 1009
    assert "65536" in reason
    with raw(service, arn) as user:
        user.send(frame(TEXT, largest, final=False) + frame(0, b" "))
        assert user.read_close()[0] == 1009


def test_a_much_larger_message_closes_cleanly_too(service: Service, arn: str) -> None:
    """What a client sends on is read and thrown away, so that the close frame reaches it."""
    with raw(service, arn) as user:
        user.send(frame(TEXT, b"x" * 4_000_000))
        assert user.read_close()[0] == 1009


_FAULTS: dict[str, tuple[bytes, int]] = {
    "binary": (frame(BINARY, b"{}"), 1003),
    "binary in fragments": (frame(BINARY, b"{", final=False) + frame(0, b"}"), 1003),
    "not masked": (frame(TEXT, b"{}", masked=False), 1002),
    "invalid UTF-8": (frame(TEXT, b'{"Action":"\xff"}'), 1007),
    "invalid UTF-8 over fragments": (frame(TEXT, b"\xc3", final=False) + frame(0, b"("), 1007),
    "unknown opcode": (frame(0x3, b""), 1002),
    "reserved bit": (bytes((0xC1,)) + frame(TEXT, b"{}")[1:], 1002),
    "fragmented ping": (frame(PING, b"", final=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(0, b"{}"), 1002),
    "message within a message": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
    "close code 1005": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "close of one byte": (frame(CLOSE, b"x"), 1002),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_broken_protocol_is_closed_with_its_code(service: Service, arn: str, fault: str) -> None:
    """What RFC 6455 forbids ends this connection, and no other in the room."""
    data, expected = _FAULTS[fault]
    with raw(service, arn) as bystander, raw(service, arn) as user:
        user.send(action(Action="SEND_MESSAGE", Content="before"))
        assert user.read_json()["Content"] == bystander.read_json()["Content"] == "before"
        user.send(data)
        code, reason = user.read_close()
        assert code == expected
        assert reason
        bystander.send(action(Action="SEND_MESSAGE", Content="after"))
        assert bystander.read_json()["Content"] == "after"


@pytest.mark.parametrize("code", [1000, 1001, 4321])
async def test_a_clients_close_is_answered(service: Service, arn: str, code: int) -> None:
    """The closing handshake is finished with the client's own code."""
    async with entered(service, arn) as user:
        await user.close(code, "Work complete")
        assert user.close_code == code


# Ends


async def test_an_expired_session_is_told_and_closed(service: Service, arn: str) -> None:
    """An ERROR with "expired" comes first, then a clean close whose reason is that ERROR."""
    async with opened(service, short_session_token(service, arn, "alice", 1)) as user:
        text = await user.recv()
        error = json.loads(text)
        assert (error["Type"], error["ErrorCode"], error["RequestId"]) == ("ERROR", 401, "")
        assert "expired" in error["ErrorMessage"]
        with pytest.raises(websockets.ConnectionClosedOK) as closed:
            await user.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    assert closed.value.rcvd.reason == text


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("rude", "rude"), ("ü" * 256, "ü" * 61), (None, None)],
    ids=["short", "long", "none"],
)
async def test_a_kick_is_seen_before_the_close(
    service: Service, arn: str, reason: str | None, shown: str | None
) -> None:
    """The kicked see the event, then the reason as plain text, as much of it as fits."""
    optional = {} if reason is None else {"reason": reason}
    async with entered(service, arn, "troll") as troll, entered(service, arn, "troll") as second:
        service.boto3().disconnect_user(roomIdentifier=arn, userId="troll", **optional)
        for instance in (troll, second):
            event = await entity(instance)
            assert event["Attributes"].get("Reason") == reason
            with pytest.raises(websockets.ConnectionClosedOK) as closed:
                await instance.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000
            if shown is not None:
                assert closed.value.rcvd.reason == shown


@pytest.fixture(scope="module")
def pinging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that pings every second."""
    data_dir = tmp_path_factory.mktemp("pinging") / "data"
    with running(data_dir, GREENROOM_PING_INTERVAL_SECONDS="1") as service:
        yield service


async def test_peers_are_pinged_and_the_silent_dropped(pinging: Service) -> None:
    """Who answers pings stays; who leaves two in a row unanswered is dropped."""
    arn = pinging.boto3().create_room()["arn"]
    token = pinging.token(arn, "answering")

    def answer() -> list[tuple[int, bytes]]:
        answering = websocket.create_connection(pinging.websocket_url, subprotocols=[token])
        with contextlib.closing(answering):
            # It answers pings by itself while it receives.
            return [answering.recv_data(control_frame=True) for _ in range(5)]

    def be_silent() -> list[Frame]:
        with raw(pinging, arn, "silent") as silent:
            return silent.read_frames()

    pings, before_the_drop = await asyncio.gather(
        asyncio.to_thread(answer), asyncio.to_thread(be_silent)
    )
    assert [opcode | 0x80 for opcode, _ in pings] == [PING] * 5
    assert before_the_drop == [Frame(PING, b"")] * len(before_the_drop)
    assert len(before_the_drop) >= 2


def test_the_time_of_a_message_is_now(service: Service, arn: str) -> None:
    """SendTime is the service's clock, and rises with every message."""
    before = time.time()
    with raw(service, arn) as user:
        user.send(b"".join(action(Action="SEND_MESSAGE", Content="x") for _ in range(5)))
        times = [_nanoseconds(user.read_json()["SendTime"]) for _ in range(5)]
    assert times == sorted(set(times))
    assert before * 1e9 - 1e6 <= times[0] <= times[-1] <= time.time_ns()


def _nanoseconds(text: str) -> int:
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = int(time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) - time.timezone)
    return whole * 1_000_000_000 + int(fraction.ljust(9, "0"))
