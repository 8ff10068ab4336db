"""Raw HTTP against the real process: every request gets an answer that names what was wrong."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom import __version__
from tests.running.asked import PROCESSES
from tests.running.service import Service, running
from tests.running.wire import (
    Answer,
    Closed,
    Peer,
    http_bytes,
    signed_bytes,
    token_line,
    upgrade_bytes,
)

REQUEST_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
BODY_BYTES = 1_048_576
FORM_BYTES = 393_216
HEAD_BYTES = 65_536


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that after all the tests is as well as before them."""
    data_dir = tmp_path_factory.mktemp("http") / "data"
    with running(data_dir) as started:
        yield started
        room = started.boto3().create_room(name="afterwards")
        assert started.boto3().get_room(identifier=room["arn"])["name"] == "afterwards"
        assert not re.search("crashed|failed", started.log.read_text())


@pytest.fixture(scope="module")
def hasty_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that gives a client one second for its request."""
    data_dir = tmp_path_factory.mktemp("hasty") / "data"
    with running(data_dir, GREENROOM_HANDSHAKE_TIMEOUT_SECONDS="1") as started:
        yield started


@pytest.fixture
def peer(service: Service) -> Iterator[Peer]:
    """Return a connection to the service."""
    with Peer(service) as connected:
        yield connected


def ask(service: Service, *parts: bytes, method: str = "POST") -> Answer:
    """Send a request on a connection of its own; return its answer, which is no 5xx."""
    with Peer(service) as peer:
        for part in parts:
            peer.send(part)
        answer = peer.read_answer(method)
    assert answer.status < 500
    return answer


def is_json(answer: Answer) -> bool:
    """Return whether an answer has what each must have: a request id, and JSON."""
    assert re.fullmatch(REQUEST_ID, answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", answer.headers["date"])
    return isinstance(answer.json, dict)


def refused(answer: Answer, status: int, code: str) -> Any:
    """Check that an answer is this error, in both places; return its body."""
    assert is_json(answer)
    body = answer.json
    assert (answer.status, answer.headers["x-amzn-errortype"], body["__type"]) == (
        *(status, code),
        code,
    )
    assert body["message"]
    return body


def list_rooms(service: Service, body: bytes = b"{}", **headers: str) -> bytes:
    """Return a signed ListRooms; names of headers have `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return signed_bytes(service, "POST", "/ListRooms", body, headers=given)


def unsigned(service: Service, target: str = "/ListRooms", **headers: str) -> bytes:
    """Return a request without a signature."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_bytes("POST", target, {"host": "localhost", **given}, b"{}")


# ------------------------------------------------------------------------------ browsers, probes


def test_preflight(service: Service) -> None:
    """A preflight needs no signature, and allows what the SDKs in browsers ask for."""
    asked = (
        "amz-sdk-invocation-id,amz-sdk-request,authorization,content-type,"
        "x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-user-agent"
    )
    headers = {
        "host": "localhost",
        "origin": "https://example.com",
        "access-control-request-method": "DELETE",
        "access-control-request-headers": asked,
    }
    answer = ask(service, http_bytes("OPTIONS", "/tags/arn%3Aaws", headers), method="OPTIONS")
    allowed = answer.headers["access-control-allow-headers"].split(",")
    methods = answer.headers["access-control-allow-methods"].split(",")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert set(asked.split(",")) <= set(allowed)
    assert {"GET", "POST", "DELETE"} <= set(methods)
    assert "authorization" in allowed, "a star would not cover it"


def test_browsers_may_read_every_answer(service: Service) -> None:
    """Success and error are open to scripts, with the error's type, request id and date."""
    for answer in (
        ask(service, list_rooms(service)),
        ask(service, unsigned(service)),
        ask(service, list_rooms(service, b"[]")),
        ask(service, list_rooms(service, b" " * (BODY_BYTES + 1))),
    ):
        exposed = answer.headers["access-control-expose-headers"].lower().split(",")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"x-amzn-errortype", "x-amzn-requestid", "date"} <= set(exposed)


def test_health(service: Service) -> None:
    """A probe asks without a signature, by GET or HEAD, and caches keep nothing."""
    answer = ask(service, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    each = {str(number): "ok" for number in range(1, PROCESSES + 1)}
    processes = {"processes": each} if PROCESSES > 1 else {}
    assert answer.status == 200
    assert answer.json == {"status": "ok", "version": __version__, **processes}
    assert answer.headers["cache-control"] == "no-store"
    head = ask(service, b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    posted = ask(service, unsigned(service, "/health"))
    refused(posted, 403, "MissingAuthenticationTokenException")


def test_the_page_for_browsers(service: Service) -> None:
    """Who opens the address reads what this is, and nothing of what he sent; others get JSON."""
    accept = {"host": "evil.example", "accept": "text/html,*/*;q=0.8", "user-agent": "<script>"}
    answer = ask(service, http_bytes("GET", "/", accept))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert b"Amazon IVS Chat" in answer.body
    for word in (b"evil.example", b"script"):
        assert word not in answer.body
    assert ask(service, http_bytes("HEAD", "/", accept), method="HEAD").status == 200
    again = ask(service, http_bytes("GET", "/", {**accept, "host": "other"}))
    assert again.body == answer.body
    for other in (
        http_bytes("GET", "/", {"host": "h", "accept": "*/*"}),
        http_bytes("GET", "/ListRooms", accept),
        http_bytes("POST", "/", accept),
    ):
        refused(ask(service, other), 403, "MissingAuthenticationTokenException")


# ------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/NoSuchOperation"),
        ("POST", "/listrooms"),
        ("POST", "/ListRooms/"),
        ("POST", "/x//ListRooms"),
        ("POST", "/chat/ListRooms"),
        ("POST", "/"),
        ("GET", "/ListRooms"),
        ("PUT", "/ListRooms"),
        ("PATCH", "/tags/arn"),
        ("DELETE", "/DeleteRoom"),
        ("HEAD", "/ListRooms"),
        ("GET", "/tags/"),
        ("POST", "/%4CistRooms"),
        ("POST", "/../ListRooms"),
    ],
)
def test_unknown_operation(service: Service, method: str, path: str) -> None:
    """A signed request for no operation is a ValidationException with its own reason."""
    answer = ask(service, signed_bytes(service, method, path), method=method)
    if method == "HEAD":
        assert (answer.status, answer.body) == (400, b"")
        assert answer.headers["x-amzn-errortype"] == "ValidationException"
    else:
        body = refused(answer, 400, "ValidationException")
        assert (body["reason"], "fieldList" in body) == ("UNKNOWN_OPERATION", False)


@pytest.mark.parametrize("path", ["//ListRooms", "///ListRooms"])
def test_slashes_at_the_beginning(service: Service, path: str) -> None:
    """A client that joins an endpoint with a slash at its end and a path means the path."""
    assert ask(service, signed_bytes(service, "POST", path)).status == 200
    health = ask(service, http_bytes("GET", "//health", {"host": "h"}))
    assert health.json["status"] == "ok"


def test_an_arn_in_the_path_may_be_plain_or_encoded(service: Service) -> None:
    """SDKs encode the ARN in a path as one segment, people often do not."""
    arn = service.boto3().create_room(tags={"k": "v"})["arn"]
    for path in (arn, arn.replace(":", "%3A").replace("/", "%2F"), arn.replace(":", "%3a")):
        answer = ask(service, signed_bytes(service, "GET", f"/tags/{path}"))
        assert (answer.status, answer.json) == (200, {"tags": {"k": "v"}})


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b'{"name":}', b'{"name":"a"', b"{}{}", b"{'name':'a'}", b"\xef\xbb\xbf{}"),
        *(b'{"name":"\xff"}', b'{"name":"\xed\xa0\x80"}', b'{"maxResults":1e}', b"\x00"),
        *(b"[]", b"[{}]", b'"text"', b"1", b"null", b"true"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b"\x1f\x8b\x08\x00"),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_object(service: Service, body: bytes) -> None:
    """Bad JSON, and JSON that is no object, is refused as such without a word of it."""
    said = refused(ask(service, list_rooms(service, body)), 400, "ValidationException")
    assert (said["reason"], "fieldList" in said) == ("OTHER", False)


@pytest.mark.parametrize("body", [b"", b"{}", b' {"nextToken":null,"unknown":[1]}\n'])
def test_a_body_that_asks_for_nothing(service: Service, body: bytes) -> None:
    """An empty body is an empty object; null and unknown members are not there."""
    answer = ask(service, list_rooms(service, body))
    assert is_json(answer)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/x-amz-json-1.1", 200),
        ("text/plain", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        ("\xff", 415),
    ],
)
def test_content_type(service: Service, content_type: str, status: int) -> None:
    """Only JSON's content types are read as JSON."""
    answer = ask(service, list_rooms(service, content_type=content_type))
    assert is_json(answer)
    assert answer.status == status
    if status == 415:
        refused(answer, 415, "UnsupportedMediaTypeException")


# --------------------------------------------------------------------------------- size of bodies


def test_the_largest_body(service: Service) -> None:
    """A body of the largest size is read."""
    answer = ask(service, list_rooms(service, b"{}".ljust(BODY_BYTES)))
    assert answer.status == 200


def test_a_body_that_is_too_large(service: Service, peer: Peer) -> None:
    """One byte more is 413, before any other fault, and the connection is good for the next."""
    peer.send(http_bytes("POST", "/x", {"host": "localhost"}, b" " * (BODY_BYTES + 1)))
    refused(peer.read_answer(), 413, "RequestEntityTooLargeException")
    peer.send(list_rooms(service))
    assert peer.read_answer().status == 200


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_the_largest_form(service: Service, more: int, status: int) -> None:
    """A form of IAM and STS has a bound of its own: what is escaped takes longer to read."""
    body = b"Action=GetCallerIdentity&Version=2011-06-15&X="
    body += b"%41" * ((FORM_BYTES - len(body)) // 3)
    body += b"a" * (FORM_BYTES - len(body) + more)
    form = {"content-type": "application/x-www-form-urlencoded"}
    request = signed_bytes(service, "POST", "/", body, headers=form, scope="sts")
    assert ask(service, request).status == status


def test_a_chunked_body_that_is_too_large(service: Service, peer: Peer) -> None:
    """A body whose length nobody announced is counted as it comes."""
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    peer.send(b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(BODY_BYTES // 0x8000 + 1):
        peer.send(chunk)
    peer.send(b"0\r\n\r\n")
    refused(peer.read_answer(), 413, "RequestEntityTooLargeException")
    peer.send(list_rooms(service))
    assert peer.read_answer().status == 200


def test_a_chunked_body(service: Service) -> None:
    """A body in chunks is the body that was signed."""
    head, _, body = list_rooms(service, b'{"maxResults":1}').partition(b"\r\n\r\n")
    head = head.replace(b"content-length: 16", b"transfer-encoding: chunked")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    assert ask(service, head + b"\r\n\r\n", chunks, b"0\r\n\r\n").status == 200


def test_expected_continue(service: Service, peer: Peer) -> None:
    """A client that waits for 100 Continue before it sends its body gets it."""
    head, _, body = list_rooms(service).partition(b"\r\n\r\n")
    peer.send(head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert peer.read_answer().status == 100
    peer.send(body)
    assert peer.read_answer().status == 200


# ----------------------------------------------------------------------------------- signatures


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 403, "MissingAuthenticationTokenException"),
        ("", 400, "IncompleteSignatureException"),
        ("Basic dXNlcjpwYXNz", 400, "IncompleteSignatureException"),
        ("Bearer token", 400, "IncompleteSignatureException"),
        ("AWS AKIAIOSFODNN7EXAMPLE:signature", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 ", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA512 {credential}, {signed}, {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, {signed}", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 {credential}, {signature}", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 {signed}, {signature}", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 {credential} {signed} {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, {credential}, {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, {signed}, {signature}, X=1", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 Credential=key, {signed}, {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 Credential=////, {signed}, {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, SignedHeaders=;, {signature}", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, {signed}, Signature=abc", 400, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 {credential}, {signed}, {signature}", 403, "InvalidSignatureException"),
        ("AWS4-HMAC-SHA256 {credential},{signed},{signature}", 403, "InvalidSignatureException"),
        (
            "AWS4-HMAC-SHA256 {credential}, SignedHeaders=x-amz-date, {signature}",
            403,
            "InvalidSignatureException",
        ),
        ("AWS4-HMAC-SHA256 {other_key}, {signed}, {signature}", 403, "UnrecognizedClientException"),
        ("AWS4-HMAC-SHA256 {other_service}, {signed}, {signature}", 403, "SignatureDoesNotMatch"),
        ("AWS4-HMAC-SHA256 {other_day}, {signed}, {signature}", 403, "SignatureDoesNotMatch"),
        ("\xff\xfe\x80", 400, "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 " + "x" * 20_000, 400, "IncompleteSignatureException"),
    ],
)
def test_authorization(service: Service, header: str | None, status: int, code: str) -> None:
    """Each way in which a signature can be missing, incomplete or wrong has AWS's own name."""
    key, now = service.ready["access_key_id"], time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/us-east-1/ivschat/aws4_request"
    given = {"x_amz_date": now}
    if header is not None:
        given["authorization"] = header.format(
            credential=f"Credential={key}/{scope}",
            other_key=f"Credential=AKIAIOSFODNN7EXAMPLE/{scope}",
            other_service=f"Credential={key}/{scope.replace('ivschat', 'ivs')}",
            other_day=f"Credential={key}/20200714{scope[8:]}",
            signed="SignedHeaders=host;x-amz-date",
            signature=f"Signature={'0' * 64}",
        )
    answer = ask(service, unsigned(service, **given))
    full = f"{code}Exception" if code == "IncompleteSignature" else code
    body = refused(answer, status, full)
    assert "0" * 64 not in body["message"]


def test_authorization_without_a_date(service: Service) -> None:
    """A signature needs the time at which it was made."""
    request = re.sub(rb"x-amz-date: .*\r\n", b"", list_rooms(service))
    refused(ask(service, request), 400, "IncompleteSignatureException")


def test_two_authorizations(service: Service) -> None:
    """A header that has one meaning cannot be there twice."""
    request = re.sub(rb"(authorization: .*\r\n)", rb"\1\1", list_rooms(service))
    refused(ask(service, request), 400, "IncompleteSignatureException")


@pytest.mark.parametrize(
    "payload", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64, "", "\xe9"]
)
def test_payload_that_is_not_the_signed_one(service: Service, payload: str) -> None:
    """The body is always hashed: a signature that leaves it out, or over another, is refused."""
    answer = ask(service, list_rooms(service, x_amz_content_sha256=payload))
    refused(answer, 403, "InvalidSignatureException")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"maxResults":1}', b'{"maxResults":2}'),
        (b"POST /ListRooms ", b"POST /ListRoom "),
        (b"POST /ListRooms ", b"PUT /ListRooms "),
        (b"POST /ListRooms ", b"POST /ListRooms?a=b "),
        (b"content-type: application/json", b"content-type: text/plain"),
        (b"\r\n\r\n", b"\r\nx-amz-user-agent: somebody\r\n\r\n"),
    ],
)
def test_a_request_that_was_changed(service: Service, before: bytes, after: bytes) -> None:
    """Nothing that a signature covers can be changed, and no `x-amz-` header added."""
    request = list_rooms(service, b'{"maxResults":1}')
    assert before in request
    answer = ask(service, request.replace(before, after, 1))
    refused(answer, 403, "InvalidSignatureException")


# ----------------------------------------------------------------------------------- connections


def test_a_connection_serves_many_requests(service: Service, peer: Peer) -> None:
    """A connection is kept, also after refusals."""
    for request, status in [
        (list_rooms(service), 200),
        (unsigned(service), 403),
        (list_rooms(service, b"["), 400),
        (b"\r\n" + list_rooms(service), 200),
    ]:
        peer.send(request)
        assert peer.read_answer().status == status


def test_a_connection_is_closed_when_asked(service: Service, peer: Peer) -> None:
    """`Connection: close` and HTTP/1.0 end the connection after the answer."""
    peer.send(list_rooms(service, connection="close"))
    assert peer.read_answer().headers["connection"] == "close"
    assert peer.read_all() == b""
    with Peer(service) as old:
        old.send(list_rooms(service).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert old.read_answer().status == 200
        assert old.read_all() == b""


def test_pipelined_requests_are_answered_in_order(service: Service, peer: Peer) -> None:
    """Requests sent without waiting are answered one after the other."""
    names = [f"piped-{number}" for number in range(20)]
    bodies = [json.dumps({"name": name}).encode() for name in names]
    peer.send(b"".join(signed_bytes(service, "POST", "/CreateRoom", body) for body in bodies))
    assert [peer.read_answer().json["name"] for _ in names] == names


def test_what_follows_garbage_is_not_answered(service: Service, peer: Peer) -> None:
    """Answers to good requests come before the refusal of a bad one, and then it is over."""
    peer.send(list_rooms(service) * 2 + b"garbage\r\n\r\n" + list_rooms(service))
    assert [peer.read_answer().status for _ in range(2)] == [200, 200]
    refused(peer.read_answer(), 400, "ValidationException")
    assert peer.read_all() == b""


def test_a_request_in_single_bytes(service: Service, peer: Peer) -> None:
    """Where the network cuts a request does not matter."""
    for byte in list_rooms(service):
        peer.send(bytes((byte,)))
    assert peer.read_answer().status == 200


def test_another_protocol_is_not_spoken(service: Service, peer: Peer) -> None:
    """An upgrade to anything but WebSocket is ignored, or refused if a body would be mistaken."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    probe = b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n"
    peer.send(probe + list_rooms(service) + probe)
    assert [peer.read_answer().status for _ in range(3)] == [200] * 3
    peer.send(list_rooms(service).replace(b"\r\n\r\n", b"\r\n" + upgrade + b"\r\n"))
    refused(peer.read_answer(), 400, "ValidationException")
    assert peer.read_all() == b""


# --------------------------------------------------------------------------------- broken requests


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /ListRooms HTTP/9.9\r\n\r\n",
        b"POST ListRooms HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nx-\xc3\xa9: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nx-y: a\x01b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nx-y: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
    ],
    ids=lambda data: repr(data[-40:]),
)
def test_what_is_no_http(peer: Peer, request_bytes: bytes) -> None:
    """Bytes that are no HTTP/1.1 are refused in JSON, and the connection is closed."""
    peer.send(request_bytes)
    refused(peer.read_answer(), 400, "ValidationException")
    assert peer.read_all() == b""


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_request_without_a_host(peer: Peer, version: str) -> None:
    """HTTP/1.1 demands one (RFC 9112, section 3.2), HTTP/1.0 does not."""
    peer.send(b"GET /health HTTP/%b\r\n\r\n" % version.encode())
    answer = peer.read_answer()
    if version == "1.0":
        assert answer.status == 200
    else:
        told = refused(answer, 400, "ValidationException")
        assert told["message"] == "The request must have one Host"


def test_an_upgrade_without_a_host(peer: Peer) -> None:
    """It is refused like any other request, in one read or in two."""
    peer.send(upgrade_bytes(token_line("token")).replace(b"Host: localhost\r\n", b""))
    refused(peer.read_answer(), 400, "ValidationException")


@pytest.mark.parametrize(
    "codings", ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "x,Chunked"]
)
def test_a_coding_that_is_not_known(peer: Peer, codings: str) -> None:
    """A body is never taken for plain that is coded otherwise (RFC 9112, section 6.1)."""
    head = f"POST /ListRooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {codings}\r\n\r\n"
    peer.send(head.encode() + b"2\r\n{}\r\n0\r\n\r\n")
    told = refused(peer.read_answer(), 501, "ValidationException")
    assert told["message"] == "Transfer-Encoding may be chunked, and no other coding"
    assert peer.read_all() == b""


def test_bytes_beyond_ascii_in_a_header(service: Service) -> None:
    """A header's value may hold any bytes; signed ones are signed as they are."""
    unsigned_one = list_rooms(service).replace(b"\r\n\r\n", b"\r\nx-name: \xff\xc3\xa9\r\n\r\n")
    assert ask(service, unsigned_one).status == 200
    assert ask(service, list_rooms(service, x_name="\xff\xc3\xa9")).status == 200


@pytest.mark.parametrize(
    "more",
    [
        b"".join(b"x-%d: 1\r\n" % number for number in range(2000)),
        b"x-large: %b\r\n" % (b"a" * HEAD_BYTES),
        b"x-%b: 1\r\n" % (b"a" * HEAD_BYTES),
        b"".join(b"x-%d: %b\r\n" % (number, b"a" * 1000) for number in range(70)),
        b"x-endless: %b" % (b"a" * 1_000_000),
    ],
    ids=["2000 headers", "large value", "large name", "many large values", "endless value"],
)
def test_a_head_that_is_too_large(peer: Peer, more: bytes) -> None:
    """Too many or too large headers are 431: the answer arrives although the client sends on."""
    peer.send(b"POST /ListRooms HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n")
    refused(peer.read_answer(), 431, "ValidationException")
    assert peer.read_all() == b""


def test_a_target_that_is_too_large(peer: Peer) -> None:
    """A request line beyond the bound is 431 as well."""
    peer.send(b"POST /ListRooms?%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * HEAD_BYTES))
    refused(peer.read_answer(), 431, "ValidationException")


def test_a_large_head_in_pieces(service: Service, peer: Peer) -> None:
    """A head within the bound is taken however it is cut."""
    headers = {f"x-large-{number}": "a" * 1000 for number in range(60)}
    request = signed_bytes(service, "POST", "/ListRooms", b"{}", headers=headers)
    for start in range(0, len(request), 5000):
        peer.send(request[start : start + 5000])
    assert peer.read_answer().status == 200


def test_a_target_for_somebody_else(service: Service, peer: Peer) -> None:
    """A URL as the target must name the same as `Host`; no request has two of those."""
    request = list_rooms(service)
    host = re.search(rb"host: (\S+)", request)
    assert host
    own = request.replace(b" /", b" http://" + host[1] + b"/", 1)
    peer.send(own)
    assert peer.read_answer().status == 200
    peer.send(request.replace(b" /", b" http://example.com/", 1))
    refused(peer.read_answer(), 400, "ValidationException")
    twice = request.replace(b"host: ", b"host: example.com\r\nhost: ", 1)
    refused(ask(service, twice), 400, "ValidationException")


def test_clients_that_go_away(service: Service) -> None:
    """Half a head, half a body, a reset, and nothing at all: nobody waits for the rest."""
    request = list_rooms(service, b'{"maxResults":1}')
    for part in (b"", b"PO", request[:100], request[:-5], request):
        with Peer(service) as gone:
            gone.send(part)
        with Peer(service) as reset:
            reset.send(part)
            reset.vanish()
        with Peer(service) as ended:
            ended.send(part)
            ended.end()
            ended.read_all()
    assert ask(service, list_rooms(service)).status == 200


# -------------------------------------------------------------------------------- slow requests


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b"", "headers"),
        (b"POST /ListRooms HTT", "headers"),
        (b"POST /ListRooms HTTP/1.1\r\nHost: localhost\r\n", "headers"),
        (b"POST /ListRooms HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", "body"),
        (b"POST /ListRooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", "body"),
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunk"],
)
def test_a_slow_request_is_cut(hasty_service: Service, sent: bytes, word: str) -> None:
    """A client that does not finish its head or its body in time is told so, and cut."""
    with Peer(hasty_service) as peer:
        peer.send(sent)
        answer = peer.read_answer()
        assert word in refused(answer, 408, "ValidationException")["message"]
        assert peer.read_all() == b""


def test_a_slow_second_request_is_cut(hasty_service: Service) -> None:
    """The time counts for every request of a connection; between two of them it may rest."""
    request = list_rooms(hasty_service)
    with Peer(hasty_service) as peer:
        peer.send(request)
        assert peer.read_answer().status == 200
        peer.send(b"POST /ListRooms HTT")
        refused(peer.read_answer(), 408, "ValidationException")
        with pytest.raises(Closed):
            peer.read(1)
