"""The C reference server: what the machine itself asks for a delivery."""

import re
from pathlib import Path

from benchmarks.client import Load, Target
from benchmarks.processes import BUILT, allow_descriptors, end, start_server, wait_until_ready


class Reference:
    """A running reference server."""

    name = "C reference"

    def __init__(self, directory: Path) -> None:
        allow_descriptors()
        log = directory / "reference.log"
        self._process = start_server([BUILT / "reference"], log)
        said = wait_until_ready(self._process, log, "\n")
        address = re.search(r"127\.0\.0\.1:\d+", said)
        if address is None:
            raise RuntimeError(f"the reference server does not say where it listens: {said}")
        self._url = f"ws://{address.group()}/%d"

    def target(self, load: Load) -> Target:
        """Return the room's path: the reference knows no tokens."""
        return Target(pid=self._process.pid, url=self._url)

    def stop(self) -> None:
        """End the server at once."""
        end(self._process)
