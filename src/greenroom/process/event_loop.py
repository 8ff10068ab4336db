"""What a process of ours takes from the system: open files, and the event loop."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress


def allow_files() -> int | None:
    """Take as many open files, and so connections, as the system lets the process have.

    Returns how many those are; None where the system has no such limit.
    """
    try:
        import resource
    except ImportError:
        return None
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else files


def in_background() -> Callable[[], None]:
    """Go on in a child process; return what tells the parent, once, that the child is ready.

    The parent ends then, with 0; when the child ends before, with the child's exit code.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        if os.read(reading, 1):
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os._exit(_as_exit_code(os.waitstatus_to_exitcode(status)))
    os.close(reading)
    # A file, and no descriptor: whose number may be another file's after the first call.
    pipe = os.fdopen(writing, "wb", buffering=0)

    def tell() -> None:
        # The parent may have been killed meanwhile.
        with pipe, suppress(BrokenPipeError):
            pipe.write(b"1")

    return tell


def _as_exit_code(code: int) -> int:
    """Return what a shell says of a process that a signal ended."""
    return code if code >= 0 else 128 - code


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where it is installed (POSIX), else the standard library's."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def readable(descriptor: int) -> None:
    """Wait until there is something to read, or an end."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)


def map_large_buffers() -> None:
    """Have glibc map every buffer of 128 KB or more, where only the used pages take memory.

    Each TLS connection has one of 256 KB of which it uses little. glibc begins to take such buffers
    from the heap once one was freed: an idle connection then costs 47 KB instead of 24.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 131_072)


_M_MMAP_THRESHOLD = -3
