"""Three nodes are replaced one after another while rooms chat: everybody is back, nothing is lost.

Two nodes are taken over by a new process, the third one ends and starts behind a load balancer that
keeps the port open. Viewers come back as Amazon's SDK does; that SDK itself sends in each room.
With as many connections as the machine bears:

    ROLLING_CONNECTIONS=3000 .venv/bin/python -m pytest tests/cluster/test_rolling_restart.py
"""

import asyncio
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL
from tests.cluster.killing.observer import read_streams
from tests.conftest import Measured
from tests.running import messaging_driver
from tests.running.cluster import Place, nodes, place
from tests.running.links import Link
from tests.running.messaging_driver import Rooms
from tests.running.process import UNTHROTTLED
from tests.running.returning import Backend, Returners, Returning, Sender, all_talk
from tests.running.said import assert_no_faults
from tests.running.servers import fresh_account
from tests.running.service import Service
from tests.running.tokens_of import key_ring_in
from tests.running.viewers import at_once, percentile, seen, until

CONNECTIONS = int(os.environ.get("ROLLING_CONNECTIONS", "300"))
NODES = 3

BETWEEN = 1.0
"""Seconds of chat between two replacements, when everybody is back."""

BACK_SECONDS = 30 + CONNECTIONS / 50


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    """Let this process, which holds the clients, open as many files as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
async def shared(tmp_path: Path, database: str, nats_r3: list[NatsServer]) -> AsyncIterator[Place]:
    """Give the place of a cluster on three NATS servers."""
    async with fresh_account(nats_r3) as bus:
        yield place(tmp_path, database, bus)


@pytest.mark.timeout(240 + CONNECTIONS / 10)
async def test_everybody_is_back(
    shared: Place, postgresql_newest: PostgreSQL, measured: Measured
) -> None:
    """Every viewer and SDK is back, and what was acknowledged has been seen, once."""
    settings = {
        name.removeprefix("GREENROOM_").lower(): value for name, value in UNTHROTTLED.items()
    }
    with nodes(shared, NODES, **settings) as services:
        ports = [int(service.api_url.rpartition(":")[2]) for service in services]
        # What comes to the third one while it is away goes to another.
        async with Link(ports[2], ports[0], ports[1]).open() as front:
            fronts = [*services[:2], _behind(services[2], front)]
            ring = key_ring_in(
                postgresql_newest, shared.storage.rpartition("/")[2], shared.secrets_key
            )
            arns = [str(services[0].boto3().create_room()["arn"]) for _ in range(NODES)]
            crowds = [Returners(service, ring) for service in fronts]
            viewers = [
                Returning(crowds[number % NODES], arns[number // NODES % NODES], f"v-{number}")
                for number in range(CONNECTIONS)
            ]
            await at_once(each.enter() for each in viewers)
            async with messaging_driver.running("messaging_node.mjs") as sdk:
                rooms = [Rooms(sdk, service) for service in fronts]
                senders = [
                    Sender(await each.enter(arn, provider=Backend(there, arn, "sdk")))
                    for each, there, arn in zip(rooms, fronts, arns, strict=True)
                ]
                async with all_talk(senders):
                    await asyncio.sleep(BETWEEN)
                    for number in range(NODES):
                        services[number] = await asyncio.to_thread(
                            _replaced, shared, services[number], number, settings
                        )
                        await _all_back(viewers)
                        await asyncio.sleep(BETWEEN)
                _report(measured, viewers, senders)
                for sender in senders:
                    assert await sender.room.state() == "connected"
                    assert sender.room.seen("disconnect") == []
                assert [crowd.lost for crowd in crowds] == [[]] * NODES
                for each in rooms:
                    await each.leave()
            await asyncio.sleep(BETWEEN)
            for crowd in crowds:
                crowd.leaving = True
                await crowd.__aexit__()
        await _check(shared, viewers, senders, arns)
        for service in services:
            assert_no_faults(service)


def _behind(service: Service, front: Link) -> Service:
    """Return a service as who comes through a load balancer reaches it."""
    urls = {
        name: str(service.ready[name]).replace(service.api_url.rpartition(":")[2], str(front.port))
        for name in ("api_url", "websocket_url")
    }
    return msgspec.structs.replace(service, ready={**service.ready, **urls})


def _replaced(shared: Place, service: Service, number: int, settings: dict[str, str]) -> Service:
    """Return the next process of a node: two take over, the third one starts anew."""
    name = f"node-{number + 1}"
    if number < 2:
        after = shared.node(name, "--takeover", **settings)
        assert service.process.wait(BACK_SECONDS) == 0
        return after
    assert service.stop() == 0
    return shared.node(name, "--port", service.api_url.rpartition(":")[2], **settings)


async def _all_back(viewers: Sequence[Returning]) -> None:
    await until(lambda: all(each.is_here for each in viewers), "everybody is back", BACK_SECONDS)


def _report(measured: Measured, viewers: Sequence[Returning], senders: Sequence[Sender]) -> None:
    away = [seconds for each in viewers for seconds in each.away]
    silence = [seconds for each in viewers for seconds in each.silence]
    measured("connections", len(viewers))
    measured("came back", len(away))
    measured("refused meanwhile", dict(sum((each.refusals for each in viewers), Counter())))
    for name, seconds in (("away", away), ("silence", silence)):
        median, longest = percentile(seconds, 0.5), max(seconds)
        measured(f"{name}, median and longest, s", f"{median:.2f}, {longest:.2f}")
    measured("an SDK's longest, s", round(max(gap for each in senders for gap in each.gaps()), 2))
    measured("acknowledged", sum(len(each.acknowledged) for each in senders))


async def _check(
    shared: Place, viewers: Sequence[Returning], senders: Sequence[Sender], arns: Sequence[str]
) -> None:
    """See that what each connection was shown is a part of the stream, without a gap."""
    stored = await read_streams(shared.bus.split(","))
    for sender, arn in zip(senders, arns, strict=True):
        order = [each.id for each in stored[arn]]
        assert len(set(order)) == len(order)
        acknowledged = {each.id for each in sender.acknowledged}
        assert acknowledged <= set(order)
        shown: set[str] = set()
        for texts in (texts for each in viewers if each.room == arn for texts in each.shown):
            ids = [seen(text).id for text in texts]
            begin = order.index(ids[0]) if ids else 0
            assert ids == order[begin : begin + len(ids)]
            shown.update(ids)
        assert acknowledged <= shown
