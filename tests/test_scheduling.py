"""Tests of a file stay on one worker, and what takes longest is begun first."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.running.scheduling import (
    APART,
    FIRST,
    TOGETHER,
    WAITING,
    UnitScheduling,
    place_of,
    unit_of,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "start", [*TOGETHER, *APART, *WAITING, *(each for each in FIRST if each.startswith("tests"))]
)
def test_what_is_named_is_there(start: str) -> None:
    """Whoever moves a file is told."""
    assert (ROOT / start).exists()


def test_units() -> None:
    """A file is one, whatever its tests are called; some files are one together."""
    one, two = (
        unit_of("tests/a/test_b.py::test_c[x::y]"),
        unit_of("tests/a/test_b.py::Test::test_d"),
    )
    assert one == two == "tests/a/test_b.py"
    hostile = ("tests/e2e/test_hostile.py::test_a", "tests/fuzz/test_process.py::test_b")
    assert {unit_of(each) for each in hostile} == {"hostile"}
    pages = [f"tests/docs/test_pages.py::test_it[{page}]" for page in ("README.md", "b.md")]
    assert [unit_of(each) for each in pages] == pages
    assert [place_of(each) for each in pages] == [place_of("tests/docs/test_pages.py::test_a")] * 2


def test_what_takes_longest_is_begun_first() -> None:
    """Then what starts services; what is left fills up the end."""
    some = (
        "cluster/test_killer.py",
        "stress/test_races.py",
        "e2e/test_http.py",
        "model/test_arn.py",
    )
    places = [place_of(f"tests/{each}::test_it") for each in some]
    assert places == sorted(set(places))
    assert places[-1] == len(FIRST)


def ran(*files: str) -> list[list[str]]:
    """Return the files of which two workers ran tests, four each, in their order."""
    collected = [f"tests/{file}::test_{number}" for file in files for number in range(4)]
    scheduling = UnitScheduling(_config())
    workers = [_Worker(scheduling), _Worker(scheduling)]
    for each in workers:
        scheduling.add_node(each.controller)
        scheduling.add_node_collection(each.controller, collected)
    scheduling.schedule()
    while not all(each.controller.shutting_down for each in workers):
        for each in workers:
            each.run_one()
    assert [sorted(each.ran) for each in workers] == [each.ran for each in workers]
    assert sorted(workers[0].ran + workers[1].ran) == list(range(4 * len(files)))
    tests = [[collected[index].partition("::")[0] for index in each.ran] for each in workers]
    return [[file.removeprefix("tests/") for file in dict.fromkeys(each)] for each in tests]


def test_the_tests_of_a_file_go_to_one_worker() -> None:
    """In their order, and the files in the order in which they were collected."""
    files = [f"test_{file}.py" for file in "abcd"]
    assert ran(*files) == [["test_a.py", "test_c.py"], ["test_b.py", "test_d.py"]]


def test_what_waits_runs_beside_what_computes() -> None:
    """Whoever has none of its kind left helps the others."""
    waiting = [f"cluster/test_{file}.py" for file in "ab"]
    computing = [f"model/test_{file}.py" for file in "abcd"]
    first, second = ran(*waiting, *computing)
    assert first == [*waiting, computing[2]]
    assert second == [*computing[:2], computing[3]]


class _Worker:
    """In place of a process: runs what it is sent."""

    def __init__(self, scheduling: UnitScheduling) -> None:
        self._scheduling = scheduling
        self._waiting: list[int] = []
        self.ran: list[int] = []
        self.controller: Any = Mock(shutting_down=False)
        self.controller.send_runtest_some = self._waiting.extend
        self.controller.shutdown.side_effect = self._shut_down

    def run_one(self) -> None:
        """Run the next test, if there is one."""
        if self._waiting:
            self.ran.append(self._waiting.pop(0))
            self._scheduling.mark_test_complete(self.controller, self.ran[-1])

    def _shut_down(self) -> None:
        self.controller.shutting_down = not self._waiting


def _config() -> Any:
    config = Mock()
    config.getvalue.return_value = ["popen", "popen"]
    config.option.loadscopereorder = False
    return config
