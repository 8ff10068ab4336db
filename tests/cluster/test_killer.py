"""Nodes, NATS servers and PostgreSQL die, hang and are cut off while rooms chat; all stays true.

Three nodes whose clocks differ, three NATS servers and PostgreSQL are harmed by a seed, under
viewers, senders, moderators and who makes rooms, each on any node; then all is mended, and what
everybody saw is compared with what is stored. Longer, and a failure's harm once more:

    KILLER_SECONDS=3600 .venv/bin/python -m pytest tests/cluster/test_killer.py
    KILLER_SEED=123 .venv/bin/python -m pytest tests/cluster/test_killer.py
    KILLER_SEED=0 .venv/bin/python -m pytest tests/cluster/test_killer.py    # one that is drawn
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from greenroom.client.api.errors import IvschatError
from tests.cluster.killing import delay, invariants
from tests.cluster.killing.clients import (
    Clients,
    change_limit,
    create_and_delete,
    delete_messages,
    kick,
    show_tokens_twice,
)
from tests.cluster.killing.cluster import Cluster, killable
from tests.cluster.killing.history import History
from tests.cluster.killing.killer import Killer, kept_running
from tests.cluster.killing.observer import Observer, read_logs
from tests.conftest import Measured
from tests.running.said import assert_no_faults

Check = Callable[[], Awaitable[None] | None]
"""Raises where what it looks at did not stay true."""

SEED = int(os.environ.get("KILLER_SEED", "2")) or secrets.randbelow(2**32)
"""0 draws one. The same for everybody: who changes something else is not to meet a new history."""

SECONDS = float(os.environ.get("KILLER_SECONDS", "60"))

SKEWS = (0.0, 1.5, -1.5)
"""By how many seconds the clock of each node is ahead of the true one."""

HEALED_SECONDS = 30.0
"""How long after the last harm everything is well again, at most."""

LEAST_WELL_SECONDS = 2.0
"""How long everybody goes on when all is well."""

LOGGED_SECONDS = 40.0
"""How long chat logs take to catch up, at most."""

RATE = 10
ROOMS = 9
"""Rooms that the account may have."""

DELAYED = {
    "greenroom:delay-seconds": str(delay.DELAY_SECONDS),
    "greenroom:history-messages": "10000",
}
"""The tags of a room whose messages wait."""

REMEMBERED = 10_000
"""Messages that the room with history keeps, at least: as many as a room may."""

CROWD, PLACES = "crowd", 4
"""A user, and how many connections a user may have in a room; each node may let in as many while it
does not hear of the others."""


@pytest.mark.timeout(1.2 * SECONDS + 240)
async def test_all_stays_true(tmp_path: Path, measured: Measured) -> None:
    """Whatever dies: one order, nothing lost or doubled, rates and quotas hold, all heals."""
    history = History()
    try:
        await _run(tmp_path, history, measured)
    except BaseException as error:
        again = f"KILLER_SEED={SEED} KILLER_SECONDS={SECONDS:g}"
        error.add_note("\n".join(["to repeat the harm:", again, *history.events]))
        raise


async def _run(directory: Path, history: History, measured: Measured) -> None:
    settings = {
        "quotas": f"rooms={ROOMS}",
        "connections_per_user": str(PLACES),
        "chat_log_object_seconds": "2",
        "chat_log_batch_seconds": "2",
    }
    async with killable(directory, SKEWS, **settings) as cluster:
        for node in cluster.nodes:
            await asyncio.to_thread(node.node.start)
        observer = Observer([server.url for server in cluster.bus])
        rooms = await _rooms(cluster)
        clients = Clients(cluster, history, random.Random(f"{SEED} clients"))
        _begin(clients, rooms)
        await asyncio.sleep(1)
        async with kept_running(cluster, history), observer.reading():
            await Killer(cluster, history, random.Random(f"{SEED} killer")).run(SECONDS)
            history.tell("all is mended")
            await _healed(cluster)
        history.tell("all is well")
        well = history.now()
        clients.silent.add(rooms.delayed)
        names = {node.name for node in cluster.nodes}
        all_serve = await _all_serve(history, well, names)
        shown_ns = await _all_shown(observer, history, rooms.delayed)
        end = history.now()
        await clients.end()
        stored = await _stored(observer, rooms.delayed)
        _report(history, stored, measured)
        measured("of what waited", delay.counted(stored[rooms.delayed]))
        await _hold(
            [
                all_serve,
                clients.have_ended,
                *_checks(history, stored, rooms),
                *_checks_of_delay(history, stored, rooms.delayed, end, shown_ns),
                lambda: _check_logs(cluster, stored),
                lambda: _check_history(cluster, rooms.plain, stored[rooms.plain]),
                lambda: _check_history(cluster, rooms.delayed, stored[rooms.delayed]),
                *(partial(assert_no_faults, cluster.service(node)) for node in cluster.nodes),
            ]
        )


class Rooms(msgspec.Struct, frozen=True):
    """With chat logs, with history, with a low rate, with moderators, and one that delays."""

    logged: str
    plain: str
    rated: str
    moderated: str
    delayed: str

    @property
    def each(self) -> tuple[str, ...]:
        """Return all."""
        return self.logged, self.plain, self.rated, self.moderated, self.delayed


async def _rooms(cluster: Cluster) -> Rooms:
    api = cluster.nodes[0].api
    targets = ({"s3": {"bucketName": "archive"}}, {"cloudWatchLogs": {"logGroupName": "group"}})
    configurations = [
        (await api.create_logging_configuration(destination_configuration=target)).arn
        for target in targets
    ]
    made = [
        await api.create_room(
            maximum_message_rate_per_second=rate, logging_configuration_identifiers=logs, tags=tags
        )
        for rate, logs, tags in (
            (100, configurations, None),
            (100, None, {"greenroom:history-messages": f"{REMEMBERED}"}),
            (RATE, None, None),
            (100, None, None),
            (100, configurations, DELAYED),
        )
    ]
    return Rooms(*(room.arn for room in made))


def _begin(clients: Clients, rooms: Rooms) -> None:
    for number, door in enumerate(clients.doors):
        for room in rooms.each:
            clients.begin(clients.watch(room, f"stays-{number}", door, (1e9, 1e9)))
            clients.begin(clients.watch(room, f"comes-{number}", door, (0.5, 5)))
        for _ in range(PLACES):
            clients.begin(clients.watch(rooms.plain, CROWD, door, (1, 4)))
        clients.begin(clients.speak(rooms.logged, f"speaker-{number}", door, 0.2))
        clients.begin(clients.speak(rooms.plain, f"speaker-{number}", door, 0.2))
        clients.begin(clients.speak(rooms.rated, f"speaker-{number}", door, 0.2))
        clients.begin(clients.speak(rooms.moderated, f"speaker-{number}", door, 0.4, 60))
        clients.begin(clients.speak(rooms.delayed, f"speaker-{number}", door, 0.3))
        clients.begin(delay.moderate(clients, rooms.delayed, f"mod-{number}", door))
    clients.begin(delay.pause(clients, rooms.delayed))
    clients.begin(show_tokens_twice(clients, rooms.plain, "twice"))
    clients.begin(kick(clients, rooms.moderated, ["stays-0", "comes-1", "speaker-2"]))
    clients.begin(delete_messages(clients, rooms.logged))
    clients.begin(change_limit(clients, rooms.moderated, (20, 200)))
    for _ in range(6):
        clients.begin(create_and_delete(clients))


async def _healed(cluster: Cluster) -> None:
    """Wait until every node says that it is well, without anybody doing anything."""
    end = time.monotonic() + HEALED_SECONDS
    while ill := await asyncio.to_thread(_ill, cluster):
        assert time.monotonic() < end, ill
        await asyncio.sleep(0.2)


async def _all_serve(history: History, well: float, nodes: set[str]) -> Check:
    """Wait until every node has taken a message since all is well; return the check that it has.

    Who waits for his rate, or for what he sent before, sends a moment later.
    """
    await asyncio.sleep(LEAST_WELL_SECONDS)
    end = time.monotonic() + HEALED_SECONDS
    while not (done := invariants.serving(history.sends, well)) >= nodes:
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.2)

    def check() -> None:
        assert done >= nodes, f"since {well:.2f} only {sorted(done)} take messages"

    return check


async def _all_shown(observer: Observer, history: History, room: str) -> int:
    """Wait until a room that delays has shown everybody who is there all that it has.

    Nobody speaks there any more. Return until when it had its place, on the servers' clock: if
    somebody lacks some of it, the checks say so.
    """
    end = time.monotonic() + HEALED_SECONDS
    while True:
        stored = await observer.read_at_last(HEALED_SECONDS)
        shown_ns = stored[room][-1].stamp_ns
        here = [view for view in history.views if view.room == room and view.closed is None]
        with contextlib.suppress(AssertionError):
            delay.nothing_is_left(stored[room])
            delay.views_are_parts(here, stored, 0.0, shown_ns)
            return shown_ns
        if time.monotonic() > end:
            return shown_ns
        await asyncio.sleep(0.2)


def _ill(cluster: Cluster) -> list[str]:
    found = []
    for node in cluster.nodes:
        try:
            with urllib.request.urlopen(f"{node.api_url}/health/ready", timeout=5):
                pass
        except urllib.error.HTTPError as error:
            with error:
                found.append(f"{node.name}: {json.load(error)}")
        except OSError as error:
            found.append(f"{node.name}: {error}")
    return found


def _report(history: History, stored: invariants.Stored, measured: Measured) -> None:
    """Report what was done, so that a run shows that it was not idle."""
    measured("seed", SEED)
    measured("kinds of harm", sum(", for " in event for event in history.events))
    measured("stored", sum(map(len, stored.values())))
    measured("views", len(history.views))
    measured("sends", dict(Counter(send.status for send in history.sends)))
    measured("redeems", dict(Counter(each.status for each in history.redeems)))
    for operation in sorted({call.operation for call in history.calls}):
        statuses = Counter(call.status for call in history.calls_of(operation))
        measured(operation, dict(statuses))


async def _hold(checks: Sequence[Check]) -> None:
    """Make all checks, whichever fail: the next hour may not show the same."""
    failed = []
    for check in checks:
        try:
            if (more := check()) is not None:
                await more
        except Exception as error:  # noqa: BLE001 - told below, all together
            failed.append(error)
    if failed:
        raise ExceptionGroup("what did not stay true", failed)


def _checks(history: History, stored: invariants.Stored, rooms: Rooms) -> list[Check]:
    views = [view for view in history.views if view.room != rooms.delayed]
    rooms_made = history.calls_of("CreateRoom", "DeleteRoom")
    sends = [send for send in history.sends if send.room == rooms.moderated]
    kicks, limits = history.calls_of("DisconnectUser"), history.calls_of("UpdateRoom")
    made = ("CreateRoom", "DeleteRoom", ROOMS, len(rooms.each))
    return [
        lambda: invariants.views_are_parts(views, stored),
        lambda: invariants.stored_once(stored),
        lambda: invariants.outcomes_are_true(history.sends, stored),
        lambda: invariants.nothing_fails_inside(history.calls, history.redeems),
        lambda: invariants.rate_holds(stored[rooms.rated], RATE),
        lambda: invariants.send_times_rise(stored),
        lambda: invariants.tokens_open_once(history.redeems),
        lambda: invariants.kicks_end_connections(history.views, stored, history.now()),
        lambda: invariants.kicked_are_gone(history.views, kicks),
        lambda: invariants.places_hold(history.views, CROWD, PLACES * len(SKEWS)),
        lambda: invariants.quota_holds(rooms_made, *made),
        lambda: invariants.limits_hold(sends, limits, history.apart),
    ]


def _checks_of_delay(
    history: History, stored: invariants.Stored, room: str, end: float, shown_ns: int
) -> list[Check]:
    places = stored[room]
    calls = history.calls_of("DeleteMessage", "UpdateRoomSettings")
    views = [view for view in history.views if view.room == room]
    return [
        lambda: delay.waits_all(places),
        lambda: delay.released_as_accepted(places),
        lambda: delay.nothing_is_left(places),
        lambda: delay.deleted_is_not_shown(places, calls, history),
        lambda: delay.viewers_are_told(places, calls, history),
        lambda: delay.views_are_parts(views, stored, end, shown_ns),
    ]


async def _stored(observer: Observer, delayed: str) -> invariants.Stored:
    """Return what is stored, as soon as nothing waits any more in a room that delays."""
    end = time.monotonic() + LOGGED_SECONDS
    while True:
        stored = await observer.read_at_last(HEALED_SECONDS)
        if not delay.left(stored[delayed]) or time.monotonic() > end:
            return stored
        await asyncio.sleep(0.2)


async def _check_logs(cluster: Cluster, stored: invariants.Stored) -> None:
    """Wait until the logs are as long as the streams, then compare."""
    by_id = {room.rpartition("/")[2]: places for room, places in stored.items()}
    envelopes = [each.envelope for places in stored.values() for each in places]
    arns = {arn for each in envelopes for arn in each.configurations}
    names = await _names(cluster, sorted(arns))
    meant = sum(len(each.configurations) for each in envelopes)
    end, found = time.monotonic() + LOGGED_SECONDS, read_logs(cluster.chat_logs, by_id)
    while sum(map(len, found.values())) < meant and time.monotonic() < end:
        await asyncio.sleep(1)
        found = read_logs(cluster.chat_logs, by_id)
    recorded = {(names[name], room): ids for (name, room), ids in found.items()}
    invariants.logs_are_the_stream(recorded, by_id, sorted(arns))


async def _check_history(cluster: Cluster, room: str, places: Sequence[invariants.Place]) -> None:
    """Compare what the room keeps with the end of its stream: each message once, in its order."""
    kept = await _kept(cluster, room)
    gone = {each for place in places for each in place.envelope.deletes}
    shown = [each.id for each in places if delay.is_kept(each) and each.id not in gone]
    assert len(kept) >= len(delay.remembered(places, REMEMBERED))
    assert kept[::-1] == shown[-len(kept) :]


async def _kept(cluster: Cluster, room: str) -> list[str]:
    """Return what a room lists, as soon as the node can: its servers may just be back."""
    own, end = cluster.nodes[0].own, time.monotonic() + HEALED_SECONDS
    while True:
        try:
            return [each.id async for each in own.messages(room_identifier=room, max_results=100)]
        except IvschatError as error:
            if error.status_code != invariants.UNAVAILABLE or time.monotonic() > end:
                raise
        await asyncio.sleep(0.5)


async def _names(cluster: Cluster, arns: Sequence[str]) -> dict[str, str]:
    """Return the ARN of each configuration by its bucket's or group's name."""
    found = {}
    for arn in arns:
        configuration = await cluster.nodes[0].api.get_logging_configuration(identifier=arn)
        target = configuration.destination_configuration
        assert target is not None
        if target.s3 is not None:
            found[target.s3.bucket_name] = arn
        elif target.cloud_watch_logs is not None:
            found[target.cloud_watch_logs.log_group_name] = arn
    return found
