"""The way out to AWS."""

import asyncio
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.aws_access import clients
from greenroom.aws_access.clients import AwsAccess, Credentials, Service
from greenroom.settings.load import load
from tests.stand_ins import answering


async def test_calls_run_in_threads(aws_credentials: None) -> None:
    """While a call waits for its answer the event loop goes on; calls overlap."""
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        arrived.release()
        go_on.wait(10)
        return 200, {}

    with answering.server(answer) as url:
        access = AwsAccess({Service.LOGS: url})
        calls = [
            asyncio.ensure_future(
                access.call(Service.LOGS, "us-east-1", "describe_log_groups", limit=number)
            )
            for number in (1, 2, 3)
        ]
        for _ in calls:
            await asyncio.to_thread(arrived.acquire)
        threads = [each for each in threading.enumerate() if each.name == "aws"]
        assert len(threads) == 3
        assert all(each.daemon for each in threads), "a process that ends does not wait for them"
        assert not any(call.done() for call in calls)
        go_on.set()
        await asyncio.gather(*calls)
        await access.close()


async def test_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more calls run than there are threads; a cancelled one has its turn until it ends."""
    monkeypatch.setattr(clients, "THREADS", 2)
    faults = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    access, go_on = AwsAccess({}), threading.Event()
    started = threading.Semaphore(0)
    running: list[int] = []

    def work(number: int) -> int:
        running.append(number)
        started.release()
        go_on.wait(10)
        return number

    calls = [asyncio.ensure_future(access.run(partial(work, number))) for number in range(4)]
    for _ in range(2):
        await asyncio.to_thread(started.acquire)
    calls[0].cancel()
    await asyncio.wait([calls[0]])
    assert running == [0, 1]
    go_on.set()
    assert await asyncio.gather(*calls[1:]) == [1, 2, 3]
    async with asyncio.timeout(10):
        # A thread gives its turn back a moment after its answer.
        for _ in range(2):
            await access._turns.acquire()
    assert faults == [], "nobody is told the answer of the one that was cancelled"


async def test_no_thread_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call for which the system has no thread fails, and takes nobody's turn."""

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    access = AwsAccess({})
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            await access.run(lambda: 1)
    assert access._turns._value == clients.THREADS
    assert await access.run(lambda: 1) == 1


async def test_errors_are_raised_where_they_are_awaited() -> None:
    """What a call raises, its caller gets."""
    with pytest.raises(ZeroDivisionError):
        await AwsAccess({}).run(lambda: 1 // 0)


def test_the_end_does_not_wait() -> None:
    """A process ends while a call hangs."""
    script = (
        "import asyncio, time\n"
        "from greenroom.aws_access.clients import AwsAccess\n"
        "async def main():\n"
        "    access = AwsAccess({})\n"
        "    call = asyncio.ensure_future(access.run(lambda: time.sleep(600)))\n"
        "    await asyncio.sleep(0.01)\n"
        "    call.cancel()\n"
        "    await access.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


async def test_three_attempts(aws_credentials: None) -> None:
    """A call that fails for a moment is made again, three times at most."""
    from botocore.exceptions import ClientError

    calls: list[str] = []

    def answer(operation: str, _parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        calls.append(operation)
        return 503, {"__type": "ServiceUnavailableException"}

    with answering.server(answer) as url:
        access = AwsAccess({Service.LOGS: url})
        with pytest.raises(ClientError):
            await access.call(Service.LOGS, "us-east-1", "describe_log_groups")
        await access.close()
    assert len(calls) == clients.ATTEMPTS


async def test_clients_are_kept_and_bounded(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one client per service and region, and no more than the bound."""
    monkeypatch.setattr(clients, "MAXIMUM_CLIENTS", 2)
    with answering.server(lambda *_: (200, {})) as url:
        access = AwsAccess({Service.LOGS: url})
        for region in ("us-east-1", "eu-west-1", "us-east-1", "us-west-2"):
            answer = await access.call(Service.LOGS, region, "describe_log_groups")
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        kept = [region for _, region in access._clients]
        await access.close()
    assert kept == ["us-east-1", "us-west-2"]


async def test_credentials(aws_credentials: None) -> None:
    """Credentials of the usual chain are found."""
    access = AwsAccess({})
    found = await access.credentials()
    assert found is not None
    assert found.access_key_id == os.environ["AWS_ACCESS_KEY_ID"]
    await access.close()


async def test_the_services_own_key(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The access key of this service itself, found where AWS's tools look, is not AWS's."""
    access = AwsAccess({})
    access.disown(os.environ["AWS_ACCESS_KEY_ID"])
    assert await access.credentials() is None
    own = [access.found_own_key]
    monkeypatch.setattr(access, "_opened", lambda: SimpleNamespace(get_credentials=lambda: None))
    assert await access.credentials() is None
    assert [*own, access.found_own_key] == [True, False]
    await access.close()


def test_each_service_has_a_setting() -> None:
    """Of its endpoint."""
    assert {each.setting for each in Service} <= load({}, {}, None).values.keys()


async def test_no_credentials(no_aws_credentials: None) -> None:
    """Where there are none, none are found, and nothing is raised."""
    access = AwsAccess({Service.S3: "http://localhost:1"})
    assert await access.credentials() is None
    has_endpoint = [service for service in Service if access.has_endpoint(service)]
    assert has_endpoint == [Service.S3]
    await access.close()


async def test_endpoints(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is the setting's, else the environment's, else AWS's for the region."""
    access = AwsAccess({Service.LOGS: "http://localhost:1/"})
    assert await access.endpoint(Service.LOGS, "eu-west-1") == "http://localhost:1"
    url = await access.endpoint(Service.LAMBDA, "eu-west-1")
    assert url == "https://lambda.eu-west-1.amazonaws.com"
    await access.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9/")
    access = AwsAccess({})
    assert await access.endpoint(Service.LAMBDA, "eu-west-1") == "http://127.0.0.1:9"
    await access.close()


async def test_exchanged_credentials(
    aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are exchanged in the file are found once the old ones were refused."""
    from botocore.exceptions import ClientError

    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = a\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    refused = [False]

    def answer(*_: object) -> tuple[int, dict[str, Any]]:
        return (400, {"__type": "UnrecognizedClientException"}) if refused[0] else (200, {})

    async def key_id() -> str | None:
        found = await access.credentials()
        return None if found is None else found.access_key_id

    with answering.server(answer) as url:
        access = AwsAccess({Service.LOGS: url})
        await access.call(Service.LOGS, "us-east-1", "describe_log_groups")
        client = access._clients[Service.LOGS, "us-east-1"]
        keys.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = a\n")
        assert await key_id() == "OLD"
        refused[0] = True
        with pytest.raises(ClientError):
            await access.call(Service.LOGS, "us-east-1", "describe_log_groups")
        refused[0] = False
        assert await key_id() == "NEW"
        await access.call(Service.LOGS, "us-east-1", "describe_log_groups")
        assert access._clients[Service.LOGS, "us-east-1"] is not client
        client.close()
        await access.close()


async def test_credentials_that_others_refused(
    no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept until somebody asks for them anew."""
    keys = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    access, found = AwsAccess({}), list[str]()
    for key_id, anew in (("OLD", False), ("NEW", False), ("NEW", True)):
        keys.write_text(f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = a\n")
        credentials = await access.credentials(anew=anew)
        found.append("" if credentials is None else credentials.access_key_id)
    await access.close()
    assert found == ["OLD", "OLD", "NEW"]


async def test_endpoints_of_ones_own(aws_credentials: None) -> None:
    """What speaks S3's protocol has no host name per bucket, and none of AWS's new checksums."""
    own, aws = AwsAccess({Service.S3: "http://localhost:1"}), AwsAccess({})
    for access, style, checksums in (
        (own, "path", "when_required"),
        (aws, "auto", "when_supported"),
    ):
        client = await access.run(partial(access._client, Service.S3, "us-east-1"))
        assert (client.meta.config.s3 or {}).get("addressing_style", "auto") == style
        assert client.meta.config.request_checksum_calculation == checksums
        assert client.meta.config.connect_timeout == clients.CONNECT_SECONDS
        assert client.meta.config.read_timeout == clients.READ_SECONDS
        assert client.meta.config.retries["total_max_attempts"] == clients.ATTEMPTS
        await access.close()


async def test_the_services_own_key_elsewhere(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator takes any key: where a service has an endpoint of its own, the own key counts."""
    key_id = os.environ["AWS_ACCESS_KEY_ID"]
    access = AwsAccess({Service.S3: "http://localhost:1"})
    access.disown(key_id)
    own = [access.found_own_key]
    assert await access.credentials() is None
    assert await access.credentials(Service.LAMBDA) is None
    own.append(access.found_own_key)
    found = await access.credentials(Service.S3)
    assert found is not None
    assert found.access_key_id == key_id
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://localhost:1")
    assert await access.credentials(Service.LAMBDA) is not None
    access.disown("ANOTHER")
    assert await access.credentials() is not None
    assert [*own, access.found_own_key] == [False, True, False]
    await access.close()


async def test_half_a_key(no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials without a secret, or without an id, are none."""

    class Found:
        access_key, secret_key, token = "AKID", "", None

        def get_frozen_credentials(self) -> "Found":
            return self

    access = AwsAccess({})
    monkeypatch.setattr(access, "_opened", lambda: SimpleNamespace(get_credentials=Found))
    assert await access.credentials() is None
    monkeypatch.setattr(Found, "access_key", "")
    monkeypatch.setattr(Found, "secret_key", "secret")
    assert await access.credentials() is None
    monkeypatch.setattr(Found, "access_key", "AKID")
    assert await access.credentials() == Credentials("AKID", "secret", None)


async def test_what_was_closed_is_kept_no_more() -> None:
    """Closing twice closes each client once."""
    access, client = AwsAccess({}), Mock()
    access._clients[Service.S3, "eu-west-1"] = client
    for _ in range(2):
        await access.close()
    client.close.assert_called_once_with()
    assert not access._clients
