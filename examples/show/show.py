"""A live show with a chat: viewers' tokens, goals, and no links."""

import boto3

NO_LINKS = "arn:aws:lambda:us-east-1:123456789012:function:no-links"


class Show:
    def __init__(self, name: str) -> None:
        self._ivschat = boto3.client("ivschat")
        handler = {"uri": NO_LINKS, "fallbackResult": "ALLOW"}
        self.room = self._ivschat.create_room(name=name, messageReviewHandler=handler)["arn"]

    def token(self, viewer: str) -> str:
        answer = self._ivschat.create_chat_token(
            roomIdentifier=self.room, userId=viewer, capabilities=["SEND_MESSAGE"]
        )
        return answer["token"]

    def goal(self, team: str) -> None:
        self._ivschat.send_event(
            roomIdentifier=self.room, eventName="GOAL", attributes={"team": team}
        )


def no_links(event: dict, _context: object) -> dict:
    """Review a message, as a Lambda function does."""
    if "://" in event["Content"]:
        return {"ReviewResult": "DENY", "Attributes": {"Reason": "no links"}}
    return {"ReviewResult": "ALLOW", "Content": event["Content"]}
