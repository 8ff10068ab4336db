"""From settings to targets: which one an ARN goes to, and what is refused at the start."""

import asyncio
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.aws_access.clients import AwsAccess
from greenroom.chatlog.destinations import endpoints
from greenroom.clock import Clock
from greenroom.review.aws_lambda import LambdaTarget
from greenroom.review.function import FunctionTarget
from greenroom.review.http import HttpTarget
from greenroom.review.reviewer import HandlerReviewer
from greenroom.review.target import ReviewTarget
from greenroom.review.targets import Late, PatternTargets, open_reviewer
from greenroom.settings.load import load
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.telemetry.metrics import Metrics

SECRET = {"GREENROOM_REVIEW_HTTP_SECRET": "a-secret-of-16-and-more"}
PYTHON = "python:json:loads"


def settings_of(handlers: str = "", **variables: str) -> Settings:
    """Return settings with review handlers as in the environment."""
    return load({}, {"GREENROOM_REVIEW_HANDLERS": handlers, **variables}, None)


async def opened(settings: Settings) -> HandlerReviewer:
    """Return the reviewer of settings."""
    return await open_reviewer(
        settings, settings.quotas(), Metrics(), Clock(), AwsAccess(endpoints(settings))
    )


async def found(settings: Settings, name: str) -> ReviewTarget | None:
    """Return the target of a function."""
    reviewer = await opened(settings)
    target = await reviewer._targets.find(f"arn:aws:lambda:us-east-1:123456789012:function:{name}")
    await reviewer.close()
    return target


async def test_lambda_is_the_default() -> None:
    """Without settings, and where no pattern matches, the Lambda API is asked."""
    assert isinstance(await found(settings_of(), "review"), LambdaTarget)
    assert isinstance(await found(settings_of("*:other=none"), "review"), LambdaTarget)


async def test_the_first_pattern_counts() -> None:
    """Patterns are tried in order: * is any text, ? one character, all else itself."""
    handlers = f"*:mod-?=none,*:mod-*={PYTHON},arn:aws:lambda:*:*:function:[ab].c=none,*=lambda"
    settings = settings_of(handlers)
    assert await found(settings, "mod-a") is None
    assert isinstance(await found(settings, "mod-ab"), FunctionTarget)
    assert isinstance(await found(settings, "mod-"), FunctionTarget)
    assert await found(settings, "[ab].c") is None
    assert isinstance(await found(settings, "mod-a:live"), FunctionTarget)
    for name in ("a.c", "[ab]xc", "xmod-a", "MOD-a"):
        assert isinstance(await found(settings, name), LambdaTarget)


async def test_table_in_the_file(tmp_path: Path) -> None:
    """In the file it is a table whose order counts, with URLs that may hold any character."""
    file = tmp_path / "greenroom.toml"
    file.write_text(
        'review_http_allowed_networks = ["127.0.0.0/8", "::1/128"]\n'
        'review_http_secret = "a-secret-of-16-and-more"\n'
        "[review_handlers]\n"
        '"arn:aws:lambda:*:*:function:mod-*" = "http://127.0.0.1:9/a?b=c,d=e"\n'
        f'"*" = "{PYTHON}"\n'
    )
    settings = load({}, {}, file)
    target = await found(settings, "mod-1")
    assert isinstance(target, HttpTarget)
    assert target._url == "http://127.0.0.1:9/a?b=c,d=e"
    assert isinstance(await found(settings, "other"), FunctionTarget)


async def test_a_target_is_made_once() -> None:
    """Patterns with one target share it: its connections and threads."""
    reviewer = await opened(settings_of(f"*:a={PYTHON},*:b={PYTHON}"))
    assert await reviewer._targets.find("x:a") is await reviewer._targets.find("x:b")
    assert await reviewer._targets.find("x:c") is await reviewer._targets.find("x:d")
    await reviewer.close()


async def test_limits() -> None:
    """The limits are those of the settings; a quota of 0 milliseconds is no limit."""
    variables = {
        "GREENROOM_QUOTAS": "message_review_milliseconds=1500",
        "GREENROOM_REVIEW_CONCURRENCY": "7",
        "GREENROOM_REVIEW_CIRCUIT_FAILURES": "0",
        "GREENROOM_REVIEW_CIRCUIT_SECONDS": "9",
    }
    limits = (await opened(settings_of(**variables)))._limits
    assert (limits.seconds, limits.concurrency) == (1.5, 7)
    assert (limits.circuit_failures, limits.circuit_seconds) == (0, 9)
    assert (await opened(settings_of()))._limits.seconds == 0.2
    unlimited = settings_of(GREENROOM_QUOTAS="message_review_milliseconds=0")
    assert (await opened(unlimited))._limits.seconds is None


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("lamda", "'lamda' is no target; it must be lambda, none, python:"),
        ("python:module", "is no target"),
        ("python:a b:c", "is no target"),
        ("python:no_such_module:f", "python:no_such_module:f: no_such_module cannot be imported"),
        ("python:json:missing", "json has no missing"),
        ("ftp://host/", "is no target"),
        ("http://", "is not valid"),
        ("http://host:port/", "is not valid"),
        ("http://host:0/", "is not valid"),
        ("https://h\u00f6st/", "is not valid"),
        ("https://host/\x7f", "is not valid"),
        ("https://host/a b", "must have no blanks"),
        ("https://user:secret@host/", "must have no blanks, no user, no password"),
        ("https://secret@host/", "must have no blanks, no user, no password"),
        ("https://host/#part", "and no fragment"),
        ("http://127.0.0.1:9/", "127.0.0.1, which is not public: list its network in"),
        ("http://[::1]:9/", "::1, which is not public"),
        ("http://169.254.169.254/", "which is not public"),
    ],
)
async def test_refused_targets(target: str, why: str) -> None:
    """A target that cannot work stops the start, with one line that says why, and no secret."""
    with pytest.raises(SettingsRefused, match=why) as refused:
        await opened(settings_of(f"*={target}", **SECRET))
    assert str(refused.value).startswith("review_handlers: ")
    assert "secret" not in str(refused.value)


async def test_an_endpoint_needs_a_secret() -> None:
    """Requests that an endpoint cannot tell from others' are not sent."""
    with pytest.raises(SettingsRefused, match="review_http_secret must be given"):
        await opened(settings_of("*=https://reviews.example/"))


def test_nothing_slow_is_loaded_before_it_is_needed() -> None:
    """The service's start does not pay for HTTP clients that it may never need."""
    script = (
        "import sys; import greenroom.server.serve;"
        " sys.exit(bool({'aiohttp', 'greenroom.review.client'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_a_target_that_many_need_at_once_is_made_once() -> None:
    """Who comes meanwhile waits for it."""
    make = Mock(side_effect=Mock)
    late = Late(make)
    first, *others = await asyncio.gather(*(late.target() for _ in range(3)))
    assert all(each is first for each in others)
    assert make.call_count == 1


async def test_all_targets_are_closed_together() -> None:
    """Each that is one, whichever patterns lead to it."""
    built = {text: Mock(close=AsyncMock()) for text in ("lambda", "a", "b")}
    targets = PatternTargets({"*:a": "a", "*:b": "b", "*:none": "none"}, built.get)
    await targets.close()
    assert [each.close.await_count for each in built.values()] == [1, 1, 1]


async def test_a_target_that_was_made_is_closed() -> None:
    """Once made, its connections end with it; one that was never needed is not made for that."""
    made = Mock(close=AsyncMock())
    for needed in (False, True):
        make = Mock(return_value=made)
        late = Late(make)
        if needed:
            assert await late.target() is await late.target() is made
        await late.close()
        assert (make.call_count, made.close.await_count) == (needed, needed)
