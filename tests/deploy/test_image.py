"""The container image: the steps of its file are done in empty directories, and the result is run.

No engine is needed. In place of the base image is this machine's Python, and the packages are those
that are installed.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containerfile import Build, Image, allowed, steps
from tests.running.io_uring import needs_io_uring
from tests.running.said import until
from tests.running.service import Service
from tests.running.wheels import OTHER_SERVICES, locked, names_in, pack
from tests.running.wire import PATIENCE, WebSocket, api_of

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "deploy" / "container"
CONTAINERFILE = (CONTAINER / "Containerfile").read_text()
PROFILE = json.loads((CONTAINER / "seccomp.json").read_text())
USER = 10001

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build the image from what the build is let see; skip where nothing can be mounted."""
    needs_mounts()
    place = tmp_path_factory.mktemp("image")
    context = made_context(place)
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_NO_COMPILE": "1"}
    build = Build(context, place, settings)
    for step in steps(CONTAINERFILE):
        build.do(step)
        if step.word == "FROM" and " AS " in step.text:
            shutil.copytree(context / "wheels", build.image.root / "wheels")
    (build.image.root / "compiled").mkdir()
    yield build.image
    shutil.rmtree(place)


def needs_mounts() -> None:
    """Skip where mounts, other roots or other users are not allowed. In CI fail, for root."""
    reason = "needs root, unshare, and leave to mount"
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip(reason)
    tried = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(tried, check=False, capture_output=True).returncode == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def made_context(place: Path) -> Path:
    """Return a directory with what the build copies, and locks of the wheels beside it."""
    ignored = (CONTAINER / "Containerfile.dockerignore").read_text()
    context = place / "context"
    shutil.copytree(ROOT / "src", context / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, context)
    (context / "requirements").mkdir()
    for path in (*context.glob("*.*"), context / "LICENSE"):
        assert allowed(str(path.relative_to(context)), ignored), path
    for lock in ("build", "node"):
        wheels = place / f"{lock}-wheels"
        wheels.mkdir()
        pack(wheels, *names_in(ROOT / "requirements" / f"{lock}.txt"), without=OTHER_SERVICES)
        assert allowed(f"requirements/{lock}.txt", ignored)
        (context / "requirements" / f"{lock}.txt").write_text(locked(wheels))
        shutil.copytree(wheels, context / "wheels", dirs_exist_ok=True)
    return context


@contextlib.contextmanager
def running(image: Image, data: Path, **settings: str) -> Iterator[Service]:
    """Run the image's entry point as the compose file does, with a volume.

    What Python compiles is kept beside the image: pip compiles it there, which takes its time.
    """
    compiled = image.root.with_name("compiled")
    for folder in (data, compiled):
        folder.mkdir(exist_ok=True)
        os.chown(folder, USER, USER)
    log = data.with_suffix(".log")
    variables = {f"GREENROOM_{name.upper()}": value for name, value in settings.items()}
    command = image.command(
        image.entrypoint,
        volumes={"/data": data, "/compiled": compiled},
        tmpfs=["/tmp"],  # noqa: S108 - in the image
        read_only=True,
        seccomp=PROFILE,
        environment={
            "GREENROOM_PORT": "0",
            "GREENROOM_LOG_FORMAT": "json",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": "/compiled",
            **variables,
        },
    )
    (data / "address.json").unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        until(
            lambda: (data / "address.json").exists() or process.poll() is not None,
            "the service is ready",
        )
        assert process.poll() is None, log.read_text()
        url = json.loads((data / "address.json").read_text())["api_url"]
        keys = dict(
            re.findall(r"^(aws_\w+) = (\S+)$", (data / "credentials").read_text(), re.MULTILINE)
        )
        ready = {
            "region": "us-east-1",
            "api_url": url,
            "websocket_url": url.replace("http", "ws") + "/",
            "access_key_id": keys["aws_access_key_id"],
            "secret_access_key": keys["aws_secret_access_key"],
        }
        yield Service(process, ready, log)
    finally:
        # Killing its parent would leave it: what the parent asks of the kernel for that
        # (--kill-child) is forgotten when the process becomes another user's.
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(children_of(process.pid)[0], signal.SIGKILL)
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def process_of(service: Service) -> int:
    """Return the id that the service's process has outside of its container."""
    return children_of(service.process.pid)[0]


def status_of(service: Service) -> dict[str, str]:
    """Return what the kernel says of the service's process."""
    lines = Path(f"/proc/{process_of(service)}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stop(service: Service) -> int:
    """Stop the service as an engine does; return its exit code."""
    os.kill(process_of(service), signal.SIGTERM)
    return service.process.wait(PATIENCE)


def say_hello(service: Service) -> str:
    """Have two people chat; return the room."""
    with api_of(service) as api:
        room = api.room(name="lobby")
        tokens = [api.token(room, user) for user in ("alice", "bob")]
    with contextlib.ExitStack() as stack:
        alice, bob = (stack.enter_context(WebSocket.connect(service, token)) for token in tokens)
        alice.say(Action="SEND_MESSAGE", Content="hello")
        assert bob.read_json()["Content"] == "hello"
    return room


def is_well(image: Image, data: Path) -> bool:
    """Return what the image's health check says of the service on a volume."""
    command = image.command(image.health_check, volumes={"/data": data}, read_only=True)
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_the_service_runs_confined(image: Image, tmp_path: Path) -> None:
    """As nobody in particular, without a privilege, in a root that cannot be written, it serves."""
    with running(image, tmp_path / "data") as service:
        status = status_of(service)
        say_hello(service)
        assert is_well(image, tmp_path / "data")
        assert stop(service) == 0
    assert not is_well(image, tmp_path / "data")
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert (status["Groups"], int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ("", 0, 0)
    assert (status["Seccomp"], status["NoNewPrivs"], status["NSpid"].split()[-1]) == ("2", "1", "1")
    assert '"event": "stopped"' in service.log.read_text()


@needs_io_uring
def test_io_uring_is_allowed_and_data_is_in_the_volume(image: Image, tmp_path: Path) -> None:
    """The profile lets whole rooms be written to at once; the next container has what is kept."""
    with running(image, tmp_path / "data", log_level="debug") as first:
        room = say_hello(first)
        assert "io_uring: rooms are written to with one system call" in first.log.read_text()
        assert stop(first) == 0
    with running(image, tmp_path / "data") as second, api_of(second) as api:
        left = process_of(second)
        assert second.ready["access_key_id"] == first.ready["access_key_id"]
        assert [each["arn"] for each in api.call("ListRooms")["rooms"]] == [room]
    until(lambda: not Path(f"/proc/{left}").exists(), "nothing is left of it")


def test_nothing_in_the_image_can_be_written(image: Image) -> None:
    """What the process may write is its volume and a temporary folder, whoever starts it how."""
    may = [path for path in image.root.rglob("*") if not path.is_symlink() and is_writable(path)]
    assert [str(path.relative_to(image.root)) for path in may] == ["tmp", "data"]
    assert (image.root / "data").stat().st_mode & 0o777 == 0o700
    assert image.volumes == ["/data"]


def is_writable(path: Path) -> bool:
    """Return whether the image's user may write to a path."""
    status = path.stat()
    return USER in (status.st_uid, status.st_gid) or bool(status.st_mode & 0o002)


def test_the_profile_allows_no_more_than_systemd(image: Image) -> None:
    """It has what systemd lets any service do, io_uring, and what comes before the user changes."""
    analyze = shutil.which("systemd-analyze") or pytest.skip("needs systemd-analyze")
    listing = [analyze, "syscall-filter", "--no-pager"]
    told = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    groups = dict(re.findall(r"^(@[\w-]+)\n((?: {4}.*\n)*)", told, re.MULTILINE))

    def calls(group: str) -> set[str]:
        words = {line.strip() for line in groups[group].splitlines() if "#" not in line}
        inner = [calls(word) for word in words if word.startswith("@")]
        return {word for word in words if not word.startswith("@")}.union(*inner)

    allowed_calls = {name for rule in PROFILE["syscalls"] for name in rule["names"]}
    assert allowed_calls <= calls("@system-service")
    assert not allowed_calls & (calls("@keyring") | calls("@mount") | calls("@module"))
    assert not {"clone3", "unshare", "setns", "ptrace", "bpf"} & allowed_calls


def test_steps_are_read() -> None:
    """Comments are left out, lines put together, arguments put in; what is not known is refused."""
    text = "# c\nARG A=1\nFROM x:${A} AS y\nRUN a \\\n && b\nADD z\n"
    found = [(step.word, " ".join(step.text.split())) for step in steps(text)]
    assert found == [("FROM", "x:1 AS y"), ("RUN", "a && b"), ("ADD", "z")]
    build = Build(Path(), Path(), {})
    with pytest.raises(ValueError, match="no stand-in for x:1"):
        build.do(next(steps(text)))
    with pytest.raises(KeyError, match="ADD"):
        build.do(list(steps(text))[-1])
