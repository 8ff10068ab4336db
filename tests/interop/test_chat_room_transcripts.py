"""`ChatRoom` and the official messaging SDK go through the same scene; what they tell is the same.

`test_messaging_sdk.py` runs each of its tests with both.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.running import messaging_driver, python_rooms
from tests.running.messaging_driver import Driver, Refused, Room, Rooms, Thrown
from tests.running.service import Service

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID = re.compile(r"(?![a-z]{12})[a-zA-Z0-9]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Transcript:
    """What rooms told and requests returned, with names in the place of what differs each time."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []
        self._names: dict[str, str] = {}

    def note(self, what: str, value: Any) -> None:
        """Note a result."""
        self.lines.append((what, self._shown(value)))

    async def asking(self, what: str, request: Any) -> Any:
        """Note what a request returns or is refused with; return its result."""
        try:
            result = await request
        except Refused as refused:
            error = (refused.code, refused.message, bool(refused.request_id))
            self.note(what, ["refused", *error])
            return None
        except Thrown:
            self.note(what, "thrown")
            return None
        self.note(what, result)
        return result

    def told(self, who: str, room: Room) -> None:
        """Note everything that a room told; its WebSockets are not the client's to tell of."""
        for event, value in room.events:
            if not event.startswith("socket"):
                self.note(f"{who} {event}", value)

    def _shown(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._shown(each) for name, each in sorted(value.items())}
        if isinstance(value, list):
            return [self._shown(each) for each in value]
        if isinstance(value, str) and _TIME.fullmatch(value):
            return "a time"
        if isinstance(value, str) and (_UUID.fullmatch(value) or _ID.fullmatch(value)):
            return self._names.setdefault(value, f"id {len(self._names)}")
        return value


async def play(sdk: Driver, service: Service) -> list[tuple[str, Any]]:
    """Play the scene in a room of its own; return what was told."""
    said = Transcript()
    arn = service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"]
    rooms = Rooms(sdk, service)
    url = f"{service.websocket_url}?"  # by its URL a WebSocket is known to be a room's
    moderator = await rooms.enter(
        arn, "moderator", url=f"{url}moderator", attributes={"color": "red"}
    )
    viewer = await rooms.enter(arn, "viewer", url=f"{url}viewer", capabilities=[])
    troll = await rooms.enter(arn, "troll", url=f"{url}troll")
    await _talk(said, service, arn, moderator, viewer, troll)
    said.note("states", [await each.state() for each in (moderator, viewer, troll)])
    await viewer.close()
    await viewer.next("disconnect")
    for who, room in (("moderator", moderator), ("viewer", viewer), ("troll", troll)):
        said.told(who, room)
    await _refuse(said, rooms, service.token(arn, "late"))
    service.boto3().delete_room(identifier=arn)
    await said.asking("send to no room", moderator.send("hi"))
    await rooms.leave()
    return said.lines


async def _talk(
    said: Transcript, service: Service, arn: str, moderator: Room, viewer: Room, troll: Room
) -> None:
    """Send, break rules, delete, kick; until the viewer has seen the last of it."""
    sent = await said.asking("send", troll.send("hello", {"reply-to": "x"}))
    await said.asking("send", moderator.send("Grüße 🎉"))
    await said.asking("send too much", troll.send("x" * 501))
    await said.asking("may not send", viewer.send("hi"))
    await said.asking("may not kick", viewer.kick("troll"))
    await said.asking("delete nonsense", moderator.delete("nonsense"))
    await said.asking("delete", moderator.delete(sent["id"], "spam"))
    attributes = {"a": "b"}
    service.boto3().send_event(roomIdentifier=arn, eventName="app:poll", attributes=attributes)
    await said.asking("kick", moderator.kick("troll", "rude"))
    await troll.next("disconnect")
    said.note("the close", await troll.next("socketClose"))
    await said.asking("send after the kick", troll.send("hi"))
    await said.asking("send", moderator.send("peace"))
    while (await viewer.next("message"))["content"] != "peace":
        pass


async def _refuse(said: Transcript, rooms: Rooms, token: str) -> None:
    """Come twice with one token: the second time every attempt is refused."""
    asked = 0

    async def spent() -> Mapping[str, str]:
        nonlocal asked
        asked += 1
        return {"token": token}

    url = rooms.service.websocket_url
    late = await rooms.begin(spent, url=f"{url}?late")
    await late.next("connect")
    refused = await rooms.begin(spent, url=f"{url}?refused", config={"maxReconnectAttempts": 1})
    await refused.next("disconnect")
    said.told("late", late)
    said.told("refused", refused)
    said.note("tokens that were asked for", asked)


async def test_transcripts_agree(service: Service) -> None:
    """States, events, entities, results, refusals: word by word."""
    async with messaging_driver.running("messaging_node.mjs") as javascript:
        theirs = await play(javascript, service)
    async with python_rooms.running() as python:
        ours = await play(python, service)
    assert ours == theirs
    assert len(ours) > 40
