"""The kinds of settings: each function takes what the file or a variable holds.

It returns the value, or raises ValueError with the rule that is broken.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

from greenroom.model.logging_configuration import DestinationKind
from greenroom.model.quotas import BY_NAME
from greenroom.network.addresses import Networks
from greenroom.policies.wildcards import glob, tokens
from greenroom.settings.alike import alike

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def text(raw: object) -> str:
    """Take printable text."""
    if not isinstance(raw, str) or not raw or not raw.isprintable():
        raise ValueError("must be printable text that is not empty")
    return raw


def path(raw: object) -> Path:
    """Take a path, perhaps in a home directory."""
    try:
        return Path(text(raw)).expanduser()
    except RuntimeError:
        raise ValueError("begins with a home directory that is not known") from None


def integer(minimum: int, maximum: int) -> Callable[[object], object]:
    """Return the parser of a whole number."""

    def parse(raw: object) -> int:
        number = raw
        if isinstance(raw, str):
            number = int(raw) if re.fullmatch("[0-9]{1,16}", raw) else None
        if type(number) is not int or not minimum <= number <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return number

    return parse


def either(word: int, otherwise: Callable[[object], object]) -> Callable[[object], object]:
    """Return the parser of one number with a meaning of its own, or what `otherwise` takes."""

    def parse(raw: object) -> object:
        if type(raw) is not bool and str(raw) == str(word):
            return word
        try:
            return otherwise(raw)
        except ValueError as error:
            raise ValueError(f"{error}, or {word}") from None

    return parse


def matching(pattern: str, rule: str) -> Callable[[object], object]:
    """Return the parser of a text that a pattern matches whole; the rule says so in words."""

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or re.fullmatch(pattern, raw) is None:
            raise ValueError(f"must be {rule}")
        return raw

    return parse


def one_of(*words: str) -> Callable[[object], object]:
    """Return the parser of one of some words."""
    return matching("|".join(words), "one of " + ", ".join(words))


def texts(check: Callable[[str], object]) -> Callable[[object], object]:
    """Return the parser of a list of texts in the file, or of texts between commas elsewhere."""

    def parse(raw: object) -> tuple[str, ...]:
        words = [word.strip() for word in raw.split(",")] if isinstance(raw, str) else raw
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError("must be a list of texts")
        found = tuple(word for word in words if word)
        for word in found:
            try:
                check(word)
            except ValueError as error:
                raise ValueError(f"has {word!r}: {error}") from None
        return found

    return parse


def network(value: str) -> object:
    """Check one network or address."""
    return Networks([value])


def quotas(raw: object) -> dict[str, int]:
    """Parse `[quotas]` of the file, or `name=number,name=number` of the environment."""
    pairs = _pairs(raw) if isinstance(raw, str) else _flat(raw)
    found = {}
    for name, number in pairs.items():
        if name not in BY_NAME:
            meant = alike(name, BY_NAME)
            raise ValueError(
                f"has no quota {name!r}" + (f": did you mean {meant}?" if meant else "")
            )
        try:
            found[name] = cast(int, integer(0, 1_000_000_000)(number))
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return found


def _pairs(text: str) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for pair in filter(None, text.split(",")):
        name, _, number = pair.partition("=")
        pairs[name.strip()] = number.strip()
    return pairs


def _flat(raw: object) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise ValueError("must be a table of quota names and numbers")  # noqa: TRY004 - a parse function has one way to refuse
    flat: dict[str, object] = {}
    for name, value in raw.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": number for inner, number in value.items()}
        else:
            flat[name] = value
    return flat


endpoint = matching(
    r"https?://[A-Za-z0-9.:\[\]-]{1,255}(/[A-Za-z0-9._~/-]{0,255})?",
    "a URL of http or https, without a query",
)


def table(raw: object) -> dict[str, str]:
    """Parse a table of texts of the file, or `key=text,key=text` of the environment."""
    pairs = _pairs(raw) if isinstance(raw, str) else raw
    if not isinstance(pairs, dict):
        raise ValueError("must be a table of patterns and texts")  # noqa: TRY004 - see _flat
    for key, value in pairs.items():
        if not (isinstance(key, str) and key and isinstance(value, str) and value):
            raise ValueError(
                "must have a text for each pattern: PATTERN=TEXT with commas between them, or a"
                " table of the file, where patterns with dots need quotes"
            )
    return cast(dict[str, str], pairs)


def destinations(raw: object) -> dict[str, str]:
    """Parse `[chat_log_destinations]` of the file, or `pattern=word,pattern=word`."""
    pairs = table(raw)
    for pattern, word in pairs.items():
        kind, colon, name = pattern.partition(":")
        known = any(map(glob(tokens(kind)), DestinationKind))
        if not (pattern == "*" or (known and colon and name)):
            kinds = ", ".join(DestinationKind)
            raise ValueError(f"pattern {pattern!r} must be KIND:NAME, of {kinds}, or *")
        if word not in {"files", "aws", "auto"}:
            raise ValueError(f"{pattern} must be one of files, aws, auto")
    return pairs


def networks(raw: object) -> tuple[Network, ...]:
    """Parse an array of networks of the file, or `network,network` of the environment."""
    given = raw.split(",") if isinstance(raw, str) else raw
    rule = "must be a list of networks such as 10.0.0.0/8"
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ValueError(rule)
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in given if each)
    except ValueError as error:
        raise ValueError(f"{rule} ({error})") from None
