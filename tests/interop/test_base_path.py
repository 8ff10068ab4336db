"""Endpoint URLs with a path, `https://host/chat`: boto3 and the SDKs for JavaScript, unmodified.

The path reaches the service, or a proxy in front has cut it off; signatures cover it either way.
"""

import contextlib
import http.client
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner
from websockets.sync.client import connect

from greenroom.cli.main import main
from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service, running

BASE = "/chat"
PROGRAM = Program("base_path.mjs")


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a base path."""
    variables = {"GREENROOM_BASE_PATH": BASE, "GREENROOM_REGIONS": "*"}
    with running(tmp_path_factory.mktemp("based") / "data", **variables) as service:
        yield service
        assert "crashed" not in service.log.read_text()


@contextlib.contextmanager
def cutting(service: Service, cut: str) -> Iterator[str]:
    """Run a proxy that cuts a path off and passes the rest on, with the Host as it came."""
    scheme, netloc, *_ = urlsplit(service.api_url)
    secure = scheme == "https"
    connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            onward = connection(netloc)
            path = self.path.removeprefix(cut) or "/"
            onward.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                onward.putheader(name, value)
            onward.endheaders(body)
            answer = onward.getresponse()
            payload = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name not in {"date", "server", "connection"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)
            onward.close()

        do_GET = do_DELETE = do_POST  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def client(service: Service, name: str, url: str, secret: str | None = None) -> Any:
    """Return a boto3 client of an endpoint URL."""
    make: Any = boto3.client
    return make(
        name,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=secret or service.ready["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def use(service: Service, url: str) -> str:
    """Make calls of every kind; return a chat token."""
    ivschat = client(service, "ivschat", url)
    arn = str(ivschat.create_room(tags={"a": "b"})["arn"])
    assert ivschat.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}
    ivschat.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ivschat.get_room(identifier=arn)["arn"] == arn
    assert client(service, "sts", url).get_caller_identity()["Account"] == service.ready["account"]
    assert client(service, "iam", url).list_users(PathPrefix="/nobody/")["Users"] == []
    with pytest.raises(ClientError) as raised:
        client(service, "ivschat", url, secret="x" * 40).list_rooms()
    assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"
    claims = {"roomIdentifier": arn, "userId": "ann", "capabilities": ["SEND_MESSAGE"]}
    return str(ivschat.create_chat_token(**claims)["token"])


@pytest.mark.parametrize("path", ["", "/", "//", BASE, f"{BASE}/", f"/{BASE}", f"{BASE}//"])
def test_boto3(based: Service, path: str) -> None:
    """Every way to write the endpoint works, for all three services and the WebSocket."""
    token = use(based, based.api_url + path)
    websocket = based.api_url.replace("http", "ws") + (path or "/")
    with connect(websocket, subprotocols=[token]) as chat:  # type: ignore[list-item]
        chat.send(json.dumps({"Action": "SEND_MESSAGE", "Content": "hello"}))
        assert json.loads(chat.recv(5))["Content"] == "hello"


@pytest.mark.parametrize("cut", [BASE, f"{BASE}/"])
def test_boto3_behind_a_proxy_that_cuts_the_path_off(based: Service, cut: str) -> None:
    """The signature is about a path that did not arrive."""
    with cutting(based, cut.rstrip("/")) as url:
        use(based, url + cut)


@pytest.mark.parametrize("path", ["", "//"])
def test_boto3_without_a_base_path(service: Service, path: str) -> None:
    """An endpoint with two slashes works, too; a path that nobody knows does not."""
    use(service, service.api_url + path)
    with pytest.raises(ClientError) as raised:
        client(service, "ivschat", service.api_url + BASE).list_rooms()
    response: Any = raised.value.response
    assert response["reason"] == "UNKNOWN_OPERATION"


@pytest.mark.parametrize("arguments", [["whoami"], ["token-keys", "list"], ["user", "list"]])
def test_the_command(based: Service, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`greenroom admin` takes the endpoint that the clients have, passed on and cut off."""
    monkeypatch.setenv("GREENROOM_DATA_DIR", str(based.ready["data_dir"]))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with cutting(based, BASE) as url:
        for endpoint in (based.api_url, url):
            called = ["admin", *arguments, "--endpoint-url", endpoint + BASE]
            result = CliRunner().invoke(main, called)
            assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def outcomes(based: Service) -> Outcomes:
    """Return how the calls of the SDKs for JavaScript went."""
    return PROGRAM.run(based, basePath=BASE)


@pytest.mark.parametrize("name", PROGRAM.names)
def test_javascript(outcomes: Outcomes, name: str) -> None:
    """Versions 2 and 3 take the same endpoints."""
    cases.check(outcomes, name)
