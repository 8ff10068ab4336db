"""How the process of a service that tests start begins, without starting one.

Covers: greenroom.testing.host
"""

import gc
import importlib
import sys
from contextlib import nullcontext
from types import ModuleType
from unittest.mock import Mock

import pytest
import uvicorn

from greenroom.testing import host, obedient
from greenroom.testing.host import LEFT_OUT, PARTS_ONLY


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the modules afterwards as they were."""
    monkeypatch.setitem(sys.modules, PARTS_ONLY, uvicorn)
    for name in LEFT_OUT:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


def test_what_nobody_uses_is_not_imported() -> None:
    """Its import fails, or brings parts alone; afterwards all can be imported as it is."""
    with host.lean_imports():
        package = sys.modules[PARTS_ONLY]
        assert package is not uvicorn
        assert package.__path__ == list(uvicorn.__path__)
        for name in LEFT_OUT:
            with pytest.raises(ImportError):
                importlib.import_module(name)
    assert not {PARTS_ONLY, *LEFT_OUT} & sys.modules.keys()


def test_it_is_as_it_was_after_a_failure_too() -> None:
    """Whatever fails meanwhile."""
    with pytest.raises(KeyError), host.lean_imports():
        raise KeyError
    assert not {PARTS_ONLY, *LEFT_OUT} & sys.modules.keys()


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no parts."""
    monkeypatch.setattr(host, "PARTS_ONLY", "no_such_package")
    with host.lean_imports():
        assert sys.modules["no_such_package"].__path__ == []
    assert "no_such_package" not in sys.modules


def test_the_process_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it is given; nobody looks for garbage in what a start makes."""
    done = Mock()
    monkeypatch.setattr(host, "lean_imports", nullcontext)
    monkeypatch.setattr(gc, "disable", done.disable)
    monkeypatch.setattr(obedient, "serve", done.serve)
    host.main('{"port": "0"}')
    assert [(call[0], call.args) for call in done.mock_calls] == [
        ("disable", ()),
        ("serve", ('{"port": "0"}',)),
    ]
