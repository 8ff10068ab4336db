"""Tags, redeemed tokens and secrets in SQLite: functions of a connection."""

from collections.abc import Sequence
from sqlite3 import Connection

from greenroom.model.arn import Arn, ResourceType
from greenroom.storage import rules
from greenroom.storage.base import TokenUse
from greenroom.storage.sqlite.rows import json_text, tags_from

_TABLES = {
    ResourceType.ROOM: "rooms",
    ResourceType.LOGGING_CONFIGURATION: "logging_configurations",
}


def get_tags(connection: Connection, arn: Arn) -> dict[str, str]:
    """Return the resource's tags or raise ResourceNotFoundException."""
    row = connection.execute(
        f"SELECT tags FROM {_TABLES[arn.type]} WHERE arn = ?", (str(arn),)
    ).fetchone()
    if row is None:
        raise arn.not_found()
    return tags_from(row[0])


def tag(connection: Connection, arn: Arn, tags: dict[str, str], quota: int) -> None:
    """Add or overwrite tags."""
    _keep(connection, arn, rules.tagged(get_tags(connection, arn), tags, quota))


def untag(connection: Connection, arn: Arn, keys: tuple[str, ...]) -> None:
    """Remove tags."""
    _keep(connection, arn, rules.untagged(get_tags(connection, arn), keys))


def redeem(
    connection: Connection, tokens: Sequence[TokenUse], prune: int, prune_before: int
) -> list[bool]:
    """Mark the tokens; return for each whether it was not marked yet.

    First remove up to `prune` marks of tokens that expired before `prune_before`.
    """
    if prune:
        connection.execute(
            "DELETE FROM redeemed_tokens WHERE token_id IN"
            " (SELECT token_id FROM redeemed_tokens WHERE expires < ? ORDER BY expires LIMIT ?)",
            (prune_before, prune),
        )
    insert = "INSERT OR IGNORE INTO redeemed_tokens (token_id, expires) VALUES (?, ?)"
    return [connection.execute(insert, token).rowcount == 1 for token in tokens]


def secret(connection: Connection, name: str, candidate: bytes) -> bytes:
    """Return what is kept under the name, which is the candidate if nothing was."""
    connection.execute(
        "INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", (name, candidate)
    )
    kept = kept_secret(connection, name)
    return candidate if kept is None else kept


def kept_secret(connection: Connection, name: str) -> bytes | None:
    """Return what is kept under the name."""
    row = connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
    kept: bytes | None = None if row is None else row[0]
    return kept


def replace_secret(connection: Connection, name: str, expected: bytes, replacement: bytes) -> bool:
    """Keep the replacement instead of what is expected."""
    # What is replaced may be a secret in clear: its bytes are overwritten in the file.
    connection.execute("PRAGMA secure_delete = ON")
    changed = connection.execute(
        "UPDATE secrets SET value = ? WHERE name = ? AND value = ?", (replacement, name, expected)
    )
    return changed.rowcount == 1


def _keep(connection: Connection, arn: Arn, tags: dict[str, str]) -> None:
    connection.execute(
        f"UPDATE {_TABLES[arn.type]} SET tags = ? WHERE arn = ?", (json_text(tags), str(arn))
    )


def write_nothing(connection: Connection) -> None:
    """Write the file's header as it is: one page, through the log and to the disk like all else."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
