"""Policy variables: `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, `${*}`, `${?}`, `${$}`.

What a variable stands for is literal text: a `*` in a user's name is no wildcard. A variable whose
key is not in the request, or holds several values, has no value, and nothing equals or resembles
it (IAM User Guide, "IAM policy elements: Variables and tags").
"""

import re
from collections.abc import Mapping

import msgspec

from greenroom.model.letter_case import without_case
from greenroom.model.principal import ContextValue
from greenroom.policies.wildcards import Token, tokens

Context = Mapping[str, ContextValue]
"""Values by condition key in lower case."""

_VARIABLE = re.compile(
    r"\$\{ *(?:(?P<character>[*?$])"
    r"|(?P<key>[A-Za-z][A-Za-z0-9-]*:[^{}$*?,']*[^{}$*?,' ])(?: *, *'(?P<default>[^']*)')?) *\}"
)


class Variable(msgspec.Struct, frozen=True):
    """The place of a value from the request."""

    key: str
    """In lower case."""
    default: str | None


Template = tuple[Token | Variable, ...]


def template(text: str, *, variables: bool, wildcards: bool = True) -> Template:
    """Parse a string of a policy.

    Without `variables` (policies before 2012-10-17) `${` is text; without `wildcards`, `*` is.

    Raises:
        ValueError: a `${` begins no variable.
    """
    pieces: list[Token | Variable] = []
    place = 0
    while variables and (start := text.find("${", place)) >= 0:
        match = _VARIABLE.match(text, start)
        if match is None:
            raise ValueError("has a ${ that begins no policy variable")
        pieces += _literal(text[place:start], wildcards)
        pieces.append(match["character"] or Variable(without_case(match["key"]), match["default"]))
        place = match.end()
    pieces += _literal(text[place:], wildcards)
    return tuple(pieces)


def fixed(pieces: Template) -> list[Token] | None:
    """Return the tokens of a template without variables, else None."""
    found = [piece for piece in pieces if not isinstance(piece, Variable)]
    return found if len(found) == len(pieces) else None


def resolve(pieces: Template, context: Context) -> list[Token] | None:
    """Return the template's tokens in a request, or None when a variable has no value."""
    resolved: list[Token] = []
    for piece in pieces:
        if isinstance(piece, Variable):
            value = context.get(piece.key)
            if not isinstance(value, str):
                value = piece.default
            if value is None:
                return None
            resolved.append(value)
        else:
            resolved.append(piece)
    return resolved


def keys(pieces: Template) -> set[str]:
    """Return the keys of the template's variables, in lower case."""
    return {piece.key for piece in pieces if isinstance(piece, Variable)}


def _literal(text: str, wildcards: bool) -> list[Token]:
    if wildcards:
        return tokens(text)
    return [text] if text else []
