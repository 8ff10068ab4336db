"""What a browser is given of the page."""

import re

import pytest

from greenroom.demo.files import STATIC, policy, read_files

TEXTS = {name: body.decode() for name, (_, body) in read_files().items()}


def test_every_file_is_served() -> None:
    """Each file of the folder has a kind that browsers know."""
    assert TEXTS.keys() == {path.name for path in STATIC.iterdir()}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    """No file names another address than the namespace of SVG and those of examples in comments."""
    named = set(re.findall(r"\b(?:https?|wss?):/*[\w.-]+", TEXTS[name]))
    assert named <= {"http://www.w3.org", "ws://127.0.0.1", "wss://chat.example.com"}


def test_what_the_page_refers_to_is_there() -> None:
    """Each file that the page, its style or its scripts name is beside it."""
    named = re.findall(r'(?:href|src)="([^"]+)"|from "\./([^"]+)"|import "\./([^"]+)"', str(TEXTS))
    assert {next(filter(None, each)) for each in named} <= TEXTS.keys()


def test_the_page_is_small() -> None:
    """All of it is less than a photograph's thumbnail."""
    assert sum(len(text.encode()) for text in TEXTS.values()) < 30_000


def test_the_policy() -> None:
    """Nothing of the page runs that is written into it, and nobody frames it."""
    told = dict(
        part.strip().split(" ", 1) for part in policy("http://[::1]:8470").decode().split(";")
    )
    assert told["default-src"] == told["base-uri"] == told["form-action"] == "'none'"
    assert told["frame-ancestors"] == "'none'"
    assert told["script-src"] == told["style-src"] == "'self'"
    assert told["connect-src"] == "'self' ws://[::1]:8470"
    assert "wss://localhost" in policy("https://localhost").decode()
    assert "<script>" not in TEXTS["index.html"]
    assert not re.search(r"\s(?:style|on\w+)=", TEXTS["index.html"])
    assert "innerHTML" not in str(TEXTS)
