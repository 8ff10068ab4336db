"""Users, of a room or the whole account: restricted, free again, listed, noted on; their roles."""

from greenroom.chat.moderation import Asked
from greenroom.control.greenroom.call import GreenroomCall, GreenroomHandler
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError, ValidationException
from greenroom.model.restriction import MOST_RESTRICTIONS, RESTRICTIONS, Kind, Restriction

DEFAULT_PAGE = 50
HISTORY = 100
"""Entries of a user's history that his card shows."""


def restricts(kind: Kind) -> GreenroomHandler:
    """Return the operation that restricts users in a way."""

    async def restrict(call: GreenroomCall) -> Result:
        asked, since = _asked(call, kind), call.number("deleteMessagesSinceSeconds", 0)
        if since and asked.room is None:
            rule = "must not be given without a room"
            raise ValidationException.of_fields(FieldError("deleteMessagesSinceSeconds", rule))
        entry = await call.services.moderation.restrict(asked)
        if since:
            await call.services.deletions.with_restriction(
                entry.scope, entry.user_id, since, entry.reason
            )
        return {"restriction": _described(entry, entry.at)}

    return restrict


async def lift_restriction(call: GreenroomCall) -> Result:
    """LiftRestriction: no error if nothing of the kind holds."""
    entry = await call.services.moderation.lift(_asked(call, Kind(call.text("kind"))))
    return {"restriction": _described(entry, entry.at)}


async def delete_user_messages(call: GreenroomCall) -> Result:
    """DeleteUserMessages: what the room has in its history, and everybody has seen."""
    deleted = await call.services.deletions.of_user(
        str(call.room),
        call.text("userId"),
        call.number("sinceSeconds", 0),
        call.optional_text("reason") or "",
    )
    return {"messageIds": list(deleted)}


async def add_user_note(call: GreenroomCall) -> Result:
    """AddUserNote: kept with the user's history; nobody in the room is told."""
    asked = _asked(call, Kind.NOTE)
    entry = Restriction(
        account=call.account,
        scope=_scope(call),
        user_id=asked.user_id,
        kind=Kind.NOTE,
        by=asked.by,
        at=call.services.clock.now_ms(),
        reason=call.text("note"),
    )
    await call.services.kept_restrictions.add(entry, MOST_RESTRICTIONS)
    return {}


async def update_user(call: GreenroomCall) -> Result:
    """UpdateUser: the roles that a user has from now on, on the connections that he has, too."""
    by = call.principal.arn
    entry = await call.services.role_changes.change(
        call.room, call.text("userId"), call.texts("roles"), by
    )
    return {"userId": entry.user_id, "roles": list(entry.roles or ())}


async def list_restrictions(call: GreenroomCall) -> Result:
    """ListRestrictions: those that hold now, the newest first."""
    now, limit = call.services.clock.now_ms(), call.number("maxResults", DEFAULT_PAGE)
    found: list[Restriction] = []
    before = _before(call)
    while len(found) <= limit:
        page = await call.services.kept_restrictions.page(
            call.account, _scope(call), "", before, limit + 1
        )
        found += [each for each in page if each.holds(now)]
        if len(page) <= limit:
            break
        before = page[-1].version
    result: Result = {"restrictions": [_described(each, now) for each in found[:limit]]}
    if len(found) > limit:
        result["nextToken"] = str(found[limit - 1].version)
    return result


async def get_user(call: GreenroomCall) -> Result:
    """GetUser: what holds of a user in a room, and what was done and noted before."""
    room, user_id, now = call.room, call.text("userId"), call.services.clock.now_ms()
    await call.services.rooms.get(room)
    entries = [
        each
        for scope in (str(room), call.account)
        for each in await call.services.kept_restrictions.page(
            call.account, scope, user_id, 0, HISTORY
        )
    ]
    entries.sort(key=lambda each: -each.version)
    held = call.services.restrictions.held(str(room), call.account, user_id)
    return {
        "userId": user_id,
        "connections": call.services.connections(str(room), user_id),
        "roles": _listed(call.services.restrictions.roles.of(str(room), user_id, now)),
        "restrictions": [_described(held[kind], now) for kind in RESTRICTIONS if kind in held],
        "history": [
            {
                **_described(each, now),
                "roles": _listed(each.roles),
                "ended": each.lifted,
                "holds": each.holds(now),
            }
            for each in entries[:HISTORY]
        ],
    }


def _asked(call: GreenroomCall, kind: Kind) -> Asked:
    given = "roomIdentifier" in call.parameters
    if given == (call.optional_text("scope") == "ACCOUNT"):
        rule = "must be given, or scope be ACCOUNT, and not both"
        raise ValidationException.of_fields(FieldError("roomIdentifier", rule))
    return Asked(
        account=call.account,
        room=call.room if given else None,
        user_id=call.text("userId"),
        kind=kind,
        by=call.principal.arn,
        seconds=call.number("durationSeconds", 0),
        reason=call.optional_text("reason") or "",
        also_addresses=bool(call.optional("alsoAddresses", bool)),
    )


def _listed(roles: tuple[str, ...] | None) -> list[str] | None:
    return None if roles is None else list(roles)


def _scope(call: GreenroomCall) -> str:
    return str(call.room) if "roomIdentifier" in call.parameters else call.account


def _before(call: GreenroomCall) -> int:
    token = call.optional_text("nextToken") or "0"
    if not (token.isascii() and token.isdigit() and len(token) <= _DIGITS):
        rule = "must be one that was answered"
        raise ValidationException.of_fields(FieldError("nextToken", rule))
    return int(token)


_DIGITS = 18


def _described(entry: Restriction, now: int) -> Result:
    addresses = [{"hash": each, "expires": ends} for each, ends in entry.addresses_at(now).items()]
    return {
        "userId": entry.user_id,
        "kind": entry.listed_kind,
        "scope": "ACCOUNT" if entry.is_of_account else "ROOM",
        "roomIdentifier": None if entry.is_of_account else entry.scope,
        "by": entry.by,
        "reason": entry.reason or None,
        "created": entry.at,
        "expires": entry.expires or None,
        "addresses": addresses or None,
    }
