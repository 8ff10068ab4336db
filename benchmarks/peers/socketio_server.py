"""python-socketio as an ASGI application: `uvicorn socketio_server:application`."""
# ruff: noqa: INP001 - a program of its own

import socketio

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], cors_allowed_origins="*")
application = socketio.ASGIApp(server)


@server.on("message")
async def message(_: str, content: object) -> None:
    """Send what a client says to everybody."""
    await server.emit("message", content)
