"""Chat tokens that the service itself does not make: expired ones, and of sessions that end soon.

The shortest session that CreateChatToken gives lasts a minute. These are sealed with the running
service's own keys, which are read from its database, or its cluster's, without writing to it.
"""

import base64
import contextlib
import os
import secrets
import sqlite3
import subprocess
import time
from pathlib import Path

from greenroom.model.chat_token import TOKEN_VALIDITY_SECONDS, Capability, ChatTokenClaims
from greenroom.tokens.key_ring import NONCE_BYTES, KeyRing, seal_claims
from greenroom.vault.sealing import Sealer
from greenroom.vault.vault import KEY_FILE
from scripts.servers.postgresql import PostgreSQL
from scripts.servers.postgresql_installation import newest
from tests.running.service import Service

SESSION_SECONDS = 3600

KEYS = "SELECT encode(value, 'hex') FROM greenroom.secrets WHERE name = 'token-keys'"


def short_session_token(service: Service, room: str, user: str, seconds: float) -> str:
    """Return a token with every capability, whose session ends so many seconds from now."""
    return _sealed(service, room, user, TOKEN_VALIDITY_SECONDS, seconds)


def expired_token(service: Service, room: str, user: str) -> str:
    """Return a token with which one could connect until a second ago."""
    return _sealed(service, room, user, -1, SESSION_SECONDS)


def key_ring(service: Service) -> KeyRing:
    """Return the keys with which a service seals its tokens, or all nodes of its cluster."""
    storage = service.variables.get("GREENROOM_STORAGE", "")
    if storage.startswith("postgresql://"):
        return _opened(_asked(storage), service.variables["GREENROOM_SECRETS_KEY"])
    data_dir = Path(service.ready["data_dir"])
    uri = f"{(data_dir / 'greenroom.db').absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        (kept,) = connection.execute(
            "SELECT value FROM secrets WHERE name = 'token-keys'"
        ).fetchone()
    return _opened(kept, (data_dir / KEY_FILE).read_text())


def key_ring_in(server: PostgreSQL, database: str, secrets_key: str) -> KeyRing:
    """Return the keys with which the nodes seal their tokens that share a database."""
    return _opened(bytes.fromhex(server.sql(KEYS, database)), secrets_key)


def _asked(url: str) -> bytes:
    """Return what the database of nodes keeps."""
    command = [str(newest().program("psql")), "-XqAt", "-d", url, "-c", KEYS]
    return bytes.fromhex(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


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
    ring = key_ring(service)
    return seal_claims(ring, claims, os.urandom(NONCE_BYTES))
