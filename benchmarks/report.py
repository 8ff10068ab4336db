"""What a table leaves behind: Markdown on standard output and in a file, JSON, and a plot."""

import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import greenroom
from benchmarks.plot import Bar, plot
from benchmarks.processes import LOAD_CORE, ROOT, SERVER_CORE
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
        lines += [row(self.columns), row(["---"] * len(self.columns))]
        lines += [row(cells) for cells in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def write(table: Table, plan: Plan, raw: object) -> None:
    """Print the table; write `NAME.md`, `NAME.json` and `NAME.svg` among the results.

    The README shows a table that was measured as published: at full size, and all of it; and the
    page about capacity reckons with it.
    """
    plan.results.mkdir(parents=True, exist_ok=True)
    markdown = table.markdown(plan)
    sys.stdout.write(markdown)
    (plan.results / f"{table.name}.md").write_text(markdown)
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
        publish(README, table.name, markdown)
        # It reads what was just written, and is written with what is here.
        from benchmarks import capacity

        capacity.write(capacity.PAGE)


def publish(readme: Path, name: str, markdown: str) -> None:
    """Put a table into its place in the README, with its plot."""
    place = re.compile(rf"(?<=<!-- table: {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    shown = f"\n{markdown}\n![{name}](results/{name}.svg)\n\n"
    readme.write_text(place.sub(lambda _: shown, readme.read_text(), count=1))


def circumstances(plan: Plan) -> str:
    """Return when, where and how often, in one line."""
    here = machine()
    system = f"{here['processor']} ({here['cores']} cores), Linux {here['linux']}"
    versions = f"Python {here['python']}, Greenroom {here['greenroom']}"
    return f"{here['date']}, {system}, {versions}; medians of {plan.rounds} runs (least-most)"


def machine() -> dict[str, str]:
    """Return what a reader needs to know of the machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "linux": platform.release(),
        "python": platform.python_version(),
        "greenroom": greenroom.__version__,
        "server_core": str(SERVER_CORE),
        "load_core": str(LOAD_CORE),
        "commit": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return what is checked out, without asking git: it may not be installed."""
    try:
        head = (ROOT / ".git" / "HEAD").read_text().strip()
        path = head.removeprefix("ref: ")
        return head if path == head else (ROOT / ".git" / path).read_text().strip()
    except OSError:
        return "unknown"


def row(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
