"""What Greenroom has beside Amazon IVS Chat, for asyncio: the operations of its own service.

    async with Greenroom(endpoint="http://127.0.0.1:8470", region="us-east-1") as greenroom:
        await greenroom.mute_user(room_identifier=room.arn, user_id="bob", duration_seconds=600)

- Options, retries and errors are those of `Ivschat`; the endpoint is given, or is in
  `AWS_ENDPOINT_URL_GREENROOM` or `AWS_ENDPOINT_URL`.
- Each operation is a method; lists have one that gives what is on all pages.
"""

from typing import ClassVar

from greenroom.client.own_service.messages import MessageOperations
from greenroom.client.own_service.operating import OperatorOperations
from greenroom.client.own_service.rooms import RoomOperations
from greenroom.client.own_service.users import UserOperations


class Greenroom(RoomOperations, UserOperations, MessageOperations, OperatorOperations):
    """A client; its methods are operations, and return their results."""

    SERVICE: ClassVar[str] = "greenroom"
