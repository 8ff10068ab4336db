from typing import Any

import pytest

from greenroom.entrance.application import Application


class Part:
    """A part of the application that wants one path, and notes what reaches it."""

    def __init__(self, path: bytes = b"") -> None:
        self._path = path
        self.reached = 0
        self.scope: Any = None

    def wants(self, scope: Any) -> bool:
        """Return whether it is its path."""
        return bool(scope["raw_path"] == self._path)

    async def __call__(self, scope: Any, *_: Any) -> None:
        self.reached += 1
        self.scope = scope


def application_of(base_path: str = "") -> tuple[Application, dict[str, Part]]:
    """Return an application, and its parts by name."""
    parts = {
        "health": Part(b"/health"),
        "monitoring": Part(b"/metrics"),
        "control": Part(),
    }
    application = Application(
        parts["control"],  # type: ignore[arg-type]
        parts["health"],  # type: ignore[arg-type]
        parts["monitoring"],  # type: ignore[arg-type]
        base_path,
    )
    return application, parts


async def reached(
    application: Application, parts: dict[str, Part], path: bytes, method: str = "GET"
) -> set[str]:
    """Return which parts a request reaches."""
    scope = {"raw_path": path, "method": method, "query_string": b"", "headers": []}
    await application(scope, None, None)  # type: ignore[arg-type]
    return {name for name, part in parts.items() if part.reached}


PATHS = [
    (b"/health", "health"),
    (b"/metrics", "monitoring"),
    (b"/greenroom/token-keys/list", "control"),
    (b"/greenroom/nothing", "control"),
    (b"/CreateRoom", "control"),
    (b"/", "control"),
]


@pytest.mark.parametrize(("path", "place"), PATHS)
@pytest.mark.parametrize("front", [b"", b"/", b"//"])
async def test_each_path_has_its_part(path: bytes, place: str, front: bytes) -> None:
    """A request reaches one part: what no other wants is the control plane's."""
    assert await reached(*application_of(), front + path) == {place}


@pytest.mark.parametrize(("path", "place"), PATHS)
@pytest.mark.parametrize("base", ["/chat", "/api/v1", "/greenroom"])
@pytest.mark.parametrize("front", ["", "{}", "/{}/", "{}/"])
async def test_below_the_base_path(path: bytes, place: str, base: str, front: str) -> None:
    """Everything is there, too, and where it always is."""
    application, parts = application_of(base)
    assert await reached(application, parts, front.format(base).encode() + path) == {place}


async def test_what_was_signed() -> None:
    """The control plane learns of both: what is asked for, and what a signature may be about."""
    application, parts = application_of("/chat")
    await reached(application, parts, b"/chat/CreateRoom")
    scope = parts["control"].scope
    assert (scope["raw_path"], scope["signed_paths"]) == (b"/CreateRoom", (b"/chat/CreateRoom",))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", [b"/health", b"/metrics", b"/front"])
async def test_what_is_read(path: bytes, method: str) -> None:
    """Health, figures and the page at the front are; all else is the control plane's."""
    application, parts = application_of()
    front: Any = Part(b"/front")
    parts["front"] = application._front_page = front
    place = {b"/health": "health", b"/metrics": "monitoring", b"/front": "front"}[path]
    expected = place if method in ("GET", "HEAD") else "control"
    assert await reached(application, parts, path, method) == {expected}


async def test_figures_that_are_off() -> None:
    """Their path is no other one than any."""
    application, parts = application_of()
    application._monitoring = None
    assert await reached(application, parts, b"/metrics") == {"control"}
