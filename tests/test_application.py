from typing import Any

import pytest

from greenroom.application import Application


class Part:
    """A part of the application that wants one path, and notes what reaches it."""

    def __init__(self, path: bytes = b"") -> None:
        self._path = path
        self.reached = 0

    def wants(self, scope: Any) -> bool:
        """Return whether it is its path."""
        return bool(scope["raw_path"] == self._path)

    async def __call__(self, *_: Any) -> None:
        self.reached += 1


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (b"/health", "health"),
        (b"/metrics", "monitoring"),
        (b"/greenroom/token-keys/list", "operator"),
        (b"/CreateRoom", "control"),
        (b"/", "control"),
    ],
)
async def test_each_path_has_its_part(path: bytes, place: str) -> None:
    """A request reaches one part: what no other wants is the control plane's."""
    parts = {
        "health": Part(b"/health"),
        "monitoring": Part(b"/metrics"),
        "operator": Part(),
        "control": Part(),
    }
    application = Application(
        parts["control"],  # type: ignore[arg-type]
        parts["operator"],  # type: ignore[arg-type]
        parts["health"],  # type: ignore[arg-type]
        parts["monitoring"],  # type: ignore[arg-type]
    )
    await application({"raw_path": path, "method": "GET"}, None, None)  # type: ignore[arg-type]
    assert {name for name, part in parts.items() if part.reached} == {place}
