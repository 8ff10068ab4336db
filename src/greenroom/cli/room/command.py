"""`greenroom rooms`, `greenroom room`: see, make, change and delete rooms."""

import click

from greenroom.cli.admin.options import pairs
from greenroom.cli.escaping import printable
from greenroom.cli.groups import CommandGroup
from greenroom.cli.room.service import Members, Rooms, a_room, as_json, room_command

_SHOWN = {
    "arn": "arn",
    "createTime": "created",
    "updateTime": "updated",
    "maximumMessageRatePerSecond": "messages a second",
    "maximumMessageLength": "characters a message",
}


_EMPTY: Members = {"users": 0, "connections": 0}


def _limits(command: "click.decorators.FC") -> "click.decorators.FC":
    """Give a command the options that set a room's limits and handler."""
    options = (
        click.option("--rate", type=int, help="Messages a second, of all together.  [10]"),
        click.option("--length", type=int, help="Characters of a message.  [500]"),
        click.option("--review", "uri", help="ARN or URL of the message review handler."),
        click.option(
            "--fallback", type=click.Choice(["ALLOW", "DENY"]), help="When the handler fails."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _given(
    rate: int | None, length: int | None, uri: str | None, fallback: str | None
) -> dict[str, object]:
    """Return the members of a request for the options that were given."""
    asked = {"uri": uri, "fallbackResult": fallback}
    handler = {name: value for name, value in asked.items() if value is not None}
    return {
        "maximumMessageRatePerSecond": rate,
        "maximumMessageLength": length,
        "messageReviewHandler": handler or None,
    }


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
@room_command
def rooms(found: Rooms, *, in_json: bool) -> None:
    """List the rooms, with how many users are there now and how many connections they have."""
    listed, occupied = found.all(), found.occupied()
    arns = [str(each["arn"]) for each in listed]
    states = [None if occupied is None else occupied.get(arn, _EMPTY) for arn in arns]
    if in_json:
        click.echo(as_json([_counted(*each) for each in zip(listed, states, strict=True)]))
        return
    if not listed:
        click.echo(f"no room yet in {found.region}: `greenroom room create NAME` makes one")
        return
    names = [printable(str(each.get("name") or "-")) for each in listed]
    width = max(4, *map(len, names))
    click.echo(f"{'NAME':{width}}  ID              USERS    CONNS  UPDATED               ARN")
    for name, each, state in zip(names, listed, states, strict=True):
        users, connections = ("-", "-") if state is None else (state["users"], state["connections"])
        updated = str(each["updateTime"])[:19]
        click.echo(
            f"{name:{width}}  {each['id']}  {users:>7}  {connections:>7}  {updated}Z  {each['arn']}"
        )


def _counted(room: Members, state: Members | None) -> Members:
    """Return a room with how many are there, if that is known."""
    if state is None:
        return room
    return {**room, "users": state["users"], "connections": state["connections"]}


@click.group(cls=CommandGroup)
def room() -> None:
    """One room, by its name, id or ARN."""


@room.command()
@click.argument("name")
@_limits
@click.option("--tag", "tags", multiple=True, callback=pairs, help="Tag, as NAME=VALUE.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
@room_command
def create(
    found: Rooms,
    name: str,
    *,
    rate: int | None,
    length: int | None,
    uri: str | None,
    fallback: str | None,
    tags: dict[str, str],
    in_json: bool,
) -> None:
    """Make a room; names need not be unique, but then only ids tell which one is meant."""
    asked = _given(rate, length, uri, fallback)
    made = found.call("CreateRoom", name=name, tags=tags or None, **asked)
    others = len(found.all(name=name)) - 1
    if others > 0:
        rooms = "another room is" if others == 1 else f"{others} other rooms are"
        click.echo(f"Note: {rooms} called {name}, too: say by its id which one you mean", err=True)
    click.echo(as_json(made) if in_json else str(made["arn"]))


@room.command()
@a_room
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
@room_command
def show(found: Rooms, room: str, *, in_json: bool) -> None:
    """Show a room's limits, handler, logging and tags."""
    members = found.call("GetRoom", identifier=found.find(room))
    click.echo(as_json(members) if in_json else _shown(members))


@room.command("set")
@a_room
@click.option("--name", help="Another name.")
@_limits
@room_command
def set_(
    found: Rooms,
    room: str,
    *,
    name: str | None,
    rate: int | None,
    length: int | None,
    uri: str | None,
    fallback: str | None,
) -> None:
    """Change a room; what is not named stays as it is."""
    asked = {"name": name, **_given(rate, length, uri, fallback)}
    if all(value is None for value in asked.values()):
        raise click.UsageError("say what to change: --name, --rate, --length, --review, --fallback")
    click.echo(_shown(found.call("UpdateRoom", identifier=found.find(room), **asked)))


@room.command()
@a_room
@room_command
def delete(found: Rooms, room: str) -> None:
    """Delete a room; who is connected stays so until the session ends, and can be disconnected."""
    arn = found.find(room)
    found.call("DeleteRoom", identifier=arn)
    click.echo(f"deleted {arn}")


def _shown(members: Members) -> str:
    rows = [("name", printable(str(members.get("name") or "-")))]
    rows += [(words, str(members[name])) for name, words in _SHOWN.items() if name in members]
    handler = members.get("messageReviewHandler")
    if isinstance(handler, dict):
        fallback = handler.get("fallbackResult")
        rows.append(("review", f"{handler.get('uri') or '-'} (fallback {fallback})"))
    logging = members.get("loggingConfigurationIdentifiers")
    if isinstance(logging, list):
        rows += [("logs to", str(each)) for each in logging]
    tags = members.get("tags")
    if isinstance(tags, dict):
        rows += [("tag", printable(f"{key}={value}")) for key, value in sorted(tags.items())]
    width = max(len(words) for words, _ in rows)
    return "\n".join(f"{words:{width}}  {text}" for words, text in rows)
