"""What the audit log says of requests: which ones, and what never."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from structlog.testing import capture_logs

from greenroom.audit import refusals
from greenroom.audit.entry import SUCCESS
from greenroom.audit.log import AuditLog
from greenroom.aws.signature.sigv4 import Request
from greenroom.control.trail import LEFT_OUT, Auditor, Trail
from greenroom.telemetry.bounded_log import BoundedLog
from tests.stand_ins.caller import ACCOUNT, LAMBDA, STRANGER, Caller
from tests.stand_ins.hand_clock import HandClock


class Audited(Caller):
    """A service with an audit log."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.log = path, AuditLog(path)
        self.is_open = True
        self.log.start()
        self.plane = self.plane_of(self.log)

    async def lines(self) -> list[dict[str, Any]]:
        """End the log and return what it says."""
        await self.log.close()
        self.is_open = False
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Audited]:
    """Give an audited service, whose log ends with the test."""
    audited = Audited(tmp_path / "audit.log")
    yield audited
    if audited.is_open:
        await audited.log.close()


async def test_changes_are_written_and_reading_is_not(api: Audited) -> None:
    """A change says who, what, where and which resource; a successful read says nothing."""
    room = await api.created(
        name="lobby", tags={"team": "value"}, messageReviewHandler={"uri": LAMBDA}
    )
    await api.call("GetRoom", identifier=room)
    await api.call("DeleteRoom", identifier=room)
    made, deleted = await api.lines()
    assert made.pop("time").startswith("2023-11-14T")
    assert len(made.pop("requestId")) == 36
    assert made == {
        "event": "CreateRoom",
        "outcome": "Success",
        "arn": f"arn:aws:iam::{ACCOUNT}:root",
        "principalId": ACCOUNT,
        "accessKeyId": f"AKIA{ACCOUNT}",
        "region": "us-east-1",
        "resources": [room],
        "details": {"name": "lobby", "messageReviewHandler": {"uri": LAMBDA}, "tags": ["team"]},
    }
    assert (deleted["event"], deleted["resources"]) == ("DeleteRoom", [room])


async def test_looking_at_what_was_deleted_is_written(api: Audited) -> None:
    """A listing with deleted messages has a line, another one has none."""
    room = await api.created()
    asked = {"roomIdentifier": room, "userId": "bob"}
    switches: list[dict[str, Any]] = [{}, {"includeDeleted": False}, {"includeDeleted": True}]
    for deleted in switches:
        assert (await api.call("ListMessages", **asked, **deleted)).status == 200
    _made, listed = await api.lines()
    assert (listed["event"], listed["resources"]) == ("ListMessages", [room])
    assert listed["details"] == {"userId": "bob", "includeDeleted": True}


async def test_tokens_are_told_without_the_token(api: Audited) -> None:
    """A token is for whom it is, with which capabilities and roles; neither itself nor the rest."""
    room = await api.created()
    answer = await api.call(
        "CreateChatToken",
        roomIdentifier=room,
        userId="anna",
        capabilities=["SEND_MESSAGE"],
        attributes={"k": "attribute-content", "greenroom:roles": "vip"},
    )
    await api.call("DisconnectUser", roomIdentifier=room, userId="anna", reason="reason-content")
    await api.call("TagResource", resourceArn=room, tags={"team": "value-content"})
    lines = await api.lines()
    assert lines[1]["details"] == {
        "userId": "anna",
        "capabilities": ["SEND_MESSAGE"],
        "attributes": {"greenroom:roles": "vip"},
    }
    assert lines[2]["details"] == {"userId": "anna"}
    assert lines[3]["details"] == {"tags": ["team"]}
    text = api.path.read_text()
    assert "content" not in text
    assert answer.body["token"] not in text


@pytest.mark.parametrize(
    ("outcome", "document", "told"),
    [(SUCCESS, '{ "a": 1 }', '{"a":1}'), ("MalformedPolicyDocument", "{ {", "{ {")],
)
async def test_documents(outcome: str, document: str, told: str, tmp_path: Path) -> None:
    """One that holds is told without white space, one that was refused as it came."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    trail = Trail("id", "")
    trail.operation, trail.parameters = "CreatePolicy", {"PolicyDocument": document}
    logger = create_autospec(BoundedLog, instance=True)
    await Auditor(log, HandClock().clock, logger).finish(trail, outcome)
    await log.close()
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert json.loads(line)["details"] == {"PolicyDocument": told}


async def test_refusals_are_written(api: Audited) -> None:
    """Whatever is refused is written with its code, reading too."""
    room = await api.created()
    await api.call("GetRoom", identifier=room, account=STRANGER)
    await api.call("CreateRoom", name="not a name")
    await api.accounts.suspend(ACCOUNT)
    await api.accounts.refresh()
    await api.call("UpdateRoom", identifier=room)
    _, stranger, invalid, pending = await api.lines()
    assert (stranger["event"], stranger["outcome"]) == ("GetRoom", "ResourceNotFoundException")
    assert stranger["resources"] == [room]
    assert (invalid["event"], invalid["outcome"]) == ("CreateRoom", "ValidationException")
    assert (pending["event"], pending["outcome"]) == ("UpdateRoom", "PendingVerification")


async def test_requests_without_proof_are_bounded(
    api: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot sign fills no disk: the line after those left out says how many they were."""
    for _ in range(refusals.UNPROVED_BURST + 20):
        await api.send(Request("POST", "/ListRooms", "", (("host", "h"),), b""))
    api.time.advance(1)
    await api.send(Request("POST", "/ListRooms", "", (("host", "h"),), b""))
    lines = await api.lines()
    assert lines[0]["outcome"] == "MissingAuthenticationTokenException"
    assert "arn" not in lines[0]
    assert "principalId" not in lines[0]
    assert sum(line.get("suppressed", 0) for line in lines) + len(lines) == (
        refusals.UNPROVED_BURST + 21
    )
    assert len(lines) < refusals.UNPROVED_BURST + 15


async def test_what_was_done_is_always_written(api: Audited) -> None:
    """However much was refused before, to the same caller: with how many lines that left out."""
    for _ in range(refusals.CALLER_BURST + 5):
        await api.call("CreateRoom", name="not a name")
    room = await api.created()
    *_, made = await api.lines()
    assert (made["event"], made["outcome"], made["resources"]) == ("CreateRoom", "Success", [room])
    assert made["suppressed"] == 5


async def test_refusals_of_a_key_are_bounded(api: Audited) -> None:
    """A key that may do nothing fills no disk: few lines, short ones, and all are accounted for.

    What others do, and what they are refused, is written all the same.
    """
    room = await api.created()
    tags = {"\u8a9e" * 125 + f"{number:03}": "" for number in range(50)}
    for _ in range(refusals.CALLER_BURST + 200):
        answer = await api.call("TagResource", resourceArn=room, tags=tags, account=STRANGER)
        assert answer.status == 404
    await api.call("GetRoom", identifier=room + "x")
    await api.call("DeleteRoom", identifier=room)
    lines = await api.lines()
    flood = [line for line in lines if line.get("event") == "TagResource"]
    assert len(flood) == refusals.CALLER_BURST
    assert max(len(json.dumps(line, ensure_ascii=False).encode()) for line in flood) < 2_048
    assert [line["event"] for line in lines[-3:]] == ["GetRoom", "DeleteRoom", "AuditGap"]
    assert lines[-1]["suppressed"] == 200


async def test_the_log_says_whose_refusals_are_left_out(api: Audited) -> None:
    """From the first one that is; as long as all are written it says nothing."""
    room = await api.created()
    said: list[list[Any]] = []
    for number in (refusals.CALLER_BURST, 1):
        with capture_logs() as lines:
            for _ in range(number):
                await api.call("GetRoom", identifier=room, account=STRANGER)
        said.append([line["caller"] for line in lines if line["event"] == LEFT_OUT])
    assert said == [[], [f"arn:aws:iam::{STRANGER}:root"]]


async def test_lines_without_proof_are_short(api: Audited) -> None:
    """What a stranger writes as the region of a credential is not kept: it has no length."""
    credential = f"AKIA/20231114/{'r' * 60_000}/ivschat/aws4_request"
    signature = f"Credential={credential}, SignedHeaders=host, Signature={'0' * 64}"
    headers = (
        ("host", "h"),
        ("x-amz-date", "20231114T000000Z"),
        ("authorization", f"AWS4-HMAC-SHA256 {signature}"),
    )
    await api.send(Request("POST", "/ListRooms", "", headers, b""))
    (line,) = await api.lines()
    assert line["outcome"] == "UnrecognizedClientException"
    assert len(json.dumps(line)) < 400
