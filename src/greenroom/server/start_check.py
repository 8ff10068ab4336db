"""Open all that a start would open, and change nothing: `greenroom config --check`.

Every part is looked at, also when one before it fails, so that all faults are told at once. Python
functions of message review are imported, as a start does. A service that runs on the data directory
already is no fault: this is what one asks before it is restarted.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from greenroom.aws_access.clients import AwsAccess
from greenroom.chatlog.choice import lacking
from greenroom.chatlog.destinations import endpoints, nearest, open_destinations
from greenroom.clock import Clock
from greenroom.entrance.certificate import certificate_of
from greenroom.entrance.sockets import bound
from greenroom.identities import declaration_file
from greenroom.identities.declaration_file import IdentitiesRefused
from greenroom.model.identity_errors import IdentityError
from greenroom.process.start_refused import FileUnwritable, StartRefused
from greenroom.review.targets import open_reviewer
from greenroom.server.adapters import REGIONS_NAMED
from greenroom.server.kept import check_installed
from greenroom.settings.values import Settings
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.schema import POSTGRES, SQLITE, steps
from greenroom.storage.sqlite.inspection import Inspection, inspect, inspect_directory
from greenroom.telemetry.metrics import Metrics
from greenroom.vault.sealing import MASTER_KEY_BYTES, Sealer
from greenroom.vault.vault import CHECK, check_given, is_at_hand, sealer_of


class Finding(msgspec.Struct, frozen=True):
    """What there is to say of one part: `refused` is why a start would end."""

    part: str
    said: str
    refused: Exception | None = None


async def check(settings: Settings) -> list[Finding]:
    """Return what was found of each part that the settings name."""
    checked = _Check(settings)
    return [found for part in checked.parts() if (found := await _found(*part)) is not None]


async def _found(name: str, look: "Callable[[], Awaitable[str]]") -> Finding | None:
    try:
        said = await look()
    except StartRefused as refused:
        return Finding(name, " ".join(str(refused).split()), refused)
    return Finding(name, said) if said else None


class _Check:
    """Looks at the parts; each returns what to say, "" for nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Inspection()
        self._sealer: Sealer | None = None

    def parts(self) -> "list[tuple[str, Callable[[], Awaitable[str]]]]":
        """Return the parts in the order in which one needs another."""
        return [
            ("data_dir", self._data_dir),
            ("storage", self._storage),
            ("bus", self._bus),
            ("regions", self._regions),
            ("address", self._address),
            ("secrets_key", self._secrets_key),
            ("identities_file", self._identities_file),
            ("tls_certificate_file", self._certificate),
            ("review_handlers", self._review_handlers),
            ("chat_logs", self._chat_logs),
            ("audit_log", self._audit_log),
            ("ready_file", self._ready_file),
        ]

    async def _data_dir(self) -> str:
        if self._settings.text("storage") == "memory":
            return "none: the storage is memory"
        directory = self._settings.path("data_dir")
        if self._settings.database is not None:
            self._store = Inspection(holder=inspect_directory(directory))
            holder = self._store.holder
            runs = f": process {holder} runs on it" if holder else ""
            return f"{directory}, for what is this node's own{runs}"
        self._store = inspect(directory, CHECK)
        if not self._store.exists:
            return f"{directory}: there is no store yet"
        said = [f"process {self._store.holder} runs on it"] if self._store.holder else []
        said += _forward(self._store.schema, SQLITE)
        return f"{directory}: {'; '.join(said)}" if said else f"{directory}"

    async def _storage(self) -> str:
        if self._settings.database is None:
            return ""
        check_given(self._settings)
        check_installed()
        from greenroom.server import cluster

        found = await cluster.look_at_store(self._settings, Clock())
        self._store = msgspec.structs.replace(
            self._store, exists=found.exists, kept=found.kept, regions=found.regions
        )
        said = [f"{found.where}, version {found.version}"]
        if found.exists:
            said += _forward(found.schema, POSTGRES)
        else:
            said.append("there is no schema of ours yet")
        return "; ".join(said)

    async def _bus(self) -> str:
        if self._settings.bus_servers is None:
            return ""
        check_installed()
        from greenroom.server import cluster

        return await cluster.look_at_bus(self._settings)

    async def _regions(self) -> str:
        unserved = self._settings.unserved(self._store.regions)
        if not unserved:
            return ""
        more = f" and {len(unserved) - REGIONS_NAMED} more" if unserved[REGIONS_NAMED:] else ""
        named = ", ".join(unserved[:REGIONS_NAMED])
        return f"rooms in regions that are not served: {named}{more}"

    async def _address(self) -> str:
        host, port = self._settings.text("host"), self._settings.number("port")
        if self._store.holder:
            return f"{host} port {port}: not tried, since process {self._store.holder} runs"
        bound(host, port).close()
        return f"{host} port {port}"

    async def _secrets_key(self) -> str:
        settings = self._settings
        if settings.database is None and self._store.kept is None and not is_at_hand(settings):
            # A start would make one.
            self._sealer = Sealer(bytes(MASTER_KEY_BYTES))
            return ""
        self._sealer = sealer_of(settings, self._store.kept)
        return "opens what is kept" if self._store.kept is not None else "can be used"

    async def _identities_file(self) -> str:
        file = self._settings.optional_path("identities_file")
        if file is None or self._sealer is None:
            return ""
        account = self._settings.text("account")
        context = declaration_file.of_process(account, Clock().now_ms(), self._sealer)
        declared = declaration_file.read(file, context)
        if not self._store.exists:
            try:
                await MemoryStore().identities.apply(account, declared)
            except IdentityError as error:
                raise IdentitiesRefused(f"{file}: {error.message}") from None
        return f"{file}: {len(declared.users)} users, {len(declared.roles)} roles"

    async def _certificate(self) -> str:
        certificate = certificate_of(self._settings)
        if certificate is None:
            return ""
        valid = "" if certificate.is_valid(Clock().now()) else ", which is not valid now"
        return f"{certificate.file}{valid}"

    async def _review_handlers(self) -> str:
        settings, access = self._settings, AwsAccess(endpoints(self._settings))
        reviewer = await open_reviewer(settings, settings.quotas(), Metrics(), Clock(), access)
        await reviewer.close()
        await access.close()
        number = len(settings.table("review_handlers"))
        return f"{number} patterns" if number else ""

    async def _chat_logs(self) -> str:
        access = AwsAccess(endpoints(self._settings))
        await open_destinations(self._settings, access).close()
        await access.close()
        directory = self._settings.optional_path("chat_log_dir")
        if directory is not None and not _is_writable(nearest(directory)):
            raise FileUnwritable(f"chat_log_dir {directory} cannot be written")
        said = lacking(self._settings, os.environ)
        if directory is not None:
            said.insert(0, str(directory))
        return "; ".join(said)

    async def _audit_log(self) -> str:
        given = self._settings.text("audit_log")
        return "" if given in ("on", "off") else _place(Path(given), "the audit log")

    async def _ready_file(self) -> str:
        file = self._settings.optional_path("ready_file")
        return "" if file is None else _place(file, "the ready file", replaced=True)


def _forward(schema: int, database: str) -> list[str]:
    """Say that a start would run steps that an older version does not know, if so."""
    newest = steps(database)[-1].number
    if schema >= newest:
        return []
    return [f"a start brings schema {schema} to {newest}, from which only a backup leads back"]


def _place(file: Path, name: str, *, replaced: bool = False) -> str:
    """See that a file can be written, or put in the place of the one that is there.

    Raises:
        FileUnwritable: it cannot.
    """
    file, why = file.expanduser(), None
    if file.is_dir():
        why = "is a directory"
    elif file.exists() and not replaced:
        why = None if os.access(file, os.W_OK) else "cannot be written"
    elif not file.parent.is_dir():
        why = f"lies in {file.parent}, which is no directory"
    elif not _is_writable(file.parent):
        why = f"lies in {file.parent}, which cannot be written"
    if why is not None:
        raise FileUnwritable(f"{name} {file} {why}")
    return str(file)


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)
