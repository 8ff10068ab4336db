"""Where a service was last reached, in its data directory: for commands on the same machine.

It is written when the service is ready, and stays: who reads it must expect that nobody answers.
"""

import contextlib
from pathlib import Path

import msgspec

from greenroom.process.files import write_private

NAME = "address.json"
"""The file's name in the data directory."""


class Address(msgspec.Struct, frozen=True):
    """How to reach the service."""

    api_url: str
    certificate_to_trust: str | None = None
    """The file of a certificate that is signed by itself."""


def write(directory: Path, address: Address) -> None:
    """Write the address; a disk that takes nothing is no reason not to serve."""
    with contextlib.suppress(OSError):
        write_private(directory / NAME, msgspec.json.encode(address).decode() + "\n")


def read(directory: Path) -> Address | None:
    """Return the address, or None where there is none that can be read."""
    try:
        return msgspec.json.decode((directory / NAME).read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
