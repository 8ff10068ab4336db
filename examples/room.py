"""Make a room, or take the one whose ARN is given, and two chat tokens with boto3; print JSON."""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

os.environ.setdefault("AWS_SHARED_CREDENTIALS_FILE", "greenroom-data/credentials")
os.environ.setdefault("AWS_PROFILE", "greenroom")
endpoint = os.environ.get("AWS_ENDPOINT_URL_IVSCHAT", "http://127.0.0.1:8470")


def room_with_tokens(given: str | None) -> dict[str, str]:
    ivschat = boto3.client("ivschat", endpoint_url=endpoint, region_name="us-east-1")
    room = given or ivschat.create_room(name="first-room")["arn"]
    tokens = {
        user: ivschat.create_chat_token(
            roomIdentifier=room,
            userId=user,
            capabilities=["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"],
            attributes={"displayName": user.title()},
        )["token"]
        for user in ("alice", "bob")
    }
    return {"url": endpoint.replace("http", "ws", 1) + "/", "room": room, **tokens}


try:
    print(json.dumps(room_with_tokens(sys.argv[1] if len(sys.argv) > 1 else None)))
except (BotoCoreError, ClientError) as error:
    sys.exit(str(error))
