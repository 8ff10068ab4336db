"""`/greenroom/token-keys/...`: the operator's requests about the keys of chat tokens.

They are signed like those of the API, for a service of their own, so that neither signature is good
for the other; only the root access key may make them. A path on the one port needs nothing that a
remote operator, a container or a store in memory lacks, as a socket in the data directory would.
"""

import msgspec
import structlog

from greenroom.aws import rest_json, sigv4
from greenroom.clock import Clock
from greenroom.control.asgi import Receive, Scope, Send, answer, read_body, signed_request
from greenroom.control.identity import AccessKey, Identities
from greenroom.model.errors import (
    AccessDeniedException,
    InternalServerException,
    ServiceError,
    ValidationException,
)
from greenroom.token_keys import TokenKeys
from greenroom.tokens import KeyInfo

PREFIX = b"/greenroom/token-keys/"
SERVICE = "greenroom"
"""The service in the credential scope."""

BODY_BYTES = 4096

_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

log = structlog.get_logger()


class Answer(msgspec.Struct, rename="camel"):
    """What every request is answered with: the keys as they are then."""

    token_keys: list[KeyInfo]


class _Kill(msgspec.Struct, rename="camel"):
    key_id: str


class TokenKeysApi:
    """Serves the three requests: list, rotate, kill."""

    def __init__(
        self, keys: TokenKeys, identities: Identities, root: AccessKey, clock: Clock
    ) -> None:
        self._keys = keys
        self._identities = identities
        self._root = root
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            body = await read_body(receive, BODY_BYTES)
            await self._verify(scope, body)
            await self._perform(scope["method"], scope["raw_path"].removeprefix(PREFIX), body)
            keys = msgspec.json.encode(Answer(self._keys.describe()))
            response = rest_json.Response(200, _HEADERS, keys)
        except ServiceError as error:
            response = rest_json.serialize_error(error)
        except Exception as error:
            log.exception("request crashed", error=type(error).__name__)
            internal = InternalServerException("An internal error occurred.")
            response = rest_json.serialize_error(internal)
        await answer(send, response.status, response.headers, response.body)

    async def _verify(self, scope: Scope, body: bytes) -> None:
        request = signed_request(scope, body)
        authorization = sigv4.authorization_of(request)
        caller = await self._identities.find(
            authorization.access_key_id, authorization.session_token
        )
        now = self._clock.now()
        sigv4.verify(request, authorization, caller.secret_access_key, now, SERVICE)
        if authorization.access_key_id != self._root.access_key_id:
            raise AccessDeniedException("Only the root access key may manage token keys.")

    async def _perform(self, method: str, action: bytes, body: bytes) -> None:
        if method != "POST" or action not in {b"list", b"rotate", b"kill"}:
            raise ValidationException("There is no such request about token keys.")
        if action == b"rotate":
            await self._keys.rotate()
        elif action == b"kill":
            try:
                asked = msgspec.json.decode(body, type=_Kill)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise ValidationException("The body must be JSON with a keyId.") from None
            await self._keys.kill(asked.key_id)
