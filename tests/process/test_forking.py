"""Copies of a process: what they have and have not, and how they have ended."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from greenroom.process.forking import end_of, fork

PROGRAM = """
import os, signal, sys
from greenroom.process.forking import end_of, fork

before, kept = os.pipe()
after, woken = os.pipe()
os.set_blocking(woken, False)
signal.set_wakeup_fd(woken)
signal.signal(signal.SIGHUP, lambda *_: os.write(2, b"the parent's handler"))

def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True

def work():
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGINT)
    os.write(kept, b"")
    if any(map(is_open, (before, after, woken))):
        return 70
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", ":"], os.environ), 0)
    {end}

print(end_of(os.waitpid(fork(work, [kept]), 0)[1]))
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the parent's signals come to it"
"""


@pytest.mark.parametrize(
    ("end", "told", "said"),
    [
        ("return 5", "exit code 5", ""),
        ("sys.exit(6)", "exit code 6", ""),
        ("sys.exit('no')", "exit code 1", ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", "exit code 0", ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", ""),
        ("raise ValueError('no')", "exit code 1", "ValueError: no"),
    ],
)
def test_a_copy(end: str, told: str, said: str) -> None:
    """It has the kept descriptors and no others, no handlers, and ends as its work does.

    What it starts in its turn it can wait for.
    """
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)], capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == told
    assert said in ended.stderr
    assert bool(said) or not ended.stderr


def test_a_copy_that_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals come to this process all the same."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        with pytest.raises(BlockingIOError):
            fork(lambda: 0, ())
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_signal_without_a_name() -> None:
    """Those of real time have numbers."""
    assert end_of(signal.SIGRTMIN + 3) == f"signal {signal.SIGRTMIN + 3}"
    assert os.waitstatus_to_exitcode(signal.SIGRTMIN + 3) < 0
