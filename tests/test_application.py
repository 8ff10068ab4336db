from typing import Any

import msgspec

from greenroom.application import Application


async def test_health_while_draining() -> None:
    """A load balancer is told not to send more; other paths are not answered here."""

    class Draining:
        draining = True

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    application = Application(None, None, Draining())  # type: ignore[arg-type]
    await application({"raw_path": b"/health", "method": "GET"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert msgspec.json.decode(sent[1]["body"])["status"] == "draining"
