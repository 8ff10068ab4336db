"""Floods of requests that are refused or cost much: nobody waits, no disk fills, no memory stays.

Whoever floods has no token, a key without any permission, or one that may ask policies. An innocent
client in a process of its own waits at most `WORST_RATIO` times as long as before.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import msgspec
import pytest

from greenroom.audit.refusals import ALL_BURST, ALL_PER_SECOND
from greenroom.model.quotas import CALLER_RATE
from tests.conftest import Measured
from tests.running.onlooking import WORST_RATIO, looking_on
from tests.running.over_tls import trusting
from tests.running.process import resident, serving
from tests.running.said import entries
from tests.running.service import Service
from tests.running.viewers import until
from tests.running.wire import signed, signed_bytes, upgrade_bytes

MEBIBYTE = 1_048_576
KEPT = 60 * MEBIBYTE
"""What the process may still have more when the attacker has left."""

SECONDS = 1.5
"""How long each flood lasts."""

PEERS = 3
KEYS = 3
"""Keys without permissions that take part."""

FORM = {"content-type": "application/x-www-form-urlencoded"}
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}


class Flood(msgspec.Struct):
    """The service that is flooded, by which keys, and what it answered, by status."""

    service: Service
    room: str
    mallory: list[Service]
    """The same service, known by keys that may do nothing."""
    answers: Counter[int] = msgspec.field(default_factory=Counter)

    async def again_and_again(self, requests: list[bytes]) -> None:
        """Send the requests for a while, on a few connections, each after the last answer."""
        ends = time.monotonic() + SECONDS
        await asyncio.gather(
            *(self._ask(requests[number % len(requests)], ends) for number in range(PEERS))
        )

    async def _ask(self, request: bytes, ends: float) -> None:
        url = urlsplit(self.service.api_url)
        while time.monotonic() < ends:
            reader, writer = await asyncio.open_connection(
                url.hostname, url.port, ssl=trusting() if url.scheme == "https" else None
            )
            try:
                while time.monotonic() < ends:
                    writer.write(request)
                    self.answers[await _answer(reader)] += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                continue  # an upgrade that is refused ends the connection
            finally:
                writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read an answer; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].split("\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])


def form(service: Service, api: str, action: str, **parameters: str) -> bytes:
    """Return the bytes of a signed request to IAM or STS."""
    given = {"Action": action, "Version": VERSIONS[api], **parameters}
    body = urlencode({name.replace("_", "."): value for name, value in given.items()}).encode()
    return signed_bytes(service, "POST", "/", body, headers=FORM, scope=api)


async def refused_upgrades(flood: Flood) -> None:
    """Upgrades without a token: a line of the log for each would be ten thousands a minute."""
    await flood.again_and_again([upgrade_bytes()])
    assert flood.answers.keys() == {401}


async def refused_requests(flood: Flood) -> None:
    """Keys that may do nothing, which name as much as they can."""
    tags = {"\u8a9e" * 125 + f"{number:03}": "" for number in range(50)}
    await flood.again_and_again(
        [signed(each, "TagResource", resourceArn=flood.room, tags=tags) for each in flood.mallory]
    )
    # Bodies of this size count as several requests: a quick machine meets the rate, too.
    assert flood.answers[403] > 0
    assert flood.answers.keys() <= {403, 429}


async def session_tokens(flood: Flood) -> None:
    """Keys that may do nothing, which ask for what everybody may have."""
    await flood.again_and_again([form(each, "sts", "GetSessionToken") for each in flood.mallory])
    # What a second holds at once, and what comes in the time.
    assert flood.answers[200] <= KEYS * CALLER_RATE * (2 + SECONDS)
    # A machine may be too slow to meet the rate.
    assert flood.answers[400] > 0 or flood.answers.total() <= KEYS * CALLER_RATE * 2
    assert flood.answers.keys() <= {200, 400}


async def simulations(flood: Flood) -> None:
    """Policies of 99 kB that are slow to match, against long names."""
    slow = "arn:aws:ivschat:" + "*a?a" * 20 + "b*"
    statement = {"Effect": "Deny", "Action": "*", "Resource": [slow] * 90}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    given = {f"PolicyInputList.member.{number}": document for number in range(1, 11)}
    given |= {f"ActionNames.member.{number}": f"a:b{number}" for number in range(1, 200)}
    given |= {"ResourceArns.member.1": "arn:aws:ivschat:" + "a" * 2_000}
    await flood.again_and_again([form(flood.service, "iam", "SimulateCustomPolicy", **given)])
    assert flood.answers.keys() <= {200, 400}
    assert flood.answers.total()


FLOODS: tuple[Callable[[Flood], Awaitable[None]], ...] = (
    refused_upgrades,
    refused_requests,
    session_tokens,
    simulations,
)


def keys_without_permissions(service: Service) -> list[Service]:
    """Return the service, as it is known by keys that may do nothing."""
    iam: Any = boto3.client(
        "iam",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )
    found = []
    for number in range(KEYS):
        iam.create_user(UserName=f"mallory-{number}")
        key = iam.create_access_key(UserName=f"mallory-{number}")["AccessKey"]
        pair = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
        found.append(msgspec.structs.replace(service, ready={**service.ready, **pair}))
    return found


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: str(flood.__name__))
async def test_flood(
    flood: Callable[[Flood], Awaitable[None]], tmp_path: Path, measured: Measured
) -> None:
    """The innocent go on, the log and the audit log stay short, and the memory is given back."""
    data = tmp_path / "data"
    async with serving(tmp_path, GREENROOM_REQUEST_RATES="relaxed") as (service, crowd):
        room, quiet = (str(service.boto3().create_room()["arn"]) for _ in range(2))
        flooding = Flood(service, room, await asyncio.to_thread(keys_without_permissions, service))
        async with looking_on(service, crowd.token(quiet, "onlooker")) as onlooker:
            await asyncio.sleep(SECONDS / 2)
            alone, memory = await onlooker.waits(), resident(service)
            audited = (data / "audit.log").stat().st_size
            await flood(flooding)
            met = await onlooker.waits()
        measured(f"{flood.__name__}: answers", flooding.answers.total())
        measured(f"{flood.__name__}: innocent before, ms", round(alone.usual * 1000, 1))
        measured(f"{flood.__name__}: innocent during, ms", round(met.usual * 1000, 1))
        assert met.ratio(alone) <= WORST_RATIO
        await until(lambda: resident(service) < memory + KEPT, "the memory is free again")
    written = (data / "audit.log").stat().st_size - audited
    lines = len(service.log.read_text().splitlines())
    measured(f"{flood.__name__}: lines of the log", lines)
    measured(f"{flood.__name__}: bytes of the audit log", written)
    assert lines < 100
    if flood in (refused_requests, session_tokens) and flooding.answers.keys() != {200}:
        assert written < (ALL_BURST + ALL_PER_SECOND * 60) * 2_048
        assert entries(service, "audit lines left out")
    if flood is refused_upgrades:
        told = entries(service, "handshake refused")
        assert sum(entry["times"] for entry in told) >= flooding.answers.total()
        assert {entry["address"] for entry in told} == {"127.0.0.1"}
