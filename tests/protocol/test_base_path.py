import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.base_path import BasePath, checked

CHAT = BasePath("/chat")


@pytest.mark.parametrize(
    ("arrived", "asked", "signed"),
    [
        (b"/chat/ListRooms", b"/ListRooms", [b"/chat/ListRooms"]),
        (b"//chat//ListRooms", b"/ListRooms", [b"//chat//ListRooms"]),
        (b"/chat/tags/a%2Fb", b"/tags/a%2Fb", [b"/chat/tags/a%2Fb"]),
        (b"/chat", b"/", [b"/chat"]),
        (b"/chat/", b"/", [b"/chat/"]),
        (b"/ListRooms", b"/ListRooms", [b"/ListRooms", b"/chat/ListRooms"]),
        (b"//ListRooms", b"/ListRooms", [b"//ListRooms", b"/chat/ListRooms"]),
        (b"/", b"/", [b"/", b"/chat", b"/chat/"]),
        (b"/chats/ListRooms", b"/chats/ListRooms", [b"/chats/ListRooms", b"/chat/chats/ListRooms"]),
        (b"/chat/chat/x", b"/chat/x", [b"/chat/chat/x"]),
        (b"", b"/", [b"", b"/chat", b"/chat/"]),
    ],
)
def test_paths(arrived: bytes, asked: bytes, signed: list[bytes]) -> None:
    """What arrives with the path in front was not cut; what arrives without may have been."""
    paths = CHAT.paths(arrived)
    assert (paths.asked, list(paths.signed)) == (asked, signed)


@pytest.mark.parametrize(
    ("arrived", "asked"),
    [(b"/x", b"/x"), (b"//x", b"/x"), (b"///", b"/"), (b"*", b"*"), (b"/x//y", b"/x//y")],
)
def test_without_a_base_path(arrived: bytes, asked: bytes) -> None:
    """A path is what it is, but for slashes at its beginning, and was signed as it came."""
    assert BasePath().paths(arrived).asked == asked
    assert BasePath().paths(arrived).signed == (arrived,)
    assert BasePath("", {asked}.__contains__).paths(arrived).signed == (arrived,)


def test_paths_that_begin_alike() -> None:
    """A path of the service's own is what it is, although the base path is called alike."""
    own = b"/greenroom/token-keys/list"
    base = BasePath("/greenroom", {own}.__contains__)
    for arrived, asked, signed in (
        (own, own, (own, b"/greenroom" + own)),
        (b"/" + own, own, (b"/" + own, b"/greenroom" + own)),
        (b"/greenroom" + own, own, (b"/greenroom" + own,)),
        (b"/greenroom/ListRooms", b"/ListRooms", (b"/greenroom/ListRooms",)),
    ):
        assert (base.paths(arrived).asked, base.paths(arrived).signed) == (asked, signed)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_a_signature_is_good_for_one_request(one: bytes, other: bytes) -> None:
    """Whatever was signed, the requests that it is good for ask for the same."""
    ones, others = CHAT.paths(b"/" + one), CHAT.paths(b"/" + other)
    shared = set(ones.signed) & set(others.signed)
    assert not shared or ones.asked == others.asked


@pytest.mark.parametrize(
    "text", ["/chat", "/api/v1.0", "/a/b/c", "/~team_1/live-chat", "/greenroom", "/.well", "/a..b"]
)
def test_good_ones(text: str) -> None:
    """A path of a few plain segments."""
    assert checked(text) == text


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        *(
            (raw, "such as /chat")
            for raw in ("", "/", "chat", "/chat/", "//chat", "/a//b", "/Chat")
        ),
        *(
            (raw, "such as /chat")
            for raw in ("/.", "/a/..", "/a/../b", "/a?b", "/a%20b", "/é", "/a b")
        ),
        *((raw, "such as /chat") for raw in (5, None, "/" + "x" * 65, "/x" * 9)),
        *(
            (f"{raw}", "paths of its own")
            for raw in ("/health", "/metrics/x", "/tags", "/console", "/demo")
        ),
    ],
)
def test_bad_ones(raw: object, rule: str) -> None:
    """All else is refused with the rule."""
    with pytest.raises(ValueError, match=rule):
        checked(raw)
