"""What the messaging plane counts: every connection, refusal, frame and flush, once."""

import pytest

from greenroom.bus.base import Arrival, Deliver
from greenroom.bus.rings import Rings
from greenroom.entrance.metrics_endpoint import watch
from greenroom.messaging import fanout as fanout_module
from tests.stand_ins.caller import Caller
from tests.stand_ins.stage import ROOM, Stage, action, client_frame, settle, stage, token

HERE = str(ROOM)


def value(made: Stage, name: str, **labels: str) -> float:
    """Return a sample as it would be scraped; it must exist."""
    found = made.metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def watched(made: Stage) -> Stage:
    """Connect the metrics with the stage, as the service does."""
    resumes = made.replays.resumes
    watch(made.metrics, made.hub, made.chat, made.rooms, Caller().plane, Rings(), resumes)
    return made


async def test_connections() -> None:
    """An upgrade counts as a connection and takes a time, or as a refusal with its reason."""
    async with stage() as raw:
        made = watched(raw)
        edge, _ = await made.connect()
        made.begin("a.b")
        await settle()
        assert value(made, "ivschat_concurrent_chat_connections") == 1
        assert value(made, "greenroom_rooms") == 1
        assert value(made, "greenroom_connects_total") == 1
        assert value(made, "greenroom_handshake_seconds_count") == 1
        refused = "greenroom_handshake_refusals_total"
        assert value(made, refused, reason="token_malformed") == 1
        assert value(made, refused, reason="token_used") == 0
        edge.data_received(client_frame(b"", 0x88))
        edge.connection_lost(None)
        assert value(made, "ivschat_concurrent_chat_connections") == 0
        assert value(made, "greenroom_disconnects_total", reason="peer_closed") == 1
        assert value(made, "greenroom_disconnects_total", reason="peer_lost") == 0


async def test_a_handshake_that_nobody_waits_for() -> None:
    """A peer that is gone before its answer is neither a connection nor a time."""
    async with stage() as made:
        made.store.gate.clear()
        edge, _ = made.begin(token())
        await settle()
        edge.connection_lost(None)
        made.store.gate.set()
        await settle()
        assert value(made, "greenroom_connects_total") == 0
        assert value(made, "greenroom_handshake_seconds_count") == 0


async def test_requests_and_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request counts once and its frames once per connection, whichever API it came through."""
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", 0)
    async with stage() as raw:
        made = watched(raw)
        edge, transport = await made.connect()
        for user in ("bob", "cid"):
            await made.connect(user)
        edge.data_received(action() + action())
        await settle()
        size = sum(map(len, transport.take()))
        assert value(made, "greenroom_fanout_seconds_count") == 1
        assert value(made, "greenroom_delivered_bytes_total") == 3 * size
        edge.data_received(action("DELETE_MESSAGE", Id="Message00001"))
        await made.chat.send_event(HERE, "flag", None)
        await made.chat.disconnect_user(HERE, "nobody", None)
        await settle()
        wanted = {"SendMessage": 2, "DeleteMessage": 1, "SendEvent": 1, "DisconnectUser": 1}
        for name, number in wanted.items():
            assert value(made, "ivschat_requests_total", action=name) == number
            assert value(made, "ivschat_deliveries_total", action=name) == 3 * number
        assert value(made, "ivschat_messaging_requests_total") == 5
        assert value(made, "ivschat_messaging_deliveries_total") == 15


async def test_nothing_is_counted_where_nothing_is_written() -> None:
    """A room without connections here, and a flush without frames, leave no trace."""
    async with stage() as raw:
        made = watched(raw)
        await made.connect()
        elsewhere = HERE.replace("Room0", "Room9")
        made.hub.receive(Arrival(elsewhere, 1, [Deliver(b"x", "SendEvent")]))
        made.hub.after_flush(HERE, lambda: None)
        await settle()
        assert value(made, "greenroom_fanout_seconds_count") == 0
        assert value(made, "ivschat_messaging_deliveries_total") == 0


async def test_a_flush_in_slices_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large room's flush is observed once, from its start to its last slice."""
    monkeypatch.setattr(fanout_module, "FLUSH_INTERVAL", 0)
    monkeypatch.setattr(fanout_module, "SLICE", 2)
    async with stage() as raw:
        made = watched(raw)
        for number in range(5):
            await made.connect(f"user{number}")
        made.publish(b"x")
        await settle()
        assert value(made, "greenroom_fanout_seconds_count") == 1
        assert value(made, "ivschat_deliveries_total", action="SendEvent") == 5


async def test_refused_actions() -> None:
    """An ERROR counts by its code, also the one that ends a session; nothing was requested."""
    async with stage() as raw:
        made = watched(raw)
        edge, _ = await made.connect()
        edge.data_received(client_frame(b"{"))
        assert value(made, "greenroom_action_errors_total", code="400") == 1
        edge.expire()
        await settle()
        assert value(made, "greenroom_action_errors_total", code="401") == 1
        assert value(made, "greenroom_disconnects_total", reason="expired") == 1
        assert value(made, "ivschat_messaging_requests_total") == 0


async def test_slow_readers() -> None:
    """A queue that begins to grow counts as a stall, one that passes its bound as a drop."""
    async with stage() as made:
        edge, transport = await made.connect()
        edge.pause_writing()
        edge.resume_writing()
        assert value(made, "greenroom_write_stalls_total") == 1
        transport.queued = 65_537
        edge.pause_writing()
        assert value(made, "greenroom_write_stalls_total") == 2
        assert value(made, "greenroom_disconnects_total", reason="slow_reader") == 1
