"""What a process that embeds the service may have in place of what is opened otherwise.

No setting leads here: `greenroom serve` takes all as it is, unless `--demo` stands before it.
"""

from collections.abc import Callable

import msgspec

from greenroom.bus.base import RoomLine
from greenroom.chatlog.destinations import Destinations
from greenroom.clock import Clock
from greenroom.control.asgi import Application
from greenroom.entrance.sockets import Listening
from greenroom.messaging.hub import Hub
from greenroom.messaging.sweeper import Sweeper
from greenroom.review.reviewer import Targets
from greenroom.server.kept import Kept
from greenroom.server.processes.link import Link


def _as_it_is(line: RoomLine) -> RoomLine:
    return line


def _alone(application: Application, _hub: Hub, _sweeper: Sweeper) -> Application:
    return application


def _anywhere(_listening: Listening) -> None:
    pass


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Each is asked for once, when the service starts; None is what the settings say."""

    clock: Clock = Clock()
    signing_clock: Clock = Clock()
    """What the times of signatures are compared with: those who sign have it, too."""
    admits: Callable[[Listening], None] = _anywhere
    """Raises StartRefused where the service must not listen; nothing is opened then."""
    kept: Kept | None = None
    targets: Targets | None = None
    """What runs review handlers."""
    destinations: Destinations | None = None
    """Where chat logs go."""
    line: Callable[[RoomLine], RoomLine] = _as_it_is
    """Returns where rooms publish, given the line that the bus has."""
    application: Callable[[Application, Hub, Sweeper], Application] = _alone
    """Returns what answers HTTP requests, given what does; hub and sweeper are the node's."""
    link: Link | None = None
    """What leads to the supervisor of several processes, of which this is one."""


AS_CONFIGURED = Parts()
"""What `greenroom serve` has."""
