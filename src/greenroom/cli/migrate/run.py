"""Move everything from a data directory to PostgreSQL, or back.

- **The source is untouched**, and nobody else's meanwhile: a data directory is locked, a database's
  tables are held.
- **All or nothing.** A directory gets its database when all of it has been read back; PostgreSQL is
  filled in one transaction. Whoever is killed has moved nothing, and the same command does it all.
- **Done is done.** What ended before it could say so is recognised by its contents: a target that
  holds what the source does is whole.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, aclosing
from pathlib import Path

import msgspec

from greenroom.cli import new_directory
from greenroom.cli.migrate import streams
from greenroom.cli.migrate.places import Places
from greenroom.server import cluster
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreForeign, StoreUnwritable
from greenroom.storage.moving import Contents, Progress, Source, contents, move
from greenroom.storage.postgres import moving as postgres
from greenroom.storage.postgres.moving import PostgresSide
from greenroom.storage.sqlite import moving as sqlite
from greenroom.storage.sqlite.database_file import DATABASE
from greenroom.storage.tables import SECRETS
from greenroom.vault.sealing import is_sealed
from greenroom.vault.vault import CHECK, is_at_hand, sealer_of

Shown = Callable[[dict[str, int]], AbstractContextManager[Progress]]
"""Shows how far it is, given how many rows there are of what."""


class Moved(msgspec.Struct, frozen=True):
    """What was moved, from where to where; `already`: an earlier command did it."""

    source: str
    target: str
    contents: Contents
    already: bool


async def run(places: Places, settings: Settings, show: Shown) -> Moved:
    """Move everything.

    Raises:
        StartRefused: the source or the target cannot be used; the target is as it was.
    """
    way = _to_database if places.to_database else _to_directory
    return await way(places, settings, show)


async def _to_database(places: Places, settings: Settings, show: Shown) -> Moved:
    with sqlite.reading(places.directory) as source:
        await _check_secrets(source, settings, source.secret(CHECK))
        if settings.bus_servers is not None:
            streams.check_empty(await cluster.states_of_streams(settings))

        async def fill(target: PostgresSide) -> Moved:
            if any((await target.counts()).values()):
                return await _already(source, target, target.where, show)
            with show(await source.counts()) as progress:
                moved = await move(source, target, progress)
            return Moved(source.where, target.where, moved, already=False)

        return await postgres.filling(places.url, places.password, fill)


async def _to_directory(places: Places, settings: Settings, show: Shown) -> Moved:
    directory = places.directory

    async def read(source: PostgresSide) -> Moved:
        if (directory / DATABASE).is_file():
            with sqlite.reading(directory) as there:
                return await _already(source, there, str(directory), show)
        new_directory.check_free(directory)
        await _check_secrets(source, settings, await source.secret(CHECK))
        if settings.bus_servers is not None:
            found = await cluster.states_of_streams(settings)
            streams.check_read(found, await source.positions())
        moved = await _fill(directory, source, show)
        return Moved(source.where, str(directory), moved, already=False)

    return await postgres.reading(places.url, places.password, read)


async def _fill(directory: Path, source: PostgresSide, show: Shown) -> Contents:
    with new_directory.filling(directory) as place:
        with sqlite.filling(place) as target, show(await source.counts()) as progress:
            moved = await move(source, target, progress)
        new_directory.give_file(place / DATABASE, directory)
        return moved


async def _already(source: Source, target: Source, where: str, show: Shown) -> Moved:
    """Return what an earlier command has moved.

    Raises:
        StoreUnwritable: the target holds something else.
    """
    counts = await source.counts()
    there = await target.counts()
    held = ", ".join(f"{name} {number:,}" for name, number in there.items() if number)
    refused = StoreUnwritable(f"{where} is not empty ({held}): give one that is")
    if counts != there:
        raise refused
    with show(counts) as progress:
        read = await contents(source, progress)
        if (await contents(target, progress)).difference(read):
            raise refused
    return Moved(source.where, where, read, already=True)


async def _check_secrets(source: Source, settings: Settings, check: bytes | None) -> None:
    """See that the key at hand opens what is moved, and that nothing is in clear.

    Raises:
        SecretsKeyRefused: the key is another one.
        StoreForeign: an older version has kept secrets in clear.
    """
    if check is not None and is_at_hand(settings):
        sealer_of(settings, check)
    async with aclosing(source.rows(SECRETS)) as some:
        rows = [row async for each in some for row in each]
    if not all(isinstance(value, bytes) and is_sealed(value) for _, value in rows):
        raise StoreForeign(
            f"{source.where} keeps secrets in clear, as older versions did: start and stop the"
            " service of this version on it once"
        )
