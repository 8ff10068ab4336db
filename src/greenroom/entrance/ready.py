"""What a started service tells about itself: in the ready file, and in what is printed."""

import os

import msgspec

from greenroom.chatlog.choice import chosen
from greenroom.entrance.certificate import Certificate
from greenroom.entrance.sockets import Listening
from greenroom.identities import root_key
from greenroom.identities.callers import RootKey
from greenroom.network.addresses import in_url, reachable
from greenroom.settings.values import Settings


class Ready(msgspec.Struct, frozen=True):
    """What a started service tells about itself."""

    pid: int
    api_url: str
    websocket_url: str
    health_url: str
    data_dir: str | None
    credentials_file: str | None
    access_key_id: str
    secret_access_key: str
    secret_given: bool
    region: str
    account: str
    certificate_to_trust: str | None = None
    """The file of a certificate that is signed by itself, for clients to be told of."""
    listening_on: str = ""
    """Host and port; the URLs have one that this machine can connect to."""
    chat_logs: str = ""
    """Where chat logs go, and why."""
    processes: tuple[int, ...] = ()
    """The processes that serve behind the port, if there are several; `pid` looks after them."""
    storage: str = ""
    """The database of a cluster, without its password."""


def description(
    settings: Settings, key: RootKey, listening: Listening, certificate: Certificate | None
) -> Ready:
    """Return what there is to tell; `key` is the root's."""
    host, port = listening.hosts[0], listening.port
    shown = in_url(reachable(host))
    kept = settings.text("storage") != "memory"
    secure = "" if certificate is None else "s"
    return Ready(
        pid=os.getpid(),
        api_url=f"http{secure}://{shown}:{port}",
        websocket_url=f"ws{secure}://{shown}:{port}/",
        health_url=f"http{secure}://{shown}:{port}/health",
        data_dir=str(settings.path("data_dir").resolve()) if kept else None,
        credentials_file=root_key.file_of(settings),
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        secret_given=settings.optional_text("secret_access_key") is not None,
        region=settings.text("region"),
        account=key.account,
        certificate_to_trust=_to_trust(settings, certificate),
        listening_on=", ".join(f"{in_url(each)}:{port}" for each in listening.hosts),
        chat_logs=chosen(settings, os.environ, key.access_key_id).shown,
        storage="" if settings.database is None else settings.database.shown,
    )


def _to_trust(settings: Settings, certificate: Certificate | None) -> str | None:
    if certificate is None or settings.text("dev_tls") == "off":
        return None
    return str(certificate.file)
