"""Two nodes work while their server is killed, stopped and started: nothing is lost or doubled."""

import asyncio
import random
from collections import Counter

from greenroom.model.arn import Arn
from greenroom.model.room import RoomFilter
from greenroom.storage.postgres.database import Bounds
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL, postgresql
from tests.stand_ins.values import ACCOUNT, NOW, PLENTY, REGION, a_room

PATIENT = Bounds(seconds=60)


async def test_each_call_is_kept_once() -> None:
    """Every room that was answered is there once, and each token had one first use."""
    with postgresql() as server:
        url = server.create_database("dying")
        nodes = [await PostgresStore.open(url, bounds=PATIENT) for _ in range(2)]
        over = asyncio.Event()
        rooms: list[Arn] = []
        firsts: Counter[str] = Counter()
        await asyncio.gather(
            _disturb(server, over),
            *(_create(node, over, rooms) for node in nodes for _ in range(2)),
            _use(nodes, over, firsts),
        )
        assert Counter(await _all(nodes[0])) == Counter(rooms)
        assert firsts
        assert set(firsts.values()) == {1}
        assert [node.statistics.failed_commits for node in nodes] == [0, 0]
        for node in nodes:
            await node.close()


async def _disturb(server: PostgreSQL, over: asyncio.Event) -> None:
    for _ in range(2):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.pause)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.resume)
    await asyncio.sleep(0.2)
    over.set()


async def _create(node: PostgresStore, over: asyncio.Event, rooms: list[Arn]) -> None:
    while not over.is_set():
        rooms.append((await node.rooms.create(a_room(), PLENTY)).arn)


async def _use(nodes: list[PostgresStore], over: asyncio.Event, firsts: Counter[str]) -> None:
    """Show each token to all nodes at once."""
    number = 0
    while not over.is_set():
        tokens = [f"token {number} {place}" for place in range(10)]
        number += 1
        await asyncio.gather(*(_show(node, tokens, firsts) for node in nodes))


async def _show(node: PostgresStore, tokens: list[str], firsts: Counter[str]) -> None:
    mine = random.sample(tokens, len(tokens))
    results = await node.token_uses.redeem([(token, NOW) for token in mine], NOW)
    firsts.update({token: int(first) for token, first in zip(mine, results, strict=True)})


async def _all(node: PostgresStore) -> list[Arn]:
    page = await node.rooms.page(ACCOUNT, REGION, RoomFilter(), 100)
    found = page.rooms
    while page.next is not None:
        page = await node.rooms.page(ACCOUNT, REGION, RoomFilter(), 100, page.next)
        found += page.rooms
    return [room.arn for room in found]
