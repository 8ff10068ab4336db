"""The API of Amazon IVS Chat for asyncio, of this service and of AWS.

    async with Ivschat(endpoint="http://127.0.0.1:8470", region="us-east-1") as ivschat:
        room = await ivschat.create_room(name="lobby")
        token = await ivschat.create_chat_token(room_identifier=room.arn, user_id="alice")

- Names, defaults, retries and errors are those of the SDK for JavaScript, version 2, in snake case.
- One client serves any number of tasks of one event loop. A call that is cancelled closes its
  connection and leaves the client as it was; whether the request was carried out is not known.
- Nothing of botocore's code is imported before it is needed; the first client reads its model.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from types import TracebackType
from typing import Self, TypeVar

from greenroom.client.api import options, paging, reporting, requests, sending
from greenroom.client.api.credentials import (
    BotocoreCredentials,
    Credentials,
    Provider,
    Resolver,
)
from greenroom.client.api.errors import ConfigError, IvschatError
from greenroom.client.api.options import HttpOptions, ParamValidation, RetryDelayOptions
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
from greenroom.client.api.sending import Response
from greenroom.client.entities import ChatToken

T = TypeVar("T")
Choice = Mapping[str, object]
"""An option or a structure as a mapping."""


class Ivschat:
    """A client; its methods are the operations of the API, and return their results."""

    def __init__(  # noqa: PLR0913 - the options are the SDK's
        self,
        *,
        params: Mapping[str, object] | None = None,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        credentials: Credentials | BotocoreCredentials | None = None,
        credential_provider: Provider | None = None,
        region: str | None = None,
        max_retries: int | None = None,
        retry_delay_options: RetryDelayOptions | Choice | None = None,
        max_redirects: int = 10,
        ssl_enabled: bool = True,
        param_validation: ParamValidation | Choice | bool = True,
        convert_response_types: bool = True,
        correct_clock_skew: bool = False,
        system_clock_offset: float = 0,
        http_options: HttpOptions | Choice | None = None,
        api_version: str | date | None = None,
        api_versions: Mapping[str, str | date] | None = None,
        logger: reporting.Logger | None = None,
        signature_version: str | None = None,
        signature_cache: bool = True,
        use_fips_endpoint: bool | None = None,
        use_dualstack_endpoint: bool | None = None,
    ) -> None:
        """Make a client; `docs/reference/python-client.md` says what each option does.

        Raises:
            ConfigError: an option is wrong.
        """
        options.check_versions(api_version, api_versions or {}, signature_version)
        if (access_key_id is None) != (secret_access_key is None):
            raise ConfigError("ConfigError", "access_key_id and secret_access_key belong together")
        if access_key_id is not None and secret_access_key is not None:
            credentials = Credentials(access_key_id, secret_access_key, session_token)
        self._params = dict(params or {})
        self._logger = logger
        settings = sending.Settings(
            endpoint=endpoint,
            region=region,
            ssl_enabled=ssl_enabled,
            max_retries=options.MAX_RETRIES if max_retries is None else max_retries,
            max_redirects=max_redirects,
            retry_delay=options.option(
                RetryDelayOptions, retry_delay_options, "retry_delay_options"
            ),
            rules=options.rules_of(param_validation),
            convert_response_types=convert_response_types,
            correct_clock_skew=correct_clock_skew,
            http=options.option(HttpOptions, http_options, "http_options"),
            kind=options.EndpointKind(use_fips_endpoint, use_dualstack_endpoint),
        )
        resolver = Resolver(credentials, credential_provider)
        self._sender = sending.Sender(settings, resolver, system_clock_offset)

    @property
    def system_clock_offset(self) -> float:
        """Return the milliseconds that the clock is taken to be behind; corrections change it."""
        return self._sender.clock_offset

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------------------ any request

    async def make_request(
        self, operation: str, params: Mapping[str, object] | None = None
    ) -> Response:
        """Perform an operation by its name; the result is the response's `data`.

        Raises:
            IvschatError: the request failed.
        """
        return await self._make(operation, params or {}, signed=True)

    async def make_unauthenticated_request(
        self, operation: str, params: Mapping[str, object] | None = None
    ) -> Response:
        """Do the same without a signature, and without credentials."""
        return await self._make(operation, params or {}, signed=False)

    async def _make(self, name: str, params: Mapping[str, object], *, signed: bool) -> Response:
        operation = requests.operation_of(name)
        members = operation.input.members
        given = requests.named(operation.input, params)
        bound = requests.named(operation.input, self._params)
        given = {**given, **{k: v for k, v in bound.items() if k in members and k not in given}}
        status, retries, began = None, 0, time.monotonic()
        try:
            response = await self._sender.send(operation, given, signed=signed)
            status, retries = response.status_code, response.retry_count
        except IvschatError as error:
            status, retries = error.status_code, error.retry_count
            raise
        finally:
            if self._logger is not None:
                seconds = time.monotonic() - began
                reporting.report(self._logger, operation, given, status, seconds, retries)
        return response

    async def _call(self, operation: str, kind: type[T], /, **params: object) -> T:
        found = (await self._make(operation, params, signed=True)).data
        if not isinstance(found, kind):
            raise TypeError(f"{operation} returned a {type(found).__name__}")
        return found

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
