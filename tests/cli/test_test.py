"""`greenroom test -- COMMAND`, as a process that runs another one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.running.service import environment

Running = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def running() -> Running:
    """Return what starts `greenroom test`."""

    def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "greenroom", "test", *arguments],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def python(code: str) -> tuple[str, ...]:
    """Return a command that runs code."""
    return ("--", sys.executable, "-c", code)


def test_a_command_finds_the_service_and_its_code_is_kept(running: Running) -> None:
    """The SDK needs no argument; options of the command are its own."""
    code = (
        "import boto3, json, os, sys; client = boto3.client('ivschat', region_name='eu-west-1');"
        "client.create_room(name='a');"
        "print(json.dumps([len(client.list_rooms()['rooms']), os.environ.get('AWS_PROFILE'),"
        " os.environ['IVSCHAT_MESSAGING_URL'], sys.argv[1:]])); sys.exit(7)"
    )
    process = running(*python(code), "--help", "x", AWS_PROFILE="of-somebody")
    out, err = process.communicate(timeout=60)
    rooms, profile, url, arguments = json.loads(out)
    assert (rooms, profile, arguments) == (1, None, ["--help", "x"])
    assert url.startswith("ws://127.0.0.1:")
    assert (process.returncode, err) == (7, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_the_command_s(running: Running, number: signal.Signals) -> None:
    """It may do something before it ends; what it ends with is what is told."""
    code = (
        "import os, signal, sys, urllib.request\n"
        "def stop(*_):\n"
        "    url = os.environ['AWS_ENDPOINT_URL_IVSCHAT'] + '/health'\n"
        "    print(urllib.request.urlopen(url).status, flush=True)\n"
        "    sys.exit(3)\n"
        f"signal.signal({int(number)}, stop)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    process = running(*python(code))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("200\n", "", 3)


def test_a_command_that_is_killed(running: Running) -> None:
    """The service has a clean end also then; the code is a shell's."""
    process = running(*python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("", "", 128 + signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--", "no-such-command"), 127, "Error: there is no command no-such-command\n"),
        (("--", os.sep), 126, f"Error: {os.sep} cannot be run: Permission denied\n"),
        (("--set", "regoins=*", "true"), 1, "unknown setting --regoins: did you mean regions?\n"),
        (("--set", "regions", "true"), 2, "'regions' is not NAME=VALUE"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_run(
    running: Running, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """One line says why, and the code is a shell's."""
    process = running(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert said in err


def test_settings_of_the_service(running: Running) -> None:
    """They are the service's, and hold for this run."""
    code = (
        "import boto3; client = boto3.client('ivschat'); client.create_room()\n"
        "try: client.create_room()\n"
        "except client.exceptions.ServiceQuotaExceededException: print('full')\n"
    )
    process = running("--set", "quotas=rooms=1", *python(code))
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("full\n", "", 0)
