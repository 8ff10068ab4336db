"""What is done for a cluster from the outside: make what is missing, mend what can be mended."""

import asyncio
import time
from collections.abc import Iterator

from greenroom.bus.base import About, BusRefused
from greenroom.bus.nats import mending, subjects
from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.mending import MendingFailed, Plan
from greenroom.bus.nats.survey import survey
from greenroom.server import cluster
from greenroom.server.overview import connected
from greenroom.server.verdicts import Level, Verdict
from greenroom.settings.values import Settings
from greenroom.storage.postgres import opening
from greenroom.storage.postgres.session import Waits
from greenroom.storage.postgres.survey import survey as survey_of_database

SETTLE_SECONDS = 0.3
"""How long a server is given to refuse what it was asked to be told."""

LEADER_SECONDS, LEADER_PAUSE = 10.0, 0.05
"""How long a stream that was made or changed is waited for, and between two looks at it."""

Said = tuple[list[str], list[str]]
"""What was done, or would be, and what is left to a person; a line each."""


async def make_all(settings: Settings) -> Said:
    """Make the schema and the streams that are missing.

    Raises:
        StartRefused: PostgreSQL or NATS cannot be used, or refuses it.
    """
    url, password = cluster.database_of(settings)
    before = await survey_of_database(url, password)
    await opening.prepare(url, password, Waits())
    after = await survey_of_database(url, password)
    made = []
    if after.schema != before.schema:
        made.append(f"made in {after.where}: schema {before.schema} is {after.schema} now")
    options = cluster.options_of(settings)
    async with connected(options) as connection:
        plan = await _plan(connection, options)
        missing = [each for each in plan.steps if ".CREATE." in each.subject]
        for step in missing:
            await _perform(connection, options, step)
        made += [f"made{each.words.removeprefix('make')}" for each in missing]
        left = await _plan(connection, options)
    return made, [f"not as it must be: {each.words}" for each in left.steps] + list(left.left)


async def mend(settings: Settings, *, dry_run: bool) -> Said:
    """Mend of the streams what costs no message; with `dry_run` only say it.

    Raises:
        StartRefused: NATS cannot be used, or refuses it.
    """
    options = cluster.options_of(settings)
    async with connected(options) as connection:
        plan = await _plan(connection, options)
        for step in () if dry_run else plan.steps:
            await _perform(connection, options, step)
    return [each.words for each in plan.steps], list(plan.left)


async def _plan(connection: Connection, options: Options) -> Plan:
    found = await survey(connection, options, time.time_ns)
    return mending.plan(found, options, connection.servers)


async def _perform(connection: Connection, options: Options, step: mending.Step) -> None:
    """Do a step, and wait until its stream has a leader: one at a time stands still at most."""
    try:
        await mending.perform(connection, step)
    except MendingFailed as failed:
        raise BusRefused(str(failed)) from None
    name, pauses = step.subject.rpartition(".")[2], LEADER_SECONDS / LEADER_PAUSE
    while pauses > 0:
        found = await survey(connection, options, time.time_ns)
        if any(each.name == name and each.has_leader for each in found):
            return
        pauses -= 1
        await asyncio.sleep(LEADER_PAUSE)


async def permissions(settings: Settings) -> list[Verdict]:
    """Return what of NATS a node is not let, as far as it can be asked without publishing.

    Raises:
        StartRefused: NATS cannot be used.
    """
    refused: list[str] = []
    async with connected(cluster.options_of(settings)) as connection:
        connection.on_refusal(refused.append)
        for subject in _needed(connection):
            try:
                await connection.listen(subject, lambda *_: None)
            except NoAnswer:
                refused.append(f"the connection ended at {subject}")
                break
        await asyncio.sleep(SETTLE_SECONDS)
    if not refused:
        return [Verdict(Level.OK, "permissions", "what nodes listen to may be listened to")]
    return [Verdict(Level.NO, "permissions", each) for each in refused]


def _needed(connection: Connection) -> Iterator[str]:
    """Return what a node listens to."""
    yield from ("gd.*.*", subjects.CONTROL_DELIVERED, connection.reply_to(b"*"))
    yield "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*"
    for about in About:
        yield subjects.ANNOUNCEMENTS + about
