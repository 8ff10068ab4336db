"""What an operation of Greenroom's own API is given."""

from collections.abc import Awaitable, Callable

import msgspec

from greenroom.chat.deletions import Deletions
from greenroom.chat.kept_messages import KeptMessages
from greenroom.chat.moderation import Moderation
from greenroom.chat.pins import Pins
from greenroom.chat.posting import Posting
from greenroom.chat.presence import Elsewhere
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.role_changes import RoleChanges
from greenroom.chat.schedules import ScheduledAnnouncements
from greenroom.chat.settings import Settings
from greenroom.chat.user_lists import UserLists
from greenroom.clock import Clock
from greenroom.control.greenroom.answers import (
    AccountAnswer,
    RequestAnswer,
    RevealAnswer,
    SessionsAnswer,
    TokenKeysAnswer,
)
from greenroom.control.parameters import Parameters
from greenroom.control.pipeline import Result
from greenroom.control.resources import resource_of
from greenroom.identities.accounts import Accounts
from greenroom.model.arn import Arn
from greenroom.model.identity import IdentityKind
from greenroom.model.principal import Principal
from greenroom.policies.request_context import RequestFacts
from greenroom.review.base import ReviewLog, ReviewsPage
from greenroom.storage.identities import IdentityStore
from greenroom.storage.restrictions import Restrictions as KeptRestrictions
from greenroom.storage.rooms import Rooms
from greenroom.storage.tags import Tags
from greenroom.vault.token_keys import TokenKeys

EndSessions = Callable[[IdentityKind | None, str], Awaitable[None]]
"""Ends the sessions of the user, the role or (None) the root of the name, on every node."""


class GreenroomServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations work on."""

    keys: TokenKeys
    accounts: Accounts
    identities: IdentityStore
    end_sessions: EndSessions
    reviews: ReviewLog
    rooms: Rooms
    tags: Tags
    settings: Settings
    moderation: Moderation
    role_changes: RoleChanges
    kept_messages: KeptMessages
    posting: Posting
    deletions: Deletions
    pins: Pins
    schedules: ScheduledAnnouncements
    restrictions: Restrictions
    kept_restrictions: KeptRestrictions
    connections: Callable[[str, str], int]
    """How many a user has in a room, on all nodes."""
    presence: Elsewhere
    users: UserLists
    clock: Clock


class GreenroomCall(Parameters, frozen=True, kw_only=True):
    """One authenticated request with checked parameters."""

    services: GreenroomServices
    principal: Principal
    facts: RequestFacts

    @property
    def room(self) -> Arn:
        """Return the room that the request names.

        Raises:
            ResourceNotFoundException: it is of another account or region.
        """
        name = "roomIdentifier"
        return resource_of(name, self.text(name), self.account, self.facts.region)

    @property
    def account(self) -> str:
        """Return the caller's account: no other one is served."""
        return self.principal.account


Answer = (
    TokenKeysAnswer
    | AccountAnswer
    | SessionsAnswer
    | RequestAnswer
    | RevealAnswer
    | ReviewsPage
    | Result
)

GreenroomHandler = Callable[[GreenroomCall], Awaitable[Answer]]
