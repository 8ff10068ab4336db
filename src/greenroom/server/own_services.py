"""Builds what Greenroom's own actions and operations work on: who is in rooms, what is posted."""

import asyncio

from greenroom.chat.deletions import Deletions
from greenroom.chat.history import History
from greenroom.chat.kept_messages import KeptMessages
from greenroom.chat.listings import Listings
from greenroom.chat.moderation import Moderation
from greenroom.chat.originals import Originals
from greenroom.chat.pins import Pins
from greenroom.chat.posting import Posting
from greenroom.chat.presence import Presence
from greenroom.chat.recent_names import RecentNames
from greenroom.chat.replies import Replies
from greenroom.chat.schedules import ScheduledAnnouncements
from greenroom.chat.user_lists import UserLists, UsersHere, UsersOfNodes
from greenroom.chat.user_names import NamesHere, NamesOfNodes, UserNames
from greenroom.control.ivschat.context import Services
from greenroom.messaging.hub import Hub
from greenroom.messaging.own_actions import OwnServices
from greenroom.messaging.present_users import NamedUsers, PresentUsers
from greenroom.messaging.room_messages import RoomMessages
from greenroom.messaging.users_teller import UsersTeller
from greenroom.server.adapters import Adapters


def users_teller(
    opened: Adapters,
    services: Services,
    hub: Hub,
    presence: Presence | None,
    tasks: asyncio.TaskGroup,
) -> UsersTeller:
    """Return what tells who comes and goes, by the lists of all nodes."""
    here = PresentUsers(hub)
    users: UserLists = UsersHere(here)
    if presence is not None:
        users = UsersOfNodes(here, presence, opened.bus, tasks)
    return UsersTeller(
        hub, services.settings, services.rooms, users, services.clock, services.ids, tasks
    )


def user_names(
    opened: Adapters, hub: Hub, presence: Presence | None, tasks: asyncio.TaskGroup
) -> UserNames:
    """Return what knows whom commands name, on all nodes."""
    here = NamedUsers(hub)
    return NamesHere(here) if presence is None else NamesOfNodes(here, presence, opened.bus, tasks)


def build(
    opened: Adapters,
    services: Services,
    moderation: Moderation,
    users: UsersTeller,
    hub: Hub,
    kept_messages: KeptMessages,
    named: UserNames,
    tasks: asyncio.TaskGroup,
) -> OwnServices:
    """Return what the actions and the operations of Greenroom's own work on."""
    chat, ids = services.chat, services.ids
    originals = Originals(opened.bus)
    replies = Replies(chat, originals, ids)
    pins = Pins(chat, services.rooms, opened.store.rooms, opened.bus, originals, services.clock)
    sent = opened.store.sent_messages
    return OwnServices(
        settings=services.settings,
        moderation=moderation,
        presence=hub.elsewhere,
        users=users.users,
        may_list=users.is_open,
        messages=RoomMessages(
            chat,
            History(opened.bus, services.clock),
            Listings(opened.bus, services.clock),
            services.settings,
        ),
        names=RecentNames(users.users, services.clock, tasks),
        named=named,
        posting=Posting(chat, replies, sent, services.clock, ids, services.metrics),
        replies=replies,
        pins=pins,
        deletions=Deletions(
            chat, opened.bus, kept_messages, services.clock, opened.store.held_messages
        ),
    )


def schedules(
    opened: Adapters, services: Services, own: OwnServices, tasks: asyncio.TaskGroup
) -> ScheduledAnnouncements:
    """Return what tells scheduled announcements."""
    return ScheduledAnnouncements(
        services.chat,
        own.posting,
        opened.store.rooms,
        opened.bus,
        services.clock,
        services.ids,
        services.metrics,
        tasks,
    )
