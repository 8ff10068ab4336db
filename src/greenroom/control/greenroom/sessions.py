"""Sessions: the temporary credentials of a user, of a role, or of the root, ended."""

from typing import Literal

import msgspec

from greenroom.control.greenroom.answers import SessionsAnswer
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.model.errors import ValidationException
from greenroom.model.identity import IdentityKind


class _EndSessions(msgspec.Struct):
    kind: Literal["user", "role", "root"]
    name: str = ""


def parse_end(body: bytes) -> dict[str, object]:
    """Return the parameters of EndSessions, a user or role by IAM's names, too: audited as there.

    Raises:
        ValidationException: the body does not say whose.
    """
    try:
        asked = msgspec.json.decode(body, type=_EndSessions)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValidationException(
            "The body must be JSON with a kind, which is user, role or root, and a name."
        ) from None
    whose: dict[str, object] = {"kind": asked.kind, "name": asked.name}
    return whose if asked.kind == "root" else {**whose, f"{asked.kind.title()}Name": asked.name}


def kind_of(call: GreenroomCall) -> IdentityKind | None:
    """Return whose sessions a call is about: a user's, a role's, or (None) the root's."""
    kind = call.text("kind")
    return None if kind == "root" else IdentityKind(kind)


async def end_sessions(call: GreenroomCall) -> SessionsAnswer:
    """EndSessions: refuse the credentials issued until now with their next request."""
    kind, name = call.text("kind"), call.text("name")
    await call.services.end_sessions(kind_of(call), name)
    return SessionsAnswer(kind, name)
