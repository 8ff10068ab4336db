"""Write the tables of the reference pages from the tables in the code.

A page holds `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is made here.
`python docs/tables.py` rewrites the pages; a test fails while they differ from the code.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from greenroom.aws.authorization_table import ACCESS, PREFIX
from greenroom.aws.request_context import GLOBAL_KEYS
from greenroom.aws.service import OPERATIONS
from greenroom.cli.exit_codes import ExitCode
from greenroom.cloudwatch import PUBLISHED
from greenroom.metrics import Metrics
from greenroom.model import errors
from greenroom.model.quotas import QUOTAS, RateProfile
from greenroom.protocol.errors import CLOSE_REASONS, DESCRIPTIONS
from greenroom.protocol.handshake import Refusal
from greenroom.review.target import Failure
from greenroom.settings import SETTINGS

REFERENCE = Path(__file__).resolve().parent / "reference"
_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """Return a page's text with every table made anew."""
    return _PLACE.sub(lambda place: place[1] + TABLES[place["name"]]() + place[3], page)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _settings() -> str:
    return _table(
        ("setting", "variable", "default", "meaning"),
        (
            (f"`{each.name}`", f"`{each.variable}`", _default(each.default), each.meaning)
            for each in SETTINGS
        ),
    )


def _default(value: object) -> str:
    return "none" if value in (None, {}, ()) else f"`{value}`"


def _quotas() -> str:
    return _table(
        ("quota", "default", "AWS", "limits"),
        (
            (f"`{each.name}`", each.value(RateProfile.RELAXED), each.aws, each.meaning)
            for each in QUOTAS
        ),
    )


def _exit_codes() -> str:
    return _table(("code", "meaning"), ((int(code), code.meaning) for code in ExitCode))


def _operations() -> str:
    return _table(
        ("operation", "request", "status", "errors"),
        (
            (each.name, f"`{each.method} {each.path}`", each.status, ", ".join(sorted(each.errors)))
            for each in OPERATIONS.values()
        ),
    )


def _api_errors() -> str:
    kinds = [
        kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, errors.ServiceError)
        and not name.startswith("_")
        and kind not in (errors.ServiceError, errors.AuthenticationError)
    ]
    return _table(
        ("error", "status", "meaning"),
        ((f"`{kind.__name__}`", kind.status, _first_line(kind)) for kind in kinds),
    )


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _messaging_errors() -> str:
    return _table(
        ("ErrorCode", "meaning"), ((int(code), text) for code, text in DESCRIPTIONS.items())
    )


def _close_reasons() -> str:
    return _table(
        ("name in logs", "close code", "when"),
        (
            (f"`{name}`", "none: dropped" if each.code is None else int(each.code), each.meaning)
            for name, each in CLOSE_REASONS.items()
        ),
    )


def _refusals() -> str:
    refusals = sorted((each.error() for each in Refusal), key=lambda refused: refused.status)
    return _table(
        ("status", "`x-amzn-ErrorType`", "`ErrorMessage`"),
        ((each.status, f"`{each.name}`", each.message) for each in refusals),
    )


def _cloudwatch() -> str:
    families = {family.name: family for family in Metrics().registry.collect()}
    return _table(
        ("metric", "dimension", "in `/metrics`", "meaning"),
        (
            (f"`{each.name}`", each.dimension or "none", f"`{name}`", families[name].documentation)
            for name, each in PUBLISHED.items()
        ),
    )


def _metrics() -> str:
    return _table(
        ("metric", "kind", "labels", "meaning"),
        (
            (
                f"`{each.name}`",
                each.kind,
                ", ".join(f"`{label}`" for label in each.labels),
                each.meaning,
            )
            for each in Metrics().table
        ),
    )


def _review_failures() -> str:
    return _table(
        ("name in logs", "meaning"), ((f"`{each.value}`", each.meaning) for each in Failure)
    )


def _access() -> str:
    return _table(
        ("action", "resource", "tags that conditions can look at"),
        (
            (
                f"`{PREFIX}:{name}`",
                " or ".join(f"`{type_}/{'ID' if each.parameter else '*'}`" for type_ in each.types),
                ", ".join(
                    kind
                    for kind, present in (
                        ("of the resource", each.parameter is not None),
                        ("in the request", each.tags == "tags"),
                        ("keys in the request", each.tags is not None),
                    )
                    if present
                ),
            )
            for name, each in ACCESS.items()
        ),
    )


def _condition_keys() -> str:
    return _table(
        ("key", "value"), ((f"`{name}`", meaning) for name, meaning in GLOBAL_KEYS.items())
    )


TABLES: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "quotas": _quotas,
    "exit-codes": _exit_codes,
    "operations": _operations,
    "api-errors": _api_errors,
    "messaging-errors": _messaging_errors,
    "close-reasons": _close_reasons,
    "refusals": _refusals,
    "cloudwatch": _cloudwatch,
    "metrics": _metrics,
    "review-failures": _review_failures,
    "access": _access,
    "condition-keys": _condition_keys,
}

if __name__ == "__main__":
    for path in sorted(REFERENCE.glob("*.md")):
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
