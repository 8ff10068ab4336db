"""The house's own rules: what is shipped, what is pinned, how the source is cut."""

import ast
import gc
import graphlib
import importlib.metadata
import importlib.resources
import io
import json
import re
import tokenize
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import hatchling.build
import pytest
from packaging.requirements import Requirement

import greenroom

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "greenroom"
TESTS = ROOT / "tests"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PURE = next(each["source_modules"] for each in CONTRACTS if each["name"].startswith("Pure"))

FILE_LINES = {0.5: 150, 0.9: 300, 1: 500}
"""The most lines that this part of the files may have."""

FUNCTION_LINES = {0.9: 20, 1: 60}
"""The most lines that this part of the functions may have, docstring aside."""

LOOSE_TYPES = {r"\bAny\b": 40, r"\bcast\(": 30}
"""How often the source may give up a type, or say one without a look; imports aside."""


@pytest.fixture(autouse=True, scope="module")
def forgotten_trees() -> Iterator[None]:
    """Leave the tests that follow none of them."""
    yield
    _tree.cache_clear()


@pytest.fixture(autouse=True)
def no_search_for_garbage() -> Iterator[None]:
    """Let nobody look for any among the nodes of all trees: that took most of the time."""
    gc.disable()
    yield
    gc.enable()


def test_installed_version_is_the_source_version() -> None:
    """What `pip` installed says the version that the source says."""
    assert importlib.metadata.version("greenroom") == greenroom.__version__


def test_types_are_shipped() -> None:
    """The package tells type checkers that it has types."""
    assert importlib.resources.files("greenroom").joinpath("py.typed").is_file()


def test_wheel_holds_all_that_the_service_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel has each file of the package, its schema steps, and the licence."""
    monkeypatch.chdir(ROOT)
    name = hatchling.build.build_wheel(str(tmp_path))
    shipped = set(zipfile.ZipFile(tmp_path / name).namelist())
    wanted = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    info = f"greenroom-{greenroom.__version__}.dist-info"
    assert wanted | {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= shipped


def test_licence_is_apache() -> None:
    """The licence file is the licence that the metadata names."""
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert importlib.metadata.metadata("greenroom")["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_python_locks_are_pinned_and_carry_no_address(lock: Path) -> None:
    """Every locked package has one version and its hashes, and none says where to get it."""
    text = lock.read_text()
    assert not re.search(r"\w+://|--(index|extra|find|trusted)|\bfile:", text)
    requirements = re.split(r"\n(?=\S)", text.strip())
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(\[[^]]+\])?==\S+ ", requirement)
        assert "--hash=sha256:" in requirement


def test_javascript_lock_carries_no_address() -> None:
    """The packages of the interop tests are locked by version and hash alone."""
    lock = json.loads((ROOT / "tests" / "interop" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha"), name


def test_locks_agree_with_the_metadata() -> None:
    """The locks satisfy the project's dependencies and its extra; the tests run on the same."""
    runtime, cluster, test = _pins("runtime"), _pins("cluster"), _pins("test")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for dependency in map(Requirement, project["dependencies"]):
        assert runtime[dependency.name] in dependency.specifier
    for dependency in map(Requirement, project["optional-dependencies"]["cluster"]):
        assert cluster[dependency.name] in dependency.specifier
    assert runtime.items() <= _pins("node").items() <= cluster.items() <= test.items()
    assert _pins("build").items() <= test.items()


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


def test_every_module_has_its_tests() -> None:
    """A module has a file of tests in its place, or a suite whose docstring says that it covers it.

    Such a line is `Covers: greenroom.x.y`, with commas between several; all that it names exists.
    """
    modules = {
        f"greenroom.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}": path
        for path in SOURCE.rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    }
    covered = {name for suite in TESTS.rglob("test_*.py") for name in _covers(suite)}
    assert {name for name, path in modules.items() if not _its_tests(path).exists()} <= covered
    assert covered <= modules.keys()


def _its_tests(module: Path) -> Path:
    return TESTS / module.relative_to(SOURCE).parent / f"test_{module.name}"


def _covers(suite: Path) -> list[str]:
    said = ast.get_docstring(_tree(suite)) or ""
    lines = re.findall(r"^Covers:((?:\s+[\w.]+,?)+)", said, re.MULTILINE)
    return [name for line in lines for name in re.split(r"[\s,]+", line.strip())]


def test_no_file_is_too_long() -> None:
    """No source file is longer than a reader's patience, and most are short."""
    lengths = [(len(path.read_text().splitlines()), str(path)) for path in SOURCE.rglob("*.py")]
    assert _too_long(lengths, FILE_LINES) == []


def test_nine_functions_of_ten_are_short() -> None:
    """Nine functions of ten take less than a screen, and none takes two."""
    lengths = [
        (length, f"{path}: {name}")
        for path in SOURCE.rglob("*.py")
        for length, name in _function_lengths(path)
    ]
    assert _too_long(lengths, FUNCTION_LINES) == []


def _too_long(lengths: list[tuple[int, str]], bounds: dict[float, int]) -> list[tuple[int, str]]:
    """Return what is the last of its part, and longer than that part may be."""
    lasts = {
        part: sorted(lengths)[min(int(len(lengths) * part), len(lengths) - 1)] for part in bounds
    }
    return [last for part, last in lasts.items() if last[0] > bounds[part]]


def _function_lengths(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            first, last = (body[0].lineno, body[-1].end_lineno) if body else (0, 0)
            yield (last or first) - first + 1, node.name


@pytest.mark.parametrize(("pattern", "most"), LOOSE_TYPES.items(), ids=["any", "cast"])
def test_types_are_seldom_given_up(pattern: str, most: int) -> None:
    """What a value is, a type says: few values are `Any`, and few types only claimed by `cast`."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in _code_with(pattern, path).splitlines()
        if not line.lstrip().startswith(("from ", "import "))
        for _ in re.finditer(pattern, line)
    ]
    assert len(found) <= most, "\n".join(found)


def test_whatever_a_check_must_not_see_has_its_reason() -> None:
    """Each `noqa` and `type: ignore` names the rule, and says beside it why it does not hold."""
    reasoned = re.compile(r"# (noqa: [A-Z]+\d+ - |type: ignore\[[a-z-]+\]  # ).*[a-z]{2,}.*")
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for path in SOURCE.rglob("*.py")
        if re.search("noqa|type: ignore", text := path.read_text())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and re.search("noqa|type: ignore", token.string)
        if not reasoned.fullmatch(token.string.rstrip())
    ]
    assert found == []


def test_no_module_imports_itself_by_a_detour() -> None:
    """The modules can be put into an order in which each imports only earlier ones."""
    graph = grimp.build_graph("greenroom", cache_dir=None)
    order = graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    )
    assert len(list(order.static_order())) == len(graph.modules)


def test_pure_packages_ask_nobody_for_the_time() -> None:
    """No pure module reads the clock, draws random bytes or calls a URL: those are arguments."""
    asking = re.compile(
        r"\b(now|utcnow|today|monotonic|perf_counter|time_ns|urandom|urlopen|generate_key)\("
        r"|(?<![.\w])(?<!def )open\(|urllib\.request"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in SOURCE.rglob("*.py")
        if f"greenroom.{path.relative_to(SOURCE).parts[0].removesuffix('.py')}" in PURE
        for match in asking.finditer(_code_with(asking.pattern, path))
    ]
    assert found == []


def test_no_folder_of_tests_uses_another_folders_helper() -> None:
    """What tests of two folders need is in `running` or `stand_ins`, which need no folder."""
    borrowed = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in TESTS.rglob("*.py")
        for module in _imported_tests(path)
        if module.split(".")[1] not in {*_may_use(path.relative_to(TESTS).parts[0]), "conftest"}
    ]
    assert borrowed == []


def _may_use(folder: str) -> set[str]:
    """Return whose helpers a folder of tests may use, or a file beside the folders."""
    shared = {"running", "stand_ins"}
    return {folder} if folder in shared else {folder, *shared}


def _imported_tests(path: Path) -> Iterator[str]:
    """Return the modules of the tests that a file imports, in whatever form."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("tests."))
        elif isinstance(node, ast.ImportFrom) and node.module == "tests":
            yield from (f"tests.{each.name}" for each in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            yield str(node.module)


def test_secrets_are_compared_in_constant_time() -> None:
    """CVE-2021-33880: no `==` tells by its time how much of a secret was right."""
    secret = {"mac", "password", "secret", "secret_access_key", "signature"}
    found = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        for side in (node.left, *node.comparators)
        if getattr(side, "id", getattr(side, "attr", None)) in secret
    ]
    assert found == []


@cache
def _tree(path: Path) -> ast.Module:
    """Return a file's syntax, which nobody may change."""
    return ast.parse(path.read_text())


def _code_with(pattern: str, path: Path) -> str:
    """Return a file's code, without docstrings and comments; nothing where no line matches."""
    text = path.read_text()
    if not re.search(pattern, text):
        return ""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(...)
    return ast.unparse(tree)
