"""The trail of moderation: a line for what was done and for what was refused."""

import json
from pathlib import Path

import pytest

from greenroom.audit.log import AuditLog
from greenroom.audit.refusals import CALLER_BURST
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import PendingVerification
from greenroom.model.restriction import RESTRICTIONS
from greenroom.protocol.actions import DeleteMessage
from greenroom.protocol.own_actions import Restrict
from tests.stand_ins.hand_clock import HandClock

CLAIMS = ChatTokenClaims("t", "arn:room", "mod", (), {}, 1, 2)
ACTION = DeleteMessage(id="m1", request_id="r", reason="hush")


async def done() -> str:
    """Succeed."""
    return "id"


async def refused() -> str:
    """Fail as a suspended account's actions do."""
    raise PendingVerification("pending")


async def test_lines(tmp_path: Path) -> None:
    """The outcome is the error's code, which the sender gets all the same."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    trail = ModerationTrail(log)
    await trail.follow(CLAIMS, ACTION, done())
    with pytest.raises(PendingVerification):
        await trail.follow(CLAIMS, ACTION, refused())
    await log.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["Success", "PendingVerification"]
    assert not any("suppressed" in line for line in lines)
    assert "hush" not in (tmp_path / "audit.log").read_text()


async def test_each_kind_has_its_operation(tmp_path: Path) -> None:
    """A restriction is called what it is called over HTTP, so that one search finds both."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    trail = ModerationTrail(log)
    for kind in RESTRICTIONS:
        action = Restrict(
            user_id="bob", kind=kind, seconds=0, reason="", request_id="r", by_message=False
        )
        await trail.follow(CLAIMS, action, done())
    await log.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    events = " ".join(line["event"] for line in lines)
    assert events == "BanUser MuteUser ShadowBanUser HoldUser MonitorUser"


async def test_refusals_have_a_bound(tmp_path: Path) -> None:
    """A moderator who is refused again and again writes some lines, and the rest is counted."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    trail = ModerationTrail(log, HandClock().clock)
    for _ in range(CALLER_BURST + 50):
        with pytest.raises(PendingVerification):
            await trail.follow(CLAIMS, ACTION, refused())
    await log.close()
    *lines, last = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert len(lines) == CALLER_BURST
    assert (last["event"], last["suppressed"]) == ("AuditGap", 50)


async def test_without_a_log() -> None:
    """Nothing is written where there is no log."""
    await ModerationTrail().follow(CLAIMS, ACTION, done())
