"""What the service keeps up about identities, from its opening to its close."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom.audit.log import AuditLog
from greenroom.bus.base import AccountSuspended, Renew
from greenroom.bus.memory import MemoryBus
from greenroom.identities import service as service_module
from greenroom.identities.declaration_file import IdentitiesRefused
from greenroom.identities.service import APPLIED, AUDIT_FILE, IdentityService
from greenroom.model.errors import UnrecognizedClientException
from greenroom.model.identity import IdentityKind
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.settings.load import load
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock

ACCOUNT = "123456789012"
KEY = "AKIAANNAANNAANNAANNA"
FILE = f"""
[users.anna]
keys = [{{ id = "{KEY}", secret_file = "anna.secret" }}]
"""


class Stage:
    """A store, a bus and a directory, in which a service is opened."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store, self.bus, self.time = MemoryStore(), MemoryBus(), HandClock()
        self.file = directory / "identities.toml"
        (directory / "anna.secret").write_text("s" * 40)

    async def opened(self, **flags: str) -> IdentityService:
        """Open a service."""
        settings = load({"data_dir": str(self.directory), **flags}, {}, None)
        return await IdentityService.open(
            settings, self.store.identities, self.store.secrets, self.bus, self.time.clock
        )

    @asynccontextmanager
    async def running(self, **flags: str) -> AsyncIterator[IdentityService]:
        """Give a service whose upkeep runs; it is closed at the end."""
        await self.bus.start()
        service = await self.opened(**flags)
        async with asyncio.TaskGroup() as tasks:
            service.start(tasks)
            yield service
            await service.close()

    async def last_service(self) -> str | None:
        """Return what the key was last used for, as the store has it."""
        key = await self.store.identities.find_access_key(KEY)
        return key.last_used.service if key.last_used else None

    def audited(self) -> list[dict[str, object]]:
        """Return the lines of the audit log."""
        return [json.loads(line) for line in (self.directory / AUDIT_FILE).read_text().splitlines()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give a new stage."""
    return Stage(tmp_path)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells when a round of upkeep has ended
            await asyncio.sleep(0.001)


async def test_the_file_is_applied_before_anything_else(stage: Stage) -> None:
    """Its users can sign in at once, and the audit log has each change, once."""
    stage.file.write_text(FILE)
    for changes in (1, 0):
        with capture_logs() as logs:
            service = await stage.opened(identities_file=str(stage.file))
        assert logs[-1] == {
            "event": "identities file applied",
            "log_level": "info",
            "file": str(stage.file),
            "changes": changes * 2,
        }
        found = await service.callers.find(KEY, None)
        assert (found.principal.user_name, found.secret_access_key) == ("anna", "s" * 40)
        await service.close()
    lines = stage.audited()
    assert {(line["event"], line["outcome"]) for line in lines} == {(APPLIED, "Success")}
    user, key = lines
    assert user["resources"] == [f"arn:aws:iam::{ACCOUNT}:user/anna"]
    for line, change in (
        (user, "create user anna"),
        (key, f"create access key {KEY} of user anna"),
    ):
        details = line["details"]
        assert isinstance(details, dict)
        assert (details["change"], details["file"]) == (change, str(stage.file))
        assert "before" not in details


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[users.anna]\nno = 1\n", "no"),
        (f'[users.anna]\nattach = ["arn:aws:iam::{ACCOUNT}:policy/other"]\n', "policy/other"),
    ],
)
async def test_a_file_that_cannot_be_used(stage: Stage, text: str, why: str) -> None:
    """Nothing is opened then, and the audit log's thread ends."""
    stage.file.write_text(text)
    with pytest.raises(IdentitiesRefused, match=f"{stage.file}.*{why}"):
        await stage.opened(identities_file=str(stage.file))
    assert not any(thread.name == "audit" for thread in threading.enumerate())


async def test_a_hang_up_applies_the_file_again(stage: Stage) -> None:
    """What it says now holds soon; a file that is refused changes nothing, and is logged."""
    stage.file.write_text(FILE)
    told: list[AccountSuspended] = []
    stage.bus.on(AccountSuspended, told.append)
    async with stage.running(identities_file=str(stage.file)) as service:
        with pytest.raises(UnrecognizedClientException):
            await service.callers.find(KEY.replace("A", "B"), None)
        stage.file.write_text("suspended = true\n" + FILE.replace(KEY, KEY.replace("A", "B")))
        service.hang_up()
        await until(lambda: service.accounts.is_suspended(ACCOUNT))
        found = await service.callers.find(KEY.replace("A", "B"), None)
        assert found.principal.user_name == "anna"
        stage.file.write_text("wrong")
        with capture_logs() as logs:
            service.hang_up()
            await until(lambda: any(line["log_level"] == "error" for line in logs))
        stage.file.write_text("suspended = false\n" + FILE)
        service.hang_up()
        await until(lambda: not service.accounts.is_suspended(ACCOUNT))
    assert [each.suspended for each in told] == [True, False], "other nodes are to know, too"
    outcomes = [line["outcome"] for line in stage.audited()]
    assert outcomes.count("IdentitiesRefused") == 1
    assert outcomes[0] == outcomes[-1] == "Success"


async def test_one_hang_up_is_one_reading(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later rounds leave the file alone; the audit log goes on in a new file if it was moved."""
    monkeypatch.setattr(service_module, "UPKEEP_SECONDS", 0.001)
    stage.file.write_text(FILE)
    rounds = 0
    read = stage.store.identities.suspended_accounts

    async def counted() -> frozenset[str]:
        nonlocal rounds
        rounds += 1
        return await read()

    async with stage.running(identities_file=str(stage.file)):
        pass
    (stage.directory / AUDIT_FILE).unlink()
    async with stage.running(identities_file=str(stage.file)) as service:
        (stage.directory / AUDIT_FILE).rename(stage.directory / "moved.log")
        stage.file.write_text("suspended = true\n" + FILE)
        with capture_logs() as logs:
            service.hang_up()
            await until(lambda: service.accounts.is_suspended(ACCOUNT))
            monkeypatch.setattr(stage.store.identities, "suspended_accounts", counted)
            await until(lambda: rounds > 2)
        assert [line["event"] for line in logs].count("identities file applied") == 1
    assert [line["outcome"] for line in stage.audited()] == ["Success"]


async def test_the_upkeep(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then last uses are written and suspended accounts read; the file is as it was."""
    monkeypatch.setattr(service_module, "UPKEEP_SECONDS", 0.01)
    stage.file.write_text(FILE)
    with capture_logs() as logs:
        async with stage.running(identities_file=str(stage.file)) as service:
            service.callers.note_use(await service.callers.find(KEY, None), "iam", "us-east-1")
            await stage.store.identities.suspend(ACCOUNT, 1)
            await until(lambda: service.accounts.is_suspended(ACCOUNT))
            assert await stage.last_service() == "iam"
            stage.time.advance(1)
            service.callers.note_use(await service.callers.find(KEY, None), "sts", "us-east-1")
            await stage.store.identities.resume(ACCOUNT)
            await until(lambda: not service.accounts.is_suspended(ACCOUNT))
            assert await stage.last_service() == "sts", "in each round"
    assert [line["event"] for line in logs].count("identities file applied") == 1


async def test_the_upkeep_outlives_a_store_that_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next round tries again, and what could not be written is written at the end."""
    monkeypatch.setattr(service_module, "UPKEEP_SECONDS", 0.001)
    stage.file.write_text(FILE)
    failures = 0

    async def failing(*_: object) -> None:
        nonlocal failures
        failures += 1
        raise StorageUnavailable("the disk is full")

    async with stage.running(identities_file=str(stage.file)) as service:
        service.callers.note_use(await service.callers.find(KEY, None), "iam", "us-east-1")
        with monkeypatch.context() as patched:
            patched.setattr(stage.store.identities, "record_last_used", failing)
            patched.setattr(stage.store.identities, "suspended_accounts", failing)
            await until(lambda: failures > 4)
        await stage.store.identities.suspend(ACCOUNT, 1)
        await until(lambda: service.accounts.is_suspended(ACCOUNT))


async def test_a_reset_without_a_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is suspended is read as soon as the store answers, not with the next round."""
    monkeypatch.setattr(service_module, "RETRY_SECONDS", 0.001)
    failures = 0

    async def failing() -> frozenset[str]:
        nonlocal failures
        failures += 1
        raise StorageUnavailable("the database is away")

    async with stage.running() as service:
        with monkeypatch.context() as patched:
            patched.setattr(stage.store.identities, "suspended_accounts", failing)
            await service._renew()
            await until(lambda: failures > 4)
        await stage.store.identities.suspend(ACCOUNT, 1)
        await until(lambda: service.accounts.is_suspended(ACCOUNT))


async def test_what_is_said_again_behind_something_newer(stage: Stage) -> None:
    """It holds for a moment, until the store was asked: there the newest counts."""
    async with stage.running() as service:
        await asyncio.sleep(0)
        assert not service._unread, "the upkeep waits for its next round"
        await service.accounts.suspend(ACCOUNT)
        await service.accounts.resume(ACCOUNT)
        stage.bus.broadcast(AccountSuspended(ACCOUNT, True))
        assert service.accounts.is_suspended(ACCOUNT)
        await until(lambda: not service.accounts.is_suspended(ACCOUNT))


async def test_what_is_said_writes_no_last_uses(stage: Stage) -> None:
    """However often something is said of accounts: those are written once a minute."""
    stage.file.write_text(FILE)
    async with stage.running(identities_file=str(stage.file)) as service:
        service.callers.note_use(await service.callers.find(KEY, None), "sts", "us-east-1")
        stage.bus.broadcast(AccountSuspended(ACCOUNT, True))
        await until(lambda: not service.accounts.is_suspended(ACCOUNT))
        assert await stage.last_service() is None


async def test_the_upkeep_goes_on_behind_what_was_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked up is looked up: the next rounds are as they were before."""
    monkeypatch.setattr(service_module, "UPKEEP_SECONDS", 0.001)
    monkeypatch.setattr(service_module, "RETRY_SECONDS", 0.001)
    stage.file.write_text(FILE)
    async with stage.running(identities_file=str(stage.file)) as service:
        stage.bus.broadcast(AccountSuspended(ACCOUNT, True))
        await until(lambda: not service.accounts.is_suspended(ACCOUNT))
        service.callers.note_use(await service.callers.find(KEY, None), "sts", "us-east-1")
        async with asyncio.timeout(10):
            while await stage.last_service() is None:  # noqa: ASYNC110 - as in `until`
                await asyncio.sleep(0.001)


async def test_closing_writes_the_last_uses(stage: Stage) -> None:
    """Nothing runs on then, and the audit log is whole."""
    stage.file.write_text(FILE)
    async with stage.running(identities_file=str(stage.file)) as service:
        service.callers.note_use(await service.callers.find(KEY, None), "sts", "us-east-1")
    assert await stage.last_service() == "sts"
    assert not any(thread.name == "audit" for thread in threading.enumerate())


async def test_closing_waits_for_the_upkeep(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the upkeep does when it is ended is done before the store may be closed."""
    monkeypatch.setattr(service_module, "UPKEEP_SECONDS", 0.001)
    began, ended = asyncio.Event(), False

    async def long() -> frozenset[str]:
        nonlocal ended
        try:
            began.set()
            await asyncio.Event().wait()
            return frozenset()
        finally:
            await asyncio.sleep(0)
            ended = True

    async with stage.running(audit_log="off") as service:
        monkeypatch.setattr(stage.store.identities, "suspended_accounts", long)
        await began.wait()
        await service.close()
        assert ended


class ResetBus(MemoryBus):
    """A bus that may have lost something."""

    def __init__(self) -> None:
        super().__init__()
        self.resets: list[Renew] = []

    def on_reset(self, receiver: Renew) -> None:
        self.resets.append(receiver)


async def test_a_reset_of_the_bus(stage: Stage) -> None:
    """The accounts are read at once, not with the next round."""
    stage.bus = bus = ResetBus()
    await stage.store.identities.suspend(ACCOUNT, 1)
    async with stage.running() as service:
        assert service.accounts.is_suspended(ACCOUNT)
        await stage.store.identities.resume(ACCOUNT)
        for reset in bus.resets:
            reading = reset()
            if reading is not None:
                await reading
        assert not service.accounts.is_suspended(ACCOUNT)


async def test_ended_sessions(stage: Stage) -> None:
    """A user's, or the root's; everybody forgets what they knew of the account."""
    stage.file.write_text(FILE)
    async with stage.running(identities_file=str(stage.file)) as service:
        await service.callers.find(KEY, None)
        assert len(service.callers) == 1
        await service.end_sessions(IdentityKind.USER, "anna")
        assert len(service.callers) == 0
        await service.end_sessions(None, "")
        with pytest.raises(NoSuchEntity):
            await service.end_sessions(IdentityKind.USER, "nobody")


async def test_keys_stay(stage: Stage) -> None:
    """The root's key and the ring of sessions are the same after a start; a root signs in."""
    first = await stage.opened()
    second = await stage.opened()
    assert first.root == second.root
    assert first.session_ring.to_bytes() == second.session_ring.to_bytes()
    assert (await second.callers.find(second.root.access_key_id, None)).principal.arn == (
        f"arn:aws:iam::{ACCOUNT}:root"
    )
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, AUDIT_FILE),
        ({"storage": "memory"}, None),
        ({"audit_log": "off"}, None),
        ({"audit_log": "FILE", "storage": "memory"}, "other.log"),
    ],
)
async def test_where_the_audit_log_is(
    stage: Stage, flags: dict[str, str], name: str | None
) -> None:
    """In the data directory if there is one, in the named file, or nowhere; the file is applied."""
    flags = {
        key: value.replace("FILE", str(stage.directory / "other.log"))
        for key, value in flags.items()
    }
    stage.file.write_text(FILE)
    service = await stage.opened(**flags, identities_file=str(stage.file))
    assert (await service.callers.find(KEY, None)).principal.user_name == "anna"
    service.hang_up()
    assert isinstance(service.audit_log, AuditLog) is (name is not None)
    await service.close()
    assert {path.name for path in stage.directory.glob("*.log")} == ({name} if name else set())
