import re
from typing import Any

import pytest

from greenroom.entrance.front_page import FrontPage

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def scope(path: str = "/", method: str = "GET", query: str = "", **headers: str) -> Any:
    """Return a request."""
    return {
        "raw_path": path.encode(),
        "method": method,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (scope(accept=BROWSER), True),
        (scope(accept=BROWSER, method="HEAD"), True),
        (scope(), False),
        (scope(accept="*/*"), False),
        (scope(accept="application/json"), False),
        (scope(accept=BROWSER, method="POST"), False),
        (scope(accept=BROWSER, path="/ListRooms"), False),
        (scope(accept=BROWSER, authorization="AWS4-HMAC-SHA256 x"), False),
        (scope(accept=BROWSER, query="X-Amz-Signature=x"), False),
    ],
)
def test_who_gets_it(request_: Any, wanted: bool) -> None:
    """Somebody who opens the address in a browser; clients of the API get what they always got."""
    assert FrontPage().wants(request_) is wanted


async def page(base_path: str = "") -> tuple[dict[bytes, bytes], str]:
    """Return the headers and the page."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await FrontPage(base_path)(send)
    assert sent[0]["status"] == 200
    return dict(sent[0]["headers"]), sent[1]["body"].decode()


@pytest.mark.parametrize(
    ("base_path", "health"), [("", "health"), ("/chat", "/chat/health")], ids=["none", "chat"]
)
async def test_where_it_leads(base_path: str, health: str) -> None:
    """It says what this is, and where health and documentation are, below the base path, too."""
    _, text = await page(base_path)
    assert re.findall('href="([^"]*)"', text) == [health]
    for word in ("Amazon IVS Chat", "endpoint", "docs/index.md", "WebSocket"):
        assert word in text


async def test_what_a_browser_may_do_with_it() -> None:
    """Nothing is loaded, run, sent or framed; its own style is the only one."""
    headers, text = await page()
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in text
    assert "style=" not in text
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
