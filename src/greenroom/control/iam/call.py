"""What an operation of IAM or STS is given, and how its lists are cut into pages."""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from greenroom.clock import Clock
from greenroom.control.long_work import LongWork
from greenroom.control.parameters import Parameters
from greenroom.control.pipeline import Result
from greenroom.identities.callers import Caller
from greenroom.model.errors import FieldError
from greenroom.model.iam_errors import ValidationError
from greenroom.model.identity import (
    ID_ENTROPY_BYTES,
    IdentityKind,
    IdPrefix,
    SessionClaims,
    is_path,
    unique_id,
)
from greenroom.model.identity_errors import InvalidInput
from greenroom.model.letter_case import without_case
from greenroom.model.principal import Principal
from greenroom.policies.request_context import RequestFacts
from greenroom.storage.identities import IdentityStore
from greenroom.storage.identity_values import Page
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.sealing import Sealer

T = TypeVar("T")

DEFAULT_PAGE = 100
"""Items on a page when the request does not say (IAM API reference, `MaxItems`)."""


class IamServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations of IAM and STS work on."""

    identities: IdentityStore
    clock: Clock
    entropy: Callable[[int], bytes]
    sealer: Sealer
    """Seals the secrets of access keys."""
    ring: KeyRing
    """Seals temporary credentials."""
    simulations: LongWork = msgspec.field(default_factory=LongWork)


class IamCall(Parameters, frozen=True, kw_only=True):
    """One authenticated request with checked parameters."""

    services: IamServices
    caller: Caller
    facts: RequestFacts
    """What policies may ask about the request."""

    @property
    def principal(self) -> Principal:
        """Return who calls."""
        return self.caller.principal

    @property
    def session(self) -> SessionClaims | None:
        """Return what the caller's session token says: None for long-term credentials."""
        return self.caller.session

    @property
    def access_key_id(self) -> str:
        """Return the key that signed the request."""
        return self.caller.access_key_id

    @property
    def account(self) -> str:
        """Return the caller's account: no other one is served."""
        return self.principal.account

    @property
    def identities(self) -> IdentityStore:
        """Return the kept identities."""
        return self.services.identities

    def now_ms(self) -> int:
        """Return the time."""
        return self.services.clock.now_ms()

    def new_id(self, prefix: IdPrefix) -> str:
        """Return an id that was never given before."""
        return unique_id(prefix, self.services.entropy(ID_ENTROPY_BYTES))

    def flag(self, name: str) -> bool:
        """Return a boolean, false when the request has none."""
        return bool(self.parameters.get(name))

    def structures(self, name: str) -> list[dict[str, object]]:
        """Return a list of structures, empty when the request has none."""
        return self.optional(name, list[dict[str, object]]) or []

    def tags(self) -> dict[str, str]:
        """Return the tags of the request.

        Raises:
            InvalidInput: a key is given twice, whatever its case.
            ValidationError: a key begins with `aws:`.
        """
        given = self.optional("Tags", list[dict[str, str]]) or []
        tags = {tag["Key"]: tag["Value"] for tag in given}
        if len({without_case(key) for key in tags}) < len(given):
            raise InvalidInput(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        if any(key.lower().startswith("aws:") for key in tags):
            rule = "Member must not begin with aws:"
            raise ValidationError.of_fields(FieldError("tags", rule))
        return tags

    def path(self, name: str = "Path") -> str:
        """Return the path of what is created: `/` unless the request says another.

        Raises:
            ValidationError: it is not one.
        """
        path = self.optional_text(name) or "/"
        if not is_path(path):
            rule = "Member must begin and end with /"
            raise ValidationError.of_fields(FieldError(name[:1].lower() + name[1:], rule))
        return path

    def refuse_boundary(self) -> None:
        """Raise InvalidInput for a permissions boundary: ignoring it would grant too much."""
        if self.optional_text("PermissionsBoundary") is not None:
            raise InvalidInput("Permissions boundaries are not supported.")

    def user_name(self) -> str:
        """Return the user that the request is about: the caller where it names none.

        Raises:
            ValidationError: it names none, and the caller is not a user.
        """
        name = self.optional_text("UserName") or self.principal.user_name
        if name is None:
            raise ValidationError("Must specify userName when calling with non-User credentials")
        return name

    def identity(self) -> tuple[IdentityKind, str]:
        """Return the user or role that the request is about."""
        if "RoleName" in self.parameters:
            return IdentityKind.ROLE, self.text("RoleName")
        return IdentityKind.USER, self.text("UserName")

    # ------------------------------------------------------------------------------- pages

    def limit(self) -> int:
        """Return how many items a page has at most."""
        return self.number("MaxItems", DEFAULT_PAGE)

    def after(self) -> str:
        """Return what the page begins after; empty for a first page.

        Raises:
            ValidationError: the marker is not one that a list gave.
        """
        marker = self.optional_text("Marker")
        if not marker:
            return ""
        try:
            return base64.b64decode(marker.encode(), b"-_", validate=True).decode()
        except ValueError:
            raise ValidationError("Invalid Marker.") from None

    def number_after(self) -> int:
        """Return how many items stand before the page, of a list that is counted."""
        text = self.after() or "0"
        if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
            raise ValidationError("Invalid Marker.")
        return int(text)

    def answer(self, member: str, items: Sequence[object], following: str | None) -> Result:
        """Return a page as the answer; `following` is what the next one begins after."""
        result: Result = {member: list(items), "IsTruncated": following is not None}
        if following is not None:
            result["Marker"] = base64.urlsafe_b64encode(following.encode()).decode()
        return result

    def page(self, member: str, page: Page[T], described: Callable[[T], object]) -> Result:
        """Return a page of the store as the answer."""
        return self.answer(member, [described(value) for value in page.values], page.next)

    def cut(self, member: str, items: Mapping[str, object]) -> Result:
        """Return a page of few items as the answer, in the order of their keys."""
        after, limit = self.after(), self.limit()
        rest = sorted(key for key in items if key > after)
        following = rest[limit - 1] if len(rest) > limit else None
        return self.answer(member, [items[key] for key in rest[:limit]], following)


IamHandler = Callable[[IamCall], Awaitable[Result]]


def tags_shown(tags: Mapping[str, str]) -> list[Result]:
    """Return tags as the APIs list them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


_DIGITS = 9
