"""A log that cannot be written fails nothing but itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.service import Service, environment, until_ready
from tests.running.wire import WebSocket, api_of


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
        service = Service(process, until_ready(process, ready), tmp_path / "none")
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
