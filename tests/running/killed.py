"""Runs commands of `greenroom` that are killed at a step that they take.

For each line of standard input, a JSON array of the step (counted from 1, 0 for none) and the
command's arguments, it prints the exit code, negative for a signal. A step is before a file or a
directory is made, moved or flushed; before and after PostgreSQL is asked to execute something; and
before rows are written. Each command is a process that is forked from this one, which has imported
what they need.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from greenroom.cli.backup import command
from greenroom.cli.main import main
from greenroom.cli.migrate import run as migrating
from greenroom.storage.postgres.moving import PostgresSide
from greenroom.storage.sqlite.moving import SqliteSide

STEPS = ("mkdir", "rename", "replace", "fsync", "rmdir")

Killed = Callable[..., int]
"""Runs a command that is killed at a step, and returns its exit code."""


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

    def counted_twice(true: Callable[..., Any]) -> Callable[..., Any]:
        async def take(*arguments: Any, **options: Any) -> Any:
            answer = await counted(true)(*arguments, **options)
            counted(int)()
            return answer

        return take

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    execute = counted_twice(asyncpg.Connection.execute)
    setattr(asyncpg.Connection, "execute", execute)  # noqa: B010 - a method is not assigned to
    for side in (PostgresSide, SqliteSide):
        setattr(side, "add", counted(side.add))  # noqa: B010 - likewise


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


@contextmanager
def killing(variables: dict[str, str]) -> Iterator[Killed]:
    """Give a function that runs a command, kills it at a step, and returns its exit code."""
    with subprocess.Popen(
        [sys.executable, Path(__file__)],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        umask=0,
    ) as commands:

        def run(step: int, *arguments: object) -> int:
            assert commands.stdin
            assert commands.stdout
            commands.stdin.write(json.dumps([step, *map(str, arguments)]) + "\n")
            commands.stdin.flush()
            return int(commands.stdout.readline())

        yield run


if __name__ == "__main__":
    assert command.backup.name == "backup"
    assert migrating.run.__name__ == "run"
    for line in sys.stdin:
        step, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            run(step, arguments)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
