"""Make a room and two chat tokens with boto3; print them as JSON."""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

os.environ.setdefault("AWS_SHARED_CREDENTIALS_FILE", "greenroom-data/credentials")
os.environ.setdefault("AWS_PROFILE", "greenroom")
endpoint = os.environ.get("AWS_ENDPOINT_URL_IVSCHAT", "http://127.0.0.1:8470")


def room_with_tokens() -> dict[str, str]:
    ivschat = boto3.client("ivschat", endpoint_url=endpoint, region_name="us-east-1")
    room = ivschat.create_room(name="first-room")
    tokens = {
        user: ivschat.create_chat_token(
            roomIdentifier=room["arn"],
            userId=user,
            capabilities=["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"],
            attributes={"displayName": user.title()},
        )["token"]
        for user in ("alice", "bob")
    }
    return {"url": endpoint.replace("http", "ws", 1) + "/", "room": room["arn"], **tokens}


try:
    print(json.dumps(room_with_tokens()))
except (BotoCoreError, ClientError) as error:
    sys.exit(str(error))
