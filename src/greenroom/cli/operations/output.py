"""An operation's result as JSON, text or a table, in the forms of the AWS CLI."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from greenroom.cli.escaping import printable, printable_json

Result = object


def as_json(result: Result) -> str:
    """Return JSON; an operation without a result gives nothing."""
    if result == {}:
        return ""
    return printable_json(json.dumps(result, indent=4, ensure_ascii=False))


def as_text(result: Result) -> str:
    """Return lines of fields with tabs between them, for `cut` and `awk`.

    What is inside of something else stands on lines of its own, which begin with its name.
    """
    return "\n".join(_lines(result, None))


def as_table(result: Result) -> str:
    """Return a table for people: one for each structure or list, with its name above it."""
    return "\n\n".join(_tables(result, ""))


FORMS: Mapping[str, Callable[[Result], str]] = {
    "json": as_json,
    "text": as_text,
    "table": as_table,
}


def _lines(item: Result, name: str | None) -> Iterator[str]:
    if isinstance(item, dict):
        yield from _row(item, name, sorted(k for k, v in item.items() if _is_plain(v)))
    elif isinstance(item, list) and any(isinstance(each, dict) for each in item):
        keys = _columns(item)
        for each in item:
            yield from _row(each, name, keys) if isinstance(each, dict) else _lines(each, name)
    elif isinstance(item, list):
        plain = [_shown(each) for each in item if _is_plain(each)]
        if plain:
            yield from ["\t".join(plain)] if name is None else [f"{name}\t{each}" for each in plain]
        for each in item:
            if not _is_plain(each):
                yield from _lines(each, name)
    else:
        yield _shown(item)


def _row(item: Mapping[str, Result], name: str | None, keys: Sequence[str]) -> Iterator[str]:
    if keys:
        yield "\t".join([*([name] if name else []), *(_shown(item.get(key, "")) for key in keys)])
    for key in sorted(item.keys() - set(keys)):
        yield from _lines(item[key], _shown(key.upper()))


def _tables(item: Result, name: str) -> Iterator[str]:
    if isinstance(item, dict):
        rows = [
            [_shown(key), _shown(each)] for key, each in sorted(item.items()) if _is_plain(each)
        ]
        if rows:
            yield _boxed(name, rows)
        for key, each in sorted(item.items()):
            if not _is_plain(each):
                yield from _tables(each, f"{name}.{key}" if name else key)
    elif isinstance(item, list) and any(isinstance(each, dict) for each in item):
        keys = _columns(item)
        found = [each for each in item if isinstance(each, dict)]
        rows = [[_shown(each.get(key, "")) for key in keys] for each in found]
        yield _boxed(name, [list(map(_shown, keys)), *rows], head=True)
        for number, each in enumerate(found, 1):
            inner = {key: value for key, value in each.items() if not _is_plain(value)}
            yield from _tables(inner, f"{name} {number}" if name else str(number))
    elif isinstance(item, list):
        yield (
            _boxed(name, [_cells(each) for each in item])
            if item
            else f"no {_shown(name) or 'result'}"
        )
    else:
        yield _shown(item)


def _boxed(name: str, rows: Sequence[Sequence[str]], *, head: bool = False) -> str:
    name = _shown(name)
    columns = max(map(len, rows))
    rows = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(columns)]
    line = "+".join(["", *("-" * (width + 2) for width in widths), ""])
    body = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    body[1:1] = [line] if head else []
    return "\n".join([*([name] if name else []), line, *body, line])


def _cells(item: Result) -> list[str]:
    return [_shown(each) for each in item] if isinstance(item, list) else [_shown(item)]


def _columns(items: Sequence[Result]) -> list[str]:
    found = {
        key
        for each in items
        if isinstance(each, dict)
        for key, value in each.items()
        if _is_plain(value)
    }
    return sorted(found)


def _is_plain(item: Result) -> bool:
    return not isinstance(item, dict | list)


def _shown(item: Result) -> str:
    """Return a value for a line: what strangers wrote has its control characters escaped."""
    return printable(str(item))
