"""Calls of ivschat that the fixtures make for themselves: without botocore, whose start takes long.

Who tests an application calls what he wants with a client of AWS's.
"""

import http.client
import json
import time
from urllib.parse import urlsplit

from greenroom.aws.signature import sigv4

AGENT = "greenroom-testing"
"""What these requests call themselves: they are not among those that are remembered."""

TIMEOUT_SECONDS = 30.0

Members = dict[str, object]


class CallRefused(Exception):
    """The service refused a call; `kind` is the error's name."""

    def __init__(self, operation: str, kind: str, message: str) -> None:
        super().__init__(f"{operation}: {kind}: {message}")
        self.kind = kind


class Calls:
    """Calls operations with one key; safe to use in any thread."""

    def __init__(self, api_url: str, access_key_id: str, secret: str, region: str) -> None:
        self._authority = urlsplit(api_url).netloc
        self._key = (access_key_id, secret, region)

    def call(self, operation: str, **parameters: object) -> Members:
        """Return an operation's result; parameters that are None are left out.

        Raises:
            CallRefused: the service answers with an error.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        path, body = f"/{operation}", json.dumps(given).encode()
        connection = http.client.HTTPConnection(self._authority, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", path, body, self._headers(path, body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        result = json.loads(text or b"{}")
        assert isinstance(result, dict)  # noqa: S101 - the API's answers are objects
        if answer.status >= 300:
            kind = answer.headers.get("x-amzn-errortype", str(answer.status))
            raise CallRefused(operation, kind, str(result.get("message", "")))
        return result

    def _headers(self, path: str, body: bytes) -> dict[str, str]:
        headers = {
            "host": self._authority,
            "content-type": "application/json",
            "user-agent": AGENT,
        }
        request = sigv4.Request("POST", path, "", tuple(headers.items()), body)
        access_key_id, secret, region = self._key
        signed = sigv4.sign(request, access_key_id, secret, region, "ivschat", time.time())
        return headers | signed
