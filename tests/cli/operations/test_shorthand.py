"""Shorthand: what the AWS CLI's own parser reads, and what a text that is none is told."""

import pytest
from awscli.shorthand import ShorthandParseError, ShorthandParser  # type: ignore[import-untyped]  # it has no types
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.shapes import ListShape, MapShape, Shape, StringShape, StructureShape
from greenroom.cli.operations.shorthand import ShorthandInvalid, fitted, parse

READ = [
    "a=b",
    "a=b,c=d",
    "a=b,c",
    "a=b,c,d=e",
    "a=b=c",
    "a=",
    "a=,b=c",
    "a= b , c = d ",
    "a='b,c=d',e=f",
    'a="b \\" c"',
    "a='it\\'s'",
    "a=b\\,c,d=e",
    "a=[b,c],d={e=f,g=h}",
    "a=[]",
    "a={}",
    "a=[[b,c],[d]]",
    "a={b={c=d}}",
    "a=[{b=c},{b=d}]",
    'a=b,"c=d"',
    "a=b,'c'",
    "a=http://h/p?q=r",
    "k.e-y_s/#:1=v",
    "a=ä,b=日本",
    "a=b c,d e",
    "uri=arn:aws:lambda:us-east-1:123456789012:function:f,fallbackResult=DENY",
    "cloudWatchLogs={logGroupName=/aws/x}",
]

NONE = ["", "a", "a,b=c", "a=b,", "a=b,a=c", "a=[b", "a={b", "a={b=c", "a='b", "a=[b}c", "a=b]"]


@pytest.mark.parametrize("text", READ)
def test_what_is_read(text: str) -> None:
    """It is the same as with the AWS CLI."""
    assert parse(text) == ShorthandParser().parse(text)


@pytest.mark.parametrize("text", NONE)
def test_what_is_none(text: str) -> None:
    """What the AWS CLI refuses is refused, without repeating it: it may be a secret."""
    with pytest.raises(ShorthandParseError):
        ShorthandParser().parse(text)
    with pytest.raises(ShorthandInvalid) as invalid:
        parse(text)
    assert str(invalid.value)


@given(st.text("ab=,[]{}'\"\\ -", max_size=12))
def test_whatever_is_typed(text: str) -> None:
    """What both read is the same, and nothing is worse than refused."""
    try:
        ours = parse(text)
        theirs = ShorthandParser().parse(text)
    except (ShorthandInvalid, ShorthandParseError):
        return
    assert ours == theirs


def test_files() -> None:
    """`Key@=` is what the file holds that the value names."""
    assert parse("a@=file://x,b=file://y", lambda name: f"<{name}>") == {
        "a": "<file://x>",
        "b": "file://y",
    }


def _shape(type_name: str) -> Shape:
    return Shape(name="x", type_name=type_name, metadata={}, serialization={})


TEXT = StringShape(name="x", type_name="string", metadata={}, serialization={}, enum=())
LIST = ListShape(name="x", type_name="list", metadata={}, serialization={}, member=TEXT)
MAP = MapShape(name="x", type_name="map", metadata={}, serialization={}, key=TEXT, value=TEXT)
STRUCTURE = StructureShape(
    name="x",
    type_name="structure",
    metadata={},
    serialization={},
    members={
        "number": _shape("integer"),
        "part": _shape("double"),
        "is": _shape("boolean"),
        "list": LIST,
        "map": MAP,
    },
    required_members=(),
)


def test_values_of_a_shape() -> None:
    """Numbers, truth values, and a list of one that is written without brackets."""
    parsed = parse("number=3,part=0.5,is=false,list=a,map={k=v}")
    assert fitted(STRUCTURE, parsed) == {
        "number": 3,
        "part": 0.5,
        "is": False,
        "list": ["a"],
        "map": {"k": "v"},
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("number=x", "number must be a number"),
        ("nubmer=1", "has no key 'nubmer': there are number, part, is, list, map"),
        ("map=x", "map must be KEY=VALUE, or JSON"),
        ("number=1,2", "number must be one value"),
    ],
)
def test_values_that_do_not_fit(text: str, why: str) -> None:
    """The key and the rule are named."""
    with pytest.raises(ShorthandInvalid) as invalid:
        fitted(STRUCTURE, parse(text))
    assert str(invalid.value) == why
