"""What the troubleshooting page quotes is what the service says."""

import ast
import datetime as dt
import functools
import re
import secrets
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from tests.docs.blocks import ROOT
from tests.running.service import Service, running
from tests.running.wire import Answer, Peer

PAGE = ROOT / "docs" / "howto" / "troubleshoot.md"
VARIES = "…"


def quoted() -> list[str]:
    """Return what the first columns of the page's tables quote."""
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return [each for cell in cells for each in re.findall(r"`([^`]+)`", cell)]


def texts(path: Path) -> list[str]:
    """Return the texts in a module; what is filled in is `…`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(_part(each) for each in node.values))
    return found


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else VARIES


@functools.cache
def all_texts() -> list[str]:
    """Return the texts of the code."""
    return [text for path in (ROOT / "src").rglob("*.py") for text in texts(path)]


def agrees(message: str, said: str) -> bool:
    """Return whether a quoted message is what was said, but for what varies."""
    pattern = ".*".join(map(re.escape, message.split(VARIES)))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


@pytest.mark.parametrize("message", quoted())
def test_what_is_quoted_is_in_the_code(message: str) -> None:
    """Each message of the tables stands in the code, whole but for what varies."""
    assert any(agrees(message, text) for text in all_texts())


def ask(service: Service, path: str = "/", **headers: str) -> Answer:
    """Send a request as a client does that lacks something."""
    lines = [f"GET {path} HTTP/1.1", "Host: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with Peer(service) as peer:
        peer.send("\r\n".join([*lines, "", ""]).encode())
        return peer.read_answer()


def upgrade(service: Service, token: str = "", **other: str) -> Answer:
    """Ask for a WebSocket."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": b64encode(secrets.token_bytes(16)).decode(),
        "Sec_WebSocket_Protocol": token,
    }
    return ask(service, **{name: value for name, value in (headers | other).items() if value})


def refused(service: Service, **options: Any) -> str:
    """Return what a client of AWS's SDK is told."""
    with pytest.raises(ClientError) as caught:
        service.boto3(**options).list_rooms()
    return str(caught.value.response["Error"]["Message"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a running service that lets one page in."""
    origins = {"GREENROOM_ALLOWED_ORIGINS": "https://example.com"}
    with running(tmp_path_factory.mktemp("troubles") / "data", **origins) as service:
        yield service


def test_refused_websockets(service: Service) -> None:
    """Each refusal that a viewer meets has its row, with its status."""
    room = service.boto3().create_room()["arn"]
    token = service.token(room)
    assert upgrade(service, token).status == 101
    deleted = service.boto3().create_room()["arn"]
    gone = service.token(deleted)
    service.boto3().delete_room(identifier=deleted)
    answers = [
        upgrade(service, token),
        upgrade(service, gone),
        upgrade(service),
        upgrade(service, "token"),
        upgrade(service, f"{token[:-4]}AAAA"),
        upgrade(service, token, Upgrade=""),
        upgrade(service, token, Sec_WebSocket_Version="8"),
        upgrade(service, token, Origin="https://elsewhere.example"),
    ]
    assert [each.status for each in answers] == [409, 404, 401, 400, 403, 426, 426, 403]
    page = PAGE.read_text()
    for answer in answers:
        said = str(answer.json["ErrorMessage"])
        rows = [each for each in quoted() if said.startswith(each)]
        assert any(f"| {answer.status} `{each}`" in page for each in rows), said


def test_refused_requests(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal that an application meets has its row."""
    told = [
        ask(service, "/rooms").json["message"],
        refused(service, access_key_id="AKIANOBODYNOBODYNOBO"),
        refused(service, secret="another"),
        refused(service, region="eu-central-1"),
        *(refused_at(service, monkeypatch, seconds) for seconds in (-1000, 1000)),
    ]
    for said in told:
        assert any(agrees(each, said) for each in quoted()), said


def refused_at(service: Service, monkeypatch: pytest.MonkeyPatch, seconds: int) -> str:
    """Return what a client is told whose clock is wrong by as much."""
    wrong = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    with monkeypatch.context() as patched:
        patched.setattr(botocore.auth, "get_current_datetime", lambda: wrong)
        return refused(service)
