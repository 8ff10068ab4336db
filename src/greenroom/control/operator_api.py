"""`/greenroom/...`: the operator's requests, about keys of chat tokens, the account and sessions.

They are signed like those of the API, for a service of their own, so that neither signature is good
for the other; only the root access key may make them. A path on the one port needs nothing that a
remote operator, a container or a store in memory lacks, as a socket in the data directory would.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec

from greenroom.audit.entry import SUCCESS
from greenroom.aws import rest_json
from greenroom.aws.signature import sigv4
from greenroom.clock import Clock
from greenroom.control.app import UNKNOWN, ControlPlane
from greenroom.control.asgi import Receive, Scope, Send, answer, signed_request
from greenroom.control.trail import Trail, new_trail
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import AccessKey, Identities
from greenroom.model.errors import (
    AccessDeniedException,
    InternalServerException,
    ServiceError,
    ValidationException,
)
from greenroom.model.identity import IdentityKind
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyInfo
from greenroom.vault.token_keys import TokenKeys

PREFIX = b"/greenroom/"
SERVICE = "greenroom"
"""The service in the credential scope."""

BODY_BYTES = 4096

_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


EndSessions = Callable[[IdentityKind | None, str], Awaitable[None]]
"""Ends the sessions of the user, the role or (None) the root of the name, on every node."""


class TokenKeysAnswer(msgspec.Struct, rename="camel"):
    """What every request about token keys is answered with: the keys as they are then."""

    token_keys: list[KeyInfo]


class AccountAnswer(msgspec.Struct, rename="camel"):
    """What every request about the account is answered with: how it is then."""

    account: str
    suspended: bool


class _Kill(msgspec.Struct, rename="camel"):
    key_id: str


class SessionsAnswer(msgspec.Struct, rename="camel"):
    """Whose sessions were ended."""

    kind: str
    name: str


class _EndSessions(msgspec.Struct):
    kind: Literal["user", "role", "root"]
    name: str = ""


class _Operation(msgspec.Struct, frozen=True):
    """One request: its name in the audit log, and what it does."""

    name: str
    perform: Callable[[bytes, Trail], Awaitable[object]]
    reads: bool = False


class OperatorApi:
    """Serves the requests: `OPERATIONS` by path."""

    def __init__(
        self,
        keys: TokenKeys,
        accounts: Accounts,
        identities: Identities,
        root: AccessKey,
        clock: Clock,
        metrics: Metrics,
        control: ControlPlane,
        end_sessions: EndSessions,
    ) -> None:
        """Make the API; audit log, memory for bodies and logger are those of the control plane."""
        self._keys = keys
        self._accounts = accounts
        self._identities = identities
        self._root = root
        self._clock = clock
        self._auditor = control.auditor
        self._metrics = metrics
        self._bodies = control.bodies
        self._logger = control.logger
        self._end_sessions = end_sessions
        self._operations: Mapping[bytes, _Operation] = {
            b"token-keys/list": _Operation("ListTokenKeys", self._list_keys, reads=True),
            b"token-keys/rotate": _Operation("RotateTokenKey", self._rotate_key),
            b"token-keys/kill": _Operation("KillTokenKey", self._kill_key),
            b"account/show": _Operation("ShowAccount", self._show_account, reads=True),
            b"account/suspend": _Operation("SuspendAccount", self._suspend_account),
            b"account/resume": _Operation("ResumeAccount", self._resume_account),
            b"sessions/end": _Operation("EndSessions", self._end),
        }

    def has(self, path: bytes) -> bool:
        """Return whether the path is that of one of its operations."""
        return path.startswith(PREFIX) and path.removeprefix(PREFIX) in self._operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        trail, outcome = new_trail(scope), SUCCESS
        try:
            body = await self._bodies.read(receive, BODY_BYTES)
            await self._verify(scope, body, trail)
            operation = self._operation(scope)
            trail.operation, trail.reads = operation.name, operation.reads
            self._refuse_others(trail)
            done = await operation.perform(body, trail)
            response = rest_json.Response(200, _HEADERS, msgspec.json.encode(done))
        except ServiceError as error:
            outcome, response = error.code, rest_json.serialize_error(error)
        except Exception:
            self._logger.exception("request crashed", address=trail.source_ip, **trail.names())
            internal = InternalServerException("An internal error occurred.")
            outcome, response = internal.code, rest_json.serialize_error(internal)
        await self._auditor.finish(trail, outcome)
        self._metrics.control_requests.labels(trail.operation or UNKNOWN, response.status).inc()
        headers = (*response.headers, (b"x-amzn-requestid", trail.request_id.encode()))
        await answer(send, response.status, headers, response.body)

    async def _verify(self, scope: Scope, body: bytes, trail: Trail) -> None:
        request = signed_request(scope, body)
        authorization = sigv4.authorization_of(request)
        trail.access_key_id = authorization.access_key_id
        caller = await self._identities.find(
            authorization.access_key_id, authorization.session_token
        )
        now = self._clock.now()
        sigv4.verify(request, authorization, caller.secret_access_key, now, SERVICE)
        trail.caller, trail.region = caller, authorization.region

    def _refuse_others(self, trail: Trail) -> None:
        if trail.access_key_id != self._root.access_key_id:
            raise AccessDeniedException(
                "Only the root access key may make the operator's requests."
            )

    def _operation(self, scope: Scope) -> _Operation:
        found = self._operations.get(scope["raw_path"].removeprefix(PREFIX))
        if found is None or scope["method"] != "POST":
            raise ValidationException("There is no such request of the operator's.")
        return found

    # Token keys

    async def _list_keys(self, _body: bytes, _trail: Trail) -> TokenKeysAnswer:
        return TokenKeysAnswer(self._keys.describe())

    async def _rotate_key(self, _body: bytes, _trail: Trail) -> TokenKeysAnswer:
        await self._keys.rotate()
        return TokenKeysAnswer(self._keys.describe())

    async def _kill_key(self, body: bytes, trail: Trail) -> TokenKeysAnswer:
        try:
            asked = msgspec.json.decode(body, type=_Kill)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValidationException("The body must be JSON with a keyId.") from None
        trail.parameters = {"keyId": asked.key_id}
        await self._keys.kill(asked.key_id)
        return TokenKeysAnswer(self._keys.describe())

    # The account

    async def _show_account(self, _body: bytes, _trail: Trail) -> AccountAnswer:
        account = self._root.account
        return AccountAnswer(account, self._accounts.is_suspended(account))

    async def _suspend_account(self, body: bytes, trail: Trail) -> AccountAnswer:
        await self._accounts.suspend(self._root.account)
        return await self._show_account(body, trail)

    async def _resume_account(self, body: bytes, trail: Trail) -> AccountAnswer:
        await self._accounts.resume(self._root.account)
        return await self._show_account(body, trail)

    # Sessions

    async def _end(self, body: bytes, trail: Trail) -> SessionsAnswer:
        try:
            asked = msgspec.json.decode(body, type=_EndSessions)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValidationException(
                "The body must be JSON with a kind, which is user, role or root, and a name."
            ) from None
        kind = None if asked.kind == "root" else IdentityKind(asked.kind)
        if kind is not None:
            trail.parameters = {f"{kind.title()}Name": asked.name}
        await self._end_sessions(kind, asked.name)
        return SessionsAnswer(asked.kind, asked.name)
