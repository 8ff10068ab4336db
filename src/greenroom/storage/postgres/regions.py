"""One account in one region, in PostgreSQL: its row is held by whoever changes something there."""

from greenroom.model.arn import Arn
from greenroom.storage.postgres.session import Connection
from greenroom.storage.regions import Region

_SELECT = (
    "SELECT key, sequence, newest_update_time, rooms FROM regions"
    " WHERE account = $1 AND region = $2"
)


def lane(arn: Arn) -> str:
    """Return the lane of the changes in the ARN's account and region."""
    return f"{arn.account} {arn.region}"


async def find(connection: Connection, account: str, region: str) -> Region | None:
    """Return the region, or None when nothing was ever created there."""
    row = await connection.fetchrow(_SELECT, account, region)
    return None if row is None else Region(*row)


async def hold(connection: Connection, arn: Arn) -> Region:
    """Return the ARN's region, which is there now; nobody else changes it until the commit."""
    row = await connection.fetchrow(_SELECT + " FOR UPDATE", arn.account, arn.region)
    if row is None:
        await connection.execute(
            "INSERT INTO regions (account, region, sequence, newest_update_time, rooms)"
            " VALUES ($1, $2, 0, 0, 0) ON CONFLICT DO NOTHING",
            arn.account,
            arn.region,
        )
        return await hold(connection, arn)
    return Region(*row)


async def in_use(connection: Connection) -> frozenset[str]:
    """Return every region in which any account has a room or a logging configuration."""
    rows = await connection.fetch(
        "SELECT DISTINCT region FROM regions WHERE rooms > 0"
        " OR EXISTS (SELECT FROM logging_configurations AS each WHERE each.region = regions.key)"
    )
    return frozenset(region for (region,) in rows)


async def save(connection: Connection, region: Region) -> None:
    """Write the region back."""
    await connection.execute(
        "UPDATE regions SET sequence = $1, newest_update_time = $2, rooms = $3 WHERE key = $4",
        region.sequence,
        region.newest_update_time,
        region.rooms,
        region.key,
    )
