"""Walk the pages of a list."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from greenroom.client.api.errors import IvschatError


class Page(Protocol):
    """What says where the next page begins."""

    @property
    def next_token(self) -> str | None: ...


P = TypeVar("P", bound=Page)


async def pages(
    first_token: str | None, ask: Callable[[str | None], Awaitable[P]]
) -> AsyncIterator[P]:
    """Give each page from a token on.

    Raises:
        IvschatError: a page leads to itself.
    """
    token = first_token
    while True:
        page = await ask(token)
        yield page
        if not page.next_token:
            return
        if page.next_token == token:
            raise IvschatError("PaginationError", "a page has its own token for the next one")
        token = page.next_token
