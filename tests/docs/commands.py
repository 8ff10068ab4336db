"""Commands of the pages that begin as copies of a process which has imported what they consist of.

Python takes most of a command's time to import it, and pages have more than a hundred. So what is
found on the path is a small program: it hands over what it was given to the process that is copied,
tells the copy the signals that it gets, and ends as the copy does. Where there is no such process
it is the whole program, and so it is for services, and with variables that Python reads at first.
"""

import importlib
import marshal
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.running.original import (
    LIMITS,
    MOST_BYTES,
    MOST_DESCRIPTORS,
    Wish,
    become,
    end_after,
    importing,
)

ROOT = Path(__file__).resolve().parents[2]

ASKING = """#!{python} -IS
import marshal, os, signal, socket, sys
asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    if sys.argv[1:2] == ["serve"] or any(name.startswith("PYTHON") for name in os.environ):
        raise OSError
    asking.connect("{socket}")
except OSError:
    os.execv("{program}", ["{program}", *sys.argv[1:]])
umask = os.umask(0)
os.umask(umask)
wish = (sys.argv[1:], dict(os.environ), os.getcwd(), umask)
socket.send_fds(asking, [marshal.dumps(wish)], [0, 1, 2])
def tell(number, frame):
    try:
        asking.send(b"%d" % number)
    except OSError:
        pass  # it has ended: its code is there
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, tell)
if (code := int(asking.recv(16) or 255)) < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""What a page runs in the place of a program."""

COPIED = "import sys; sys.path.insert(0, {root!r}); "
COPIED += "from tests.docs import commands; del sys.path[0]; commands.main(*{told!r})"


@contextmanager
def copied(
    command: Path,
    program: Path,
    imported: Sequence[str],
    environment: Mapping[str, str],
    anew: Sequence[str] = (),
) -> Iterator[None]:
    """Have a command be copies of a Python program for the length of a `with` block.

    Some of what is imported is executed once more in each copy: what looks at its environment.
    """
    python = program.read_text().partition("\n")[0].removeprefix("#!")
    at = command.with_suffix(".socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
        asked.bind(str(at))
        asked.listen(100)
        told = (asked.fileno(), str(program), list(imported), list(anew))
        process = subprocess.Popen(
            [python, "-c", COPIED.format(root=str(ROOT), told=told)],
            # What a copy takes its streams for is settled here: each can be taken for a pipe.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=(asked.fileno(),),
            start_new_session=True,
        )
    command.write_text(ASKING.format(python=python, socket=at, program=program))
    command.chmod(0o755)
    with process:
        try:
            yield
        finally:
            process.kill()


def main(number: int, program: str, imported: Sequence[str], anew: Sequence[str]) -> None:
    """Make copies until it is killed; in a copy, be the program."""
    brought = importing(imported)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=number) as asked:
        while True:
            asking, _ = asked.accept()
            if os.fork() == 0:
                break
            asking.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with asking:
        message, descriptors, _, _ = socket.recv_fds(asking, MOST_BYTES, MOST_DESCRIPTORS)
        if copy := os.fork():
            for each in descriptors:
                os.close(each)
            _keep(asking, copy)
    arguments, variables, directory, umask = marshal.loads(message)  # noqa: S302 - it is our own
    limits = [resource.getrlimit(each) for each in LIMITS]
    become(Wish(arguments, variables, directory, [0, 1, 2], limits, umask), brought, descriptors)
    for name in anew:
        importlib.reload(sys.modules[name])
    sys.argv[0], sys.path[0] = program, str(Path(program).parent)
    end_after(lambda: runpy.run_path(program, run_name="__main__"))


def _keep(asking: socket.socket, copy: int) -> None:
    """Tell a copy what signals come; tell its end, and end. Whoever is killed takes it along."""
    os.setpgid(copy, copy)
    end = os.pidfd_open(copy)
    waiting = select.poll()
    for each in (end, asking.fileno()):
        waiting.register(each, select.POLLIN)
    while end not in (found := {number for number, _ in waiting.poll()}):
        assert found == {asking.fileno()}
        number = int(asking.recv(16) or signal.SIGKILL)
        # Ctrl-C is for all that it started, and so is the end of the terminal.
        (os.kill if number == signal.SIGTERM else os.killpg)(copy, number)
    _, status = os.waitpid(copy, 0)
    try:
        asking.send(b"%d" % os.waitstatus_to_exitcode(status))
    finally:
        os._exit(0)
