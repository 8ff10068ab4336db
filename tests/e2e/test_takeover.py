"""One process takes over from another on the same data: nobody is refused, nothing is lost.

Where the new process fails, whenever that is, the old one serves on and says why.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.cli.exit_codes import ExitCode
from greenroom.entrance.takeover_channel import NAME
from tests.running.command import greenroom
from tests.running.said import entries, until
from tests.running.service import Service, environment, running, take_over
from tests.running.wire import PATIENCE, PING, Peer, WebSocket, api_of, token_line, upgrade_bytes

JSON = {"GREENROOM_LOG_FORMAT": "json"}

HALF_A_SUCCESSOR = """
import asyncio, os, sys, time
from pathlib import Path
from greenroom.entrance.takeover import Predecessor

async def main(directory, step):
    predecessor = await Predecessor.meet(directory)
    if step == "released":
        await predecessor.release()
    print(step, file=sys.stderr, flush=True)
    sys.stdin.read()
    os._exit(0)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
"""A new process that goes so far and no further; it ends when its input does."""


@contextlib.contextmanager
def service_of(tmp_path: Path, *options: str, **variables: str) -> Iterator[Service]:
    """Run a service whose log is JSON; kill what has taken over from it, too."""
    with running(tmp_path / "data", *options, **JSON, **variables) as service:
        yield service


@contextlib.contextmanager
def taken_over(service: Service, *options: str, **variables: str) -> Iterator[Service]:
    """Give the service that took over; the old process must have ended as if it was stopped."""
    after = take_over(service, *options, **JSON, **variables)
    try:
        yield after
    finally:
        after.kill()


@contextlib.contextmanager
def half_a_successor(service: Service, step: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Give a new process that has come to this step and stays there."""
    with subprocess.Popen(
        [sys.executable, "-c", HALF_A_SUCCESSOR, service.ready["data_dir"], step],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stderr
        try:
            assert process.stderr.readline() == f"{step}\n".encode()
            yield process
        finally:
            process.kill()


def refused(service: Service, *options: str, **variables: str) -> tuple[int, str]:
    """Return the exit code of a takeover that must fail, and what it says."""
    data_dir = Path(service.ready["data_dir"])
    port = service.api_url.rpartition(":")[2]
    words = ("serve", "--takeover", "--data-dir", data_dir, "--port", port, *options)
    ended = greenroom(*words, **JSON, **variables)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def assert_chats(speaker: WebSocket, text: str) -> None:
    """Check that a message comes back to who sent it."""
    speaker.say(Action="SEND_MESSAGE", Content=text, RequestId=text)
    frame = speaker.read_frame()
    while frame.first == PING:
        frame = speaker.read_frame()
    assert f'"RequestId":"{text}"'.encode() in frame.payload


def assert_dropped(viewer: WebSocket) -> None:
    """Check that the connection ends without a close frame, after which SDKs come back."""
    assert viewer.read_all().replace(bytes((PING, 0)), b"") == b""


def test_a_takeover(tmp_path: Path) -> None:
    """Address, keys, rooms and used tokens are the same; viewers end uncleanly, as SDKs want it."""
    with service_of(tmp_path) as old, api_of(old) as api:
        room = api.room()
        token = api.token(room)
        with WebSocket.connect(old, token) as viewer:
            assert_chats(viewer, "before")
            with taken_over(old) as new, api_of(new) as later:
                assert_dropped(viewer)
                assert {**new.ready, "pid": 0} == {**old.ready, "pid": 0}
                assert later.call("GetRoom", identifier=room)["arn"] == room
                with WebSocket(new) as again:
                    assert again.upgrade(token).status == 409
                with WebSocket.connect(new, later.token(room)) as again:
                    assert_chats(again, "after")
                assert new.stop() == 0
            assert not (tmp_path / "data.ready.json").exists()
            assert not (tmp_path / "data" / NAME).exists()
        (taken,) = entries(new, "taken over")
        assert taken["process"] == new.ready["pid"]


def test_who_comes_meanwhile_waits(tmp_path: Path) -> None:
    """While nobody has the store a message is refused, and a connection waits for who opens it."""
    with service_of(tmp_path) as old, api_of(old) as api:
        room = api.room()
        token = api.token(room)
        # The old process waits for the new one to serve, and has let go of everything.
        with (
            WebSocket.connect(old, api.token(room)) as viewer,
            half_a_successor(old, "released") as half,
            WebSocket(old) as waiting,
        ):
            viewer.say(Action="SEND_MESSAGE", Content="lost?", RequestId="7")
            answer = viewer.read_frame()
            while answer.first == PING:
                answer = viewer.read_frame()
            assert b'"RequestId":"7","ErrorCode":500' in answer.payload
            waiting.send(upgrade_bytes(token_line(token)))
            waiting.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                waiting.read(1)
            waiting.socket.settimeout(PATIENCE)
            half.kill()
            assert waiting.read_answer().status == 101
        (failed,) = entries(old, "takeover failed, this process serves on")
        assert failed["process"] == half.pid


def test_it_dies_while_it_prepares(tmp_path: Path) -> None:
    """Nobody notices, and the next one may try."""
    with service_of(tmp_path) as old, api_of(old) as api:
        with WebSocket.connect(old, api.token(api.room())) as viewer:
            with half_a_successor(old, "prepares") as half:
                half.kill()
            until(lambda: entries(old, "takeover failed, this process serves on"), "the failure")
            assert_chats(viewer, "still here")
        with taken_over(old):
            pass


Fault = Callable[[Path], contextlib.AbstractContextManager[dict[str, str]]]


@contextlib.contextmanager
def other_key(directory: Path) -> Iterator[dict[str, str]]:
    """Give another key of the secrets at rest."""
    yield {"GREENROOM_SECRETS_KEY": "A" * 43 + "="}


@contextlib.contextmanager
def newer_data(directory: Path) -> Iterator[dict[str, str]]:
    """Mark the data as a newer version's for a while; the running process does not look."""
    with contextlib.closing(sqlite3.connect(directory / "data" / "greenroom.db")) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA user_version = 999")
        yield {}
        database.execute(f"PRAGMA user_version = {version}")


@contextlib.contextmanager
def no_certificate(directory: Path) -> Iterator[dict[str, str]]:
    """Name a certificate that is not there."""
    missing = str(directory / "missing.pem")
    yield {"GREENROOM_TLS_CERTIFICATE_FILE": missing, "GREENROOM_TLS_KEY_FILE": missing}


@contextlib.contextmanager
def bad_identities(directory: Path) -> Iterator[dict[str, str]]:
    """Give an identities file that is none."""
    (directory / "identities.toml").write_text("[users")
    yield {"GREENROOM_IDENTITIES_FILE": str(directory / "identities.toml")}


@contextlib.contextmanager
def another_host(directory: Path) -> Iterator[dict[str, str]]:
    """Ask for another address than the one that clients know."""
    yield {"GREENROOM_HOST": "127.0.0.2"}


FAULTS: dict[str, tuple[Fault, ExitCode, str]] = {
    "another host": (another_host, ExitCode.ADDRESS_REFUSED, "a takeover keeps that"),
    "another key": (other_key, ExitCode.SECRETS_KEY, "another key"),
    "newer data": (newer_data, ExitCode.DATA_FOREIGN, "newer version"),
    "no certificate": (no_certificate, ExitCode.USAGE, "missing.pem"),
    "identities": (bad_identities, ExitCode.USAGE, "identities.toml"),
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a service that new processes fail to take over."""
    with service_of(tmp_path_factory.mktemp("old")) as service:
        yield service


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_start_is_not_noticed(old: Service, fault: str) -> None:
    """It ends with one line; the old process serves its viewers on, and its log says why."""
    make, code, words = FAULTS[fault]
    directory, failure = old.log.parent, "takeover failed, this process serves on"
    with (
        api_of(old) as api,
        WebSocket.connect(old, api.token(api.room())) as viewer,
        make(directory) as variables,
    ):
        failures = len(entries(old, failure))
        ended = refused(old, **variables)
        assert ended[0] == code
        assert ended[1].startswith("Error: ")
        assert ended[1].count("\n") == 1
        assert words in ended[1]
        until(lambda: len(entries(old, failure)) > failures, "the failure")
        assert words in entries(old, failure)[-1]["reason"]
        assert_chats(viewer, "still here")


def test_it_fails_with_the_store(tmp_path: Path) -> None:
    """The old process opens the store again: its viewers come back to it."""
    with service_of(tmp_path) as old, api_of(old) as api:
        room = api.room()
        with WebSocket.connect(old, api.token(room)) as viewer:
            code, line = refused(old, GREENROOM_AUDIT_LOG=str(tmp_path / "missing" / "audit.log"))
            assert (code, "audit log" in line) == (ExitCode.DATA_UNWRITABLE, True)
            assert_dropped(viewer)
        with api_of(old) as later, WebSocket.connect(old, later.token(room)) as viewer:
            assert_chats(viewer, "back")
        (failed,) = entries(old, "takeover failed, this process serves on")
        assert "audit log" in failed["reason"]
        with taken_over(old):
            pass


def test_two_at_once(old: Service) -> None:
    """The second is told who is first."""
    with half_a_successor(old, "prepares") as first:
        code, line = refused(old)
        assert code == ExitCode.DATA_IN_USE
        assert line == (
            f"Error: process {old.process.pid} is not taken over:"
            f" process {first.pid} is taking over already\n"
        )
    assert old.process.poll() is None


def test_it_is_stopped_meanwhile(tmp_path: Path) -> None:
    """SIGTERM is meant: no other process goes on."""
    with service_of(tmp_path) as old, half_a_successor(old, "prepares"):
        assert old.stop() == 0


@pytest.mark.parametrize("before", ["nothing", "a process that was killed"])
def test_nothing_to_take_over(tmp_path: Path, before: str) -> None:
    """It starts as it would without the option."""
    if before != "nothing":
        with service_of(tmp_path):
            pass
        assert (tmp_path / "data" / NAME).exists()
    with service_of(tmp_path, "--takeover") as service, api_of(service) as api:
        api.room()
        assert not entries(service, "takes over")


def test_who_cannot_hand_over(tmp_path: Path) -> None:
    """A process that cannot be met, such as one of an older version, is named and serves on."""
    with service_of(tmp_path) as old, api_of(old) as api:
        (tmp_path / "data" / NAME).unlink()
        directory = old.ready["data_dir"]
        for port in (old.api_url.rpartition(":")[2], "0"):
            code, said = refused(old, "--port", port)
            assert code == ExitCode.DATA_IN_USE
            assert said == (
                f"Error: process {old.process.pid} runs on {directory} and cannot hand it over:"
                " stop it first, then start\n"
            )
        api.room()


def test_memory_is_not_handed_over(old: Service, tmp_path: Path) -> None:
    """What would be forgotten is not taken over: it is refused, not half done."""
    code, line = refused(old, GREENROOM_STORAGE="memory")
    assert (code, "storage sqlite" in line) == (ExitCode.USAGE, True)
    with running(tmp_path / "none", GREENROOM_STORAGE="memory") as memory:
        assert memory.stop() == 0
    assert not (tmp_path / "none").exists()


def test_only_its_user_may(tmp_path: Path) -> None:
    """The meeting place is the owner's, also where the path is longer than a socket's may be."""
    directory = tmp_path / ("long" * 30)
    with running(directory, **JSON) as old:
        place = directory / NAME
        assert len(str(place)) > 107
        assert place.stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700
        with taken_over(old):
            pass


def test_with_tls(tmp_path: Path) -> None:
    """The new process has read the certificate before the old one lets go."""
    with service_of(tmp_path, "--dev-tls") as old, taken_over(old, "--dev-tls") as new:
        assert new.ready["certificate_to_trust"] == old.ready["certificate_to_trust"]
        new.boto3(attempts=3).list_rooms()


def test_behind_the_proxy_protocol(tmp_path: Path) -> None:
    """Connections that begin with a PROXY header go to the new process, too."""
    settings = {
        "GREENROOM_PROXY_PROTOCOL": "on",
        "GREENROOM_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    request = (
        b"PROXY TCP4 203.0.113.9 203.0.113.1 4711 80\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    with service_of(tmp_path, **settings) as old, Peer(old) as early:
        with taken_over(old, **settings) as new, Peer(new) as late:
            late.send(request)
            assert late.read_answer().status == 200
        # It was accepted, and had said nothing.
        assert early.read_all() == b""


def test_in_the_background(tmp_path: Path) -> None:
    """The command returns when the service is ready, and the service runs on."""
    with service_of(tmp_path) as old:
        ready_file = tmp_path / "data.ready.json"
        command = [sys.executable, "-m", "greenroom", "serve", "--takeover", "--background"]
        options = ["--port", "0", "--data-dir", old.ready["data_dir"]]
        ended = subprocess.run(
            [*command, *options, "--ready-file", str(ready_file)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0
        assert old.process.wait(PATIENCE) == 0
        pid = int(ready_file.read_text().partition('"pid": ')[2].partition(",")[0])
        assert pid != old.process.pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: not ready_file.exists(), "the end")
        code, line = refused(old, "--background", GREENROOM_STORAGE="memory")
        assert (code, "storage sqlite" in line) == (ExitCode.USAGE, True)
