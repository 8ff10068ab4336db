"""Chat tokens that the service itself does not make: expired ones, and of sessions that end soon.

The shortest session that CreateChatToken gives lasts a minute. These are sealed with the running
service's own keys, which are read from its database without writing to it.
"""

import base64
import contextlib
import os
import secrets
import sqlite3
import time
from pathlib import Path

import pytest

from greenroom.model.chat_token import TOKEN_VALIDITY_SECONDS, Capability, ChatTokenClaims
from greenroom.tokens.key_ring import NONCE_BYTES, KeyRing, seal_claims
from greenroom.vault.sealing import Sealer
from greenroom.vault.vault import KEY_FILE
from scripts.servers.postgresql import PostgreSQL
from tests.running.service import Service

SESSION_SECONDS = 3600


def short_session_token(service: Service, room: str, user: str, seconds: float) -> str:
    """Return a token with every capability, whose session ends so many seconds from now."""
    return _sealed(service, room, user, TOKEN_VALIDITY_SECONDS, seconds)


def expired_token(service: Service, room: str, user: str) -> str:
    """Return a token with which one could connect until a second ago."""
    return _sealed(service, room, user, -1, SESSION_SECONDS)


def key_ring(data_dir: Path) -> KeyRing:
    """Return the keys with which the service of a data directory seals its tokens."""
    if not (data_dir / "greenroom.db").exists():
        pytest.skip("makes tokens with the keys in an embedded store: these nodes have none")
    uri = f"{(data_dir / 'greenroom.db').absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        (kept,) = connection.execute(
            "SELECT value FROM secrets WHERE name = 'token-keys'"
        ).fetchone()
    return _opened(kept, (data_dir / KEY_FILE).read_text())


def key_ring_in(server: PostgreSQL, database: str, secrets_key: str) -> KeyRing:
    """Return the keys with which the nodes seal their tokens that share a database."""
    query = "SELECT encode(value, 'hex') FROM greenroom.secrets WHERE name = 'token-keys'"
    return _opened(bytes.fromhex(server.sql(query, database)), secrets_key)


def _opened(kept: bytes, key: str) -> KeyRing:
    return KeyRing.from_bytes(Sealer(base64.b64decode(key)).open("secret token-keys", kept))


def _sealed(service: Service, room: str, user: str, valid: float, session: float) -> str:
    now = time.time()
    claims = ChatTokenClaims(
        token_id=secrets.token_urlsafe(12),
        room_arn=room,
        user_id=user,
        capabilities=tuple(Capability),
        attributes={},
        token_expires=int((now + valid) * 1000),
        session_expires=int((now + session) * 1000),
    )
    ring = key_ring(Path(service.ready["data_dir"]))
    return seal_claims(ring, claims, os.urandom(NONCE_BYTES))
