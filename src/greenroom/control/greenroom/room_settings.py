"""GetRoomSettings and UpdateRoomSettings: what holds in a room beside what IVS Chat knows."""

import msgspec

from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError, ValidationException
from greenroom.model.room import Room
from greenroom.model.room_settings import (
    BY_NAME,
    SettingsWrong,
    Value,
    checked,
    of_tags,
    settings_of,
    time_errors,
)


async def get_room_settings(call: GreenroomCall) -> Result:
    """GetRoomSettings: from the store, so that what was answered last is in it."""
    room = await call.services.rooms.get(call.room)
    return _described(call, room)


async def update_room_settings(call: GreenroomCall) -> Result:
    """UpdateRoomSettings: the later one wins for each setting, whoever else changes others."""
    room, values, reset = call.room, _values(call), call.texts("reset")
    errors = [
        FieldError(f"reset[{index}]", "must not be set by the same request")
        for index, name in enumerate(reset)
        if name in values
    ]
    if not values and not reset:
        errors = [FieldError("settings", "must hold a setting, or reset name one")]
    seconds = call.number("expiresInSeconds", 0)
    errors += time_errors(values, seconds, "expiresInSeconds")
    if errors:
        raise ValidationException.of_fields(*errors)
    if call.optional("discardWaiting", bool):
        await call.services.deletions.of_waiting(str(room))
    changed = await call.services.settings.change(
        str(room), values, reset, seconds, call.principal.arn
    )
    return _described(call, changed)


def _values(call: GreenroomCall) -> dict[str, Value]:
    try:
        return checked(call.optional("settings", dict[str, object]) or {})
    except SettingsWrong as wrong:  # what the service model cannot say of a value
        raise ValidationException.of_fields(*wrong.errors) from None


def _described(call: GreenroomCall, room: Room) -> Result:
    overrides = room.overrides.at(call.services.clock.now_ms())
    return {
        "effective": msgspec.to_builtins(call.services.settings.in_force(room)),
        "defaults": msgspec.to_builtins(settings_of(of_tags(room.tags))),
        "overrides": [
            {
                "name": name,
                "value": BY_NAME[name].text(each.value),
                "by": each.by,
                "expires": each.expires or None,
            }
            for name, each in sorted(overrides.items())
            if name in BY_NAME
        ],
        "version": room.overrides.version,
    }
