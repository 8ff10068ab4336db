"""Who is told of what."""

import logging
from collections.abc import Callable

Listener = Callable[..., object]

_NAMES = {
    "connecting": "connecting",
    "connect": "connect",
    "disconnect": "disconnect",
    "message": "message",
    "event": "event",
    "message_delete": "message_delete",
    "messageDelete": "message_delete",
    "user_disconnect": "user_disconnect",
    "userDisconnect": "user_disconnect",
    "recovered": "recovered",
    "gap": "gap",
    "room_deleted": "room_deleted",
}
"""Names of listeners, and what the SDK for JavaScript calls them where it has them."""

_log = logging.getLogger(__name__)


class Listeners:
    """Functions to call, by name, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    def add(self, name: str, listener: Listener) -> Callable[[], None]:
        """Add a listener; return what removes it.

        Raises:
            ValueError: nothing has that name.
        """
        self._of(name).append(listener)
        return lambda: self.remove(name, listener)

    def remove(self, name: str, listener: Listener) -> None:
        """Remove a listener, if it is there."""
        if listener in self._of(name):
            self._of(name).remove(listener)

    def tell(self, name: str, *what: object) -> None:
        """Call those of one name. One that raises stops neither the others nor the connection."""
        for listener in tuple(self._listeners.get(name, ())):
            try:
                listener(*what)
            except Exception:  # noqa: BLE001 - whatever an application does
                _log.exception("a listener for %s failed", name)

    def _of(self, name: str) -> list[Listener]:
        known = _NAMES.get(name)
        if known is None:
            raise ValueError(f"no listener is called {name!r}: {', '.join(sorted(_NAMES))}")
        return self._listeners.setdefault(known, [])
