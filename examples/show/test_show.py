import pytest

from greenroom.client import ChatError
from show import Show, no_links


def test_viewers_see_goals(greenroom, blocking_chat):
    show = Show("final")
    alice = blocking_chat("alice", show.room)
    show.goal("blue")
    assert alice.receives(event="GOAL").attributes == {"team": "blue"}


@pytest.mark.asyncio
async def test_viewers_chat_without_links(greenroom, chat):
    greenroom.review(no_links)
    show = Show("final")
    alice, bob = await chat("alice", show.room), await chat("bob", show.room)
    await alice.say("hi")
    await bob.receives("hi", sender="alice")
    with pytest.raises(ChatError, match="no links"):
        await alice.say("look: https://example.com")
    await bob.sees_nothing(0.2)


def test_a_viewer_stays_for_an_hour(greenroom, blocking_chat):
    alice = blocking_chat("alice", Show("final").room)
    greenroom.advance(minutes=59)
    alice.say("still here")
    assert greenroom.expire("alice") == 1


def test_goals_are_told_also_when_ivs_throttles(greenroom):
    show = Show("final")
    greenroom.throttle("SendEvent", times=1)
    show.goal("blue")
    assert [each.status for each in greenroom.requests] == [200, 429, 200]
    assert greenroom.frames(show.room)[0]["Attributes"] == {"team": "blue"}
