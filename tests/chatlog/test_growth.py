import asyncio

from greenroom.bus.base import JournalGrew
from greenroom.bus.memory import MemoryBus
from greenroom.chatlog.growth import MAXIMUM_NAMED, TOLD_SECONDS, Growth
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.scene import Alarm
from tests.stand_ins.stage import settle
from tests.stand_ins.values import configuration_arn


async def test_what_comes_together_is_told_together() -> None:
    """The first is told at once; those of the next moment together, each once."""
    time, bus, heard = HandClock(), MemoryBus(), list[JournalGrew]()
    alarm = Alarm(time)
    bus.on(JournalGrew, heard.append)
    await bus.start()
    growth = Growth(bus, alarm.wait)
    running = asyncio.create_task(growth.run())
    first, second, third = (configuration_arn() for _ in range(3))
    growth.add([first])
    await settle()
    assert [each.configurations for each in heard] == [(str(first),)]
    for configuration in (second, third, second):
        growth.add([configuration])
        await settle()
    assert len(heard) == 1
    time.advance(TOLD_SECONDS)
    alarm.ring()
    await settle()
    assert heard[1].configurations == (str(second), str(third))
    growth.add([])
    time.advance(TOLD_SECONDS)
    alarm.ring()
    await settle()
    assert len(heard) == 2
    running.cancel()
    await asyncio.wait([running])


async def test_very_many() -> None:
    """They are told in several envelopes, none of which is too large for a bus."""
    bus, heard = MemoryBus(), list[JournalGrew]()
    bus.on(JournalGrew, heard.append)
    await bus.start()
    growth = Growth(bus, Alarm(HandClock()).wait)
    running = asyncio.create_task(growth.run())
    growth.add(configuration_arn() for _ in range(2 * MAXIMUM_NAMED + 1))
    await settle()
    assert [len(each.configurations) for each in heard] == [MAXIMUM_NAMED, MAXIMUM_NAMED, 1]
    running.cancel()
    await asyncio.wait([running])
