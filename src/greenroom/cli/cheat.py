"""`greenroom cheat`: examples to copy. A test runs each of them, in this order."""

from collections.abc import Iterator, Mapping, Sequence

import click
import msgspec


class Example(msgspec.Struct, frozen=True):
    """A line to type, and what it does."""

    what: str
    line: str
    stays: str = ""
    """Of one that runs until Ctrl-C: what it prints when it is ready."""


EXAMPLES: Mapping[str, Sequence[Example]] = {
    "Serve": (
        Example("start on this machine, with data in ./greenroom-data", "greenroom serve"),
        Example(
            "start with nothing kept, on a free port", "greenroom serve --storage memory --port 0"
        ),
        Example("see every setting, and where its value is from", "greenroom config --explain"),
        Example("see whether a start would work", "greenroom config --check"),
        Example("see what is wrong, and what to do about it", "greenroom doctor"),
        Example("ask whether it is ready for viewers", "greenroom health"),
    ),
    "Rooms": (
        Example("make a room", "greenroom room create lobby --rate 20 --tag team=red"),
        Example("list the rooms", "greenroom rooms"),
        Example(
            "list their names for a script",
            "greenroom api list-rooms --query 'rooms[].name' --output text",
        ),
        Example("see one room's limits and tags", "greenroom room show lobby"),
        Example("allow longer messages", "greenroom room set lobby --length 200"),
    ),
    "Chat": (
        Example("be in a room; one that is not there is made", "greenroom chat lobby --as alice"),
        Example("see what is shown in rooms", "greenroom tail lobby", "watching lobby"),
        Example("the same as JSON, until Ctrl-C", "greenroom tail lobby --json", "watching lobby"),
        Example("say something", 'greenroom say lobby "hello there" --as alice'),
        Example(
            "send an event of your application",
            "greenroom event lobby poll --attribute question=Encore",
        ),
        Example("end a user's connections", "greenroom kick lobby mallory --reason spam"),
        Example("see what review handlers answer", "greenroom review tail", "watching reviews"),
    ),
    "Tokens": (
        Example("a token that may only look on", "greenroom token lobby --as alice"),
        Example("one that may talk", "greenroom token lobby --as alice --can SEND_MESSAGE"),
        Example("a line for a browser's console", "greenroom token lobby --as alice --url"),
    ),
    "API": (
        Example(
            "any operation, with the AWS CLI's options", "greenroom api create-room --name stage"
        ),
        Example(
            "a table of names and ids",
            "greenroom api list-rooms --query 'rooms[].[name,id]' --output table",
        ),
        Example(
            "what an operation takes, to be filled in",
            "greenroom api create-room --generate-cli-skeleton",
        ),
    ),
    "People": (
        Example("see whose key is used", "greenroom admin whoami"),
        Example("add a user", "greenroom admin user add ann"),
        Example("give a user an access key", "greenroom admin key create ann"),
    ),
    "Data": (
        Example("back up while it runs", "greenroom backup backup-of-today"),
        Example("see that a backup is whole", "greenroom restore --check backup-of-today"),
    ),
    "Measure": (
        Example(
            "see what viewers would see", "greenroom bench lobby --connections 20 --duration 1"
        ),
    ),
}
"""By subject."""


@click.command()
@click.argument("words", nargs=-1)
def cheat(words: tuple[str, ...]) -> None:
    """Show examples to copy; with words only those that have them: greenroom cheat token."""
    shown = list(_shown([word.lower() for word in words]))
    if not shown:
        raise click.UsageError(f"no example has {' and '.join(words)}: greenroom cheat shows all")
    click.echo("\n".join(shown))


def _shown(words: Sequence[str]) -> Iterator[str]:
    for subject, examples in EXAMPLES.items():
        found = [each for each in examples if _has(subject, each, words)]
        if found:
            yield click.style(subject, bold=True)
        for each in found:
            yield click.style(f"  # {each.what}", dim=True)
            yield f"  {each.line}"


def _has(subject: str, example: Example, words: Sequence[str]) -> bool:
    text = f"{subject} {example.what} {example.line}".lower()
    return all(word in text for word in words)
