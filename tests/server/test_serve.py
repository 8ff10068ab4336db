"""The composition root, in this process; its signals and exit codes are tested in e2e.

Covers: greenroom.entrance.ready, greenroom.server.adapters, greenroom.server.messaging_plane,
    greenroom.server.node
"""

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance.ready import Ready
from greenroom.server.serve import run_service
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreInUse


def settings(tmp_path: Path, **flags: str) -> Settings:
    """Return settings for a free port and a directory of the test's."""
    return load({"port": "0", "data_dir": str(tmp_path / "data"), **flags}, {}, None)


def fetch(url: str) -> tuple[int, dict[str, str]]:
    """Return status and JSON of a URL."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, msgspec.json.decode(error.read())


@pytest.mark.parametrize("storage", ["sqlite", "memory"])
async def test_serves_until_it_is_told_to_stop(tmp_path: Path, storage: str) -> None:
    """From ready to SIGTERM it answers; afterwards the address and the data are free again."""
    told: asyncio.Queue[Ready] = asyncio.Queue()
    given = settings(tmp_path, storage=storage)
    secrets: list[str] = []
    with capture_logs() as logs:
        for _ in range(2):
            serving = asyncio.create_task(run_service(given, told.put_nowait))
            ready = await told.get()
            secrets.append(ready.secret_access_key)
            assert (await asyncio.to_thread(fetch, ready.health_url))[0] == 200
            status, body = await asyncio.to_thread(fetch, f"{ready.api_url}/anything")
            assert (status, body["__type"]) == (403, "MissingAuthenticationTokenException")
            if storage == "sqlite":
                assert ready.data_dir == str((tmp_path / "data").resolve())
                with pytest.raises(StoreInUse):
                    await run_service(given, told.put_nowait)
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", int(ready.api_url.rpartition(":")[2])))
            assert logs[-1]["event"] == "stopped"
    assert not any(secret in str(logs) for secret in secrets)
    assert (tmp_path / "data").exists() is (storage == "sqlite")
