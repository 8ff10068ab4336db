"""What becomes of what was accepted: whoever waits for it, and for how much of it."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

import msgspec

from greenroom.model.room_settings import DEFAULTS, RoomSettings

_NO_ATTRIBUTES: Mapping[str, str] = {}


class Post(msgspec.Struct, gc=False):
    """A message on its way: the id that it gets, and its SendTime once it has its place.

    `own` are attributes of the service's own, which no client and no review sets; `finds` returns
    more of them, which have to be looked for: it is asked when nothing cheaper refuses the message.

    The rest is found out once, for all that decide about the message: `settings` are those that
    hold in its room, `now` is the time on the monotonic clock; `user` and `text` are by which
    numbers it is remembered, for slow mode and repetitions, 0: it is not, and `passed` how many had
    been noted when it was let pass.
    """

    message_id: str
    own: Mapping[str, str] = _NO_ATTRIBUTES
    time_ns: int = 0
    finds: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    settings: RoomSettings = DEFAULTS
    now: float = 0.0
    user: int = 0
    text: int = 0
    passed: int = -1


class Placed:
    """Waits for the outcome of what stands in a room's queue already.

    Who sent it need not wait: what he sends next comes behind it, and has its own time.
    """

    __slots__ = ("_outcome",)

    def __init__(self, outcome: Coroutine[None, None, None]) -> None:
        self._outcome = outcome

    def __await__(self) -> Generator[None, None, None]:
        return self._outcome.__await__()


async def placed(waiting: Awaitable[object] | None) -> object:
    """Wait until it stands in the room's queue; return what else to wait for, if anything."""
    return waiting if waiting is None or isinstance(waiting, Placed) else await waiting


async def done(waiting: Awaitable[object] | None) -> None:
    """Wait until it has its place, or raise what refused it."""
    behind = await placed(waiting)
    if isinstance(behind, Placed):
        await behind
