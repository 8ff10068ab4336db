"""The API of Amazon IVS Chat for asyncio, of this service and of AWS.

    async with Ivschat(endpoint="http://127.0.0.1:8470", region="us-east-1") as ivschat:
        room = await ivschat.create_room(name="lobby")
        token = await ivschat.create_chat_token(room_identifier=room.arn, user_id="alice")

- Names, defaults, retries and errors are those of the SDK for JavaScript, version 2, in snake case.
- One client serves any number of tasks of one event loop. A call that is cancelled closes its
  connection and leaves the client as it was; whether the request was carried out is not known.
- Nothing of botocore's code is imported before it is needed; the first client reads its model.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

from greenroom.client.api import paging
from greenroom.client.api.client import Choice, Client
from greenroom.client.api.results import (
    DestinationConfiguration,
    Identified,
    LoggingConfiguration,
    LoggingConfigurationPage,
    MessageReviewHandler,
    Room,
    RoomPage,
    RoomSummary,
    Tags,
)
from greenroom.client.entities import ChatToken


class Ivschat(Client):
    """A client; its methods are the operations of the API, and return their results."""

    SERVICE: ClassVar[str] = "ivschat"

    # ------------------------------------------------------------------------------------ rooms

    async def create_room(
        self,
        *,
        name: str | None = None,
        maximum_message_rate_per_second: int | None = None,
        maximum_message_length: int | None = None,
        message_review_handler: MessageReviewHandler | Choice | None = None,
        tags: Mapping[str, str] | None = None,
        logging_configuration_identifiers: Sequence[str] | None = None,
    ) -> Room:
        """Create a room that allows clients to connect and pass messages."""
        return await self._call(
            "CreateRoom",
            Room,
            name=name,
            maximum_message_rate_per_second=maximum_message_rate_per_second,
            maximum_message_length=maximum_message_length,
            message_review_handler=message_review_handler,
            tags=tags,
            logging_configuration_identifiers=logging_configuration_identifiers,
        )

    async def get_room(self, *, identifier: str | None = None) -> Room:
        """Get a room."""
        return await self._call("GetRoom", Room, identifier=identifier)

    async def update_room(
        self,
        *,
        identifier: str | None = None,
        name: str | None = None,
        maximum_message_rate_per_second: int | None = None,
        maximum_message_length: int | None = None,
        message_review_handler: MessageReviewHandler | Choice | None = None,
        logging_configuration_identifiers: Sequence[str] | None = None,
    ) -> Room:
        """Update what is given of a room."""
        return await self._call(
            "UpdateRoom",
            Room,
            identifier=identifier,
            name=name,
            maximum_message_rate_per_second=maximum_message_rate_per_second,
            maximum_message_length=maximum_message_length,
            message_review_handler=message_review_handler,
            logging_configuration_identifiers=logging_configuration_identifiers,
        )

    async def delete_room(self, *, identifier: str | None = None) -> None:
        """Delete a room."""
        await self._call("DeleteRoom", type(None), identifier=identifier)

    async def list_rooms(
        self,
        *,
        name: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
        message_review_handler_uri: str | None = None,
        logging_configuration_identifier: str | None = None,
    ) -> RoomPage:
        """Get a page of the region's rooms, those updated last first."""
        return await self._call(
            "ListRooms",
            RoomPage,
            name=name,
            next_token=next_token,
            max_results=max_results,
            message_review_handler_uri=message_review_handler_uri,
            logging_configuration_identifier=logging_configuration_identifier,
        )

    def room_pages(
        self,
        *,
        name: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
        message_review_handler_uri: str | None = None,
        logging_configuration_identifier: str | None = None,
    ) -> AsyncIterator[RoomPage]:
        """Give each page of `list_rooms`."""
        return paging.pages(
            next_token,
            lambda token: self.list_rooms(
                name=name,
                next_token=token,
                max_results=max_results,
                message_review_handler_uri=message_review_handler_uri,
                logging_configuration_identifier=logging_configuration_identifier,
            ),
        )

    async def rooms(
        self,
        *,
        name: str | None = None,
        max_results: int | None = None,
        message_review_handler_uri: str | None = None,
        logging_configuration_identifier: str | None = None,
    ) -> AsyncIterator[RoomSummary]:
        """Give each room of all pages; `max_results` is a page's."""
        async for page in self.room_pages(
            name=name,
            max_results=max_results,
            message_review_handler_uri=message_review_handler_uri,
            logging_configuration_identifier=logging_configuration_identifier,
        ):
            for room in page.rooms:
                yield room

    # ------------------------------------------------------------------- logging configurations

    async def create_logging_configuration(
        self,
        *,
        name: str | None = None,
        destination_configuration: DestinationConfiguration | Choice | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> LoggingConfiguration:
        """Create a configuration that allows clients to store and record sent messages."""
        return await self._call(
            "CreateLoggingConfiguration",
            LoggingConfiguration,
            name=name,
            destination_configuration=destination_configuration,
            tags=tags,
        )

    async def get_logging_configuration(
        self, *, identifier: str | None = None
    ) -> LoggingConfiguration:
        """Get a logging configuration."""
        return await self._call(
            "GetLoggingConfiguration", LoggingConfiguration, identifier=identifier
        )

    async def update_logging_configuration(
        self,
        *,
        identifier: str | None = None,
        name: str | None = None,
        destination_configuration: DestinationConfiguration | Choice | None = None,
    ) -> LoggingConfiguration:
        """Update what is given of a logging configuration."""
        return await self._call(
            "UpdateLoggingConfiguration",
            LoggingConfiguration,
            identifier=identifier,
            name=name,
            destination_configuration=destination_configuration,
        )

    async def delete_logging_configuration(self, *, identifier: str | None = None) -> None:
        """Delete a logging configuration."""
        await self._call("DeleteLoggingConfiguration", type(None), identifier=identifier)

    async def list_logging_configurations(
        self, *, next_token: str | None = None, max_results: int | None = None
    ) -> LoggingConfigurationPage:
        """Get a page of the region's logging configurations."""
        return await self._call(
            "ListLoggingConfigurations",
            LoggingConfigurationPage,
            next_token=next_token,
            max_results=max_results,
        )

    def logging_configuration_pages(
        self, *, next_token: str | None = None, max_results: int | None = None
    ) -> AsyncIterator[LoggingConfigurationPage]:
        """Give each page of `list_logging_configurations`."""
        return paging.pages(
            next_token,
            lambda token: self.list_logging_configurations(
                next_token=token, max_results=max_results
            ),
        )

    async def logging_configurations(
        self, *, max_results: int | None = None
    ) -> AsyncIterator[LoggingConfiguration]:
        """Give each logging configuration of all pages; `max_results` is a page's."""
        async for page in self.logging_configuration_pages(max_results=max_results):
            for configuration in page.logging_configurations:
                yield configuration

    # ------------------------------------------------------------------------------------- chat

    async def create_chat_token(
        self,
        *,
        room_identifier: str | None = None,
        user_id: str | None = None,
        capabilities: Sequence[str] | None = None,
        session_duration_in_minutes: int | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> ChatToken:
        """Create a token that opens one connection to a room; a `ChatRoom` takes it."""
        return await self._call(
            "CreateChatToken",
            ChatToken,
            room_identifier=room_identifier,
            user_id=user_id,
            capabilities=capabilities,
            session_duration_in_minutes=session_duration_in_minutes,
            attributes=attributes,
        )

    async def send_event(
        self,
        *,
        room_identifier: str | None = None,
        event_name: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Identified:
        """Send an event to a room's clients."""
        return await self._call(
            "SendEvent",
            Identified,
            room_identifier=room_identifier,
            event_name=event_name,
            attributes=attributes,
        )

    async def delete_message(
        self,
        *,
        room_identifier: str | None = None,
        id: str | None = None,  # noqa: A002 - the API's name
        reason: str | None = None,
    ) -> Identified:
        """Direct a room's clients to no longer show a message."""
        return await self._call(
            "DeleteMessage", Identified, room_identifier=room_identifier, id=id, reason=reason
        )

    async def disconnect_user(
        self,
        *,
        room_identifier: str | None = None,
        user_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Disconnect all of a user's connections to a room."""
        await self._call(
            "DisconnectUser",
            type(None),
            room_identifier=room_identifier,
            user_id=user_id,
            reason=reason,
        )

    # ------------------------------------------------------------------------------------- tags

    async def list_tags_for_resource(self, *, resource_arn: str | None = None) -> Tags:
        """Get the tags of a resource."""
        return await self._call("ListTagsForResource", Tags, resource_arn=resource_arn)

    async def tag_resource(
        self, *, resource_arn: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Add tags to a resource, or update them."""
        await self._call("TagResource", type(None), resource_arn=resource_arn, tags=tags)

    async def untag_resource(
        self, *, resource_arn: str | None = None, tag_keys: Sequence[str] | None = None
    ) -> None:
        """Remove tags from a resource."""
        await self._call("UntagResource", type(None), resource_arn=resource_arn, tag_keys=tag_keys)
