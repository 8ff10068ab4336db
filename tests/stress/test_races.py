"""Requests that race: one token used at once, kicks and deletes against messages, new limits."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

from tests.conftest import Measured
from tests.running.process import connections_at_stop, serving
from tests.running.said import ends
from tests.running.viewers import (
    Crowd,
    Seen,
    Speaker,
    Viewer,
    assert_same_streams,
    at_once,
    seen,
    until,
)
from tests.running.wire import Api, api_of, client_frame
from tests.stress.conftest import Scaled

TOKENS, USES = 80, 20


async def test_token_reuse(tmp_path: Path, chance: random.Random, scaled: Scaled) -> None:
    """Of many uses of one token at the same time exactly one is let in, whatever else races.

    All others are refused because it was used, also later, and the winners are in their room.
    """
    async with serving(tmp_path) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        tokens = [crowd.token(room, f"user-{number}") for number in range(scaled(TOKENS))]
        uses = [token for token in tokens for _ in range(USES)]
        chance.shuffle(uses)
        answers = await at_once(map(crowd.attempt, uses), len(tokens) * 5)
        statuses: dict[str, Counter[int]] = {token: Counter() for token in tokens}
        for token, viewer in zip(uses, answers, strict=True):
            statuses[token][viewer.status] += 1
        for number, token in enumerate(tokens):
            assert statuses[token] == {101: 1, 409: USES - 1}, f"token {number}"
        again = await at_once(map(crowd.attempt, tokens))
        assert Counter(viewer.status for viewer in again) == {409: len(tokens)}
        winners = [viewer for viewer in answers if viewer.status == 101]
        service.boto3().send_event(roomIdentifier=room, eventName="in")
        await until(lambda: all(each.texts for each in winners), "the winners see the room")
        assert [frame.event_name for frame in assert_same_streams(winners)] == ["in"]
        assert await asyncio.to_thread(connections_at_stop, service) == len(tokens)


# ---------------------------------------------------------------------------------- moderation

KICK_ROOMS, KICK_VIEWERS, KICKS = 4, 20, 15


class Kicked:
    """A user with several connections, all of which send, also after they saw their end."""

    def __init__(self, user: str, viewers: list[Viewer]) -> None:
        self.user = user
        self.viewers = viewers
        self.sent = 0
        self.late = 0

    async def rant(self) -> None:
        """Send until all connections are gone, and say which messages came after the close."""
        while not all(each.ended for each in self.viewers):
            for viewer in self.viewers:
                word = "late" if viewer.close_frame is not None else "rant"
                self.sent += 1
                self.late += word == "late"
                action = {"Action": "SEND_MESSAGE", "Content": f"{word} of {self.user}"}
                viewer.send(client_frame(json.dumps(action).encode()))
            await asyncio.sleep(0.002)


async def kick_one(
    crowd: Crowd, room: str, user: str, chance: random.Random, moderator: Speaker
) -> Kicked:
    """Let a user rant, and disconnect them."""
    kicked = Kicked(user, await at_once(crowd.enter(room, user) for _ in range(3)))
    ranting = asyncio.create_task(kicked.rant())
    await asyncio.sleep(chance.uniform(0, 0.03))
    action = {"Action": "DISCONNECT_USER", "RequestId": f"kick {user}", "UserId": user}
    moderator.viewer.send(client_frame(json.dumps({**action, "Reason": "enough"}).encode()))
    await until(lambda: all(each.ended for each in kicked.viewers), f"{user} is out")
    await ranting
    return kicked


def assert_kicked(kicked: Kicked, stream: list[Seen]) -> None:
    """Check what the kicked user's connections saw, and what the room saw of them."""
    for viewer in kicked.viewers:
        assert viewer.close_frame is not None, f"{kicked.user} lost a connection uncleanly"
        assert (viewer.close_code, viewer.close_frame[2:]) == (1000, b"enough")
        assert any(is_kick(frame, kicked.user) for frame in viewer.seen()), "the event was missed"
    (event,) = (index for index, frame in enumerate(stream) if is_kick(frame, kicked.user))
    after = [frame.content for frame in stream[event:]]
    assert f"late of {kicked.user}" not in [frame.content for frame in stream]
    assert f"rant of {kicked.user}" not in after, "a message of somebody who was kicked before"


def is_kick(frame: Seen, user: str) -> bool:
    """Return whether a frame says that the user was disconnected."""
    return (
        frame.event_name == "aws:DISCONNECT_USER" and (frame.attributes or {}).get("UserId") == user
    )


async def test_kicks_race_with_messages(
    tmp_path: Path, chance: random.Random, scaled: Scaled
) -> None:
    """Each connection of a kicked user sees the event, then a clean close with the reason.

    Nothing that it sends after it saw the close appears, the room sees nothing of the user after
    the event, and all others in the room see one exact stream and stay.
    """
    async with serving(tmp_path) as (service, crowd):
        api = service.boto3()
        rooms = [str(api.create_room()["arn"]) for _ in range(KICK_ROOMS)]

        async def moderate(number: int, room: str) -> int:
            viewers = await crowd.fill(room, KICK_VIEWERS)
            (moderator,) = await crowd.speakers(room, 1, f"moderator-{number}")
            users = [f"{number}/{user}" for user in range(scaled(KICKS))]
            out = await at_once(
                (kick_one(crowd, room, user, chance, moderator) for user in users), 3
            )
            assert await moderator.say("the end") is not None
            await until(lambda: all(b"the end" in each.texts[-1] for each in viewers), "the end")
            stream = assert_same_streams(viewers)
            for kicked in out:
                assert_kicked(kicked, stream)
            assert not any(each.ended for each in viewers)
            return sum(kicked.late for kicked in out)

        late = await asyncio.gather(*map(moderate, range(len(rooms)), rooms))
        assert ends(service) == {"kicked": len(rooms) * scaled(KICKS) * 3}
        assert late


DELETES = 60


async def test_deletes_follow_messages(
    tmp_path: Path, chance: random.Random, scaled: Scaled
) -> None:
    """Who deletes a message that they saw: every viewer sees the message first, then its deletion.

    That holds whether the deletion goes over a WebSocket or over the API.
    """
    async with serving(tmp_path) as (service, crowd):
        with api_of(service) as api:
            room = api.room()
            viewers = await crowd.fill(room, 60)
            speakers = await crowd.speakers(room, 4)
            (moderator,) = await crowd.speakers(room, 1, "moderator")
            wanted: asyncio.Queue[str] = asyncio.Queue()
            moderator.viewer.on_text = lambda text: delete_at_once(moderator.viewer, text, wanted)
            messages = scaled(DELETES)

            async def delete_by_api() -> None:
                while (message := await wanted.get()) != "end":
                    await asyncio.to_thread(
                        api.call, "DeleteMessage", roomIdentifier=room, id=message
                    )

            async def talk(speaker: Speaker) -> None:
                for number in range(messages):
                    how = "socket" if number % 4 else "api"
                    assert await speaker.say(f"delete by {how}") is not None
                    await asyncio.sleep(chance.uniform(0, 0.004))

            deleting = asyncio.create_task(delete_by_api())
            await asyncio.gather(*map(talk, speakers))
            total = 2 * messages * len(speakers)
            await wanted.put("end")
            await deleting
            await until(lambda: all(len(v.texts) >= total for v in viewers), "all deletions")
            assert_deleted_in_order(assert_same_streams([*viewers, moderator.viewer]), total)


def delete_at_once(viewer: Viewer, text: bytes, by_api: "asyncio.Queue[str]") -> None:
    """Delete a message as soon as it is seen."""
    frame = seen(text)
    if frame.type != "MESSAGE":
        assert frame.type == "EVENT", frame
    elif frame.content == "delete by api":
        by_api.put_nowait(frame.id)
    else:
        viewer.send(client_frame(json.dumps({"Action": "DELETE_MESSAGE", "Id": frame.id}).encode()))


def assert_deleted_in_order(stream: list[Seen], total: int) -> None:
    """Check that each message is there, and after it its deletion, once."""
    assert len(stream) == total
    messages: set[str] = set()
    for frame in stream:
        if frame.type == "MESSAGE":
            messages.add(frame.id)
        else:
            assert frame.attributes is not None
            assert frame.attributes["MessageId"] in messages, "a deletion before its message"
            messages.remove(frame.attributes["MessageId"])
    assert messages == set()


# -------------------------------------------------------------------------------------- limits

UPDATES = 25
LENGTHS = (1, 10, 50, 200, 500)


class Limit:
    """All limits that a room had, and from which on they may hold."""

    def __init__(self, value: int) -> None:
        self.values = [value]
        self.acknowledged = 0

    async def update(self, api: Api, room: str, value: int) -> None:
        """Give the room the next limit; from the answer on no earlier one holds."""
        self.values.append(value)
        members = {"maximumMessageLength": value}
        await asyncio.to_thread(api.call, "UpdateRoom", identifier=room, **members)
        self.acknowledged = len(self.values) - 1


async def try_lengths(
    speaker: Speaker, limit: Limit, chance: random.Random, over: asyncio.Event
) -> Counter[str]:
    """Send messages of all lengths; check each answer against the limits that may have held."""
    answers: Counter[str] = Counter()
    while not over.is_set():
        first = limit.acknowledged
        length = chance.choice((*LENGTHS, *(each + 1 for each in LENGTHS[:-1])))
        answer = await speaker.say("x" * length)
        assert answer is not None
        limits = limit.values[first:]
        fits = {length <= each for each in limits}
        assert (answer.type == "MESSAGE") in fits, (length, limits, answer)
        assert answer.error_code in (0, 413), answer
        answers[answer.type] += 1
    return answers


async def test_new_limits_and_deletion(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """From UpdateRoom's answer on every message is measured by the new limit; never by an old one.

    From DeleteRoom's answer on every message and every new connection is answered 404, and nobody
    sees anything more of the room.
    """
    async with serving(tmp_path) as (service, crowd):
        with api_of(service) as api:
            room = api.room(maximumMessageLength=LENGTHS[0])
            viewers = await crowd.fill(room, 20)
            speakers = await crowd.speakers(room, 6)
            limit, over = Limit(LENGTHS[0]), asyncio.Event()
            trying = [
                asyncio.create_task(try_lengths(each, limit, chance, over)) for each in speakers
            ]
            for _ in range(scaled(UPDATES)):
                await limit.update(api, room, chance.choice(LENGTHS))
                await asyncio.sleep(chance.uniform(0, 0.02))
            over.set()
            counts = sum([await each for each in trying], Counter())
            measured("stress_messages_during_updates", dict(counts))
            await delete_under_load(api, room, crowd, speakers)
            echoed = sum(len(each.echoed) for each in speakers)
            await until(lambda: all(len(v.texts) >= echoed for v in viewers), "all have seen all")
            frames = assert_same_streams(viewers)
            assert {each.request_id for each in frames} == {
                request_id for each in speakers for request_id in each.echoed
            }


async def delete_under_load(api: Api, room: str, crowd: Crowd, speakers: list[Speaker]) -> None:
    """Delete a room in which everybody talks; check every answer from then on."""
    deleted, over = asyncio.Event(), asyncio.Event()

    async def talk(speaker: Speaker) -> int:
        refused = 0
        while not over.is_set():
            was_deleted = deleted.is_set()
            answer = await speaker.say("x")
            assert answer is not None
            if was_deleted or answer.type == "ERROR":
                assert (answer.type, answer.error_code) == ("ERROR", 404), answer
                refused += 1
        return refused

    talking = [asyncio.create_task(talk(each)) for each in speakers]
    await asyncio.sleep(0.05)
    await asyncio.to_thread(api.call, "DeleteRoom", identifier=room)
    deleted.set()
    refused = await at_once(crowd.attempt(crowd.token(room, "late")) for _ in range(50))
    assert Counter(each.status for each in refused) == {404: 50}
    await asyncio.sleep(0.1)
    over.set()
    assert all([await each for each in talking])


RATES = (1, 5, 20, 100)


async def test_new_rates(tmp_path: Path, chance: random.Random, scaled: Scaled) -> None:
    """After UpdateRoom's answer a room takes no more than the new rate, plus one burst of it.

    What is over the rate is answered 429 and seen by nobody; what is under it is seen by all.
    """
    rates = {"GREENROOM_ROOM_MESSAGE_RATES": "enforced"}
    async with serving(tmp_path, **rates) as (service, crowd):
        with api_of(service) as api:
            room = api.room(maximumMessageRatePerSecond=100)
            viewers = await crowd.fill(room, 20)
            speakers = await crowd.speakers(room, 6)
            refused = 0
            for rate in chance.sample(RATES * scaled(2), len(RATES) * scaled(2)):
                await asyncio.to_thread(
                    api.call, "UpdateRoom", identifier=room, maximumMessageRatePerSecond=rate
                )
                refused += await push_for_a_while(speakers, rate)
            assert refused
            echoed = {request_id for each in speakers for request_id in each.echoed}
            await until(lambda: all(len(v.texts) >= len(echoed) for v in viewers), "all is seen")
            frames = assert_same_streams(viewers)
            assert {each.request_id for each in frames} == echoed
            assert len(frames) == len(echoed)


async def push_for_a_while(speakers: list[Speaker], rate: int) -> int:
    """Send as fast as possible; check how many were taken, and return how many were refused."""
    loop = asyncio.get_running_loop()
    begun, taken, refused = loop.time(), 0, 0

    async def push(speaker: Speaker) -> None:
        nonlocal taken, refused
        while loop.time() < begun + 0.15:
            for answer in await asyncio.gather(*(speaker.say("x") for _ in range(10))):
                assert answer is not None
                assert answer.error_code in (0, 429), answer
                taken += answer.error_code == 0
                refused += answer.error_code == 429

    await asyncio.gather(*map(push, speakers))
    assert taken <= rate + rate * (loop.time() - begun) + 1, f"more than {rate} a second"
    return refused
