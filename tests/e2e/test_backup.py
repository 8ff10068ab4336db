"""`greenroom backup` and `greenroom restore` with the real process: under load, killed, wrong.

Covers: greenroom.cli.backup.command
"""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import command
from tests.running.killed import Killed, killing
from tests.running.service import Service, environment, running
from tests.running.wire import WebSocket, api_of, token_line, upgrade_bytes

STEPS = 40
"""More than a backup or a restore takes."""


KEEPS_NOTHING_PRIVATE = 0
"""A umask: what is private, the command has made so."""


def done(*arguments: object, **variables: str) -> str:
    """Run a command that must work; return what it printed."""
    ended = command.ended(arguments, variables, umask=KEEPS_NOTHING_PRIVATE)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refusal(*arguments: object, **variables: str) -> tuple[int, str]:
    """Run a command that must be refused in one line; return its exit code and the line."""
    ended = command.ended(arguments, variables, umask=KEEPS_NOTHING_PRIVATE)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.returncode, ended.stderr


def is_redeemed(service: Service, token: str) -> bool:
    """Return whether the service refuses a token as used."""
    with WebSocket(service) as socket:
        socket.send(upgrade_bytes(token_line(token)))
        return socket.read_answer().status == 409


def modes(directory: Path) -> set[str]:
    """Return the permissions of all that is in a directory, and its own."""
    return {
        f"{path.lstat().st_mode & 0o7777:o} {'d' if path.is_dir() else 'f'}"
        for path in (directory, *directory.rglob("*"))
    }


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """Return a function that runs a command, kills it at a step, and returns its exit code."""
    with killing(environment()) as run:
        yield run


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a service that was stopped: it has a room."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    with running(directory) as service:
        service.boto3().create_room(name="kept")
        assert service.stop() == 0
    return directory


@pytest.fixture
def kept(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of that directory."""
    return Path(shutil.copytree(stopped, tmp_path / "data"))


def names(directory: Path) -> set[str]:
    """Return the names in a directory."""
    return {path.name for path in directory.iterdir()}


def test_a_backup_of_a_running_service_starts_elsewhere(tmp_path: Path) -> None:
    """Rooms, keys and used tokens are those of the moment; the key of the secrets goes along."""
    backup, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    with running(tmp_path / "data") as service:
        tags = {"greenroom:history-messages": "50"}
        room = service.boto3().create_room(name="kept", tags=tags)["arn"]
        said = service.greenroom().send_message
        kept_id = said(roomIdentifier=room, userId="bob", content="kept")["id"]
        # A backup has what is in the store: this waits until that is.
        assert history(service, room) == [kept_id]
        token, unused = service.token(room), service.token(room, "other")
        with WebSocket(service) as socket:
            socket.send(upgrade_bytes(token_line(token)))
            assert socket.read_answer().status == 101
        printed = done("backup", backup, "--data-dir", tmp_path / "data")
        service.boto3().create_room(name="later")
        said(roomIdentifier=room, userId="bob", content="later")
        key = service.ready["access_key_id"], service.ready["secret_access_key"]
    assert "rooms: 1" in printed
    assert modes(backup) == {"700 d", "600 f"}
    assert done("restore", backup, "--check").startswith(f"{backup} is whole")
    done("restore", backup, "--data-dir", elsewhere)
    assert modes(elsewhere) == {"700 d", "600 f"}
    with running(elsewhere) as service:
        assert (service.ready["access_key_id"], service.ready["secret_access_key"]) == key
        assert [each["name"] for each in service.boto3().list_rooms()["rooms"]] == ["kept"]
        assert history(service, room) == [kept_id]
        assert is_redeemed(service, token)
        assert not is_redeemed(service, unused)


def history(service: Service, room: str) -> list[str]:
    """Return the Ids of the messages that a room keeps."""
    found = service.greenroom().list_messages(roomIdentifier=room)["messages"]
    return [each["id"] for each in found]


@contextlib.contextmanager
def creating(service: Service) -> Iterator[list[str]]:
    """Create rooms all the time; give those whose creation was answered, in their order."""
    answered: list[str] = []
    over = threading.Event()

    def create() -> None:
        with api_of(service) as api:
            while not over.is_set():
                answered.append(api.room())

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()


def test_writes_go_on_meanwhile(tmp_path: Path) -> None:
    """Each backup holds what was answered before it began, and nothing twice or half."""
    unlimited = {"GREENROOM_QUOTAS": "rooms=0"}
    seen = []
    with running(tmp_path / "data", **unlimited) as service, creating(service) as answered:
        for number in range(2):
            before = len(answered)
            done("backup", tmp_path / f"backup-{number}", "--data-dir", tmp_path / "data")
            seen.append((before, len(answered)))
    assert all(after > before for before, after in seen), "no write was answered meanwhile"
    done("restore", tmp_path / "backup-1", "--data-dir", tmp_path / "restored")
    with running(tmp_path / "restored", **unlimited) as service:
        found = rooms_of(service)
    before, after = seen[-1]
    assert set(answered[:before]) <= set(found) <= set(answered[: after + 1])
    assert len(set(found)) == len(found)


def rooms_of(service: Service) -> list[str]:
    """Return the ARN of each room."""
    client = service.boto3()
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = client.list_rooms(**more)
        found += [room["arn"] for room in page["rooms"]]
        if "nextToken" not in page:
            return found
        more = {"nextToken": page["nextToken"]}


def test_a_service_that_was_killed(tmp_path: Path) -> None:
    """What is only in the log of a killed service is in the backup; the log is left as it is."""
    with running(tmp_path / "data") as service:
        service.boto3().create_room(name="kept")
        service.kill()
    log = (tmp_path / "data" / "greenroom.db-wal").read_bytes()
    before = names(tmp_path / "data")
    assert "rooms: 1" in done("backup", tmp_path / "backup", "--data-dir", tmp_path / "data")
    assert (tmp_path / "data" / "greenroom.db-wal").read_bytes() == log
    assert names(tmp_path / "data") == before
    (tmp_path / "data" / "greenroom.db-wal").unlink()
    code, line = refusal("backup", tmp_path / "other", "--data-dir", tmp_path / "data")
    assert (code, "greenroom.db-wal" in line) == (6, True)
    assert not (tmp_path / "other").exists()


def test_a_killed_backup_leaves_no_backup(kept: Path, tmp_path: Path, killed: Killed) -> None:
    """Wherever it is killed, there is a whole backup or none; the next one needs no cleaning up."""
    backup = tmp_path / "backup"
    for step in range(1, STEPS):
        code = killed(step, "backup", backup, "--data-dir", kept)
        if code == 0:
            break
        assert code == -9
        left = names(tmp_path) - {"data"}
        assert left <= {".backup.unfinished", "backup"}
        for name in left:
            assert modes(tmp_path / name) <= {"700 d", "600 f"}
        if backup.exists():
            assert killed(0, "restore", backup, "--check") == 0
            shutil.rmtree(backup)
    assert 5 < step < STEPS - 1
    done("restore", backup, "--check")
    assert not (tmp_path / ".backup.unfinished").exists()


def test_a_killed_restore_leaves_no_store(kept: Path, tmp_path: Path, killed: Killed) -> None:
    """Wherever it is killed, a start is refused or finds all; the next restore clears away."""
    backup, target = tmp_path / "backup", tmp_path / "target"
    done("backup", backup, "--data-dir", kept)
    refused = []
    for step in range(1, STEPS):
        code = killed(step, "restore", backup, "--data-dir", target)
        if code == 0:
            break
        assert code == -9
        if (target / "greenroom.db").exists():
            assert (target / "greenroom.db").read_bytes() == (backup / "greenroom.db").read_bytes()
            assert (target / "secrets.key").exists()
            shutil.rmtree(target)
        elif (target / ".restoring").exists() and (left := names(target)) not in refused:
            refused.append(left)
            code, line = refusal("serve", "--port", "0", "--data-dir", target)
            assert (code, "restore that was interrupted" in line) == (6, True)
    assert 5 < step < STEPS - 1
    assert len(refused) == 2, "with the key, and without it"
    assert names(target) == {"greenroom.db", "secrets.key", "lock"}


def test_where_a_backup_cannot_go(kept: Path, tmp_path: Path) -> None:
    """A place that holds something, or is not there, is refused, and left as it was."""
    of = ("--data-dir", kept)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir(mode=0o755)
    for place, said in (
        ("full", "is there already"),
        ("file", "is there already"),
        ("data/in", "is in the data directory"),
        ("no/such", "No such file or directory"),
    ):
        code, line = refusal("backup", tmp_path / place, *of)
        assert (code, said in line) == (5, True), line
    assert (tmp_path / "full" / "file").read_text() == "mine"
    done("backup", tmp_path / "empty", *of)
    assert modes(tmp_path / "empty") == {"700 d", "600 f"}
    assert not list(tmp_path.glob(".*"))


def test_what_cannot_be_backed_up(kept: Path, tmp_path: Path) -> None:
    """Memory, no store, and a key that is not the store's are told in one line."""
    place = tmp_path / "backup"
    code, line = refusal("backup", place, GREENROOM_STORAGE="memory")
    assert (code, "memory" in line) == (2, True)
    code, line = refusal("backup", place, "--data-dir", tmp_path / "nothing")
    assert (code, "holds no greenroom.db" in line) == (6, True)
    assert not (tmp_path / "nothing").exists()
    (kept / "secrets.key").write_text("A" * 43 + "=\n")
    code, line = refusal("backup", place, "--data-dir", kept)
    assert (code, "sealed with another key" in line) == (10, True)
    assert not list(tmp_path.glob("*backup*"))


def test_where_a_backup_cannot_be_restored(kept: Path, tmp_path: Path) -> None:
    """The directory of a running service, and one that holds something, are left as they are."""
    backup = tmp_path / "backup"
    done("backup", backup, "--data-dir", kept)
    with running(tmp_path / "runs"):
        code, line = refusal("restore", backup, "--data-dir", tmp_path / "runs")
        assert (code, "in use by process" in line) == (4, True)
    files = {path: path.read_bytes() for path in kept.iterdir() if path.is_file()}
    code, line = refusal("restore", backup, "--data-dir", kept)
    assert (code, "is not empty" in line) == (5, True)
    assert {path: path.read_bytes() for path in kept.iterdir() if path.is_file()} == files


def test_the_key_can_be_kept_apart(kept: Path, tmp_path: Path) -> None:
    """Without the key a backup has nothing that opens it; a start needs the key, from wherever."""
    backup, target = tmp_path / "backup", tmp_path / "target"
    assert "is not in it" in done("backup", backup, "--data-dir", kept, "--without-key")
    assert names(backup) == {"greenroom.db", "manifest.json"}
    assert "secrets.key into" in done("restore", backup, "--data-dir", target)
    code, line = refusal("serve", "--port", "0", "--data-dir", target)
    assert (code, "secrets.key is missing" in line) == (10, True)
    with running(target, GREENROOM_SECRETS_KEY=(kept / "secrets.key").read_text().strip()) as other:
        assert len(rooms_of(other)) == 1
