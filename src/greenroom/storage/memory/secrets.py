"""The service's own secrets in memory."""

from greenroom.storage.memory.opened import Opened


class MemorySecrets:
    """`Secrets` in a dictionary."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._secrets: dict[str, bytes] = {}

    async def keep(self, name: str, candidate: bytes) -> bytes:
        self._opened.check()
        return self._secrets.setdefault(name, candidate)

    async def get(self, name: str) -> bytes | None:
        self._opened.check()
        return self._secrets.get(name)

    async def replace(self, name: str, expected: bytes, replacement: bytes) -> bool:
        self._opened.check()
        found = self._secrets.get(name) == expected
        if found:
            self._secrets[name] = replacement
        return found
