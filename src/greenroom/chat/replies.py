"""Replies: a message with the attribute `greenroom:reply-to`, the Id of another one.

Where a room keeps its history the other one must be there, and everybody may see it, or it is the
sender's own, who is shadowed and must not notice. Then the service says in which thread the reply
is, and to whom: there is one level of threads. Where a room keeps nothing the attribute is passed
on as it is.
"""

from collections.abc import Callable
from functools import partial

from greenroom.bus.base import History
from greenroom.chat.chat import Chat
from greenroom.chat.originals import Originals, said
from greenroom.chat.outcome import Post, placed
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.message import REPLY_ROOT, IdSource
from greenroom.model.token_attributes import PREFIX
from greenroom.protocol.actions import REPLY_TO, SendMessage
from greenroom.protocol.errors import ActionError, ErrorCode

ROOT, USER = REPLY_ROOT, f"{PREFIX}reply-user"
"""Attributes of a reply that the service sets: the first message, and who is replied to."""

GONE = "The message that this replies to cannot be found"


def is_reply(message: SendMessage) -> bool:
    """Return whether a message says that it is one."""
    return message.attributes is not None and REPLY_TO in message.attributes


class Replies:
    """Sends replies."""

    def __init__(self, chat: Chat, originals: Originals, ids: IdSource) -> None:
        self._chat = chat
        self._originals = originals
        self._ids = ids

    async def send(
        self,
        sender: ChatTokenClaims,
        action: SendMessage,
        address: Callable[[], str],
        post: Post | None = None,
    ) -> object:
        """Send a reply, as `Chat.send_message`; return what else to wait for, if anything.

        Raises:
            ActionError: 404 what it replies to is not there; and what `Chat.send_message` raises.
        """
        post = post or Post(self._ids())
        post.finds = partial(self._thread, sender, action)
        return await placed(self._chat.send_message(sender, action, address, post))

    async def _thread(self, sender: ChatTokenClaims, action: SendMessage) -> dict[str, str]:
        room = await self._chat.room(Arn.parse(sender.room_arn))
        if self._chat.settings.history(room) is History.NONE:
            return {}
        message_id = (action.attributes or {})[REPLY_TO]
        found = await self._originals.find(sender.room_arn, message_id, sender.user_id)
        if found is None:
            raise ActionError(ErrorCode.NOT_FOUND, GONE, action.request_id)
        original = said(found.payload)
        root = (original.attributes or {}).get(ROOT, original.id)
        return {ROOT: root, USER: original.sender.user_id}
