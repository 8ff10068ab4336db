"""Run a JavaScript program of cases against a service, and tell how each case went.

A program declares its cases with `test("...")` and prints one line of JSON for each. Their names
are read from the sources, so that a case that never ran is a failure, and so is one too many.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import msgspec

from tests.running.service import Service, environment

HERE = Path(__file__).resolve().parent
PROGRAM_SECONDS = 110

LIMITS = {
    "GREENROOM_REGIONS": "*",
    "GREENROOM_REQUEST_RATES": "aws",
    "GREENROOM_QUOTAS": "requests_per_second.CreateLoggingConfiguration=0",
}
"""Settings of a service with AWS's numbers; only that many logging configurations come at once."""

_DECLARED = re.compile(r'^test\("((?:[^"\\]|\\.)+)"', re.MULTILINE)

Outcomes = dict[str, str | None]
"""The error of each case by its name; None for a success."""


class Program(msgspec.Struct, frozen=True):
    """A file that Node runs, and the further sources that declare its cases."""

    file: str
    sources: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the names of the cases."""
        texts = [(HERE / source).read_text() for source in (*self.sources, self.file)]
        return [json.loads(f'"{name}"') for text in texts for name in _DECLARED.findall(text)]

    def run(self, service: Service, **more: str) -> Outcomes:
        """Run all cases; `more` goes into the program's settings.

        Raises:
            RuntimeError: the program failed, or ran other cases than it declares.
        """
        settings = {
            "program": Path(self.file).stem.replace("_", "-"),
            "endpoint": service.api_url,
            "websocketUrl": service.websocket_url,
            "account": service.ready["account"],
            "accessKeyId": service.ready["access_key_id"],
            "secretAccessKey": service.ready["secret_access_key"],
            **more,
        }
        ended = subprocess.run(
            ["node", HERE / self.file],
            env=environment(
                SETTINGS=json.dumps(settings),
                AWS_CONFIG_FILE=os.devnull,
                AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        undeclared = {line["name"] for line in lines} - set(self.names)
        if ended.returncode or undeclared or len(lines) > len(self.names):
            raise RuntimeError(
                f"{self.file} ended with {ended.returncode}, undeclared: {undeclared}:\n"
                f"{ended.stdout[-2000:]}\n{ended.stderr[-5000:]}"
            )
        return {line["name"]: line["error"] for line in lines}


def check(outcomes: Outcomes, name: str) -> None:
    """Fail unless the case ran and succeeded."""
    assert name in outcomes, "the program did not run this case"
    assert outcomes[name] is None, outcomes[name]
