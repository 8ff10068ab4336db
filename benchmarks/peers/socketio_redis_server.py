"""python-socketio as one of several, by Redis: `socketio_redis_server.py PORT PORT-OF-REDIS`."""
# ruff: noqa: INP001 - a program of its own

import sys

import socketio
import uvicorn

port, redis = map(int, sys.argv[1:])
server = socketio.AsyncServer(
    async_mode="asgi",
    # Messages of one client keep their order: each is handled when the one before is done.
    async_handlers=False,
    transports=["websocket"],
    cors_allowed_origins="*",
    client_manager=socketio.AsyncRedisManager(f"redis://127.0.0.1:{redis}"),
)


@server.on("message")
async def message(_: str, content: object) -> None:
    """Send what a client says to everybody."""
    await server.emit("message", content)


uvicorn.run(
    socketio.ASGIApp(server),
    host="127.0.0.1",
    port=port,
    log_level="warning",
    ws="websockets-sansio",
)
