"""The measured service: the real `greenroom serve` process, with limits that do not get in the way.

Everything else is as in production: SQLite on disk, tokens opened and redeemed durably, sessions,
the checks of every message. The chat tokens are sealed here, with the service's own keys, because
creating 20,000 of them over the API would take longer than a run; `control.py` measures that.
"""

import base64
import contextlib
import http.client
import json
import secrets
import shutil
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.client import PAYLOAD_BYTES, Load, Target
from benchmarks.processes import allow_descriptors, end, start_server, wait_until_ready
from greenroom.aws.signature.canonical import Request
from greenroom.aws.signature.sigv4 import sign
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.protocol.events import encode_message
from greenroom.tokens.key_ring import NONCE_BYTES, KeyRing, seal_claims
from greenroom.vault.sealing import Sealer
from greenroom.vault.vault import KEY_FILE

TOKEN_SECONDS = 600
SESSION_SECONDS = 3 * 3600
ACTION = '{"Action":"SEND_MESSAGE","RequestId":"r","Content":"{message}"}'
SETTINGS = {
    "GREENROOM_REQUEST_RATES": "off",
    "GREENROOM_ROOM_MESSAGE_RATES": "off",
    "GREENROOM_QUOTAS": "rooms=0,connections=0,messaging_requests_per_connection=0",
    "GREENROOM_CONNECTIONS_PER_ROOM": "0",
    "GREENROOM_CONNECTIONS_PER_USER": "0",
    "GREENROOM_NEW_CONNECTIONS_PER_SECOND": "0",
    "GREENROOM_LOG_LEVEL": "warning",
}
"""What load must not run into."""


class Keys(NamedTuple):
    """An access key."""

    id: str
    secret: str


class Greenroom:
    """A running service."""

    name = "Greenroom"
    module = "greenroom"
    environment: Mapping[str, str] = {}
    """Variables of the process beside its settings."""
    own: Mapping[str, str] = {}
    """The `greenroom:` attributes of the tokens that are made for loads."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        allow_descriptors()
        self._directory = directory / f"greenroom-{secrets.token_hex(4)}"
        self._directory.mkdir()
        ready, log = self._directory / "ready.json", self._directory / "log"
        command = [sys.executable, "-m", self.module, "serve", "--port", "0", "--data-dir"]
        command += [str(self._directory / "data"), "--ready-file", str(ready)]
        variables = {**SETTINGS, **self.environment, **(settings or {})}
        self._process = start_server(command, log, variables)
        self._ready = json.loads(wait_until_ready(self._process, log, ready))
        self._rooms: list[str] = []
        self._files = count()

    @property
    def pid(self) -> int:
        """The process to take the account of."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port of both planes."""
        return urlsplit(self._ready["api_url"]).port or 0

    @property
    def url(self) -> str:
        """Where WebSockets connect."""
        return f"{self._ready['websocket_url'].rstrip('/')}/"

    @property
    def trusted(self) -> str | None:
        """The file of the certificate to trust, if there is TLS."""
        file: str | None = self._ready["certificate_to_trust"]
        return file

    def target(self, load: Load) -> Target:
        """Create the load's rooms and a token for each of its connections."""
        while len(self._rooms) < load.rooms:
            self._rooms += self._create_rooms(load.rooms - len(self._rooms))
        protocols = self._directory / f"tokens-{next(self._files)}"
        with protocols.open("w") as file:
            file.writelines(f"{token}\n" for token in self._tokens(load))
        content = PAYLOAD_BYTES - len(encode_message("x" * 12, "r", None, "", 1, "user-0", {}))
        return Target(
            pid=self.pid,
            url=self.url,
            pattern=ACTION,
            content=content,
            protocols=protocols,
        )

    def signed(
        self,
        operation: str,
        body: Mapping[str, object],
        service: str = "ivschat",
        keys: Keys | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """Return the headers and body of a request of an operation, signed with the root's keys.

        Or with others.
        """
        payload = json.dumps(body).encode()
        host = f"127.0.0.1:{self.port}"
        headers = {"host": host, "content-type": "application/json"}
        request = Request(
            method="POST",
            raw_path=_path(operation, service),
            query_string="",
            headers=tuple(headers.items()),
            body=payload,
        )
        keys = keys or Keys(self._ready["access_key_id"], self._ready["secret_access_key"])
        headers |= sign(request, *keys, "us-east-1", service, time.time())
        return headers, payload

    @property
    def data_dir(self) -> Path:
        """Where it keeps everything."""
        return self._directory / "data"

    def call(
        self, operation: str, members: Mapping[str, object], service: str = "ivschat"
    ) -> dict[str, str]:
        """Perform an operation of a service; return its answer's members."""
        with contextlib.closing(self._connection()) as connection:
            return self._perform(connection, operation, members, service)

    def room(self) -> str:
        """Return the ARN of a room."""
        if not self._rooms:
            self._rooms += self._create_rooms(1)
        return self._rooms[0]

    def create_room(self, members: Mapping[str, object]) -> str:
        """Create a room that no load goes to; return its ARN."""
        (room,) = self._create_rooms(1, members)
        return room

    def tokens(self, room: str, number: int, user: str = "") -> Iterator[str]:
        """Give chat tokens of a room, each for a user of its own, or all for one."""
        ring = self._key_ring()
        users = (user or f"user-{index}" for index in range(number))
        return (_token(ring, room, each, self.own) for each in users)

    def stop(self) -> None:
        """End the service at once and remove what it kept."""
        end(self._process)
        shutil.rmtree(self._directory)

    def _create_rooms(
        self, number: int, members: Mapping[str, object] | None = None
    ) -> Iterator[str]:
        with contextlib.closing(self._connection()) as connection:
            for _ in range(number):
                yield self._perform(connection, "CreateRoom", members or {})["arn"]

    def _perform(
        self,
        connection: http.client.HTTPConnection,
        operation: str,
        members: Mapping[str, object],
        service: str = "ivschat",
    ) -> dict[str, str]:
        headers, payload = self.signed(operation, members, service)
        connection.request("POST", _path(operation, service), payload, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{operation}: {answer.status} {text.decode()}")
        found: dict[str, str] = json.loads(text)
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self.trusted is None:
            return http.client.HTTPConnection("127.0.0.1", self.port)
        context = ssl.create_default_context(cafile=self.trusted)
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context)

    def _tokens(self, load: Load) -> Iterator[str]:
        ring = self._key_ring()
        per_room = load.connections // load.rooms
        for index in range(load.connections):
            yield _token(ring, self._rooms[index // per_room], f"user-{index}", self.own)

    def _key_ring(self) -> KeyRing:
        """Read the service's keys from its database, without writing to it."""
        data = self._directory / "data"
        uri = f"{(data / 'greenroom.db').absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            (kept,) = connection.execute(
                "SELECT value FROM secrets WHERE name = 'token-keys'"
            ).fetchone()
        key = base64.b64decode((data / KEY_FILE).read_text())
        return KeyRing.from_bytes(Sealer(key).open("secret token-keys", kept))


def _path(operation: str, service: str) -> str:
    return f"/{operation}" if service == "ivschat" else f"/{service}/{operation}"


def _token(ring: KeyRing, room: str, user: str, own: Mapping[str, str]) -> str:
    now = int(time.time() * 1000)
    nonce = secrets.token_bytes(NONCE_BYTES)
    claims = ChatTokenClaims(
        token_id=nonce.hex(),
        room_arn=room,
        user_id=user,
        capabilities=(Capability.SEND_MESSAGE,),
        attributes={},
        token_expires=now + TOKEN_SECONDS * 1000,
        session_expires=now + SESSION_SECONDS * 1000,
        own=dict(own),
    )
    return seal_claims(ring, claims, nonce)
