"""The real `greenroom serve` process, for tests that speak to it over sockets."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import msgspec
from botocore.config import Config
from botocore.loaders import create_loader

import greenroom
from scripts.servers.ports import free_port
from tests.running import over_tls
from tests.running.copies import Copies, Copy

AS_INSTALLED = Path(__file__).parent / "as_installed"
"""Hides from a service what only the tests brought into its environment."""

COMPILED = Path(__file__).parents[2] / "build" / "compiled"
"""Where services keep what Python compiles, for the next ones."""

MODULE = ("-m", "greenroom")
"""How Python is told to run the command."""

STARTUP_SECONDS = 20
"""Far more than a start takes; a busy machine must not fail a test."""

UNHURRIED = {"GREENROOM_REQUEST_RATES": "off"}
"""What each service is given unless a test gives it otherwise: tests that share one ask faster than
people do, and the faster the machine, the sooner they would meet a rate that they are not about."""


Process = subprocess.Popen[bytes] | Copy


class Service(msgspec.Struct):
    """One running process and how to reach it."""

    process: Process
    ready: dict[str, Any]
    log: Path
    variables: Mapping[str, str] = {}
    """What was set for it in its environment."""

    @property
    def api_url(self) -> str:
        """Return the URL of the control plane."""
        return str(self.ready["api_url"])

    @property
    def websocket_url(self) -> str:
        """Return the URL of the messaging plane."""
        return str(self.ready["websocket_url"])

    def boto3(self, *, region: str = "us-east-1", attempts: int = 1, **options: Any) -> Any:
        """Return a boto3 client of this service that makes as many attempts as asked."""
        return boto3.client(
            "ivschat",
            endpoint_url=self.api_url,
            region_name=region,
            aws_access_key_id=options.pop("access_key_id", self.ready["access_key_id"]),
            aws_secret_access_key=options.pop("secret", self.ready["secret_access_key"]),
            verify=self.ready.get("certificate_to_trust"),
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **options),
        )

    def greenroom(self, *, attempts: int = 1) -> Any:
        """Return boto3's client of the service `greenroom`, with the model in the package."""
        core = botocore.session.Session()
        models = str(Path(greenroom.__file__).parent / "models")
        core.register_component("data_loader", create_loader(models))
        make: Any = boto3.Session(botocore_session=core).client
        return make(
            "greenroom",
            endpoint_url=self.api_url,
            region_name="us-east-1",
            aws_access_key_id=self.ready["access_key_id"],
            aws_secret_access_key=self.ready["secret_access_key"],
            verify=self.ready.get("certificate_to_trust"),
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    def token(self, room: str, user: str = "user", **options: Any) -> str:
        """Return a chat token of a room, by default with every capability."""
        options.setdefault("capabilities", ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"])
        answer = self.boto3().create_chat_token(roomIdentifier=room, userId=user, **options)
        return str(answer["token"])

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop the process as an operator does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STARTUP_SECONDS)


def environment(**variables: str) -> dict[str, str]:
    """Return this environment without what could lead a client or the service elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "GREENROOM_", "COV"))
    }
    found = {**kept, "AWS_EC2_METADATA_DISABLED": "true", **variables}
    path = filter(None, (found.get("PYTHONPATH"), str(AS_INSTALLED)))
    # Else each start compiles some five hundred modules, where nothing may be written beside them.
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**found, "PYTHONPATH": os.pathsep.join(path), "PYTHONPYCACHEPREFIX": str(COMPILED)}


COPIES = Copies(environment())
"""What starts `greenroom` for tests that are not about its first steps."""


def start(data_dir: Path, *options: str, **variables: str) -> Service:
    """Start a service on a free port and wait until it is ready.

    The port stays free while the service is away: a test may start it there again.

    Raises:
        RuntimeError: it ended or hung instead; the message holds its log.
    """
    # Who takes over has the port of the one before, and is not to name another.
    port = "0" if "--takeover" in options else str(free_port())
    program = (*MODULE, "serve", "--port", port, "--data-dir", str(data_dir), *options)
    return started(program, data_dir.parent, data_dir.name, variables)


def started(
    program: Sequence[str],
    directory: Path,
    name: str,
    variables: Mapping[str, str],
    descriptors: Sequence[int] = (),
) -> Service:
    """Start a Python program that serves, and wait until it is ready.

    Its ready file and its log are in the directory, by the name. It inherits the descriptors. No
    request rates hold unless the variables say which.

    Raises:
        RuntimeError: it ended or hung instead; the message holds its log.
    """
    ready_file, log = directory / f"{name}.ready.json", directory / f"{name}.log"
    given = environment(**{**UNHURRIED, **over_tls.settings_for(program, variables), **variables})
    with log.open("ab") as output:
        words = (*program, "--ready-file", str(ready_file))
        process = _process(words, given, output.fileno(), descriptors)
    return Service(process, until_ready(process, ready_file, log), log, variables)


def _process(
    program: Sequence[str], given: Mapping[str, str], output: int, descriptors: Sequence[int]
) -> Process:
    """Start a Python program: as a copy, where that is the same."""
    if tuple(program[:2]) == ("-m", COPIES.program) and COPIES.are_as_started(given):
        with Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), output, output)
            return COPIES.make(program[2:], given, streams, descriptors)
    return subprocess.Popen(
        [sys.executable, *program],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=descriptors,
        env=given,
    )


def take_over(service: Service, *options: str, **variables: str) -> Service:
    """Start a service in the place of a running one, and wait until the old process has ended.

    Raises:
        RuntimeError: the new one did not start; the old one goes on.
    """
    after = start(Path(service.ready["data_dir"]), "--takeover", *options, **variables)
    assert service.process.wait(STARTUP_SECONDS) == 0
    return after


def until_ready(process: Process, ready_file: Path, log: Path | None = None) -> dict[str, Any]:
    """Wait until the service has written its ready file; return what it says.

    Raises:
        RuntimeError: it ended or hung instead; the message holds its log.
    """
    deadline = time.monotonic() + STARTUP_SECONDS
    while (ready := _read(ready_file))["pid"] != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the service did not start:\n{log.read_text() if log else ''}")
        time.sleep(0.01)
    return ready


def _read(ready_file: Path) -> dict[str, Any]:
    """Return what the ready file says, if it is one, whoever wrote it."""
    try:
        ready: dict[str, Any] = json.loads(ready_file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {"pid": None}
    return ready


Run = Callable[..., contextlib.AbstractContextManager[Service]]

in_its_place: Run | None = None
"""What `running` gives in the place of one process, where a folder's tests are to have that."""


@contextlib.contextmanager
def running(data_dir: Path, *options: str, **variables: str) -> Iterator[Service]:
    """Run a service for the length of a `with` block."""
    if in_its_place is not None:
        with in_its_place(data_dir, *options, **variables) as service:
            yield service
        return
    service = start(data_dir, *options, **variables)
    try:
        yield service
    finally:
        service.kill()
