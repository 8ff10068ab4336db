"""ARNs by which a trust policy names somebody: a user, a role, or a session of a role.

A name can be given to another one later, an id cannot. So the store keeps the unique ids of those
who are named when a trust policy is saved, and whoever comes later under the name is not trusted
("AWS JSON policy elements: Principal": IAM User Guide).
"""

import re

import msgspec

from greenroom.model.identity import IdentityKind, Role, User

_IDENTITY = re.compile(
    r"arn:aws:iam::(?P<account>[0-9]{12}):(?P<kind>user|role)/(?:[^/]+/)*(?P<name>[^/]+)"
)
_SESSION = re.compile(
    r"arn:aws:sts::(?P<account>[0-9]{12}):assumed-role/(?P<name>[^/]+)/(?P<session>[^/]+)"
)


class PrincipalArn(msgspec.Struct, frozen=True):
    """What an ARN of a user, role or session of a role says."""

    account: str
    kind: IdentityKind
    name: str
    session: str = ""

    @classmethod
    def parse(cls, text: str) -> "PrincipalArn | None":
        """Return what the ARN says; None for every other text."""
        if match := _IDENTITY.fullmatch(text):
            return cls(match["account"], IdentityKind(match["kind"]), match["name"])
        if match := _SESSION.fullmatch(text):
            return cls(match["account"], IdentityKind.ROLE, match["name"], match["session"])
        return None

    def id_in(self, found: User | Role) -> str:
        """Return what stands for the named one: the unique id, of a session `ROLE_ID:SESSION`."""
        return f"{found.id}:{self.session}" if self.session else found.id

    def arn_in(self, found: User | Role) -> str:
        """Return the ARN that the named one has now."""
        if self.session and isinstance(found, Role):
            return found.session_arn(self.session)
        return found.arn
