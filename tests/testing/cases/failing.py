"""Tests that fail, for what they say."""


async def test_nobody_said_that(chat):
    """One of two messages is missing."""
    alice, bob = await chat("alice"), await chat("bob")
    await bob.say("hi")
    await alice.receives("hello", within=0.1)


def test_somebody_said_that(blocking_chat):
    """A message is too much."""
    alice, bob = blocking_chat("alice"), blocking_chat("bob")
    bob.say("hi")
    alice.sees_nothing()


def test_nobody_was_kicked(blocking_chat):
    """An end is missing."""
    blocking_chat("carol").is_disconnected(within=0.01)


async def test_an_event(chat):
    """An event is missing."""
    await (await chat("dave")).receives(event="GOAL", within=0)
