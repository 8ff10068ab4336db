import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.signature import authorization
from greenroom.aws.signature.authorization import (
    EXPIRES_AT_MOST,
    PARTS_AT_MOST,
    Authorization,
    authorization_of,
)
from greenroom.aws.signature.canonical import Request
from greenroom.model.errors import (
    IncompleteSignatureException,
    MissingAuthenticationTokenException,
    ServiceError,
)

LONGEST = authorization.READ_ONCE_CHARACTERS
SIGNATURE = "5f" * 32
SCOPE = "AKIDEXAMPLE/20150830/us-east-1/ivschat/aws4_request"
FIELDS = (
    f"Credential={SCOPE}",
    "SignedHeaders=host;x-amz-date",
    f"Signature={SIGNATURE}",
)
HEADER = f"AWS4-HMAC-SHA256 {', '.join(FIELDS)}"
DATE = ("x-amz-date", "20150830T123600Z")
PARAMETERS = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": SCOPE.replace("/", "%2F"),
    "X-Amz-Date": "20150830T123600Z",
    "X-Amz-Expires": "3600",
    "X-Amz-SignedHeaders": "content-type%3Bhost",
    "X-Amz-Signature": SIGNATURE,
}


def with_headers(*headers: tuple[str, str]) -> Request:
    """Return a request with these headers and no query."""
    return Request("GET", "/", "", headers, b"")


def presigned(changed: dict[str, str | None], *headers: tuple[str, str]) -> Request:
    """Return a presigned request with parameters changed or, by None, left out."""
    pairs = [f"{name}={value}" for name, value in {**PARAMETERS, **changed}.items() if value]
    return Request("GET", "/", "&".join(["a=1", *pairs]), headers, b"")


def refused(request: Request) -> str:
    """Return the message with which the request is refused as incomplete."""
    with pytest.raises(IncompleteSignatureException) as caught:
        authorization_of(request)
    return caught.value.message


# -------------------------------------------------------------------------------- header form


def test_the_header_form_has_all_its_parts() -> None:
    """Key, scope, signed headers, signature, time and token come out as they were sent."""
    request = with_headers(("authorization", HEADER), DATE, ("x-amz-security-token", " t/+= "))
    assert authorization_of(request) == Authorization(
        access_key_id="AKIDEXAMPLE",
        date="20150830",
        region="us-east-1",
        service="ivschat",
        terminator="aws4_request",
        signed_headers=frozenset({"host", "x-amz-date"}),
        signature=SIGNATURE,
        timestamp="20150830T123600Z",
        time=1_440_938_160,
        session_token="t/+=",
    )


@pytest.mark.parametrize("separator", [",", ", ", " ,  ", ",\t"])
@pytest.mark.parametrize("fields", list(itertools.permutations(FIELDS)))
def test_fields_come_in_any_order_with_any_blanks(separator: str, fields: list[str]) -> None:
    """Clients write the header with and without blanks after the commas."""
    header = f"AWS4-HMAC-SHA256 {separator.join(fields)}"
    plain = authorization_of(with_headers(("authorization", HEADER), DATE))
    assert authorization_of(with_headers(("authorization", header), DATE)) == plain


@pytest.mark.parametrize(("length", "kept"), [(200, 1), (LONGEST, 1), (LONGEST + 1, 0)])
def test_a_header_that_was_read_before_is_read_anew_for_its_signature(
    length: int, kept: int
) -> None:
    """What stands in front may be remembered, if it is short; signature, date and token are not."""
    authorization._before_signature.cache_clear()
    plain = f"AWS4-HMAC-SHA256 {FIELDS[0]},{FIELDS[1]}, Signature={SIGNATURE}"
    first = FIELDS[0] + "," + " " * (length - len(plain)) + FIELDS[1]
    for digit, hour in itertools.product("ab", ("12", "13")):
        header = f"AWS4-HMAC-SHA256 {first}, Signature={digit * 64}"
        date = ("x-amz-date", f"20150830T{hour}3600Z")
        token = ("x-amz-security-token", digit + hour)
        found = authorization_of(with_headers(("authorization", header), date, token))
        assert (found.signature, found.timestamp) == (digit * 64, date[1])
        assert (found.access_key_id, found.session_token) == ("AKIDEXAMPLE", digit + hour)
        assert len(header) == length
    assert authorization._before_signature.cache_info().currsize == kept


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (f"AWS4-HMAC-SHA256 Signature=, {FIELDS[1]}, Credential=Signature=", "'Signature'"),
        (f"AWS4-HMAC-SHA256 Signature=, {FIELDS[0]}, SignedHeaders=Signature=", "'Signature'"),
        (f"AWS4-HMAC-SHA256 {FIELDS[0]}, {FIELDS[1]}, XSignature=", "each once and as a key=value"),
        (f"AWS4-HMAC-SHA256 {FIELDS[0]}, Signature=", "requires 'SignedHeaders'"),
        ("Signature=", "Unsupported AWS 'algorithm'"),
    ],
)
def test_only_a_field_of_its_own_is_the_signature(header: str, message: str) -> None:
    """What ends as a signature would, and is none, is refused for what it is."""
    assert message in refused(with_headers(("authorization", header + SIGNATURE), DATE))


@pytest.mark.parametrize("headers", [(), (DATE,), (("content-type", "x"), ("host", "h"))])
def test_a_request_without_signature_lacks_it(headers: tuple[tuple[str, str], ...]) -> None:
    """No Authorization header and no parameter of a presigned request."""
    with pytest.raises(MissingAuthenticationTokenException, match="Missing Authentication Token"):
        authorization_of(with_headers(*headers))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "Unsupported AWS 'algorithm'"),
        ("Bearer HUSH", "Unsupported AWS 'algorithm'"),
        ("Basic HUSH", "Unsupported AWS 'algorithm'"),
        (HEADER.replace("SHA256 ", "SHA1 "), "Unsupported AWS 'algorithm'"),
        (HEADER.replace("AWS4", "aws4"), "Unsupported AWS 'algorithm'"),
        ("AWS4-HMAC-SHA256", "each once and as a key=value pair"),
        ("AWS4-HMAC-SHA256 HUSH", "each once and as a key=value pair"),
        (HEADER + ", HUSH=1", "each once and as a key=value pair"),
        (HEADER + ",", "each once and as a key=value pair"),
        (HEADER + ", Signature=" + SIGNATURE, "each once and as a key=value pair"),
        (HEADER.replace("Credential", "credential"), "each once and as a key=value pair"),
        (
            f"AWS4-HMAC-SHA256 {FIELDS[0]}",
            "requires 'Signature' parameter. Authorization header requires 'SignedHeaders'",
        ),
        (HEADER.replace(SCOPE, ""), "Authorization header requires 'Credential' parameter."),
        (HEADER.replace(SIGNATURE, ""), "Authorization header requires 'Signature' parameter."),
        (HEADER.replace(SIGNATURE, SIGNATURE[1:]), "64 lower-case hexadecimal digits"),
        (HEADER.replace(SIGNATURE, SIGNATURE.upper()), "64 lower-case hexadecimal digits"),
        (HEADER.replace(SIGNATURE, "é" * 64), "64 lower-case hexadecimal digits"),
        (HEADER.replace("/aws4_request", ""), "exactly 5 slash-delimited elements"),
        (HEADER.replace("/aws4_request", "/a/b"), "exactly 5 slash-delimited elements"),
        (HEADER.replace("AKIDEXAMPLE", ""), "exactly 5 slash-delimited elements"),
        (HEADER.replace("AKIDEXAMPLE", "a b"), "exactly 5 slash-delimited elements"),
        (HEADER.replace("AKIDEXAMPLE", "A" * 129), "exactly 5 slash-delimited elements"),
        (HEADER.replace("host;", "x-b;"), "'SignedHeaders' must be"),
        (HEADER.replace("host;", "host;host;"), "'SignedHeaders' must be"),
        (HEADER.replace("host;", "x-amz-z;"), "'SignedHeaders' must be"),
        (HEADER.replace("host;", "Host;"), "'SignedHeaders' must be"),
        (HEADER.replace("host;", ";"), "'SignedHeaders' must be"),
        (HEADER.replace("host;", "ho st;"), "'SignedHeaders' must be"),
    ],
)
def test_a_malformed_header_is_incomplete(header: str, message: str) -> None:
    """The answer says in AWS's words what is missing or wrong, and repeats nothing."""
    text = refused(with_headers(("authorization", header), DATE))
    assert message in text
    assert "HUSH" not in text


@pytest.mark.parametrize(
    ("name", "date", "timestamp"),
    [
        ("x-amz-date", "20150830T123600Z", "20150830T123600Z"),
        ("date", "20150830T123600Z", "20150830T123600Z"),
        ("date", "Sun, 30 Aug 2015 12:36:00 GMT", "20150830T123600Z"),
        ("date", "Mon, 30 Aug 2015 12:36:00 -0000", "20150830T123600Z"),
        ("date", "Sun, 30 Aug 2015 12:36:00 +0000", "20150830T123600Z"),
    ],
)
def test_the_time_stands_in_either_header(name: str, date: str, timestamp: str) -> None:
    """ISO 8601 in its basic format, or in the Date header HTTP's own."""
    found = authorization_of(with_headers(("authorization", HEADER), (name, date)))
    assert (found.timestamp, found.time) == (timestamp, 1_440_938_160)


def test_the_time_of_the_signature_wins() -> None:
    """A Date header beside X-Amz-Date says when the request was sent, not when it was signed."""
    date = ("date", "Mon, 31 Aug 2015 12:36:00 GMT")
    found = authorization_of(with_headers(date, ("authorization", HEADER), DATE))
    assert found.timestamp == DATE[1]


@pytest.mark.parametrize(
    "date",
    [
        "20150830",
        "2015-08-30T12:36:00Z",
        "20150830T123600",
        "20150830T123600+0000",
        "20150832T123600Z",
        "20150830T126000Z",
        "20150830T123660Z",
        "00000830T123600Z",
        "\uff120150830T123600Z",
        "Sun, 30 Xyz 2015 12:36:00 GMT",
        "Sun, 31 Feb 2015 12:36:00 GMT",
        "Sun, 30 Aug 2015 12:36:00 CET",
        "HUSH",
        "1440938160",
    ],
)
def test_another_date_is_refused(date: str) -> None:
    """Neither of the two forms, or no day of the calendar."""
    for name in ("date", "x-amz-date"):
        text = refused(with_headers(("authorization", HEADER), (name, date)))
        assert text.startswith("Date must be in ISO-8601 'basic format'.")


def test_a_date_is_required() -> None:
    """Without a time, a signature would be good for ever."""
    for headers in ([], [("date", "")], [("x-amz-date", " ")]):
        text = refused(with_headers(("authorization", HEADER), *headers))
        assert "existence of either a 'X-Amz-Date' or a 'Date' header" in text


@pytest.mark.parametrize("name", ["authorization", "x-amz-date", "date", "x-amz-security-token"])
def test_headers_with_one_meaning_are_refused_twice(name: str) -> None:
    """Of two values, the wrong one could be checked."""
    headers = {"authorization": HEADER, "x-amz-date": DATE[1], name: DATE[1]}
    headers["authorization"] = HEADER
    request = with_headers(*headers.items(), (name, headers[name]))
    assert refused(request) == f"The header '{name}' is given more than once."


# --------------------------------------------------------------------------------- query form


def test_the_query_form_has_all_its_parts() -> None:
    """The same parts come from the parameters, and for how long they are good."""
    found = authorization_of(presigned({"X-Amz-Security-Token": "t%2F%2B%3D+"}))
    assert found == Authorization(
        access_key_id="AKIDEXAMPLE",
        date="20150830",
        region="us-east-1",
        service="ivschat",
        terminator="aws4_request",
        signed_headers=frozenset({"content-type", "host"}),
        signature=SIGNATURE,
        timestamp="20150830T123600Z",
        time=1_440_938_160,
        session_token="t/+= ",
        expires=3600,
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_required(name: str) -> None:
    """AWS's sentence names the parameter that is missing."""
    text = refused(presigned({name: None}))
    assert text == (
        f"AWS query-string parameters must include '{name}'. "
        "Re-examine the query-string parameters."
    )


@pytest.mark.parametrize("name", [*PARAMETERS, "X-Amz-Security-Token"])
@pytest.mark.parametrize("again", ["{}", "{}=", "{}=1", "%58{}=1"])
def test_parameters_are_refused_twice(name: str, again: str) -> None:
    """However the second one is spelled."""
    request = presigned({"X-Amz-Security-Token": "t"})
    second = again.format(name[1:] if again.startswith("%") else name)
    twice = Request("GET", "/", f"{request.query_string}&{second}", (), b"")
    assert refused(twice) == f"'{name}' is given more than once."


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X-Amz-Algorithm": "AWS4-HMAC-SHA1"}, "Unsupported AWS 'algorithm'"),
        ({"X-Amz-Credential": "HUSH"}, "exactly 5 slash-delimited elements"),
        ({"X-Amz-Date": "Sun, 30 Aug 2015"}, "Date must be in ISO-8601 'basic format'."),
        ({"X-Amz-Signature": "HUSH"}, "64 lower-case hexadecimal digits"),
        ({"X-Amz-SignedHeaders": "%3B"}, "'SignedHeaders' must be"),
        ({"X-Amz-Expires": "0"}, "'X-Amz-Expires' must be"),
        ({"X-Amz-Expires": "-1"}, "'X-Amz-Expires' must be"),
        ({"X-Amz-Expires": "604801"}, "'X-Amz-Expires' must be"),
        ({"X-Amz-Expires": "6e3"}, "'X-Amz-Expires' must be"),
        ({"X-Amz-Expires": "9" * 5000}, "'X-Amz-Expires' must be"),
        ({"X-Amz-Expires": "%D9%A3"}, "'X-Amz-Expires' must be"),
    ],
)
def test_malformed_parameters_are_incomplete(changed: dict[str, str | None], message: str) -> None:
    """The answer says what is wrong, and repeats nothing."""
    text = refused(presigned(changed))
    assert message in text
    assert "HUSH" not in text


@pytest.mark.parametrize("seconds", [1, EXPIRES_AT_MOST])
def test_a_presigned_request_is_good_for_a_week_at_most(seconds: int) -> None:
    """Both ends of the range are in it."""
    assert authorization_of(presigned({"X-Amz-Expires": str(seconds)})).expires == seconds


def test_both_forms_at_once_are_refused() -> None:
    """One parameter of the query form beside the header is enough."""
    request = Request("GET", "/", "X-Amz-Expires=1", (("authorization", HEADER), DATE), b"")
    assert "Only one auth mechanism allowed" in refused(request)
    assert "Only one auth mechanism allowed" in refused(presigned({}, ("authorization", HEADER)))


def test_a_presigned_request_has_its_token_in_the_query() -> None:
    """A token in the header would be outside of what was presigned."""
    text = refused(presigned({}, ("x-amz-security-token", "HUSH")))
    assert "belongs in 'X-Amz-Security-Token'" in text
    assert "HUSH" not in text


def test_other_parameters_do_not_make_a_presigned_request() -> None:
    """A tag key that mentions a parameter is just a tag key."""
    request = Request("DELETE", "/tags/x", "tagKeys=X-Amz-Signature&x-amz-date=1", (), b"")
    with pytest.raises(MissingAuthenticationTokenException):
        authorization_of(request)


# ------------------------------------------------------------------------------------- limits


def test_what_a_request_can_make_us_look_at_is_bounded() -> None:
    """Headers, parameters and signed headers are refused beyond their number."""
    many = PARTS_AT_MOST + 1
    names = ";".join(f"x{index:05}" for index in range(many))
    header = HEADER.replace("host;x-amz-date", names)
    assert "1024 headers" in refused(with_headers(*[("a", "b")] * many))
    assert "1024 signed headers" in refused(with_headers(("authorization", header), DATE))
    query = "&".join(["X-Amz-Date=1"] * many)
    assert "1024 query parameters" in refused(Request("GET", "/", query, (), b""))
    fewer = "&".join([*["a=1"] * (PARTS_AT_MOST - 1), "X-Amz-Date=1"])
    assert "query parameters" not in refused(Request("GET", "/", fewer, (), b""))
    assert "headers" not in refused(
        with_headers(*[("a", "b")] * (PARTS_AT_MOST - 1), ("authorization", "x"))
    )
    with pytest.raises(MissingAuthenticationTokenException):  # nothing of it is a signature's
        authorization_of(Request("GET", "/", "&".join(["a=1"] * many), (), b""))


texts = st.text() | st.binary().map(lambda raw: raw.decode("latin-1"))
fragments = st.lists(
    texts | st.sampled_from([*FIELDS, "AWS4-HMAC-SHA256 ", ", ", ",", "=", "Credential", ";", "/"])
).map("".join)
names = st.sampled_from(["authorization", "x-amz-date", "date", "x-amz-security-token", "host"])
queries = st.lists(
    st.sampled_from([f"{name}={value}" for name, value in PARAMETERS.items()])
    | st.sampled_from(sorted(PARAMETERS)).flatmap(lambda name: texts.map((name + "=").__add__))
    | texts
).map("&".join)


@given(texts, texts, texts | queries, st.lists(st.tuples(names | texts, fragments | texts)))
def test_any_request_has_an_authorization_or_an_error(
    method: str, path: str, query: str, headers: list[tuple[str, str]]
) -> None:
    """Whatever a request holds, nothing but a ServiceError comes of it."""
    try:
        authorization_of(Request(method, path, query, tuple(headers), b""))
    except ServiceError as error:
        error.message.encode()
