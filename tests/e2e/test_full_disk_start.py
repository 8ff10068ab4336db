"""Starting while the disk takes nothing: what is there already is served."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.running.service import STARTUP_SECONDS, environment, start
from tests.running.wire import api_of

NO_SPACE = {"PYTHONPATH": str(Path(__file__).parent / "no_space")}


def command(data: Path, **variables: str) -> "subprocess.Popen[str]":
    """Start a service whose output is read."""
    return subprocess.Popen(
        [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--data-dir", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
        text=True,
    )


def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """Nothing that is unchanged is written again: it serves, and the stop is clean."""
    data = tmp_path / "data"
    service = start(data)
    with api_of(service) as api:
        room = api.room()
    assert service.stop() == 0
    credentials = (data / "credentials").stat().st_ino
    process = command(data, **NO_SPACE)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        url = re.search("http://[0-9.:]+", process.stdout.readline())
        assert url, process.stderr.read()
        ready = {**service.ready, "api_url": url[0]}
        with api_of(msgspec.structs.replace(service, process=process, ready=ready)) as api:
            assert api.call("GetRoom", identifier=room)["arn"] == room
        process.terminate()
        process.communicate(timeout=STARTUP_SECONDS)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    assert (data / "credentials").stat().st_ino == credentials


def test_no_space_for_the_index(tmp_path: Path) -> None:
    """Where SQLite has no room to begin, the one line says that, and not that a file is damaged."""
    data = tmp_path / "data"
    start(data).kill()
    ended = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; exec {sys.executable} -m greenroom serve --data-dir {data}"],
        capture_output=True,
        text=True,
        env=environment(GREENROOM_PORT="0"),
        timeout=STARTUP_SECONDS,
        check=False,
    )
    assert ended.returncode == 5
    assert "greenroom.db cannot be written, the disk is full: make room" in ended.stderr
    assert ended.stderr.count("\n") == 1
