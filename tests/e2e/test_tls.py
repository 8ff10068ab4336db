"""TLS in the process: real clients over https and wss, and certificates that change."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.entrance.dev_certificate import CERTIFICATE_NAME, KEY_NAME, dev_certificate
from tests.running.command import greenroom
from tests.running.said import banner, until
from tests.running.service import Service, running
from tests.running.wire import PATIENCE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a certificate for development."""
    directory = tmp_path_factory.mktemp("tls") / "data"
    with running(directory, "--dev-tls", GREENROOM_LOG_FORMAT="json") as service:
        yield service
        assert service.process.poll() is None
        for word in ("crashed", "fault in the event loop", "Traceback"):
            assert word not in service.log.read_text()


def trusting(service: Service, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts the service's certificate and nothing else."""
    context = ssl.create_default_context(cafile=service.ready["certificate_to_trust"])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@contextlib.asynccontextmanager
async def viewer(service: Service, room: str, user: str) -> Any:
    """Give an open WebSocket."""
    token = await asyncio.to_thread(service.token, room, user)
    async with connect(
        service.websocket_url,
        ssl=trusting(service),
        subprotocols=[Subprotocol(token)],
        open_timeout=PATIENCE,
    ) as socket:
        yield socket


async def heard(socket: ClientConnection) -> Any:
    """Return the next frame's JSON."""
    async with asyncio.timeout(PATIENCE):
        return json.loads(await socket.recv())


def peer(service: Service) -> socket.socket:
    """Return a TCP connection to the service."""
    host, port = re.findall(r"https://(.+):(\d+)$", service.api_url)[0]
    connected = socket.create_connection((host, int(port)), timeout=PATIENCE)
    connected.settimeout(PATIENCE)
    return connected


def test_the_urls_say_that_they_are_secure(service: Service) -> None:
    """The ready file and the banner show https and wss, and which certificate to trust."""
    assert service.api_url.startswith("https://")
    assert service.websocket_url.startswith("wss://")
    assert service.ready["health_url"].startswith("https://")
    file = service.ready["certificate_to_trust"]
    shown = banner(service)
    assert f"trust {file}" in shown
    assert f"--ca-bundle {file}" in shown
    assert Path(file).with_name(KEY_NAME).stat().st_mode & 0o777 == 0o600


async def test_chat_over_tls(service: Service) -> None:
    """Messages, events and kicks reach everybody over wss, in order, whatever their size."""
    room = service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"]
    async with viewer(service, room, "ann") as ann, viewer(service, room, "bob") as bob:
        for number in range(8):
            content = f"{number} " + "€" * 490
            await ann.send(json.dumps({"Action": "SEND_MESSAGE", "Content": content}))
            for each in (ann, bob):
                assert (await heard(each))["Content"] == content
        kick = {"Action": "DISCONNECT_USER", "UserId": "bob", "Reason": "enough"}
        await ann.send(json.dumps(kick))
        assert (await heard(bob))["EventName"] == "aws:DISCONNECT_USER"
        await bob.wait_closed()
        assert (bob.close_code, bob.close_reason) == (1000, "enough")


async def test_a_protocol_fault_over_tls_gets_its_close_code(service: Service) -> None:
    """A client that breaks the protocol sees why, also where a side cannot be ended alone."""
    room = service.boto3().create_room()["arn"]
    async with viewer(service, room, "ann") as ann:
        ann.transport.write(b"\x81\x05hello")
        await ann.wait_closed()
        assert ann.close_code == 1002


async def test_a_slow_reader_over_tls_gets_everything(service: Service) -> None:
    """What the kernel does not take at once waits, and arrives whole and in order."""
    room = service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"]
    client = service.boto3()
    async with viewer(service, room, "ann") as ann:
        ann.transport.pause_reading()
        for number in range(60):
            attributes = {"pad": "\x01" * 900}
            await asyncio.to_thread(
                client.send_event,
                roomIdentifier=room,
                eventName=f"e{number}",
                attributes=attributes,
            )
        ann.transport.resume_reading()
        names = [(await heard(ann))["EventName"] for _ in range(60)]
        assert names == [f"e{number}" for number in range(60)]


def test_plain_clients_connect(service: Service) -> None:
    """A client of the standard library checks the certificate and gets its answer."""
    with urllib.request.urlopen(
        service.ready["health_url"], context=trusting(service), timeout=PATIENCE
    ) as answer:
        assert json.load(answer)["status"] == "ok"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(service: Service, version: ssl.TLSVersion) -> None:
    """A client that comes again with its ticket makes a short handshake."""
    context = trusting(service, version)
    reused, session = [], None
    for _ in range(2):
        with context.wrap_socket(
            peer(service), server_hostname="127.0.0.1", session=session
        ) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            reused.append(client.session_reused)
            session = client.session
    assert reused == [False, True]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused(service: Service) -> None:
    """TLS 1.1 is not spoken."""
    context = trusting(service)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with peer(service) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def answered(plain: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    data = b""
    while more := plain.recv(1000):
        data += more
    return data


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", id="a browser"),
        pytest.param(
            b"POST /ListRooms HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", id="an SDK"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            id="a WebSocket",
        ),
        pytest.param(b"G", id="a beginning"),
    ],
)
def test_plain_http_is_told_to_use_tls(service: Service, request_: bytes) -> None:
    """A request in clear is answered in clear, so that its client shows what is wrong."""
    with peer(service) as plain:
        plain.sendall(request_)
        head, _, body = answered(plain).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"use https:// or wss://" in json.loads(body)["message"].encode()
    assert f"content-length: {len(body)}".encode() in head


def test_who_sends_in_clear_without_end_is_let_go(service: Service) -> None:
    """What follows the answer is read for a moment only."""
    with peer(service) as plain, contextlib.suppress(ConnectionError):
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            plain.sendall(b"A" * 1000)
            time.sleep(0.05)
        pytest.fail("still connected")


def test_plain_http_behind_a_tcp_proxy(tmp_path: Path) -> None:
    """What the proxy says of its client comes first; the client is told all the same."""
    settings = {"GREENROOM_PROXY_PROTOCOL": "on", "GREENROOM_TRUSTED_PROXIES": "127.0.0.1"}
    with running(tmp_path / "data", "--dev-tls", **settings) as service, peer(service) as plain:
        plain.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n")
        plain.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"This port speaks TLS" in answered(plain)


def test_bytes_that_are_nothing_are_only_closed(service: Service) -> None:
    """Bytes that are neither TLS nor HTTP end their connection, and nothing else."""
    with peer(service) as plain, contextlib.suppress(ConnectionError):
        plain.sendall(b"\x00\x01\x02")
        plain.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in answered(plain)


async def test_clients_show_what_they_are_told(service: Service) -> None:
    """boto3 and the command say that the scheme is the wrong one, either way."""
    client = boto3.client(
        "ivschat",
        endpoint_url=service.api_url.replace("https", "http"),
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret",
    )
    with pytest.raises(ClientError, match="This port speaks TLS: use https://"):
        await asyncio.to_thread(client.list_rooms)
    key = {"AWS_ACCESS_KEY_ID": "A" * 20, "AWS_SECRET_ACCESS_KEY": "s"}
    for command in (["whoami"], ["token-keys", "list"]):
        url = service.api_url.replace("https", "http")
        ended = CliRunner().invoke(main, ["admin", *command, "--endpoint-url", url], env=key)
        assert ended.exit_code == ExitCode.UNREACHABLE
        assert "This port speaks TLS: use https://" in ended.stderr


def test_tls_to_a_plain_port(tmp_path: Path) -> None:
    """The command names the other mistake, too."""
    key = {"AWS_ACCESS_KEY_ID": "A" * 20, "AWS_SECRET_ACCESS_KEY": "s"}
    with running(tmp_path / "data") as service:
        url = service.api_url.replace("http", "https")
        ended = CliRunner().invoke(main, ["admin", "whoami", "--endpoint-url", url], env=key)
    assert ended.exit_code == ExitCode.UNREACHABLE
    assert "it does not speak TLS: use http://" in ended.stderr


def test_a_client_at_rest_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Between two requests nobody's end is waited for, as without TLS: pools keep connections."""
    limits = {"GREENROOM_CLOSE_TIMEOUT_SECONDS": "300", "GREENROOM_DRAIN_TIMEOUT_SECONDS": "300"}
    with (
        running(tmp_path / "data", "--dev-tls", **limits) as service,
        trusting(service).wrap_socket(peer(service), server_hostname="127.0.0.1") as client,
    ):
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert service.stop() == 0
        assert client.recv(4096) == b""


def test_the_handshake_deadline_counts_from_the_accept(tmp_path: Path) -> None:
    """Who says nothing is let go, before the TLS handshake, in it and after it."""
    with running(
        tmp_path / "data", "--dev-tls", GREENROOM_HANDSHAKE_TIMEOUT_SECONDS="1"
    ) as service:
        silent, part = peer(service), peer(service)
        part.sendall(b"\x16\x03\x01\x02\x00\x01")
        done = trusting(service).wrap_socket(peer(service), server_hostname="127.0.0.1")
        with silent, part, done:
            assert silent.recv(100) == b""
            with contextlib.suppress(ConnectionError):
                while part.recv(100):
                    pass
            assert done.recv(100).startswith(b"HTTP/1.1 408 ")
        assert service.stop() == 0


def serial(service: Service) -> str:
    """Return the certificate that a new connection is shown."""
    address = peer(service)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(address) as client:
        shown = client.getpeercert(binary_form=True)
    assert shown
    return ssl.DER_cert_to_PEM_cert(shown)


async def shows(service: Service, wanted: str) -> None:
    """Wait for a certificate."""
    await asyncio.to_thread(until, lambda: serial(service) == wanted, "the certificate changes")


async def test_certificates_change_while_it_serves(tmp_path: Path) -> None:
    """New files are used after SIGHUP and by themselves, a bad pair never; viewers stay."""
    first, second, third = (
        dev_certificate(tmp_path / name, "localhost") for name in ("first", "second", "third")
    )
    used = tmp_path / "used.pem", tmp_path / "used.key"
    for source, target in zip(first, used, strict=True):
        shutil.copy(source, target)
    files = {
        "GREENROOM_TLS_CERTIFICATE_FILE": str(used[0]),
        "GREENROOM_TLS_KEY_FILE": str(used[1]),
    }
    with running(tmp_path / "data", GREENROOM_LOG_FORMAT="json", **files) as service:
        assert service.ready["certificate_to_trust"] is None
        service.ready["certificate_to_trust"] = str(first[0])
        room = service.boto3().create_room()["arn"]
        async with viewer(service, room, "ann") as ann:
            shutil.copy(second[0], used[0])
            service.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(
                until,
                lambda: "the key is not the certificate's" in service.log.read_text(),
                "the pair is refused",
            )
            assert serial(service) == first[0].read_text()
            shutil.copy(second[1], used[1])
            service.process.send_signal(signal.SIGHUP)
            await shows(service, second[0].read_text())
            for source, target in zip(third, used, strict=True):
                shutil.copy(source, target)
            await shows(service, third[0].read_text())
            await ann.send(json.dumps({"Action": "SEND_MESSAGE", "Content": "still here"}))
            assert (await heard(ann))["Content"] == "still here"
        assert service.stop() == 0


def refused(tmp_path: Path, *options: str, **variables: str) -> str:
    """Return the one line of a start that is refused."""
    words = ("serve", "--port", "0", "--data-dir", tmp_path / "data", *options)
    done = greenroom(*words, **variables)
    assert done.returncode == 2, done
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        pytest.param("none", "a.key", "cannot be read: No such file", id="no certificate"),
        pytest.param("a.pem", "none", "cannot be read: No such file", id="no key"),
        pytest.param("a.pem", "b.key", "the key is not the certificate's", id="mismatch"),
        pytest.param("a.key", "a.key", "not valid PEM", id="key as certificate"),
        pytest.param("a.pem", "a.pem", "not valid PEM", id="certificate as key"),
        pytest.param("a.pem", "sealed.key", "is encrypted", id="encrypted key"),
        pytest.param("a.pem", "", "go together", id="only one"),
    ],
)
def test_files_that_cannot_be_used_refuse_the_start(
    tmp_path: Path, certificate: str, key: str, why: str
) -> None:
    """One line says which file it is, and what is wrong with it; nothing was written."""
    for name in "ab":
        made = dev_certificate(tmp_path / name, "localhost")
        shutil.copy(made[0], tmp_path / f"{name}.pem")
        shutil.copy(made[1], tmp_path / f"{name}.key")
    key_of_a = serialization.load_pem_private_key((tmp_path / "a.key").read_bytes(), None)
    (tmp_path / "sealed.key").write_bytes(
        key_of_a.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    files = {"TLS_CERTIFICATE_FILE": certificate, "TLS_KEY_FILE": key}
    variables = {f"GREENROOM_{name}": str(tmp_path / file) for name, file in files.items() if file}
    assert why in refused(tmp_path, **variables)
    assert not (tmp_path / "data").exists()


def test_the_certificate_for_development_is_kept(tmp_path: Path) -> None:
    """It is the same after a restart, and a new one for another host."""
    first = dev_certificate(tmp_path, "localhost")[0].read_text()
    assert dev_certificate(tmp_path, "127.0.0.1")[0].read_text() == first
    other = dev_certificate(tmp_path, "chat.example")[0].read_text()
    assert other != first
    assert dev_certificate(tmp_path, "localhost")[0].read_text() == other
    (tmp_path / CERTIFICATE_NAME).write_text("damaged")
    assert dev_certificate(tmp_path, "localhost")[0].read_text() != other
