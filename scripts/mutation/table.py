"""The table beside this file: groups of modules, tests to run, and changes that change nothing."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from scripts.mutation.changes import Change, changes_of

TABLE = Path(__file__).with_name("table.toml")


class Group(NamedTuple):
    """Modules that are judged together, and tests of the real process that run them, too.

    `servers` says that the tests of their parameters that start a server are theirs.
    """

    name: str
    modules: tuple[str, ...]
    also: tuple[str, ...]
    servers: bool


class Table(NamedTuple):
    """What table.toml says."""

    tests: tuple[str, ...]
    left_out_tests: tuple[str, ...]
    left_out: tuple[str, ...]
    groups: tuple[Group, ...]
    equivalents: dict[tuple[str, str, str, str], str]

    def group_of(self, path: str) -> Group | None:
        """Return the first group that has the module, or None when it is left out."""
        if any(fnmatch(path, pattern) for pattern in self.left_out):
            return None
        return next(
            group for group in self.groups if any(fnmatch(path, each) for each in group.modules)
        )

    def changes(self, root: Path) -> dict[str, list[Change]]:
        """Return all changes of the package below `root`, by the names of their groups."""
        package = root / "src" / "greenroom"
        changes: dict[str, list[Change]] = {group.name: [] for group in self.groups}
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if group := self.group_of(name):
                changes[group.name] += changes_of(name, path.read_bytes())
        return changes


def read_table(path: Path = TABLE) -> Table:
    """Return the table."""
    told = tomllib.loads(path.read_text())
    return Table(
        tests=tuple(told["tests"]),
        left_out_tests=tuple(told["left_out_tests"]),
        left_out=tuple(told["left_out"]),
        groups=tuple(
            Group(
                each["name"],
                tuple(each["modules"]),
                tuple(each.get("also", ())),
                each.get("servers", False),
            )
            for each in told["group"]
        ),
        equivalents={
            (each["where"], each["line"], each["old"], each["new"]): each["reason"]
            for each in told.get("equivalent", ())
        },
    )
