"""A running service for the commands about rooms, and rooms by what people call them."""

import functools
import json
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Concatenate, ParamSpec

import click
from click.shell_completion import CompletionItem

from greenroom.aws.own_service import SERVICE
from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Api, Endpoint
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.reaching import WHICH, reach, refusals_told, which_service
from greenroom.process.start_refused import StartRefused

P = ParamSpec("P")

Members = dict[str, object]

_ID = re.compile(r"[A-Za-z0-9]{12}")
_PAGE = 50
_STATES = 100


class Rooms:
    """The rooms of a running service."""

    def __init__(self, api: Api, region: str) -> None:
        self._api = api
        self.region = region
        """The region that is asked for, where a room's ARN does not name one."""

    @property
    def endpoint(self) -> Endpoint:
        """Return where the service is."""
        return self._api.endpoint

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Return how the service's certificate is checked; None without TLS."""
        return self._api.tls

    def call(self, operation: str, **parameters: object) -> Members:
        """Return an operation's result; parameters that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._api.call(operation, **given)

    def occupied(self) -> dict[str, Members] | None:
        """Return how many are in each room that somebody is in, by ARN; None if that is not told.

        The key may not be allowed to know, and AWS counts nobody.
        """
        found: dict[str, Members] = {}
        token: str | None = None
        with closing(self._api.of(SERVICE)) as own, suppress(CommandRefused):
            while True:
                asked = {"maxResults": _STATES} | ({"nextToken": token} if token else {})
                page = own.call("greenroom/ListRoomStates", **asked)
                states = page["roomStates"]
                assert isinstance(states, list)  # noqa: S101 - the API's list
                found |= {each["roomIdentifier"]: each for each in states}
                if not page.get("nextToken"):
                    return found
                token = str(page["nextToken"])
        return None

    def all(self, name: str | None = None) -> list[Members]:
        """Return all rooms, or those of a name."""
        found: list[Members] = []
        token: object = None
        while True:
            page = self.call("ListRooms", name=name, maxResults=_PAGE, nextToken=token)
            rooms = page["rooms"]
            assert isinstance(rooms, list)  # noqa: S101 - the API's list
            found += rooms
            token = page.get("nextToken")
            if not token:
                return found

    def find(self, room: str) -> str:
        """Return the ARN of the room with this name, id or ARN.

        Raises:
            CommandRefused: there is none, or several have the name.
        """
        if room.startswith("arn:"):
            return room
        named = self.all(name=room)
        if not named and _ID.fullmatch(room):
            named = [each for each in self.all() if each["id"] == room]
        if not named:
            raise CommandRefused(
                f"no room is called {room} in {self.region}: `greenroom rooms` lists them,"
                f" `greenroom room create {room}` makes one",
                ExitCode.REFUSED,
                "ResourceNotFoundException",
            )
        if len(named) > 1:
            ids = ", ".join(str(each["id"]) for each in named)
            raise CommandRefused(
                f"{len(named)} rooms are called {room}: name one by its id: {ids}",
                ExitCode.REFUSED,
                "ConflictException",
            )
        return str(named[0]["arn"])

    def find_or_make(self, room: str) -> str:
        """Return the ARN of the room with this name, id or ARN; make one where there is none."""
        try:
            return self.find(room)
        except CommandRefused as refused:
            if refused.error != "ResourceNotFoundException":
                raise
        made = self.call("CreateRoom", name=room)
        oldest, *newer = sorted(self.all(name=room), key=_age)
        # Somebody else made one at the same moment: all are to meet in one.
        if any(each["arn"] == made["arn"] for each in newer):
            self.call("DeleteRoom", identifier=made["arn"])
        else:
            click.echo(f"Note: made the room {room}", err=True)
        return str(oldest["arn"])

    def token(
        self,
        room_arn: str,
        user_id: str,
        capabilities: Sequence[str] = (),
        attributes: dict[str, str] | None = None,
        minutes: int | None = None,
    ) -> Members:
        """Return a chat token, and its times."""
        return self.call(
            "CreateChatToken",
            roomIdentifier=room_arn,
            userId=user_id,
            capabilities=list(capabilities),
            attributes=attributes or None,
            sessionDurationInMinutes=minutes,
        )


def _age(room: Members) -> tuple[str, str]:
    return str(room["createTime"]), str(room["id"])


def websocket_url(endpoint: Endpoint) -> str:
    """Return where WebSockets connect to."""
    return f"{'wss' if endpoint.secure else 'ws'}://{endpoint.authority}{endpoint.path}/"


def complete_rooms(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return the rooms whose names begin so, for a shell; none where no service can be asked."""
    with ctx.scope(cleanup=False), suppress(CommandRefused, StartRefused, click.ClickException):
        reached = reach(ctx.params)
        with closing(Api(reached.endpoint, reached.key, reached.region)) as api:
            found = Rooms(api, reached.region).all()
        names = {str(each.get("name") or each["id"]) for each in found}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
    return []


a_room = click.argument("room", shell_complete=complete_rooms)
"""The argument that names a room."""


def room_command(
    command: Callable[Concatenate[Rooms, P], None], *, url: bool = True
) -> Callable[P, None]:
    """Give a command the rooms of a service as its first argument, and options that say which.

    Without `url` the command has a `--url` of its own.
    """

    @functools.partial(which_service, url=url)
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        which = {name: kwargs.pop(name) for name in WHICH}
        with refusals_told():
            reached = reach(which)
            api = Api(reached.endpoint, reached.key, reached.region)
            try:
                command(Rooms(api, reached.region), *args, **kwargs)
            finally:
                api.close()

    return run


def as_json(members: object) -> str:
    """Return members as JSON for people and scripts."""
    return json.dumps(members, indent=2, ensure_ascii=False)
