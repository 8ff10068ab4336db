"""What a connection asks for beside its token: in the URL, or in the token, which goes before.

`wss://host/?history=50&events=on`. Other names in the query are not looked at: a URL may have any.
"""

from collections.abc import Mapping
from enum import IntEnum
from urllib.parse import parse_qsl

import msgspec

from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.token_attributes import WISHES, problem
from greenroom.protocol.handshake import Refusal


class View(IntEnum):
    """What a connection is shown; within a room all of one view get the same bytes."""

    PLAIN = 0
    """What IVS Chat has."""
    EVENTS = 1
    """The service's own events as well."""
    MODERATORS = 2
    """What is for moderators only as well."""


class Wishes(msgspec.Struct, frozen=True):
    """What a connection asks for."""

    history: int = 0
    """How many of the room's last messages to begin with."""
    since: str = ""
    """The Id of the message or event that was seen last."""
    events: bool = False
    """Whether to be told the service's own events."""

    def view(self, claims: ChatTokenClaims) -> View:
        """Return what the bearer of a token is shown."""
        if not self.events:
            return View.PLAIN
        return View.MODERATORS if Capability.MODERATE in claims.capabilities else View.EVENTS


_NOTHING: Mapping[str, str] = {}
NO_WISHES = Wishes()


def asked_in(target: bytes) -> Mapping[str, str]:
    """Return what a request's target asks for, by name.

    Raises:
        HandshakeRefused: 400, with the name and the rule.
    """
    _, mark, query = target.partition(b"?")
    if not mark:
        return _NOTHING
    asked: dict[str, str] = {}
    # The bytes of a name or a value that is no UTF-8 become what no rule lets through.
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in WISHES:
            continue
        if name in asked:
            raise Refusal.QUERY.error(f": {name} must be given once")
        why = problem(name, value)
        if why is not None:
            raise Refusal.QUERY.error(f": {name} {why}")
        asked[name] = value
    return asked


def wishes_of(claims: ChatTokenClaims, asked: Mapping[str, str]) -> Wishes:
    """Return what a connection asks for, of which its token says something first."""
    if not asked and not claims.own:
        return NO_WISHES
    said = {**asked, **{name: claims.own[name] for name in WISHES if name in claims.own}}
    return Wishes(int(said.get("history", "0")), said.get("since", ""), said.get("events") == "on")
