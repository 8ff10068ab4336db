"""Both clients over TLS, to the real service with a certificate of its own making."""

import ssl
from pathlib import Path

import pytest

from greenroom.client import (
    ChatDisconnected,
    ChatRoom,
    ChatToken,
    DisconnectReason,
    Ivschat,
    NetworkingError,
)
from tests.running.service import running


async def test_certificates_are_looked_at(tmp_path: Path) -> None:
    """With the authority that is trusted both clients work; without, nothing is sent."""
    with running(tmp_path / "data", "--dev-tls") as service:
        trusted = ssl.create_default_context(cafile=service.ready["certificate_to_trust"])
        keys = service.ready["access_key_id"], service.ready["secret_access_key"]

        def client(context: ssl.SSLContext | bool) -> Ivschat:
            return Ivschat(
                endpoint=service.api_url,
                region="us-east-1",
                access_key_id=keys[0],
                secret_access_key=keys[1],
                max_retries=0,
                http_options={"ssl": context},
            )

        async with client(trusted) as ivschat:
            arn = (await ivschat.create_room()).arn

            async def token() -> ChatToken:
                return await ivschat.create_chat_token(
                    room_identifier=arn, user_id="alice", capabilities=["SEND_MESSAGE"]
                )

            async with ChatRoom(service.websocket_url, token, ssl=trusted) as room:
                assert (await room.send_message("over TLS")).content == "over TLS"
            untrusting = ChatRoom(service.websocket_url, token, max_reconnect_attempts=0)
            with pytest.raises(ChatDisconnected) as caught:
                await untrusting.connect()
            assert caught.value.reason is DisconnectReason.SOCKET_ERROR
        async with client(True) as ivschat:
            with pytest.raises(NetworkingError, match="CertificateError"):
                await ivschat.list_rooms()
        async with client(False) as ivschat:
            assert [room.arn async for room in ivschat.rooms()] == [arn]
