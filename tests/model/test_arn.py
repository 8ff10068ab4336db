"""Amazon Resource Names: one text for one resource."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model import arn as arn_module
from greenroom.model.arn import Arn, ResourceType

ids = st.from_regex(r"[a-zA-Z0-9-]+", fullmatch=True)


@given(
    st.from_regex(r"[a-z0-9-]+", fullmatch=True),
    st.from_regex(r"[0-9]+", fullmatch=True),
    st.sampled_from(ResourceType),
    ids,
)
def test_parse_reads_what_is_written(
    region: str, account: str, kind: ResourceType, name: str
) -> None:
    """Every ARN is read as it was written."""
    arn = Arn(region, account, kind, name)
    assert Arn.parse(str(arn)) == arn


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AbCdEf123456",
        "arn:aws:ivs:us-east-1:1:room/a",
        "arn:aws:ivschat:us-east-1:1:channel/a",
        "arn:aws:ivschat:us-east-1:1:room/",
        "arn:aws:ivschat:us-east-1:1:room/a/b",
        "arn:aws:ivschat:us-east-1:1:room/a\n",
        "arn:aws:ivschat:us-east-1:x:room/a",
        "arn:aws:ivschat::1:room/a",
        "arn:aws-cn:ivschat:us-east-1:1:room/a",
        "arn:aws:ivschat:us-east-1:\u0661:room/a",
    ],
)
def test_other_texts(text: str) -> None:
    """What is not the ARN of one of the two resources is refused."""
    with pytest.raises(ValueError, match="not the ARN"):
        Arn.parse(text)


@pytest.mark.parametrize(("more", "kept"), [(0, 1), (1, 0)])
def test_what_is_kept(more: int, kept: int) -> None:
    """What is longer than the API takes is parsed like any other, each time."""
    arn_module._known.cache_clear()
    arn = Arn("us-east-1", "1", ResourceType.ROOM, "")
    rest = arn_module.KNOWN_CHARACTERS - len(str(arn)) + more
    text = str(arn) + "a" * rest
    assert str(Arn.parse(text)) == str(Arn.parse(text)) == text
    assert arn_module._known.cache_info().currsize == kept


def test_not_found() -> None:
    """The error has the bare id and the type in capitals, as the service model has them."""
    arn = Arn("us-east-1", "1", ResourceType.LOGGING_CONFIGURATION, "abc")
    error = arn.not_found()
    assert error.members() == {"resourceId": "abc", "resourceType": "LOGGING_CONFIGURATION"}
    assert str(arn) in error.message
