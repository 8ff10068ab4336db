"""What a reader of a table needs to know of the machine that it was measured on."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import greenroom
from benchmarks.processes import LOAD_CORE, ROOT, SERVER_CORE


def machine() -> dict[str, str]:
    """Return what a reader needs to know of the machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "linux": platform.release(),
        "python": platform.python_version(),
        "greenroom": greenroom.__version__,
        "server_core": str(SERVER_CORE),
        "load_core": str(LOAD_CORE),
        "commit": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return what is checked out, without asking git: it may not be installed."""
    try:
        head = (ROOT / ".git" / "HEAD").read_text().strip()
        path = head.removeprefix("ref: ")
        return head if path == head else (ROOT / ".git" / path).read_text().strip()
    except OSError:
        return "unknown"
