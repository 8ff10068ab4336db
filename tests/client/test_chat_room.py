"""A chat room as its participants see it, against a server that does what the test says.

`tests/e2e` and `tests/interop` drive it against the service.

Covers: greenroom.client.connection, greenroom.client.entities, greenroom.client.keeping,
greenroom.client.listeners, greenroom.client.back_off
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from greenroom.client import (
    ChatDisconnected,
    ChatError,
    ChatEvent,
    ChatMessage,
    ChatRoom,
    ChatToken,
    ConnectionState,
    DeleteMessageEvent,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserEvent,
    DisconnectUserRequest,
    RequestTimeout,
    SendMessageRequest,
    back_off,
    chat_room,
    keeping,
)
from greenroom.client.connection import Connection

TIME = "2026-11-29T12:00:00.123456789Z"
SENDER = {"UserId": "alice", "Attributes": {"color": "red"}}


def message(number: int = 1, **members: object) -> dict[str, object]:
    """Return a MESSAGE."""
    return {
        "Type": "MESSAGE",
        "Id": f"message{number:05}",
        "RequestId": "",
        "Attributes": None,
        "Content": f"text {number}",
        "SendTime": TIME,
        "Sender": SENDER,
    } | members


def event(name: str, number: int = 1, **members: object) -> dict[str, object]:
    """Return an EVENT."""
    return {
        "Type": "EVENT",
        "Id": f"event{number:07}",
        "RequestId": "",
        "EventName": name,
        "Attributes": None,
        "SendTime": TIME,
    } | members


class Server:
    """Accepts WebSockets, answers as its `answer` says, and notes what came."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.requests: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        """Statuses with which the next handshakes are refused."""
        self.answer: Callable[[dict[str, Any]], dict[str, object] | None] = lambda request: None
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        (token,) = request.headers["Sec-WebSocket-Protocol"].split(",")
        self.tokens.append(token)
        if self.refusals:
            return web.Response(status=self.refusals.pop(0))
        socket = web.WebSocketResponse(protocols=(token,))
        await socket.prepare(request)
        self.sockets.append(socket)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                said = json.loads(frame.data)
                self.requests.append(said)
                answer = self.answer(said)
                if answer is not None:
                    await socket.send_json(answer)
        return socket

    async def show(self, *frames: dict[str, object] | str) -> None:
        """Send frames to the newest connection."""
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            await self.sockets[-1].send_str(text)

    def break_off(self) -> None:
        """Lose the newest connection without a close frame."""
        self._transport().abort()

    def end(self) -> None:
        """End the newest connection in the way of TCP, without a close frame."""
        self._transport().close()

    def _transport(self) -> asyncio.Transport:
        request = self.sockets[-1]._req
        assert request is not None
        assert isinstance(request.transport, asyncio.Transport)
        return request.transport


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server on a free port."""
    made = Server()
    application = web.Application()
    application.router.add_get("/", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"ws://{host}:{port}/"
    yield made
    await runner.cleanup()


def tokens(*more: object) -> Callable[[], Awaitable[object]]:
    """Return a provider of tokens: those given, one after another, then numbered ones."""
    given, numbers = list(more), iter(range(1000))

    async def provide() -> object:
        if given:
            return given.pop(0)
        return f"token{next(numbers)}"

    return provide


def room_of(
    server: Server, provider: Callable[[], Awaitable[object]] | None = None, **options: Any
) -> ChatRoom:
    """Return a room that does not wait between attempts."""
    return ChatRoom(server.url, provider or tokens(), delay=lambda attempt: 0, **options)


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is the room's own
            await asyncio.sleep(0.005)


async def test_a_room_connects_with_its_token_and_disconnects(server: Server) -> None:
    """States and listeners tell each step; the server sees a normal close."""
    told: list[object] = []
    room = room_of(server)
    for name in ("connecting", "connect"):
        room.add_listener(name, lambda name=name: told.append((name, room.state)))
    room.add_listener("disconnect", told.append)
    assert room.state == "disconnected"
    async with room:
        assert room.state == "connected"
        assert server.tokens == ["token0"]
        await room.connect()
    assert told == [
        ("connecting", ConnectionState.CONNECTING),
        ("connect", ConnectionState.CONNECTED),
        DisconnectReason.CLIENT_DISCONNECT,
    ]
    assert room.state == "disconnected"
    assert room.disconnect_reason is DisconnectReason.CLIENT_DISCONNECT
    assert server.sockets[0].close_code == 1000
    assert server.tokens == ["token0"]


async def test_what_is_shown_is_told_in_order(server: Server) -> None:
    """To `async for` and to listeners: messages, events, and the service's own events by kind."""
    heard: list[object] = []
    async with room_of(server) as room:
        for name in ("message", "event", "message_delete", "userDisconnect"):
            room.add_listener(name, heard.append)
        await server.show(
            message(Attributes={"k": "v"}, RequestId="asked"),
            event("poll", Attributes={"question": "?"}),
            event("aws:DELETE_MESSAGE", 2, Attributes={"MessageID": "m", "Reason": "why"}),
            event("aws:DISCONNECT_USER", 3, Attributes={"UserId": "bob"}),
        )
        await until(lambda: len(heard) == 4)
        await server.sockets[-1].close()
        shown = [entity async for entity in room]
    assert shown == heard
    first, second, third, fourth = shown
    assert isinstance(first, ChatMessage)
    assert (first.id, first.content, first.attributes) == ("message00001", "text 1", {"k": "v"})
    assert first.send_time == datetime(2026, 11, 29, 12, 0, 0, 123457, UTC)
    assert (first.sender.user_id, first.sender.attributes) == ("alice", {"color": "red"})
    assert first.request_id == "asked"
    assert isinstance(second, ChatEvent)
    assert (second.event_name, second.attributes) == ("poll", {"question": "?"})
    assert isinstance(third, DeleteMessageEvent)
    assert (third.message_id, third.reason) == ("m", "why")
    assert isinstance(fourth, DisconnectUserEvent)
    assert (fourth.user_id, fourth.reason) == ("bob", None)


async def test_what_is_not_known_is_passed_over(server: Server) -> None:
    """Another type, no JSON, a missing member, an event without its subject: nothing ends."""
    async with room_of(server) as room:
        await server.show(
            "not json",
            "[]",
            {"Type": "SOMETHING", "Id": "1"},
            {"Type": "MESSAGE", "Id": "2"},
            event("aws:DELETE_MESSAGE", 7),
            message(8, Something="new"),
        )
        entities = aiter(room)
        assert isinstance(await anext(entities), ChatEvent)
        assert isinstance(await anext(entities), ChatMessage)


async def test_requests_end_with_what_everybody_is_shown(server: Server) -> None:
    """By their RequestId, whatever else comes between; the frames are the SDK's."""
    numbers = iter(range(5, 50))
    answers: dict[str, Callable[[str], dict[str, object]]] = {
        "SEND_MESSAGE": lambda request: message(next(numbers), RequestId=request),
        "DELETE_MESSAGE": lambda request: event(
            "aws:DELETE_MESSAGE", 6, RequestId=request, Attributes={"MessageID": "m"}
        ),
        "DISCONNECT_USER": lambda request: event(
            "aws:DISCONNECT_USER", 7, RequestId=request, Attributes={"UserId": "bob"}
        ),
    }
    server.answer = lambda said: answers[said["Action"]](said["RequestId"])
    async with room_of(server) as room:
        sent = await room.send_message(SendMessageRequest("hi", {"k": "v"}, request_id="one"))
        plain = await room.send_message("hi")
        deleted = await room.delete_message(DeleteMessageRequest("m", "why", request_id="two"))
        gone = await room.disconnect_user(DisconnectUserRequest("bob", request_id="three"))
    assert isinstance(sent, ChatMessage)
    assert plain.request_id != sent.request_id
    assert deleted.message_id == "m"
    assert gone.user_id == "bob"
    first, second, third, fourth = server.requests
    assert first == {
        "Action": "SEND_MESSAGE",
        "RequestId": "one",
        "Content": "hi",
        "Attributes": {"k": "v"},
    }
    assert second == {"Action": "SEND_MESSAGE", "Content": "hi", "RequestId": plain.request_id}
    assert third == {"Action": "DELETE_MESSAGE", "Id": "m", "Reason": "why", "RequestId": "two"}
    assert fourth == {"Action": "DISCONNECT_USER", "UserId": "bob", "RequestId": "three"}


async def test_the_services_own_actions(server: Server) -> None:
    """Each is sent under its whole name, without what is None; the answer is for nobody else."""
    heard: list[object] = []
    done = {"Action": "SET", "Result": '{"Settings": {}}'}
    server.answer = lambda said: event(
        "greenroom:DONE", RequestId=said["RequestId"], Id=said["RequestId"], Attributes=done
    )
    async with room_of(server) as room:
        room.add_listener("event", heard.append)
        assert await room.act("SET", {"a": 1, "b": None, "c": False}) == {"Settings": {}}
        assert await room.act("VIEWERS") == {"Settings": {}}
    assert heard == [entity async for entity in room] == []
    ids = [said.pop("RequestId") for said in server.requests]
    assert len(set(ids)) == 2
    assert server.requests == [
        {"Action": "greenroom:SET", "a": 1, "c": False},
        {"Action": "greenroom:VIEWERS"},
    ]


async def test_what_the_service_refuses_is_raised(server: Server) -> None:
    """With its code and text, and only by the request that it names."""
    server.answer = lambda said: {
        "Type": "ERROR",
        "Id": "error",
        "RequestId": said["RequestId"],
        "ErrorCode": 429,
        "ErrorMessage": "rate limit exceeded",
    }
    async with room_of(server) as room:
        await server.show({"Type": "ERROR", "Id": "e", "ErrorCode": 400, "ErrorMessage": "?"})
        with pytest.raises(ChatError, match=r"^429: rate limit exceeded$") as caught:
            await room.send_message(SendMessageRequest("hi", request_id="mine"))
    error = caught.value
    assert (error.error_code, error.error_message) == (429, "rate limit exceeded")
    assert (error.request_id, error.id) == ("mine", "error")


async def test_requests_do_not_wait_for_ever(server: Server) -> None:
    """After `timeout` seconds they raise, and an answer that comes later is shown like another."""
    async with room_of(server, timeout=0.01) as room:
        with pytest.raises(RequestTimeout, match=r"^no answer within 0\.01 seconds$"):
            await room.send_message(SendMessageRequest("hi", request_id="mine"))
        await server.show(message(RequestId="mine"))
        assert isinstance(await anext(aiter(room)), ChatMessage)
        assert not room._pending


async def test_requests_need_a_connection(server: Server) -> None:
    """Before the first one and after the last one they raise at once."""
    room = room_of(server)
    for _ in range(2):
        with pytest.raises(ChatDisconnected, match=r"^the room is not connected$"):
            await room.send_message("hi")
        async with room:
            pass


async def test_an_answer_of_another_kind_is_told(server: Server) -> None:
    """A deletion that is answered by a message is no deletion."""
    server.answer = lambda said: message(RequestId=said["RequestId"])
    async with room_of(server) as room:
        with pytest.raises(TypeError, match="answered by a ChatMessage"):
            await room.delete_message(DeleteMessageRequest("m"))


async def test_one_request_id_stands_for_one_request(server: Server) -> None:
    """While it is under way no other may have it."""
    async with room_of(server) as room:
        request = SendMessageRequest("hi", request_id="mine")
        first = asyncio.create_task(room.send_message(request))
        await until(lambda: server.requests)
        with pytest.raises(ValueError, match="request_id"):
            await room.send_message(request)
        await server.show(message(RequestId="mine"))
        assert (await first).id == "message00001"


async def test_a_request_whose_room_is_disconnected(server: Server) -> None:
    """It is told at once, and why: nobody will answer it."""
    async with room_of(server) as room:
        request = asyncio.create_task(room.send_message("hi"))
        await until(lambda: server.requests)
        await room.disconnect()
        async with asyncio.timeout(10):
            with pytest.raises(ChatDisconnected, match="was disconnected: clientDisc") as caught:
                await request
    assert caught.value.reason is DisconnectReason.CLIENT_DISCONNECT


async def test_a_connection_that_breaks_is_replaced(server: Server) -> None:
    """With a fresh token; what waits for an answer is told, and what comes next is shown."""
    told: list[object] = []
    async with room_of(server) as room:
        for name in ("connecting", "connect"):
            room.add_listener(name, lambda name=name: told.append(name))
        request = asyncio.create_task(room.send_message("hi"))
        await until(lambda: server.requests)
        server.refusals = [403, 503]
        server.break_off()
        with pytest.raises(ChatDisconnected, match="before the answer came"):
            await request
        await until(lambda: len(server.sockets) == 2)
        await until(lambda: room.state is ConnectionState.CONNECTED)
        await server.show(message())
        assert isinstance(await anext(aiter(room)), ChatMessage)
    assert told == ["connecting", "connect"]
    assert server.tokens == ["token0", "token1", "token2", "token3"]


async def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by all that reaches the network from here."""
    monkeypatch.setenv("ws_proxy", server.url.replace("ws://", "http://"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with ChatRoom("ws://nowhere.invalid/", tokens(), max_reconnect_attempts=0) as room:
        assert room.state is ConnectionState.CONNECTED
        assert server.tokens == ["token0"]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4001])
async def test_a_connection_that_the_server_closes_is_not(server: Server, code: int) -> None:
    """Whatever its code says: the session is over, or a moderator ended it."""
    async with room_of(server) as room:
        gone: list[object] = []
        room.add_listener("disconnect", gone.append)
        request = asyncio.create_task(room.send_message("hi"))
        await until(lambda: server.requests)
        await server.sockets[0].close(code=code)
        with pytest.raises(ChatDisconnected):
            await request
        await until(lambda: gone)
        assert [entity async for entity in room] == []
    assert gone == [DisconnectReason.SERVER_DISCONNECT]
    assert len(server.tokens) == 1


async def test_attempts_are_bounded(server: Server) -> None:
    """The first and so many more, each with a token; then the reason is told, without the token."""
    server.refusals = [403] * 10
    room = room_of(server, max_reconnect_attempts=2)
    tasks = len(asyncio.all_tasks())
    with pytest.raises(ChatDisconnected, match=r"^not connected: socketError$") as caught:
        await room.connect()
    assert caught.value.reason is DisconnectReason.SOCKET_ERROR
    assert "the service answered 403" in str(caught.value.__cause__)
    assert server.tokens == ["token0", "token1", "token2"]
    assert "token" not in repr(caught.value.__cause__)
    await until(lambda: len(asyncio.all_tasks()) == tasks)
    server.refusals = []
    async with room:
        assert room.state is ConnectionState.CONNECTED
        assert room.disconnect_reason is None


async def test_a_token_provider_may_fail(server: Server) -> None:
    """It is asked again, as often as a connection is tried; what it raised is the cause."""
    asked = 0

    async def provide() -> object:
        nonlocal asked
        asked += 1
        raise RuntimeError("no token today")

    room = room_of(server, provide)
    with pytest.raises(ChatDisconnected, match="fetchTokenError") as caught:
        await room.connect()
    assert asked == 4
    assert str(caught.value.__cause__) == "no token today"


async def test_what_failed_before_is_no_reason_for_what_fails_later(server: Server) -> None:
    """A provider that failed once has nothing to do with a connection that is not made."""
    asked = 0

    async def provide() -> object:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("no token yet")
        room._running.cancel()  # type: ignore[union-attr]  # the room is connecting
        return "token"

    room = room_of(server, provide)
    with pytest.raises(ChatDisconnected, match="clientDisconnect") as caught:
        await room.connect()
    assert (asked, caught.value.__cause__) == (2, None)


async def test_an_expired_session_is_replaced(server: Server) -> None:
    """An ERROR 401 ends the request, and another token brings another connection."""
    async with room_of(server) as room:
        server.answer = lambda said: {
            "Type": "ERROR",
            "Id": "error",
            "RequestId": said["RequestId"],
            "ErrorCode": 401,
            "ErrorMessage": "expired",
        }
        with pytest.raises(ChatError, match="401"):
            await room.send_message("hi")
        await until(lambda: len(server.sockets) == 2)
        await until(lambda: room.state is ConnectionState.CONNECTED)
    assert server.tokens == ["token0", "token1"]


async def test_an_expired_session_that_is_closed_at_once_is_replaced(server: Server) -> None:
    """The error and the close may arrive together: what the error says counts."""
    async with room_of(server) as room:
        socket = server.sockets[0]
        await socket.send_json(
            {"Type": "ERROR", "Id": "error", "ErrorCode": 401, "ErrorMessage": "expired"}
        )
        await socket.close()
        await until(lambda: len(server.sockets) == 2)
        await until(lambda: room.state is ConnectionState.CONNECTED)
        await server.show(message())
        assert isinstance(await anext(aiter(room)), ChatMessage)
    assert server.tokens == ["token0", "token1"]


async def test_a_connection_without_a_close_frame_is_broken(server: Server) -> None:
    """Also when TCP ends in order: whoever wants it closed says so."""
    async with room_of(server) as room:
        server.end()
        await until(lambda: len(server.sockets) == 2)
        await until(lambda: room.state is ConnectionState.CONNECTED)


async def test_a_session_is_replaced_before_it_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections overlap, what both bring is shown once, and nobody is told of it."""
    monkeypatch.setattr(keeping, "refresh_in", lambda remaining: 0.01)
    told: list[object] = []
    ending = ChatToken("ending", datetime.now(UTC) + timedelta(minutes=2))
    async with room_of(server, tokens(ending, "lasting")) as room:
        for name in ("connecting", "disconnect"):
            room.add_listener(name, lambda *what, name=name: told.append(name))
        await until(lambda: len(server.sockets) == 2)
        first, second = server.sockets
        if not first.closed:
            await first.send_json(message())
        await second.send_json(message())
        await second.send_json(message(2))
        await until(lambda: first.closed)
        assert first.close_code == 1000
        entities = aiter(room)
        ids = [(await anext(entities)).id for _ in range(2)]
        assert ids == ["message00001", "message00002"]
        assert not told
        assert room.state is ConnectionState.CONNECTED
    assert server.tokens == ["ending", "lasting"]


async def test_a_session_that_cannot_be_replaced_yet_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempts come while it lasts."""
    monkeypatch.setattr(keeping, "refresh_in", lambda remaining: 0)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    ending = ChatToken("ending", token_expiration_time=soon)
    attempts: list[int] = []

    def delay(attempt: int) -> float:
        attempts.append(attempt)
        return 0

    async with ChatRoom(server.url, tokens(ending), delay=delay) as room:
        server.refusals = [503] * 5
        await until(lambda: len(server.sockets) == 2)
        assert room.state is ConnectionState.CONNECTED
    assert len(server.tokens) == 7
    assert attempts == [1, 2, 3, 4, 5]


async def test_a_clock_that_is_ahead(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that had ended when it came is not replaced again and again; the log says why."""
    monkeypatch.setattr(keeping, "refresh_in", lambda remaining: 0)
    past = datetime.now(UTC) - timedelta(minutes=5)
    async with room_of(server, tokens(ChatToken("ended", past, past))) as room:
        await until(lambda: "the clock is ahead" in caplog.text)
        await server.show(message())
        assert isinstance(await anext(aiter(room)), ChatMessage)
    assert server.tokens == ["ended"]


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [
        (3600, 3540),
        (62, 2),
        (61, 1),
        (60, 30),
        (40, 10),
        (31, 1),
        (30, 15),
        (20, 10),
        (1, 1),
        (-5, 1),
    ],
)
def test_when_a_session_is_replaced(remaining: float, seconds: float) -> None:
    """A minute before its end, of a short one half a minute, and never at once."""
    assert keeping.refresh_in(remaining) == seconds


async def test_a_room_that_is_gone(server: Server) -> None:
    """Is told to those who listen to that, and to those who listen to events."""
    heard: list[object] = []
    async with room_of(server) as room:
        for name in ("event", "room_deleted"):
            room.add_listener(name, lambda told, name=name: heard.append((name, told.event_name)))
        await server.show(event("greenroom:ROOM_DELETED"), event("poll", 2))
        await until(lambda: len(heard) == 3)
    gone = "greenroom:ROOM_DELETED"
    assert heard == [("event", gone), ("room_deleted", gone), ("event", "poll")]


async def test_defaults() -> None:
    """As the reference has them."""
    room = ChatRoom("ws://here", tokens())
    assert (room.timeout, room._queue_size, room.dropped) == (15, 2000, 0)
    assert (room._keeper._attempts, room._keeper._ssl) == (3, True)
    assert room._keeper._delay is back_off.delay
    assert room._asking.url() == "ws://here"
    assert ChatRoom("ws://here", tokens(), events=True)._asking.url() == "ws://here?events=on"
    assert len({room.id, ChatRoom("ws://here", tokens()).id}) == 2
    assert ChatRoom("ws://here", tokens(), id="mine").id == "mine"


async def test_what_nobody_reads_is_bounded(server: Server) -> None:
    """The oldest go, and are counted."""
    async with room_of(server, queue_size=3) as room:
        heard: list[object] = []
        room.add_listener("message", heard.append)
        await server.show(*(message(number) for number in range(10)))
        await until(lambda: len(heard) == 10)
        assert room.dropped == 7
        entities = aiter(room)
        assert (await anext(entities)).id == "message00007"


async def test_listeners_come_and_go(server: Server) -> None:
    """One that fails stops no other; one that is removed hears no more; a wrong name is told."""
    async with room_of(server) as room:
        heard: list[object] = []

        def fails(entity: object) -> None:
            raise RuntimeError("listener")

        room.add_listener("message", fails)
        remove = room.add_listener("message", heard.append)
        await server.show(message(1))
        await until(lambda: len(heard) == 1)
        remove()
        room.remove_listener("message", fails)
        await server.show(message(2))
        entities = aiter(room)
        assert [(await anext(entities)).id for _ in range(2)] == ["message00001", "message00002"]
        assert len(heard) == 1
        with pytest.raises(ValueError, match="'mesage'"):
            room.add_listener("mesage", heard.append)


async def test_so_many_ids_are_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown twice is told once, unless too much came between."""
    monkeypatch.setattr(chat_room, "REMEMBERED", 3)
    room, heard = ChatRoom("ws://here", tokens()), list[ChatMessage]()
    room.add_listener("message", heard.append)
    for number in (1, 2, 3, 3, 4, 1, 4, 3, 2):
        room._received(json.dumps(message(number)))
    assert [each.content[-1] for each in heard] == ["1", "2", "3", "4", "1", "2"]


async def test_the_next_connection_asks_for_what_comes_behind() -> None:
    """What was shown last, where the room asks at all."""
    room, silent = ChatRoom("ws://here", tokens(), history=5), ChatRoom("ws://here", tokens())
    for each in (room, silent):
        each._received(json.dumps(message(1)))
        each._received(json.dumps(message(2)))
    assert room._asking.url() == "ws://here?history=5&since=message00002"
    assert silent._asking.url() == "ws://here"


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, []), ({"Recovered": "true"}, ["recovered"]), ({"Recovered": "false"}, ["gap"])],
)
async def test_whether_all_that_was_missed_comes(more: dict[str, str], told: list[str]) -> None:
    """It is told of each connection but the first, to who listens for it, and as an event."""
    room, heard = ChatRoom("ws://here", tokens(), events=True), list[str]()
    for name in ("event", "recovered", "gap"):
        room.add_listener(name, lambda _, name=name: heard.append(name))
    attributes = {"Count": "2", "More": "false", **more}
    room._received(json.dumps(event("greenroom:HISTORY", Attributes=attributes)))
    room._received(json.dumps(event("poll", 2, Attributes={"Recovered": "true"})))
    assert heard == ["event", *told, "event"]


async def test_an_event_that_names_nobody() -> None:
    """It is an event like others."""
    room, heard = ChatRoom("ws://here", tokens()), list[ChatEvent]()
    room.add_listener("event", heard.append)
    room.add_listener("user_disconnect", pytest.fail)
    room._received(json.dumps(event("aws:DISCONNECT_USER", Attributes={"Reason": "why"})))
    assert [each.event_name for each in heard] == ["aws:DISCONNECT_USER"]


async def test_a_listener_is_taken_away_by_its_name() -> None:
    """In the room's words or the SDK's; one that is not there is no fault."""
    room, heard = ChatRoom("ws://here", tokens()), list[object]()
    room.add_listener("message", heard.append)
    room.remove_listener("message", print)
    room._received(json.dumps(message(1)))
    room.remove_listener("message", heard.append)
    room._received(json.dumps(message(2)))
    assert len(heard) == 1


async def test_a_request_on_a_connection_that_breaks() -> None:
    """It is told at once, and can be made again."""
    room = ChatRoom("ws://here", tokens())
    broken = aiohttp.ClientConnectionResetError("closing")
    room._keeper.current = Mock(send=AsyncMock(side_effect=broken))
    for _ in range(2):
        request = SendMessageRequest("hi", request_id="mine")
        with pytest.raises(ChatDisconnected, match=r"^the connection broke$") as caught:
            await room.send_message(request)
        assert (caught.value.reason, caught.value.__cause__) == (None, broken)


async def test_a_room_that_never_was_connected_is_disconnected() -> None:
    """Nothing is waited for."""
    room = ChatRoom("ws://here", tokens())
    await room.disconnect()
    assert (room.state, room.disconnect_reason) == (ConnectionState.DISCONNECTED, None)


async def test_disconnecting_while_connecting(server: Server) -> None:
    """It ends the attempts; whoever waits for the connection is told."""
    server.refusals = [503] * 1000
    room = ChatRoom(server.url, tokens(), max_reconnect_attempts=None, delay=lambda attempt: 0.01)
    waiting = asyncio.create_task(room.connect())
    await until(lambda: len(server.tokens) > 3)
    await room.disconnect()
    with pytest.raises(ChatDisconnected, match="clientDisconnect"):
        await waiting
    assert room.state is ConnectionState.DISCONNECTED


async def test_disconnecting_ends_whoever_waits_for_it(server: Server) -> None:
    """Who is cancelled meanwhile, and who asks once more, leave nothing half closed."""
    async with room_of(server) as room:
        first = asyncio.create_task(room.disconnect())
        second = asyncio.create_task(room.disconnect())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert server.sockets[0].close_code == 1000
        assert room.state is ConnectionState.DISCONNECTED


@pytest.mark.parametrize(
    "given",
    [
        ChatToken("secret"),
        "secret",
        {"token": "secret"},
        {"token": "secret", "sessionExpirationTime": "2026-11-29T12:00:00.000Z"},
        {"token": "secret", "tokenExpirationTime": datetime(2026, 11, 29)},  # noqa: DTZ001
    ],
)
def test_what_a_provider_may_return(given: object) -> None:
    """A token, its text, or what CreateChatToken answered; nobody sees it in a log."""
    token = ChatToken.of(given)
    assert token.token == "secret"
    assert "secret" not in repr(token)
    ends = token.ends()
    assert ends is None or ends.tzinfo is not None


@pytest.mark.parametrize(
    "given", [None, 7, {}, {"token": 7}, {"token": "t", "sessionExpirationTime": 7}]
)
def test_what_a_provider_may_not_return(given: object) -> None:
    """It is told what it may."""
    with pytest.raises(TypeError, match=r"must be|returns"):
        ChatToken.of(given)


def test_times_that_a_provider_gives() -> None:
    """Of a session, else of the token; without a time zone they are UTC."""
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    given = {"token": "t", "tokenExpirationTime": "2026-11-29T12:00:00"}
    assert ChatToken.of(given).ends() == noon
    later = {**given, "sessionExpirationTime": noon + timedelta(hours=1)}
    assert ChatToken.of(later).ends() == noon + timedelta(hours=1)


@pytest.mark.parametrize(
    ("headers", "words"),
    [({"x-amzn-ErrorType": "Kind"}, "403 Kind"), ({}, "403 "), (None, "403 ")],
)
async def test_a_handshake_that_is_refused(headers: Any, words: str) -> None:
    """Its status is told, and its kind where it has one, never the token."""
    refused = aiohttp.WSServerHandshakeError(Mock(), (), status=403, headers=headers)
    session: Any = Mock(ws_connect=AsyncMock(side_effect=refused))
    with pytest.raises(ConnectionRefusedError) as caught:
        await Connection.open(session, "ws://here", "secret", False, Mock())
    assert str(caught.value) == f"the service answered {words}"
    assert caught.value.__suppress_context__
    assert session.ws_connect.call_args.kwargs["protocols"] == ("secret",)


async def test_a_connection_is_waited_for_while_it_is_replaced() -> None:
    """What was connected and is not any more does not count."""
    room = ChatRoom("ws://here", tokens())
    room._change(ConnectionState.CONNECTED)
    assert room._connected.is_set()
    room._change(ConnectionState.CONNECTING)
    assert not room._connected.is_set()
    room._change(ConnectionState.CONNECTED)
    room._disconnected(DisconnectReason.SERVER_DISCONNECT)
    assert not room._connected.is_set()


def test_a_region_stands_for_its_endpoint() -> None:
    """A URL is taken as it is."""
    assert chat_room.url_of("eu-west-1") == "wss://edge.ivschat.eu-west-1.amazonaws.com"
    assert chat_room.url_of("ws://127.0.0.1:8470/x?y") == "ws://127.0.0.1:8470/x?y"


def test_pauses_grow_and_are_random() -> None:
    """They double up to a bound, and no two clients wait the same time."""
    for attempt, most in ((1, 0.5), (2, 1.0), (3, 2.0), (50, 15.0)):
        waits = {back_off.delay(attempt) for _ in range(50)}
        assert len(waits) > 10
        assert most / 4 <= min(waits) <= max(waits) <= most
