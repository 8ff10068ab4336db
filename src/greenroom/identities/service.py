"""What the service keeps up about identities: opened before it listens, closed when it has drained.

One task does all the upkeep. Every `UPKEEP_SECONDS` it writes the last uses of keys and reads which
accounts are suspended; at a hang-up signal it applies the identities file again. What is said of an
account on the bus holds at once, and is looked up in the store: it may be an older saying that was
sent again, behind a newer one. What cannot be read is read as soon as it can be.
"""

import asyncio
import contextlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from greenroom.audit.entry import SUCCESS, AuditEntry
from greenroom.audit.file import Rotation
from greenroom.audit.log import AuditLog
from greenroom.bus.base import AccountSuspended, Control, IdentitiesChanged
from greenroom.clock import Clock
from greenroom.identities import declaration_file, root_key
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import Callers, RootKey
from greenroom.identities.declaration_file import IdentitiesRefused
from greenroom.identities.permissions import compile_policies
from greenroom.identities.resolver import Resolver
from greenroom.model.identity import IdentityKind
from greenroom.model.identity_errors import IdentityError
from greenroom.process.randomness import new_key
from greenroom.settings.values import Settings
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.identities import IdentityStore
from greenroom.storage.secrets import Secrets
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.vault import Vault, open_vault

UPKEEP_SECONDS = 60.0
"""Between two rounds of upkeep."""

RETRY_SECONDS = 0.5
"""Until what could not be read is read again."""

AUDIT_FILE = "audit.log"
"""The audit log's name in the data directory."""

APPLIED = "ApplyIdentitiesFile"
"""The event of the audit log's lines about what the identities file changed."""

log = structlog.get_logger()


class IdentityService:
    """Who is known, who is suspended, and what is written about what they do; see `open`."""

    def __init__(
        self, settings: Settings, store: IdentityStore, control: Control, clock: Clock, vault: Vault
    ) -> None:
        self._settings = settings
        self._store = store
        self._control = control
        self._clock = clock
        self.vault = vault
        self.root: RootKey
        self.session_ring: KeyRing
        self.callers: Callers
        self.accounts = Accounts(store, control, clock)
        self.audit_log = _audit_log(settings)
        self._woken = asyncio.Event()
        self._hung_up = False
        self._unread = False
        self._upkeep: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        settings: Settings,
        store: IdentityStore,
        secrets: Secrets,
        control: Control,
        clock: Clock,
    ) -> "IdentityService":
        """Find the keys, apply the identities file, and begin the audit log.

        Raises:
            SecretsKeyRefused: the key of the secrets at rest is not the right one.
            IdentitiesRefused: the identities file cannot be used; nothing of it was applied.
            FileUnwritable: a file of the data directory cannot be written.
        """
        service = cls(settings, store, control, clock, await open_vault(settings, secrets))
        await service._find_keys()
        async with contextlib.AsyncExitStack() as stack:
            if service.audit_log is not None:
                service.audit_log.start()
                stack.push_async_callback(service.audit_log.close)
            await service._apply_file()
            await service.accounts.refresh()
            stack.pop_all()
        return service

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin the upkeep; a reset of the bus has the accounts read at once."""
        self._control.on_reset(self._renew)
        self._control.on(AccountSuspended, lambda _: self._read_soon())
        self._upkeep = tasks.create_task(self._keep_up())

    async def _renew(self) -> None:
        """Read which accounts are suspended: now, or as soon as that is possible."""
        try:
            await self.accounts.refresh()
        except StorageUnavailable:
            self._read_soon()

    def _read_soon(self) -> None:
        self._unread = True
        self._woken.set()

    async def end_sessions(self, kind: IdentityKind | None, name: str) -> None:
        """End the sessions of a user, a role or (None) the root: the next request is refused.

        Raises:
            NoSuchEntity: there is no such user or role.
        """
        await self._store.end_sessions(self.root.account, kind, name)
        self._control.broadcast(IdentitiesChanged(self.root.account))

    def hang_up(self) -> None:
        """Open the audit log anew, and apply the identities file soon."""
        if self.audit_log is not None:
            self.audit_log.reopen()
        self._hung_up = True
        self._woken.set()

    async def close(self) -> None:
        """Stop the upkeep, write what is noted, and end the audit log."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            with suppress(asyncio.CancelledError):
                await self._upkeep
        await self._write_last_used()
        if self.audit_log is not None:
            await self.audit_log.close()

    async def _find_keys(self) -> None:
        self.session_ring = await self._ring("session-keys")
        self.root = await root_key.root_key(self._settings, self.vault)
        resolver = Resolver(
            self._store,
            self.vault.sealer,
            self.session_ring,
            compile_policies,
            self._clock,
            (self.root.access_key_id,),
        )
        self.callers = Callers(
            self.root, resolve=resolver.resolve, clock=self._clock, control=self._control
        )

    async def _ring(self, name: str) -> KeyRing:
        key_id, key = new_key()
        new = KeyRing({key_id: key}, key_id)
        return KeyRing.from_bytes(await self.vault.secret(name, new.to_bytes()))

    async def _keep_up(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._unread else UPKEEP_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            if self._hung_up:
                self._hung_up = False
                try:
                    await self._apply_file()
                except (IdentitiesRefused, StorageUnavailable) as refused:
                    log.error("identities file not applied", reason=str(refused))
                    await self._audit(type(refused).__name__, reason=str(refused))
            if not self._unread:
                await self._write_last_used()
            # The store says in the log when it begins to fail.
            self._unread = not await self._is_read()

    async def _is_read(self) -> bool:
        self._unread = False
        try:
            await self.accounts.refresh()
        except StorageUnavailable:
            return False
        # What was said meanwhile is looked up once more.
        return not self._unread

    async def _write_last_used(self) -> None:
        with suppress(StorageUnavailable):
            await self.callers.write_last_used(self._store.record_last_used)

    async def _apply_file(self) -> None:
        path = self._settings.optional_path("identities_file")
        if path is None:
            return
        account = self._settings.text("account")
        context = declaration_file.of_process(account, self._clock.now_ms(), self.vault.sealer)
        declared = declaration_file.read(path, context)
        try:
            changes = await self._store.apply(account, declared)
        except IdentityError as error:
            raise IdentitiesRefused(f"{path}: {error.message}") from None
        for change in changes:
            log.info("identities file", change=change.what)
            said = {"before": change.before, "after": change.after}
            differs = {name: values for name, values in said.items() if values}
            await self._audit(SUCCESS, change.arn, change=change.what, **differs)
        log.info("identities file applied", file=str(path), changes=len(changes))
        if changes:
            self._control.broadcast(IdentitiesChanged(account))
        if declared.suspended is not None:
            self._control.broadcast(AccountSuspended(account, declared.suspended))

    async def _audit(self, outcome: str, arn: str = "", **details: object) -> None:
        """Write what the identities file changed, or that it was refused."""
        if self.audit_log is None:
            return
        file = str(self._settings.optional_path("identities_file"))
        await self.audit_log.record(
            AuditEntry(
                time=datetime.fromtimestamp(self._clock.now(), UTC),
                event=APPLIED,
                outcome=outcome,
                resources=(arn,) if arn else (),
                details={"file": file, **details},
            )
        )


def _audit_log(settings: Settings) -> AuditLog | None:
    given = settings.text("audit_log")
    if given == "off" or (given == "on" and settings.text("storage") == "memory"):
        return None
    rotation = Rotation(
        bytes=settings.number("audit_log_bytes"),
        hours=settings.number("audit_log_hours"),
        files=settings.number("audit_log_files"),
    )
    if given == "on":
        return AuditLog(settings.path("data_dir") / AUDIT_FILE, rotation)
    return AuditLog(Path(given).expanduser(), rotation)
