"""The parameters of a request, which the codec checked against the operation's shape."""

from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")

_TEXTS = list[str]
"""Made once: each use of the expression makes another type, which msgspec looks at anew."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """Gives each parameter as the type that its operation expects.

    One of another type is a fault of ours, as the codec lets none through: it raises
    `msgspec.ValidationError`, whose text has no content.
    """

    parameters: dict[str, object]

    def required(self, name: str, kind: type[T]) -> T:
        """Return a parameter that the service model requires."""
        return msgspec.convert(self.parameters[name], kind)

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a parameter, or None when the request has none."""
        value = self.parameters.get(name)
        return None if value is None else msgspec.convert(value, kind)

    def given(self, name: str, kind: type[T]) -> T | UnsetType:
        """Return a parameter of an update, or UNSET for what stays as it is."""
        value = self.optional(name, kind)
        return UNSET if value is None else value

    def text(self, name: str) -> str:
        """Return a string that the service model requires."""
        value = self.parameters[name]
        # Most parameters are text, and a request has many.
        return value if isinstance(value, str) else msgspec.convert(value, str)

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None when the request has none."""
        value = self.parameters.get(name)
        return value if value is None or isinstance(value, str) else msgspec.convert(value, str)

    def texts(self, name: str) -> list[str]:
        """Return a list of strings, empty when the request has none."""
        return self.optional(name, _TEXTS) or []

    def number(self, name: str, default: int) -> int:
        """Return an integer."""
        value = self.optional(name, int)
        return default if value is None else value
