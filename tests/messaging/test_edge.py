"""One WebSocket connection: upgrade, actions, events, and every way in which it ends.

Covers: greenroom.messaging.edge_services, greenroom.messaging.upgrading
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
import uvloop
from structlog.testing import capture_logs

from greenroom.bus.base import RoomChanged
from greenroom.chat.outcome import Placed
from greenroom.messaging import edge as module
from greenroom.messaging import edge_services
from greenroom.messaging import fanout as fanout_module
from greenroom.messaging.edge import FRAMES_AT_ONCE, Edge, State
from greenroom.messaging.resumes import Place
from greenroom.messaging.sockets import NO_SOCKET
from greenroom.model.errors import (
    InternalServerException,
    PendingVerification,
    ServiceUnavailableException,
)
from greenroom.network import addresses
from greenroom.protocol.client_frames import encode_frame
from greenroom.protocol.errors import ActionError, DisconnectReason
from greenroom.protocol.frames import text_frame
from greenroom.protocol.handshake import Refusal
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.stage import (
    LIMITS,
    PING,
    ROOM,
    UPGRADE,
    Transport,
    action,
    claims_of,
    client_frame,
    frames_of,
    settle,
    stage,
    texts,
    token,
)

HERE = str(ROOM)
QUICK = msgspec.structs.replace(LIMITS, close_seconds=0)
CLOSED = b"\x88"


def refused(transport: Transport) -> tuple[int, dict[str, Any]]:
    """Return the one HTTP answer's status and body; the socket must be closed behind it."""
    (answer,) = transport.take()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert transport.closed
    assert re.search(rb"\r\nDate: \w{3}, [\w ]+ [\d:]{8} GMT$", head)
    return int(head.split()[1]), msgspec.json.decode(body)


def close_of(transport: Transport) -> tuple[int, str]:
    """Return code and reason of the close frame, which is the last thing written."""
    first, payload = frames_of(transport.take())[-1]
    assert first == 0x88
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def ended(logs: list[Any]) -> list[str]:
    """Return the reasons with which connections ended, as logged."""
    return [entry["reason"] for entry in logs if entry["event"] == "connection ended"]


# ------------------------------------------------------------------------------------- upgrade


async def test_upgrade() -> None:
    """A good token is accepted as the subprotocol; then the connection is in its room."""
    text = token()
    async with stage() as made:
        _, transport = made.begin(text)
        await settle()
        (answer,), edge = transport.take(), transport.protocol
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert f"Sec-WebSocket-Protocol: {text}\r\n".encode() in answer
        assert (edge.user_id, made.hub.connections) == ("ann", 1)
        value = made.metrics.registry.get_sample_value
        assert value("greenroom_handshake_seconds_count") == 1
        assert 0 <= (value("greenroom_handshake_seconds_sum") or 0) < 60
        assert (transport.is_reading(), transport.high) == (True, 0)


async def test_bytes_behind_the_upgrade_are_not_lost() -> None:
    """Actions that come before the 101, in the same read or in later ones, follow it."""
    frame = action(RequestId="2")
    async with stage() as made:
        edge, transport = made.begin(token(), early=action(RequestId="1") + frame[:5])
        edge.data_received(frame[5:])
        assert not transport.is_reading(), "who says so much is not read from before the answer"
        edge.data_received(action(RequestId="3"))
        assert transport.written == []
        await settle()
        answer, *rest = transport.take()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert [each["RequestId"] for each in texts(rest)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("method", "text", "status"),
    [(b"POST", "x", 400), (b"GET", None, 401), (b"GET", "malformed", 400), (b"GET", "a.b", 400)],
)
async def test_refused_upgrades(method: bytes, text: str | None, status: int) -> None:
    """A refusal is an HTTP answer whose body is an ERROR; then the socket closes."""
    async with stage() as made:
        with capture_logs() as logs:
            _, transport = made.begin(text, method=method)
        answered, body = refused(transport)
        assert (answered, body["Type"], body["ErrorCode"]) == (status, "ERROR", status)
        assert made.hub.connections == 0
        assert [entry["status"] for entry in logs] == [status]


async def test_a_crash_in_the_upgrade_is_answered() -> None:
    """Whatever fails, the client gets a 500 without details, and the node lives on."""
    async with stage() as made:
        made.store.error = ValueError("the store's own business")
        _, transport = made.begin(token())
        with capture_logs() as logs:
            await settle()
        status, body = refused(transport)
        assert (status, body["ErrorMessage"]) == (500, "Internal server error")
        assert "business" not in str(logs)
        made.store.error = None
        await made.connect()


async def test_upgrade_takes_too_long() -> None:
    """An upgrade that is not decided in time is a 503; a late decision changes nothing."""
    async with stage(QUICK, handshake_seconds=0) as made:
        made.store.gate.clear()
        edge, transport = made.begin(token())
        await settle(20)
        assert refused(transport)[0] == 503
        made.store.gate.set()
        await settle()
        edge.connection_lost(None)
        assert (transport.written, made.hub.connections) == ([], 0)


async def test_a_refusal_that_nobody_takes() -> None:
    """It is not waited for long, and the log says where it went; only that time runs."""
    for limits in (LIMITS, QUICK):
        async with stage(limits) as made:
            with capture_logs() as logs:
                upgrading, transport = made.begin("x", peer=addresses.packed("192.0.2.1"))
                assert len(made.deadlines) == 1
                await settle(20)
            assert transport.aborted is (limits is QUICK)
            assert refused(transport)[0] == 400
            (line,) = [each for each in logs if each["event"] == "handshake refused"]
            assert line["address"] == "192.0.2.1"
            upgrading.connection_lost(None)
            assert len(made.deadlines) == 0


async def test_client_leaves_during_the_upgrade() -> None:
    """A socket that is lost before the answer is neither written to nor joined to the room."""
    async with stage() as made:
        made.store.gate.clear()
        edge, transport = made.begin(token())
        await settle()
        edge.connection_lost(ConnectionResetError())
        made.store.gate.set()
        await settle()
        assert (transport.written, made.hub.connections) == ([], 0)
        assert not made.deadlines


# ------------------------------------------------------------------------------------- actions


async def test_message_reaches_the_room() -> None:
    """Everybody gets the message, its sender included, in one write."""
    async with stage() as made:
        ann, to_ann = await made.connect(attributes={"name": "Ann"})
        _, to_bob = await made.connect("bob")
        ann.data_received(action(Content="hello", RequestId="r1"))
        await settle()
        assert to_ann.written == to_bob.written
        (message,) = texts(to_bob.take())
        assert message["Content"] == "hello"
        assert message["RequestId"] == "r1"
        assert message["Sender"] == {"UserId": "ann", "Attributes": {"name": "Ann"}}


async def test_actions_wait_for_one_another() -> None:
    """While one action waits for its room nothing is read, and all are handled in order."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.rooms.forget(HERE)
        made.store.gate.clear()
        frames = [action(RequestId=str(number)) for number in range(4)]
        edge.data_received(frames[0] + frames[1] + frames[2][:7])
        await settle()
        assert not transport.is_reading()
        edge.data_received(frames[2][7:] + client_frame(b"p", 0x89))
        edge.data_received(frames[3])
        assert transport.written == []
        made.store.gate.set()
        await settle()
        assert transport.is_reading()
        pongs = [payload for first, payload in frames_of(transport.written) if first == 0x8A]
        assert pongs == [b"p"]
        messages = [each for each in frames_of(transport.take()) if each[0] == 0x81]
        ids = [msgspec.json.decode(payload)["RequestId"] for _, payload in messages]
        assert ids == ["0", "1", "2", "3"]


async def test_nothing_overtakes_an_action_that_waits() -> None:
    """What comes meanwhile is kept as it came, and a client that is gone is not read from."""
    for lost in (False, True):
        async with stage() as made:
            edge, transport = await made.connect()
            made.rooms.forget(HERE)
            made.store.gate.clear()
            edge.data_received(action() + client_frame(b"\x03\xe8", 0x88))
            edge.data_received(client_frame(b"p", 0x89))
            await settle()
            assert transport.written == []
            if lost:
                edge.connection_lost(None)
            made.store.gate.set()
            await settle()
            written = [first for first, _ in frames_of(transport.take())]
            assert written == ([] if lost else [0x88])
            assert not transport.is_reading()
            assert (edge._timer is None) is lost
            edge.connection_lost(None)


async def test_reading_pauses_for_each_action_that_waits() -> None:
    """Two waiting actions of one read are waited for one after the other."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.data_received(
            action("DELETE_MESSAGE", Id="a" * 12, RequestId="1")
            + action("DISCONNECT_USER", UserId="bob", RequestId="2")
            + action(RequestId="3")
        )
        assert not transport.is_reading()
        await settle(30)
        assert transport.is_reading()
        seen = [(each["RequestId"], each["Type"]) for each in texts(transport.take())]
        assert seen == [("1", "EVENT"), ("2", "EVENT"), ("3", "MESSAGE")]


@pytest.mark.parametrize(
    ("frame", "code", "request_id"),
    [
        (client_frame(b"{"), 400, ""),
        (action("NO_ACTION", RequestId="r"), 400, "r"),
        (action(Content="x" * 501, RequestId="r"), 413, "r"),
        (action("DISCONNECT_USER", UserId="bob", RequestId="r"), 403, "r"),
    ],
    ids=["malformed", "unknown", "too-long", "forbidden"],
)
async def test_refused_actions(frame: bytes, code: int, request_id: str) -> None:
    """A refusal is an ERROR with an Id of its own, to the sender only; the connection goes on."""
    async with stage() as made:
        edge, transport = await made.connect(capabilities=("SEND_MESSAGE",))
        _, other = await made.connect("bob")
        edge.data_received(frame + frame)
        await settle()
        errors = texts(transport.take())
        assert [each["ErrorCode"] for each in errors] == [code, code]
        assert {each["RequestId"] for each in errors} == {request_id}
        assert len({each["Id"] for each in errors}) == 2
        assert other.written == []
        edge.data_received(action())
        await settle()
        assert [each["Type"] for each in texts(transport.take())] == ["MESSAGE"]


@pytest.mark.parametrize("known", [True, False], ids=["cached", "loaded"])
async def test_deleted_room(known: bool) -> None:
    """Connections outlive their room; publishing on them answers 404."""
    async with stage() as made:
        edge, transport = await made.connect()
        await made.store.rooms.delete(ROOM)
        made.bus.broadcast(RoomChanged(HERE))
        if known:
            with pytest.raises(Exception, match="not found"):
                await made.rooms.get(HERE)
        for frame in (action(RequestId="1"), action("DELETE_MESSAGE", Id="a" * 12, RequestId="2")):
            edge.data_received(frame)
            await settle()
        errors = texts(transport.take())
        assert [(each["ErrorCode"], each["RequestId"]) for each in errors] == [
            (404, "1"),
            (404, "2"),
        ]
        assert {each["ErrorMessage"] for each in errors} == {"The room cannot be found"}
        assert made.hub.connections == 1


async def test_rate_of_a_connection() -> None:
    """Above its rate a connection is told so, each time with the request's id."""
    async with stage(messaging_requests_per_connection=2) as made:
        edge, transport = await made.connect()
        edge.data_received(b"".join(action(RequestId=str(number)) for number in range(4)))
        await settle()
        errors = [each for each in texts(transport.take()) if each["Type"] == "ERROR"]
        assert [(each["RequestId"], each["ErrorCode"]) for each in errors] == [
            ("2", 429),
            ("3", 429),
        ]
        made.time.advance(1)
        edge.data_received(action())
        await settle()
        assert [each["Type"] for each in texts(transport.take())] == ["MESSAGE"]


async def test_storage_unavailable() -> None:
    """When the store cannot answer, the sender gets a 500 that says nothing of the store."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.rooms.forget(HERE)
        made.store.error = StorageUnavailable("/var/lib is full")
        edge.data_received(action(RequestId="r"))
        await settle()
        (error,) = texts(transport.take())
        assert (error["ErrorCode"], error["RequestId"]) == (500, "r")
        assert "/var" not in error["ErrorMessage"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PendingVerification("suspended"), 403, "suspended"),
        (InternalServerException("secret"), 500, "The service cannot take the request now"),
        (ServiceUnavailableException("secret"), 500, "The service cannot take the request now"),
        (ActionError(406, "rude", "r"), 406, "rude"),
    ],
)
async def test_errors_of_the_shared_rules(
    error: Exception, code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sender may know is told in its own words; what is our business is not."""

    def refuse(*_: object) -> object:
        raise error

    async with stage() as made:
        edge, transport = await made.connect()
        monkeypatch.setattr(made.chat, "send_message", refuse)
        edge.data_received(action(RequestId="r"))
        (told,) = texts(transport.take())
        assert (told["ErrorCode"], told["ErrorMessage"]) == (code, message)
        assert told["RequestId"] == "r"
        count = made.metrics.registry.get_sample_value
        assert count("greenroom_action_errors_total", {"code": str(code)}) == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_a_crash_in_an_action_is_answered(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is a 500 with the RequestId; this connection and the others go on."""

    async def later() -> None:
        raise ValueError("secret words")

    def crash(*_: object) -> object:
        if waits:
            return later()
        raise ValueError("secret words")

    async with stage() as made:
        edge, transport = await made.connect()
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(made.chat, "send_message", crash)
            edge.data_received(action("DELETE_MESSAGE", Id="a" * 12) + action(RequestId="r"))
            await settle(30)
        error = next(each for each in texts(transport.take()) if each["Type"] == "ERROR")
        assert (error["ErrorCode"], error["RequestId"]) == (500, "r")
        assert "secret" not in str(error) + str(logs)
        crashes = [each for each in logs if each["event"] == "action crashed"]
        assert [each["room"] for each in crashes] == [HERE]
        edge.data_received(action(RequestId="s"))
        await settle()
        assert texts(transport.take())[0]["RequestId"] == "s"


async def test_an_action_when_the_session_is_over() -> None:
    """It is answered with its RequestId, also before the sweeper comes, and the session ends."""
    async with stage() as made:
        edge, transport = await made.connect(session_expires=START_MS + 1_000)
        made.time.advance(1)
        edge.data_received(action(RequestId="r"))
        error, close = frames_of(transport.take())
        body = msgspec.json.decode(error[1])
        assert (body["ErrorCode"], body["RequestId"], close[0]) == (401, "r", 0x88)
        assert made.hub.connections == 0
        edge.connection_lost(None)


async def test_an_action_while_another_process_has_the_store() -> None:
    """It is refused with its RequestId, and not done: the SDK would wait for ever."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.hub.hold()
        edge.data_received(action(RequestId="r"))
        await settle()
        (error,) = texts(transport.take())
        assert (error["Type"], error["ErrorCode"], error["RequestId"]) == ("ERROR", 500, "r")
        assert made.chat.requests["SendMessage"] == 0


async def test_an_action_that_fails_when_its_connection_has_ended() -> None:
    """Nobody is told, and nothing is counted."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.rooms.forget(HERE)
        made.store.gate.clear()
        made.store.error = StorageUnavailable("The disk is full")
        edge.data_received(action())
        await settle()
        edge.disconnect("spam")
        made.store.gate.set()
        await settle()
        assert frames_of(transport.take()) == [(0x88, b"\x03\xe8spam")]
        count = made.metrics.registry.get_sample_value
        assert not count("greenroom_action_errors_total", {"code": "500"})
        edge.connection_lost(None)


@pytest.mark.parametrize("made_of", [lambda outcome: outcome, Placed], ids=["action", "outcome"])
async def test_a_crash_while_a_connection_waits(
    made_of: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged with the names of the connection, which is let go of; the node lives on."""

    async def fails() -> None:
        raise ValueError("secret words")

    async with stage() as made:
        _, transport = made.begin(token(), peer=addresses.packed("192.0.2.1"))
        await settle()
        edge, _ = transport.protocol, transport.take()
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(made.actions, "act", lambda *_: made_of(fails()))
            edge.data_received(action())
            await settle()
        crash = next(each for each in logs if each["event"] == "connection crashed")
        assert (crash["log_level"], crash["room"]) == ("error", HERE)
        assert crash["connection"] == edge.session.claims.token_id
        assert crash["address"] == "192.0.2.1"
        assert ended(logs) == ["internal_error"]
        assert (transport.written, transport.aborted) == ([], True)
        assert made.hub.connections == 0
        edge.connection_lost(None)


# ------------------------------------------------------------------------------------- endings


async def test_peer_closes() -> None:
    """The peer's close is answered with its code, and the socket closed; nothing follows."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            edge.data_received(client_frame(b"\x0b\xb8bye", 0x88) + action())
            made.publish(b"x")
            await settle()
        assert close_of(transport) == (3000, "")
        assert (transport.closed, made.hub.connections) == (True, 0)
        edge.connection_lost(None)
        assert ended(logs) == ["peer_closed"]


async def test_peer_closes_without_a_code() -> None:
    """A close frame without a code is answered with 1000."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.data_received(client_frame(b"", 0x88))
        assert close_of(transport) == (1000, "")


async def test_kick_and_its_answer() -> None:
    """A kicked user gets the event, then the close frame, and nothing after it."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            await made.chat.disconnect_user(HERE, "ann", "spam")
            made.publish(b"x")
            edge.data_received(action() + client_frame(b"p", 0x89))
            await settle()
        event, close = frames_of(transport.take())
        assert msgspec.json.decode(event[1])["EventName"] == "aws:DISCONNECT_USER"
        assert close == (0x88, b"\x03\xe8spam")
        assert not transport.is_closing()
        edge.data_received(client_frame(b"\x03\xe8", 0x88))
        assert (transport.written, transport.closed) == ([], True)
        edge.connection_lost(None)
        assert ended(logs) == ["kicked"]
        assert edge._timer is None


async def test_who_is_expelled_has_left_and_is_told_later() -> None:
    """He is shown and does nothing in between, and ends as whoever is kicked, once."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            edge.expel()
            assert (made.hub.connections, edge.is_open) == (0, False)
            made.publish(b"x")
            edge.data_received(action() + client_frame(b"p", 0x89))
            edge.expel()
            edge.expire()
            edge.drain()
            await settle()
            assert transport.take() == []
            for _ in range(2):
                edge.disconnect("spam", PING)
        assert frames_of(transport.take()) == [(0x89, b""), (0x88, b"\x03\xe8spam")]
        assert made.chat.requests["SendMessage"] == 0
        edge.data_received(client_frame(b"\x03\xe8", 0x88))
        assert (transport.written, transport.closed) == ([], True)
        edge.connection_lost(None)
        assert ended(logs) == ["kicked"]


async def test_the_peer_of_who_is_expelled_closes_first() -> None:
    """It has its answer, and nothing comes behind that."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.expel()
        edge.data_received(client_frame(b"\x03\xe8", 0x88))
        edge.disconnect("spam", PING)
        assert frames_of(transport.take()) == [(0x88, b"\x03\xe8")]
        assert transport.closed
        edge.connection_lost(None)


async def test_a_connection_whose_key_was_killed() -> None:
    """It ends as one that has expired, and the log says what it was."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            edge.revoke()
        error, close = frames_of(transport.take())
        assert msgspec.json.decode(error[1])["ErrorCode"] == 401
        assert (close[0], ended(logs)) == (0x88, ["revoked"])
        edge.connection_lost(None)


async def test_a_peer_that_answers_in_time() -> None:
    """Nothing is done any more when the time is over that it had."""
    async with stage(QUICK) as made:
        edge, transport = await made.connect()
        edge.disconnect("spam")
        edge.data_received(client_frame(b"\x03\xe8", 0x88))
        assert transport.closed
        edge.connection_lost(None)
        await settle(20)
        assert not transport.aborted


async def test_a_connection_that_is_lost_within_a_frame() -> None:
    """The half of a frame is not kept."""
    async with stage() as made:
        edge, _ = await made.connect()
        edge.data_received(action()[:20])
        assert edge._decoder is not None
        edge.connection_lost(None)
        assert edge._decoder is None


@pytest.mark.parametrize(
    ("why", "debugging", "lines"),
    [
        (DisconnectReason.KICKED, False, 1),
        (DisconnectReason.KICKED, True, 0),
        (DisconnectReason.PEER_CLOSED, False, 0),
        (DisconnectReason.PEER_CLOSED, True, 0),
    ],
)
async def test_how_an_end_is_logged(
    why: DisconnectReason, debugging: bool, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that says something has a line, of which there are not too many; all, at debug."""
    log = mock.Mock()
    log.is_enabled_for.return_value = debugging
    async with stage() as made:
        edge, _ = await made.connect()
        monkeypatch.setattr(edge_services, "log", log)
        with mock.patch.object(made.logger, "write") as writing:
            made.edges.leave(edge, why)
        told = mock.call(
            "info", "connection ended", {"reason": why.value}, address="", **edge.names()
        )
        assert writing.mock_calls == [told] * lines
        debug = mock.call("connection ended", reason=why.value, **edge.names())
        assert log.debug.mock_calls == [debug] * debugging


@pytest.mark.parametrize("queued", [0, 1])
async def test_frames_go_straight_to_the_socket(queued: int) -> None:
    """Unless the transport holds bytes, from the first one on, and until it holds none again."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.setblocking(False)
        async with stage() as made:
            transport = Transport()
            transport.socket, transport.queued = mine, queued
            made.transports.append(transport)
            headers = [*UPGRADE, (b"sec-websocket-protocol", token().encode())]
            visit = made.visitors.enter(addresses.UNKNOWN, 0.0)
            made.upgrades.begin(transport, visit, b"GET", headers, b"", b"/")
            await settle()
            edge = transport.protocol
            answer = transport.take()[0] if queued else theirs.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 101 ")
            for held, change in (
                (bool(queued), lambda: None),
                (True, edge.pause_writing),
                (False, edge.resume_writing),
            ):
                change()
                made.publish(b"x")
                await settle()
                assert transport.take() == ([text_frame(b"x")] if held else [])
                if not held:
                    assert theirs.recv(1 << 16) == text_frame(b"x")
            edge.connection_lost(None)


class Full(socket.SocketType):
    """A socket whose kernel's buffer has room for three bytes, or for none."""

    room = 0

    def send(self, data: Any, flags: int = 0) -> int:
        if not self.room:
            raise BlockingIOError
        return self.room


@pytest.mark.parametrize("room", [0, 3])
async def test_an_answer_that_the_kernel_does_not_take(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it is written through the transport."""
    way = Full()
    way.room = room
    monkeypatch.setattr(module, "straight_way", lambda _: way)
    async with stage() as made:
        _, transport = made.begin(token())
        await settle()
        (rest,) = transport.take()
        assert rest.startswith(b"HTTP/1.1 101 "[room:])
        transport.protocol.connection_lost(None)


async def test_close_that_is_not_answered() -> None:
    """A peer that does not answer the close frame is cut off after the close timeout."""
    async with stage(QUICK) as made:
        made_quick, transport = await made.connect()
        made_quick.disconnect("spam")
        await settle()
        assert (transport.closed, transport.aborted) == (False, True)
        made_quick.connection_lost(None)
        assert made_quick._state is State.CLOSED


async def test_expiry() -> None:
    """The ERROR comes first, then a clean close whose reason is the same JSON."""
    async with stage() as made:
        edge, transport = await made.connect(session_expires=START_MS + 60_000)
        with capture_logs() as logs:
            for _ in range(60):
                made.time.advance(1)
                made.sweeper.tick()
                edge.heard = True
        *_, error, close = [each for each in frames_of(transport.take()) if each[0] != 0x89]
        body = msgspec.json.decode(error[1])
        assert (body["Type"], body["ErrorCode"], body["RequestId"]) == ("ERROR", 401, "")
        assert "expired" in body["ErrorMessage"]
        assert close == (0x88, b"\x03\xe8" + error[1])
        assert (made.hub.connections, ended(logs)) == (0, ["expired"])
        edge.connection_lost(None)


async def test_expiry_loses_nothing() -> None:
    """What was published before the session ended is delivered before the ERROR."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.data_received(action(Content="last", RequestId="r"))
        edge.expire()
        *shown, close = frames_of(transport.take())
        message, error = (msgspec.json.decode(payload) for _, payload in shown)
        assert (message["Content"], message["RequestId"]) == ("last", "r")
        assert close[0] == 0x88
        assert error["ErrorCode"] == 401
        await settle()
        assert transport.take() == []
        edge.connection_lost(None)


@pytest.mark.parametrize("call", [Edge.expire, Edge.revoke])
async def test_expiry_while_closing(call: Callable[[Edge], None]) -> None:
    """A close frame is the last one: no ERROR comes behind it, and the end is counted once."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            edge.disconnect("spam")
            call(edge)
            await settle()
        assert frames_of(transport.take()) == [(0x88, b"\x03\xe8spam")]
        assert ended(logs) == ["kicked"]
        errors = made.metrics.registry.get_sample_value
        assert not errors("greenroom_action_errors_total", {"code": "401"})
        edge.connection_lost(None)


async def test_nothing_counts_behind_the_peers_close() -> None:
    """The peer's close frame ends the connection, also when we began to close it."""
    async with stage() as made:
        for begins in (False, True):
            edge, transport = await made.connect()
            if begins:
                edge.disconnect("spam")
            transport.take()
            edge.data_received(
                client_frame(b"\x03\xe8", 0x88) + client_frame(b"p", 0x89) + action()
            )
            closes = [] if begins else [(0x88, b"\x03\xe8")]
            assert frames_of(transport.take()) == closes
            assert edge._state is State.CLOSED
            edge.ping()
            edge.drop_silent()
            assert transport.take() == []
            edge.connection_lost(None)
        assert made.chat.requests["SendMessage"] == 0


async def test_a_crash_behind_the_101(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot join its room is cut off, and leaves nothing behind."""
    async with stage() as made:

        def join(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(made.hub, "join", join)
            _, transport = made.begin(token())
            await settle()
        events = [each["event"] for each in logs]
        assert events == ["connection opened", "handshake crashed"]
        assert (transport.written, transport.aborted) == ([], True)
        transport.protocol.connection_lost(None)
        assert made.hub.connections == 0
        assert made.visitors.total == 0
        assert not any(made.sweeper._slots)


class Encrypted(Transport):
    """A transport whose side cannot end alone, as that of TLS."""

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError


async def test_drain_over_tls() -> None:
    """A connection that has no half end is closed when what waits is written."""
    async with stage() as made:
        edge, _ = await made.connect()
        transport = edge._transport = Encrypted()
        with capture_logs() as logs:
            edge.drain()
        assert (transport.closed, transport.aborted, transport.written) == (True, False, [])
        assert made.hub.connections == 0
        assert ended(logs) == ["drain"]
        edge.connection_lost(None)


async def test_a_peer_that_does_not_end_its_side() -> None:
    """After a drain its socket is let go of when the time for closing is over."""
    for encrypted in (False, True):
        async with stage(QUICK) as made:
            edge, transport = await made.connect()
            if encrypted:
                transport = Encrypted()
                edge._transport = transport
            edge.drain()
            await settle()
            assert transport.aborted
            edge.connection_lost(None)


async def test_a_protocol_fault_over_tls() -> None:
    """The close frame is written, and the connection ended at once: it has no half end."""
    async with stage() as made:
        edge, _ = await made.connect()
        transport = edge._transport = Encrypted()
        edge.data_received(client_frame(b"x", 0x83))
        assert close_of(transport)[0] == 1002
        assert (transport.closed, transport.aborted) == (True, False)
        edge.connection_lost(None)


async def test_drain_sends_no_close_frame() -> None:
    """At a restart our side just ends, so that the SDKs connect again; frames go out first."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.publish(b"last")
        made.hub.drain()
        made.hub.drain()
        assert frames_of(transport.take()) == [(0x81, b"last")]
        assert (transport.ended, made.hub.connections) == (True, 0)
        # Closed with bytes unread, the socket would be reset, and the last frames be lost.
        assert (transport.closed, transport.aborted) == (False, False)
        edge.data_received(action())
        assert transport.take() == []
        edge.connection_lost(None)


async def test_nothing_is_kept_of_what_comes_behind_a_drain() -> None:
    """Who sends on until the socket ends is not collected, also when an action still waits."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.rooms.forget(HERE)
        made.store.gate.clear()
        edge.data_received(action())
        edge.drain()
        assert transport.is_reading()
        for _ in range(3):
            edge.data_received(action() * 20)
        assert (edge._early, transport.written) == (b"", [])
        made.store.gate.set()
        await settle()
        edge.connection_lost(None)


async def test_a_reader_that_catches_up() -> None:
    """A queue below the bound is no reason to drop; what comes later queues up behind it."""
    async with stage() as made:
        edge, transport = await made.connect()
        mine = socket.socket()
        edge._way = mine
        transport.queued = LIMITS.outbound_bytes
        edge.pause_writing()
        assert made.hub._rooms[HERE].connections == {edge: NO_SOCKET}
        edge.ping()
        assert (transport.aborted, transport.take()) == (False, [PING])
        transport.queued = 0
        edge.resume_writing()
        assert made.hub._rooms[HERE].connections == {edge: mine}
        mine.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("waiting", "bound"), [(0, 65_536), (30_000, 65_536), (100_000, 1_000_000), (100_000, 65_536)]
)
def test_answers_that_were_not_read(
    waiting: int, bound: int, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Neither the 101 nor a frame overtakes earlier answers; they count towards the bound.

    The transport is real, and may have told whose the connection was before that it holds bytes.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_upgrade_behind_answers(waiting, bound))


async def _upgrade_behind_answers(waiting: int, bound: int) -> None:
    loop = asyncio.get_running_loop()
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    theirs.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while waiting:
            sent += mine.send(b"a" * 4096)
    limits = msgspec.structs.replace(LIMITS, outbound_bytes=bound)
    with theirs:
        async with stage(limits) as made, asyncio.timeout(10):
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=mine)
            transport.write(b"a" * waiting)
            protocols = (b"sec-websocket-protocol", token().encode())
            visit = made.visitors.enter(addresses.UNKNOWN, 0)
            made.upgrades.begin(transport, visit, b"GET", [*UPGRADE, protocols], b"", b"/")
            await settle(30)
            edge = transport.get_protocol()
            received = b""
            if waiting:
                # The kernel has room again, which the transport does not know yet.
                received += theirs.recv(sent)
            made.publish(b"frame")
            with contextlib.suppress(ConnectionError):
                while more := await loop.sock_recv(theirs, 1 << 20):
                    received += more
                    if received.endswith(b"frame"):
                        break
            assert (isinstance(edge, Edge) and edge.is_open) is (waiting <= bound)
            transport.abort()
            await settle()
    answers, _, rest = received.partition(b"HTTP/1.1 101 ")
    assert set(answers) <= {ord("a")}
    if waiting <= bound:
        assert len(answers) == sent + waiting
        assert rest.endswith(b"\r\n\r\n" + text_frame(b"frame"))
    else:
        assert rest == b""


async def test_slow_reader() -> None:
    """A reader whose queue passes the bound is cut off; the room goes on."""
    async with stage() as made:
        edge, transport = await made.connect()
        _, other = await made.connect("bob")
        transport.when_written = edge.pause_writing
        transport.queued = LIMITS.outbound_bytes + 1
        with capture_logs() as logs:
            for payload in (b"1", b"2"):
                made.publish(payload)
                await settle()
        assert (transport.aborted, len(transport.written)) == (True, 1)
        assert len(frames_of(other.take())) == 2
        assert ended(logs) == ["slow_reader"]
        edge.connection_lost(None)
        assert made.hub.connections == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda edge: edge.disconnect("spam"),
        lambda edge: edge.expire(),
        lambda edge: edge.data_received(client_frame(b"", 0x88)),
        lambda edge: edge.ping(),
        lambda edge: edge.data_received(client_frame(b"p", 0x89)),
        lambda edge: edge.data_received(client_frame(b"{")),
    ],
    ids=["kick", "expire", "peer-closes", "ping", "pong", "error"],
)
async def test_any_write_may_pass_the_bound(end: Callable[[Edge], None]) -> None:
    """Whatever is written when the bound is passed, the connection ends once, by one reason."""
    async with stage() as made:
        edge, transport = await made.connect()
        transport.when_written = edge.pause_writing
        transport.queued = LIMITS.outbound_bytes + 1
        with capture_logs() as logs:
            end(edge)
            await settle()
            edge.connection_lost(None)
        assert (transport.aborted, len(transport.written)) == (True, 1)
        assert len(ended(logs)) == 1
        assert (made.hub.connections, edge._timer, edge._state) == (0, None, State.CLOSED)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(b"x", 0x82), 1003),
        (client_frame(b"\xff\xfe"), 1007),
        (b"\x81\x01x", 1002),
        (b"\x81\xfe\x40\x01", 1009),
        (client_frame(b"\x03", 0x88), 1002),
    ],
    ids=["binary", "not-utf8", "not-masked", "too-big", "bad-close"],
)
async def test_protocol_faults(frame: bytes, code: int) -> None:
    """A fault closes with its code; what came before it counts, what comes after does not."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.data_received(action() + frame + action())
        edge.data_received(action())
        await settle()
        assert close_of(transport)[0] == code
        assert transport.ended is (code != 1003)
        assert made.hub.connections == 0
        edge.connection_lost(None)


@pytest.mark.parametrize("state", ["waiting", "open", "closing", "closed"])
async def test_connection_lost(state: str) -> None:
    """In every state a lost socket leaves nothing behind: no member, no timer, no write."""
    async with stage() as made:
        edge, transport = await made.connect()
        if state == "waiting":
            made.rooms.forget(HERE)
            made.store.gate.clear()
            edge.data_received(action() + action())
            await settle()
        elif state == "closing":
            edge.disconnect("spam")
        elif state == "closed":
            edge.drain()
        transport.take()
        edge.connection_lost(ConnectionResetError())
        edge.connection_lost(None)
        transport.aborted = True
        made.store.gate.set()
        await settle()
        edge.disconnect("again")
        edge.drain()
        assert (transport.written, made.hub.connections, edge._timer) == ([], 0, None)
        assert edge._decoder is None
        for _ in range(4):
            made.sweeper.tick()
        assert transport.written == []


async def test_kick_while_an_action_waits() -> None:
    """A waiting action of a connection that is kicked meanwhile does not write behind the close."""
    async with stage() as made:
        edge, transport = await made.connect()
        made.rooms.forget(HERE)
        made.store.gate.clear()
        edge.data_received(action(RequestId="x") + client_frame(b"{"))
        await settle()
        edge.disconnect("spam")
        made.store.gate.set()
        await settle()
        assert close_of(transport) == (1000, "spam")
        assert transport.is_reading()
        edge.data_received(client_frame(b"\x03\xe8", 0x88))
        assert transport.closed
        edge.connection_lost(None)


async def test_connection_lost_between_two_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves while a large room is being written to is not written to any more."""
    monkeypatch.setattr(fanout_module, "SLICE", 1)
    async with stage() as made:
        pairs = [await made.connect() for _ in range(3)]
        made.publish(b"x")
        await settle(1)
        for edge, transport in pairs:
            if not transport.written:
                edge.connection_lost(None)
                transport.closed = True
        await settle()
        assert sorted(len(transport.written) for _, transport in pairs) == [0, 0, 1]


@pytest.mark.parametrize(
    ("before", "pong", "after"),
    [
        ("m1", b"m2", "m2"),
        ("m1", b"", "m1"),
        ("m1", b"\xff", "m1"),
        ("m1", b"-", "m1"),
        ("", b"-", "-"),
        ("-", b"-0", "-0"),
    ],
)
async def test_a_place_is_where_the_last_answered_ping_was(
    before: str, pong: bytes, after: str
) -> None:
    """Of what answers no ping of ours it is told apart; nobody goes back to before everything."""
    async with stage() as made:
        edge, _ = await made.connect()
        edge.place = Place(before, 60)
        edge.data_received(client_frame(pong, 0x8A))
        assert edge.place.since == after


async def test_ping_and_silence() -> None:
    """A connection is pinged; a silent one is cut off without a close frame, logged as such."""
    async with stage() as made:
        edge, transport = await made.connect()
        with capture_logs() as logs:
            for _ in range(6):
                made.sweeper.tick()
            edge.data_received(client_frame(b"", 0x8A))
            for _ in range(9):
                made.sweeper.tick()
        assert transport.take() == [PING] * 4
        assert (transport.aborted, transport.closed) == (True, False)
        assert ended(logs) == ["silent_peer"]
        edge.connection_lost(None)


async def test_logs_hold_no_content() -> None:
    """Neither what users write, nor their names, nor tokens appear in log lines."""
    text = token(user_id="secret-user", attributes={"secret-key": "secret-value"})
    with capture_logs() as logs:
        async with stage(messaging_requests_per_connection=1) as made:
            _, transport = made.begin(text)
            await settle()
            edge = transport.protocol
            edge.data_received(action(Content="secret words") + action(Content="secret too"))
            await made.chat.disconnect_user(HERE, "secret-user", "secret reason")
            await settle()
            _, again = made.begin(text)
            await settle()
            assert refused(again)[0] == Refusal.TOKEN_USED.value[0]
            edge.connection_lost(None)
    assert len(logs) >= 2
    assert "secret" not in str(logs)
    assert text not in str(logs)


async def test_an_idle_connection_keeps_no_decoder() -> None:
    """A decoder exists only while a frame is incomplete."""
    async with stage() as made:
        edge, _ = await made.connect()
        frame = action()
        kept = []
        for part in (frame[:3], frame[3:], frame):
            edge.data_received(part)
            kept.append(edge._decoder is not None)
        assert kept == [True, False, False]


def test_claims_differ() -> None:
    """The stage's tokens are good for one connection each."""
    assert claims_of().token_id != claims_of().token_id


@pytest.mark.parametrize("size", [1_020, 5_000, 16_000])
@pytest.mark.parametrize("cut", [None, 1, 3, 7, 1_024])
async def test_a_large_frame_waits_for_no_turn(size: int, cut: int | None) -> None:
    """It is one frame: whoever sends it is not behind those who send thousands."""
    async with stage() as plane:
        edge, transport = await plane.connect()
        flooding, _ = await plane.connect("bob")
        flooding.data_received(client_frame(b"x", 0x89) * 5_000)
        frame = client_frame(b"x" * 20, 0x89) + client_frame(b"{" + b" " * size)
        for part in (frame,) if cut is None else (frame[:cut], frame[cut:]):
            edge.data_received(part)
        pong, error = transport.take()
        assert pong == b"\x8a\x14" + b"x" * 20
        assert b'"ErrorCode":400' in error
        assert transport.reading


async def test_a_part_of_a_frame_that_looks_like_one() -> None:
    """It is taken for what it is: bytes of a frame that began before."""
    inner = action()
    frame = encode_frame(0x89, inner, bytes(4))
    async with stage() as plane:
        edge, transport = await plane.connect()
        edge.data_received(frame[: -len(inner)])
        edge.data_received(inner)
        await settle()
        assert frames_of(transport.take()) == [(0x8A, inner)]


async def test_a_burst_is_handled_at_once() -> None:
    """What one client sends together reaches the room together, however long its messages are."""
    async with stage() as plane:
        edge, transport = await plane.connect()
        edge.data_received(
            b"".join(client_frame(b"%02d" % n + b"x" * 120, 0x89) for n in range(32))
        )
        assert len(transport.written) == 32
        assert transport.reading


async def test_a_flood_has_its_turns() -> None:
    """Of a large read some frames are handled at once, the rest in order, after the others.

    Meanwhile nothing more is read.
    """
    async with stage() as plane:
        edge, transport = await plane.connect()
        other, others = await plane.connect("bob")
        pings = [client_frame(b"%05d" % number, 0x89) for number in range(2_000)]
        edge.data_received(b"".join(pings))
        assert len(transport.written) == FRAMES_AT_ONCE
        assert not transport.reading
        other.data_received(client_frame(b"me", 0x89))
        assert others.take() == [b"\x8a\x02me"]
        edge.data_received(client_frame(b"last", 0x89))
        await settle(2_000 // FRAMES_AT_ONCE + 5)
        assert transport.take() == [
            *(b"\x8a\x05%05d" % number for number in range(2_000)),
            b"\x8a\x04last",
        ]
        assert transport.reading
