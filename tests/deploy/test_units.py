"""The systemd units and the logrotate file, read by the programs that they are for."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.running.said import until
from tests.running.service import environment, running

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
LOGROTATE = DEPLOY / "logrotate" / "greenroom"
TMPFILES = DEPLOY / "tmpfiles" / "greenroom.conf"
UNIT = DEPLOY / "systemd" / "greenroom.service"
INSTALLED = "/opt/greenroom/.venv/bin/greenroom"
SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"

EXPOSURE = 20
"""The most that `systemd-analyze security` may find, from 0 (nothing left to take away) to 100."""


def program(name: str, package: str) -> str:
    """Return a program's path. Without it the test is skipped; in CI it fails."""
    if path := shutil.which(name, path=SBIN):
        return path
    reason = f"needs {name}: install it (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end; both outputs are in `stdout`."""
    return subprocess.run(
        command,
        env={**environment(), "LC_ALL": "C", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Return copies of the units, with a program in the place of the installed one."""
    copies = []
    for unit in sorted((DEPLOY / "systemd").iterdir()):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(INSTALLED, shutil.which("true") or "/bin/true"))
        copies.append(str(copy))
    return copies


def test_systemd_reads_the_units(units: list[str]) -> None:
    """Each option is known to systemd, with a value that it takes; the units find each other."""
    analyze = program("systemd-analyze", "systemd")
    read = run(analyze, "verify", "--man=no", *units)
    assert (read.returncode, read.stdout) == (0, "")


def test_systemd_is_told_of_what_is_wrong(units: list[str]) -> None:
    """The test above would fail for an option that systemd does not know."""
    analyze = program("systemd-analyze", "systemd")
    service = next(Path(unit) for unit in units if unit.endswith(".service"))
    service.write_text(service.read_text().replace("UMask=", "UMusk="))
    assert "UMusk" in run(analyze, "verify", "--man=no", *units).stdout


def test_the_service_is_confined(units: list[str]) -> None:
    """What the process does not need is taken from it, as systemd's own measure has it."""
    analyze = program("systemd-analyze", "systemd")
    options = ("--offline=true", f"--threshold={EXPOSURE}", "--no-pager")
    service = next(unit for unit in units if unit.endswith(".service"))
    judged = run(analyze, "security", *options, service)
    assert judged.returncode == 0, judged.stdout


def test_the_data_directory_is_private() -> None:
    """Only the service can read what it keeps, and write nowhere else."""
    options = settings_of(UNIT)
    assert options["UMask"] == "0077"
    assert options["StateDirectoryMode"] == "0700"
    assert options["ProtectSystem"] == "strict"
    directory = f"/var/lib/{options['StateDirectory']}"
    assert f"--data-dir {directory}" in options["ExecStart"]
    assert options["ExecReload"] == f"{options['ExecStart']} --takeover --background"
    assert LOGROTATE.read_text().count(f"{directory}/audit.log {{") == 1


def settings_of(unit: Path) -> Mapping[str, str]:
    """Return a unit's options; of those that are there twice, the last one."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))


def test_secrets_stay_private(tmp_path: Path) -> None:
    """What somebody has written anew with other rights has root's again, at the next boot."""
    tmpfiles = program("systemd-tmpfiles", "systemd")
    secrets = tmp_path / "etc" / "greenroom.env"
    secrets.parent.mkdir()
    secrets.write_text("GREENROOM_SECRET_ACCESS_KEY=x\n")
    secrets.chmod(0o644)
    if os.getuid() != 0:
        pytest.skip("needs root")
    done = run(tmpfiles, f"--root={tmp_path}", "--create", str(TMPFILES))
    assert (done.returncode, done.stdout) == (0, "")
    assert secrets.stat().st_mode & 0o777 == 0o600
    named = re.findall(r"^EnvironmentFile=-(\S+)$", UNIT.read_text(), re.MULTILINE)
    assert named == re.findall(r"^z (\S+)", TMPFILES.read_text(), re.MULTILINE)


def test_logrotate_rotates_under_the_service(tmp_path: Path) -> None:
    """The file is read without a complaint, and the service goes on in a new file, mode 0600."""
    logrotate = program("logrotate", "logrotate")
    log = tmp_path / "data" / "audit.log"
    configured = tmp_path / "logrotate.conf"
    configured.write_text(LOGROTATE.read_text().replace("/var/lib/greenroom", str(log.parent)))
    configured.chmod(0o644)
    with running(log.parent, GREENROOM_AUDIT_LOG_BYTES="0") as service:
        service.boto3().create_room()
        # A line is in the file soon after the answer, not before it.
        until(lambda: "CreateRoom" in log.read_text(), "the line is written")
        path = f"{stand_in(tmp_path / 'bin', service.process.pid)}:{SBIN}"
        options = (f"--state={tmp_path / 'state'}", str(configured))
        dry = run(logrotate, "--debug", *options, PATH=path)
        assert (dry.returncode, "error" in dry.stdout) == (0, False), dry.stdout
        rotated = run(logrotate, "--force", *options, PATH=path)
        assert (rotated.returncode, rotated.stdout) == (0, "")
        until(log.exists, "the log is begun anew")
    assert "CreateRoom" in log.with_name("audit.log.1").read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def stand_in(directory: Path, pid: int) -> Path:
    """Put a systemctl there that does what the file asks for, without systemd."""
    directory.mkdir()
    systemctl = directory / "systemctl"
    systemctl.write_text(
        '#!/bin/sh\n[ "$*" = "kill --signal=HUP greenroom.service" ] || exit 1\n'
        f"exec kill -HUP {pid}\n"
    )
    systemctl.chmod(0o755)
    return directory
