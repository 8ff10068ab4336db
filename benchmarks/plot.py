"""A plot of a table's figures: horizontal bars of the medians, with whiskers from least to most.

Written as SVG by hand: the same figures give the same file, whose difference can be read.
"""

from collections.abc import Sequence
from html import escape

import msgspec

from benchmarks.series import Series

WIDTH, NAMES, VALUES = 880, 390, 110
BAR, GAP, TOP, FOOT = 16, 8, 44, 30
COLOURS = {
    "Greenroom": "#2e7d32",
    "Greenroom without io_uring": "#81c784",
    "C reference": "#546e7a",
}
OTHERS = "#b0bec5"


class Bar(msgspec.Struct, frozen=True):
    """One bar: its name, whose figure it is, and the figure."""

    name: str
    server: str
    series: Series
    digits: int = 2


def plot(title: str, axis: str, bars: Sequence[Bar]) -> str:
    """Return the SVG of the bars; `axis` says what their length is, and in which unit."""
    height = TOP + len(bars) * (BAR + GAP) + FOOT
    unit = (WIDTH - NAMES - VALUES) / max(bar.series.most for bar in bars)
    font = 'font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for index, bar in enumerate(bars):
        lines += _bar(bar, TOP + index * (BAR + GAP), unit)
    lines.append(f'<text x="{NAMES}" y="{height - 10}" fill="#555555">{escape(axis)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _bar(bar: Bar, top: int, unit: float) -> list[str]:
    middle, text = top + BAR / 2, top + BAR - 4
    least, median, most = (
        NAMES + value * unit for value in (bar.series.least, bar.series.median, bar.series.most)
    )
    colour = COLOURS.get(bar.server, OTHERS)
    figure = f"{bar.series.median:,.{bar.digits}f}"
    length = f"{median - NAMES:.1f}"
    return [
        f'<text x="{NAMES - 8}" y="{text}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect x="{NAMES}" y="{top}" width="{length}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="#000000"/>',
        f'<text x="{most + 6:.1f}" y="{text}">{figure}</text>',
    ]
