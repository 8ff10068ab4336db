"""Connect as a user of room.json, say hello, and print what arrives."""

import asyncio
import json
import sys
from pathlib import Path

import websockets


async def chat(room: dict[str, str], user: str) -> None:
    async with websockets.connect(room["url"], subprotocols=[room[user]]) as socket:
        await socket.send(json.dumps({"Action": "SEND_MESSAGE", "Content": f"{user} is here"}))
        async for frame in socket:
            entity = json.loads(frame)
            if entity["Type"] == "MESSAGE":
                print(f"{entity['Sender']['UserId']}: {entity['Content']}", flush=True)
            else:
                print(frame, flush=True)


if len(sys.argv) != 3:
    sys.exit("usage: chat.py room.json USER")
_, file, user = sys.argv
try:
    room = json.loads(Path(file).read_text())
    if user not in room:
        sys.exit(f"{file} has no token of {user}: room.py makes those of alice and bob")
    asyncio.run(chat(room, user))
except websockets.InvalidStatus as refused:
    # The answer to a refused connection says why.
    why = json.loads(refused.response.body)["ErrorMessage"]
    sys.exit(f"refused with {refused.response.status_code}: {why}")
except (OSError, ValueError, websockets.ConnectionClosed) as error:
    sys.exit(f"{type(error).__name__}: {error}")
except KeyboardInterrupt:
    pass
