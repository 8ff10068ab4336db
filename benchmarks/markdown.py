"""Tables in Markdown, and their places on pages."""

import re
from collections.abc import Iterable, Sequence


def row(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)]) + "\n"


def placed(page: str, place: str, shown: str) -> str:
    """Return the page with what is shown between `<!-- PLACE -->` and `<!-- end -->`."""
    between = re.compile(rf"(?<=<!-- {re.escape(place)} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    return between.sub(lambda _: shown, page, count=1)
