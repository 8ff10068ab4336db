"""The audit log's files of the real process: rotated by itself, by logrotate's way, and told."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.said import entries, until
from tests.service import Service, running

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
