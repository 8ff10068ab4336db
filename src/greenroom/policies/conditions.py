"""The Condition element: every operator of AWS's policy language, as a test of a request's context.

- Several keys of a condition must all hold; of several values of a policy, one must match; with a
  negated operator, none may.
- A key that is not in the request makes an operator false, a negated one true, one with
  `...IfExists` true, `ForAllValues:` true and `ForAnyValue:` false.
- A key that holds several values and is compared without `ForAllValues:` or `ForAnyValue:` is left
  open by AWS. Here it never helps the caller: an Allow needs all values to pass, a Deny one.

Source: IAM User Guide, "Condition operators", "Single-valued vs. multivalued context keys".
"""

import base64
import binascii
import contextlib
import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

import msgspec

from greenroom.model.letter_case import without_case
from greenroom.policies import wildcards
from greenroom.policies.variables import Context, Variable, fixed, resolve, template

T = TypeVar("T")

Test = Callable[[Context], bool]
"""Whether one operator and key hold in a request."""

ValueTest = Callable[[str, Context], bool]
"""Whether one value of the request matches one value of the policy."""

Compile = Callable[[str, bool], ValueTest]
"""Makes a value test of a policy's value; the flag says whether it may hold variables."""


class Operator(msgspec.Struct, frozen=True):
    """One operator without its prefix and suffix."""

    compile: Compile
    negated: bool = False


class Condition(msgspec.Struct, frozen=True, order=True):
    """One line of a Condition element."""

    operator: str
    """As written: `ForAnyValue:StringLikeIfExists`."""
    key: str
    values: tuple[str, ...]


class Qualified(msgspec.Struct, frozen=True):
    """An operator's name, taken apart."""

    quantifier: str
    """`ForAllValues`, `ForAnyValue` or nothing."""
    name: str
    if_exists: bool

    @property
    def is_null(self) -> bool:
        """Return whether this asks for the key's presence only."""
        return self.name == "Null"


def qualified(text: str) -> Qualified:
    """Take an operator's name apart.

    Raises:
        ValueError: AWS defines no such operator.
    """
    quantifier, colon, rest = text.rpartition(":")
    name = rest.removesuffix("IfExists")
    if colon and quantifier not in {"ForAllValues", "ForAnyValue"}:
        raise ValueError("has a prefix other than ForAllValues: and ForAnyValue:")
    if rest == "NullIfExists" or (name == "Null" and colon):
        raise ValueError("is not an operator: Null goes with no prefix and no IfExists")
    if name != "Null" and name not in OPERATORS:
        raise ValueError("is not an operator of the policy language")
    return Qualified(quantifier, name, rest != name)


Meter = Callable[[], None]
"""Called before each value is looked at; it may raise to end an evaluation that takes too long."""


def compile_condition(
    condition: Condition, *, variables: bool, deny: bool, meter: Meter | None = None
) -> Test:
    """Return the test of one line of a Condition element.

    Raises:
        ValueError: the operator does not exist, or a value is not one that it can compare with.
    """
    parts = qualified(condition.operator)
    key = without_case(condition.key)
    if parts.is_null:
        return _null_test(key, condition.values)
    kind = OPERATORS[parts.name]
    tests = [kind.compile(value, variables) for value in each_metered(condition.values, meter)]
    if meter is not None:
        tests = [_metered(test, meter) for test in tests]
    holds = _one_of(tests, kind.negated)
    missing = parts.if_exists or (parts.quantifier == "ForAllValues")
    if not parts.quantifier:
        missing = parts.if_exists or kind.negated
    every = parts.quantifier == "ForAllValues" or not (parts.quantifier or deny)
    return _key_test(key, holds, missing=missing, every=every)


def parse_date(text: str) -> datetime:
    """Return the time that a text says: a W3C form of ISO 8601, or seconds since 1970.

    Raises:
        ValueError: it says none.
    """
    if _EPOCH.fullmatch(text):
        with contextlib.suppress(OverflowError):
            return _EPOCH_START + timedelta(seconds=float(text))
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(_NO_DATE)
    date = match["date"] + "-01-01"[len(match["date"]) - len("2024") :]
    try:
        time = datetime.fromisoformat(f"{date}T{match['time'] or '00:00'}{match['zone'] or 'Z'}")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_NO_DATE) from None


_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = re.compile(r"-?[0-9]{5,15}(\.[0-9]{1,9})?")
_DATE = re.compile(
    r"(?P<date>[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)"
    r"(T(?P<time>[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_NO_DATE = "must be a date as ISO 8601 or in seconds since 1970"
_ARN = re.compile(r"arn(:[^:]*){4}:")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")


def _key_test(key: str, holds: ValueTest, *, missing: bool, every: bool) -> Test:
    among: Callable[[Iterable[bool]], bool] = all if every else any

    def test(context: Context) -> bool:
        value = context.get(key)
        if isinstance(value, str):
            return holds(value, context)
        if not value:
            return missing
        return among(holds(each, context) for each in value)

    return test


def each_metered(values: Iterable[T], meter: Meter | None) -> Iterator[T]:
    """Yield the values, with the meter called before each."""
    for value in values:
        if meter is not None:
            meter()
        yield value


def _metered(test: ValueTest, meter: Meter) -> ValueTest:
    def metered(value: str, context: Context) -> bool:
        meter()
        return test(value, context)

    return metered


def _one_of(tests: list[ValueTest], negated: bool) -> ValueTest:
    if len(tests) == 1 and not negated:
        return tests[0]

    def holds(value: str, context: Context) -> bool:
        return any(test(value, context) for test in tests) is not negated

    return holds


def _null_test(key: str, values: Iterable[str]) -> Test:
    wanted = {_boolean(value) for value in values}
    return lambda context: (not context.get(key) and context.get(key) != "") in wanted


# ------------------------------------------------------------------------- values by operator


def _string_equals(text: str, variables: bool) -> ValueTest:
    return _templated(text, variables, lambda parts: "".join(map(str, parts)).__eq__, wild=False)


def _string_equals_ignore_case(text: str, variables: bool) -> ValueTest:
    def build(parts: list[wildcards.Token]) -> wildcards.Matcher:
        wanted = without_case("".join(map(str, parts)))
        return lambda value: without_case(value) == wanted

    return _templated(text, variables, build, wild=False)


def _string_like(text: str, variables: bool) -> ValueTest:
    return _templated(text, variables, wildcards.glob, wild=True)


def _arn_like(text: str, variables: bool) -> ValueTest:
    pieces = template(text, variables=variables)
    has_variables = any(isinstance(piece, Variable) for piece in pieces)
    if not has_variables and text != "*" and not _ARN.match(text):
        raise ValueError("must be an ARN of six parts, or *")
    return _templated(text, variables, wildcards.arn, wild=True)


def _templated(
    text: str,
    variables: bool,
    build: Callable[[list[wildcards.Token]], wildcards.Matcher],
    *,
    wild: bool,
) -> ValueTest:
    pieces = template(text, variables=variables, wildcards=wild)
    tokens = fixed(pieces)
    if tokens is not None:
        matches = build(tokens)
        return lambda value, _: matches(value)

    def test(value: str, context: Context) -> bool:
        resolved = resolve(pieces, context)
        return resolved is not None and build(resolved)(value)

    return test


def _numeric(compare: Callable[[Decimal, Decimal], bool]) -> Compile:
    def build(text: str, _: bool) -> ValueTest:
        if not _NUMBER.fullmatch(text):
            raise ValueError("must be a number")
        wanted = Decimal(text)
        return lambda value, _: bool(_NUMBER.fullmatch(value)) and compare(Decimal(value), wanted)

    return build


def _date(compare: Callable[[datetime, datetime], bool]) -> Compile:
    def build(text: str, _: bool) -> ValueTest:
        wanted = parse_date(text)

        def test(value: str, _: Context) -> bool:
            try:
                return compare(parse_date(value), wanted)
            except ValueError:
                return False

        return test

    return build


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _bool(text: str, variables: bool) -> ValueTest:
    if not (variables and "${" in text):
        _boolean(text)
    return _string_equals_ignore_case(text, variables)


def _binary_equals(text: str, _: bool) -> ValueTest:
    try:
        wanted = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    return lambda value, _: value.encode() == wanted


def _ip_address(text: str, _: bool) -> ValueTest:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a range in CIDR form") from None

    def test(value: str, _: Context) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address in network

    return test


_ORDERS = {
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}

OPERATORS = MappingProxyType(
    {
        "StringEquals": Operator(_string_equals),
        "StringNotEquals": Operator(_string_equals, negated=True),
        "StringEqualsIgnoreCase": Operator(_string_equals_ignore_case),
        "StringNotEqualsIgnoreCase": Operator(_string_equals_ignore_case, negated=True),
        "StringLike": Operator(_string_like),
        "StringNotLike": Operator(_string_like, negated=True),
        "NumericEquals": Operator(_numeric(operator.eq)),
        "NumericNotEquals": Operator(_numeric(operator.eq), negated=True),
        **{f"Numeric{name}": Operator(_numeric(order)) for name, order in _ORDERS.items()},
        "DateEquals": Operator(_date(operator.eq)),
        "DateNotEquals": Operator(_date(operator.eq), negated=True),
        **{f"Date{name}": Operator(_date(order)) for name, order in _ORDERS.items()},
        "Bool": Operator(_bool),
        "BinaryEquals": Operator(_binary_equals),
        "IpAddress": Operator(_ip_address),
        "NotIpAddress": Operator(_ip_address, negated=True),
        "ArnEquals": Operator(_arn_like),
        "ArnLike": Operator(_arn_like),
        "ArnNotEquals": Operator(_arn_like, negated=True),
        "ArnNotLike": Operator(_arn_like, negated=True),
    }
)
"""The operators by name; `Null` beside them asks for a key's presence."""
