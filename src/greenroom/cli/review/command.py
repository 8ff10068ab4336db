"""`greenroom review tail`: each review as it goes: by what, how it ended, how long it took."""

import json
import time

import click
import msgspec

from greenroom.aws.own_service import SERVICE
from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Api
from greenroom.cli.escaping import printable
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.groups import CommandGroup
from greenroom.cli.reaching import WHICH, reach, refusals_told, which_service
from greenroom.cli.room.service import Rooms, complete_rooms
from greenroom.review.base import Content, Reviewed

LOOK_SECONDS = 0.5
"""How often the service is asked."""

AGAIN_SECONDS = 2.0
"""How long a service that does not answer is left alone."""


class _Page(msgspec.Struct, frozen=True):
    cursor: str
    missed: int
    reviews: list[Reviewed]


class _Revealed(msgspec.Struct, frozen=True):
    reveal: str
    seconds: int


@click.group(cls=CommandGroup)
def review() -> None:
    """See what review handlers are asked, and answer."""


@review.command()
@click.argument("rooms", nargs=-1, shell_complete=complete_rooms)
@click.option("--content", is_flag=True, help="Also show what was said; in the audit log.")
@click.option("--json", "in_json", is_flag=True, help="Print one line of JSON for each.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many.")
@which_service
def tail(
    *,
    rooms: tuple[str, ...],
    content: bool,
    in_json: bool,
    count: int | None,
    **which: str | None,
) -> None:
    """Print the latest reviews, and each as it goes, of all rooms or of these, until Ctrl-C.

    Shown is whose message it was, which handler was asked, how that ended and how long it took.
    That needs the permission greenroom:ListReviews. --content also shows what was said and what the
    handler made of it, from the moment on at which the command starts: it needs
    greenroom:RevealReviews, and the audit log has who looked. With several nodes or processes these
    are the reviews of the one that answers.
    """
    with refusals_told():
        reached = reach({name: which[name] for name in WHICH})
        api = Api(reached.endpoint, reached.key, reached.region, SERVICE)
        named = Api(reached.endpoint, reached.key, reached.region)
        try:
            wanted = {Rooms(named, reached.region).find(room) for room in rooms}
            _Tail(api, wanted, content=content, in_json=in_json, count=count).run()
        except KeyboardInterrupt:
            return
        finally:
            named.close()
            api.close()


class _Tail:
    """Asks for reviews again and again, and prints them."""

    def __init__(
        self, api: Api, rooms: set[str], *, content: bool, in_json: bool, count: int | None
    ) -> None:
        self._api = api
        self._rooms = rooms
        self._content = content
        self._in_json = in_json
        self._left = count
        self._reveal: str | None = None
        self._reveal_until = 0.0
        self._cursor: str | None = None

    def run(self) -> None:
        """Print until it is enough."""
        page = self._page()
        click.echo(click.style("-- watching reviews", dim=True), err=True)
        while not self._shown(page):
            time.sleep(LOOK_SECONDS)
            page = self._next()

    def _next(self) -> _Page:
        while True:
            try:
                return self._page()
            except CommandRefused as refused:
                if refused.code is not ExitCode.UNREACHABLE:
                    raise
                self._note(str(refused))
                time.sleep(AGAIN_SECONDS)

    def _page(self) -> _Page:
        if self._content and time.monotonic() > self._reveal_until:
            made = msgspec.convert(self._api.call(f"{SERVICE}/reviews/reveal"), _Revealed)
            self._reveal = made.reveal
            # Asked for again before it ends: nothing is to be kept from whoever looks on.
            self._reveal_until = time.monotonic() + made.seconds * 0.8
        asked = {"cursor": self._cursor, "reveal": self._reveal}
        found = msgspec.convert(self._api.call(f"{SERVICE}/reviews/list", **asked), _Page)
        if self._cursor is not None and _node(found.cursor) != _node(self._cursor):
            self._note("another process answers: the service was restarted, or is another node")
            self._reveal_until = 0.0
        self._cursor = found.cursor
        return found

    def _shown(self, page: _Page) -> bool:
        """Print a page; return whether it was enough."""
        if page.missed:
            self._note(f"{page.missed} reviews were missed")
        for each in page.reviews:
            if self._rooms and each.room_arn not in self._rooms:
                continue
            click.echo(_json(each) if self._in_json else _line(each))
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    return True
        return False

    def _note(self, text: str) -> None:
        click.echo(click.style(f"-- {printable(text)}", dim=True), err=True)


def _node(cursor: str) -> str:
    return cursor.partition(":")[0]


def _json(each: Reviewed) -> str:
    return json.dumps(msgspec.to_builtins(each))


def _line(each: Reviewed) -> str:
    time_of_day = click.style(each.time[11:23], dim=True)
    verdict = click.style(each.verdict, fg="green" if each.verdict == "ALLOW" else "red")
    room = each.room_arn.rpartition("/")[2]
    why = each.outcome.replace("_", " ")
    if each.by_fallback:
        verdict = f"{verdict} by fallback, handler {why}"
    elif each.edited:
        verdict = f"{verdict}, edited"
    handler = printable(each.handler or "no handler")
    said = f"{time_of_day} {room} {printable(each.user_id)}: {verdict} in {each.milliseconds:g} ms"
    return f"{said} ({handler}){_said(each.shown)}"


def _said(shown: Content | None) -> str:
    if shown is None:
        return ""
    lines = [f"said      {printable(shown.content)}"]
    if shown.answered_content not in (None, shown.content):
        lines.append(f"answered  {printable(shown.answered_content or '')}")
    if shown.reason:
        lines.append(f"reason    {printable(shown.reason)}")
    return "".join(f"\n    {line}" for line in lines)
