"""Fixtures of pytest for applications that use Amazon IVS Chat.

pytest finds them where Greenroom is installed. A run that asks for none of them imports and starts
nothing; the others have one service each, and so has each worker of xdist.
"""

import re
from collections.abc import Iterator

import pytest

SETTINGS = "greenroom_settings"
"""The name in pytest's configuration."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take settings of the service from pytest's configuration."""
    parser.addini(
        SETTINGS,
        "Settings of the service that the fixture greenroom starts, as NAME=VALUE, one a line.",
        type="linelist",
        default=[],
    )


@pytest.fixture(scope="session")
def greenroom(pytestconfig: pytest.Config) -> Iterator[object]:
    """Return a service for the run (greenroom.testing.service.Greenroom).

    AWS's SDKs find it by their variables in the environment, those of subprocesses included.
    """
    from greenroom.testing.link import UNSET
    from greenroom.testing.service import Greenroom

    service = Greenroom(_settings(pytestconfig))
    with pytest.MonkeyPatch.context() as environment:
        for name in UNSET:
            environment.delenv(name, raising=False)
        for name, text in service.environment.items():
            environment.setenv(name, text)
        yield service
    service.close()


@pytest.fixture(autouse=True)
def _greenroom_is_reset(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the service after a test as it was before: fixtures of wider scope keep their rooms."""
    if "greenroom" not in request.fixturenames:
        yield
        return
    from greenroom.testing.service import service_of

    service = service_of(request.getfixturevalue("greenroom"))
    before = service.made()
    yield
    service.reset(keep=before)


@pytest.fixture
def chat_room(greenroom: object, request: pytest.FixtureRequest) -> object:
    """Return a room of the test's own: `arn`, `id`, `name` (greenroom.testing.fixtures.Room)."""
    from greenroom.testing.fixtures import new_room
    from greenroom.testing.service import service_of

    return new_room(service_of(greenroom), re.sub(r"[^A-Za-z0-9_-]", "-", request.node.name)[:128])


@pytest.fixture(scope="session")
def ivschat(greenroom: object) -> Iterator[object]:
    """Return a client of the service: what `boto3.client("ivschat")` returns."""
    import botocore.session

    from greenroom.testing.service import service_of

    service = service_of(greenroom)
    client = botocore.session.Session().create_client(
        "ivschat",
        region_name=service.region,
        endpoint_url=service.api_url,
        aws_access_key_id=service.access_key_id,
        aws_secret_access_key=service.secret_access_key,
    )
    yield client
    client.close()


@pytest.fixture
def _people(greenroom: object, request: pytest.FixtureRequest) -> Iterator[object]:
    """Return those whom the test lets into rooms."""
    from greenroom.testing.people import People
    from greenroom.testing.service import service_of

    people = People(service_of(greenroom), lambda: request.getfixturevalue("chat_room"))
    yield people
    people.close()


@pytest.fixture
def chat(_people: object) -> object:
    """Return what lets users into rooms, for tests with asyncio.

    With `alice = await chat("alice")` she enters `chat_room`, or the room that is given
    (greenroom.testing.fixtures.Chat).
    """
    from greenroom.testing.fixtures import Chat
    from greenroom.testing.people import people_of

    return Chat(people_of(_people))


@pytest.fixture
def blocking_chat(_people: object) -> object:
    """Return the same for tests without asyncio."""
    from greenroom.testing.fixtures import BlockingChat
    from greenroom.testing.people import people_of

    return BlockingChat(people_of(_people))


def _settings(config: pytest.Config) -> dict[str, str]:
    """Return the settings in pytest's configuration.

    Raises:
        UsageError: a line has no value.
    """
    found = {}
    for line in config.getini(SETTINGS):
        name, equals, text = line.partition("=")
        if not equals:
            raise pytest.UsageError(f"{SETTINGS}: {line!r} is not NAME=VALUE")
        found[name.strip()] = text.strip()
    return found
