"""One line of the audit log: what was done is whole, what was refused is short."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.audit.entry import (
    ITEMS,
    NAMED_CHARACTERS,
    REFUSED_CHARACTERS,
    RESOURCES,
    SHORT_BYTES,
    AuditEntry,
    encoded,
)


def line(outcome: str = "Success", **members: Any) -> dict[str, Any]:
    """Return an entry's line as JSON has it."""
    entry = AuditEntry(time=datetime(2026, 1, 2, tzinfo=UTC), outcome=outcome, **members)
    found: dict[str, Any] = json.loads(encoded(entry))
    return found


def test_what_was_done_is_whole() -> None:
    """The largest policy, 50 tags and ten resources are written as they are."""
    details = {
        "policyDocument": "p" * 10_240,
        "tags": [f"{number:03}" * 30 for number in range(50)],
        "destinationConfiguration": {"s3": {"bucketName": "logs"}},
        "setAsDefault": True,
        "durationSeconds": 900,
    }
    resources = tuple(f"arn:{number}" for number in range(10))
    told = line(details=details, resources=resources)
    assert (told["details"], told["resources"]) == (details, list(resources))


@pytest.mark.parametrize("character", ["x", "\u8a9e", "\U0001f600", "\x01", "\x9b", '"'])
@pytest.mark.parametrize("outcome", ["Success", "AccessDeniedException"])
def test_no_line_is_long(outcome: str, character: str) -> None:
    """Whatever a request names, a refusal has at most 8 KB and all else 128 KB."""
    long = character * 20_000
    entry = AuditEntry(
        time=datetime(2026, 1, 2, tzinfo=UTC),
        outcome=outcome,
        request_id=long,
        arn=long,
        access_key_id=long,
        resources=(long,) * 50,
        details={
            "tags": [long] * 50,
            "map": {long + str(number): long for number in range(200)},
            "text": long,
            "deep": [[[long]]],
        },
    )
    assert len(encoded(entry)) < (131_072 if outcome == "Success" else 16_384)


@pytest.mark.parametrize("outcome", ["Success", "AccessDeniedException"])
def test_no_terminal_obeys_a_line(outcome: str) -> None:
    """Control characters are escaped, those of C1 and DEL, too; all else is as it was."""
    text = "".join(map(chr, (*range(0x100), 0x7FF, 0x2028, 0x10080)))
    entry = AuditEntry(time=datetime(2026, 1, 2, tzinfo=UTC), outcome=outcome, arn=text)
    shown = encoded(entry).decode().removesuffix("\n")
    assert not [each for each in shown if each < " " or "\x7f" <= each <= "\x9f"]
    assert json.loads(shown)["arn"] == text
    told = line(outcome, details={"\x7f": "\x9b" * 200})["details"]
    assert told == {"\x7f": "\x9b" * 200}
    plain = AuditEntry(time=datetime(2026, 1, 2, tzinfo=UTC), outcome=outcome, arn="a\x7fb")
    assert b'"a\\u007fb"' in encoded(plain)


def test_a_refusal_of_many_long_tags_is_short() -> None:
    """50 keys of 128 characters, each of three bytes, are a line of less than 2 KB."""
    entry = AuditEntry(
        time=datetime(2026, 1, 2, tzinfo=UTC),
        outcome="AccessDeniedException",
        details={"tags": ["\u8a9e" * 128 for _ in range(50)]},
    )
    assert len(encoded(entry)) < 2_048


def test_a_text_that_is_cut_can_be_compared() -> None:
    """It says how long it was, and its hash."""
    document = "p" * 9_000
    told = line("AccessDenied", details={"PolicyDocument": document, "UserName": "ann"})
    digest = hashlib.sha256(document.encode()).hexdigest()
    assert told["details"] == {
        "PolicyDocument": f"{'p' * 64}… (9000 characters, SHA-256 {digest})",
        "UserName": "ann",
    }


def test_lists_and_maps_say_what_is_missing() -> None:
    """Beyond the bound there is a number."""
    told = line(
        details={
            "list": list(range(150)),
            "map": {str(each): 1 for each in range(150)},
            "text": "x" * 16_384,
        }
    )
    assert told["details"]["list"][100:] == ["… 50 more"]
    assert told["details"]["map"]["…"] == "50 more"


@pytest.mark.parametrize(("size", "whole"), [(SHORT_BYTES, True), (SHORT_BYTES + 1, False)])
def test_a_short_line_about_a_refusal_is_whole(size: int, whole: bool) -> None:
    """Up to its bound nothing is cut, beyond it what is long is."""

    def refused(length: int) -> AuditEntry:
        time = datetime(2026, 1, 2, tzinfo=UTC)
        return AuditEntry(time=time, outcome="AccessDenied", details={"a": "x" * length})

    length = size - len(encoded(refused(0)))
    found = json.loads(encoded(refused(length)))["details"]["a"]
    assert (found == "x" * length) is whole


def test_the_bounds_themselves_are_whole() -> None:
    """A text of the largest length, and as many items and resources as there may be."""
    most = {
        "request_id": "r" * NAMED_CHARACTERS,
        "arn": "a" * NAMED_CHARACTERS,
        "access_key_id": "k" * NAMED_CHARACTERS,
        "resources": tuple("x" * NAMED_CHARACTERS for _ in range(RESOURCES)),
    }
    details = {"list": list(range(ITEMS)), "seconds": 900, "done": True, "none": None}
    told = line("AccessDenied", details=details, **most)
    assert told["details"] == details
    assert (told["requestId"], told["arn"]) == (most["request_id"], most["arn"])
    assert (told["accessKeyId"], told["resources"]) == (
        most["access_key_id"],
        list(most["resources"]),
    )
    more = {name: f"{value}x" for name, value in most.items() if isinstance(value, str)}
    told = line("AccessDenied", **more, resources=(*most["resources"], "one more"))
    assert all("1025 characters" in told[name] for name in ("requestId", "arn", "accessKeyId"))
    assert len(told["resources"]) == RESOURCES


def test_all_details_share_their_bound() -> None:
    """What one value takes the next ones have not; of a text that hardly fits little is kept."""
    first = "f" * (REFUSED_CHARACTERS - len("onetwo") - 10)
    told = line("AccessDenied", details={"one": first, "two": "s" * 600, "three": "t", "four": "u"})
    assert told["details"]["one"] == first
    assert told["details"]["two"].startswith("ssssssssss… (600 characters")
    assert told["details"]["…"] == "2 more"
