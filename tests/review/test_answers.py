"""The contract with handlers: the event, and which answers are valid."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.message import ATTRIBUTES_BYTES
from greenroom.review.answers import ANSWER_BYTES, AnswerInvalid, decode_answer, encode_event
from greenroom.review.base import Allowed, Denied, Submission

SUBMISSION = Submission(
    room_arn="arn:aws:ivschat:us-east-1:123456789012:room/Room00000001",
    message_id="Message00001",
    content="hi",
    attributes={"colour": "red"},
    user_id="ann",
    sender_attributes={"name": "Ann"},
    ip="192.0.2.7",
)
SOUND = st.text(st.characters(exclude_categories=["Cs"]))


def decoded(answer: object, maximum: int = 500) -> Allowed | Denied:
    """Return the verdict of an answer that is given as a value or as bytes."""
    return decode_answer(
        answer if isinstance(answer, bytes) else json.dumps(answer).encode(), maximum
    )


def invalid(answer: object, maximum: int = 500) -> str:
    """Return the rule that an answer breaks."""
    with pytest.raises(AnswerInvalid) as refused:
        decoded(answer, maximum)
    return str(refused.value)


def test_event() -> None:
    """The event has exactly the documented members, in the documented order."""
    assert encode_event(SUBMISSION) == (
        b'{"Content":"hi","MessageId":"Message00001",'
        b'"RoomArn":"arn:aws:ivschat:us-east-1:123456789012:room/Room00000001",'
        b'"Attributes":{"colour":"red"},'
        b'"Sender":{"Attributes":{"name":"Ann"},"UserId":"ann","Ip":"192.0.2.7"}}'
    )


@given(SOUND, st.none() | st.dictionaries(SOUND, SOUND), st.dictionaries(SOUND, SOUND), SOUND)
def test_event_keeps_all_text(
    content: str, attributes: dict[str, str] | None, sender: dict[str, str], user: str
) -> None:
    """Whatever text a message holds reaches the handler unchanged; absent attributes are {}."""
    submission = Submission(
        room_arn="r",
        message_id="m",
        content=content,
        attributes=attributes,
        user_id=user,
        sender_attributes=sender,
        ip="::1",
    )
    assert json.loads(encode_event(submission)) == {
        "Content": content,
        "MessageId": "m",
        "RoomArn": "r",
        "Attributes": attributes or {},
        "Sender": {"Attributes": sender, "UserId": user, "Ip": "::1"},
    }


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"ReviewResult": "ALLOW", "Content": "ok"}, Allowed("ok", None)),
        (
            {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {"a": "b"}},
            Allowed("ok", {"a": "b"}),
        ),
        ({"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {}}, Allowed("ok", {})),
        ({"ReviewResult": "ALLOW", "Content": "ok", "Attributes": None}, Allowed("ok", None)),
        ({"ReviewResult": "DENY"}, Denied(None)),
        ({"ReviewResult": "DENY", "Content": ""}, Denied(None)),
        ({"ReviewResult": "DENY", "Content": "x" * 5000}, Denied(None)),
        ({"ReviewResult": "DENY", "Content": None, "Attributes": None}, Denied(None)),
        ({"ReviewResult": "DENY", "Attributes": {"Reason": "rude"}}, Denied("rude")),
        ({"ReviewResult": "DENY", "Attributes": {"Reason": ""}}, Denied(None)),
        ({"ReviewResult": "DENY", "Attributes": {"reason": "rude"}}, Denied(None)),
        ({"ReviewResult": "ALLOW", "Content": "ok", "More": [{}]}, Allowed("ok", None)),
        (b' {"ReviewResult":"DENY","ReviewResult":"ALLOW","Content":"ok"}\n', Allowed("ok", None)),
        (b'{"ReviewResult":"ALLOW","Content":"\\ud83d\\ude00"}', Allowed("😀", None)),
    ],
)
def test_valid_answers(answer: object, verdict: Allowed | Denied) -> None:
    """ALLOW delivers what the handler returned, and only that; DENY may have a reason."""
    assert decoded(answer) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b'"ALLOW"',
        b"{}",
        b"not json",
        b'{"ReviewResult":"ALLOW","Content":"ok"',
        b'{"ReviewResult":"ALLOW","Content":"ok"}x',
        b'\xef\xbb\xbf{"ReviewResult":"ALLOW","Content":"ok"}',
        b'{"ReviewResult":"ALLOW","Content":"\xff"}',
        b'{"ReviewResult":"ALLOW","Content":"ok","More":"\xff"}',
        b'{"ReviewResult":"ALLOW","Content":"ok","More":NaN}',
        b'{"ReviewResult":"ALLOW","Content":"\\ud800"}',
        b'{"ReviewResult":"ALLOW","Content":"ok","Attributes":{"\\udc00":"a"}}',
        b'{"ReviewResult":"ALLOW","Content":"ok","More":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * ANSWER_BYTES,
        b" " * (ANSWER_BYTES + 1),
        {"ReviewResult": None},
        {"ReviewResult": "allow", "Content": "ok"},
        {"ReviewResult": "ALLOW ", "Content": "ok"},
        {"ReviewResult": True, "Content": "ok"},
        {"reviewresult": "ALLOW", "Content": "ok"},
        {"ReviewResult": "ALLOW"},
        {"ReviewResult": "ALLOW", "Content": None},
        {"ReviewResult": "ALLOW", "Content": ""},
        {"ReviewResult": "ALLOW", "Content": 1},
        {"ReviewResult": "ALLOW", "Content": ["ok"]},
        {"ReviewResult": "DENY", "Content": 1},
        {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": []},
        {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {"a": 1}},
        {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {"a": None}},
        {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {"a": {"b": "c"}}},
        {"ReviewResult": "DENY", "Attributes": {"Reason": "x" * ATTRIBUTES_BYTES}},
    ],
)
def test_invalid_answers(answer: object) -> None:
    """Everything else is invalid."""
    assert invalid(answer)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (b"not json", "it is not valid JSON"),
        (b'{"ReviewResult":"ALLOW","Content":"\xff"}', "it is not valid JSON"),
        (b'{"More":' + b"[" * 30_000, "it is not valid JSON"),
        (b" " * (ANSWER_BYTES + 1), f"it is larger than {ANSWER_BYTES} bytes"),
        (b" " * ANSWER_BYTES, "it is not valid JSON"),
        ({"ReviewResult": "allow"}, "ReviewResult must be ALLOW or DENY"),
        ({}, "Object missing required field `ReviewResult`"),
        ({"ReviewResult": "ALLOW"}, "Content is required with ALLOW, and must not be empty"),
        (
            {"ReviewResult": "ALLOW", "Content": 1},
            "Expected `str | null`, got `int` - at `$.Content`",
        ),
    ],
)
def test_the_rule_is_told(answer: object, rule: str) -> None:
    """What is wrong with an answer is told by its rule, so that its author finds it in the log."""
    assert invalid(answer) == rule


@pytest.mark.parametrize("letter", ["x", "ä", "👩"])
def test_length(letter: str) -> None:
    """Content has as many code points as the room allows, not one more."""
    answer = {"ReviewResult": "ALLOW", "Content": letter * 10}
    assert decoded(answer, 10) == Allowed(letter * 10, None)
    assert invalid(answer, 9) == "Content is longer than the room allows"


def test_attributes_size() -> None:
    """Attributes have 1 KB of keys and values, not one byte more."""
    full = {"a": "x" * (ATTRIBUTES_BYTES - 3), "ä": ""}
    assert decoded({"ReviewResult": "ALLOW", "Content": "ok", "Attributes": full}) == Allowed(
        "ok", full
    )
    assert "at most 1024 bytes" in invalid(
        {"ReviewResult": "ALLOW", "Content": "ok", "Attributes": {**full, "b": ""}}
    )


def test_a_rule_never_quotes_the_answer() -> None:
    """What is logged of an invalid answer holds nothing of it."""
    for answer in (
        {"ReviewResult": "secret"},
        {"ReviewResult": "ALLOW", "Content": "secret" * 100},
        {"ReviewResult": "ALLOW", "Content": "secret", "Attributes": {"secret": 1}},
        {"ReviewResult": "ALLOW", "Content": "secret", "Attributes": {"secret": "secret" * 200}},
        b"secret",
    ):
        assert "secret" not in invalid(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "ReviewResult": st.sampled_from(["ALLOW", "DENY", "allow"]) | JSON,
        "Content": st.text(max_size=12) | JSON,
        "Attributes": st.dictionaries(st.text(), st.text() | JSON) | JSON,
        "More": JSON,
    },
)


@given(ANSWERS.map(lambda answer: json.dumps(answer).encode()) | st.binary() | JSON.map(str))
def test_any_answer_is_a_verdict_or_invalid(answer: Any) -> None:
    """Whatever a handler returns, the verdict obeys the contract, or the answer is invalid."""
    body = answer if isinstance(answer, bytes) else answer.encode(errors="surrogatepass")
    try:
        verdict = decode_answer(body, 10)
    except AnswerInvalid:
        return
    given = json.loads(body)
    if isinstance(verdict, Denied):
        assert given["ReviewResult"] == "DENY"
        return
    assert given["ReviewResult"] == "ALLOW"
    assert (verdict.content, verdict.attributes) == (given["Content"], given.get("Attributes"))
    assert 1 <= len(verdict.content) <= 10
    assert (
        sum(len(k.encode()) + len(v.encode()) for k, v in (verdict.attributes or {}).items())
        <= 1024
    )
