"""From an access key to its owner, as the store has it now: see `identity` for what remembers it.

- A long-term key is its user's while it is Active.
- Temporary credentials are who their claims name, while that user or role is the very one that was
  named, nothing has revoked credentials of their time or ended the sessions, and the long-term key
  that they go back to is Active. They never may more than the identity may now.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from greenroom.clock import Clock
from greenroom.identities.callers import EXPIRED, INVALID, Caller, root_principal
from greenroom.model.errors import ExpiredTokenException, UnrecognizedClientException
from greenroom.model.identity import AccessKey, KeyStatus, Role, SessionClaims, User
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.model.principal import Permissions, Principal, PrincipalType
from greenroom.storage.identities import IdentityStore
from greenroom.storage.identity_values import Resolution
from greenroom.tokens.key_ring import KeyRing, TokenRejected
from greenroom.tokens.session_tokens import open_session
from greenroom.vault.sealing import Sealer, key_context

Documents = Mapping[str, str]
"""Policy documents by the policy's name or ARN."""

Compile = Callable[[Documents, Documents | None], Permissions]
"""Takes the identity's policies, and the session's where it has some."""

SESSION_POLICY = "session policy"
"""The name of an inline session policy."""


class Resolver:
    """Asks the store who may sign with a key: `resolve` is for `Callers`."""

    def __init__(
        self,
        store: IdentityStore,
        sealer: Sealer,
        ring: KeyRing,
        compile_policies: Compile,
        clock: Clock,
        root_key_ids: Collection[str] = (),
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._ring = ring
        self._compile = compile_policies
        self._clock = clock
        self._root_key_ids = frozenset(root_key_ids)

    async def resolve(self, access_key_id: str, session_token: str | None) -> Caller:
        """Return the caller.

        Raises:
            UnrecognizedClientException, ExpiredTokenException, StorageUnavailable: see
                `Callers.find`.
        """
        try:
            if session_token is None:
                return await self._of_key(access_key_id)
            return await self._of_session(access_key_id, session_token)
        except (NoSuchEntity, TokenRejected):
            raise UnrecognizedClientException(INVALID) from None

    async def _of_key(self, access_key_id: str) -> Caller:
        found = await self._store.resolve_key(access_key_id)
        key, user = found.key, found.identity
        if key is None or not isinstance(user, User) or key.status is not KeyStatus.ACTIVE:
            raise UnrecognizedClientException(INVALID)
        return Caller(
            access_key_id=access_key_id,
            secret_access_key=self._opened(key),
            principal=_user(user, self._permissions(found, None), None),
            notes_use=True,
            key_created=key.create_date,
        )

    async def _of_session(self, access_key_id: str, session_token: str) -> Caller:
        claims = open_session(self._ring, session_token)
        if claims.access_key_id != access_key_id:
            raise UnrecognizedClientException(INVALID)
        if claims.expires <= self._clock.now_ms():
            raise ExpiredTokenException(EXPIRED)
        found = await self._store.resolve_identity(
            claims.account, claims.kind, claims.name, claims.policy_arns, claims.parent_key_id
        )
        self._check(claims, found)
        return Caller(
            access_key_id=access_key_id,
            secret_access_key=claims.secret_access_key,
            principal=self._principal(claims, found),
            session=claims,
        )

    def _check(self, claims: SessionClaims, found: Resolution) -> None:
        kept = found.identity
        if kept is not None and kept.id != claims.identity_id:
            raise UnrecognizedClientException(INVALID)
        holder = found.account if kept is None else kept
        if claims.issued < holder.revoked_before or claims.sessions_ended != holder.sessions_ended:
            raise ExpiredTokenException(EXPIRED)
        if claims.parent_key_id and claims.parent_key_id not in self._root_key_ids:
            parent = found.key
            if parent is None or parent.status is not KeyStatus.ACTIVE:
                raise UnrecognizedClientException(INVALID)
            if claims.parent_key_created not in (0, parent.create_date):
                raise UnrecognizedClientException(INVALID)

    def _principal(self, claims: SessionClaims, found: Resolution) -> Principal:
        match found.identity:
            case User() as user:
                return _user(user, self._permissions(found, claims), claims)
            case Role() as role:
                return _role(role, self._permissions(found, claims), claims)
            case None:
                return root_principal(claims.account)

    def _permissions(self, found: Resolution, claims: SessionClaims | None) -> Permissions:
        identity = found.identity
        documents: dict[str, str] = {}
        if identity is not None:
            documents |= identity.inline_policies
            documents |= _managed(found, identity.attached_policies)
        session = None
        if claims is not None and (claims.policy is not None or claims.policy_arns):
            session = _managed(found, claims.policy_arns, claims.policy_ids)
            if claims.policy is not None:
                session[SESSION_POLICY] = claims.policy
        return self._compile(documents, session)

    def _opened(self, key: AccessKey) -> str:
        return self._sealer.open(key_context(key.access_key_id), key.sealed_secret).decode()


def _managed(found: Resolution, arns: tuple[str, ...], ids: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the documents of managed policies; of these ids only, where they are known."""
    policies = [found.policies[arn] for arn in arns if arn in found.policies]
    return {each.arn: each.document for each in policies if not ids or each.id in ids}


def _user(user: User, permissions: Permissions, claims: SessionClaims | None) -> Principal:
    return Principal(
        arn=user.arn,
        account=user.account,
        type=PrincipalType.USER,
        user_id=user.id,
        permissions=permissions,
        user_name=user.name,
        tags=user.tags,
        token_issued=None if claims is None else _time(claims.issued),
    )


def _role(role: Role, permissions: Permissions, claims: SessionClaims) -> Principal:
    return Principal(
        arn=role.session_arn(claims.session_name),
        account=role.account,
        type=PrincipalType.ASSUMED_ROLE,
        user_id=f"{role.id}:{claims.session_name}",
        permissions=permissions,
        role_arn=role.arn,
        tags={**role.tags, **claims.tags},
        token_issued=_time(claims.issued),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
