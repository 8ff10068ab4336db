"""Tokens of the room `lobby`: which room that is, and what becomes of refusals."""

import asyncio
import json
from typing import Any

from greenroom.clock import Clock
from greenroom.demo.lobby import Lobby, Signer, Wish

SIGNER = Signer(access_key_id="AKIAEXAMPLE", secret_access_key="secret", region="eu-west-1")
PEER = ("127.0.0.1", 1)


class Api:
    """Answers the three operations as the control plane does, from a list of rooms."""

    def __init__(self, *rooms: str) -> None:
        self.rooms = [{"arn": arn, "createTime": f"2026-01-0{n}"} for n, arn in enumerate(rooms, 1)]
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.scopes: list[Any] = []
        self.refusal: tuple[int, str] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        operation = scope["raw_path"].decode()[1:]
        whole = await receive()
        parameters = json.loads(whole["body"])
        assert (whole["type"], whole["more_body"]) == ("http.request", False)
        self.scopes.append(scope)
        self.calls.append((operation, parameters))
        await asyncio.sleep(0)
        status, body = self._answer(operation, parameters)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def _answer(self, operation: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        if self.refusal is not None:
            return self.refusal[0], {"message": self.refusal[1]}
        if operation == "ListRooms":
            return 200, {"rooms": list(reversed(self.rooms))}
        if operation == "CreateRoom":
            number = len(self.rooms)
            self.rooms.append({"arn": f"made-{number}", "createTime": f"2026-01-1{number}"})
            return 200, self.rooms[-1]
        if operation == "DeleteRoom":
            self.rooms = [room for room in self.rooms if room["arn"] != parameters["identifier"]]
            return 204, {}
        if all(parameters["roomIdentifier"] != room["arn"] for room in self.rooms):
            return 404, {"message": "no such room"}
        return 200, {"token": f"of {parameters['roomIdentifier']}"}

    @property
    def operations(self) -> list[str]:
        """The operations that were called."""
        return [operation for operation, _ in self.calls]


async def token(lobby: Lobby) -> tuple[int, Any]:
    """Return status and members of an answer."""
    got = await lobby.token(Wish("alice", ("SEND_MESSAGE",)), SIGNER, PEER)
    return got.status, json.loads(got.body)


async def test_the_room_is_made_once() -> None:
    """Who comes first has it made, also when another one comes at the same moment."""
    api = Api()
    lobby = Lobby(api, Clock())
    both = list(await asyncio.gather(token(lobby), token(lobby)))
    assert both == [(200, {"token": "of made-0"})] * 2
    assert api.operations.count("CreateRoom") == 1
    assert api.operations.count("DeleteRoom") == 0
    assert api.calls[0] == ("ListRooms", {"name": "lobby"})


async def test_nodes_that_make_one_at_the_same_moment() -> None:
    """All meet in one room, and the other one is gone."""
    api = Api()
    both = list(await asyncio.gather(*(token(Lobby(api, Clock())) for _ in range(2))))
    assert api.operations.count("CreateRoom") == 2
    assert both == [(200, {"token": "of made-0"})] * 2
    assert [room["arn"] for room in api.rooms] == ["made-0"]


async def test_the_call_is_the_callers_wish() -> None:
    """User and capabilities are passed on as they are; signed as ivschat, from where he is."""
    api = Api("first")
    await token(Lobby(api, Clock()))
    assert api.calls[-1] == (
        "CreateChatToken",
        {"roomIdentifier": "first", "userId": "alice", "capabilities": ["SEND_MESSAGE"]},
    )
    signed = dict(api.scopes[-1]["headers"])[b"authorization"].decode()
    assert "/eu-west-1/ivschat/aws4_request" in signed
    assert api.scopes[-1]["client"] == PEER


async def test_of_several_rooms_the_oldest() -> None:
    """Everybody meets in one, whichever is listed first."""
    assert await token(Lobby(Api("first", "second"), Clock())) == (200, {"token": "of first"})


async def test_a_room_that_was_deleted() -> None:
    """The next one is found, or made, and nobody notices."""
    api = Api("first", "second")
    lobby = Lobby(api, Clock())
    await token(lobby)
    del api.rooms[0]
    assert await token(lobby) == (200, {"token": "of second"})
    api.rooms.clear()
    assert await token(lobby) == (200, {"token": "of made-0"})


async def test_refusals_are_told() -> None:
    """What the API refuses is answered as it says it; another try may succeed."""
    api = Api("first")
    lobby = Lobby(api, Clock())
    for refusal in (
        (300, "elsewhere"),
        (400, "userId is too long"),
        (404, "gone"),
        (429, "too many"),
    ):
        api.refusal = refusal
        api.calls.clear()
        assert await token(lobby) == (refusal[0], {"message": refusal[1]})
        anew = {404: 2}.get(refusal[0], 1)
        assert len(api.calls) == anew, "only what is gone is asked for once more"
    api.refusal = None
    assert await token(lobby) == (200, {"token": "of first"})
