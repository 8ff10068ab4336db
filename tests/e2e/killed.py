"""Runs commands of `greenroom` that are killed at a step that they take on the file system.

For each line of standard input, a JSON array of the step (counted from 1, 0 for none) and the
command's arguments, it prints the exit code, negative for a signal. A step is before a file or a
directory is made, moved or flushed. Each command is a process that is forked from this one, which
has imported what they need.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from greenroom.cli.backup import command
from greenroom.cli.main import main

STEPS = ("mkdir", "rename", "replace", "fsync", "rmdir")


def kill_at(step: int) -> None:
    """Kill this process at a step of its own."""
    left = [step]

    def counted(true: Callable[..., Any]) -> Callable[..., Any]:
        def take(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return true(*arguments, **options)

        return take

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def run(step: int, arguments: list[str]) -> None:
    """Run a command in this process and end."""
    kill_at(step)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code: object = 1
    try:
        main(arguments)
    except SystemExit as ended:
        code = ended.code
    finally:
        os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    assert command.backup.name == "backup"
    for line in sys.stdin:
        step, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            run(step, arguments)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
