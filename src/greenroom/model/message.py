"""Rules for what a room carries: attribute sizes, identifiers, times."""

from collections.abc import Callable, Mapping

ATTRIBUTES_BYTES = 1024
"""Attributes hold 1 KB at most: the UTF-8 bytes of all keys and values (API reference)."""

ID_LENGTH = 12
"""Identifiers of rooms, configurations, messages and events: 12 of [a-zA-Z0-9]."""

ANNOUNCEMENT = "greenroom:announcement"
"""The attribute of an announcement: its style. No client sets it."""

REPLY_ROOT = "greenroom:reply-root"
"""The attribute of a reply that names the message which begins the thread. No client sets it."""

STYLES = ("INFO", "SUCCESS", "WARNING")
"""The styles of announcements."""

IdSource = Callable[[], str]
"""Something that returns a new identifier each time."""


def attributes_size(attributes: Mapping[str, str]) -> int:
    """Return the size of the attributes in bytes: their keys and values as UTF-8."""
    size = 0
    for key, value in attributes.items():
        size += len(key.encode()) + len(value.encode())
    return size


def attributes_problem(attributes: Mapping[str, str]) -> str | None:
    """Return what is wrong with the attributes, or None."""
    size = attributes_size(attributes)
    if size > ATTRIBUTES_BYTES:
        return f"at most {ATTRIBUTES_BYTES} bytes of keys and values, not {size}"
    return None
