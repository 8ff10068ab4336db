"""One connection to PostgreSQL: how it is made, and what holds on it from the first statement on.

- **Schema.** All tables are in `SCHEMA`, and nothing else is looked at: other applications may
  share the database.
- **Durability.** `synchronous_commit` is never off; a stronger setting of the database's stays.
- **Nobody waits for a node that is gone**, or stands still: the server ends a transaction in which
  nothing is asked any more, and connections that nobody acknowledges, with what they hold.
- **Texts.** PostgreSQL keeps neither NUL characters nor lone surrogates in a text. They are written
  with an escape before them, U+0001; a text without all three is kept as it is. The elements of an
  array are not seen: who gives one calls `escaped`.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

SCHEMA = "greenroom"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SETTINGS = {
    "search_path": SCHEMA,
    "default_transaction_isolation": "read committed",
    "lock_timeout": "2s",  # then what waited is tried anew
    "idle_in_transaction_session_timeout": "4s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}

_PREPARE = f"""
SELECT {", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())},
    set_config('statement_timeout', $1, false),
    set_config('synchronous_commit', replace(
        current_setting('synchronous_commit'), 'off', 'on'), false),
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only
"""


class Waits(msgspec.Struct, frozen=True):
    """How long what may take, in seconds."""

    connect: float = 3.0
    """To make a connection."""
    statement: float = 3.0
    """A statement; then its connection is given up. The server ends it after twice as long."""


class ReadOnlyServer(ConnectionError):
    """The server takes no writes: it is a replica, or its transactions are read-only."""

    def __init__(self) -> None:
        super().__init__("it is a read-only replica, or set to read only")


Password = Callable[[], str] | None
"""Reads the password, at each connection anew; without one it is in the URL, or there is none."""


async def connect(url: str, password: Password, waits: Waits) -> Connection:
    """Connect to the database, of several servers to the one that takes writes.

    Raises:
        ReadOnlyServer: it takes no writes.
        Exception: one of `failures.ERRORS`.
    """
    connection = await asyncpg.connect(
        url,
        password=password,
        timeout=waits.connect,
        command_timeout=waits.statement,
        target_session_attrs=_wanted_server(url),
        server_settings={"application_name": "greenroom"},
    )
    try:
        await _prepare(connection, waits)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _wanted_server(url: str) -> SessionAttribute | None:
    several = "," in url.partition("?")[0]
    return SessionAttribute.primary if several and "target_session_attrs" not in url else None


async def _prepare(connection: Connection, waits: Waits) -> None:
    (prepared,) = await connection.fetch(_PREPARE, f"{2_000 * waits.statement:.0f}ms")
    if prepared["read_only"]:
        raise ReadOnlyServer
    await connection.set_type_codec(
        "text", schema="pg_catalog", encoder=escaped, decoder=unescaped, format="text"
    )


_UNFIT = re.compile("[\x00\x01\ud800-\udfff]")
_ESCAPE = re.compile("\x01(.)", re.DOTALL)
_SURROGATES, _PRIVATE = 0xD800, 0xE000
_MOVED = _PRIVATE - _SURROGATES
"""From the surrogates to characters for private use."""


def escaped(text: str) -> str:
    """Return the text as the database can keep it."""
    return _UNFIT.sub(_escape, text)


def unescaped(kept: str) -> str:
    """Return the text that is kept so."""
    return _ESCAPE.sub(_unescape, kept) if "\x01" in kept else kept


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\x01" + chr(code + (_MOVED if code >= _SURROGATES else 1))


def _unescape(match: re.Match[str]) -> str:
    code = ord(match[1])
    return chr(code - (_MOVED if code >= _PRIVATE else 1))
