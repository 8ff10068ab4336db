"""Sessions: the temporary credentials of a user, of a role, or of the root, ended."""

from collections.abc import Mapping

from greenroom.control.greenroom.answers import SessionsAnswer
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.model.identity import IdentityKind


def named_as_in_iam(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return a user or role by IAM's names: it is audited as there."""
    kind, name = parameters["kind"], parameters.get("name", "")
    return {} if kind == "root" else {f"{str(kind).title()}Name": name}


def kind_of(call: GreenroomCall) -> IdentityKind | None:
    """Return whose sessions a call is about: a user's, a role's, or (None) the root's."""
    kind = call.text("kind")
    return None if kind == "root" else IdentityKind(kind)


async def end_sessions(call: GreenroomCall) -> SessionsAnswer:
    """EndSessions: refuse the credentials issued until now with their next request."""
    kind, name = call.text("kind"), call.optional_text("name") or ""
    await call.services.end_sessions(kind_of(call), name)
    return SessionsAnswer(kind, name)
