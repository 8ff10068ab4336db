"""The actions: each has one performer, one quota, and a line in the audit log or none.

Covers: greenroom.messaging.edge
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.audit.log import AuditLog
from greenroom.bus.base import BusUnavailable, Disconnect, Grant
from greenroom.chat.outcome import Placed
from greenroom.messaging import edge as edge_module
from greenroom.messaging.actions import _COMMANDING, PERFORMERS, Actions
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.model.quotas import BY_NAME as QUOTAS
from greenroom.protocol.actions import ACTIONS, BY_NAME, OPERATIONS, Action, DisconnectUser
from greenroom.protocol.errors import ActionError
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.stage import LIMITS, NO_BOUND, ROOM, action, settle, stage, texts

MEMBERS: Mapping[str, dict[str, str]] = {
    "SEND_MESSAGE": {},
    "DELETE_MESSAGE": {"Id": "M2YcHkgffEvU", "Reason": "hush"},
    "DISCONNECT_USER": {"UserId": "nobody", "Reason": "hush"},
}


def test_the_table_is_whole() -> None:
    """Each action has a performer and a quota, and every other table knows it by the same name."""
    assert PERFORMERS.keys() == set(ACTIONS) == set(BY_NAME.values())
    assert MEMBERS.keys() == BY_NAME.keys()
    assert {each.quota for each in ACTIONS} <= QUOTAS.keys()
    assert all(QUOTAS[each.quota].is_request_rate for each in ACTIONS)
    assert {each.operation for each in ACTIONS} < set(OPERATIONS)
    assert DisconnectUser.operation == Disconnect.action


@pytest.mark.parametrize("name", BY_NAME)
async def test_each_counts_against_its_quota(name: str) -> None:
    """At the quota that its row names an action is refused with 429, and only that one."""
    async with stage(LIMITS, NO_BOUND, 3600, **{BY_NAME[name].quota: 1}) as made:
        edge, transport = await made.connect()
        for other in [*BY_NAME, name]:
            edge.data_received(action(other, **MEMBERS[other], RequestId=other))
            await settle()
        errors = [each for each in texts(transport.take()) if each["Type"] == "ERROR"]
        assert [(each["ErrorCode"], each["RequestId"]) for each in errors] == [(429, name)]


@pytest.mark.parametrize(
    "where", ["at once", "waited for", "placed", "own action", "own action that is audited"]
)
@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("secret words"), 500, "An internal error occurred"),
        (BusUnavailable("away"), 503, "away"),
        (StorageUnavailable("path"), 500, "The service cannot take the request now"),
        (ActionError(406, "not so"), 406, "not so"),
        (ROOM.not_found(), 404, "The room cannot be found"),
    ],
    ids=["a fault", "bus", "store", "refused", "no room"],
)
async def test_what_fails_is_answered(
    monkeypatch: pytest.MonkeyPatch, where: str, error: Exception, code: int, text: str
) -> None:
    """Behind its place in the room as well; a fault of ours is told to the log, without words."""

    async def fail(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise error

    def sent(*_: object) -> object:
        if where == "at once":
            raise error
        return Placed(fail()) if where == "placed" else fail()

    asked = {
        "own action": action("greenroom:LIST_USERS", RequestId="r"),
        "own action that is audited": action("greenroom:UNPIN", MessageId="a" * 12, RequestId="r"),
    }
    if isinstance(error, ActionError):
        error.request_id = "r"
    async with stage() as made:
        edge, transport = await made.connect()
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(made.chat, "send_message", sent)
            patched.setattr(made.users, "page", fail)
            patched.setattr(made.pins, "unpin", fail)
            edge.data_received(asked.get(where, action(RequestId="r")))
            await settle(30)
        (told,) = texts(transport.take())
        assert (told["ErrorCode"], told["RequestId"]) == (code, "r")
        assert told["ErrorMessage"] == text
        crashes = [each for each in logs if each["event"] == "action crashed"]
        assert len(crashes) == isinstance(error, ValueError)
        assert "secret" not in str(logs)
        edge.data_received(action(RequestId="s"))
        await settle()
        assert texts(transport.take())[0]["RequestId"] == "s"


async def test_nobody_is_answered_who_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What his action comes to is written to nobody, and is no error that anybody was told."""
    failing = asyncio.Event()

    async def fail(*_: object) -> None:
        await failing.wait()
        raise BusUnavailable("away")

    async with stage() as made:
        edge, transport = await made.connect()
        monkeypatch.setattr(made.chat, "send_message", fail)
        edge.data_received(action(RequestId="r"))
        await settle()
        edge.connection_lost(None)
        failing.set()
        await settle()
        assert transport.take() == []
        told = made.metrics.registry.get_sample_value
        assert not told("greenroom_action_errors_total", {"code": "503"})


@pytest.mark.parametrize("name", BY_NAME)
async def test_the_audit_log_has_what_the_row_says(name: str, tmp_path: Path) -> None:
    """One line with the moderator and the members that the row names, or no line; no reason."""
    row: type[Action] = BY_NAME[name]
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    async with stage() as made:
        made.actions = Actions(
            made.chat,
            made.hub,
            made.time.clock,
            made.ids,
            made.metrics,
            made.logger,
            ModerationTrail(log, made.time.clock),
            made.own,
        )
        edge, _ = await made.connect()
        edge.data_received(action(name, **MEMBERS[name], RequestId="r"))
        await settle()
    await log.close()
    path = tmp_path / "audit.log"
    lines = [json.loads(each) for each in path.read_text().splitlines()] if path.exists() else []
    assert [each["event"] for each in lines] == ([row.operation] if row.audited else [])
    for each in lines:
        assert each["details"].keys() == {"moderator", *row.audited}
        assert "hush" not in str(each)
        assert "suppressed" not in each


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", BY_NAME)
async def test_a_bus_that_cannot_publish(
    name: str, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is told with a 503, at once or later, and the message counts for no quota."""
    async with stage(LIMITS, NO_BOUND, 3600, send_message_rate=1) as made:
        edge, transport = await made.connect()

        async def refuse_later() -> int:
            raise BusUnavailable("no answer in time")

        def refuse(_room: str, _grant: Grant) -> Awaitable[int]:
            if at_once:
                raise BusUnavailable("too many wait")
            return refuse_later()

        with monkeypatch.context() as patched:
            patched.setattr(made.line, "publish", refuse)
            for _ in range(3):
                edge.data_received(action(name, **MEMBERS[name], RequestId="r"))
                await settle()
        frames = texts(transport.take())
        assert [(each["ErrorCode"], each["RequestId"]) for each in frames] == [(503, "r")] * 3
        assert set(made.chat.requests.values()) == {0}
        edge.data_received(action("SEND_MESSAGE", RequestId="s"))
        await settle()
        (frame,) = texts(transport.take())
        assert frame["Type"] == "MESSAGE"


@pytest.mark.parametrize("most", [2, 128])
async def test_messages_whose_outcome_is_open_hold_up_nothing(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is in its room's queue as it comes, in order, and answered by itself; up to a bound."""
    monkeypatch.setattr(edge_module, "MOST_UNANSWERED", most)
    async with stage() as made:
        edge, transport = await made.connect()
        outcomes: list[asyncio.Future[int]] = []

        def publish(_room: str, _grant: Grant) -> Awaitable[int]:
            outcomes.append(asyncio.get_running_loop().create_future())
            return outcomes[-1]

        monkeypatch.setattr(made.line, "publish", publish)
        for number in range(5):
            edge.data_received(action("SEND_MESSAGE", RequestId=f"{number}"))
            await settle()
        assert len(outcomes) == min(5, most + 1)
        # The last one first: its time does not depend on those before it.
        for _ in range(3):
            for outcome in reversed([each for each in outcomes if not each.done()]):
                outcome.set_exception(BusUnavailable("no answer in time"))
            await settle(20)
        frames = texts(transport.take())
        assert sorted(each["RequestId"] for each in frames) == ["0", "1", "2", "3", "4"]
        assert {each["ErrorCode"] for each in frames} == {503}
        assert transport.is_reading()


@pytest.mark.parametrize("known", [True, False, None])
def test_who_may_command(known: bool | None) -> None:
    """Only of a moderator it matters whether the room has commands; then what is known is said."""
    actions: Any = Mock()
    actions._own.settings.has_commands.return_value = known
    claims: Any = Mock(capabilities={"SEND_MESSAGE"}, room_arn="arn")
    assert Actions._has_commands(actions, claims) is False
    claims.capabilities = set(_COMMANDING)
    assert Actions._has_commands(actions, claims) is known
    actions._own.settings.has_commands.assert_called_once_with("arn")


@pytest.mark.parametrize("unanswered", [0, edge_module.MOST_UNANSWERED - 1, 128])
async def test_what_was_waited_for_may_have_its_place(unanswered: int) -> None:
    """Its outcome is told when it comes, while the next frames are handled; up to a bound."""
    loop = asyncio.get_running_loop()
    placed: asyncio.Future[None] = loop.create_future()
    edge: Any = Mock(_unanswered=unanswered, _busy=True)

    async def place() -> Any:
        return placed

    waiting = asyncio.create_task(edge_module.Edge._wait(edge, place(), [], 3))
    await settle()
    is_full = unanswered >= edge_module.MOST_UNANSWERED
    assert waiting.done() is not is_full
    assert edge._queue.call_count == (0 if is_full else 1)
    placed.set_result(None)
    await waiting
    edge._handle.assert_called_once_with([], 3)
    edge._resume.assert_called_once_with()
    edge._drop.assert_not_called()
