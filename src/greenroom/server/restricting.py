"""Builds what restricts users: what holds of them and of their addresses, and who changes it."""

import asyncio
import secrets

from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.moderation import Moderation
from greenroom.chat.presence import Presence
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.user_addresses import AddressesHere, AddressesOfNodes, UserAddresses
from greenroom.control.ivschat.context import Services
from greenroom.messaging.by_address import ByAddress
from greenroom.messaging.changed_roles import ChangedRoles
from greenroom.messaging.hub import Hub
from greenroom.server.adapters import Adapters

_KEY_BYTES = 32


async def restrictions(
    opened: Adapters, hub: Hub, tasks: asyncio.TaskGroup, backstop_seconds: float
) -> Restrictions:
    """Return what users may not do, and have it meet the connections of this node."""
    key = await opened.identity.vault.secret("address-key", secrets.token_bytes(_KEY_BYTES))
    made = Restrictions(
        opened.store.restrictions,
        opened.bus,
        opened.clock,
        tasks,
        backstop_seconds,
        AddressHashes(key),
    )
    made.when_met(hub.enforce)
    made.when_met(ByAddress(hub, made.addressed).enforce)
    made.when_met(ChangedRoles(hub, made.roles).enforce)
    await made.start()
    return made


def moderation(
    opened: Adapters,
    services: Services,
    hub: Hub,
    presence: Presence | None,
    tasks: asyncio.TaskGroup,
) -> Moderation:
    """Return who restricts users, by the addresses that they have on all nodes."""
    here = ByAddress(hub, services.restrictions.addressed).of_user
    addresses: UserAddresses = AddressesHere(here)
    if presence is not None:
        addresses = AddressesOfNodes(here, presence, opened.bus, tasks)
    return Moderation(
        services.chat, services.restrictions, opened.clock, hub.is_moderator, addresses
    )
