import itertools
import string
import sys
from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.policies import wildcards
from greenroom.policies.wildcards import (
    Matcher,
    Token,
    Wildcard,
    arn,
    glob,
    landmarks,
    resource,
    tokens,
)

PATTERNS = st.text("ab:*?", max_size=12)
TEXTS = st.text("ab:", max_size=12)


def naive(pattern: list[Token], text: str, final: frozenset[int] | None = None) -> bool:
    """Match by trying everything; `final` holds the stars that may go over a colon, None is all."""
    flat = [c for token in pattern for c in (token if isinstance(token, str) else [token])]

    @lru_cache(None)
    def match(i: int, j: int) -> bool:
        if i == len(flat):
            return j == len(text)
        token = flat[i]
        if token is Wildcard.ANY:
            if match(i + 1, j):
                return True
            may = j < len(text) and (final is None or i in final or text[j] != ":")
            return may and match(i, j + 1)
        if j == len(text):
            return False
        if token is Wildcard.ONE:
            return (final is None or text[j] != ":") and match(i + 1, j + 1)
        return token == text[j] and match(i + 1, j + 1)

    return match(0, 0)


def final_stars(pattern: str) -> frozenset[int]:
    """Return the places of the stars that end a segment."""
    return frozenset(
        i for i, c in enumerate(pattern) if c == "*" and pattern[i + 1 : i + 2] in ("", ":")
    )


@given(PATTERNS, TEXTS)
@example("*a*?*", "ba")  # no character is left for the ?
@example("*a?b?*", "baab")
@example("*?a?b*", "abba")
def test_glob_matches_what_trying_everything_matches(pattern: str, text: str) -> None:
    """The quick matcher and the naive one agree."""
    assert glob(tokens(pattern))(text) == naive(tokens(pattern), text)


@given(PATTERNS, TEXTS)
def test_resource_matches_what_trying_everything_matches(pattern: str, text: str) -> None:
    """A star at the end of a segment goes over colons, another star and a ? do not."""
    assert resource(tokens(pattern))(text) == naive(tokens(pattern), text, final_stars(pattern))


def short(characters: str, most: int) -> list[str]:
    """Return all texts of so many of these characters at most."""
    sizes = range(most + 1)
    return ["".join(each) for n in sizes for each in itertools.product(characters, repeat=n)]


@pytest.mark.parametrize("walking", [False, True])
def test_all_short_patterns(walking: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every short pattern matches the short texts that trying everything matches, and no other."""
    if walking:
        monkeypatch.setattr(wildcards, "STEPS", 0)
        monkeypatch.setattr(wildcards, "SEARCH_STEPS", 0)
    texts = short("a:", 5)
    for pattern in short("a:*?", 4):
        parsed, stars = tokens(pattern), final_stars(pattern)
        anywhere, within = glob(parsed), resource(parsed)
        for text in texts:
            assert anywhere(text) is naive(parsed, text), (pattern, text)
            assert within(text) is naive(parsed, text, stars), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"), [("", ""), ("a:b", "a:b"), ("*", "a:b"), ("**", "a"), ("a:b*", "a:b:c")]
)
@pytest.mark.parametrize("build", [glob, resource])
def test_what_needs_no_search(
    pattern: str, text: str, build: Callable[[list[Token]], Matcher]
) -> None:
    """Most patterns are a text, `*` or `text*`: they are compared and not searched for."""
    matches = build(tokens(pattern))
    assert matches(text)
    assert steps(matches, text) <= steps(lambda _: text.startswith(pattern), text)


@pytest.mark.parametrize(
    ("pattern", "text", "passes"),
    [
        ("a*bcd*e", "a bcd", True),
        ("a*bcd*e", "b bcd e", False),
        ("a*bcd*e", "a e", False),
        ("*bcd", "bcd", True),
        ("*bcd", "cd", False),
        ("a?b", "a", False),
        ("?b", "ab", True),
        ("**", "", True),
        ("", "a", True),
    ],
)
def test_landmarks(pattern: str, text: str, passes: bool) -> None:
    """A text must begin as the pattern does, and hold the longest text of what follows."""
    assert landmarks(tokens(pattern))(text) is passes


def test_what_has_no_landmark_is_not_looked_at() -> None:
    """Of a resource that is none of the pattern's kind, no segment is compared."""
    matches = resource(tokens("arn:aws:ivschat:*:*:room/a?b"))
    assert steps(matches, "arn:aws:ivschat:us-east-1:1:logging/a2c") < 8


@given(st.text(max_size=30))
def test_text_without_wildcards_matches_itself_only(text: str) -> None:
    """A pattern of literal text is equality, whatever characters it has."""
    for build in (glob, resource):
        assert build([text] if text else [])(text)
        assert not build([text] if text else [])(text + "x")


@given(PATTERNS, TEXTS)
def test_walking_matches_what_trying_everything_matches(pattern: str, text: str) -> None:
    """So does the way that is taken where searching would take long, for both kinds."""
    parsed = tokens(pattern)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wildcards, "STEPS", 0)
        patched.setattr(wildcards, "SEARCH_STEPS", 0)
        assert glob(parsed)(text) is naive(parsed, text)
        assert resource(parsed)(text) is naive(parsed, text, final_stars(pattern))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*" + "a?" * 1_000 + "b*", "a" * 65_000),
        ("arn:" + "a*:" * 1_000 + "b", "arn:" + "a:" * 1_000),
        ("arn:" + "*a?" * 600 + ":b", "arn:" + "a" * 2_000),
        ("arn:" + "a*:" * 300 + "*a?a?" * 300 + "b", "arn:" + "a:" * 500 + "a" * 1_000),
        ("arn:*" + ":a?" * 400 + ":b?", "arn:b" + ":ab" * 800 + ":b"),
    ],
)
@pytest.mark.parametrize("build", [glob, resource])
def test_matching_is_linear(
    build: Callable[[list[Token]], Matcher], pattern: str, text: str
) -> None:
    """Twice the text takes about twice the time, whatever the pattern; never the square of it."""
    assert steps(build(tokens(pattern)), text) < 20 * len(text) + 20 * len(pattern)


@pytest.mark.parametrize("pattern", ["*a?a7?*", "*?a?a7*a*", "*" + "a?" * 60 + "7*"])
def test_places_are_not_tried_in_python(pattern: str) -> None:
    """A request may have thousands of texts, and a policy hundreds of patterns."""
    matches = glob(tokens(pattern))
    assert not matches("a" * 128)
    assert steps(matches, "a" * 128) < 50


def steps(matches: Matcher, text: str) -> int:
    """Return how many functions are called and left in a match."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        matches(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("build", [glob, resource, arn])
def test_hostile_patterns_take_no_time(build: object) -> None:
    """Many stars against a long text that nearly matches: steps stay within length times length.

    The audit of livechat v13 found the regular expressions of users to take exponentially many.
    """
    assert callable(build)
    pattern = "arn:aws:ivschat:us-east-1:123456789012:" + "*a?" * 600 + "b"
    text = "arn:aws:ivschat:us-east-1:123456789012:" + "a" * 2_000
    assert build(tokens(pattern))(text) is False


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        # IAM User Guide, "IAM JSON policy elements: Resource": what the star of a segment covers
        ("b/*/test/*", "b/1/test/object.jpg", True),
        ("b/*/test/*", "b/1/2/test/3/object.jpg", True),
        ("b/*/test/*", "b/1///test///object.jpg", True),
        ("b/*/test/*", "b/1/test/.jpg", True),
        ("b/*/test/*", "b//test/object.jpg", True),
        ("b/*/test/*", "b/1/test/", True),
        ("b/*/test/*", "b/1-test/object.jpg", False),
        ("b/*/test/*", "b/test/object.jpg", False),
        ("b/*/test/*", "b/1/2/test.jpg", False),
        ("arn:aws:ivschat:*", "arn:aws:ivschat:us-east-1:1:room/a", True),
        ("arn:aws:ivschat:*:room/a", "arn:aws:ivschat:us-east-1:1:room/a", True),
        ("arn:aws:ivschat:us-*:1:room/*", "arn:aws:ivschat:us-east-1:1:room/a", True),
        ("arn:aws:ivschat:us*1:1:room/*", "arn:aws:ivschat:us-east-1:1:room/a", True),
        ("arn:aws:ivschat:us*:1:room/*", "arn:aws:ivschat:us-east-1:2:room/a", False),
        ("arn:aws:iv*/a", "arn:aws:ivschat:us-east-1:1:room/a", False),
        ("arn:aws:ivschat:??-east-1:1:room/*", "arn:aws:ivschat:eu-east-1:1:room/a", True),
        ("arn:aws:ivschat:us-east-1?1:room/*", "arn:aws:ivschat:us-east-1:1:room/a", False),
        ("*:?*", "a", False),
        ("*:?*", "a:", False),
        ("*:?*", "a:b", True),
        ("*:?*:?*", "a:b", False),
        ("*:?*:?*", "a:b:c", True),
    ],
)
def test_resource_patterns(pattern: str, text: str, matches: bool) -> None:
    """The Resource element matches segment by segment, as AWS documents it."""
    assert resource(tokens(pattern))(text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        # IAM User Guide, "Condition operators": the example that StringLike matches, ArnLike not
        (
            "arn:aws:someservice:*:111122223333:finance/*",
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            False,
        ),
        ("arn:aws:iam::*:user/*", "arn:aws:iam::1:user/path/alice", True),
        ("arn:aws:iam::1:user/*", "arn:aws:iam::1:user/a:b", True),
        ("arn:aws:iam:*", "arn:aws:iam::1:user/alice", False),
        ("*", "arn:aws:iam::1:user/alice", True),
        ("arn:*:iam::1:user/alic?", "arn:aws:iam::1:user/alice", True),
        ("arn:aws:iam::1:user/alice", "alice", False),
        ("arn:aws:iam::1:user/*:b", "arn:aws:iam::1:user/a:c:b", True),
        ("arn:aws:iam::?:user/a:b:c", "arn:aws:iam::1:user/a:b:c", True),
        ("arn:aws:iam::?:user/a:b:c", "arn:aws:iam::1:user/a:b", False),
    ],
)
def test_arn_patterns(pattern: str, text: str, matches: bool) -> None:
    """Each of an ARN's six components is matched by itself."""
    assert arn(tokens(pattern))(text) is matches


@given(st.text(string.printable, max_size=20))
def test_tokens_keep_the_text(text: str) -> None:
    """Tokens put together are the pattern again, and no two texts stand side by side."""
    found = tokens(text)
    assert "".join(t if isinstance(t, str) else t.value for t in found) == text
    kinds = [isinstance(t, str) for t in found]
    assert (True, True) not in itertools.pairwise(kinds)


@pytest.mark.parametrize(
    ("pattern", "length", "walks"),
    [("*a?b*", 5, False), ("*a?b*", 6, True), ("*ab*", 100, False), ("*??*", 100, False)],
)
def test_what_is_walked(
    pattern: str, length: int, walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what has several pieces between two stars, and so many places to try them at."""
    walked: list[str] = []

    def walk(_pattern: object, text: str, *, segments: bool) -> bool:
        assert not segments
        walked.append(text)
        return True

    monkeypatch.setattr(wildcards, "SEARCH_STEPS", 10)
    monkeypatch.setattr(wildcards, "_walk", walk)
    text = "x" * length
    glob(tokens(pattern))(text)
    assert walked == ([text] if walks else [])


def test_several_texts_between_stars() -> None:
    """Each stands where the question marks before it say, and nowhere else."""
    matches = glob(tokens("*a?b??c?*"))
    assert [text for text in ("a1b22c3", "xxa1b22c3yy", "aa1b22c3") if not matches(text)] == []
    assert [text for text in ("ab22c3", "a1b2c3", "a1b22c", "a11b22c3") if matches(text)] == []


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*ab*b*", "ab", False),
        ("*ab*b*", "abb", True),
        ("*aa*aa*", "aaa", False),
        ("*aa*aa*", "aaaa", True),
        ("?*a*a*", "baa", True),
        ("?*a*a*", "ba", False),
    ],
)
def test_no_character_counts_twice(pattern: str, text: str, matches: bool) -> None:
    """What stands for one piece does not stand for the next one, too."""
    assert glob(tokens(pattern))(text) is matches
