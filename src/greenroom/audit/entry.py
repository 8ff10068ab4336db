"""One line of the audit log, and its bound: whoever is refused must not fill the disk.

A text that is too long is cut, and says how long it was and its SHA-256; so is a list or a map. A
line about something that was refused holds a few words, one about something that was done all that
an auditor needs: a policy of the largest size, whole.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

SUCCESS = "Success"
"""The outcome of what was done; else the outcome is the error's code."""

GAP = "AuditGap"
"""The event of a line that only says how many others are missing."""

DONE_CHARACTERS = 16_384
"""Characters of all details of what was done. The largest policy has 10,240."""

REFUSED_CHARACTERS = 512
"""Characters of all details of what was refused."""

SHORT_BYTES = 1_024
"""A line of this size about what was refused needs no cut."""

KEPT_CHARACTERS = 64
"""What is kept of a text that is cut."""

ITEMS = 100
"""Of a list or a map; there are at most 50 tags."""

NAMED_CHARACTERS = 1_024
"""Characters of an ARN, and of each other text beside the details."""

RESOURCES = 10
"""ARNs of one line."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One line. What is empty is left out."""

    time: datetime
    event: str = ""
    """Name of the operation; empty when the request named none."""
    outcome: str = ""
    request_id: str = ""
    arn: str = ""
    """Of the principal; empty when it was not proved."""
    principal_id: str = ""
    """The principal's unique id, which nobody else ever has: of a session `ROLE_ID:SESSION`."""
    access_key_id: str = ""
    """As the request named it."""
    source_ip: str = ""
    region: str = ""
    resources: tuple[str, ...] = ()
    """ARNs."""
    details: dict[str, object] = {}
    """What else is worth knowing, by the operation's parameters."""
    suppressed: int = 0
    """Lines about refused requests of this principal, or of nobody proved, that were left out
    before this one."""
    lost: int = 0
    """Lines before this one that the disk did not take."""


def encoded(entry: AuditEntry) -> bytes:
    """Return the entry's line, within its bound; almost all are, as they are."""
    line = msgspec.json.encode(entry) + b"\n"
    done = entry.outcome in (SUCCESS, "")
    most = DONE_CHARACTERS if done else REFUSED_CHARACTERS
    if len(line) <= (most if done else SHORT_BYTES):
        return _shown(line)
    bounded = msgspec.structs.replace(
        entry,
        request_id=_cut(entry.request_id, NAMED_CHARACTERS),
        arn=_cut(entry.arn, NAMED_CHARACTERS),
        access_key_id=_cut(entry.access_key_id, NAMED_CHARACTERS),
        resources=tuple(_cut(each, NAMED_CHARACTERS) for each in entry.resources[:RESOURCES]),
        details=_Cutter(most).map(entry.details),
    )
    return _shown(msgspec.json.encode(bounded) + b"\n")


def _shown(line: bytes) -> bytes:
    """Return a line of JSON without control characters: a terminal that shows it obeys them."""
    # Those below the space are escaped by JSON. What is not ASCII is within a string.
    if line.isascii() and b"\x7f" not in line:
        return line
    return _CONTROLS.sub(lambda found: b"\\u00%02x" % found[0][-1], line)


_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
"""DEL and C1, in UTF-8."""


class _Cutter:
    """Cuts values so that they have at most so many characters together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def map(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return a map with what fits."""
        found: dict[str, object] = {}
        for number, (name, value) in enumerate(values.items()):
            if self._is_over(number):
                found["…"] = f"{len(values) - number} more"
                break
            shown = self._text(name)  # first: of a cut value the name is to be known
            found[shown] = self._value(value)
        return found

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return self.map(value)
        if isinstance(value, list | tuple):
            return self._list(value)
        return value

    def _list(self, values: Iterable[object]) -> list[object]:
        items, found = list(values), list[object]()
        for number, each in enumerate(items):
            if self._is_over(number):
                found.append(f"… {len(items) - number} more")
                break
            found.append(self._value(each))
        return found

    def _text(self, text: str) -> str:
        text = _cut(text, self._left)
        self._left -= min(len(text), self._left)
        return text

    def _is_over(self, number: int) -> bool:
        return not self._left or number >= ITEMS


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    kept = text[: min(most, KEPT_CHARACTERS)]
    return f"{kept}… ({len(text)} characters, SHA-256 {digest})"
