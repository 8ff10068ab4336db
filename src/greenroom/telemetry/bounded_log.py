"""Log lines that others can cause: the first of a kind at once, then the others as one.

Whoever can make the service write lines, also without a token or a key, must not fill the disk with
them, nor hide what else is written.

- A line that stands for several says how many (`times`), the address and the room that caused most
  of them, and how many of each there were.
- **Bound.** `KINDS` kinds are told apart, `PLACES` addresses and rooms of each. What makes a kind
  are words of the code: an event, a reason, the place of a fault. Nothing that a client wrote.
- A kind that was quiet for ten seconds is forgotten.
"""

import asyncio
import functools
import sys
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

import structlog

from greenroom.network import addresses

QUIET_SECONDS = 10.0
"""At most one line of each kind in this time, after the first."""

KINDS = 256
"""Kinds of lines that are told apart; further ones are told without what makes them one."""

PLACES = 16
"""Addresses, and rooms, that are told apart in one line."""

log = structlog.get_logger()

Later = Callable[[float, Callable[[], None]], object]
_Kind = tuple[str, str, tuple[tuple[str, object], ...]]


class BoundedLog:
    """Writes lines to the service's log; one of these in a process."""

    def __init__(self, later: Later | None = None) -> None:
        """Make a log; `later` calls a function after so many seconds, by default the loop's."""
        self._later = _on_the_loop if later is None else later
        self._untold: dict[_Kind, _Untold] = {}

    def write(
        self,
        level: str,
        event: str,
        kind: Mapping[str, object] = {},
        *,
        address: str = "",
        room: str = "",
        **names: object,
    ) -> None:
        """Write a line, or count it; `names` stand only where a line is about one event."""
        key = (level, event, tuple(kind.items()))
        if key not in self._untold and len(self._untold) >= KINDS:
            key = (level, event, ())
        untold = self._untold.get(key)
        if untold is None:
            self._untold[key] = _Untold()
            self._tell_again(key)
            places = {"address": address, "room": room}
            known = {name: place for name, place in places.items() if place}
            _write(key, {"times": 1, **known, **names})
        else:
            untold.add(address, room)

    def exception(self, event: str, *, address: str = "", room: str = "", **names: object) -> None:
        """Write where in the code the exception came by that is being handled.

        Never its text: it may hold what a user wrote.
        """
        error, _, trace = sys.exc_info()
        kind = {"error": "" if error is None else error.__name__, "at": places_of(trace)}
        self.write("error", event, kind, address=address, room=room, **names)

    def close(self) -> None:
        """Write what was counted and not told."""
        for key, untold in self._untold.items():
            if untold.times:
                _write(key, untold.fields())
        self._untold.clear()

    def _tell_again(self, key: _Kind) -> None:
        self._later(QUIET_SECONDS, functools.partial(self._tell, key))

    def _tell(self, key: _Kind) -> None:
        untold = self._untold.pop(key, None)
        if untold is not None and untold.times:
            self._untold[key] = _Untold()
            self._tell_again(key)
            _write(key, untold.fields())


class _Untold:
    """How often something happened since it was told, and whence."""

    def __init__(self) -> None:
        self.times = 0
        self._addresses = _Busiest()
        self._rooms = _Busiest()

    def add(self, address: str, room: str) -> None:
        """Count once more."""
        self.times += 1
        if address:
            self._addresses.add(_site(address), address)
        if room:
            self._rooms.add(room, room)

    def fields(self) -> dict[str, object]:
        """Return what a line says of it."""
        found: dict[str, object] = {"times": self.times, "seconds": round(QUIET_SECONDS)}
        for name, places in (("address", self._addresses), ("room", self._rooms)):
            if places.count:
                found[name] = places.first()
            if places.count > 1:
                found[f"{name}es" if name == "address" else f"{name}s"] = places.count
        return found


class _Busiest:
    """Which of many places is named most often, with a bound on how many are remembered.

    The least named one makes place for a new one, which takes over its count: a place that is named
    more often than once in `PLACES` times is always among them ("space-saving").
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._shown: dict[str, str] = {}

    @property
    def count(self) -> int:
        """How many are remembered."""
        return len(self._times)

    def add(self, place: str, shown: str) -> None:
        """Count a place; `shown` is how it is written now."""
        before = self._times.get(place)
        if before is None and len(self._times) >= PLACES:
            least = min(self._times, key=self._times.__getitem__)
            before = self._times.pop(least)
            del self._shown[least]
        self._times[place] = (before or 0) + 1
        self._shown[place] = shown

    def first(self) -> str:
        """Return the busiest, as it was written last."""
        return self._shown[max(self._times, key=self._times.__getitem__)]


def places_of(trace: TracebackType | None) -> tuple[str, ...]:
    """Return where an exception came by, as lines of the code."""
    frames = traceback.extract_tb(trace)
    return tuple(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)


def _site(address: str) -> str:
    """Return what one client has: an address, or a /64 of IPv6."""
    if ":" not in address:
        return address
    return addresses.site(addresses.packed(address.partition("%")[0])).hex()


def _write(key: _Kind, more: Mapping[str, object]) -> None:
    level, event, kind = key
    getattr(log, level)(event, **{**more, **dict(kind)})


def _on_the_loop(seconds: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, callback)
