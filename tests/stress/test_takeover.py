"""New processes come again and again while rooms chat: all come back, nothing is lost.

Viewers do as Amazon's SDK does: at the end of a connection they connect again at once, with a fresh
token, and after four refusals in a row they are gone for good. Beside them is that SDK itself,
unmodified, and sends. With STRESS_SCALE=50 there are 5,000 viewers, ten SDKs and ten processes.
"""

import asyncio
import gzip
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Measured
from tests.running import messaging_driver
from tests.running.messaging_driver import Rooms
from tests.running.process import UNTHROTTLED
from tests.running.returning import Returners, Returning, Sender, talking
from tests.running.said import assert_no_faults
from tests.running.service import Service
from tests.running.unit import Unit, made_in
from tests.running.viewers import Crowd, at_once, percentile, seen, until
from tests.running.wire import PATIENCE
from tests.stress.conftest import Scaled

BETWEEN = 1.0
"""Seconds of chat between two takeovers, when everybody is back."""

BUCKET = "archive"


def make_rooms(service: Service, count: int) -> list[str]:
    """Create rooms whose chat is logged."""
    api = service.boto3()
    log = api.create_logging_configuration(destinationConfiguration={"s3": {"bucketName": BUCKET}})[
        "arn"
    ]
    return [
        str(api.create_room(loggingConfigurationIdentifiers=[log])["arn"]) for _ in range(count)
    ]


def on_record(data: Path) -> Counter[str]:
    """Return how often the chat log has each message."""
    objects = (data / "chat-logs" / BUCKET).rglob("*.log.gz")
    lines = (line for each in objects for line in gzip.decompress(each.read_bytes()).splitlines())
    return Counter(json.loads(line)["payload"]["Id"] for line in lines)


async def used_again(crowd: Crowd, tokens: list[str]) -> list[int]:
    """Return the answers to tokens that were accepted before; 410 are too old by now."""
    answers = await at_once(crowd.attempt(token) for token in tokens)
    for each in answers:
        each.transport.abort()
    return [each.status for each in answers]


async def taken_at_once(crowd: Crowd, tokens: list[str]) -> list[int]:
    """Show each token in two connections at the same time; return how often each was accepted."""
    answers = await at_once(
        (crowd.attempt(token) for token in tokens for _ in range(2)), limit=2 * len(tokens)
    )
    for each in answers:
        each.transport.abort()
    return [
        sum(each.status == 101 for each in answers[index : index + 2])
        for index in range(0, len(answers), 2)
    ]


@pytest.mark.parametrize("way", ["takeover", "restart"])
async def test_nobody_is_lost(tmp_path: Path, scaled: Scaled, measured: Measured, way: str) -> None:
    """Every SDK and viewer is back, what was acknowledged is delivered and on record, once.

    A restart is the way of systemd, which keeps the socket while no process runs.
    """
    sdks, times = min(10, scaled(2)), min(10, scaled(3 if way == "takeover" else 1))
    settings = {**UNTHROTTLED, "GREENROOM_CHAT_LOG_OBJECT_SECONDS": "1"}
    with made_in(tmp_path) as unit:
        service = await asyncio.to_thread(unit.start, settings)
        try:
            arns = make_rooms(service, sdks)
            async with (
                messaging_driver.running("messaging_node.mjs") as sdk,
                Returners(service) as crowd,
            ):
                viewers = [
                    Returning(crowd, arns[number % sdks], f"viewer-{number}")
                    for number in range(scaled(100))
                ]
                await at_once(each.enter() for each in viewers)
                rooms = Rooms(sdk, service)
                async with talking(rooms, service, arns) as senders:
                    for _ in range(times):
                        await asyncio.sleep(BETWEEN)
                        service = await once(unit, way, service, settings, crowd, viewers)
                    await asyncio.sleep(BETWEEN)
                report(measured, way, viewers, senders)
                for sender in senders:
                    assert await sender.room.state() == "connected"
                    assert sender.room.seen("disconnect") == []
                    assert len(sender.room.seen("connect")) == 1 + times
                assert crowd.lost == []
                assert_delivered(viewers, senders, arns)
                crowd.leaving = True
                await rooms.leave()
            assert await asyncio.to_thread(service.stop) == 0
            assert_on_record(tmp_path / "data", senders)
            assert_no_faults(service)
        finally:
            service.kill()


def replaced(unit: Unit, way: str, service: Service, settings: dict[str, str]) -> Service:
    """Return the next process of the service, which is ready; the one before has ended."""
    if way == "restart":
        assert service.stop() == 0
        return unit.start(settings)
    after = unit.start(settings, given=False, takeover=True)
    assert service.process.wait(PATIENCE) == 0
    return after


async def once(
    unit: Unit,
    way: str,
    service: Service,
    settings: dict[str, str],
    crowd: Returners,
    viewers: list[Returning],
) -> Service:
    """Let a new process come; return it when everybody is back."""
    number = len(viewers[0].opened) + 1
    tokens = [crowd.token(viewers[0].room, "twice") for _ in range(20)]
    # One of a pair may come to the old process, and the other to the new one.
    twice = asyncio.create_task(taken_at_once(crowd, tokens))
    after = await asyncio.to_thread(replaced, unit, way, service, settings)

    def are_back() -> bool:
        return all(each.is_here and len(each.opened) == number for each in viewers)

    await until(lambda: crowd.lost or are_back(), "everybody is back")
    assert crowd.lost == []
    assert max(await twice) <= 1, "a token was accepted twice"
    again = await used_again(crowd, [each.used[-2] for each in viewers])
    assert set(again) <= {409, 410}, "a used token was accepted by the next process"
    return after


def assert_delivered(viewers: list[Returning], senders: list[Sender], arns: list[str]) -> None:
    """Check that a viewer has every message that was acknowledged while it was connected.

    In a takeover nobody is dropped before the old process acknowledges nothing more.
    """
    for viewer in viewers:
        ids = Counter(seen(text).id for text in viewer.texts)
        assert max(ids.values()) == 1, "a message came twice"
        for message in senders[arns.index(viewer.room)].acknowledged:
            number = message.connection
            before = message.sent < viewer.opened[number]
            after = number < len(viewer.ended) and message.answered > viewer.ended[number]
            assert ids[message.id] or before or after, "an acknowledged message is missing"


def assert_on_record(data: Path, senders: list[Sender]) -> None:
    """Check that the chat log has each acknowledged message once."""
    times = on_record(data)
    for message in (each for sender in senders for each in sender.acknowledged):
        assert times[message.id] == 1, "an acknowledged message is not on record once"


def report(measured: Measured, way: str, viewers: list[Returning], senders: list[Sender]) -> None:
    """Show how long anybody was away: the longest of each time, least to most, and the median."""
    figures: dict[str, object] = {}
    for what, of_one in (
        ("without a connection", [viewer.away for viewer in viewers]),
        ("without a message", [viewer.silence for viewer in viewers]),
        ("SDKs without an answer", [sender.gaps() for sender in senders]),
    ):
        longest = sorted(max(times) for times in zip(*of_one, strict=False))
        median = percentile(itertools.chain(*of_one), 0.5)
        figures[f"ms {what}: longest"] = _ranged([1000 * each for each in longest])
        figures[f"ms {what}: median"] = round(1000 * median)
    figures["attempts refused, by status"] = dict(
        sum((viewer.refusals for viewer in viewers), Counter())
    )
    for what in ("refused", "unanswered"):
        figures[f"messages {what}"] = sum(getattr(sender, what) for sender in senders)
    figures["messages acknowledged"] = sum(len(sender.acknowledged) for sender in senders)
    for name, value in figures.items():
        measured(f"{way}: {name}", value)


def _ranged(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f} ({ordered[0]:.0f}-{ordered[-1]:.0f})"
