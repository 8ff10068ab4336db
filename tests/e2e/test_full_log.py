"""A log that cannot be written fails nothing but itself."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.wire import WebSocket, api_of
from tests.service import STARTUP_SECONDS, Service, environment


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_log_on_a_full_disk(tmp_path: Path) -> None:
    """Requests, refusals, chat and the stop are as ever while every line of the log is lost."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "greenroom", "serve", "--port", "0", "--ready-file"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*command, str(ready), "--data-dir", str(tmp_path / "data")],
            env=environment(GREENROOM_LOG_LEVEL="debug"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=full,
        )
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        service = Service(process, json.loads(ready.read_text()), tmp_path / "none")
        with api_of(service) as api:
            room = api.room()
            talker = WebSocket.connect(service, api.token(room))
            for _ in range(200):
                # Each refusal is a line of the log.
                refused = WebSocket(service)
                assert refused.upgrade("x.y").status == 400
                refused.socket.close()
            assert api.call("GetRoom", identifier=room)["arn"] == room
            talker.socket.close()
        assert process.poll() is None
        assert service.stop() == 0
    finally:
        process.kill()
        process.wait()
