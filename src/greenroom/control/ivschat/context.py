"""What an operation is given: who calls, from where, with which parameters, and the services."""

from collections.abc import Awaitable, Callable

import msgspec

from greenroom.aws.shapes import Operation
from greenroom.bus.base import Control
from greenroom.chat.chat import Chat
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings
from greenroom.chatlog.base import ChatLog
from greenroom.clock import Clock
from greenroom.control.parameters import Parameters
from greenroom.control.pipeline import Result
from greenroom.control.resources import resource_of
from greenroom.model.arn import Arn, ResourceType
from greenroom.model.message import IdSource
from greenroom.model.principal import Principal
from greenroom.model.quotas import Quotas
from greenroom.review.base import Reviewer
from greenroom.storage.base import Store
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyRing

_STRINGS = dict[str, str]
"""Made once, as `parameters._TEXTS`."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Everything below the control plane, as built by the composition root."""

    store: Store
    control: Control
    chat: Chat
    settings: Settings
    restrictions: Restrictions
    chat_log: ChatLog
    rooms: RoomsCache
    reviewer: Reviewer
    ring: KeyRing
    read_keys: Callable[[], Awaitable[None]]
    """Has in the ring what other nodes made."""
    quotas: Quotas
    clock: Clock
    ids: IdSource
    nonces: Callable[[int], bytes]
    metrics: Metrics


class Call(Parameters, frozen=True, kw_only=True):
    """One authenticated request with checked parameters.

    The region is the credential scope's, the account the principal's.
    """

    operation: Operation
    services: Services
    principal: Principal
    account: str
    region: str

    def strings(self, name: str) -> dict[str, str]:
        """Return a map of strings, empty when the request has none."""
        return self.optional(name, _STRINGS) or {}

    def resource(self, name: str) -> Arn:
        """Return the ARN in a parameter.

        Raises:
            ValidationException: it names no kind of resource that the service has.
            ResourceNotFoundException: it names another account or region, whose resources are
                never served, nor their existence told.
        """
        return resource_of(name, self.text(name), self.account, self.region)

    def new_arn(self, kind: ResourceType) -> Arn:
        """Return the ARN of a resource about to be created."""
        return Arn(self.region, self.account, kind, self.services.ids())


Handler = Callable[[Call], Awaitable[Result]]
