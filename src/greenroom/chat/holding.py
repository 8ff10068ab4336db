"""Which messages viewers see later than moderators and who wrote them: those of two modes.

- `delaySeconds` holds for everybody's messages alike: so their order stays.
- `paused` holds for those whom modes hold for: who may moderate goes on, in front of what waits.
- What comes behind messages that wait does, too.
"""

from collections.abc import Callable, Mapping

from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.modes import is_exempt
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ConflictException
from greenroom.model.room_settings import DEFAULTS, RoomSettings, Value

NOT_YET = (
    "Not all nodes are of a version that has messages wait: set {} when all of them are replaced"
)


class Holding:
    """Decides it; `is_possible` returns whether all nodes know of messages that wait."""

    def __init__(
        self,
        queues: HeldQueues,
        is_possible: Callable[[], bool] = lambda: True,
    ) -> None:
        self.queues = queues
        self._is_possible = is_possible

    def holds(self, settings: RoomSettings, sender: ChatTokenClaims) -> bool:
        """Return whether a message to a room with such settings is to wait."""
        if settings is DEFAULTS or not (settings.delay_seconds or settings.paused):
            if sender.room_arn not in self.queues:
                return False
            is_held = not is_exempt(sender)
        else:
            # In a pause who may moderate is heard at once, in a room that delays as well: delayed,
            # he would wait behind it.
            is_held = not (settings.paused and is_exempt(sender))
        return is_held and self._is_possible()

    def check_possible(self, values: Mapping[str, Value], room: Arn) -> None:
        """See that what is set can hold.

        Raises:
            ConflictException: a node is of a version that shows everything at once.
        """
        asked = [name for name in ("delaySeconds", "paused") if values.get(name)]
        if asked and not self._is_possible():
            raise ConflictException(
                NOT_YET.format(asked[0]),
                resource_id=room.id,
                resource_type=room.type.wire_name,
            )
