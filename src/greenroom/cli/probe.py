"""The health check of a container: `python -m greenroom.cli.probe` ends with 0 when all is well.

It runs every few seconds beside the service, so it imports little: `greenroom health` takes five
times as long. It finds the service as that was told of itself, by `GREENROOM_*` variables and the
file that `GREENROOM_CONFIG` names: at the address that it wrote into its data directory, else at
host and port.
"""

import http.client
import os
import ssl
import sys
from urllib.parse import urlsplit

from greenroom.network.addresses import in_url, reachable
from greenroom.process import address_file
from greenroom.settings import load
from greenroom.settings.values import Settings, SettingsRefused

SECONDS = 2.0
"""How long the answer may take; engines are told 3."""

READY = 200


def main() -> None:
    """Ask whether the service is ready; print one line, which engines keep."""
    try:
        url = url_of(load.load({}, os.environ, load.config_file(None)))
        status = ask(url)
    except (OSError, http.client.HTTPException, SettingsRefused) as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
    sys.exit(None if status == READY else f"{url} answers {status}")


def url_of(settings: Settings) -> str:
    """Return where the service of these settings says whether it is ready."""
    # What keeps nothing writes no address: there may be one of what ran there before.
    keeps = settings.text("storage") != "memory"
    written = address_file.read(settings.path("data_dir")) if keeps else None
    if written is not None:
        return f"{written.api_url}/health/ready"
    has_tls = settings.text("dev_tls") == "on" or settings.optional_path("tls_certificate_file")
    where = f"{in_url(reachable(settings.text('host')))}:{settings.number('port')}"
    return f"{'https' if has_tls else 'http'}://{where}/health/ready"


def ask(url: str) -> int:
    """Return the status of the answer; no proxy is asked, whatever the environment says."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
        if parts.scheme == "http"
        # Who asks is on the same machine: the certificate is for others' names of it.
        else http.client.HTTPSConnection(
            host, parts.port, timeout=SECONDS, context=_without_verification()
        )
    )
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()


def _without_verification() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    main()
