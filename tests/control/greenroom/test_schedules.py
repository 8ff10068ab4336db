"""Scheduled announcements by the API: what is taken, refused, listed and removed."""

from typing import Any

import pytest

from tests.stand_ins.caller import STRANGER, Caller

RULES: dict[str, Any] = {"name": "rules", "content": "Be kind", "everySeconds": 60}


async def a_room() -> tuple[Caller, str]:
    """Return a service and the ARN of a room."""
    api = await Caller().listening()
    return api, await api.created(maximumMessageLength=20)


async def test_it_is_made_changed_listed_and_removed() -> None:
    """Each answer has it as it is; removing what is not there is no error."""
    api, arn = await a_room()
    room = {"roomIdentifier": arn}
    made = await api.call("PutAnnouncementSchedule", **room, **RULES)
    assert made.status == 200, made.body
    expected = {
        **RULES,
        "style": "INFO",
        "by": "arn:aws:iam::123456789012:root",
        "created": "2023-11-14T22:13:20.000Z",
        "due": "2023-11-14T22:14:20.000Z",
    }
    assert made.body == {"schedule": expected}
    api.time.advance(10)
    changed = await api.call(
        "PutAnnouncementSchedule", **room, **{**RULES, "style": "WARNING", "content": "Be nice"}
    )
    expected.update(style="WARNING", content="Be nice")
    assert changed.body == {"schedule": expected}
    listed = await api.call("ListAnnouncementSchedules", **room)
    assert listed.body == {"schedules": [expected]}
    for _ in range(2):
        gone = await api.call("DeleteAnnouncementSchedule", **room, name="rules")
        assert (gone.status, gone.body) == (200, {})
    assert (await api.call("ListAnnouncementSchedules", **room)).body == {"schedules": []}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"everySeconds": 59}, "everySeconds"),
        ({"everySeconds": 86_401}, "everySeconds"),
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"content": ""}, "content"),
        ({"content": "x" * 21}, "content"),
        ({"style": "LOUD"}, "style"),
    ],
)
async def test_what_is_wrong_is_named(changed: dict[str, Any], field: str) -> None:
    """The rule is said, and nothing is kept."""
    api, arn = await a_room()
    room = {"roomIdentifier": arn}
    refused = await api.call("PutAnnouncementSchedule", **room, **{**RULES, **changed})
    assert refused.fields() == [field]
    assert (await api.call("ListAnnouncementSchedules", **room)).body == {"schedules": []}


@pytest.mark.parametrize(
    "changed",
    [
        *({"everySeconds": seconds} for seconds in (60, 86_400)),
        *({"name": name} for name in ("x", "x" * 64)),
        *({"content": content} for content in ("x", "x" * 20)),
    ],
)
async def test_what_is_just_allowed(changed: dict[str, Any]) -> None:
    """The bounds themselves are taken."""
    api, arn = await a_room()
    made = await api.call("PutAnnouncementSchedule", roomIdentifier=arn, **{**RULES, **changed})
    assert made.body["schedule"].items() >= changed.items()


async def test_a_room_has_ten_at_most() -> None:
    """The answer says what to do."""
    api, arn = await a_room()
    for number in range(10):
        made = await api.call(
            "PutAnnouncementSchedule", roomIdentifier=arn, **{**RULES, "name": f"n{number}"}
        )
        assert made.status == 200, made.body
    refused = await api.call("PutAnnouncementSchedule", roomIdentifier=arn, **RULES)
    assert refused.error() == (402, "ServiceQuotaExceededException")
    assert refused.body["message"] == ("The room has 10 scheduled announcements: delete one first")
    assert (refused.body["limit"], refused.body["resourceType"]) == (10, "ROOM")


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("PutAnnouncementSchedule", RULES),
        ("ListAnnouncementSchedules", {}),
        ("DeleteAnnouncementSchedule", {"name": "rules"}),
    ],
)
async def test_of_other_rooms(operation: str, more: dict[str, Any]) -> None:
    """One that is not there, and one of another account, are not found."""
    api, arn = await a_room()
    missing = await api.call(operation, roomIdentifier=arn[:-1] + "0", **more)
    assert missing.error() == (404, "ResourceNotFoundException")
    foreign = await api.call(operation, account=STRANGER, roomIdentifier=arn, **more)
    assert foreign.status in (403, 404)
