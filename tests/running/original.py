"""The process that is copied: `python -m tests.running.original SOCKET PROGRAM MODULE...`.

For each message on the socket, a `Wish` with descriptors, it answers the process id of a copy. A
copy's parent is gone at once, so that it becomes the child of who asked.
"""

import atexit
import fcntl
import importlib
import os
import resource
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

LIMITS = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]
"""What a process hands down to those that it starts."""

MOST_BYTES, MOST_DESCRIPTORS = 1 << 17, 32
"""Of a message: more than any has."""

SPARE = 500
"""Descriptors from here on are nobody's."""


class Wish(msgspec.Struct):
    """What a copy is to be."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    descriptors: Sequence[int]
    """The numbers that those of the message have in the copy."""
    limits: Sequence[tuple[int, int]]
    """Of `LIMITS`."""
    umask: int
    """Negative: that of this process."""


def main(number: int, program: str, imported: Sequence[str]) -> None:
    """Make copies until nobody is left who asks; in a copy, be `python -m PROGRAM`."""
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    brought = importing(imported)
    with socket.socket(fileno=number) as asked:
        found = _asked_for(asked)
    if found is not None:
        signal.signal(signal.SIGINT, interrupted)
        wish, descriptors = found
        become(wish, brought, descriptors)
        # As with `python -m`.
        sys.path[0] = wish.directory
        end_after(lambda: runpy.run_module(program, run_name="__main__", alter_sys=True))


def importing(names: Sequence[str]) -> dict[str, str]:
    """Import modules; return what they brought into the environment."""
    before = dict(os.environ)
    for name in names:
        importlib.import_module(name)
    return {name: each for name, each in os.environ.items() if before.get(name) != each}


def _asked_for(asked: socket.socket) -> tuple[Wish, Sequence[int]] | None:
    """Return what this process is to be, in a copy; None when no copy is wanted any more."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, MOST_BYTES, MOST_DESCRIPTORS)
        if not message:
            return None
        reading, writing = os.pipe()
        if (between := os.fork()) == 0:
            if copy := os.fork():
                os.write(writing, str(copy).encode())
                os._exit(0)
            os.close(reading)
            os.close(writing)
            return msgspec.json.decode(message, type=Wish), descriptors
        # From then on the copy has its new parent.
        os.waitpid(between, 0)
        asked.send(os.read(reading, 64))
        for each in (reading, writing, *descriptors):
            os.close(each)


def become(wish: Wish, brought: Mapping[str, str], descriptors: Sequence[int]) -> None:
    """Be a process that was started as wished, with what imports brought into its environment."""
    os.environ.clear()
    os.environ.update({**wish.environment, **brought})
    # First out of the way of each other's numbers.
    spare = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, SPARE) for each in descriptors]
    for each in descriptors:
        os.close(each)
    for each, number in zip(spare, wish.descriptors, strict=True):
        os.dup2(each, number)
        os.close(each)
    for limit, values in zip(LIMITS, wish.limits, strict=True):
        resource.setrlimit(limit, values)
    time.tzset()
    if wish.umask >= 0:
        os.umask(wish.umask)
    os.chdir(wish.directory)
    sys.argv[1:] = wish.arguments


def end_after(run: Callable[[], object]) -> None:
    """Run a program, and end as it does."""
    try:
        run()
    except SystemExit as told:
        if isinstance(told.code, int):
            _end(told.code)
        raise


def _end(code: int) -> None:
    """End as the interpreter does, but for what it takes apart, which is most of its time."""
    threading._shutdown()  # type: ignore[attr-defined]  # as at any end: threads are waited for
    atexit._run_exitfuncs()
    for each in (sys.stdout, sys.stderr):
        each.flush()
    os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
