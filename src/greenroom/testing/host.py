"""A service that obeys the process which started it: `python -m greenroom.testing.host SETTINGS`.

It reads lines from its standard input and answers on its standard output; nothing else reaches
what it can do, least of all a request. Tests wait for its start: libraries are imported without
what nobody uses of them here.
"""

import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

LEFT_OUT = ("colorama", "rich", "typing_extensions")
"""What structlog and msgspec import where it is installed, and do as well without."""

PARTS_ONLY = "uvicorn"
"""A package whose `__init__` imports its command line, and that of which some modules are used."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """Import without those; afterwards all of them can be imported as they are."""
    spec = importlib.util.find_spec(PARTS_ONLY)
    package = ModuleType(PARTS_ONLY)
    package.__path__ = [] if spec is None else list(spec.submodule_search_locations or ())
    sys.modules[PARTS_ONLY] = package
    for name in LEFT_OUT:
        sys.modules[name] = None  # type: ignore[assignment]  # which makes its import fail
    try:
        yield
    finally:
        for name in (PARTS_ONLY, *LEFT_OUT):
            del sys.modules[name]


def main(given: str) -> None:
    """Serve until the input ends; `given` are settings, as JSON."""
    # What a start makes stays: looking for garbage in it took a tenth of the time.
    gc.disable()
    with lean_imports():
        from greenroom.testing.obedient import serve
    serve(given)


if __name__ == "__main__":
    main(sys.argv[1])
