"""The demo page's `chat-connection.js` in Node, over a WebSocket that is moved by hand."""

from base64 import b64encode
from importlib.resources import files

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service

PROGRAM = Program("chat_connection.mjs")


@pytest.fixture(scope="module")
def outcomes(service: Service) -> Outcomes:
    """Return how the cases went; Node takes a `.js` for no module, and a URL for one."""
    source = (files("greenroom.demo") / "static" / "chat-connection.js").read_bytes()
    module = f"data:text/javascript;base64,{b64encode(source).decode()}"
    return PROGRAM.run(service, module=module)


@pytest.mark.parametrize("name", PROGRAM.names)
def test_connection(outcomes: Outcomes, name: str) -> None:
    """What goes wrong on the way is told, and nothing is left to wait for ever."""
    cases.check(outcomes, name)
