"""Actions in policies that nothing is ever asked for: typing errors, and other services'.

IAM keeps such a policy, and so does Greenroom. An Allow of a misspelt action allows nothing, and a
Deny of one denies nothing, which nobody sees.
"""

import difflib
from collections.abc import Iterator

import msgspec

from greenroom.policies import greenroom_access, wildcards
from greenroom.policies.greenroom_access import GREENROOM_ACCESS
from greenroom.policies.iam_access import IDENTITY_ACCESS
from greenroom.policies.ivschat_access import ACCESS, PREFIX
from greenroom.policies.statement import PolicyDocument

_UNASKED = ("sts:GetCallerIdentity", "sts:GetSessionToken")
"""Operations that need no permission; a policy may name them."""

ACTIONS = frozenset(
    {
        *(f"{PREFIX}:{name}" for name in ACCESS),
        *(f"{greenroom_access.PREFIX}:{name}" for name in GREENROOM_ACCESS),
        *IDENTITY_ACCESS,
        *(access.tags for access in IDENTITY_ACCESS.values() if access.tags is not None),
        *_UNASKED,
    }
)
"""All that policies are asked for."""

_LOWER = {action.lower(): action for action in ACTIONS}
_SERVICES = frozenset(action.partition(":")[0] for action in ACTIONS)
_WHOLE = (f"{PREFIX}:", f"{greenroom_access.PREFIX}:")
"""Services of which all actions are here."""

_ALIKE = 0.85


class UnknownAction(msgspec.Struct, frozen=True):
    """An action of a policy that matches none of ours."""

    action: str
    alike: tuple[str, ...]
    """What it may have been meant for."""

    @property
    def is_mistake(self) -> bool:
        """Return whether it can be nothing else; AWS has more actions of IAM and STS."""
        return bool(self.alike) or self.action.lower().startswith(_WHOLE)

    @property
    def is_of_another_service(self) -> bool:
        """Return whether it is of a service that Greenroom does not have."""
        return self.action.partition(":")[0].lower() not in _SERVICES

    def __str__(self) -> str:
        if self.alike:
            return f"{self.action} is no action: did you mean {' or '.join(self.alike)}?"
        return f"{self.action} is no action that Greenroom asks for"


def unknown_actions(document: PolicyDocument) -> Iterator[UnknownAction]:
    """Give the actions of a policy that match nothing, in its order; case does not count."""
    for statement in document.statements:
        for action in statement.actions.values:
            found = unknown(action)
            if found is not None:
                yield found


def unknown(action: str) -> UnknownAction | None:
    """Return what there is to say of an action, perhaps with wildcards; None: it is known."""
    matches = wildcards.glob(wildcards.tokens(action.lower()))
    if any(map(matches, _LOWER)):
        return None
    alike = difflib.get_close_matches(action.lower(), _LOWER, n=2, cutoff=_ALIKE)
    return UnknownAction(action, tuple(_LOWER[each] for each in alike))
