"""haproxy and nginx in front of three nodes, with the configurations that are in `deploy`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from scripts.servers.postgresql import PostgreSQL
from tests.running import messaging_driver
from tests.running.cluster import Place, nodes, place, status_of
from tests.running.messaging_driver import Rooms
from tests.running.process import UNTHROTTLED
from tests.running.proxies import behind, haproxy, nginx, program
from tests.running.returning import Backend, Returners, Returning, Sender, all_talk
from tests.running.said import assert_no_faults, entries
from tests.running.service import Service, running
from tests.running.tokens_of import key_ring_in
from tests.running.viewers import at_once, seen, until

NODES = 3
VIEWERS = 12
"""For each of the two proxies."""

SETTINGS = {
    **{name.removeprefix("GREENROOM_").lower(): value for name, value in UNTHROTTLED.items()},
    "trusted_proxies": "127.0.0.1",
    "forwarded_proto": "on",
    "drain_spread_seconds": "1",
}


@pytest.fixture(autouse=True)
def unpacked() -> None:
    """Leave all of it out where the proxies are not."""
    for name in ("haproxy", "nginx"):
        program(name)


@pytest.fixture
def fronts(
    tmp_path: Path, database: str, bus_url: str
) -> Iterator[tuple[Place, list[Service], list[Service]]]:
    """Give three nodes, and what they are behind each of the two proxies."""
    shared = place(tmp_path, database, bus_url)
    with (
        nodes(shared, NODES, **SETTINGS) as services,
        haproxy(tmp_path, "greenroom.cfg", services) as first,
        nginx(tmp_path, services) as second,
    ):
        yield shared, services, [behind(services[0], port) for port in (first, second)]
        for service in services:
            assert_no_faults(service)


@pytest.mark.timeout(240)
async def test_a_rolling_restart(
    fronts: tuple[Place, list[Service], list[Service]], postgresql_newest: PostgreSQL
) -> None:
    """Nodes end and start one after another: no viewer and no SDK is lost, no request fails."""
    shared, services, proxied = fronts
    ring = key_ring_in(postgresql_newest, shared.storage.rpartition("/")[2], shared.secrets_key)
    arn = str(services[0].boto3().create_room()["arn"])
    crowds = [Returners(service, ring) for service in proxied]
    viewers = [
        Returning(crowd, arn, f"v-{which}-{number}")
        for which, crowd in enumerate(crowds)
        for number in range(VIEWERS)
    ]
    await at_once(each.enter() for each in viewers)
    async with messaging_driver.running("messaging_node.mjs") as sdk:
        rooms = [Rooms(sdk, service) for service in proxied]
        senders = [
            Sender(await each.enter(arn, provider=Backend(there, arn, "sdk")))
            for each, there in zip(rooms, proxied, strict=True)
        ]
        async with all_talk(senders):
            for number in range(NODES):
                services[number] = await asyncio.to_thread(_anew, shared, services[number], number)
                await until(lambda: all(each.is_here for each in viewers), "everybody is back", 30)
                for there in proxied:
                    assert await asyncio.to_thread(_names, there) == [arn]
            answered = [len(each.acknowledged) for each in senders]
            await until(
                lambda: all(
                    len(each.acknowledged) > before
                    for each, before in zip(senders, answered, strict=True)
                ),
                "the SDKs are answered",
                30,
            )
        for sender in senders:
            assert await sender.room.state() == "connected"
            assert sender.room.seen("disconnect") == []
        assert [crowd.lost for crowd in crowds] == [[], []]
        for each in rooms:
            await each.leave()
    acknowledged = {each.id for sender in senders for each in sender.acknowledged}
    shown = [[seen(text).id for text in texts] for viewer in viewers for texts in viewer.shown]
    assert all(len(set(ids)) == len(ids) for ids in shown)
    assert acknowledged <= {each for ids in shown for each in ids}
    for crowd in crowds:
        crowd.leaving = True
        await crowd.__aexit__()


def _anew(shared: Place, service: Service, number: int) -> Service:
    """End a node, which drains, and start it again at its port."""
    assert service.stop() == 0
    port = service.api_url.rpartition(":")[2]
    return shared.node(f"node-{number + 1}", "--port", port, **SETTINGS)


def _names(service: Service) -> list[str]:
    """Return the rooms that a client sees with the attempts that SDKs make by default."""
    return [room["arn"] for room in service.boto3(attempts=3).list_rooms()["rooms"]]


async def test_who_comes_is_told_by_haproxy(tmp_path: Path) -> None:
    """With the PROXY protocol a node that is not read by the proxy knows who comes."""
    variables = {"GREENROOM_TRUSTED_PROXIES": "127.0.0.1", "GREENROOM_PROXY_PROTOCOL": "on"}
    with (
        running(tmp_path / "data", GREENROOM_LOG_FORMAT="json", **variables) as service,
        haproxy(tmp_path, "greenroom-tcp.cfg", [service]) as port,
    ):
        there = behind(service, port)
        token = there.token(there.boto3().create_room()["arn"])
        assert await status_of(there, token) == 101
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(
                there.websocket_url,
                subprotocols=[token],  # type: ignore[list-item]  # a token is one
                local_addr=("127.0.0.2", 0),
            )
        await until(lambda: entries(service, "handshake refused"), "it is in the log")
        assert [each["address"] for each in entries(service, "handshake refused")] == ["127.0.0.2"]
