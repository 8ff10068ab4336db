"""Match text against the patterns of policies: `*` is any text, `?` any one character.

A pattern is a list of tokens, so that text from a policy variable stays literal whatever it holds.
Pieces between stars are searched for from the left, and the leftmost place is always as good as a
later one. Where that could take too many steps, which no pattern of an honest policy does,
the text is walked once, with the places of the pattern that it may be at as bits of a number.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import assert_never

import msgspec


class Wildcard(Enum):
    """A token that stands for other text."""

    ANY = "*"
    ONE = "?"


Token = str | Wildcard
Matcher = Callable[[str], bool]

_ARN_PARTS = 6

STEPS = 4_096
"""Steps that matching segments may take; beyond, walking is quicker whatever the pattern."""

SEARCH_STEPS = 65_536
"""Texts that searching may compare, which is not done in Python: some 0.2 ms; likewise."""


def tokens(text: str) -> list[Token]:
    """Return the tokens of a pattern."""
    found: list[Token] = []
    for place, character in enumerate(text):
        if character in "*?":
            found.append(Wildcard(character))
        elif place and isinstance(found[-1], str):
            found[-1] += character
        else:
            found.append(character)
    return found


def glob(pattern: Iterable[Token]) -> Matcher:
    """Return a matcher in which `*` goes over every character."""
    pattern = _merged(pattern)
    simple = _simple(pattern)
    return simple or _Glob(pattern).matches


def resource(pattern: Iterable[Token]) -> Matcher:
    """Return a matcher for the Resource element.

    "If the * wildcard is the last character of a resource ARN segment, it can expand to match
    beyond the colon boundaries"; elsewhere it stays in its segment (IAM User Guide, "Resource").
    """
    pattern = _merged(pattern)
    simple = _simple(pattern)
    if simple is not None:
        return simple
    can_match = landmarks(pattern)
    parts = [
        _Part(glob(part), bool(part) and part[-1] is Wildcard.ANY)
        for part in _split_at_colons(pattern)
    ]

    def matches(text: str) -> bool:
        if not can_match(text):
            return False
        values = text.split(":")
        if len(parts) * len(values) > STEPS:
            return _walk(pattern, text, segments=True)
        return _match_parts(parts, values)

    return matches


def arn(pattern: Iterable[Token]) -> Matcher:
    """Return a matcher for the Arn operators.

    "Each of the six colon-delimited components of the ARN is checked separately" (IAM User Guide,
    "Condition operators"). The pattern `*` alone is every ARN; others with fewer components, none.
    """
    pattern = _merged(pattern)
    if pattern == [Wildcard.ANY]:
        return _everything
    parts = [glob(part) for part in _split_at_colons(pattern, _ARN_PARTS)]

    def matches(text: str) -> bool:
        values = text.split(":", _ARN_PARTS - 1)
        return len(values) == len(parts) == _ARN_PARTS and all(
            part(value) for part, value in zip(parts, values, strict=True)
        )

    return matches


def landmarks(pattern: Sequence[object]) -> Matcher:
    """Return a quick test that every text which matches passes, and most others do not.

    It looks for the text at the pattern's start and for the longest text after that.
    """
    head = pattern[0] if pattern and isinstance(pattern[0], str) else ""
    longest = max((each for each in pattern[1:] if isinstance(each, str)), key=len, default="")
    return lambda text: text.startswith(head) and longest in text


def _everything(_: str) -> bool:
    return True


def _simple(pattern: list[Token]) -> Matcher | None:
    """Return a matcher for the forms that need no search: text, `*` and `text*`."""
    match pattern:
        case []:
            return "".__eq__
        case [str() as text]:
            return text.__eq__
        case [Wildcard.ANY]:
            return _everything
        case [str() as head, Wildcard.ANY]:
            return lambda text: text.startswith(head)
        case _:
            return None


def _merged(pattern: Iterable[Token]) -> list[Token]:
    """Return the pattern with neighbouring texts as one, and neighbouring stars as one."""
    merged: list[Token] = []
    for token in pattern:
        last = merged[-1] if merged else None
        if isinstance(token, str) and isinstance(last, str):
            merged[-1] = last + token
        elif token and not (token is last is Wildcard.ANY):
            merged.append(token)
    return merged


def _split_at_colons(pattern: list[Token], most: int = sys.maxsize) -> list[list[Token]]:
    """Return the parts between colons; of so many at most the last one may hold some."""
    parts: list[list[Token]] = [[]]
    for token in pattern:
        if isinstance(token, Wildcard):
            parts[-1].append(token)
            continue
        first, *others = token.split(":", most - len(parts))
        parts[-1].append(first)
        parts += [[other] for other in others]
    return [_merged(part) for part in parts]


class _Part(msgspec.Struct, frozen=True):
    """One segment of a resource pattern; `spans` when it ends with a star."""

    matches: Matcher
    spans: bool


def _match_parts(parts: Sequence[_Part], values: Sequence[str]) -> bool:
    """Match segment by segment; a part that spans may take the values after its own, too."""
    part = value = taken = 0
    spanning: int | None = None
    while value < len(values):
        if part < len(parts) and parts[part].matches(values[value]):
            if parts[part].spans:
                spanning, taken = part, value
            part += 1
            value += 1
        elif spanning is not None:
            taken += 1
            part, value = spanning + 1, taken + 1
        else:
            return False
    return part == len(parts)


class _Run:
    """A piece between stars: texts at fixed distances, with `?` between them."""

    def __init__(self, pieces: Iterable[Token]) -> None:
        self.texts: list[tuple[int, str]] = []
        self.length = 0
        for piece in pieces:
            match piece:
                case str():
                    self.texts.append((self.length, piece))
                    self.length += len(piece)
                case Wildcard.ONE:
                    self.length += 1
                case Wildcard.ANY:
                    raise AssertionError("a star within a run")
                case _:
                    assert_never(piece)

    def at(self, text: str, place: int) -> bool:
        """Return whether the piece stands at this place of a text that is long enough."""
        return all(text.startswith(each, place + offset) for offset, each in self.texts)

    def find(self, text: str, start: int, end: int) -> int:
        """Return the leftmost place of the piece between start and end, or -1."""
        if not self.texts:
            return start if start + self.length <= end else -1
        if len(self.texts) > 1:
            found = self._search(text, start, end)
            return -1 if found is None else found.start()
        offset, only = self.texts[0]
        place = text.find(only, start + offset, end) - offset
        return place if place >= start and place + self.length <= end else -1

    @cached_property
    def _search(self) -> Callable[[str, int, int], "re.Match[str] | None"]:
        """Return a search that tries each place once, and not in Python.

        The expression has one length and no repetition: it never goes back within a place.
        """
        pieces, place = list[str](), 0
        for offset, text in self.texts:
            pieces += "." * (offset - place), re.escape(text)
            place = offset + len(text)
        pieces.append("." * (self.length - place))
        return re.compile("".join(pieces), re.DOTALL).search


class _Glob:
    """A pattern with a `?`, or with a star before its end."""

    def __init__(self, pattern: list[Token]) -> None:
        self._pattern = pattern
        stars = [i for i, token in enumerate(pattern) if token is Wildcard.ANY]
        runs = [_Run(pattern[a + 1 : b]) for a, b in pairwise([-1, *stars, len(pattern)])]
        self._first, self._last = runs[0], runs[-1]
        self._middle = runs[1:-1]
        self._exact = not stars
        self._least = sum(run.length for run in runs)
        # A piece with `?` may begin at every place, and fail late.
        self._texts = max((len(run.texts) for run in self._middle), default=0)

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches."""
        if self._exact:
            return len(text) == self._least and self._first.at(text, 0)
        place, end = self._first.length, len(text) - self._last.length
        if len(text) < self._least or not self._first.at(text, 0) or not self._last.at(text, end):
            return False
        if self._texts > 1 and self._texts * len(text) > SEARCH_STEPS:
            return _walk(self._pattern, text, segments=False)
        for run in self._middle:
            place = run.find(text, place, end)
            if place < 0:
                return False
            place += run.length
        return True


def _walk(pattern: Sequence[Token], text: str, *, segments: bool) -> bool:
    """Match by one walk over the text. With `segments`, wildcards stay between colons.

    Only the star at the end of a segment does not then. Bit i of `places` says that the text so far
    may be what the first i characters of the pattern stand for; stars keep a place, and are none.
    """
    characters: dict[str, int] = {}
    ones = everywhere = within = 0
    bit = 1
    for index, token in enumerate(pattern):
        if token is Wildcard.ONE:
            ones |= bit
            bit <<= 1
        elif token is Wildcard.ANY:
            following = pattern[index + 1] if index + 1 < len(pattern) else ":"
            if not segments or (isinstance(following, str) and following.startswith(":")):
                everywhere |= bit
            else:
                within |= bit
        else:
            for character in token:
                characters[character] = characters.get(character, 0) | bit
                bit <<= 1
    places = 1
    for character in text:
        colon = segments and character == ":"
        steps = characters.get(character, 0) | (0 if colon else ones)
        stays = everywhere | (0 if colon else within)
        places = ((places & steps) << 1) | (places & stays)
        if not places:
            return False
    return bool(places & bit)
