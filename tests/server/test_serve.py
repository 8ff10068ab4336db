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
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance.ready import Ready
from greenroom.server.serve import _task_group, _warn, run_service
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


async def test_a_lone_error_of_a_task_is_raised_as_itself() -> None:
    """What ends the service has its own exit code; several errors stay a group."""

    async def fail(error: Exception) -> None:
        raise error

    async def run(errors: list[Exception]) -> None:
        async with _task_group() as tasks:
            for error in errors:
                tasks.create_task(fail(error))

    with pytest.raises(StoreInUse):
        await run([StoreInUse("one")])
    with pytest.raises(ExceptionGroup):
        await run([StoreInUse("one"), LookupError("two")])


NO_TLS = "no TLS: "
TO_AWS = "chat logs go to AWS"


@pytest.mark.parametrize(
    ("hosts", "proxies", "certificate", "key", "warnings"),
    [
        (["127.0.0.1", "::1"], "", None, None, []),
        (["127.0.0.1", "0.0.0.0"], "", None, None, [NO_TLS]),
        (["192.0.2.1"], "", None, None, [NO_TLS]),
        (["192.0.2.1"], "", "certificate", None, []),
        (["192.0.2.1"], "192.0.2.2", None, None, []),
        (["127.0.0.1"], "", None, "AKIAOFAWS", [TO_AWS]),
        (["127.0.0.1"], "", None, "AKIAOFTHISSERVICE", []),
    ],
)
def test_what_nobody_may_have_meant(
    hosts: list[str],
    proxies: str,
    certificate: str | None,
    key: str | None,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    no_aws_credentials: None,
) -> None:
    """A start warns of messages that anybody on the way can read, and of logs that go to AWS."""
    if key is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened: Any = SimpleNamespace(
        settings=load({"trusted_proxies": proxies}, {}, None),
        listening=SimpleNamespace(hosts=hosts),
        certificate=certificate,
    )
    ready: Any = SimpleNamespace(access_key_id="AKIAOFTHISSERVICE", listening_on="here")
    with capture_logs() as logs:
        _warn(opened, ready)
    assert [line["log_level"] for line in logs] == ["warning"] * len(warnings)
    assert all(line["event"].startswith(said) for line, said in zip(logs, warnings, strict=True))
