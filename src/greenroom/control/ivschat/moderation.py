"""SendEvent, DeleteMessage and DisconnectUser: the messaging operations of the HTTP API."""

from greenroom.control.ivschat.context import Call
from greenroom.control.pipeline import Result


async def send_event(call: Call) -> Result:
    """SendEvent: an application's event to everybody in the room."""
    arn = call.resource("roomIdentifier")
    attributes = call.strings("attributes") if "attributes" in call.parameters else None
    return {"id": await call.services.chat.send_event(str(arn), call.text("eventName"), attributes)}


async def delete_message(call: Call) -> Result:
    """DeleteMessage: the `id` returned is the operation's, not the message's."""
    arn = call.resource("roomIdentifier")
    event_id = await call.services.chat.delete_message(
        str(arn), call.text("id"), call.optional_text("reason")
    )
    return {"id": event_id}


async def disconnect_user(call: Call) -> Result:
    """DisconnectUser: succeeds also when the user has no connection."""
    arn = call.resource("roomIdentifier")
    await call.services.chat.disconnect_user(
        str(arn), call.text("userId"), call.optional_text("reason")
    )
    return {}
