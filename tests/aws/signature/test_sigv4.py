from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given
from hypothesis import strategies as st

from greenroom.aws.signature.sigv4 import (
    WINDOW_SECONDS,
    Authorization,
    Request,
    authorization_of,
    sign,
    verify,
)
from greenroom.model.errors import (
    AuthenticationError,
    IncompleteSignatureException,
    InvalidSignatureException,
    RequestExpired,
    ServiceError,
    SignatureDoesNotMatch,
)

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
MISMATCH = "The request signature we calculated does not match"
FROM_HTTP = "does not match YYYYMMDD from ISO-8601 version of date from HTTP, which is '20150830'"
HOST = ("host", "127.0.0.1:8470")
ARN = "arn%3Aaws%3Aivschat%3Aus-east-1%3A123456789012%3Aroom%2FAbCdEf123456"


def signed(
    request: Request, now: float = NOW, service: str = "ivschat", token: str | None = None
) -> Request:
    """Return the request with the headers of our own signer."""
    added = sign(request, "AKIDEXAMPLE", SECRET, "us-east-1", service, now, token)
    return msgspec.structs.replace(request, headers=(*request.headers, *added.items()))


def accept(
    request: Request, now: float = NOW, service: str = "ivschat", secret: str = SECRET
) -> Authorization:
    """Verify the request as the service does, and return its authorization."""
    authorization = authorization_of(request)
    verify(request, authorization, secret, now, service)
    return authorization


POST = Request(
    "POST", "/CreateRoom", "", (HOST, ("content-type", "application/json")), b'{"name":"a"}'
)
GET = Request("GET", f"/tags/{ARN}", "", (HOST,), b"")


# ----------------------------------------------------------------------- AWS's published vectors


class Vector(NamedTuple):
    """One case of AWS's Signature Version 4 test suite, normalised paths, without `host`."""

    name: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    in_header: str
    """The signature of the header form, and of the query form."""
    in_query: str
    token: str | None = None


UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VANILLA = (
    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d",
)
FORM_TYPE = "application/x-www-form-urlencoded"

VECTORS = (
    Vector("vanilla", "GET", "/", "", (), b"", *VANILLA),
    Vector("relative", "GET", "/example/..", "", (), b"", *VANILLA),
    Vector("relative-relative", "GET", "/example1/example2/../..", "", (), b"", *VANILLA),
    Vector("slash-dot-slash", "GET", "/./", "", (), b"", *VANILLA),
    Vector("slash", "GET", "//", "", (), b"", *VANILLA),
    Vector(
        *("slash-pointless-dot", "GET", "/./example", "", (), b""),
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        "35034b1a0bdd969f346975386daf8aedfd4976573b8348cf4f67eaa41c5857de",
    ),
    Vector(
        *("slashes", "GET", "//example//", "", (), b""),
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        "c1834e8fb0307243711f0f907f6ab7311ed300d87f13792d7ee4da89ab93e082",
    ),
    Vector(
        *("space", "GET", "/example space/", "", (), b""),
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        "7a1f416954786484c9824d93c1f26ef64acb9b1b6c9154d08c9f07d0e394abf6",
    ),
    Vector(
        *("unreserved", "GET", f"/{UNRESERVED}", "", (), b""),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        "95968482db1b9e0fadef6efc1bd24689f77c77d9ef56919c96a28cc92e0d6005",
    ),
    Vector(
        *("utf8", "GET", "/ሴ".encode().decode("latin-1"), "", (), b""),
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        "10eae3f14a260bd3911cc6d008d3c576d143b05b62f09782a7a4b37f52178e44",
    ),
    Vector(
        *("utf8-query", "GET", "/", "ሴ=bar".encode().decode("latin-1"), (), b""),
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600",
    ),
    Vector(
        *("query-order-encoded", "GET", "/", "Param-3=Value3&Param=Value2&%E1%88%B4=Value1"),
        *((), b""),
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
    ),
    Vector(
        *("query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", (), b""),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
    ),
    Vector(
        *("query-unreserved", "GET", "/", f"{UNRESERVED}={UNRESERVED}", (), b""),
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf",
    ),
    Vector(
        *("header-key-duplicate", "GET", "/", ""),
        (("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")),
        b"",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        "3349ee0b81b4b589da0ff28a395c3591e04de515651dd74f298fa992d1507a97",
    ),
    Vector(
        *("header-value-trim", "GET", "/", ""),
        (("my-header1", " value1"), ("my-header2", ' "a   b   c"')),
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        "e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4",
    ),
    Vector(
        *("session-token", "GET", "/", "", (), b""),
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c",
        "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
    ),
    Vector(
        *("post", "POST", "/", "", (), b""),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        "2ce6e6d2e0cf2f9d1b55fafec88cd20574c31dc2e7631979f71ba2310083e95b",
    ),
    Vector(
        *("post-header-value-case", "POST", "/", "", (("my-header1", "VALUE1"),), b""),
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        "0698bc9e4f7f9139065ba2909c0e99da257e8e2a42492a097bcd46d792391fed",
    ),
    Vector(
        *("post-query", "POST", "/", "Param1=value1", (), b""),
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        "a9ef26247f293bffe40eeff86a0480ba8c14d31503b2e0c3399e3a16bf1a3682",
    ),
    Vector(
        *("post-form", "POST", "/", ""),
        (("content-type", FORM_TYPE), ("content-length", "13")),
        b"Param1=value1",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        "89a40deed0f26f9461242825a082d2222717248abc7ab41f552ad84a94ad46e9",
    ),
    Vector(
        *("post-form-parameters", "POST", "/", ""),
        (("content-type", f"{FORM_TYPE}; charset=utf-8"), ("content-length", "13")),
        b"Param1=value1",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        "0dbeb9b026c7b6675f266b8427efec9b4fa8b1f6ef1477d717aea231106eab4d",
    ),
)

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


@each_vector
def test_the_published_signatures_in_the_header_are_made_and_accepted(vector: Vector) -> None:
    """AWS's test suite: the signature comes out of our signer, and passes our verification."""
    headers = (("host", "example.amazonaws.com"), *vector.headers)
    if vector.body:
        headers = (*headers, ("x-amz-content-sha256", sha256(vector.body).hexdigest()))
    request = Request(vector.method, vector.path, vector.query, headers, vector.body)
    request = signed(request, service="service", token=vector.token)
    assert dict(request.headers)["authorization"].endswith(f" Signature={vector.in_header}")
    assert accept(request, service="service").session_token == vector.token


@each_vector
def test_the_published_signatures_in_the_query_are_accepted(vector: Vector) -> None:
    """AWS's test suite, presigned: good for an hour, `host` and the case's headers signed."""
    names = ";".join(sorted({"host", *(name for name, _ in vector.headers)}))
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request",
        "X-Amz-Date": "20150830T123600Z",
        "X-Amz-SignedHeaders": names,
        "X-Amz-Expires": "3600",
        **({"X-Amz-Security-Token": vector.token} if vector.token else {}),
        "X-Amz-Signature": vector.in_query,
    }
    pairs = [f"{name}={quote(value, safe='')}" for name, value in parameters.items()]
    query = "&".join([vector.query, *pairs] if vector.query else pairs)
    headers = (("host", "example.amazonaws.com"), *vector.headers)
    request = Request(vector.method, vector.path, query, headers, vector.body)
    assert accept(request, NOW + 3600, "service").expires == 3600


# ---------------------------------------------------------------------- botocore as the oracle

path_segments = st.text(max_size=6).map(lambda text: quote(text, safe="")) | st.sampled_from(
    ["", ".", "..", "a:b", "a+b", "~", "tags", "arn%3Aaws", "!'()*@,;=&$"]
)
raw_paths = st.lists(path_segments, max_size=4).map(lambda segments: "/" + "/".join(segments))
query_parts = st.text(max_size=6).map(lambda text: quote(text, safe="-_.~"))
query_strings = st.lists(st.tuples(query_parts, query_parts).map("=".join), max_size=5).map(
    "&".join
)
header_names = st.sampled_from(
    ["content-type", "x-amz-user-agent", "x-amz-target", "amz-sdk-request", "content-length", "b3"]
)
header_values = st.text(st.sampled_from(" \tabZ09\"',;=/\\é😀à"), max_size=12)
bodies = st.binary(max_size=40)


class Sent(NamedTuple):
    """A request as a client of botocore makes it."""

    method: str
    raw_path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    token: str | None


sent_requests = st.builds(
    Sent,
    st.sampled_from(["GET", "POST", "DELETE"]),
    raw_paths,
    query_strings,
    st.lists(st.tuples(header_names, header_values), max_size=4),
    bodies,
    st.none() | st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1),
)


def signed_by_botocore(
    sent: Sent, signer: type[SigV4Auth], secret: str = SECRET, region: str = "us-east-1"
) -> Request:
    """Return the request as it arrives here after botocore has signed it."""
    query = f"?{sent.query}" if sent.query else ""
    aws = AWSRequest(sent.method, f"http://127.0.0.1:8470{sent.raw_path}{query}", data=sent.body)
    for name, value in sent.headers:
        aws.headers[name] = value
    credentials = Credentials("AKIDEXAMPLE", secret, sent.token)
    moment = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        signer(credentials, "ivschat", region).add_auth(aws)
    url = urlsplit(str(aws.url))
    headers = [HOST, *((name.lower(), value) for name, value in aws.headers.items())]
    octets = tuple((name, value.encode().decode("latin-1")) for name, value in headers)
    return Request(sent.method, url.path, url.query, octets, sent.body)


@given(sent_requests)
def test_what_botocore_signs_is_accepted(sent: Sent) -> None:
    """Any path, query, headers, body and token."""
    authorization = accept(signed_by_botocore(sent, SigV4Auth))
    assert authorization.session_token == sent.token
    assert authorization.expires is None


@given(sent_requests)
def test_what_botocore_presigns_is_accepted(sent: Sent) -> None:
    """The same in the query; botocore drops repeated names, and moves a body into the query."""
    authorization = accept(signed_by_botocore(sent._replace(body=b""), SigV4QueryAuth))
    assert authorization.session_token == sent.token
    assert authorization.expires == 3600


@given(sent_requests)
def test_our_signatures_are_botocores(sent: Sent) -> None:
    """Both signers give one request the same Authorization header."""
    theirs = dict(signed_by_botocore(sent, SigV4Auth).headers)
    headers = [HOST, *sent.headers]
    octets = tuple((name, value.encode().decode("latin-1")) for name, value in headers)
    request = Request(sent.method, sent.raw_path, sent.query, octets, sent.body)
    ours = sign(request, "AKIDEXAMPLE", SECRET, "us-east-1", "ivschat", NOW, sent.token)
    assert ours == {name: theirs[name] for name in ours}


def mutations(request: Request) -> Iterator[Request]:
    """Yield the request with each of its signed parts changed, one at a time."""
    replace = msgspec.structs.replace
    yield replace(request, method="PUT")
    yield replace(request, raw_path=request.raw_path + "x")
    yield replace(request, body=request.body + b"x")
    more = "&x=y" if request.query_string else "x=y"
    yield replace(request, query_string=request.query_string + more)
    pairs = request.query_string.split("&") if request.query_string else []
    for index, pair in enumerate(pairs):
        rest = pairs[:index] + pairs[index + 1 :]
        yield replace(request, query_string="&".join(rest))
        yield replace(request, query_string="&".join([*rest, pair + "x"]))
    for index, (name, value) in enumerate(request.headers):
        rest_of_headers = request.headers[:index] + request.headers[index + 1 :]
        yield replace(request, headers=rest_of_headers)
        yield replace(request, headers=(*rest_of_headers, (name, value + "x")))
    yield replace(request, headers=(*request.headers, ("x-amz-other", "x")))


@given(sent_requests, st.sampled_from([SigV4Auth, SigV4QueryAuth]), st.data())
def test_any_changed_part_is_refused(
    sent: Sent, signer: type[SigV4Auth], data: st.DataObject
) -> None:
    """Nothing that was signed can be changed, taken away or added."""
    if signer is SigV4QueryAuth:
        sent = sent._replace(body=b"")
    request = signed_by_botocore(sent, signer)
    changed = data.draw(st.sampled_from(list(mutations(request))))
    with pytest.raises(AuthenticationError):
        accept(changed)


@given(sent_requests, st.text(max_size=40))
def test_another_secret_is_refused(sent: Sent, secret: str) -> None:
    """The secret of the access key decides."""
    assume(secret.isprintable() and secret != SECRET)
    with pytest.raises(InvalidSignatureException, match=MISMATCH):
        accept(signed_by_botocore(sent, SigV4Auth, secret))


@given(sent_requests, st.integers(0, 63))
def test_signatures_are_compared_in_constant_time(sent: Sent, place: int) -> None:
    """CVE-2021-33880: wherever a signature is wrong, it is compared whole, by hmac."""
    request = signed_by_botocore(sent, SigV4Auth)
    right = authorization_of(request)
    digit = "0" if right.signature[place] != "0" else "1"
    wrong = right.signature[:place] + digit + right.signature[place + 1 :]
    with (
        patch("hmac.compare_digest", return_value=False) as compare,
        pytest.raises(InvalidSignatureException, match=MISMATCH),
    ):
        verify(request, msgspec.structs.replace(right, signature=wrong), SECRET, NOW)
    assert {call.args for call in compare.call_args_list} >= {(right.signature, wrong)}


# ------------------------------------------------------------------------- as the clients sign


class SigV4AsReceived(SigV4Auth):
    """Signs the query as it is sent, like the SDKs for Go, which sort it by decoded values."""

    def canonical_query_string(self, request: AWSRequest) -> str:
        return urlsplit(str(request.url)).query


class SigV4SingleEncoded(SigV4Auth):
    """Signs the path as it is sent, which only clients of S3 do."""

    def _normalize_url_path(self, path: str) -> str:
        return path


@pytest.mark.parametrize("query", ["tagKeys=x&tagKeys=%C3%BC", "tagKeys=a1&tagKeys=a%3Ab"])
def test_the_order_received_is_a_second_chance(query: str) -> None:
    """A signature over the pairs in the order of the request is good, in another order not."""
    sent = Sent("DELETE", GET.raw_path, query, [], b"", None)
    request = signed_by_botocore(sent, SigV4AsReceived)
    accept(request)
    other = "&".join(query.split("&")[::-1])
    with pytest.raises(InvalidSignatureException, match=MISMATCH):
        accept(msgspec.structs.replace(request, query_string=other))


def test_plus_is_a_space_when_it_is_signed() -> None:
    """A client may send `+` for the space that it signed as %20."""
    request = signed(Request("DELETE", f"/tags/{ARN}", "tagKeys=k%201", (HOST,), b""))
    accept(msgspec.structs.replace(request, query_string="tagKeys=k+1"))
    with pytest.raises(InvalidSignatureException, match=MISMATCH):
        accept(msgspec.structs.replace(request, query_string="tagKeys=k%2B1"))


def test_a_single_encoded_path_is_refused() -> None:
    """Every client but S3's encodes the path once more for signing."""
    sent = Sent("GET", GET.raw_path, "", [], b"", None)
    accept(signed_by_botocore(sent, SigV4Auth))
    with pytest.raises(InvalidSignatureException, match=MISMATCH):
        accept(signed_by_botocore(sent, SigV4SingleEncoded))


def test_headers_that_nobody_signed_do_not_matter() -> None:
    """Proxies add headers, and boto3 leaves its own `amz-sdk-*` unsigned."""
    added = (("via", "x"), ("amz-sdk-request", "attempt=1"), ("x-amzn-trace-id", "1"))
    request = signed(POST)
    accept(msgspec.structs.replace(request, headers=(*added, *request.headers)))


def test_a_header_of_cloudfront_needs_no_signature() -> None:
    """CloudFront adds `x-amz-cf-id` to what it forwards; every other `x-amz-*` is signed."""
    request = signed(POST)
    accept(msgspec.structs.replace(request, headers=(*request.headers, ("x-amz-cf-id", "1"))))
    with pytest.raises(InvalidSignatureException, match="'X-Amz-Foo' must be a 'SignedHeader'"):
        accept(msgspec.structs.replace(request, headers=(*request.headers, ("x-amz-foo", "1"))))


def test_a_date_header_can_take_the_place_of_the_other() -> None:
    """A signer that uses the Date header signs its time in the basic format."""
    request = signed(POST)
    date = ("date", "Sun, 30 Aug 2015 12:36:00 GMT")
    headers = tuple(header for header in request.headers if header[0] != "x-amz-date")
    aws = AWSRequest("POST", "http://127.0.0.1:8470/CreateRoom", data=POST.body)
    aws.headers["Date"] = "now"
    moment = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "ivschat", "us-east-1").add_auth(aws)
    dated = tuple((name.lower(), value) for name, value in aws.headers.items())
    accept(msgspec.structs.replace(POST, headers=(HOST, *dated)))
    with pytest.raises(InvalidSignatureException, match="'x-amz-date' is not in the request"):
        accept(msgspec.structs.replace(request, headers=(*headers, date)))


# --------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("us-east-1", "US-EAST-1"), "Credential should be scoped to a valid region."),
        (("us-east-1", ""), "Credential should be scoped to a valid region."),
        (("us-east-1", "é"), "Credential should be scoped to a valid region."),
        (
            ("ivschat", "s3"),
            "Credential should be scoped to correct service: 'ivschat'.",
        ),
        (
            ("aws4_request", "aws3_request"),
            "Credential should be scoped with a valid terminator: 'aws4_request'.",
        ),
        (
            ("/20150830/", "/20150831/"),
            f"Date in Credential scope {FROM_HTTP}, from '20150830T123600Z'.",
        ),
    ],
)
def test_the_scope_must_be_the_requests(changed: tuple[str, str], sentence: str) -> None:
    """Date, region, service and terminator, each with AWS's sentence."""
    request = signed(POST)
    headers = tuple(
        (name, value.replace(*changed) if name == "authorization" else value)
        for name, value in request.headers
    )
    with pytest.raises(SignatureDoesNotMatch) as caught:
        accept(msgspec.structs.replace(request, headers=headers))
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    ("regions", "served"),
    [
        (frozenset({"eu-west-1"}), "eu-west-1."),
        (frozenset({"eu-west-1", "ap-south-1"}), "ap-south-1, eu-west-1."),
        (
            frozenset(f"r-{number}" for number in range(8)),
            "r-0, r-1, r-2, r-3, r-4, r-5, r-6, r-7.",
        ),
        (
            frozenset(f"r-{number}" for number in range(9)),
            "r-0, r-1, r-2, r-3, r-4, r-5, r-6, r-7 and more.",
        ),
    ],
)
def test_a_region_that_is_not_served(regions: frozenset[str], served: str) -> None:
    """AWS's sentence, and which regions are served; any is where none are given."""
    request = signed(POST)
    authorization = authorization_of(request)
    with pytest.raises(SignatureDoesNotMatch) as caught:
        verify(request, authorization, SECRET, NOW, "ivschat", regions)
    assert caught.value.message == (
        f"Credential should be scoped to a valid region, not 'us-east-1': served here: {served}"
    )
    verify(request, authorization, SECRET, NOW, "ivschat", {*regions, "us-east-1"})
    verify(request, authorization, SECRET, NOW, "ivschat", None)


def test_every_fault_of_the_scope_is_named() -> None:
    """A client with two mistakes learns both."""
    request = signed(POST, service="s3")
    with pytest.raises(SignatureDoesNotMatch, match=r"service: 'iam'\.$"):
        accept(request, service="iam")
    authorization = msgspec.structs.replace(authorization_of(request), region="", date="x")
    with pytest.raises(SignatureDoesNotMatch, match=r"valid region\..*service: .*Date in"):
        verify(request, authorization, SECRET, NOW)


@pytest.mark.parametrize("offset", [-WINDOW_SECONDS, 0, WINDOW_SECONDS])
def test_a_clock_may_be_a_quarter_of_an_hour_off(offset: int) -> None:
    """Both ends of the window are in it."""
    accept(signed(POST), NOW + offset)


def test_an_old_signature_has_expired() -> None:
    """The message lets a person, and the Date header lets an SDK, see the clock's error."""
    with pytest.raises(InvalidSignatureException) as caught:
        accept(signed(POST), NOW + WINDOW_SECONDS + 1)
    assert caught.value.message == (
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z"
        " (20150830T125101Z - 15 min.)"
    )


def test_a_signature_of_the_future_is_not_yet_current() -> None:
    """The other direction."""
    with pytest.raises(InvalidSignatureException) as caught:
        accept(signed(POST), NOW - WINDOW_SECONDS - 1)
    assert caught.value.message == (
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z"
        " (20150830T122059Z + 15 min.)"
    )


def test_a_presigned_request_is_good_until_its_expiry() -> None:
    """Longer than the window, and not one second more."""
    request = signed_by_botocore(Sent("GET", GET.raw_path, "", [], b"", None), SigV4QueryAuth)
    accept(request, NOW - WINDOW_SECONDS)
    accept(request, NOW + 3600)
    with pytest.raises(RequestExpired, match=r"Request has expired\."):
        accept(request, NOW + 3601)
    with pytest.raises(InvalidSignatureException, match="Signature not yet current"):
        accept(request, NOW - WINDOW_SECONDS - 1)


def test_a_path_that_was_changed_on_the_way() -> None:
    """The signature may be about another path that the request may have had, and about no other."""
    request, replace = signed(POST), msgspec.structs.replace
    changed = replace(request, raw_path="/other")
    with pytest.raises(InvalidSignatureException):
        accept(changed)
    with pytest.raises(InvalidSignatureException):
        accept(replace(changed, other_paths=("/another", request.raw_path + "x")))
    accept(replace(changed, other_paths=("/another", request.raw_path)))


def test_a_wrong_clock_is_told_before_a_wrong_secret() -> None:
    """A client corrects its clock first; then it can learn about the rest."""
    with pytest.raises(InvalidSignatureException, match="Signature expired"):
        accept(signed(POST), NOW + 3600, secret="another")


def test_the_host_must_be_signed() -> None:
    """Otherwise a request to one service could be replayed at another."""
    request = signed(POST)
    headers = tuple(
        (name, value.replace("host;", "") if name == "authorization" else value)
        for name, value in request.headers
    )
    with pytest.raises(InvalidSignatureException, match="'Host' or ':authority' must be"):
        accept(msgspec.structs.replace(request, headers=headers))


@pytest.mark.parametrize("name", ["host", "content-type"])
def test_a_signed_header_that_got_lost_is_named(name: str) -> None:
    """A proxy that strips headers is found by the answer."""
    request = signed(POST)
    headers = tuple(header for header in request.headers if header[0] != name)
    with pytest.raises(InvalidSignatureException, match=f"'{name}' is not in the request"):
        accept(msgspec.structs.replace(request, headers=headers))


@pytest.mark.parametrize("name", ["host", "x-amz-content-sha256"])
def test_signed_headers_with_one_meaning_are_refused_twice(name: str) -> None:
    """Of two values, the wrong one could be used."""
    digest = sha256(POST.body).hexdigest()
    request = msgspec.structs.replace(
        POST, headers=(*POST.headers, ("x-amz-content-sha256", digest))
    )
    request = signed(request)
    twice = (*request.headers, (name, dict(request.headers)[name]))
    with pytest.raises(IncompleteSignatureException, match=f"'{name}' is given more than once"):
        accept(msgspec.structs.replace(request, headers=twice))


@pytest.mark.parametrize(
    "stated",
    [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "",
        sha256(b"another").hexdigest(),
        sha256(POST.body).hexdigest().upper(),
    ],
)
def test_the_stated_hash_must_be_the_bodys(stated: str) -> None:
    """Nothing stands in for the hash: what was signed is what was received."""
    headers = (*POST.headers, ("x-amz-content-sha256", stated))
    with pytest.raises(InvalidSignatureException, match="'X-Amz-Content-Sha256' must be"):
        accept(signed(msgspec.structs.replace(POST, headers=headers)))


def test_sign_leaves_out_what_changes_on_the_way() -> None:
    """Hop-by-hop headers, the user agent and traces are not signed; an old signature goes."""
    loose = (("user-agent", "x"), ("connection", "close"), ("x-amzn-trace-id", "1"))
    request = msgspec.structs.replace(POST, headers=(*loose, *signed(POST, NOW - 60).headers))
    added = sign(request, "AKIDEXAMPLE", SECRET, "us-east-1", "ivschat", NOW)
    assert added == sign(POST, "AKIDEXAMPLE", SECRET, "us-east-1", "ivschat", NOW)
    assert "SignedHeaders=content-type;host;x-amz-date," in added["authorization"]


def test_sign_needs_a_host() -> None:
    """A request without host cannot be verified by anybody."""
    with pytest.raises(ValueError, match="without host"):
        sign(msgspec.structs.replace(POST, headers=()), "a", SECRET, "us-east-1", "lambda", NOW)


# ------------------------------------------------------------------------------- hostile input

texts = st.text() | st.binary().map(lambda raw: raw.decode("latin-1"))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "method": texts,
            "raw_path": texts,
            "query_string": texts,
            "body": st.binary(),
        },
    ),
    st.lists(st.tuples(st.sampled_from(["host", "x-amz-date", "content-type"]) | texts, texts)),
    st.lists(texts, max_size=3),
    st.floats(0, 4e9),
)
def test_nothing_but_service_errors_comes_of_any_request(
    changed: dict[str, str | bytes],
    headers: list[tuple[str, str]],
    signed_headers: list[str],
    now: float,
) -> None:
    """Requests that are well-formed in some parts and hostile in others are refused."""
    names = ";".join(sorted({"host", *signed_headers}))
    authorization = (
        "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/ivschat/aws4_request,"
        f"SignedHeaders={names},Signature={'0' * 64}"
    )
    whole = (*headers, *signed(POST).headers[:-1], ("authorization", authorization))
    request = Request(**{**msgspec.structs.asdict(POST), **changed, "headers": whole})
    for moment in (NOW, now):
        with pytest.raises(ServiceError) as caught:
            accept(request, moment)
        caught.value.message.encode()


def test_of_several_lost_headers_the_first_is_named() -> None:
    """They are named in the order in which they are signed."""
    request = signed(POST)
    headers = tuple(each for each in request.headers if each[0] not in {"host", "content-type"})
    with pytest.raises(InvalidSignatureException, match="'content-type' is not in the request"):
        accept(msgspec.structs.replace(request, headers=headers))


@pytest.mark.parametrize(("length", "shown"), [(64, 64), (65, 64), (5000, 64)])
def test_of_a_long_header_that_nobody_signed_the_beginning_is_named(
    length: int, shown: int
) -> None:
    """An answer is not made long by what somebody sends."""
    request = signed(POST)
    name = "x-amz-".ljust(length, "a")
    with pytest.raises(InvalidSignatureException) as refused:
        accept(msgspec.structs.replace(request, headers=(*request.headers, (name, "1"))))
    assert f"'{name[:shown].title()}' must be a 'SignedHeader'" in refused.value.message
