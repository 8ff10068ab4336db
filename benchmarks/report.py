"""What a table leaves behind: Markdown on standard output and in a file, JSON, and a plot."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import capacity, markdown
from benchmarks.machine import machine
from benchmarks.plot import Bar, plot
from benchmarks.processes import ROOT
from benchmarks.runs import Plan

README = ROOT / "benchmarks" / "README.md"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table as people read it; `command` is what `make bench-COMMAND` measures it with.

    `name` is that of its files, and the command's unless that has several tables.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar]
    axis: str
    notes: Sequence[str] = ()
    command: str = ""

    def markdown(self, plan: Plan) -> str:
        """Return the table with the circumstances that it was measured in."""
        lines = [
            f"### {self.title}",
            "",
            f"{circumstances(plan)}; `make bench-{self.command or self.name}`.",
            "",
        ]
        lines += [markdown.table(self.columns, self.rows).rstrip()]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def write(table: Table, plan: Plan, raw: object) -> None:
    """Print the table; write `NAME.md`, `NAME.json` and `NAME.svg` among the results.

    The README shows a table that was measured as published: at full size, and all of it; and the
    page about capacity reckons with it.
    """
    plan.results.mkdir(parents=True, exist_ok=True)
    shown = table.markdown(plan)
    sys.stdout.write(shown)
    (plan.results / f"{table.name}.md").write_text(shown)
    values = {
        "table": table.name,
        "machine": machine(),
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds, "scale": plan.scale},
        "raw": raw,
    }
    text = msgspec.json.format(msgspec.json.encode(values), indent=1)
    (plan.results / f"{table.name}.json").write_bytes(text + b"\n")
    (plan.results / f"{table.name}.svg").write_text(plot(table.title, table.axis, table.bars))
    if plan.is_whole:
        publish(README, table.name, shown)
        capacity.write(capacity.PAGE)


def publish(readme: Path, name: str, shown: str) -> None:
    """Put a table into its place in the README, with its plot."""
    with_plot = f"\n{shown}\n![{name}](results/{name}.svg)\n\n"
    readme.write_text(markdown.placed(readme.read_text(), f"table: {name}", with_plot))


def circumstances(plan: Plan) -> str:
    """Return when, where and how often, in one line."""
    here = machine()
    system = f"{here['processor']} ({here['cores']} cores), Linux {here['linux']}"
    versions = f"Python {here['python']}, Greenroom {here['greenroom']}"
    return f"{here['date']}, {system}, {versions}; medians of {plan.rounds} runs (least-most)"
