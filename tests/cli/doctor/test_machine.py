"""What the machine is judged by, each with its remedy.

Covers: greenroom.cli.doctor.findings
"""

import errno
import shutil
import socket
from pathlib import Path

import pytest

from greenroom.cli.doctor import findings, machine
from greenroom.cli.doctor.findings import Finding, Level
from greenroom.server.start_check import _Check
from greenroom.settings.load import load

GIB = 1024**3


def found(settings: dict[str, object], part: str) -> list[Finding]:
    """Return what is found of a part."""
    return [each for each in machine.look(load(settings, {}, None)) if each.part == part]


def test_clock() -> None:
    """A clock that nothing keeps right is told; one that nobody knows of is not."""
    assert machine.clock(machine.CLOCK_IS_FREE).level is Level.NOTE
    assert machine.clock(0).level is machine.clock(None).level is Level.OK


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (100 * GIB, 200 * GIB, Level.OK),
        (1 * GIB, 200 * GIB, Level.NOTE),
        (1 * GIB, 8 * GIB, Level.OK),
        (64 * 1024**2, 200 * GIB, Level.FAULT),
    ],
)
def test_disk(free: int, total: int, level: Level) -> None:
    """Little room is a note, none a fault; on a small disk a tenth is enough."""
    said = machine.disk(Path("data"), free, total)
    assert said.level is level
    assert bool(said.remedy) is (level is not Level.OK)


def test_a_place_that_may_not_be_looked_at(
    tmp_path: Path, no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is a fault with its remedy, and the others are looked at."""

    def forbidden(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "disk_usage", forbidden)
    monkeypatch.setattr(Path, "stat", forbidden)
    monkeypatch.setattr(Path, "exists", forbidden)
    seen = list(machine.look(load({"data_dir": str(tmp_path)}, {}, None)))
    faults = {each.part: each for each in seen if each.level is Level.FAULT}
    assert faults.keys() >= {"disk", "permissions"}
    assert faults["disk"].said == f"cannot be looked at: {tmp_path}: Permission denied"
    assert "run this as the user of the service" in faults["permissions"].remedy
    assert {"clock", "limits", "io_uring", "aws"} <= {each.part for each in seen}


def test_modes(tmp_path: Path) -> None:
    """What is secret is for its owner only; the remedy can be pasted."""
    (secret := tmp_path / "credentials").write_text("x")
    secret.chmod(0o644)
    (said,) = machine.modes(tmp_path)
    assert said.level is Level.FAULT
    assert said.remedy == f"chmod 600 {secret}"
    secret.chmod(0o600)
    (said,) = machine.modes(tmp_path)
    assert said.level is Level.OK
    assert list(machine.modes(tmp_path / "missing")) == []


def test_open_files() -> None:
    """Fewer than the connections need are told, with how many connections they are good for."""
    settings = load({}, {"GREENROOM_CONNECTIONS_PER_NODE": "1000"}, None)
    assert machine.files(None, settings).level is Level.OK
    assert machine.files(1256, settings).level is Level.OK
    said = machine.files(1024, settings)
    assert said.level is Level.NOTE
    assert "about 768 connections, of the 1,000" in said.said


def test_io_uring() -> None:
    """Switched off, it is not looked for; else it is tried."""
    off = load({}, {"GREENROOM_IO_URING": "off"}, None)
    assert machine.io_uring(off).said == "switched off by the setting"
    assert machine.io_uring(load({}, {}, None)).level in {Level.OK, Level.NOTE}


def test_endpoints(no_aws_credentials: None) -> None:
    """Servers that settings name are called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        settings: dict[str, object] = {"storage": "memory", "logs_endpoint": url}
        (said,) = found(settings, "logs_endpoint")
        assert (said.level, said.said) == (Level.OK, f"{url} answers")
    (said,) = found(settings, "logs_endpoint")
    assert said.level is Level.FAULT
    assert "refused" in said.said


def test_credentials(no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """That none are at hand is a fault where a setting sends to AWS."""
    memory: dict[str, object] = {"storage": "memory"}
    (said,) = found(memory, "aws")
    assert said.level is Level.OK
    to_aws = {**memory, "chat_log_destinations": {"*": "aws"}}
    (said,) = found(to_aws, "aws")
    assert said.level is Level.FAULT
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
    (said,) = found(to_aws, "aws")
    assert said.said == "AWS credentials: the access key AKIATEST of the variable AWS_ACCESS_KEY_ID"


def test_the_services_own_key_is_none_for_aws(
    no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who has exported the file of the first minute is not told that AWS takes its key."""
    (file := tmp_path / "credentials").write_text(
        "[greenroom]\naws_access_key_id = AKIATESTTESTTESTTEST\n"
        "aws_secret_access_key = never-shown\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "greenroom")
    own: dict[str, object] = {"data_dir": str(tmp_path)}
    (said,) = found(own, "aws")
    assert said.said.startswith("no AWS credentials")
    (said,) = found({**own, "chat_log_destinations": {"*": "aws"}}, "aws")
    assert said.level is Level.FAULT
    (said,) = found({**own, "lambda_endpoint": "http://127.0.0.1:1"}, "aws")
    assert "AKIATESTTESTTESTTEST" in said.said


def test_each_part_of_a_start_has_a_remedy() -> None:
    """What a start would refuse is not left without a word on what to do."""
    parts = {name for name, _ in _Check(load({}, {}, None)).parts()}
    assert parts == findings.REMEDIES.keys() - {"settings"}
