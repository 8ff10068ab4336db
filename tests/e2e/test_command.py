"""The command, as an operator meets it: a process with options, files, signals and an exit code."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import greenroom
from greenroom.cli.exit_codes import ExitCode
from greenroom.settings.table import SETTINGS
from tests.conftest import Measured
from tests.running import command
from tests.running.service import Service, environment, running, start
from tests.running.wire import PATIENCE, Api, Closed, Peer, WebSocket, api_of, signed

BIN = Path(sys.executable).parent
LAUNCHERS = {"module": [sys.executable, "-m", "greenroom"], "script": [str(BIN / "greenroom")]}
SOURCE = {"PYTHONPATH": str(Path(greenroom.__file__).parent.parent)}
KEY = {
    "GREENROOM_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "GREENROOM_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}


def run(
    cwd: Path, *arguments: str, launcher: str | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, by a launcher or as a copy."""
    if launcher is None:
        return command.ended(arguments, variables, cwd)
    return subprocess.run(
        [*LAUNCHERS[launcher], *arguments],
        cwd=cwd,
        env=environment(**SOURCE, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_refused(ended: "subprocess.CompletedProcess[str]", code: ExitCode, *words: str) -> None:
    """Check that the command said one line, with these words, and nothing else."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


@contextlib.contextmanager
def launched(cwd: Path, *options: str, **variables: str) -> "Iterator[tuple[Service, str]]":
    """Run `serve` with its output in pipes; give the service and its banner."""
    ready_file = cwd / "ready.json"
    with (cwd / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *LAUNCHERS["module"],
                *("serve", "--port", "0", "--ready-file", str(ready_file)),
                *options,
            ],
            cwd=cwd,
            env=environment(**SOURCE, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout
    try:
        banner = b""
        while not banner.endswith(b"Stop it: Ctrl-C\n"):
            line = process.stdout.readline()
            assert line, (cwd / "log").read_text()
            banner += line
        ready = json.loads(ready_file.read_text())
        yield Service(process, ready, cwd / "log"), banner.decode()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return what the files of a directory hold, its lock aside."""
    files = (path for path in directory.iterdir() if path.is_file() and path.name != "lock")
    return {path.name: path.read_bytes() for path in files}


# ------------------------------------------------------------------------------------- asking


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_version(launcher: str, tmp_path: Path) -> None:
    """The module and the installed script both say the package's version."""
    if not Path(LAUNCHERS[launcher][0]).exists():
        pytest.skip("the package is not installed in this environment")
    ended = run(tmp_path, "--version", launcher=launcher)
    assert (ended.returncode, ended.stdout) == (0, f"greenroom {greenroom.__version__}\n")


def config_rows(
    ended: "subprocess.CompletedProcess[str]",
) -> dict[str, tuple[str, str]]:
    """Return the value and origin of each setting that `greenroom config` shows."""
    assert ended.returncode == 0, ended.stderr
    rows = [re.split(r" {2,}", line, maxsplit=2) for line in ended.stdout.splitlines()]
    return {name: (value, origin) for name, value, origin in rows}


def test_config_shows_every_setting_and_its_origin(tmp_path: Path) -> None:
    """Variables win over the file, and the file, which a variable may name, over the defaults."""
    file = tmp_path / "greenroom.toml"
    file.write_text('region = "eu-west-1"\naccount = "000000000001"\n[quotas]\nrooms = 7\n')
    by_variable = run(
        tmp_path,
        "config",
        GREENROOM_CONFIG=str(file),
        GREENROOM_ACCOUNT="000000000002",
        GREENROOM_PORT="1234",
    )
    rows = config_rows(by_variable)
    assert list(rows) == [setting.name for setting in SETTINGS]
    assert rows["region"] == ("eu-west-1", f"file {file}")
    assert rows["quotas"] == ("rooms=7", f"file {file}")
    assert rows["account"] == ("000000000002", "variable GREENROOM_ACCOUNT")
    assert rows["port"] == ("1234", "variable GREENROOM_PORT")
    assert rows["host"] == ("127.0.0.1", "default")
    by_option = config_rows(run(tmp_path, "config", "--config", str(file)))
    assert by_option["account"] == ("000000000001", f"file {file}")


def test_config_hides_the_secret(tmp_path: Path) -> None:
    """`greenroom config` says where the secret came from, not what it is."""
    ended = run(tmp_path, "config", "--explain", **KEY)
    assert KEY["GREENROOM_ACCESS_KEY_ID"] in ended.stdout
    assert KEY["GREENROOM_SECRET_ACCESS_KEY"] not in ended.stdout
    assert re.search(
        r"secret_access_key +\(hidden\) +variable GREENROOM_SECRET_ACCESS_KEY", ended.stdout
    )


# ------------------------------------------------------------------------------------- serving


def test_serve_tells_where_it_is(tmp_path: Path) -> None:
    """The banner and the ready file say the same; the secret is in neither output nor log."""
    with launched(tmp_path, "--data-dir", "data", "--region", "eu-west-1") as (service, banner):
        ready = service.ready
        port = int(ready["api_url"].rpartition(":")[2])
        credentials = tmp_path / "data" / "credentials"
        expected = {
            "pid": service.process.pid,
            "api_url": f"http://127.0.0.1:{port}",
            "websocket_url": f"ws://127.0.0.1:{port}/",
            "health_url": f"http://127.0.0.1:{port}/health",
            "data_dir": str(tmp_path / "data"),
            "credentials_file": str(credentials),
            "region": "eu-west-1",
            "account": "123456789012",
        }
        assert {name: ready[name] for name in expected} == expected
        for shown in ("api_url", "websocket_url", "health_url", "data_dir", "access_key_id"):
            assert re.search(rf" {re.escape(ready[shown])}$", banner, re.MULTILINE), shown
        assert f"Secret     in {credentials}\n" in banner
        assert ready["secret_access_key"] not in banner
        assert service.stop() == ExitCode.OK
        assert ready["secret_access_key"] not in service.log.read_text()


def test_printed_line_can_be_pasted(tmp_path: Path) -> None:
    """The AWS CLI line of the banner works in a shell as it is, also with a space in a path."""
    (tmp_path / "a b").mkdir()
    with launched(tmp_path / "a b", "--data-dir", "my data") as (service, banner):
        api = Api(service)
        room = api.room(name="lobby")
        api.close()
        (line,) = re.findall(r"^Try it: +(aws .*|AWS_.*)$", banner, re.MULTILINE)
        variables = environment(PATH=f"{BIN}:{os.environ['PATH']}", AWS_CONFIG_FILE="/dev/null")
        ended = subprocess.run(
            ["/bin/sh", "-c", line], env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert [each["arn"] for each in json.loads(ended.stdout)["rooms"]] == [room]


def test_secret_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """A person who starts the service sees the secret at once."""
    ours, theirs = pty.openpty()
    ready_file = tmp_path / "ready.json"
    process = subprocess.Popen(
        [*LAUNCHERS["module"], "serve", "--port", "0", "--ready-file", str(ready_file)],
        cwd=tmp_path,
        env=environment(**SOURCE),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        shown = b""
        while b"Stop it: Ctrl-C" not in shown:
            shown += os.read(ours, 4096)
        assert json.loads(ready_file.read_text())["secret_access_key"] in shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_files_appear_whole_and_private(tmp_path: Path) -> None:
    """The ready file replaces an older one in one step; what holds secrets is the owner's only."""
    ready_file, old = tmp_path / "ready.json", tmp_path / "old.json"
    old.write_text("old")
    os.link(old, ready_file)
    with launched(tmp_path, "--data-dir", "data"):
        # Written in place it would have changed under its other name too.
        assert old.read_text() == "old"
        assert {path.name for path in tmp_path.iterdir()} == {
            *("ready.json", "old.json", "data", "log")
        }
        modes = {
            name: stat.S_IMODE((tmp_path / name).stat().st_mode)
            for name in ("ready.json", "data", "data/credentials", "data/greenroom.db")
        }
        assert modes == {
            "ready.json": 0o600,
            "data": 0o700,
            "data/credentials": 0o600,
            "data/greenroom.db": 0o600,
        }


def test_options_win_over_variables(tmp_path: Path) -> None:
    """What is on the command line wins over variables, and those over the file."""
    (tmp_path / "x.toml").write_text('region = "eu-west-1"\naccount = "000000000001"\n')
    with running(
        tmp_path / "data",
        *("--config", str(tmp_path / "x.toml"), "--region", "eu-west-3"),
        GREENROOM_REGION="eu-west-2",
        GREENROOM_ACCOUNT="000000000002",
    ) as service:
        assert service.ready["region"] == "eu-west-3"
        assert service.ready["account"] == "000000000002"


def test_given_key_is_used_and_not_kept(tmp_path: Path) -> None:
    """A key of the environment signs requests; the data directory has no file with it."""
    with launched(tmp_path, "--data-dir", "data", **KEY) as (service, banner):
        assert service.ready["access_key_id"] == KEY["GREENROOM_ACCESS_KEY_ID"]
        assert service.ready["secret_access_key"] == KEY["GREENROOM_SECRET_ACCESS_KEY"]
        assert service.ready["secret_given"] is True
        assert service.ready["credentials_file"] is None
        assert "Secret     as given in the settings\n" in banner
        assert KEY["GREENROOM_SECRET_ACCESS_KEY"] not in banner
        with api_of(service) as api:
            api.room()
    for data in snapshot(tmp_path / "data").values():
        assert KEY["GREENROOM_SECRET_ACCESS_KEY"].encode() not in data


def test_created_key_and_rooms_survive_a_restart(tmp_path: Path, measured: Measured) -> None:
    """The key of the first start is the key of every start, and what was created is there."""
    with running(tmp_path / "data") as service, api_of(service) as api:
        first = service.ready
        room = api.room(name="kept", tags={"a": "b"})
        assert service.stop() == ExitCode.OK
    began = time.monotonic()
    with launched(tmp_path, "--data-dir", "data") as (service, _), api_of(service) as api:
        measured("start_to_ready_seconds", round(time.monotonic() - began, 3))
        names = ("access_key_id", "secret_access_key", "credentials_file")
        assert [service.ready[name] for name in names] == [first[name] for name in names]
        kept = api.call("GetRoom", identifier=room)
        assert (kept["name"], kept["tags"]) == ("kept", {"a": "b"})


def test_memory_storage_keeps_nothing(tmp_path: Path) -> None:
    """With `storage = memory` nothing is written, and nothing is there after a restart."""
    keys = []
    for _ in range(2):
        with launched(tmp_path, GREENROOM_STORAGE="memory") as (service, banner):
            assert "in memory, forgotten at the end" in banner
            assert service.ready["data_dir"] is None
            keys.append(service.ready["access_key_id"])
            with api_of(service) as api:
                assert api.call("ListRooms")["rooms"] == []
                room = api.room()
                WebSocket.connect(service, api.token(room)).socket.close()
            assert service.stop() == ExitCode.OK
    assert keys[0] != keys[1]
    assert {path.name for path in tmp_path.iterdir()} == {"log"}


def test_ipv6(tmp_path: Path) -> None:
    """On `::1` both planes answer, and the URLs have the address in brackets."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        with running(tmp_path / "data", "--host", "::1") as service, api_of(service) as api:
            assert service.ready["api_url"].startswith("http://[::1]:")
            assert service.ready["websocket_url"].startswith("ws://[::1]:")
            with WebSocket.connect(service, api.token(api.room())) as client:
                client.say(Action="SEND_MESSAGE", Content="six")
                assert client.read_json()["Content"] == "six"
        return
    pytest.skip("this machine has no IPv6 address")


def test_health(tmp_path: Path) -> None:
    """A probe needs no signature, by GET and by HEAD."""
    with running(tmp_path / "data") as service, Peer(service) as probe:
        probe.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = probe.read_answer()
        assert (answer.status, answer.json["status"]) == (200, "ok")
        assert answer.json["version"] == greenroom.__version__
        probe.send(b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert probe.read_answer("HEAD").status == 200


# ------------------------------------------------------------------------------------ stopping


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service that the test may stop."""
    with running(tmp_path / "data") as service:
        yield service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number: signal.Signals, service: Service) -> None:
    """A signal ends connections without a close frame, finishes requests and exits with 0."""
    with api_of(service) as api:
        room = api.room()
        request = signed(service, "CreateRoom", name="under-way")
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(WebSocket.connect(service, api.token(room, user)))
                for user in ("a", "b")
            ]
            slow = stack.enter_context(Peer(service))
            slow.send(request[:-1])
            api.call("SendEvent", roomIdentifier=room, eventName="last")
            service.process.send_signal(number)
            for client in clients:
                # The SDKs take a close frame for final, and connect again without one.
                assert client.read_json()["EventName"] == "last"
                assert client.read_frames() == []
            slow.send(request[-1:])
            answer = slow.read_answer()
            assert (answer.status, answer.json["name"]) == (200, "under-way")
            assert slow.read_all() == b""
    assert service.process.wait(PATIENCE) == ExitCode.OK
    log = service.log.read_text()
    assert '"stopping"' in log
    assert "Traceback" not in log


@contextlib.contextmanager
def stuck(service: Service) -> Iterator[None]:
    """Bring the service into a drain that waits for a request that never ends."""
    with (
        api_of(service) as api,
        WebSocket.connect(service, api.token(api.room())) as witness,
        Peer(service) as peer,
    ):
        peer.send(b"POST /ListRooms HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{")
        # Answered after the unfinished request was read.
        api.call("ListRooms")
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(Closed):
            witness.read_frame()
        assert service.process.poll() is None
        yield


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_exits_at_once(number: signal.Signals, service: Service) -> None:
    """While a drain waits, a second signal ends the process as the shell expects: 128 + n."""
    with stuck(service):
        service.process.send_signal(number)
        assert service.process.wait(PATIENCE) == 128 + number


def test_a_drain_has_an_end(tmp_path: Path) -> None:
    """A request that never ends holds a stopping service for the drain time, not for ever."""
    with running(tmp_path / "data", GREENROOM_DRAIN_TIMEOUT_SECONDS="1") as service:
        with stuck(service):
            assert service.process.wait(PATIENCE) == ExitCode.OK
        assert "Traceback" not in service.log.read_text()


# ------------------------------------------------------------------------------------ refusals


class Misuse(msgspec.Struct, frozen=True):
    """A use of the command that cannot work, and what it says to that."""

    says: str
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    toml: str | bytes | None = None


MISUSES = {
    "option": Misuse("No such option '--prot'", ("--prot", "1")),
    "argument": Misuse("unexpected extra argument", ("extra",)),
    "number": Misuse("--port must be a whole number", ("--port", "x")),
    "variable": Misuse("unknown setting GREENROOM_PROT", variables={"GREENROOM_PROT": "1"}),
    "value of a variable": Misuse(
        "GREENROOM_PING_INTERVAL_SECONDS must be",
        variables={"GREENROOM_PING_INTERVAL_SECONDS": "0"},
    ),
    "quota": Misuse("has no quota 'romms'", variables={"GREENROOM_QUOTAS": "romms=1"}),
    "half a key": Misuse("go together", variables={"GREENROOM_ACCESS_KEY_ID": "A" * 20}),
    "home": Misuse("--data-dir begins with a home", ("--data-dir", "~no-such-user/x")),
    "key of the file": Misuse("unknown setting prot", toml="prot = 1"),
    "key with a line break": Misuse("unknown setting a b", toml='"a\\nb" = 1'),
    "null in the file": Misuse("data_dir must be printable", toml='data_dir = "a\\u0000b"'),
    "not TOML": Misuse("is not TOML", toml="port: 1"),
    "not text": Misuse("is not TOML", toml=b"\xff\xfe"),
    "config by variable": Misuse("cannot read .", variables={"GREENROOM_CONFIG": "."}),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_misuse(misuse: Misuse, tmp_path: Path) -> None:
    """A wrong option, variable or file is refused in one line that names it, and nothing starts."""
    arguments = misuse.arguments
    if misuse.toml is not None:
        content = misuse.toml.encode() if isinstance(misuse.toml, str) else misuse.toml
        (tmp_path / "x.toml").write_bytes(content)
        arguments += ("--config", "x.toml")
    ended = run(tmp_path, "serve", *arguments, **misuse.variables)
    assert_refused(ended, ExitCode.USAGE, misuse.says)
    assert {path.name for path in tmp_path.iterdir()} <= {"x.toml"}


def test_config_refuses_what_serve_refuses(tmp_path: Path) -> None:
    """`greenroom config` finds the same faults before anything is started."""
    ended = run(tmp_path, "config", GREENROOM_PROT="1")
    assert_refused(ended, ExitCode.USAGE, "GREENROOM_PROT")


@pytest.mark.parametrize("host", ["203.0.113.1", "..", "a" * 70], ids=["foreign", "empty", "long"])
def test_address_refused(host: str, tmp_path: Path) -> None:
    """An address that is not this machine's, or none at all, is refused before data is touched."""
    ended = run(tmp_path, "serve", "--host", host, "--port", "0", "--data-dir", "data")
    assert_refused(ended, ExitCode.ADDRESS_REFUSED, host)
    assert list(tmp_path.iterdir()) == []


def test_taken_port_and_directory(service: Service, tmp_path: Path) -> None:
    """Beside a running service a second one finds its port and its directory taken."""
    port = service.api_url.rpartition(":")[2]
    ended = run(tmp_path, "serve", "--port", port, "--data-dir", "other")
    assert_refused(ended, ExitCode.ADDRESS_REFUSED, f"port {port}")
    assert not (tmp_path / "other").exists()
    ended = run(tmp_path, "serve", "--port", "0", "--data-dir", "data")
    assert_refused(ended, ExitCode.DATA_IN_USE, f"process {service.process.pid}")
    with api_of(service) as api:
        api.room()


@pytest.mark.parametrize(
    ("data_dir", "ready_file", "named"),
    [
        ("file", "ready", "not a directory"),
        ("file/data", "ready", "not a directory"),
        ("made", "ready", "written"),
        ("data", "no/x", "no/x"),
        ("data", ".", "."),
    ],
    ids=["file", "below a file", "credentials", "ready file", "ready file is a directory"],
)
def test_unwritable(data_dir: str, ready_file: str, named: str, tmp_path: Path) -> None:
    """A place that cannot be written is refused by name, and no half-started service stays."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "made").mkdir(mode=0o700)
    (tmp_path / "made" / "credentials").mkdir()
    ended = run(
        *(tmp_path, "serve", "--port", "0", "--data-dir", data_dir, "--ready-file", ready_file)
    )
    assert_refused(ended, ExitCode.DATA_UNWRITABLE, named)
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "ready").exists()


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the database of a service that was stopped."""
    directory = tmp_path_factory.mktemp("genuine") / "data"
    with running(directory) as service, api_of(service) as api:
        for number in range(50):
            api.room(name=f"room-{number}", tags={"pad": "x" * 200})
        assert service.stop() == ExitCode.OK
    return directory / "greenroom.db"


def random_bytes(database: Path) -> None:
    """Make it a file of some other kind."""
    database.write_bytes(bytes(range(256)) * 100)


def foreign(database: Path) -> None:
    """Make it another application's database."""
    database.unlink()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);")


def torn(database: Path) -> None:
    """Cut it, as a copy that ended early."""
    os.truncate(database, database.stat().st_size // 2)


def scribbled(database: Path) -> None:
    """Overwrite a part of it."""
    with database.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * 4096)


def newer(database: Path) -> None:
    """Give it the schema number of a later version."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("change", [random_bytes, foreign, torn, scribbled, newer])
def test_foreign_database(change: Callable[[Path], None], genuine: Path, tmp_path: Path) -> None:
    """A file that is not a whole database of ours is refused and stays as it is, byte for byte."""
    data = tmp_path / "data"
    data.mkdir()
    database = Path(shutil.copy(genuine, data))
    change(database)
    before = snapshot(data)
    ended = run(tmp_path, "serve", "--port", "0", "--data-dir", "data")
    assert_refused(ended, ExitCode.DATA_FOREIGN, str(Path("data") / database.name))
    assert snapshot(data) == before


def test_the_ready_file_is_there_only_while_the_service_is(tmp_path: Path) -> None:
    """A ready file of an earlier service is removed at the start, and its own at the end."""
    ready = tmp_path / "data.ready.json"
    service = start(tmp_path / "data")
    assert ready.exists()
    service.kill()
    assert ready.exists()
    ready.write_text("stale")
    again = start(tmp_path / "data")
    assert "stale" not in ready.read_text()
    assert again.stop() == 0
    assert not ready.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_during_the_start(tmp_path: Path, number: signal.Signals) -> None:
    """A signal that comes while the service is being loaded ends it without a traceback, with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom", "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "msgspec" not in maps.read_text():
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert b"Traceback" not in errors
    assert process.returncode == 0
