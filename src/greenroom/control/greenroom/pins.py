"""PinMessage and UnpinMessage: both are answered with all pins of the room as they are then."""

from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model.room import Room


async def pin_message(call: GreenroomCall) -> Result:
    """PinMessage: a copy of a message that the room has in its history."""
    pins = call.services.pins
    seconds, by = call.number("durationSeconds", 0), call.principal.arn
    return _described(call, await pins.pin(str(call.room), call.text("messageId"), seconds, by))


async def unpin_message(call: GreenroomCall) -> Result:
    """UnpinMessage: it need not be there."""
    return _described(call, await call.services.pins.unpin(str(call.room), call.text("messageId")))


def _described(call: GreenroomCall, room: Room) -> Result:
    return {
        "pins": [
            {
                "messageId": each.message_id,
                "frame": each.frame,
                "by": each.by,
                "created": each.at,
                "expires": each.expires or None,
            }
            for each in call.services.pins.of(room)
        ]
    }
