"""What the fixtures give to tests: rooms, and people for tests with and without asyncio."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from greenroom.client import DisconnectReason
from greenroom.testing.people import People, Seen, Somebody
from greenroom.testing.service import Greenroom

P = ParamSpec("P")
T = TypeVar("T")

Doing = Callable[Concatenate[Somebody, P], Coroutine[object, object, T]]


class Room(msgspec.Struct, frozen=True):
    """A room of the test's own."""

    arn: str
    id: str
    name: str


def new_room(greenroom: Greenroom, name: str) -> Room:
    """Return a room that was just created."""
    return msgspec.convert(greenroom.calls.call("CreateRoom", name=name), Room)


class _Person:
    """A user in a room: what both kinds of tests read of one."""

    def __init__(self, people: People, somebody: Somebody) -> None:
        self.people = people
        self.somebody = somebody

    @property
    def user_id(self) -> str:
        """Return the user's id."""
        return self.somebody.user_id

    @property
    def seen(self) -> list[Seen]:
        """Return all that was shown to the user, in its order."""
        return list(self.somebody.seen)

    @property
    def reason(self) -> DisconnectReason | None:
        """Return why the user is disconnected for good; None while that is not so."""
        return self.somebody.reason

    def begin(self, doing: Coroutine[object, object, T]) -> "Future[T]":
        """Do something on the loop of the connections."""
        return self.people.run(doing)


def _awaited(
    method: "Doing[P, T]",
) -> "Callable[Concatenate[_Person, P], Coroutine[object, object, T]]":
    """Return a method for tests that await."""

    async def do(person: _Person, /, *args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        return await asyncio.wrap_future(person.begin(method(person.somebody, *args, **kwargs)))

    return functools.update_wrapper(do, method)


def _blocking(method: "Doing[P, T]") -> "Callable[Concatenate[_Person, P], T]":
    """Return a method for tests that do not."""

    def do(person: _Person, /, *args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        return person.begin(method(person.somebody, *args, **kwargs)).result()

    return functools.update_wrapper(do, method)


class Person(_Person):
    """A user in a room, for tests that await; see `Somebody` for what each method does."""

    say = _awaited(Somebody.say)
    delete = _awaited(Somebody.delete)
    kick = _awaited(Somebody.kick)
    receives = _awaited(Somebody.receives)
    sees_nothing = _awaited(Somebody.sees_nothing)
    is_disconnected = _awaited(Somebody.is_disconnected)
    forget = _awaited(Somebody.forget)
    leave = _awaited(Somebody.leave)


class BlockingPerson(_Person):
    """The same for tests that do not await."""

    say = _blocking(Somebody.say)
    delete = _blocking(Somebody.delete)
    kick = _blocking(Somebody.kick)
    receives = _blocking(Somebody.receives)
    sees_nothing = _blocking(Somebody.sees_nothing)
    is_disconnected = _blocking(Somebody.is_disconnected)
    forget = _blocking(Somebody.forget)
    leave = _blocking(Somebody.leave)


Enter = Callable[Concatenate[People, P], Coroutine[object, object, Somebody]]


def _entering(
    method: "Enter[P]",
) -> "Callable[Concatenate[Chat, P], Coroutine[object, object, Person]]":
    async def enter(chat: "Chat", /, *args: P.args, **kwargs: P.kwargs) -> Person:
        __tracebackhide__ = True
        somebody = chat.people.run(method(chat.people, *args, **kwargs))
        return Person(chat.people, await asyncio.wrap_future(somebody))

    return functools.update_wrapper(enter, method)


def _entering_at_once(
    method: "Enter[P]",
) -> "Callable[Concatenate[BlockingChat, P], BlockingPerson]":
    def enter(chat: "BlockingChat", /, *args: P.args, **kwargs: P.kwargs) -> BlockingPerson:
        __tracebackhide__ = True
        somebody = chat.people.run(method(chat.people, *args, **kwargs))
        return BlockingPerson(chat.people, somebody.result())

    return functools.update_wrapper(enter, method)


class Chat:
    """Lets people into rooms: `alice = await chat("alice")`; see `People.enter`."""

    def __init__(self, people: People) -> None:
        self.people = people

    __call__ = _entering(People.enter)


class BlockingChat:
    """The same for tests that do not await: `alice = blocking_chat("alice")`."""

    def __init__(self, people: People) -> None:
        self.people = people

    __call__ = _entering_at_once(People.enter)
