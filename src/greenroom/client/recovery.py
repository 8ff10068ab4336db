"""What a room asks for with each connection, so that nothing that was shown is missed.

- The first connection asks for `history`, or for what is behind `since`; each later one for what is
  behind the last Id that was seen which is a place in the room.
- Without a wish nothing is asked for, and the URL stays as it is.
"""

from urllib.parse import parse_qsl

from greenroom.model.token_attributes import PREFIX, SERVICE_USER, WISHES, problem
from greenroom.protocol import events
from greenroom.protocol.received import ChatEvent, ChatMessage


class Asking:
    """Keeps what a room's connections ask for, and what was seen last."""

    def __init__(self, url: str, *, events: bool, history: int, since: str | None) -> None:
        """Make it for a URL.

        Raises:
            ValueError: an option breaks a rule, or the URL has one, too.
        """
        wishes = {"history": str(history) if history else "", "since": since or ""}
        for name, value in wishes.items():
            why = problem(name, value) if value else None
            if why is not None:
                raise ValueError(f"{name} {why}")
        self._asks = events or any(wishes.values())
        query = url.partition("?")[2]
        given = [name for name, _ in parse_qsl(query, keep_blank_values=True) if name in WISHES]
        if self._asks and given:
            raise ValueError(f"{given[0]} must be an option, or stand in the URL, and not both")
        self._url = url
        self._events = events
        self._history = wishes["history"]
        self._since = wishes["since"]

    def url(self) -> str:
        """Return where the next connection is made to."""
        if not self._asks:
            return self._url
        wishes = {"events": "on" if self._events else ""}
        wishes |= {"history": self._history, "since": self._since}
        asked = "&".join(f"{name}={value}" for name, value in wishes.items() if value)
        base, _, query = self._url.partition("?")
        return f"{base}?{query}&{asked}" if query else f"{base}?{asked}"

    def see(self, shown: ChatMessage | ChatEvent) -> None:
        """Note what was shown, if its Id is a place in the room."""
        if self._asks and _is_place(shown):
            self._since = shown.id


def _is_place(shown: ChatMessage | ChatEvent) -> bool:
    if isinstance(shown, ChatMessage):
        return shown.sender.user_id != SERVICE_USER
    own = shown.event_name.startswith(PREFIX)
    return not own or shown.event_name == events.DELETE_MESSAGES
