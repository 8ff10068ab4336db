"""The Lambda Invoke API as a target, against an endpoint that checks signatures with botocore."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import AsyncMock, Mock

import boto3
import pytest
from botocore.config import Config
from structlog.testing import capture_logs

from greenroom.aws_access.clients import AwsAccess, Credentials, Service
from greenroom.clock import Clock
from greenroom.review.aws_lambda import INVALID_PERMISSION, NOT_FOUND, LambdaTarget, _error
from greenroom.review.aws_session import FRESH_SECONDS, STALE_SECONDS, AwsSession
from greenroom.review.client import Answer
from greenroom.review.target import Failure, InvocationFailed
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.lambda_endpoint import (
    ENVIRONMENT,
    LambdaEndpoint,
    Refusal,
    arn,
    lambda_endpoint,
)
from tests.stand_ins.stage import settle

EVENT = b'{"Content":"hi \xf0\x9f\x91\xa9"}'
KEYS = ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials in the environment, and nothing of whoever runs the tests."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def endpoint() -> Iterator[LambdaEndpoint]:
    """Run an endpoint."""
    with lambda_endpoint() as started:
        yield started


@asynccontextmanager
async def target_of(url: str | None) -> AsyncIterator[LambdaTarget]:
    """Give a target that is closed at the end."""
    access = AwsAccess({} if url is None else {Service.LAMBDA: url})
    made = LambdaTarget(Clock(), access)
    try:
        yield made
    finally:
        await made.close()
        await access.close()


async def failure(made: LambdaTarget, name: str) -> tuple[Failure, str]:
    """Return how invoking a function fails."""
    with pytest.raises(InvocationFailed) as failed:
        await made.invoke(arn(name), EVENT)
    return failed.value.failure, failed.value.why


async def test_invoke(endpoint: LambdaEndpoint) -> None:
    """The function gets the event, and its answer comes back; connections are kept."""
    endpoint.functions["review"] = lambda event, context: {"seen": event}
    async with target_of(endpoint.url) as made:
        for _ in range(3):
            answer = await made.invoke(arn("review"), EVENT)
            assert answer == b'{"seen": {"Content": "hi \\ud83d\\udc69"}}'
    (first, *_) = endpoint.invocations
    assert (first.name, first.qualifier, first.kind) == ("review", None, "RequestResponse")
    assert endpoint.connections == 1


async def test_a_kept_connection_that_is_reset(endpoint: LambdaEndpoint) -> None:
    """It costs no review: the function is invoked on a fresh one."""
    endpoint.functions["review"] = lambda event, context: "reviewed"
    endpoint.resets = True
    async with target_of(endpoint.url) as made:
        for _ in range(3):
            assert await made.invoke(arn("review"), EVENT) == b'"reviewed"'
    assert len(endpoint.invocations) == 3
    assert endpoint.connections == 3


@pytest.mark.parametrize("qualifier", ["live", "17", "$LATEST", "of:two"])
async def test_qualifiers(endpoint: LambdaEndpoint, qualifier: str) -> None:
    """An alias or a version in the ARN is invoked, not the function without it."""
    endpoint.functions[f"review:{qualifier}"] = lambda event, context: "qualified"
    endpoint.functions["review"] = lambda event, context: "plain"
    async with target_of(endpoint.url) as made:
        assert await made.invoke(arn(f"review:{qualifier}"), EVENT) == b'"qualified"'
        assert await made.invoke(arn("review"), EVENT) == b'"plain"'


async def test_path_of_the_endpoint(endpoint: LambdaEndpoint) -> None:
    """A slash at the end of the endpoint does not count."""
    endpoint.functions["review"] = lambda event, context: 1
    async with target_of(endpoint.url + "/") as made:
        assert await made.invoke(arn("review"), EVENT) == b"1"


@pytest.mark.parametrize("name", ["a b", "a/b", "a?b=c", "a%2Fb", "ä", "a:b/c?d=e&Qualifier=f"])
async def test_odd_names(endpoint: LambdaEndpoint, name: str) -> None:
    """Whatever stands in an ARN, it stays one segment of the path, and the signature holds."""
    async with target_of(endpoint.url) as made:
        assert await failure(made, name) == (
            Failure.NOT_FOUND,
            "404 ResourceNotFoundException",
        )


async def test_a_fault_of_ours_is_no_failure_of_the_endpoint(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What botocore says of a region is unreachable; anything else is the reviewer's to log."""

    async def endpoint_of(error: Exception) -> str:
        raise error

    async with target_of(endpoint.url) as made:
        error: Exception = ValueError("no such region")
        monkeypatch.setattr(made._session, "endpoint", lambda _: endpoint_of(error))
        assert await failure(made, "review") == (Failure.UNREACHABLE, "ValueError")
        error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await made.invoke(arn("review"), EVENT)


async def test_failures(endpoint: LambdaEndpoint) -> None:
    """Every answer but the function's own is a failure that says which."""

    def broken(event: Any, context: Any) -> None:
        raise ValueError(event)

    def refusing(status: int, name: str) -> Any:
        def refuse(event: Any, context: Any) -> None:
            raise Refusal(status, name)

        return refuse

    endpoint.functions |= {
        "broken": broken,
        "busy": refusing(429, "TooManyRequestsException"),
        "down": refusing(500, "ServiceException"),
        "odd": refusing(502, "not a name/of an error"),
    }
    async with target_of(endpoint.url) as made:
        assert await failure(made, "broken") == (Failure.HANDLER_ERROR, "Unhandled")
        assert await failure(made, "busy") == (Failure.THROTTLED, "429 TooManyRequestsException")
        assert await failure(made, "down") == (Failure.BAD_STATUS, "500 ServiceException")
        assert await failure(made, "odd") == (Failure.BAD_STATUS, "502")
        assert await failure(made, "forbidden") == (Failure.FORBIDDEN, "403 AccessDeniedException")
        assert await failure(made, "missing") == (
            Failure.NOT_FOUND,
            "404 ResourceNotFoundException",
        )
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with target_of(f"http://127.0.0.1:{unused.getsockname()[1]}") as made:
            (kind, _) = await failure(made, "review")
            assert kind is Failure.UNREACHABLE


async def test_problem(endpoint: LambdaEndpoint) -> None:
    """A dry run tells whether the function is there and may be invoked; it does not run."""
    endpoint.functions["review"] = lambda event, context: pytest.fail("it ran")
    async with target_of(endpoint.url) as made:
        assert await made.problem(arn("review")) is None
        assert await made.problem(arn("missing")) == NOT_FOUND
        assert await made.problem(arn("review:missing")) == NOT_FOUND
        assert await made.problem(arn("forbidden")) == INVALID_PERMISSION
    async with target_of("http://127.0.0.1:1") as made:
        assert await made.problem(arn("missing")) is None


async def test_without_credentials(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials nothing is sent, and no function can be a room's handler."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with target_of(endpoint.url) as made:
        assert await failure(made, "missing") == (Failure.NO_CREDENTIALS, "")
        problem = await made.problem(arn("missing"))
        assert problem == f"{INVALID_PERMISSION}: {Failure.NO_CREDENTIALS.meaning}"
    assert endpoint.connections == 0


@pytest.mark.parametrize("explicit", ["setting", "variable", "variable for all", ""])
async def test_the_services_own_key(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch, explicit: str
) -> None:
    """It invokes functions of an emulator, whose endpoint somebody named; AWS does not know it."""
    endpoint.functions["review"] = lambda event, context: 1
    if explicit.startswith("variable"):
        name = "AWS_ENDPOINT_URL" if explicit.endswith("all") else "AWS_ENDPOINT_URL_LAMBDA"
        monkeypatch.setenv(name, endpoint.url)
    async with target_of(endpoint.url if explicit == "setting" else None) as made:
        made._session._access.disown(KEYS[0])
        if explicit:
            assert await made.problem(arn("review")) is None
            assert await made.invoke(arn("review"), EVENT) == b"1"
        else:
            assert await failure(made, "review") == (Failure.OWN_CREDENTIALS, "")
            problem = await made.problem(arn("review"))
            assert problem == f"{INVALID_PERMISSION}: {Failure.OWN_CREDENTIALS.meaning}"


async def test_closing_ends_what_is_asked_for() -> None:
    """Whoever waits for credentials does so no longer, and nothing goes on behind it."""
    hanging = asyncio.Event()

    class Hanging(AwsAccess):
        async def credentials(
            self, service: Service | None = None, *, anew: bool = False
        ) -> Credentials | None:
            await hanging.wait()
            return None

    made = LambdaTarget(HandClock().clock, Hanging({}))
    waiting = asyncio.create_task(made.invoke(arn("review"), EVENT))
    await settle()
    await made.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_credentials_that_lambda_refuses(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are not the ones of Lambda invoke nothing, which is said at once."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "foreign")
    async with target_of(endpoint.url) as made:
        problem = await made.problem(arn("review"))
        assert problem == f"{INVALID_PERMISSION}: 403 InvalidSignatureException"
    endpoint.bad_signatures = 0


async def test_a_check_that_fails_is_logged() -> None:
    """What cannot be found out is held against no function, and the log says so."""
    with capture_logs() as logs:
        async with target_of("http://127.0.0.1:1") as made:
            assert await made.problem(arn("review")) is None
    (line,) = logs
    assert line["event"].startswith("review handler not checked")
    assert (line["log_level"], line["failure"]) == ("warning", "unreachable")


@pytest.mark.parametrize(("status", "told"), [(204, False), (300, True), (429, True), (500, True)])
async def test_a_check_without_a_result_is_logged(
    status: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is what Lambda answers when it cannot say; that it may be invoked needs no line."""
    async with target_of("http://127.0.0.1:1") as made:
        answer = mock.Mock(status=status, headers={}, body=b"")
        monkeypatch.setattr(made, "_send", mock.AsyncMock(return_value=answer))
        with capture_logs() as logs:
            assert await made.problem(arn("review")) is None
    assert [line["status"] for line in logs] == ([status] if told else [])


async def test_a_session_token_is_sent(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary credentials are sent and signed with their token."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-tests")
    endpoint.functions["review"] = lambda event, context: 1
    async with target_of(endpoint.url) as made:
        assert await made.invoke(arn("review"), EVENT) == b"1"
    assert endpoint.session_tokens == {"token-of-the-tests"}


async def test_refused_credentials_are_asked_for_again(
    endpoint: LambdaEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that were exchanged are found after the first refusal."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "an old one")
    endpoint.functions["review"] = lambda event, context: 1
    async with target_of(endpoint.url) as made:
        assert await failure(made, "review") == (
            Failure.FORBIDDEN,
            "403 InvalidSignatureException",
        )
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
        assert await made.invoke(arn("review"), EVENT) == b"1"
    endpoint.bad_signatures -= 1


def test_the_endpoint_agrees_with_boto3(endpoint: LambdaEndpoint) -> None:
    """What the tests trust as Lambda is one for AWS's own client, too."""
    endpoint.functions["review:live"] = lambda event, context: {"echo": event}
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint.url,
        config=Config(retries={"total_max_attempts": 1}),
        region_name="us-east-1",
    )
    answer = client.invoke(FunctionName=arn("review"), Qualifier="live", Payload=b'{"a":1}')
    assert answer["Payload"].read() == b'{"echo": {"a": 1}}'
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=arn("missing"), Payload=b"{}")
    client.close()


class Chain(AwsAccess):
    """Finds what a test says."""

    def __init__(self, *found: Credentials | None) -> None:
        super().__init__({})
        self.found = list(found)

    async def credentials(
        self, service: Service | None = None, *, anew: bool = False
    ) -> Credentials | None:
        return self.found[0]


class TestSession:
    async def test_endpoints_are_asked_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The endpoint of a region is remembered, and of no more regions than the bound."""
        monkeypatch.setattr("greenroom.review.aws_session.MAXIMUM_REGIONS", 2)
        asked: list[str] = []
        access = Chain(None)

        async def endpoint(_service: Service, region: str) -> str:
            asked.append(region)
            return f"https://{region}"

        monkeypatch.setattr(access, "endpoint", endpoint)
        session = AwsSession(HandClock().clock, access, Service.LAMBDA)
        for region in ("a", "b", "a", "c", "b", "a"):
            assert await session.endpoint(region) == f"https://{region}"
        assert asked == ["a", "b", "c", "a"]
        session.close()

    async def test_ages(self) -> None:
        """Fresh credentials are kept, older ones used while they are asked for, old ones never."""
        time = HandClock()
        first, second = Credentials(*KEYS), Credentials("AKIDSECOND", "secret")
        chain = Chain(first)
        session = AwsSession(time.clock, chain, Service.LAMBDA)
        assert await session.credentials() == first
        chain.found = [second]
        time.advance(FRESH_SECONDS)
        assert await session.credentials() == first
        time.advance(1)
        assert await session.credentials() == first
        asking = session._asking
        assert asking is not None
        await asking
        assert await session.credentials() == second
        chain.found = [None]
        time.advance(STALE_SECONDS + 1)
        assert await asyncio.gather(*(session.credentials() for _ in range(5))) == [None] * 5
        session.close()

    async def test_a_broken_configuration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A profile that does not exist means no credentials, not a crash."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_PROFILE", "missing")
        session = AwsSession(HandClock().clock, AwsAccess({}), Service.LAMBDA)
        assert await session.credentials() is None
        session.close()


async def test_what_a_message_need_not_wait_for() -> None:
    """Credentials and the region's endpoint are found before; where there is none, later."""
    made: Any = LambdaTarget(HandClock().clock, AwsAccess({}))
    made._session = Mock(credentials=AsyncMock(), endpoint=AsyncMock(side_effect=ValueError))
    await made.prepare("arn:aws:lambda:eu-west-1:123456789012:function:review")
    made._session.credentials.assert_awaited_once_with()
    made._session.endpoint.assert_awaited_once_with("eu-west-1")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("AccessDenied:http://internal.amazon.com", "AccessDenied"),
        ("E" * 64, "E" * 64),
        ("E" * 65, ""),
        ("not a name", ""),
        ("\u00e9", ""),
    ],
)
def test_the_name_of_an_error(said: str, name: str) -> None:
    """It goes into the log, so that it is a name, and short."""
    assert _error(Answer(403, {"x-amzn-errortype": said}, b"")) == name
    assert _error(Answer(403, {}, b"")) == ""
