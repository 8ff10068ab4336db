"""What is kept, table by table, as it moves from one kind of database to another.

A row that moves is the values of `Table.columns`, whichever database it comes from: whole numbers,
texts, bytes and None. Equal contents give equal rows in one order; so they can be compared. A test
compares this list with the schemas of both: no table and no column of either is missing.

The journal differs. SQLite counts what waits in a queue in its row, and a batch is all of it up to
a number; in PostgreSQL each stream counts in a row of its own, and a batch marks its records.
"""

from collections.abc import Mapping

import msgspec

Row = tuple[object, ...]
"""A row that moves; its texts are those of the service."""


class Own(msgspec.Struct, frozen=True):
    """How one kind of database differs from the rows that move."""

    source: str = ""
    """What rows are read from, where that is not the table."""
    read: Mapping[str, str] = {}
    """Expressions that columns are read by."""
    write: Mapping[str, str] = {}
    """Expressions that columns are written by; `{}` is the value."""
    lacks: frozenset[str] = frozenset()
    """Columns that are not in its table."""
    starts: Mapping[str, int] = {}
    """Columns that only its table has, and what they get."""


class Table(msgspec.Struct, frozen=True):
    """One table: its columns, and those that give its rows their order."""

    name: str
    columns: tuple[str, ...]
    order: str
    sqlite: Own = Own()
    postgres: Own = Own()

    def select(self, own: Own) -> str:
        """Return the statement that reads all rows in order."""
        fields = ", ".join(f"{own.read.get(each, each)} AS {each}" for each in self.columns)
        return f"SELECT {fields} FROM {own.source or self.name} ORDER BY {self.order}"

    def counted(self, own: Own) -> str:
        """Return the statement that counts the rows."""
        return f"SELECT count(*) FROM {own.source or self.name}"

    def written(self, own: Own) -> tuple[str, ...]:
        """Return the columns of its table that are written, those with a start last."""
        return (*(each for each in self.columns if each not in own.lacks), *own.starts)


def _identities(name: str) -> Table:
    return Table(name, ("account", "key", "value"), "account, key")


_STANDING = """
    SELECT key AS its_queue, batch AS its_end, EXISTS (
        SELECT FROM journal WHERE queue = key AND batch IS NULL AND sequence < journal_queues.batch
    ) AS is_mixed FROM journal_queues
"""

_NEXT = """
    SELECT greatest(max(last_value), (SELECT max(sequence) FROM journal)) FROM journal_sequence_seq
"""

_JOURNAL = f"""(
    SELECT sequence AS number, queue, room, time_ns, payload, batch
    FROM journal JOIN ({_STANDING}) AS standing ON queue = its_queue
    WHERE NOT (is_mixed AND batch IS NULL)
    UNION ALL
    SELECT ({_NEXT}) + row_number() OVER (ORDER BY sequence), queue, room, time_ns, payload, batch
    FROM journal JOIN ({_STANDING}) AS standing ON queue = its_queue
    WHERE is_mixed AND batch IS NULL
) AS numbered"""
"""The records of PostgreSQL with the numbers that they can have anywhere.

One that was committed late has a smaller number than the end of a batch that it is not in. So all
of its queue that are in no batch get new numbers, in their order: nothing was named by the old.
"""

SECRETS = Table("secrets", ("name", "value"), "name")

TABLES = (
    Table(
        "regions",
        ("key", "account", "region", "sequence", "newest_update_time", "rooms"),
        "key",
    ),
    Table(
        "rooms",
        (
            *("key", "region", "sequence", "arn", "name", "maximum_message_rate_per_second"),
            *("maximum_message_length", "handler_uri", "handler_fallback_result"),
            *(
                "logging_configuration_identifiers",
                "tags",
                "overrides",
                "schedules",
                "scheduled_at",
                "create_time",
                "update_time",
            ),
        ),
        "key",
    ),
    Table(
        "room_positions",
        (
            *("key", "region", "room", "sequence", "update_time"),
            *("superseded_sequence", "superseded_at"),
        ),
        "key",
    ),
    Table(
        "logging_configurations",
        (
            *("key", "region", "sequence", "arn", "name", "destination_kind", "destination_name"),
            *("state", "tags", "create_time", "update_time"),
        ),
        "key",
    ),
    Table("attachments", ("configuration", "sequence", "room"), "configuration, sequence"),
    Table(
        "redeemed_tokens",
        ("token_id", "expires"),
        "redeemed_tokens.token_id",  # the column, not what is read of it
        sqlite=Own(
            read={"token_id": "CAST(token_id AS BLOB)"}, write={"token_id": "CAST({} AS TEXT)"}
        ),
        postgres=Own(starts={"use": 0}),
    ),
    SECRETS,
    Table(
        "restrictions",
        (
            *("account", "version", "scope", "user_id", "kind", "latest", "lifted", "ends"),
            "value",
        ),
        "account, version",
    ),
    Table(
        "sent_messages",
        ("key", "fingerprint", "message_id", "asked_at", "time_ns"),
        "key",
    ),
    Table(
        "held_messages",
        (
            *("number", "room", "id", "author", "time_ns", "shadowed", "recorded"),
            *("payload", "marked"),
        ),
        "number",
    ),
    Table("history_rooms", ("key", "room", "newest", "ended"), "key"),
    Table(
        "history",
        (
            *("room", "number", "id", "time_ns", "action", "audience", "user_id", "author"),
            *("deletes", "deleted", "begins", "payload", "marked"),
        ),
        "room, number",
    ),
    _identities("identity_users"),
    _identities("identity_roles"),
    _identities("identity_policies"),
    _identities("identity_keys"),
    _identities("identity_attachments"),
    _identities("identity_accounts"),
    Table(
        "journal_queues",
        ("key", "configuration", "batch"),
        "key",
        sqlite=Own(starts={"records": 0, "size": 0}),
        postgres=Own(
            # SQLite has a queue only while something waits in it.
            source="journal_queues WHERE EXISTS (SELECT FROM journal WHERE queue = key)",
            starts={"removed_records": 0, "removed_size": 0},
        ),
    ),
    Table(
        "journal",
        ("sequence", "queue", "room", "time_ns", "payload", "batch"),
        "sequence",
        sqlite=Own(
            read={
                "batch": "(SELECT batch FROM journal_queues"
                " WHERE key = queue AND batch >= journal.sequence)"
            },
            lacks=frozenset({"batch"}),
        ),
        postgres=Own(source=_JOURNAL, read={"sequence": "number"}),
    ),
)
"""All that moves, in an order in which what is referred to is there first."""

NUMBERS_USED = f"""
SELECT greatest(
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_sequence_seq),
    (SELECT max(number) FROM {_JOURNAL})
)
"""
"""PostgreSQL's statement for the highest number that a record ever had: none comes back."""

COUNT_QUEUES = """
UPDATE journal_queues SET
    records = (SELECT count(*) FROM journal WHERE queue = key),
    size = (SELECT coalesce(sum(length(payload)), 0) FROM journal WHERE queue = key)
"""
"""What SQLite counts, once all rows are there."""

COUNT_ADDED = """
INSERT INTO journal_added (queue, stream, records, size)
SELECT queue, -1, count(*), sum(octet_length(payload)) FROM journal GROUP BY queue
"""
"""What PostgreSQL counts, once all rows are there."""

STAY = {
    "journal_added": "counts the records of queues: made anew",
    "stream_positions": "belongs to streams of the bus, which do not move",
    "commits": "belongs to connections of the last minutes",
    "schema_steps": "says which steps this database has seen",
}
"""Tables of PostgreSQL that do not move, and why."""
