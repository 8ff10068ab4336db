"""The official messaging SDK for JavaScript over wss, with a certificate that it checks."""

import asyncio
from pathlib import Path

from tests.running import messaging_driver
from tests.running.messaging_driver import Rooms, Tokens
from tests.running.service import running, start


async def test_the_sdk_chats_over_tls_and_comes_back_after_a_restart(tmp_path: Path) -> None:
    """Messages go to and fro over wss; a drained connection is opened again by the SDK itself."""
    with running(tmp_path / "data", "--dev-tls") as service:
        trusted = str(service.ready["certificate_to_trust"])
        port = service.websocket_url.rstrip("/").rpartition(":")[2]
        arn = str(service.boto3().create_room()["arn"])
        async with messaging_driver.running(
            "messaging_node.mjs", NODE_EXTRA_CA_CERTS=trusted
        ) as sdk:
            rooms, up = Rooms(sdk, service), asyncio.Event()
            up.set()

            alice = await rooms.enter(arn, provider=Tokens(service, arn, "alice", up=up))
            bob = await rooms.enter(arn, provider=Tokens(service, arn, "bob", up=up))
            sent = await alice.send("over wss")
            assert await alice.next("message") == await bob.next("message") == sent
            up.clear()
            assert await asyncio.to_thread(service.stop) == 0
            for room in (alice, bob):
                assert [await room.next("connecting"), await room.next("connecting")] == [None] * 2
            again = await asyncio.to_thread(start, tmp_path / "data", "--dev-tls", "--port", port)
            try:
                up.set()
                for room in (alice, bob):
                    await room.next("connect")
                assert await alice.send("after") == await bob.next("message")
                assert alice.seen("disconnect") == bob.seen("disconnect") == []
                await rooms.leave()
            finally:
                again.kill()
