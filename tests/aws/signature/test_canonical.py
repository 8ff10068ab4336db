import hashlib
from urllib.parse import quote

import pytest
from botocore.utils import normalize_url_path
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.signature.canonical import (
    Request,
    canonical_path,
    canonical_paths,
    canonical_queries,
    canonical_request,
    query_pairs,
)
from greenroom.model.errors import IncompleteSignatureException

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/CreateRoom", "/CreateRoom"),
        ("/tags/arn%3Aaws%2FAb", "/tags/arn%253Aaws%252FAb"),
        ("/tags/arn:aws:room/Ab", "/tags/arn%3Aaws%3Aroom/Ab"),
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/a//b/", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/..", "/"),
        ("/a b", "/a%20b"),
        ("/-._~", "/-._~"),
        ("/\xc3\xbc", "/%C3%BC"),
    ],
)
def test_a_path_is_normalised_and_encoded_again(raw: str, canonical: str) -> None:
    """What was percent-encoded is so twice; empty and dot segments go."""
    assert canonical_path(raw) == canonical


@given(st.text(st.sampled_from("/.a%2F:+~-_ !*'()")))
def test_paths_are_the_ones_that_botocore_signs(raw: str) -> None:
    """The oracle is botocore's normalisation, which all SDKs share."""
    assert canonical_path("/" + raw) == quote(normalize_url_path("/" + raw), safe="/~")


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("&&", []),
        ("a", [("a", "")]),
        ("=", [("", "")]),
        ("a=b=c", [("a", "b%3Dc")]),
        ("b=2&a=1", [("b", "2"), ("a", "1")]),
        ("a=k+1&b=k%201&c=%2B", [("a", "k%201"), ("b", "k%201"), ("c", "%2B")]),
        ("a=%7e%c3%bc!:", [("a", "~%C3%BC%21%3A")]),
        ("a=%zz&b=%", [("a", "%25zz"), ("b", "%25")]),
        ("a=%FF\xff", [("a", "%FF%FF")]),
    ],
)
def test_a_query_is_decoded_and_encoded_again(query: str, pairs: list[tuple[str, str]]) -> None:
    """However a client spelled a pair, it comes out as RFC 3986 spells it."""
    assert query_pairs(query) == pairs


@pytest.mark.parametrize(
    ("query", "forms"),
    [
        ("", [""]),
        ("a", ["a="]),
        ("a=1&b=2", ["a=1&b=2"]),
        ("b=2&a=1", ["a=1&b=2", "b=2&a=1"]),
        ("k=x&k=%C3%BC", ["k=%C3%BC&k=x", "k=x&k=%C3%BC"]),
        ("k=a1&k=a%3Ab", ["k=a%3Ab&k=a1", "k=a1&k=a%3Ab"]),
        ("a=1&A=1&a-=1", ["A=1&a=1&a-=1", "a=1&A=1&a-=1"]),
    ],
)
def test_a_query_has_a_sorted_form_and_the_one_received(query: str, forms: list[str]) -> None:
    """SDKs for Go sign pairs in the order in which they send them; everybody else sorts them."""
    assert list(canonical_queries(query_pairs(query))) == forms


def test_a_canonical_request_has_its_six_parts() -> None:
    """Method, path, query, a line for each header, their names, the hash of the body."""
    request = Request("GET", "/a%2Fb", "", (), b"x")
    headers = {"x-b": [" 1", "2 "], "host": ["h:1"], "x-a": ['\t"a   b\t c" ']}
    expected = (
        f'GET\n/a%252Fb\nq=1\nhost:h:1\nx-a:"a b c"\nx-b:1,2\n\n'
        f"host;x-a;x-b\n{hashlib.sha256(b'x').hexdigest()}"
    )
    assert canonical_request(request, "q=1", headers) == expected.encode()


def test_header_values_stand_for_the_bytes_that_were_sent() -> None:
    """Bytes beyond ASCII are signed as they are, also those that look like blanks in Unicode."""
    sent = "à\u00a0ü".encode()
    request = Request("GET", "/", "", (), b"")
    canonical = canonical_request(request, "", {"host": [sent.decode("latin-1")]})
    assert b"host:" + sent + b"\n" in canonical


@pytest.mark.parametrize(
    ("method", "value"), [("GET\n/other", "h"), ("GET", "h\nx-a:1"), ("GET", "h\n")]
)
def test_line_breaks_cannot_move_one_part_into_another(method: str, value: str) -> None:
    """A method or a header with a line break could stand for another request."""
    with pytest.raises(IncompleteSignatureException, match="line breaks"):
        canonical_request(Request(method, "/", "", (), b""), "", {"host": [value]})


@given(st.text(), st.text(), st.text())
def test_any_text_has_a_canonical_form(path: str, query: str, value: str) -> None:
    """Nothing that can be put into a request fails, but for line breaks."""
    request = Request("GET", path, query, (), b"")
    for form in canonical_queries(query_pairs(query)):
        assert form.isascii()
        if "\n" not in value:
            assert canonical_request(request, form, {"host": [value]}).endswith(EMPTY.encode())


def test_paths_as_clients_sign_them() -> None:
    """Empty segments do not count, and do for one client; each path that may be meant has both."""
    request = Request("GET", "//a//b%20", "", (), b"", ("/a", "/c//"))
    forms = list(canonical_paths(request))
    assert forms == ["/a/b%2520", "//a//b%2520", "/a", "/c/", "/c//"]
    for path in forms:
        assert canonical_request(request, "", {}, path).split(b"\n")[1] == path.encode()


@pytest.mark.parametrize(
    ("value", "trimmed"),
    [
        ("a b", "a b"),
        ("a\tb", "a b"),
        ("a  b", "a b"),
        (" \ta \t b\t ", "a b"),
        ("a\u00a0b", "a\u00a0b"),
        ("", ""),
    ],
)
def test_blanks_of_a_header(value: str, trimmed: str) -> None:
    """Those at its ends go, and those within become one space: spaces and tabs are blanks."""
    canonical = canonical_request(Request("GET", "/", "", (), b""), "", {"x-a": [value]})
    assert f"\nx-a:{trimmed}\n".encode("latin-1") in canonical
