"""Who is shown the page, and who is given a token."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from greenroom.demo.page import BODY_BYTES, Demo
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused

READY = SimpleNamespace(
    api_url="http://127.0.0.1:8470",
    access_key_id="AKIAEXAMPLE",
    secret_access_key="secret",
    region="us-east-1",
)
NONE: Mapping[str, str] = {}
HERE = "http://127.0.0.1:8470"
WISH = b'{"userId": "alice", "capabilities": ["SEND_MESSAGE"]}'


class Service:
    """What stands behind the demo: notes the paths that reach it."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["raw_path"])
        rooms = {"rooms": [{"arn": "lobby", "createTime": "2026"}]}
        body = rooms if scope["raw_path"] == b"/ListRooms" else {"token": "T"}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


class Browser:
    """Asks the demo."""

    def __init__(self, base_path: str = "", *, is_ready: bool = True) -> None:
        self.service = Service()
        self.demo = Demo(base_path)
        self._application = self.demo.over(self.service)
        if is_ready:
            self.demo.sign_with(READY)  # type: ignore[arg-type]

    async def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] = NONE,
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of the answer."""
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": HERE.removeprefix("http://"), **headers}
        peer = given.pop("peer", "127.0.0.1")
        scope = {
            "method": method,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "http",
            "client": (peer, 1),
            "headers": [(n.encode(), v.encode()) for n, v in given.items()],
        }
        await self._application(scope, receive, send)
        start, end = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, end["body"].decode()

    async def wish(
        self, body: bytes = WISH, headers: Mapping[str, str] = NONE
    ) -> tuple[int, dict[str, str], str]:
        """Ask for a token as the page does, but for what is given."""
        return await self.ask("/demo/token", "POST", body, {"origin": HERE, **headers})


async def test_the_page() -> None:
    """Below /demo/ are the page and its files, with what a browser may do with them."""
    status, headers, body = await Browser().ask("/demo/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<greenroom-chat" in body
    assert (
        f"connect-src 'self' ws://{READY.api_url.removeprefix('http://')};"
        in (headers["content-security-policy"])
    )
    for name in ("cache-control", "cross-origin-resource-policy", "x-content-type-options"):
        assert name in headers
    assert not any(name.startswith("access-control") for name in headers)
    status, headers, _ = await Browser().ask("/demo/greenroom-chat.js", "HEAD")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")


async def test_the_demo_of_a_service() -> None:
    """It is below the service's base path, and refuses to stand where others come by."""
    for base_path in ("", "/chat"):
        given = {"data_dir": "/nowhere", **({"base_path": base_path} if base_path else {})}
        demo = Demo.of(load(given, {}, None))
        demo.sign_with(READY)  # type: ignore[arg-type]
        assert demo.url == f"{HERE}{base_path}/demo/"
    with pytest.raises(SettingsRefused, match="trusted_proxies"):
        Demo.of(load({"data_dir": "/nowhere", "trusted_proxies": "127.0.0.1"}, {}, None))


def test_where_the_service_listens() -> None:
    """It is shown on this machine's own addresses, and on no other."""
    demo = Demo()
    demo.admit(SimpleNamespace(hosts=["127.0.0.1", "::1"]))  # type: ignore[arg-type]
    with pytest.raises(SettingsRefused, match=r"does not listen on 192\.0\.2\.1"):
        demo.admit(SimpleNamespace(hosts=["127.0.0.1", "192.0.2.1"]))  # type: ignore[arg-type]


async def test_where_it_is() -> None:
    """Without the last slash the browser is sent on; below a base path it is, too."""
    status, headers, _ = await Browser().ask("/demo")
    assert (status, headers["location"]) == (308, "demo/")
    browser = Browser("/chat")
    for path in ("/chat/demo/", "/demo/", "//demo/"):
        assert (await browser.ask(path))[0] == 200
    assert browser.demo.url == f"{HERE}/chat/demo/"
    assert Browser().demo.url == f"{HERE}/demo/"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/", "GET"),
        ("/demos", "GET"),
        ("/CreateRoom", "POST"),
        ("/health", "GET"),
        ("/x/demo/", "GET"),
    ],
)
async def test_all_else_is_the_services(path: str, method: str) -> None:
    """Other paths reach the service as ever, from whomever they come."""
    browser = Browser()
    await browser.ask(path, method, headers={"host": "evil.test", "peer": "192.0.2.1"})
    assert browser.service.paths == [path.encode()]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/demo/nothing.js", "GET"),
        ("/demo/../page.py", "GET"),
        ("/demo/token", "GET"),
        ("/demo/", "PUT"),
    ],
)
async def test_what_is_not_there(path: str, method: str) -> None:
    """Only the files of the page are there, and a token is asked for by POST."""
    assert (await Browser().ask(path, method))[0] == 404


async def test_a_token() -> None:
    """The page is given one, which nobody keeps."""
    status, headers, body = await Browser().wish()
    assert (status, json.loads(body), headers["cache-control"]) == (200, {"token": "T"}, "no-store")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "http://127.0.0.1:8471"},
        {"origin": "http://localhost:8470"},
        {"origin": "https://127.0.0.1:8470"},
        {"origin": "null"},
        {"origin": ""},
    ],
    ids=lambda headers: headers["origin"],
)
async def test_pages_of_others(headers: dict[str, str]) -> None:
    """A page of another origin, and what is no page, is given none: also of this machine."""
    browser = Browser()
    status, answered, body = await browser.wish(headers=headers)
    assert (status, "Origin" in json.loads(body)["message"]) == (403, True)
    assert not any(name.startswith("access-control") for name in answered)
    assert browser.service.paths == []


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.test:8470", "origin": "http://evil.test:8470"},
        {"peer": "192.0.2.1"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
    ],
    ids=["a name that leads here", "another machine", "a proxy", "another proxy"],
)
async def test_who_is_not_here(headers: dict[str, str]) -> None:
    """Neither page nor token is for others; a line of text says where it is."""
    browser = Browser()
    for asked in (browser.wish(headers=headers), browser.ask("/demo/", headers=headers)):
        status, _, body = await asked
        assert (status, body.count("\n")) == (403, 1)
    assert browser.service.paths == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "userId"),
        (b"{}", 400, "userId"),
        (b'{"userId": "\xff"}', 400, "userId"),
        (b'{"userId": 1}', 400, "userId"),
        (b'{"userId": "a", "roomIdentifier": "arn:other"}', 400, "userId"),
        (b'"' + b"x" * BODY_BYTES + b'"', 413, "larger"),
    ],
)
async def test_wishes_that_are_none(body: bytes, status: int, words: str) -> None:
    """A wish that is malformed, too long, or names a room, is refused with what is right."""
    browser = Browser()
    answered, _, said = await browser.wish(body)
    assert (answered, words in json.loads(said)["message"]) == (status, True)
    assert browser.service.paths == []


async def test_before_the_service_is_ready() -> None:
    """Until there is a key there are no tokens, and the page tries again."""
    assert (await Browser(is_ready=False).wish())[0] == 503
