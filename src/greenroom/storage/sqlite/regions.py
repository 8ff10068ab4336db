"""One account in one region, in SQLite: its clock of changes and its count of rooms."""

from sqlite3 import Connection

from greenroom.storage.regions import Region


def find(connection: Connection, account: str, region: str) -> Region | None:
    """Return the region, or None when nothing was ever created there."""
    row = connection.execute(
        "SELECT key, sequence, newest_update_time, rooms FROM regions"
        " WHERE account = ? AND region = ?",
        (account, region),
    ).fetchone()
    return None if row is None else Region(*row)


def in_use(connection: Connection) -> frozenset[str]:
    """Return every region in which any account has a room or a logging configuration."""
    rows = connection.execute(
        "SELECT DISTINCT region FROM regions WHERE rooms > 0"
        " OR EXISTS (SELECT 1 FROM logging_configurations AS each WHERE each.region = regions.key)"
    )
    return frozenset(region for (region,) in rows)


def find_or_create(connection: Connection, account: str, region: str) -> Region:
    """Return the region, which is there afterwards."""
    found = find(connection, account, region)
    if found is not None:
        return found
    row = connection.execute(
        "INSERT INTO regions (account, region, sequence, newest_update_time, rooms)"
        " VALUES (?, ?, 0, 0, 0) RETURNING key, sequence, newest_update_time, rooms",
        (account, region),
    ).fetchone()
    return Region(*row)


def save(connection: Connection, region: Region) -> None:
    """Write the region back."""
    connection.execute(
        "UPDATE regions SET sequence = ?, newest_update_time = ?, rooms = ? WHERE key = ?",
        (region.sequence, region.newest_update_time, region.rooms, region.key),
    )
