import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.variables import fixed, keys, resolve, template
from greenroom.policies.wildcards import Wildcard, glob


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${aws:username}", "alice"),
        ("${AWS:UserName}", "alice"),
        ("room/${aws:username}/${aws:PrincipalTag/team}", "room/alice/red"),
        ("${aws:PrincipalTag/Team}", "red"),
        ("${aws:PrincipalTag/cost center}", "12"),
        ("${aws:PrincipalTag/city, 'no city'}", "no city"),
        ("${ aws:PrincipalTag/team , 'none' }", "red"),
        ("${aws:PrincipalTag/city, ''}", ""),
        ("${$}{aws:username}", "${aws:username}"),
        ("$100 {}", "$100 {}"),
        ("${*}${?}${$}", "*?$"),
    ],
)
def test_variables_stand_for_values_of_the_request(text: str, expected: str) -> None:
    """Keys in any case, defaults in quotes, and the three special characters."""
    context = {
        "aws:username": "alice",
        "aws:principaltag/team": "red",
        "aws:principaltag/cost center": "12",
    }
    resolved = resolve(template(text, variables=True), context)
    assert resolved is not None
    assert "".join(map(str, resolved)) == expected


@given(st.text(max_size=20))
def test_values_are_literal(value: str) -> None:
    """A wildcard or a variable within a value is text: it matches itself only."""
    resolved = resolve(template("${aws:username}", variables=True), {"aws:username": value})
    assert resolved is not None
    matches = glob(resolved)
    assert matches(value)
    assert not matches(value + "x")


def test_special_characters_are_no_wildcards() -> None:
    """`${*}` is a star, beside which a star is any text."""
    resolved = resolve(template("a${*}*", variables=True), {})
    assert resolved is not None
    assert resolved[-1] is Wildcard.ANY
    assert glob(resolved)("a*b")
    assert not glob(resolved)("ab")


@pytest.mark.parametrize("context", [{}, {"aws:tagkeys": ("a", "b")}])
def test_variables_without_one_value_do_not_resolve(context: dict[str, tuple[str, ...]]) -> None:
    """A key that is missing, or has several values, stands for nothing."""
    assert resolve(template("x${aws:TagKeys}", variables=True), context) is None


@pytest.mark.parametrize(
    "text", ["${", "${}", "${aws:username", "${username}", "${a:b, c}", "${a:b, 'c}", "${**}"]
)
def test_bad_variables_are_refused(text: str) -> None:
    """A `${` that begins no variable is a fault, not text."""
    with pytest.raises(ValueError, match="begins no policy variable"):
        template(text, variables=True)


def test_old_versions_have_no_variables() -> None:
    """Before 2012-10-17, `${aws:username}` is text."""
    assert template("${aws:username}", variables=False) == ("${aws:username}",)


@pytest.mark.parametrize("text", ["", "a*b", "${*}", "${$}x"])
def test_what_has_no_variable_is_known(text: str) -> None:
    """It is the same in every request, and is made ready once."""
    pieces = template(text, variables=True)
    assert fixed(pieces) == list(pieces)
    assert fixed(template(text + "${aws:username}", variables=True)) is None


def test_keys_of_variables() -> None:
    """The keys that a template looks at are known."""
    assert keys(template("${aws:ResourceTag/A}/${*}/*", variables=True)) == {"aws:resourcetag/a"}
