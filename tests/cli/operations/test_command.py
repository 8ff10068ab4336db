"""`greenroom api`: a corpus of calls beside the AWS CLI's; and what is refused.

Covers: greenroom.cli.operations.calling, greenroom.cli.operations.models,
greenroom.cli.operations.options, greenroom.cli.operations.rooms,
greenroom.cli.operations.values
"""

import asyncio
import functools
import json
import shlex
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import awscli  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest
from awscli import clidriver
from click.testing import CliRunner, Result

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.cli.operations import calling, models
from greenroom.cli.operations.models import Service, operations
from greenroom.control.iam.operations import OPERATIONS as SERVED
from tests.running.recording import Recorded, Scripted, recording

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/AbCdEfGhIjKl"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:review"
POLICY = '{"Version": "2012-10-17", "Statement": []}'

CALLS = [
    line.replace("ROOM", ROOM).replace("LAMBDA", LAMBDA).replace("POLICY", POLICY)
    for line in Path(__file__).with_name("corpus.txt").read_text("utf-8").splitlines()
]
"""Command lines, as for `aws`."""

SENT = [CALLS[1], CALLS[3], CALLS[7], CALLS[9], CALLS[11], CALLS[21], CALLS[23], CALLS[-2]]
"""Those whose requests are compared as they arrive; the others' parameters are."""


XML = [
    Scripted(body=f"<R><{name}Result/><ResponseMetadata/></R>".encode())
    for name in ("CreateUser", "CreateUser", "AssumeRole", "AssumeRole")
]
"""Answers of IAM and STS without anything."""


class Options(Protocol):
    """The AWS CLI's options of any operation."""

    paginate: bool


@pytest.fixture(autouse=True)
def place(no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the files of the corpus at hand, and a key."""
    (tmp_path / "room.json").write_text('{"name": "from a file", "tags": {"k": "v"}}')
    (tmp_path / "policy.json").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AWS_DATA_PATH", str(Path(str(awscli.__file__)).parent / "data"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")


def run(*arguments: str) -> Result:
    """Run `greenroom api`."""
    return CliRunner().invoke(main, ["api", *arguments], prog_name="greenroom")


@functools.cache
def driver() -> Callable[[list[str]], int]:
    """Return the AWS CLI."""
    started: Callable[[list[str]], int] = clidriver.create_clidriver().main
    return started


@pytest.mark.parametrize("line", CALLS)
def test_what_is_asked_is_what_the_aws_cli_asks(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operation and its parameters are the same, and so is whether pages are put together."""
    asked: list[object] = []

    def invoke(
        _self: object, service: str, operation: str, parameters: dict[str, object], options: Options
    ) -> int:
        parameters.pop("PaginationConfig", None)
        asked.append((service, operation, parameters, options.paginate))
        return 0

    def call(
        _reached: object, of: Service, operation: str, parameters: object, paging: object
    ) -> dict[str, object]:
        paged = paging is not None or models.pages_of(of, operation) is None
        asked.append((of.name, of.operations[operation], parameters, paged))
        return {}

    monkeypatch.setattr(clidriver.CLIOperationCaller, "invoke", invoke)
    monkeypatch.setattr(calling, "call", call)
    assert driver()(shlex.split(line)) == 0
    assert run(*shlex.split(line)).output == ""
    theirs, ours = asked
    assert ours == theirs


async def test_what_is_sent_is_what_the_aws_cli_sends() -> None:
    """Method, path, body, signed headers and the signature's scope are the same."""

    def seen(each: Recorded) -> tuple[object, ...]:
        scope = each.headers["authorization"].partition(", SignedHeaders")[0].partition("/")[2]
        is_form = "x-www-form" in each.headers.get("content-type", "")
        body = each.body if is_form else each.parsed
        return each.method, each.path, each.query, body, each.signed_headers, scope

    async with recording() as peer:
        peer.scripts = defaultdict(lambda: [Scripted(body={})], {"": XML})
        for line in SENT:
            words = [*shlex.split(line), "--endpoint-url", peer.url]
            assert await asyncio.to_thread(driver(), words) == 0
            assert (await asyncio.to_thread(run, *words)).exit_code == 0
            theirs, ours = peer.recorded[-2:]
            assert seen(ours) == seen(theirs)
    assert len(peer.recorded) == 2 * len(SENT)


async def test_options_may_stand_before_the_operation() -> None:
    """As for `aws`: which service, and what is shown; behind the operation they go before."""
    async with recording() as peer:
        answer = Scripted(body={"rooms": [{"name": "lobby"}], "nextToken": None})
        peer.scripts = defaultdict(lambda: [answer] * 2)
        before = ["--endpoint-url", peer.url, "--region", "eu-west-1", "--output", "text"]
        words = [*before, "--query", "rooms[].name", "ivschat", "list-rooms"]
        told = await asyncio.to_thread(run, *words)
        assert told.output == "lobby\n"
        assert "/eu-west-1/ivschat/" in peer.recorded[-1].headers["authorization"]
        told = await asyncio.to_thread(run, *words, "--output", "json")
        assert json.loads(told.output) == ["lobby"]


async def test_a_room_by_its_name() -> None:
    """Is asked for, and its ARN sent; of a name that several have, or none, that is told."""
    rooms = [{"name": "lobby", "arn": ROOM, "id": "AbCdEfGhIjKl"}]
    async with recording() as peer:
        peer.scripts["ListRooms"] = [Scripted(body={"rooms": each}) for each in (rooms, [])]
        peer.scripts["GetRoom"] = [Scripted(body={"arn": ROOM})]
        words = ["get-room", "--endpoint-url", peer.url, "--identifier"]
        found = await asyncio.to_thread(run, *words, "lobby")
        assert json.loads(found.output) == {"arn": ROOM}
        assert peer.recorded[-1].parsed == {"identifier": ROOM}
        none = await asyncio.to_thread(run, *words, "loby")
    assert none.exit_code == ExitCode.REFUSED
    assert none.output.startswith("Error: no room is called loby in us-east-1")


def test_operations_are_those_that_are_served() -> None:
    """The names on the command line are those of the models, and of what is served of AWS's."""
    of_iam = {f"{name}:{each}" for name in ("iam", "sts") for each in operations(name).values()}
    assert of_iam == SERVED.keys()
    shown = run("--help").stdout
    for name in models.services():
        for operation in operations(name):
            assert f"\n  {operation} " in shown or f"\n  {operation}\n" in shown


def test_a_model_of_our_own_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that lies where ours do has its operations on the command line, with no further work.

    An operation that two services have is named with its service.
    """
    monkeypatch.setattr(models, "OWN", tmp_path)
    models.service.cache_clear()
    place = tmp_path / "other" / "2026-12-01"
    place.mkdir(parents=True)
    model = dict(models.service("ivschat").description)
    described = msgspec.convert(model["operations"], dict[str, object])
    model["operations"] = {
        "TagResource": described["TagResource"],
        "PinMessage": described["DeleteMessage"],
    }
    (place / "service-2.json").write_bytes(msgspec.json.encode(model))
    assert set(operations("other")) == {"tag-resource", "pin-message"}
    assert "--room-identifier" in run("pin-message", "--help").stdout
    refused = run("tag-resource", "--resource-arn", ROOM, "--tags", "a=b")
    assert refused.exit_code == ExitCode.USAGE
    assert "say greenroom api ivschat tag-resource or greenroom api other tag-resource" in (
        refused.stderr
    )
    skeleton = run("other", "pin-message", "--generate-cli-skeleton")
    assert skeleton.stderr == ""
    assert json.loads(skeleton.stdout) == {"roomIdentifier": "", "id": "", "reason": ""}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("frob", "there is no operation 'frob'. See greenroom api --help"),
        ("list-rom", "there is no operation 'list-rom': did you mean list-rooms"),
        ("ivschat list-users", "there is no operation 'list-users'"),
        ("get-room", "missing --identifier"),
        ("create-room --maximum-message-length x", "--maximum-message-length must be a number"),
        ("create-room --tags a", "--tags needs KEY= at character 1"),
        ("create-room --tags {", "--tags is no valid JSON"),
        ("create-room --tags file://none", "--tags cannot read none: No such file"),
        ("create-room --message-review-handler a=b", "has no key 'a': there are uri, fallback"),
        ("create-room --cli-input-json []", "--cli-input-json must be a JSON object"),
        ("list-rooms --query a[", "--query is no JMESPath expression"),
        ("list-rooms --output yaml", "'json', 'text', 'table'"),
        ("create-room --cli-input-json '{\"nme\": 1}'", 'Unknown parameter in input: "nme"'),
    ],
)
def test_what_is_refused_before_it_is_sent(line: str, words: str) -> None:
    """In one line that names the option and the rule."""
    result = run(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


async def test_what_the_service_answers_with() -> None:
    """A refusal has its name, and what answers otherwise is no service of ours."""
    refused = Scripted(409, {"message": "why"}, {"x-amzn-errortype": "ConflictException"})
    async with recording() as peer:
        peer.scripts = {"GetRoom": [refused], "ListRooms": [Scripted(404, b"<html>")]}

        async def ask(*words: str) -> Result:
            return await asyncio.to_thread(run, *words, "--url", peer.url)

        result = await ask("get-room", "--identifier", ROOM)
        assert (result.exit_code, result.stderr) == (
            ExitCode.REFUSED,
            "Error: the service refused GetRoom: ConflictException: why\n",
        )
        result = await ask("list-rooms")
        assert result.exit_code == ExitCode.UNREACHABLE
        assert "answers ListRooms with 404, but not as Greenroom does" in result.stderr
    gone = run("list-rooms", "--url", "http://127.0.0.1:1")
    assert gone.exit_code == ExitCode.UNREACHABLE
    assert gone.stderr.startswith("Error: cannot reach http://127.0.0.1:1")


@pytest.mark.parametrize("query", ["unknown(name)", "abs(name)", "contains(name, `1`)", "&name"])
def test_a_query_that_does_not_fit(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is wrong with it; what was made is not lost with it."""
    monkeypatch.setattr(calling, "call", lambda *_: {"name": "lobby"})
    made = run("create-room", "--query", query)
    assert (made.exit_code, made.stdout) == (ExitCode.USAGE, "")
    shown, _, said = made.stderr.partition("Error: ")
    assert json.loads(shown) == {"name": "lobby"}
    assert said.startswith("--query does not fit the result: ")
    assert said.count("\n") == 1
    read = run("list-rooms", "--query", query)
    assert (read.exit_code, read.stderr) == (
        ExitCode.USAGE,
        f"Error: {said}".replace("create-room", "list-rooms"),
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [("[default\n", "Unable to parse"), ("[default]\nretry_mode = often\n", "often")],
    ids=["no form", "retry mode"],
)
def test_files_of_aws_that_are_not_valid(
    config: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what is wrong with them; nothing is sent."""
    (tmp_path / "aws.ini").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws.ini"))
    result = run("list-rooms", "--endpoint-url", "http://127.0.0.1:1")
    assert result.exit_code == ExitCode.FAILED
    assert result.stderr.startswith("Error: ListRooms cannot be sent: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_skeleton_beside_files_that_are_not_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so, as for a request."""
    (tmp_path / "aws.ini").write_text("[default\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws.ini"))
    monkeypatch.delenv("AWS_DATA_PATH")  # with it the files are not read
    result = run("list-rooms", "--generate-cli-skeleton")
    assert (result.exit_code, result.stderr.count("\n")) == (ExitCode.FAILED, 1)
    assert result.stderr.startswith("Error: list-rooms cannot be shown: Unable to parse")


async def test_a_proxy_of_the_environment_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes to the service itself, as every other command's does."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with recording() as peer:
        peer.scripts = defaultdict(lambda: [Scripted(body={})])
        result = await asyncio.to_thread(run, "list-rooms", "--endpoint-url", peer.url)
    assert result.exit_code == 0, result.output
