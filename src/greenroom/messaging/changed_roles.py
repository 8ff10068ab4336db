"""Has connections have the roles that their user has from now on: see `chat.role_changes`."""

from greenroom.chat.roles import Roles
from greenroom.messaging.hub import Hub
from greenroom.model.restriction import Restriction


class ChangedRoles:
    """Changes what the connections of this node are taken for."""

    def __init__(self, hub: Hub, roles: Roles) -> None:
        self._hub = hub
        self._roles = roles

    def enforce(self, entry: Restriction) -> None:
        """Do so for the connections of the user whom an entry is about, if it says roles."""
        if entry.roles is None:
            return
        for each in self._hub.those_in(entry.scope):
            if each.user_id == entry.user_id:
                each.renew(self._roles.current(each.claims))
