"""The client whose messages go straight to who listens, and the way around where they cannot."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock
from unittest.mock import AsyncMock, Mock

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, MaxPayloadError, OutboundBufferLimitError

from greenroom.bus.nats import client as module
from greenroom.bus.nats.client import DirectClient, NotEncrypted, is_direct
from greenroom.bus.nats.straight import command
from greenroom.process.event_loop import loop_factory
from tests.running.buses import until

HEADERS = {"Nats-Sequence": "5", "Other": "value"}


@pytest.fixture(params=[True, False], ids=["direct", "by callback"])
async def client(request: pytest.FixtureRequest, bus_url: str) -> AsyncIterator[DirectClient]:
    """Give a connected client of both ways."""
    made = DirectClient(direct=request.param)
    await made.connect(bus_url.split(","), allow_reconnect=False, pending_size=1 << 20)
    made.read_straight()
    yield made
    await made.close()


def test_messages_go_straight_with_this_version() -> None:
    """With the nats-py that is installed; with another one they cost five times as much."""
    assert is_direct()


def test_another_nats_py_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose method is gone, or has other parameters, is used as it is meant to be."""

    async def other(self: object, message: object) -> None:
        """Process something else."""

    monkeypatch.setattr(Client, "_process_msg", other)
    assert not is_direct()
    monkeypatch.delattr(Client, "_process_msg")
    assert not is_direct()


async def test_what_a_listener_is_given(client: DirectClient) -> None:
    """The subject, the headers and the data of each message, in order, also of other clients."""
    heard: list[tuple[bytes, bytes, bytes]] = []
    subscribed = await client.listen("a.*", lambda *message: heard.append(message))
    assert bool(client._listeners) is client._direct
    await client.publish("a.b", b"plain")
    await client.publish("a.c", b"more", headers=HEADERS)
    await client.publish("b.a", b"of nobody")
    await until(lambda: len(heard) == 2)
    assert heard[0] == (b"a.b", b"", b"plain")
    subject, headers, data = heard[1]
    assert (subject, data) == (b"a.c", b"more")
    assert headers.startswith(b"NATS/1.0\r\n")
    assert b"\r\nNats-Sequence: 5\r\nOther: value\r\n" in headers
    await client.unlisten(subscribed)
    assert client._listeners == {}
    await client.publish("a.d", b"unheard")
    await client.flush()
    assert len(heard) == 2


async def test_what_is_listened_for_passes_nats_py_by(bus_url: str) -> None:
    """What it is given costs several times as much: that is only what is nobody's."""
    client = DirectClient()
    await client.connect(bus_url.split(","), allow_reconnect=False)
    client.read_straight()
    heard: list[bytes] = []
    with mock.patch.object(client._ps, "parse", wraps=client._ps.parse) as parsed:
        await client.listen("a.b", lambda _subject, _raw, data: heard.append(data))
        await client.publish("a.b", b"straight")
        await until(lambda: heard)
        await client.flush()
    given = b"".join(each.args[0] for each in parsed.call_args_list)
    assert b"PONG" in given
    assert b"straight" not in given
    await client.close()


async def test_what_comes_while_a_subscription_is_made(
    client: DirectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is heard; nats-py would take it for an answer, and end the connection at the second."""
    heard: list[bytes] = []
    subscribe = client._send_subscribe

    async def slowly(subscription: Any) -> None:
        await subscribe(subscription)
        for data in (b"1", b"2"):
            await client.publish("a.b", data)
        await client.flush()

    monkeypatch.setattr(client, "_send_subscribe", slowly)
    await client.listen("a.*", lambda _subject, _raw, data: heard.append(data))
    await client.publish("a.b", b"3")
    await until(lambda: len(heard) == 3)
    assert heard == [b"1", b"2", b"3"]
    assert client.is_connected


async def test_who_listens_once(client: DirectClient) -> None:
    """The server gives him the first message and no other, also before he listens no more."""
    heard: list[bytes] = []
    subscribed = await client.listen("e", lambda *message: heard.append(message[2]), once=True)
    for number in range(3):
        client.say("e", b"%d" % number)
    await client.flush()
    await until(lambda: heard)
    assert heard == [b"0"]
    await client.unlisten(subscribed)
    assert client._listeners == {}


async def test_a_status_is_in_the_first_line(client: DirectClient) -> None:
    """As servers write it."""
    heard: list[bytes] = []
    await client.listen("answers", lambda _subject, headers, _data: heard.append(headers))
    await client.publish("of.nobody", b"", reply="answers")
    await until(lambda: heard)
    assert heard[0].startswith(b"NATS/1.0 503")


async def test_what_is_said_is_in_order(client: DirectClient) -> None:
    """Also among what nats-py says: who listens, and then asks, hears the answer."""
    heard: list[tuple[bytes, bytes, bytes]] = []
    for number in range(20):
        name = f"c.{number}"
        await client.listen(name, lambda *message: heard.append(message))
        client.say(name, b"%d" % number, headers=HEADERS if number % 2 else None)
    client.say("c.0", b"last", "reply")
    await until(lambda: len(heard) == 21)
    # Without the direct way each subscription has a task of its own.
    heard.sort(key=lambda message: 0 if client._direct else int(message[0][2:]))
    said = [b"%d" % each for each in range(20)]
    said.insert(20 if client._direct else 1, b"last")
    assert [data for _, _, data in heard] == said
    assert {b"\r\nNats-Sequence: 5\r\n" in head for _, head, _ in heard[2:4]} == {False, True}


async def test_large_messages_in_both_directions(client: DirectClient) -> None:
    """They come in many parts, among small ones, and nothing of nats-py's own is in the way."""
    heard: list[bytes] = []
    await client.listen("d", lambda _subject, _headers, data: heard.append(data))
    sent = [bytes([number]) * size for number, size in enumerate((3, 900_000, 0, 500_000, 7))]
    for each in sent:
        client.say("d", each)
    await client.flush()
    await until(lambda: len(heard) == 5)
    assert heard == sent


async def test_what_cannot_be_said(client: DirectClient) -> None:
    """Too large a message; what a server does not take; anything over a connection that ended."""
    with pytest.raises(MaxPayloadError):
        client.say("a", bytes(client.max_payload + 1))
    with (
        mock.patch.object(client, "_waiting", return_value=(1 << 20) + 1),
        pytest.raises(OutboundBufferLimitError),
    ):
        client.say("a", b"x")
    with mock.patch.object(client, "_waiting", return_value=1 << 20):
        client.say("a", b"there is room for it")
    with mock.patch.object(client, "_max_payload", len(command("a", b"xyz"))):
        client.say("a", b"xyz")
        with pytest.raises(MaxPayloadError):
            client.say("a", b"xyz!")
    client.say("a", b"unheard")
    await client.close()
    with pytest.raises(ConnectionClosedError):
        client.say("a", b"x")


def test_what_is_said_when_the_connection_is_lost(bus_url: str) -> None:
    """It goes nowhere, and nothing is raised in the loop, which is the service's."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_say_when_lost(bus_url))


async def _say_when_lost(bus_url: str) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    client = DirectClient()
    await client.connect(bus_url.split(","), allow_reconnect=False)
    client.read_straight()
    writes = client._writes
    assert writes is not None
    with mock.patch.object(client, "_process_op_err", AsyncMock()) as noticed:
        writes.abort()
        await until(lambda: noticed.called)
        client.say("a", b"x")
        await asyncio.sleep(0)
    assert (client._said, faults) == ([], [])
    await client.close()


async def test_the_rest_is_as_ever(client: DirectClient, bus_url: str) -> None:
    """Subscriptions of nats-py's own work beside it."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    await client.listen("a", lambda *_: None)

    async def receive(message: Msg) -> None:
        await heard.put(message.data)

    await client.subscribe("b", cb=receive)
    await client.publish("b", b"x")
    assert await heard.get() == b"x"


# ------------------------------------------------------------------ step by step, without a server


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_client_that_is_left(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is closed, whatever nats-py does, and nothing is said of what its tasks met."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    monkeypatch.setattr(module, "ABANDON_SECONDS", 0.01)
    left: Any = DirectClient()
    closed: list[int] = []

    async def close() -> None:
        closed.append(1)
        if how == "fails":
            raise RuntimeError
        await asyncio.Event().wait()

    async def end() -> None:
        raise ConnectionResetError

    left.close, left._transport = close, Mock()
    left._reading_task, left._flusher_task = (asyncio.create_task(end()) for _ in range(2))
    left._ping_interval_task = asyncio.create_task(asyncio.sleep(60))
    left._ping_interval_task.cancel()
    await asyncio.wait([left._reading_task, left._flusher_task, left._ping_interval_task])
    await left.abandon()
    left._transport.close.assert_called_once_with()
    assert closed == [1]
    del left
    gc.collect()
    assert faults == []


async def test_a_client_that_never_connected_is_left() -> None:
    """There is nothing to close."""
    await DirectClient().abandon()


@pytest.mark.parametrize(
    ("encrypted", "told", "good"),
    [(True, {}, False), (True, {"tls_required": True}, True), (False, {}, True)],
)
def test_who_this_is_is_said_to_who_encrypts(
    monkeypatch: pytest.MonkeyPatch, encrypted: bool, told: dict[str, object], good: bool
) -> None:
    """Where the URL asks for it."""
    monkeypatch.setattr(Client, "_connect_command", lambda _: b"CONNECT")
    client = DirectClient(encrypted=encrypted, public_nkey="U")
    client._server_info = told
    assert client._public_nkey == "U"
    if good:
        assert client._connect_command() == b"CONNECT"
    else:
        with pytest.raises(NotEncrypted, match="it does not encrypt"):
            client._connect_command()
