"""`greenroom config --check`: it refuses what a start refuses, and changes nothing.

Covers: greenroom.entrance.dev_certificate, greenroom.storage.sqlite.inspection
"""

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import AsyncMock, Mock, call

import pytest
from click.testing import CliRunner, Result

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.process.start_refused import FileUnwritable
from greenroom.server import cluster, start_check
from greenroom.settings.load import load
from greenroom.storage.schema import POSTGRES, SQLITE, steps
from greenroom.storage.sqlite.inspection import Inspection
from greenroom.telemetry import logs
from tests.running.command import greenroom
from tests.running.service import environment, running

DATA = "data"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a service that was stopped."""
    directory = tmp_path_factory.mktemp("kept") / DATA
    with running(directory) as service:
        service.boto3().create_room()
        assert service.stop() == 0
    return directory


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start where nothing is, and leave the process's logging and path alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    for name in ("GREENROOM_CONFIG", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str, **variables: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments, env=variables)


def checked(*options: str, **variables: str) -> Result:
    """Run the check on a free port."""
    return run("config", "--check", "--port", "0", "--data-dir", DATA, *options, **variables)


def state(directory: Path) -> dict[str, tuple[str, int, int]]:
    """Return what lies in a directory: contents, modes, and when each was written."""
    return {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in directory.rglob("*")
    }


def test_a_first_start(here: Path) -> None:
    """Where nothing is yet a start could begin; the check makes nothing of it."""
    result = checked()
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert "data_dir  data: there is no store yet" in result.stdout
    assert state(here) == {}


def test_what_is_kept(here: Path, kept: Path) -> None:
    """Database and key are opened, and nothing is changed, whatever else the settings name."""
    shutil.copytree(kept, here / DATA)
    (here / "handlers_to_check.py").write_text("def review(event, context):\n    return {}\n")
    (here / "identities.toml").write_text("[users.ann]\n[roles]\n")
    certificate, key = dev_certificate(here / "tls", "localhost")
    before = state(here)
    result = checked(
        GREENROOM_IDENTITIES_FILE="identities.toml",
        GREENROOM_REVIEW_HANDLERS="*=python:handlers_to_check:review",
        GREENROOM_TLS_CERTIFICATE_FILE=str(certificate),
        GREENROOM_TLS_KEY_FILE=str(key),
        GREENROOM_AUDIT_LOG=str(here / "audit.log"),
        GREENROOM_READY_FILE="ready.json",
        GREENROOM_CHAT_LOG_DIR="logs",
    )
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert {line[0] for line in lines} == {"ok"}
    assert [line[1] for line in lines] == [
        *("data_dir", "address", "secrets_key", "identities_file", "tls_certificate_file"),
        *("review_handlers", "chat_logs", "audit_log", "ready_file"),
    ]
    assert "identities.toml: 1 users, 0 roles" in result.stdout
    assert state(here) == before


@pytest.mark.parametrize(
    ("regions", "said"),
    [("", "eu-west-1"), ("us-east-2", "eu-west-1"), ("eu-west-1", None), ("*", None)],
)
def test_rooms_that_no_request_would_reach(
    tmp_path_factory: pytest.TempPathFactory, here: Path, regions: str, said: str | None
) -> None:
    """Before an upgrade to it: regions with rooms that the settings do not serve are named."""
    with running(here / DATA, GREENROOM_REGIONS="*") as service:
        service.boto3(region="eu-west-1").create_room()
        result = checked(GREENROOM_REGIONS=regions)
        assert service.stop() == 0
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    told = [line.split(maxsplit=2)[2] for line in result.stdout.splitlines() if " regions " in line]
    none = [] if said is None else [f"rooms in regions that are not served: {said}"]
    assert told == none
    assert checked(GREENROOM_REGIONS=regions).stdout.count("not served") == len(none)


@pytest.mark.parametrize(("count", "end"), [(8, "xx-7"), (9, "xx-7 and 1 more")])
async def test_not_all_of_many_regions_are_named(count: int, end: str) -> None:
    """As in the log of a start: eight of them, and how many more there are."""
    check = start_check._Check(load({}, {}, None))
    check._store = Inspection(regions=frozenset(f"xx-{n}" for n in range(count)))
    assert (await check._regions()).endswith(f", xx-6, {end}")


@pytest.mark.parametrize("runs", [False, True])
def test_what_an_older_version_has_made(
    here: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    """That a start would change the schema is told: the older version does not run on it then."""
    newest = Inspection().schema
    found = Inspection(exists=True, holder="7" if runs else "", schema=newest - 1)
    monkeypatch.setattr(start_check, "inspect", lambda *_: found)
    told = f"a start brings schema {newest - 1} to {newest}, from which only a backup leads back"
    assert f"data: {'process 7 runs on it; ' if runs else ''}{told}\n" in checked().stdout
    monkeypatch.undo()
    shutil.copytree(kept, here / DATA)
    assert "schema" not in checked().stdout


def test_chat_logs_that_nobody_may_write(here: Path) -> None:
    """Patterns that send logs to AWS start without credentials, and are told to lack them."""
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SHARED_CREDENTIALS_FILE": "none",
        "AWS_CONFIG_FILE": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for patterns, lacks in (("*=aws", True), ("*=files", False)):
        result = checked(GREENROOM_CHAT_LOG_DESTINATIONS=patterns, **nothing)
        assert result.exit_code == ExitCode.OK
        assert ("no AWS credentials are at hand" in result.stdout) is lacks


def file(name: str, text: str = "") -> Callable[[Path], object]:
    """Return what makes a file."""
    return lambda here: (here / name).write_text(text)


def foreign_database(here: Path) -> None:
    """Have another application's database in the data directory."""
    (here / DATA).mkdir()
    with sqlite3.connect(here / DATA / "greenroom.db") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


@pytest.mark.parametrize(
    ("prepare", "variables", "code"),
    [
        pytest.param(file(DATA), {}, ExitCode.DATA_UNWRITABLE, id="a file as data directory"),
        pytest.param(foreign_database, {}, ExitCode.DATA_FOREIGN, id="another's database"),
        pytest.param(
            file("id.toml", "x = 1"),
            {"GREENROOM_IDENTITIES_FILE": "id.toml"},
            ExitCode.USAGE,
            id="identities file",
        ),
        pytest.param(
            file("id.toml", '[users.ann]\nattach = ["arn:aws:iam::123456789012:policy/none"]\n'),
            {"GREENROOM_IDENTITIES_FILE": "id.toml"},
            ExitCode.USAGE,
            id="a policy that is not there",
        ),
        pytest.param(
            file("none"),
            {"GREENROOM_REVIEW_HANDLERS": "*=python:no_such_module:f"},
            ExitCode.USAGE,
            id="a module that is not there",
        ),
        pytest.param(
            file("key.pem"),
            {"GREENROOM_TLS_CERTIFICATE_FILE": "key.pem", "GREENROOM_TLS_KEY_FILE": "key.pem"},
            ExitCode.USAGE,
            id="certificate",
        ),
        pytest.param(
            file("key"), {"GREENROOM_SECRETS_KEY_FILE": "key"}, ExitCode.SECRETS_KEY, id="key file"
        ),
        pytest.param(
            file("none"), {"GREENROOM_HOST": "192.0.2.1"}, ExitCode.ADDRESS_REFUSED, id="address"
        ),
        pytest.param(
            file("logs"),
            {"GREENROOM_CHAT_LOG_DIR": "logs"},
            ExitCode.USAGE,
            id="chat log directory",
        ),
        pytest.param(
            file("logs"),
            {"GREENROOM_CHAT_LOG_DIR": "logs/of/chat"},
            ExitCode.USAGE,
            id="chat log directory below a file",
        ),
    ],
)
def test_it_refuses_what_a_start_refuses(
    here: Path, prepare: Callable[[Path], object], variables: dict[str, str], code: ExitCode
) -> None:
    """With the same line and the same code; the check leaves all as it is."""
    prepare(here)
    before = state(here)
    result = checked(**variables)
    assert state(here) == before
    assert result.exit_code == code
    assert any(line.startswith("NO  ") for line in result.stdout.splitlines())
    started = run("serve", "--port", "0", "--data-dir", DATA, **variables)
    assert (started.exit_code, started.stderr) == (code, result.stderr)


@pytest.mark.parametrize("name", ["GREENROOM_AUDIT_LOG", "GREENROOM_READY_FILE"])
@pytest.mark.parametrize("place", [".", "missing/file", "plain/file"])
def test_files_that_could_not_be_written(here: Path, name: str, place: str) -> None:
    """They are named with what is wrong, and a start ends with the same code."""
    (here / "plain").write_text("")
    result = checked(**{name: str(here / place)})
    assert result.exit_code == ExitCode.DATA_UNWRITABLE
    assert str(here) in result.stderr
    started = greenroom("serve", "--port", "0", "--data-dir", DATA, **{name: str(here / place)})
    assert started.returncode == ExitCode.DATA_UNWRITABLE


def full(_: object) -> os.statvfs_result:
    """Return what a disk says that is full for everybody, root included."""
    return os.statvfs_result((4096, 4096, 1000, 7, 7, 0, 0, 0, 0, 255))


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_without_room_for_a_start(
    here: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """A start needs room for the index of the database's log; the line is that of a start."""
    if exists:
        shutil.copytree(kept, here / DATA)
    monkeypatch.setattr(os, "statvfs", full)
    result = checked()
    assert result.exit_code == ExitCode.DATA_UNWRITABLE
    assert f"Error: {DATA}/greenroom.db cannot be written, the disk is full: make" in result.stderr
    assert "NO  data_dir" in result.stdout


def test_all_faults_are_told_at_once(here: Path) -> None:
    """Each has its line, and the first one decides the code."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = checked(
            *("--port", str(taken.getsockname()[1])),
            GREENROOM_IDENTITIES_FILE="missing.toml",
            GREENROOM_REVIEW_HANDLERS="*=python:no_such_module:f",
        )
    assert result.exit_code == ExitCode.ADDRESS_REFUSED
    faults = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("NO")]
    assert faults == ["address", "identities_file", "review_handlers"]
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("lost", ["secrets.key", "greenroom.db"])
def test_a_part_of_the_data_that_is_lost(here: Path, kept: Path, lost: str) -> None:
    """A key without its database, or a database without its key, is refused as at a start."""
    shutil.copytree(kept, here / DATA)
    (here / DATA / lost).unlink()
    before = state(here)
    result = checked()
    assert state(here) == before
    started = run("serve", "--port", "0", "--data-dir", DATA)
    assert result.exit_code == started.exit_code != ExitCode.OK
    assert result.stderr == started.stderr


def test_after_a_kill(here: Path) -> None:
    """What a killed service left is read with its log, and the log stays for the start."""
    with running(here / DATA) as service:
        arn = service.boto3().create_room()["arn"]
        service.kill()
    before = state(here)
    result = checked()
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    # The index of the log is made anew by whoever reads it.
    index = f"{DATA}/greenroom.db-shm"
    assert {**state(here), index: ""} == {**before, index: ""}
    with running(here / DATA) as service:
        assert service.boto3().get_room(identifier=arn)["arn"] == arn


def test_beside_a_running_service(here: Path) -> None:
    """The service that is to be restarted is no fault, and notices nothing."""
    (here / "id.toml").write_text("[users.ann]\n")
    with running(here / DATA) as service:
        port = service.api_url.rpartition(":")[2]
        result = checked("--port", port, GREENROOM_IDENTITIES_FILE="id.toml")
        assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
        assert f"process {service.process.pid} runs" in result.stdout
        assert service.boto3().create_room()["arn"]
        assert service.stop() == 0


def test_the_real_command(here: Path) -> None:
    """The process ends with the code, says one line on standard error, and makes no file."""
    (here / "handlers_to_check.py").write_text("def review(event):\n    return {}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "greenroom", "config", "--check", "--port", "0"],
        env=environment(GREENROOM_REVIEW_HANDLERS="*=python:handlers_to_check:review"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "review_handlers  1 patterns" in ended.stdout
    assert list(state(here)) == ["handlers_to_check.py"]


@pytest.mark.parametrize(("valid", "said"), [(True, "c.pem"), (False, "c.pem, which is not valid")])
async def test_a_certificate_that_is_not_valid_now(
    monkeypatch: pytest.MonkeyPatch, valid: bool, said: str
) -> None:
    """It is no fault of a start, but told."""
    certificate = Mock(file="c.pem", is_valid=lambda _: valid)
    monkeypatch.setattr(start_check, "certificate_of", lambda _: certificate)
    told = await start_check._Check(load({}, {}, None))._certificate()
    assert told.removesuffix(" now") == said


# ------------------------------------------------------------------------------- part by part


async def test_a_node_that_keeps_nothing(here: Path) -> None:
    """There is no directory to look at, and none is made."""
    found = await start_check.check(load({"storage": "memory", "port": "0"}, {}, None))
    assert [each.said for each in found if each.part == "data_dir"] == [
        "none: the storage is memory"
    ]
    assert [each for each in found if each.refused is not None] == []
    assert state(here) == {}


def check_of(**given: str) -> start_check._Check:
    """Return a check of these settings."""
    return start_check._Check(load(given, {}, None))


CLUSTER = {"storage": "postgresql://db/rooms", "bus": "nats://nats", "data_dir": DATA}


@pytest.mark.parametrize(("holder", "runs"), [("", ""), ("7", ": process 7 runs on it")])
async def test_the_directory_of_a_node_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch, holder: str, runs: str
) -> None:
    """It holds nothing that is shared, and another process may run on it; its port is taken."""
    monkeypatch.setattr(start_check, "inspect_directory", lambda _: holder)
    bound = Mock()
    monkeypatch.setattr(start_check, "bound", bound)
    check = check_of(**CLUSTER, port="8470")
    assert await check._data_dir() == f"{DATA}, for what is this node's own{runs}"
    tried = ": not tried, since process 7 runs" if holder else ""
    assert await check._address() == f"127.0.0.1 port 8470{tried}"
    assert bound.mock_calls == ([] if holder else [call("127.0.0.1", 8470), call().close()])


@pytest.mark.parametrize(("exists", "behind"), [(False, 0), (True, 0), (True, 2)])
async def test_what_nodes_share(monkeypatch: pytest.MonkeyPatch, exists: bool, behind: int) -> None:
    """The database and the bus are looked at as a start would; what is kept there counts."""
    newest = steps(POSTGRES)[-1].number
    found = Mock(
        where="PostgreSQL at db",
        version="18.1",
        exists=exists,
        kept=b"kept",
        regions=frozenset({"xx-1"}),
        schema=newest - behind,
    )
    monkeypatch.setattr(cluster, "look_at_store", AsyncMock(return_value=found))
    monkeypatch.setattr(cluster, "look_at_bus", AsyncMock(return_value="NATS, servers: 3"))
    looked = Mock()
    monkeypatch.setattr(start_check, "check_given", looked.given)
    monkeypatch.setattr(start_check, "check_installed", looked.installed)
    check = check_of(**CLUSTER)
    said = await check._storage()
    first, _, rest = said.partition("; ")
    assert first == "PostgreSQL at db, version 18.1"
    if not exists:
        assert rest == "there is no schema of ours yet"
    elif behind:
        assert rest.startswith(f"a start brings schema {newest - 2} to {newest}, ")
    else:
        assert rest == ""
    assert (check._store.exists, check._store.kept) == (exists, b"kept")
    assert await check._regions() == "rooms in regions that are not served: xx-1"
    assert await check._bus() == "NATS, servers: 3"
    assert [name for name, *_ in looked.mock_calls] == ["given", "installed", "installed"]
    alone = check_of()
    assert (await alone._storage(), await alone._bus(), await alone._regions()) == ("", "", "")


@pytest.mark.parametrize(
    ("given", "kept", "at_hand", "said"),
    [
        ({}, None, False, ""),
        ({}, None, True, "can be used"),
        ({}, b"kept", False, "opens what is kept"),
        (CLUSTER, None, False, "can be used"),
    ],
)
async def test_the_key_of_secrets(
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    kept: bytes | None,
    at_hand: bool,
    said: str,
) -> None:
    """It must open what is kept; a start of a node alone makes one where there is none."""
    monkeypatch.setattr(start_check, "is_at_hand", lambda _: at_hand)
    sealer = Mock()
    monkeypatch.setattr(start_check, "sealer_of", sealer)
    check = check_of(**given)
    check._store = Inspection(kept=kept)
    assert await check._secrets_key() == said
    assert (check._sealer is sealer.return_value) is bool(said)
    assert check._sealer is not None


async def test_where_chat_logs_go(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their directory first, then what is lacking; one that cannot be written is refused."""
    monkeypatch.setattr(start_check, "lacking", lambda *_: ["no credentials", "no region"])
    monkeypatch.setattr(os, "access", lambda place, mode: (place, mode) == (here, 3))
    said = "no credentials; no region"
    assert await check_of(data_dir=DATA)._chat_logs() == said
    logs = check_of(data_dir=DATA, chat_log_dir=str(here / "logs"))
    assert await logs._chat_logs() == f"{here}/logs; {said}"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileUnwritable, match=f"chat_log_dir {here}/logs cannot be written"):
        await logs._chat_logs()


@pytest.mark.parametrize(
    ("exists", "replaced", "writable", "refused"),
    [
        (False, False, "folder", None),
        (False, False, "", "lies in .*, which cannot be written"),
        (True, False, "file", None),
        (True, False, "folder", "cannot be written"),
        (True, True, "folder", None),
        (True, True, "file", "lies in .*, which cannot be written"),
    ],
)
def test_where_a_file_may_be_written(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    exists: bool,
    replaced: bool,
    writable: str,
    refused: str | None,
) -> None:
    """Where there is one that is replaced, or none, its folder counts; else the file itself."""
    file = here / "file"
    if exists:
        file.touch()
    allowed = {"file": (file, os.W_OK), "folder": (here, os.W_OK | os.X_OK), "": None}[writable]
    monkeypatch.setattr(os, "access", lambda *asked: asked == allowed)
    if refused is None:
        assert start_check._place(file, "the file", replaced=replaced) == str(file)
    else:
        with pytest.raises(FileUnwritable, match=f"the file {file} {refused}"):
            start_check._place(file, "the file", replaced=replaced)


def test_steps_from_which_no_way_leads_back() -> None:
    """Only where a start would run some."""
    newest = steps(SQLITE)[-1].number
    assert start_check._forward(newest, SQLITE) == []
    assert start_check._forward(newest + 1, SQLITE) == []
    (said,) = start_check._forward(newest - 1, SQLITE)
    assert said.startswith(f"a start brings schema {newest - 1} to {newest}, from which only a")


async def test_a_ready_file_of_an_earlier_start(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start puts a new one in its place, whoever may write to the one that is there."""
    file = here / "ready.json"
    file.touch()
    monkeypatch.setattr(os, "access", lambda place, _: place == here)
    assert await check_of(ready_file=str(file))._ready_file() == str(file)
    with pytest.raises(FileUnwritable, match="cannot be written"):
        await check_of(audit_log=str(file))._audit_log()


async def test_what_is_opened_for_a_look_is_closed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of AWS, the reviewer, and destinations of chat logs."""
    opened = Mock()
    for each in (opened.access, opened.reviewer, opened.destinations):
        each.close = AsyncMock()
    monkeypatch.setattr(start_check, "AwsAccess", lambda _: opened.access)
    monkeypatch.setattr(start_check, "open_reviewer", AsyncMock(return_value=opened.reviewer))
    monkeypatch.setattr(start_check, "open_destinations", lambda *_: opened.destinations)
    check = check_of(data_dir=DATA)
    await check._review_handlers()
    assert opened.mock_calls == [call.reviewer.close(), call.access.close()]
    opened.reset_mock()
    await check._chat_logs()
    assert opened.mock_calls == [call.destinations.close(), call.access.close()]
