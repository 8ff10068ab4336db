"""What an operation of Greenroom's own API is given."""

from collections.abc import Awaitable, Callable

import msgspec

from greenroom.control.greenroom.answers import (
    AccountAnswer,
    RequestAnswer,
    RevealAnswer,
    SessionsAnswer,
    TokenKeysAnswer,
)
from greenroom.control.parameters import Parameters
from greenroom.identities.accounts import Accounts
from greenroom.model.identity import IdentityKind
from greenroom.model.principal import Principal
from greenroom.policies.request_context import RequestFacts
from greenroom.review.base import ReviewLog, ReviewsPage
from greenroom.storage.identities import IdentityStore
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


class GreenroomCall(Parameters, frozen=True, kw_only=True):
    """One authenticated request with checked parameters."""

    services: GreenroomServices
    principal: Principal
    facts: RequestFacts

    @property
    def account(self) -> str:
        """Return the caller's account: no other one is served."""
        return self.principal.account


Answer = (
    TokenKeysAnswer | AccountAnswer | SessionsAnswer | RequestAnswer | RevealAnswer | ReviewsPage
)

GreenroomHandler = Callable[[GreenroomCall], Awaitable[Answer]]
