"""When what is long over is swept; all else of messages that were sent is in the contracts."""

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.model.sent_message import KEPT_MS, SentMessage
from greenroom.storage.postgres import sent_messages
from greenroom.storage.postgres.sent_messages import PostgresSentMessages
from tests.stand_ins.values import NOW


async def test_it_is_swept_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind so many claims, twice as many at most: what is swept is more than what comes."""
    monkeypatch.setattr(sent_messages, "PRUNE_EVERY", 3)
    database: Any = Mock(write=AsyncMock(return_value=None))
    sent, swept = PostgresSentMessages(database), list[int]()
    for number in range(1, 8):
        message = SentMessage(key="k", fingerprint="f", message_id="id", asked_at=NOW + number)
        assert await sent.claim(message) is None
        if database.aside.called:
            swept.append(number)
            assert database.aside.call_args.args[1:] == (NOW + number - KEPT_MS, 6)
            database.aside.reset_mock()
    assert swept == [3, 6]
