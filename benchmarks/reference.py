"""The C reference server: what the machine itself asks for a delivery."""

import re
from pathlib import Path

from benchmarks.client import Load, Target
from benchmarks.processes import BUILT, allow_descriptors, end, start_server, wait_until_ready


class Reference:
    """A running reference server."""

    name = "C reference"

    def __init__(
        self,
        directory: Path,
        certificate: tuple[Path, Path] | None = None,
        *,
        joined: bool = False,
    ) -> None:
        """Start it; with the files of a certificate and its key it speaks TLS.

        `joined` has it write once what it read at once; else each message is written by itself.
        """
        allow_descriptors()
        log = directory / f"reference-{len(list(directory.iterdir()))}.log"
        command = [BUILT / "reference", "0", *(certificate or ())]
        variables = {"REFERENCE_JOIN": "1"} if joined else {}
        self._process = start_server(command, log, variables)
        self._scheme = "ws" if certificate is None else "wss"
        said = wait_until_ready(self._process, log, "\n")
        address = re.search(r"127\.0\.0\.1:\d+", said)
        if address is None:
            raise RuntimeError(f"the reference server does not say where it listens: {said}")
        self._url = f"{self._scheme}://{address.group()}/%d"

    def target(self, load: Load) -> Target:
        """Return the room's path: the reference knows no tokens."""
        return Target(pid=self._process.pid, url=self._url)

    def stop(self) -> None:
        """End the server at once."""
        end(self._process)
