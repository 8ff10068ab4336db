"""A `requestId` that is given again, by itself: what is answered, and how long it is waited for.

What is sent, and what a store keeps of it: tests/control/greenroom/test_messages.py.
"""

from typing import Any
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest

from greenroom.chat.posting import UNKNOWN, Asked, Posting
from greenroom.model.errors import ConflictException
from greenroom.model.sent_message import PENDING_MS, SentMessage
from greenroom.protocol.actions import SendMessage
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import claims_of

ASKED = Asked(
    sender=claims_of(),
    message=SendMessage("hi", request_id="r"),
    address="",
    own={},
    request={"content": "hi"},
)


class Scene:
    """Somebody asks for what another one has asked for before, which a store knows."""

    def __init__(self, **known: Any) -> None:
        self.known, self.looks, self.pending = known, 0, 0
        self.metrics, self.chat = Metrics(), Mock()
        kept: Any = Mock(claim=self.claim)
        ids = Mock(return_value="new")
        self.posting = Posting(self.chat, Mock(), kept, HandClock().clock, ids, self.metrics)

    async def claim(self, claim: SentMessage) -> SentMessage:
        """Return what was known before: without an outcome for the first looks."""
        self.looks += 1
        known = {"message_id": "first", **self.known}
        if self.looks <= self.pending:
            known["time_ns"] = 0
        return msgspec.structs.replace(claim, **known)

    def repeated(self) -> float | None:
        """Return how many were answered so."""
        return self.metrics.registry.get_sample_value("greenroom_repeated_sends_total")


async def test_what_was_sent_is_answered_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted, and nothing is sent; while it has no outcome it is looked for now and then."""
    scene = Scene(time_ns=7)
    scene.pending = 7
    sleep = AsyncMock()
    monkeypatch.setattr("greenroom.chat.posting.asyncio.sleep", sleep)
    post = await scene.posting.send(ASKED)
    assert (post.message_id, post.time_ns, scene.repeated()) == ("first", 7, 1)
    pauses = [each.args[0] for each in sleep.await_args_list]
    assert pauses == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5]
    scene.chat.send_message.assert_not_called()


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"fingerprint": "other", "time_ns": 7}, "requestId was given for another message"),
        ({"asked_at": HandClock().clock.now_ms() - PENDING_MS}, UNKNOWN),
    ],
)
async def test_what_cannot_be_answered(known: dict[str, Any], why: str) -> None:
    """Another message, and one of which nobody knows what became: neither is sent."""
    scene = Scene(**known)
    with pytest.raises(ConflictException, match=why):
        await scene.posting.send(ASKED)
    assert (scene.looks, scene.repeated()) == (1, 0)
    scene.chat.send_message.assert_not_called()
