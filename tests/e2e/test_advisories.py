"""What other servers' advisories teach, beyond hostile bytes: each lesson, in the real process.

Hostile bytes, and the advisories about them, are in `test_hostile.py`. The table of all of them is
in `docs/explanation/threat-model.md`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from greenroom.cli.exit_codes import ExitCode
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.process.randomness import new_key
from greenroom.tokens.key_ring import NONCE_BYTES, KeyRing, seal_claims
from tests.running.attacks import Target, answer_to, attacked, frames_after
from tests.running.process import cpu_seconds, resident, sockets
from tests.running.service import environment
from tests.running.wire import (
    PING,
    WebSocket,
    client_frame,
    token_line,
    upgrade_bytes,
)

MEBIBYTE = 1_048_576


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a service without rates."""
    with attacked(tmp_path_factory.mktemp("advisories")) as target:
        yield target


@pytest.fixture(autouse=True)
def unmoved(target: Target) -> Iterator[None]:
    """Check after each test that process, log and neighbours are as before."""
    yield
    target.assert_unmoved()


def test_a_user_is_revoked_on_open_connections(target: Target) -> None:
    """CVE-2026-9162: whoever is disconnected is so on every open connection, at once."""
    room = target.api.room()
    tokens = [target.api.token(room, "revoked") for _ in range(3)]
    clients = [WebSocket.connect(target.service, token) for token in tokens]
    target.api.call("DisconnectUser", roomIdentifier=room, userId="revoked", reason="out")
    for client in clients:
        frames = client.read_frames()
        assert frames[-1].close_code == 1000
        client.socket.close()
    for token in tokens:
        assert answer_to(target.service, upgrade_bytes(token_line(token))).status == 409


def test_claims_count_once_they_are_verified(target: Target) -> None:
    """CVE-2026-32301: what a token claims, or which key it names, is used for nothing before.

    A forged token is refused in the same words whatever it claims, and used up by none.
    """
    _, key = new_key()
    answers = []
    for room in (target.api.room(), "arn:aws:ivschat:us-east-1:123456789012:room/NoSuchRoom00"):
        for key_id in ("known", "http://169.254.169.254/keys", "../../etc/passwd"):
            claims = ChatTokenClaims(
                token_id="AbCdEf123456",
                room_arn=room,
                user_id="user",
                capabilities=tuple(Capability),
                attributes={},
                token_expires=2**50,
                session_expires=2**50,
            )
            forged = seal_claims(KeyRing({key_id: key}, key_id), claims, token_bytes(NONCE_BYTES))
            answer = answer_to(target.service, upgrade_bytes(token_line(forged)))
            answers.append((answer.status, answer.json["ErrorMessage"]))
    assert set(answers) == {(403, "The chat token was not issued by this service")}


def test_nothing_else_listens(target: Target) -> None:
    """CVE-2021-43799: the process has one port, and without being told so only on loopback."""
    inodes = sockets(target.service)
    listening = [
        fields[1]
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[9] in inodes and fields[3] in {"0A", "07"}
    ]
    port = int(target.service.api_url.rpartition(":")[2])
    assert listening == [f"0100007F:{port:04X}"]


def test_a_held_lock_is_not_waited_for(target: Target, tmp_path: Path) -> None:
    """CVE-2026-45078: who finds the data in use says so and ends; it tries nothing again."""
    command = [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--data-dir"]
    before = cpu_seconds(target.service)
    ended = subprocess.run(
        [*command, str(target.service.ready["data_dir"])],
        capture_output=True,
        env=environment(),
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == ExitCode.DATA_IN_USE
    assert len(ended.stderr.splitlines()) == 1
    assert cpu_seconds(target.service) - before < 5


def test_a_page_of_deleted_rooms_does_not_end_a_listing(target: Target) -> None:
    """CVE-2026-45076: what is gone between two pages does not hide what comes after it."""
    name: dict[str, Any] = {"name": "paged"}
    rooms = [target.api.room(**name) for _ in range(9)][::-1]
    page = target.api.call("ListRooms", maxResults=3, **name)
    assert [each["arn"] for each in page["rooms"]] == rooms[:3]
    for gone in rooms[3:6]:
        target.api.call("DeleteRoom", identifier=gone)
    seen = []
    while "nextToken" in page:
        page = target.api.call("ListRooms", maxResults=3, nextToken=page["nextToken"], **name)
        seen += [each["arn"] for each in page["rooms"]]
    assert seen == rooms[6:]


MALFORMED: list[dict[str, Any]] = [
    {"name": "\ud800"},
    {"name": "a b"},
    {"name": 1},
    {"tags": {"\udfff": "x"}},
    {"tags": {"": "x"}},
    {"tags": {"a": 2**70}},
    {"messageReviewHandler": {"uri": "http://169.254.169.254/", "fallbackResult": "ALLOW"}},
    {"messageReviewHandler": {"uri": "file:///etc/passwd", "fallbackResult": "ALLOW"}},
    {"loggingConfigurationIdentifiers": ["x"]},
    {"maximumMessageLength": 10**400},
]


def test_what_is_malformed_is_not_kept(target: Target) -> None:
    """CVE-2025-61672, CVE-2025-30355: what one caller sends wrong breaks nothing for the next."""
    known = {each["arn"] for each in target.api.call("ListRooms", maxResults=50)["rooms"]}
    for parameters in MALFORMED:
        answer = target.api.request("CreateRoom", **parameters)
        assert answer.status == 400, (parameters, answer)
    after = {each["arn"] for each in target.api.call("ListRooms", maxResults=50)["rooms"]}
    assert after == known


def test_what_is_malformed_reaches_nobody(target: Target) -> None:
    """CVE-2025-30355: of a room's clients only the one that sent it hears of a malformed action."""
    room = target.api.room()
    with WebSocket.connect(target.service, target.api.token(room, "other")) as other:
        for payload in (b'{"Action":"SEND_MESSAGE","Content":"\\ud800"}', b"[" * 5000, b"\xff"):
            frames_after(target.service, target.api, room, client_frame(payload))
        target.api.call("SendEvent", roomIdentifier=room, eventName="last")
        assert other.read_json()["EventName"] == "last"


def test_review_handlers_are_no_urls(target: Target) -> None:
    """CVE-2024-39713, H1 3473145: callers of the API name no address to call; operators do."""
    for uri in ("http://127.0.0.1/", "https://example.com/", "arn:aws:lambda:::function:x@evil"):
        handler = {"uri": uri, "fallbackResult": "ALLOW"}
        answer = target.api.request("CreateRoom", messageReviewHandler=handler)
        assert answer.status == 400, uri


def test_hostile_connections_leave_nothing(target: Target) -> None:
    """CVE-2022-0217: over and over the same attacks, and memory stays where it was.

    The fix of that advisory leaked what the attack had not.
    """
    room = target.api.room()
    nested = json.dumps({"Action": "SEND_MESSAGE", "Content": "x"}).encode()[:-1] + b"[" * 30_000
    attacks = (
        client_frame(nested),
        client_frame(b"x" * 60_000, 0x01),
        client_frame(b"", 0x01) + client_frame(b"", 0x00) * 1000,
        bytes((0x81, 0xFF)) + (2**63 - 1).to_bytes(8, "big") + b"mask",
        client_frame(b"p" * 125, PING) * 100,
    )

    def attack(times: int) -> None:
        for _ in range(times):
            for data in attacks:
                frames_after(target.service, target.api, room, data)
            answer_to(target.service, upgrade_bytes(token_line(b"a." + b"b" * 60_000)))

    attack(10)
    before = resident(target.service)
    attack(60)
    assert resident(target.service) - before < 4 * MEBIBYTE
