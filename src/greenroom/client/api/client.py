"""What the clients of all APIs have: options, requests by name, and their end."""

import time
from collections.abc import Mapping
from datetime import date
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from greenroom.client.api import options, reporting, requests, sending
from greenroom.client.api.credentials import (
    BotocoreCredentials,
    Credentials,
    Provider,
    Resolver,
)
from greenroom.client.api.errors import ConfigError, IvschatError
from greenroom.client.api.options import HttpOptions, ParamValidation, RetryDelayOptions
from greenroom.client.api.sending import Response

T = TypeVar("T")
Choice = Mapping[str, object]
"""An option or a structure as a mapping."""


class Client:
    """A client of one API."""

    SERVICE: ClassVar[str]
    """The service that requests are signed for."""

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
        if access_key_id is not None and secret_access_key is not None:
            credentials = Credentials(access_key_id, secret_access_key, session_token)
        elif access_key_id is not None or secret_access_key is not None:
            raise ConfigError("ConfigError", "access_key_id and secret_access_key belong together")
        self._params = dict(params or {})
        self._logger = logger
        settings = sending.Settings(
            service=self.SERVICE,
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
        operation = requests.operation_of(name, self.SERVICE)
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
                reporting.report(
                    self._logger, self.SERVICE, operation, given, status, seconds, retries
                )
        return response

    async def _call(self, operation: str, kind: type[T], /, **params: object) -> T:
        found = (await self._make(operation, params, signed=True)).data
        if not isinstance(found, kind):
            raise TypeError(f"{operation} returned a {type(found).__name__}")
        return found
