"""The operations on scheduled announcements: what a room is told again and again."""

from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError, ValidationException
from greenroom.model.message import STYLES
from greenroom.model.schedule import Schedule


async def put_announcement_schedule(call: GreenroomCall) -> Result:
    """PutAnnouncementSchedule: makes it, or changes the one of that name."""
    content, room = call.text("content"), await call.services.rooms.get(call.room)
    if not 1 <= len(content) <= room.maximum_message_length:
        rule = f"must have 1 to {room.maximum_message_length} characters, as the room allows"
        raise ValidationException.of_fields(FieldError("content", rule))
    schedule = await call.services.schedules.put(
        call.room,
        call.text("name"),
        content,
        call.optional_text("style") or STYLES[0],
        call.number("everySeconds", 0),
        call.principal.arn,
    )
    return {"schedule": _described(schedule)}


async def list_announcement_schedules(call: GreenroomCall) -> Result:
    """ListAnnouncementSchedules: all of a room, from the store."""
    return {"schedules": [_described(each) for each in await call.services.schedules.of(call.room)]}


async def delete_announcement_schedule(call: GreenroomCall) -> Result:
    """DeleteAnnouncementSchedule: it need not be there."""
    await call.services.schedules.remove(call.room, call.text("name"))
    return {}


def _described(schedule: Schedule) -> dict[str, object]:
    return {
        "name": schedule.name,
        "content": schedule.content,
        "style": schedule.style,
        "everySeconds": schedule.seconds,
        "by": schedule.by,
        "created": schedule.created,
        "due": schedule.due,
        "told": schedule.told or None,
    }
