"""The port to the service's own secrets, by name; its guarantees are those of `storage.base`.

What is kept is sealed by whoever keeps it: see `vault.vault`.
"""

from typing import Protocol


class Secrets(Protocol):
    """Secrets by their name."""

    async def keep(self, name: str, candidate: bytes) -> bytes:
        """Return the secret kept under the name; when there is none, keep the candidate."""

    async def get(self, name: str) -> bytes | None:
        """Return the secret kept under the name, or None."""

    async def replace(self, name: str, expected: bytes, replacement: bytes) -> bool:
        """Keep the replacement if what is kept is as expected; return whether it was."""
