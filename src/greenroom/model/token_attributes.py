"""Attributes of chat tokens whose names begin with `greenroom:`: what they say, and their rules.

They are for the service alone: no client is ever shown them. Three of them, the wishes, can also be
asked for in the URL of a connection; the token goes before.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from greenroom.model.chat_token import OWN_CAPABILITIES, Capability
from greenroom.model.errors import FieldError

PREFIX = "greenroom:"

SERVICE_USER = "greenroom"
"""The user that the service speaks as; no token names it."""

MOST_HISTORY = 200
"""Messages that a connection may ask for."""

MOST_ROLES = 20

_ID = re.compile(r"[a-zA-Z0-9]{12}")
_ROLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGITS = re.compile(r"[0-9]{1,3}")
_CAPABILITIES = {each.value.removeprefix(PREFIX): each for each in OWN_CAPABILITIES}


def _capabilities_problem(text: str) -> str | None:
    if all(each.removeprefix(PREFIX) in _CAPABILITIES for each in listed(text)):
        return None
    return f"must be some of {', '.join(_CAPABILITIES)}, separated by commas"


def _history_problem(text: str) -> str | None:
    if _DIGITS.fullmatch(text) and int(text) <= MOST_HISTORY:
        return None
    return f"must be a number from 0 to {MOST_HISTORY}"


def _since_problem(text: str) -> str | None:
    return None if _ID.fullmatch(text) else "must be the Id of a message or an event"


def _events_problem(text: str) -> str | None:
    return None if text in ("on", "off") else "must be on or off"


def _roles_problem(text: str) -> str | None:
    return roles_problem(listed(text))


def roles_problem(roles: tuple[str, ...]) -> str | None:
    """Return what is wrong with roles, or None."""
    if len(roles) <= MOST_ROLES and all(map(_ROLE.fullmatch, roles)):
        return None
    return f"must be at most {MOST_ROLES} names of 1 to 64 letters, digits and _ . -"


def _time_problem(text: str) -> str | None:
    try:
        if datetime.fromisoformat(text).tzinfo is not None:
            return None
    except ValueError:
        pass
    return "must be a time with a time zone, such as 2026-01-31T12:00:00Z"


ATTRIBUTES: Mapping[str, tuple[Callable[[str], str | None], str]] = MappingProxyType(
    {
        "capabilities": (
            _capabilities_problem,
            "further capabilities, where the type in an SDK forbids them: `MODERATE,HOST`",
        ),
        "history": (
            _history_problem,
            f"as `history` in the URL: how many messages to begin with, 0 to {MOST_HISTORY}",
        ),
        "since": (_since_problem, "as `since` in the URL: the Id of what was seen last"),
        "events": (_events_problem, "as `events` in the URL: `on` or `off`"),
        "roles": (
            _roles_problem,
            f"the user's roles in the application, at most {MOST_ROLES}: `subscriber,vip`",
        ),
        "following-since": (
            _time_problem,
            "since when the user follows: `2026-01-31T12:00:00Z`; none: not at all",
        ),
        "account-since": (_time_problem, "since when the user has an account, likewise"),
    }
)
"""By name without `greenroom:`: what is wrong with a value, and what the attribute means."""

ABOUT_USERS = ("roles", "following-since", "account-since")
"""What says who a user is, and not what his connection may do, or gets."""

WISHES = ("history", "since", "events")
"""What can be asked for in the URL, too."""


def split(attributes: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the attributes that everybody is shown, and ours by their names without prefix."""
    own = {key.removeprefix(PREFIX): value for key, value in attributes.items() if _is_own(key)}
    if not own:
        return attributes, own
    return {key: value for key, value in attributes.items() if not _is_own(key)}, own


def _is_own(key: str) -> bool:
    return key.startswith(PREFIX)


def problem(name: str, value: str) -> str | None:
    """Return what is wrong with an attribute of ours, or None."""
    known = ATTRIBUTES.get(name)
    if known is None:
        return f"is none of {', '.join(PREFIX + each for each in ATTRIBUTES)}"
    return known[0](value)


def errors(own: Mapping[str, str], path: str = "attributes") -> list[FieldError]:
    """Return what is wrong with the attributes of ours that a token is to have."""
    return [
        FieldError(f"{path}.{PREFIX}{name[:64]}", why)
        for name, value in own.items()
        if (why := problem(name, value)) is not None
    ]


def capabilities(own: Mapping[str, str]) -> tuple[Capability, ...]:
    """Return the capabilities that attributes without errors give."""
    given = listed(own.get("capabilities", ""))
    return tuple(_CAPABILITIES[each.removeprefix(PREFIX)] for each in given)


def listed(text: str) -> tuple[str, ...]:
    """Return the words of a list that commas separate."""
    return tuple(word for each in text.split(",") if (word := each.strip()))
