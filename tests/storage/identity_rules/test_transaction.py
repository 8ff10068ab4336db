"""Rules run at once, or not at all."""

import asyncio

import pytest

from greenroom.model.identity_errors import NoSuchEntity
from greenroom.storage.identity_rules.transaction import run_at_once


async def test_a_rule_that_never_waits_is_run_to_its_end() -> None:
    """What it returns is returned, what it raises is raised, through whatever it awaits."""

    async def row(value: int) -> int:
        if not value:
            raise NoSuchEntity("none")
        return value

    async def rule(value: int) -> int:
        return await row(value) + await row(value)

    assert run_at_once(rule(2)) == 4
    with pytest.raises(NoSuchEntity):
        run_at_once(rule(0))


async def test_a_rule_that_waits_is_refused() -> None:
    """Nobody would wake it: it is ended, and what it holds is let go of."""
    ended = False

    async def rule() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(0)
        finally:
            ended = True

    with pytest.raises(RuntimeError, match="a rule waits"):
        run_at_once(rule())
    assert ended
