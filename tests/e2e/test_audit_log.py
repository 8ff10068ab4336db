"""The audit log's files of the real process: rotated by itself, by logrotate's way, and told."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.running.said import entries, until
from tests.running.service import Service, running

MEBIBYTE = 1_048_576


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def refuse(service: Service, times: int) -> None:
    """Be refused so many times, with a good key."""
    client = service.boto3()
    for _ in range(times):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            client.get_room(identifier="arn:aws:ivschat:us-east-1:123456789012:room/AAAAAAAAAAAA")


def test_files_are_rotated_and_bounded(tmp_path: Path) -> None:
    """A file that is full at the start is put aside with the next line; the oldest is deleted."""
    data = tmp_path / "data"
    data.mkdir()
    log = data / "audit.log"
    log.write_text('{"time":"2026-01-02T00:00:00Z","event":"Old"}\n' * (MEBIBYTE // 40))
    for number in (7, 8):
        (data / f"audit.log.{number:06}").touch()
    bounds = {"GREENROOM_AUDIT_LOG_BYTES": str(MEBIBYTE), "GREENROOM_AUDIT_LOG_FILES": "2"}
    with running(data, **bounds) as service:
        service.boto3().create_room()
        until((data / "audit.log.000009").exists, "the file is rotated")
        assert service.stop() == 0
    assert sorted(path.name for path in data.glob("audit.log*")) == [
        "audit.log",
        "audit.log.000008",
        "audit.log.000009",
    ]
    assert [line["event"] for line in lines(log)] == ["CreateRoom"]
    assert {line["event"] for line in lines(data / "audit.log.000009")} == {"Old"}
    assert log.stat().st_mode & 0o777 == 0o600


def test_logrotate_moves_the_file_away(tmp_path: Path) -> None:
    """A line is in the old file, the one after the signal in a new one; none is lost."""
    log = tmp_path / "audit.log"
    with running(tmp_path, GREENROOM_AUDIT_LOG_BYTES="0") as service:
        service.boto3().create_room(name="before")
        until(lambda: log.stat().st_size, "the line is written")
        log.rename(tmp_path / "audit.log.1")
        service.boto3().create_room(name="between")
        service.process.send_signal(1)
        until(log.exists, "a new file is begun")
        service.boto3().create_room(name="after")
        assert service.stop() == 0
    moved, new = lines(tmp_path / "audit.log.1"), lines(log)
    assert [line["details"]["name"] for line in (*moved, *new)] == ["before", "between", "after"]
    assert new[-1]["details"]["name"] == "after"


def test_who_floods_the_audit_log_is_named(tmp_path: Path) -> None:
    """The service's log says whose refusals are too many, and whence they come."""
    with running(tmp_path, GREENROOM_LOG_FORMAT="json") as service:
        refuse(service, 150)
        assert service.stop() == 0
    told = entries(service, "audit lines left out")
    assert told[0]["caller"] == "arn:aws:iam::123456789012:root"
    assert told[0]["address"] == "127.0.0.1"
    written = lines(tmp_path / "audit.log")
    left_out = sum(line.get("suppressed", 0) for line in written)
    assert left_out == sum(line["times"] for line in told) > 0
    assert len([line for line in written if line.get("event") == "GetRoom"]) + left_out == 150


IDENTITIES = """
[users.web]
attach = ["chat"]
tags = { team = "TEAM" }
keys = [{ id = "AKIAWEBWEBWEBWEBWEB0", secret_variable = "WEB_SECRET" }]

[policies.chat.document]
Version = "2012-10-17"
Statement = { Effect = "Allow", Action = "ACTION", Resource = "*" }
"""
SECRET = "a-secret-that-nobody-may-read-anywhere"


def declared(path: Path, action: str, team: str = "red") -> None:
    """Write an identities file."""
    path.write_text(IDENTITIES.replace("ACTION", action).replace("TEAM", team))


def test_who_widened_a_policy_in_the_identities_file(tmp_path: Path) -> None:
    """A file's changes are lines: at the start, at SIGHUP, and over a restart; refusals too.

    Each has what was and what is, and none has a secret.
    """
    file, data = tmp_path / "identities.toml", tmp_path / "data"
    variables = {"GREENROOM_IDENTITIES_FILE": str(file), "WEB_SECRET": SECRET}
    declared(file, "ivschat:GetRoom")
    with running(data, **variables) as service:
        declared(file, "*")
        service.process.send_signal(1)
        until(lambda: "update policy" in (data / "audit.log").read_text(), "the file is applied")
        file.write_text("[users.web]\nnothing = 1")
        service.process.send_signal(1)
        until(lambda: "Refused" in (data / "audit.log").read_text(), "the file is refused")
        assert service.stop() == 0
    declared(file, "*", "blue")
    with running(data, **variables) as service:
        assert service.stop() == 0
    found = lines(data / "audit.log")
    assert {line["event"] for line in found} == {"ApplyIdentitiesFile"}
    assert {line["details"]["file"] for line in found} == {str(file)}
    changes = {line["details"].get("change"): line for line in found}
    assert list(changes) == [
        "create policy chat",
        "create user web",
        "attach arn:aws:iam::123456789012:policy/chat to user web",
        "create access key AKIAWEBWEBWEBWEBWEB0 of user web",
        "update policy chat: document",
        None,
        "update user web: tags team",
    ]
    widened = changes["update policy chat: document"]
    assert widened["resources"] == ["arn:aws:iam::123456789012:policy/chat"]
    before, after = (widened["details"][name]["document"] for name in ("before", "after"))
    assert json.loads(before)["Statement"]["Action"] == "ivschat:GetRoom"
    assert json.loads(after)["Statement"]["Action"] == "*"
    tags = changes["update user web: tags team"]["details"]
    assert (tags["before"], tags["after"]) == (
        {"tags": {"team": "red"}},
        {"tags": {"team": "blue"}},
    )
    assert changes[None]["outcome"] == "IdentitiesRefused"
    assert "users.web" in changes[None]["details"]["reason"]
    assert SECRET not in (data / "audit.log").read_text()


def test_who_redirected_the_chat_log(tmp_path: Path) -> None:
    """The destination stands in the line, whoever changes it, and the room that uses it."""
    with running(tmp_path) as service:
        client = service.boto3()
        logs = client.create_logging_configuration(
            destinationConfiguration={"s3": {"bucketName": "first-bucket"}}
        )["arn"]
        client.update_logging_configuration(
            identifier=logs, destinationConfiguration={"firehose": {"deliveryStreamName": "second"}}
        )
        room = client.create_room(loggingConfigurationIdentifiers=[logs])["arn"]
        assert service.stop() == 0
    created, updated, attached = lines(tmp_path / "audit.log")
    assert created["details"] == {
        "destinationConfiguration": {"s3": {"bucketName": "first-bucket"}}
    }
    assert updated["details"] == {
        "destinationConfiguration": {"firehose": {"deliveryStreamName": "second"}}
    }
    assert {line["resources"][0] for line in (created, updated)} == {logs}
    assert attached["resources"] == [room]
    assert attached["details"] == {"loggingConfigurationIdentifiers": [logs]}
