"""The command that changes the code at random: what it changes, and how it judges."""

import gc
import importlib
import json
import random
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from scripts.mutation.__main__ import Tried, drawn, verdict
from scripts.mutation.changes import Change, changes_of
from scripts.mutation.fork_server import functions_of, recoded, starts_a_server
from scripts.mutation.selection import Selection, selected, suites_of
from scripts.mutation.table import read_table
from scripts.mutation.trial import Outcome

ROOT = Path(__file__).resolve().parent.parent
ENDS = (Outcome.KILLED, Outcome.TIMED_OUT)


def changed(body: str) -> list[str]:
    """Return all changes of a function's body, as `old -> new`."""
    source = f"async def f(a, b, c):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n".encode()
    found = changes_of("m.py", source)
    for change in found:
        compile(change.made(source), "m", "exec")
    return [f"{change.old} -> {change.new}" for change in found]


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("return a < b", ["a < b -> a <= b", "a < b -> a >= b", "return a < b -> pass"]),
        ("x = a == b", ["a == b -> a != b"]),
        ("x = a is not  b", ["a is not  b -> a is  b"]),
        ("x = a in (b)", ["a in (b) -> a not in (b)"]),
        ("x = a and b and c", ["a and b and c -> a and b or c", "a and b and c -> a or b and c"]),
        ("x = not a", ["not a -> bool(a)"]),
        ("x = b'%b' % a", []),
        ("x = a + 1", ["a + 1 -> a - 1", "1 -> 2"]),
        ("x = True", ["True -> False"]),
        ("x = min(a, b)", ["min -> max"]),
        ("a.b = c", ["a.b = c -> pass"]),
        ("a += b", ["a += b -> pass"]),
        ("await a()", ["await a() -> pass"]),
        ("log.warning('x', count=1)", []),
        ("_log.warning('x', 1)", []),
        ("raise AssertionError('nothing comes here')", []),
        ("x = f'{a + 1}'", []),
        ("x: int | None = a", []),
        ("assert a == b", []),
        ("if a:\n    b()", ["a -> not (a)", "b() -> pass"]),
        ("for x in a:\n    break", ["break -> continue"]),
        ("a()\nreturn", ["a() -> pass"]),
        (
            "if a:\n    return None\nelse:\n    return 1",
            ["a -> not (a)", "1 -> 2", "return 1 -> pass"],
        ),
        (
            "try:\n    return None\nexcept KeyError:\n    return False",
            ["KeyError -> ()", "False -> True"],
        ),
        (
            "match a:\n    case 1:\n        return b\n    case _:\n        return None",
            ["1 -> 2", "return b -> pass"],
        ),
        ("x = zip(a, b, strict=True)", []),
        ("if a: return\nb()", ["a -> not (a)", "return -> pass", "b() -> pass"]),
        (
            "try:\n    a()\nexcept KeyError:\n    raise",
            ["a() -> pass", "KeyError -> ()", "raise -> pass"],
        ),
    ],
)
def test_changes(body: str, changes: list[str]) -> None:
    """Each kind of code has its changes, and what tests need not notice has none."""
    assert sorted(changed(body)) == sorted(changes)


def test_only_functions_are_changed() -> None:
    """Constants of modules and classes stay; methods have the name of their class."""
    source = b"A = 1 + 1\nclass C:\n    b: int = 2\n    def f(self, x=3):\n        return 4 + x\n"
    found = changes_of("m.py", source)
    assert {change.where for change in found} == {"C.f"}
    assert {change.old for change in found} == {"3", "4", "4 + x", "return 4 + x"}


def test_a_change_is_the_same_wherever_it_stands() -> None:
    """What an equivalent is called by survives lines that are added above it, and a move."""
    source = b"def f(a):\n    return a > 1\n"
    before, after = changes_of("m.py", source), changes_of("n/m.py", b"import os\n\n" + source)
    assert [each.key for each in before] == [each.key for each in after]


def test_equal_lines_are_told_apart() -> None:
    """A line that a function has twice is called with the line before it."""
    body = b"    if a:\n        return\n    if b:\n        return\n    a()\n"
    found = changes_of("m.py", b"def f(a, b):\n" + body)
    lines = [change.line for change in found if change.old == "return"]
    assert lines == ["if a: / return", "if b: / return"]


def test_the_table_is_true() -> None:
    """Every equivalent is a change of today's code, once, with a reason; every path exists."""
    table = read_table()
    found = Counter(each.key for some in table.changes(ROOT).values() for each in some)
    stale = [key for key in table.equivalents if key not in found]
    assert stale == [], "no code has these any more: take them out of table.toml"
    assert all(len(reason) > 10 for reason in table.equivalents.values())
    named = {
        *table.tests,
        *table.left_out_tests,
        *(each for of in table.groups for each in of.also),
    }
    assert [path for path in named if not (ROOT / path).exists()] == []


def some_changes(count: int) -> list[Change]:
    """Return so many changes."""
    source = b"def f(a):\n" + b"".join(b"    a(%d)\n" % number for number in range(count // 2))
    found = changes_of("m.py", source)
    assert len(found) == count
    return found


def test_a_seed_draws_the_same_again() -> None:
    """Each group has its share, but a number at least; the same seed gives the same sample."""
    changes = {"large": some_changes(900), "small": some_changes(100), "tiny": some_changes(4)}
    first, again, other = (drawn(changes, 100, 20, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert Counter(group for group, _ in first) == {"large": 90, "small": 20, "tiny": 4}
    assert len(set(first)) == len(first)


@pytest.mark.parametrize(
    ("survived", "good"), [((0, 0), True), ((3, 0), True), ((0, 2), False), ((5, 1), False)]
)
def test_the_bar(survived: tuple[int, int], good: bool) -> None:
    """97 % over all and 95 % in each group; what was ended by its time counts as killed."""
    (change, *_) = some_changes(2)
    tried = [
        Tried(group, change, Outcome.SURVIVED if number < count else ENDS[number % 2])
        for group, total, count in (("a", 100, survived[0]), ("b", 30, survived[1]))
        for number in range(total)
    ]
    rates, is_good = verdict(tried)
    assert is_good is good
    assert ("below" in rates) is not good


TWICE = """
class Room:
    @property
    def size(self):
        return 1
    @size.setter
    def size(self, value):
        self.asked = 2

def outer(a):
    def inner():
        return a + 3
    return inner
"""


def test_functions_are_changed_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each function gets its own new code: both of a property, and one within another."""
    (tmp_path / "twice.py").write_text(TWICE)
    monkeypatch.syspath_prepend(tmp_path)
    names = vars(importlib.import_module("twice"))
    outer, room = names["outer"], names["Room"]
    assert isinstance(outer, FunctionType)
    assert isinstance(room, type)
    functions = [outer, vars(room)["size"].fget, vars(room)["size"].fset]
    for old, new in (("1", "11"), ("2", "12"), ("3", "13")):
        assert recoded(functions, TWICE.encode(), TWICE.replace(old, new).encode())
        made = room()
        made.size = 0
        found = (str(made.size), str(made.asked), str(outer(0)()))
        assert found == tuple(new if each == old else each for each in "123")
    assert recoded([outer(0)], TWICE.encode(), TWICE.replace("return a", "if 0: return a").encode())
    without = TWICE.replace("return a + 3", "pass")
    assert not recoded([outer(0)], TWICE.encode(), without.encode()), "it has no `a` any more"


def test_functions_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that the collector of garbage passes over; a module without any has none."""
    package = tmp_path / "frozen_ones"
    package.mkdir()
    for name, text in {"__init__": "", "one": "def f(): return 1\n", "other": "x = 1\n"}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    function = vars(importlib.import_module("frozen_ones.one"))["f"]
    gc.freeze()
    found = functions_of(package)
    gc.freeze()
    assert found == {"one.py": [function]}
    assert not recoded(found["other.py"], b"x = 1\n", b"x = 2\n"), "nothing would be changed"


def test_a_modules_own_tests_come_first(tmp_path: Path) -> None:
    """They are in its place, or say that they cover it; the others follow by place and time."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_suite.py").write_text(
        '"""All of it.\n\nCovers: greenroom.a.other,\n    greenroom.a.m\n"""\n'
    )
    suites = suites_of(tmp_path, ["tests/test_suite.py"])
    assert suites == {path: {"tests/test_suite.py"} for path in ("a/other.py", "a/m.py")}
    files = ("tests/test_quick.py", "tests/b/test_m.py", "tests/test_suite.py", "tests/a/test_m.py")
    tests = [f"{file}::test_it" for file in files]
    seconds = {test: number / 100 for number, test in enumerate(tests)}
    selection = Selection({"a/m.py": {"f": set(tests)}}, seconds, suites)
    (change, *_) = changes_of("a/m.py", b"def f(a):\n    return a > 1\n")
    assert selection.tests_for(change) == [tests[3], tests[2], *tests[:2]]


@pytest.mark.parametrize(
    ("fixtures", "parameters", "told", "starts"),
    [
        (["store", "tmp_path"], {"store": "memory"}, (), False),
        (["store"], {"store": "postgresql-15", "limit": 1}, ("limit",), True),
        (["nats_r1"], {}, (), True),
        (["url", "rule"], {"url": "postgresql://db", "rule": "no"}, ("url, rule",), False),
        (["part"], {"part": "postgresql"}, (("part", "words"),), False),
        (["url", "nats_r1"], {"url": "postgresql://db"}, ("url",), True),
        ([], None, (), False),
    ],
)
def test_tests_that_start_a_server(
    fixtures: list[str], parameters: dict[str, object] | None, told: tuple[Any, ...], starts: bool
) -> None:
    """Each fork would start it anew. What a test is given to look at starts none."""
    item: Any = SimpleNamespace(
        fixturenames=fixtures,
        iter_markers=lambda _: [SimpleNamespace(args=(names, [])) for names in told],
    )
    if parameters is not None:
        item.callspec = SimpleNamespace(params=parameters)
    assert starts_a_server(item) is starts


DEFAULTS = """
BASE = 10

class Room:
    def grown(self, by=1, *, times=BASE * 2, at=None):
        return by * times
"""


def test_defaults_are_changed_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made at the import, and belong to the function."""
    (tmp_path / "defaults.py").write_text(DEFAULTS)
    monkeypatch.syspath_prepend(tmp_path)
    room = vars(importlib.import_module("defaults"))["Room"]
    for old, new, grown in (("by=1", "by=2", 40), ("* 2", "* 3", 30)):
        assert recoded([room.grown], DEFAULTS.encode(), DEFAULTS.replace(old, new).encode())
        assert (room().grown(), room().grown(1, times=1)) == (grown, 1)


def test_only_new_tests_are_run_for_the_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of tests that have not changed is kept; failing ones are tried anew."""
    tree, cache = tmp_path / "tree", tmp_path / "cache.json"
    monkeypatch.setenv("PYTHONPATH", str(tree / "src"))
    files = {
        "src/greenroom/__init__.py": "",
        "src/greenroom/small.py": SMALL,
        **PLUGIN,
        "tests/test_one.py": TESTS + "\ndef test_wrong():\n    assert False\n",
        "tests/test_other.py": TESTS,
        "pyproject.toml": "",
    }
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    changes = changes_of("small.py", SMALL.encode())
    selection = selected(tree, ["tests"], [], changes, cache)
    tests = ["tests/test_one.py::test_it", "tests/test_other.py::test_it"]
    assert sorted(selection.tests_for(changes[0])) == tests
    kept = json.loads(cache.read_bytes())
    assert list(kept["digests"]) == ["tests/test_other.py"]
    kept["seconds"]["tests/test_other.py::test_it"] = 42
    cache.write_text(json.dumps(kept))
    (tree / "tests" / "test_one.py").write_text(TESTS.replace("test_it", "test_new"))
    selection = selected(tree, ["tests"], [], changes, cache)
    tests = ["tests/test_one.py::test_new", "tests/test_other.py::test_it"]
    assert sorted(selection.tests_for(changes[0])) == tests
    assert selection.longest(tests) == 42


def test_of_what_was_moved_more_tests_are_tried() -> None:
    """What ran it where it was, and what runs its new module, until all tests have run again."""
    (change, *_) = changes_of("parts/small.py", SMALL.encode())
    some, beside, before = (f"tests/test_{each}.py::test_it" for each in "abc")
    functions = {
        "parts/small.py": {"bigger": {some}, "smaller": {beside}},
        "small.py": {"bigger": {before}, "other": {"tests/test_d.py::test_it"}},
    }
    every = [some, beside, before]
    assert Selection(functions, {}, known=set()).tests_for(change) == every
    known = {("parts/small.py", "bigger")}
    assert Selection(functions, {}, known=known).tests_for(change) == [some]


def test_all_tests_of_a_module_are_tried_on_it() -> None:
    """Also those that did not run the function when it was looked at; the nearest come first."""
    (change, *_) = changes_of("parts/small.py", SMALL.encode())
    own, beside = "tests/parts/test_small.py::test_it", "tests/parts/test_large.py::test_it"
    ran, other = "tests/test_small.py::test_other", "tests/test_c.py::test_c"
    functions = {"parts/small.py": {"bigger": {ran, beside}, "smaller": {other}}}
    selection = Selection(functions, {own: 3.0, beside: 2.0, ran: 1.0, other: 1.0})
    assert selection.tests_for(change) == [own, beside, ran]


SMALL = "def bigger(a, b):\n    if a > b:\n        return a\n    return b\n"
TESTS = "from greenroom.small import bigger\n\ndef test_it():\n    assert bigger(1, 2) == 2\n"
PLUGIN = {"src/greenroom/testing/__init__.py": "", "src/greenroom/testing/plugin.py": ""}
"""What the installed package has pytest load; here it does nothing."""
TABLE = """
tests = ["tests"]
left_out_tests = []
left_out = []
[[group]]
name = "all"
modules = ["*"]
"""
EQUIVALENT = """
[[equivalent]]
where = "bigger"
line = "if a > b:"
old = "a > b"
new = "a >= b"
reason = "of two that are equal either is the bigger one"
"""


def test_the_command(tmp_path: Path) -> None:
    """It prints what survives, but no equivalent, judges, and leaves the checkout as it was."""
    files = {
        "src/greenroom/__init__.py": "",
        "src/greenroom/small.py": SMALL,
        **PLUGIN,
        "tests/test_small.py": TESTS,
        "pyproject.toml": "",
        "table.toml": TABLE + EQUIVALENT,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [sys.executable, "-m", "scripts.mutation", "--all", "--root", str(tmp_path)]
    result = subprocess.run(
        [*command, "--table", str(tmp_path / "table.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert "-        return a\n+        pass" in result.stdout
    assert ">= b" not in result.stdout
    assert result.stdout.count("survived:") == 1
    assert "over all          3         1          0  66.7 %  below 97 %" in result.stdout
    assert {path: (tmp_path / path).read_text() for path in files} == files
