"""What becomes of news around a node's start, when it has read the store and is told nothing yet.

Covers: greenroom.bus.nats.news
"""

from greenroom.bus.base import IdentitiesChanged
from tests.running.buses import buses_at, until


async def test_news_while_nodes_start(bus_url: str) -> None:
    """What one changes then reaches the others; what it may have missed then, it forgets.

    One applies its identities file before it serves: nobody else may go on with the old ones.
    """
    changed = IdentitiesChanged("123456789012")
    async with buses_at(bus_url, 4) as (running, starting, later, cut_off):
        heard: list[IdentitiesChanged] = []
        resets: list[str] = []
        running.on(IdentitiesChanged, heard.append)
        for name, bus in {"running": running, "later": later, "cut off": cut_off}.items():
            bus.on_reset(lambda name=name: resets.append(name))  # type: ignore[misc]
        await running.start()
        await cut_off.end_connection()
        await until(lambda: cut_off.figures.reconnects)
        # Nothing was told, and who is told nothing yet forgets nothing yet.
        assert resets == []
        await cut_off.start()
        assert resets == ["cut off"]
        starting.broadcast(changed)
        await until(lambda: heard and later._news._last)
        assert heard == [changed]
        assert resets == ["cut off"]
        for _ in range(2):
            await later.start()
            assert resets == ["cut off", "later"]
