"""Who calls: access keys to their owners, from memory where they are known.

- A known caller is one lookup. Of a key that is not known, nor known to be unknown, the store is
  asked (`identities.resolver`).
- The bus says after each change of an account to drop all that is known of it. What is known is
  asked again after `KNOWN_SECONDS` in any case, because the bus may lose an envelope.
- Both memories hold `MAXIMUM_KNOWN` entries; at the bound the oldest goes.
- Uses of keys are noted in memory and written together (`write_last_used`), never per request; at
  `MAXIMUM_KNOWN` keys further ones are not noted until then.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from greenroom.bus.base import Control, IdentitiesChanged
from greenroom.clock import Clock
from greenroom.model.errors import ExpiredTokenException, UnrecognizedClientException
from greenroom.model.identity import LastUsed, SessionClaims
from greenroom.model.principal import (
    AccessRequest,
    Decision,
    Outcome,
    PolicyKind,
    Principal,
    PrincipalType,
)

MAXIMUM_KNOWN = 10_000
"""Callers, and unknown key ids, that are kept in memory."""

KNOWN_SECONDS = 60.0
"""How long what is known is not asked again."""

INVALID = "The security token included in the request is invalid."
EXPIRED = "The security token included in the request is expired"


class RootKey(msgspec.Struct, frozen=True):
    """A root key of an account. The secret never leaves this value in a message or log."""

    access_key_id: str
    secret_access_key: str
    account: str

    def __repr__(self) -> str:
        return f"RootKey({self.access_key_id!r}, account={self.account!r})"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign with an access key: the secret to verify with, and the principal."""

    access_key_id: str
    secret_access_key: str
    principal: Principal
    notes_use: bool = False
    """Whether the last use is noted: of users' long-term keys."""
    key_created: int = 0
    """When a user's long-term key was made."""
    session: SessionClaims | None = None
    """Of temporary credentials."""

    @property
    def account(self) -> str:
        """Return the account that the principal belongs to."""
        return self.principal.account

    def __repr__(self) -> str:
        return f"Caller({self.access_key_id!r}, {self.principal.arn!r})"


K = TypeVar("K")
V = TypeVar("V")

Resolve = Callable[[str, str | None], Awaitable[Caller]]
"""Takes a key id and a session token; raises AuthenticationError for those that are not known."""


class _Unlimited:
    """The permissions of an account's root."""

    def decide(self, request: AccessRequest) -> Decision:
        """Allow."""
        return Decision(Outcome.ALLOW, PolicyKind.IDENTITY)

    def uses_resource_tags(self, action: str) -> bool:
        """No decision depends on them."""
        return False

    @property
    def is_narrowed(self) -> bool:
        """Nothing narrows the root."""
        return False


def root_principal(account: str) -> Principal:
    """Return the root of an account."""
    return Principal(
        arn=f"arn:aws:iam::{account}:root",
        account=account,
        type=PrincipalType.ACCOUNT,
        user_id=account,
        permissions=_Unlimited(),
    )


async def nobody(_access_key_id: str, _session_token: str | None) -> Caller:
    """Know no keys but those of the roots."""
    raise UnrecognizedClientException(INVALID)


class Callers:
    """The callers that the service knows, beginning with the roots' keys."""

    def __init__(
        self,
        *roots: RootKey,
        resolve: Resolve = nobody,
        clock: Clock | None = None,
        control: Control | None = None,
    ) -> None:
        """Know the roots' keys, and those that `resolve` finds; `control` says when to forget."""
        self._resolve = resolve
        self._clock = clock or Clock()
        self._roots = {
            key.access_key_id: Caller(
                access_key_id=key.access_key_id,
                secret_access_key=key.secret_access_key,
                principal=root_principal(key.account),
            )
            for key in roots
        }
        self._known: dict[tuple[str, str | None], tuple[Caller, float]] = {}
        self._unknown: dict[str, float] = {}
        self._changes = 0
        self._uses: dict[str, LastUsed] = {}
        self.evicted = {"callers": 0, "unknown_keys": 0, "key_uses": 0}
        """What did not fit into each of the memories, since the start."""
        if control is not None:
            control.on(IdentitiesChanged, lambda envelope: self.forget(envelope.account))
            control.on_reset(self.forget_all)

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    async def find(self, access_key_id: str, session_token: str | None) -> Caller:
        """Return who may sign with the key.

        Raises:
            UnrecognizedClientException: there is no such key, it is inactive, or it does not go
                with the session token.
            ExpiredTokenException: the temporary credentials have expired, or were revoked.
            StorageUnavailable: the store cannot say.
        """
        if session_token is None and (root := self._roots.get(access_key_id)) is not None:
            return root
        now = self._clock.monotonic()
        found, until = self._known.get((access_key_id, session_token), (None, 0.0))
        if found is None or until < now:
            found = await self._ask(access_key_id, session_token, now)
        if found.session is not None and found.session.expires <= self._clock.now_ms():
            raise ExpiredTokenException(EXPIRED)
        return found

    def forget(self, account: str) -> None:
        """Drop what is known of the account, and what is being asked about it."""
        self._changes += 1
        self._unknown.clear()
        gone = [key for key, (caller, _) in self._known.items() if caller.account == account]
        for key in gone:
            del self._known[key]

    def forget_all(self) -> None:
        """Drop what is known of every account, and what is being asked."""
        self._changes += 1
        self._unknown.clear()
        self._known.clear()

    def note_use(self, caller: Caller, service: str, region: str) -> None:
        """Note that the caller's key has signed a request."""
        key_id = caller.access_key_id
        if not caller.notes_use:
            return
        if key_id in self._uses or len(self._uses) < MAXIMUM_KNOWN:
            self._uses[key_id] = LastUsed(self._clock.now_ms(), service, region)
        else:
            self.evicted["key_uses"] += 1

    async def write_last_used(
        self, record: Callable[[dict[str, LastUsed]], Awaitable[None]]
    ) -> None:
        """Hand the uses noted since the last time to the store; what it refuses is kept noted."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await record(uses)
        except BaseException:
            self._uses = {**uses, **self._uses}
            raise

    async def _ask(self, access_key_id: str, session_token: str | None, now: float) -> Caller:
        if session_token is None and self._unknown.get(access_key_id, 0.0) >= now:
            raise UnrecognizedClientException(INVALID)
        changes = self._changes
        try:
            caller = await self._resolve(access_key_id, session_token)
        except UnrecognizedClientException:
            # A token that does not open costs no trip to the store: only key ids are remembered.
            if session_token is None and changes == self._changes:
                self.evicted["unknown_keys"] += _keep(
                    self._unknown, access_key_id, now + KNOWN_SECONDS
                )
            raise
        if changes == self._changes:
            known = (caller, now + KNOWN_SECONDS)
            self.evicted["callers"] += _keep(self._known, (access_key_id, session_token), known)
        return caller


def _keep(memory: dict[K, V], key: K, value: V) -> int:
    """Keep the newest entry; return how many had to go for it."""
    memory.pop(key, None)
    full = len(memory) >= MAXIMUM_KNOWN
    if full:
        del memory[next(iter(memory))]
    memory[key] = value
    return int(full)
