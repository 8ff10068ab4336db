import contextlib
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.principal import ContextValue
from greenroom.policies import wildcards
from greenroom.policies.conditions import OPERATORS, Condition, compile_condition, parse_date

MISSING = None
Value = str | tuple[str, ...] | None


def holds(
    operator: str, values: str | tuple[str, ...], given: Value, *, deny: bool = False
) -> bool:
    """Return whether a condition on one key holds for what the request has."""
    wanted = (values,) if isinstance(values, str) else values
    test = compile_condition(Condition(operator, "S:Key", wanted), variables=True, deny=deny)
    context: dict[str, ContextValue] = {"aws:username": "alice"}
    if given is not None:
        context["s:key"] = given
    return test(context)


@pytest.mark.parametrize(
    ("operator", "values", "given", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", ("a", "b"), "b", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "${aws:username}", "alice", True),
        ("StringEquals", "${aws:nothing}", "alice", False),
        ("StringEquals", "", "", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ("a", "b"), "b", False),
        ("StringNotEquals", "${aws:nothing}", "alice", True),
        ("StringEqualsIgnoreCase", "Red", "rED", True),
        ("StringNotEqualsIgnoreCase", "Red", "rED", False),
        ("StringEqualsIgnoreCase", "a*", "A*", True),
        ("StringEqualsIgnoreCase", "a*", "AB", False),
        ("StringEqualsIgnoreCase", "STRASSE", "straße", False),
        ("StringEqualsIgnoreCase", "fi", "ﬁ", False),
        ("StringEqualsIgnoreCase", "Ärzte", "äRZTE", True),
        ("StringEqualsIgnoreCase", "k", "\u212a", False),
        ("StringNotEqualsIgnoreCase", "STRASSE", "straße", True),
        ("StringLike", "home/*", "home/alice", True),
        ("StringLike", "home/?", "home/alice", False),
        ("StringLike", "Home/*", "home/alice", False),
        ("StringLike", "${aws:username}-?", "alice-1", True),
        ("StringNotLike", "home/*", "home/alice", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericNotEquals", "10", "10.0", False),
        ("NumericNotEquals", "10", "many", True),
        ("NumericLessThan", "10", "9.99", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "-1", "0", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericLessThan", "10", "few", False),
        ("DateLessThan", "2024-01-02T00:00:00Z", "2024-01-01T23:59:59Z", True),
        ("DateLessThan", "2024-01-02", "1704067200", True),
        ("DateLessThanEquals", "2024", "2024-01-01T00:00:00Z", True),
        ("DateGreaterThan", "2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00Z", True),
        ("DateGreaterThanEquals", "1704067200", "2024-01-01T00:00:00Z", True),
        ("DateEquals", "2024-01", "2024-01-01T00:00:00Z", True),
        ("DateNotEquals", "2024-01", "2024-01-01T00:00:00Z", False),
        ("DateGreaterThan", "2024", "yesterday", False),
        ("Bool", "true", "true", True),
        ("Bool", "TRUE", "true", True),
        ("Bool", "false", "true", False),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "BinaryValueInBase64", True),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "other", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.7", False),
        ("IpAddress", "203.0.113.7", "203.0.113.7", True),
        ("IpAddress", ("203.0.113.0/24", "2001:DB8:1234:5678::/64"), "2001:db8:1234:5678::1", True),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "somewhere", False),
        ("IpAddress", "203.0.113.9/24", "203.0.113.7", True),
        ("IpAddress", "203.0.113.0/24", "2001:db8::1", False),
        ("IpAddress", "2001:db8::/32", "203.0.113.7", False),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.7", False),
        ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True),
        ("ArnEquals", "arn:aws:iam::*:user/a*", "arn:aws:iam::1:user/alice", True),
        ("ArnLike", "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/alice", True),
        ("ArnLike", "${aws:username}", "alice", False),
        ("ArnLike", "${aws:username}:aws:iam::1:root", "alice:aws:iam::1:root", True),
        ("ArnLike", "*", "arn:aws:iam::1:user/alice", True),
        ("ArnNotEquals", "arn:aws:iam::1:user/alice", "arn:aws:iam::1:user/alice", False),
        ("ArnNotLike", "arn:aws:iam::2:*", "arn:aws:iam::1:user/alice", True),
        ("Null", "true", MISSING, True),
        ("Null", "true", "x", False),
        ("Null", "false", "x", True),
        ("Null", "false", "", True),
        ("Null", "false", MISSING, False),
        ("Null", ("true", "false"), MISSING, True),
        ("Null", "true", (), True),
    ],
)
def test_operators(
    operator: str, values: str | tuple[str, ...], given: Value, expected: bool
) -> None:
    """Each operator compares as the IAM User Guide says ("Condition operators")."""
    assert holds(operator, values, given) is expected


VALUE_OF = {
    "Num": "1",
    "Dat": "2024",
    "Boo": "true",
    "Bin": "AA==",
    "IpA": "10.0.0.1",
    "Not": "10.0.0.1",
    "Arn": "arn:aws:iam::1:root",
    "Str": "x",
}


@pytest.mark.parametrize("name", OPERATORS)
def test_missing_keys(name: str) -> None:
    """A missing key: false, true when negated, true with IfExists; sets: all true, any false."""
    value = VALUE_OF[name[:3]]
    assert holds(name, value, MISSING) is OPERATORS[name].negated
    assert holds(f"{name}IfExists", value, MISSING)
    assert holds(f"ForAllValues:{name}", value, MISSING)
    assert not holds(f"ForAnyValue:{name}", value, MISSING)
    assert holds(f"ForAnyValue:{name}IfExists", value, MISSING)
    assert holds(f"ForAllValues:{name}", value, ())
    assert not holds(f"ForAnyValue:{name}", value, ())


@pytest.mark.parametrize("name", OPERATORS)
def test_negated_operators_are_the_opposite(name: str) -> None:
    """A value that one operator takes, its negation refuses."""
    if not OPERATORS[name].negated:
        return
    value = VALUE_OF[name[:3]]
    assert not holds(name, value, value if name[:3] != "Bin" else "\0")


# IAM User Guide, "Creating a condition with multiple keys or values": attributes in the request,
# `PostDateTime`, `Message` and `Tags` in the policy
ATTRIBUTES = ("PostDateTime", "Message", "Tags")


@pytest.mark.parametrize(
    ("operator", "values", "given", "expected"),
    [
        ("ForAllValues:StringLike", ATTRIBUTES, ("PostDateTime", "Message"), True),
        ("ForAllValues:StringLike", ATTRIBUTES, ("PostDateTime", "UserName"), False),
        ("ForAnyValue:StringLike", ("ID", "PostDateTime"), ("PostDateTime", "Message"), True),
        ("ForAnyValue:StringLike", ("ID", "PostDateTime"), ("UserName",), False),
        ("ForAnyValue:StringEquals", "a", "a", True),
        ("ForAllValues:StringNotEquals", ("a", "b"), ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("a", "b"), ("c", "a"), False),
        ("ForAnyValue:StringNotEquals", ("a", "b"), ("c", "a"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), ("b", "a"), False),
    ],
)
def test_set_operators(
    operator: str, values: str | tuple[str, ...], given: Value, expected: bool
) -> None:
    """Each value of the request is asked about; all or one must pass."""
    assert holds(operator, values, given) is expected


def test_several_values_without_a_set_operator_never_help_the_caller() -> None:
    """An Allow needs all of them to pass, a Deny one."""
    assert not holds("StringEquals", "a", ("a", "b"))
    assert holds("StringEquals", "a", ("a", "b"), deny=True)
    assert holds("StringEquals", ("a", "b"), ("a", "b"))
    assert not holds("StringNotEquals", "a", ("a", "b"))
    assert holds("StringNotEquals", "a", ("a", "b"), deny=True)


@pytest.mark.parametrize(
    ("operator", "value", "rule"),
    [
        ("StringEquls", "a", "is not an operator"),
        ("stringequals", "a", "is not an operator"),
        ("NullIfExists", "true", "Null goes with no prefix"),
        ("ForAnyValue:Null", "true", "Null goes with no prefix"),
        ("ForSome:StringEquals", "a", "ForAllValues: and ForAnyValue:"),
        ("NumericEquals", "ten", "must be a number"),
        ("NumericEquals", "${aws:username}", "must be a number"),
        ("DateLessThan", "tomorrow", "must be a date"),
        ("DateLessThan", "2024-13-01", "must be a date"),
        ("DateLessThan", "2024-01-01*", "must be a date"),
        ("Bool", "yes", "must be true or false"),
        ("Null", "maybe", "must be true or false"),
        ("BinaryEquals", "%", "must be base64"),
        ("IpAddress", "10.0.0.0/33", "must be an IP address"),
        ("ArnLike", "alice", "must be an ARN"),
        ("StringLike", "${x", "begins no policy variable"),
    ],
)
def test_what_cannot_be_compared_is_refused(operator: str, value: str, rule: str) -> None:
    """A value that its operator cannot use is a fault when the policy is read."""
    with pytest.raises(ValueError, match=rule):
        compile_condition(Condition(operator, "s:k", (value,)), variables=True, deny=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024", 1704067200),
        ("2024-02", 1706745600),
        ("2024-02-03", 1706918400),
        ("2024-02-03T04:05Z", 1706933100),
        ("2024-02-03T04:05", 1706933100),
        ("2024-02-03T04:05:06Z", 1706933106),
        ("2024-02-03T04:05:06.5Z", 1706933106.5),
        ("2024-02-03T04:05:06+02:00", 1706925906),
        ("2024-02-03T04:05:06-00:30", 1706934906),
        ("1706933106", 1706933106),
        ("1706933106.25", 1706933106.25),
        ("-86400", -86400),
        ("10000", 10000),
    ],
)
def test_dates(text: str, seconds: float) -> None:
    """ISO 8601 as the W3C has it, in UTC where no zone is said, or seconds since 1970."""
    assert parse_date(text).timestamp() == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("999999999999999", "-999999999999999", "1234567890123456", "1706933106.", "1706 933106"),
        *("0001-01-01T00:00+00:01", "9999-12-31T23:59-00:01", "0000", "2024-02-30"),
        *("2024-02-03T24:01Z", "2024-02-03Z", "2024-2-3", "24-02-03", "2024-02-03 04:05Z"),
    ],
)
def test_what_is_no_date(text: str) -> None:
    """Also what no calendar has, and what is before the first year or after the last."""
    with pytest.raises(ValueError, match="must be a date"):
        parse_date(text)


@pytest.mark.parametrize(("operator", "build"), [("StringLike", "glob"), ("ArnLike", "arn")])
def test_what_has_no_variable_is_compiled_once(operator: str, build: str) -> None:
    """A pattern with one depends on the request; the others are ready before any comes."""
    arn = "arn:aws:iam::1:user/"
    context = {"s:key": f"{arn}alice", "aws:username": "alice"}
    for value, calls in ((f"{arn}a*", 1), (f"{arn}${{aws:username}}", 3)):
        with mock.patch.object(wildcards, build, wraps=getattr(wildcards, build)) as building:
            condition = Condition(operator, "s:key", (value,))
            test = compile_condition(condition, variables=True, deny=False)
            assert all(test(context) for _ in range(3))
        assert building.call_count == calls


@given(st.text(max_size=30) | st.from_regex(r"[0-9T:Z.+-]{1,30}", fullmatch=True))
def test_dates_are_read_or_refused(text: str) -> None:
    """Any text is a date with a time zone, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert parse_date(text).tzinfo is not None


@given(st.sampled_from(sorted(OPERATORS)), st.text(max_size=10), st.text(max_size=10))
def test_no_value_of_a_request_raises(name: str, given: str, other: str) -> None:
    """Whatever the request holds, an operator says yes or no."""
    value = VALUE_OF[name[:3]]
    assert isinstance(holds(f"ForAnyValue:{name}", value, (given, other)), bool)
