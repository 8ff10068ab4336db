"""The table of operations: the name in the service model to the coroutine that performs it.

Importing this module fails when the table and the service model differ.
"""

from greenroom.aws import service
from greenroom.control.ivschat import chat_tokens, logging_configurations, moderation, rooms, tags
from greenroom.control.ivschat.context import Handler

HANDLERS: dict[str, Handler] = {
    "CreateChatToken": chat_tokens.create_chat_token,
    "CreateLoggingConfiguration": logging_configurations.create_logging_configuration,
    "CreateRoom": rooms.create_room,
    "DeleteLoggingConfiguration": logging_configurations.delete_logging_configuration,
    "DeleteMessage": moderation.delete_message,
    "DeleteRoom": rooms.delete_room,
    "DisconnectUser": moderation.disconnect_user,
    "GetLoggingConfiguration": logging_configurations.get_logging_configuration,
    "GetRoom": rooms.get_room,
    "ListLoggingConfigurations": logging_configurations.list_logging_configurations,
    "ListRooms": rooms.list_rooms,
    "ListTagsForResource": tags.list_tags_for_resource,
    "SendEvent": moderation.send_event,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateLoggingConfiguration": logging_configurations.update_logging_configuration,
    "UpdateRoom": rooms.update_room,
}

READING = frozenset(
    {
        "GetLoggingConfiguration",
        "GetRoom",
        "ListLoggingConfigurations",
        "ListRooms",
        "ListTagsForResource",
    }
)
"""Operations that change nothing."""

if HANDLERS.keys() != service.OPERATIONS.keys():
    raise ImportError(
        "the operations differ from the service model: "
        + ", ".join(sorted(HANDLERS.keys() ^ service.OPERATIONS.keys()))
    )
