"""Opens what the nodes of a cluster share, PostgreSQL and NATS; a node alone imports none of it."""

import contextlib
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from greenroom.bus.nats import inspection as nats_inspection
from greenroom.bus.nats import login
from greenroom.bus.nats import states as nats_states
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.bus.nats.login import Login
from greenroom.bus.streams import StreamState
from greenroom.clock import Clock
from greenroom.process.kept_file import KeptFile, one_line
from greenroom.process.start_refused import ClockRefused
from greenroom.server.privacy import keep_private
from greenroom.settings.servers import ServerUrls, hosts_of, ssl_mode_of
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.storage.postgres.inspection import Inspection, inspect
from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.sqlite.lock import locked
from greenroom.vault.vault import CHECK

MOST_SKEW_SECONDS = 5.0
"""How far the clock of a node may be from PostgreSQL's at the start."""

CHECKED_MODES = ("verify-ca", "verify-full")

log = structlog.get_logger()


async def open_store(settings: Settings, clock: Clock) -> PostgresStore:
    """Open the database that the nodes share.

    Raises:
        StoreRefused: it cannot be reached or used; see `PostgresStore.open`.
        FileUnreadable: the file of its password cannot be used.
        ClockRefused: its clock and that of this machine differ too much.
    """
    await look_at_store(settings, clock)
    url = _url(settings)
    warn_of_readers(url)
    return await PostgresStore.open(url, _password(settings))


async def look_at_bus(settings: Settings) -> str:
    """Look at the bus as `open_bus` would, and change nothing; return what there is.

    Raises:
        StartRefused: as `open_bus` does.
    """
    return await nats_inspection.inspect(options_of(settings))


async def states_of_streams(settings: Settings) -> dict[int, StreamState]:
    """Return what each stream of the bus holds that is there; change nothing.

    Raises:
        StartRefused: as `open_bus` does.
    """
    return await nats_states.states(options_of(settings))


async def look_at_store(settings: Settings, clock: Clock) -> Inspection:
    """Look at the database as `open_store` would, and change nothing.

    Raises:
        StartRefused: as `open_store` does.
    """
    before = clock.wall_ns()
    found = await inspect(_url(settings), _password(settings), CHECK)
    # It was asked at some time between the two.
    ahead = max(before - found.clock_ns, 0) - max(found.clock_ns - clock.wall_ns(), 0)
    check_skew(ahead / 1e9)
    return found


def check_skew(seconds: float) -> None:
    """See that the clock of this machine is not too far ahead of PostgreSQL's, nor behind it.

    Raises:
        ClockRefused: it is.
    """
    if abs(seconds) > MOST_SKEW_SECONDS:
        side = "ahead of" if seconds > 0 else "behind"
        raise ClockRefused(
            f"the clock of this machine is {abs(seconds):.0f} s {side} PostgreSQL's: have a time"
            " service (NTP) set both"
        )


async def open_bus(settings: Settings, clock: Clock) -> NatsBus:
    """Connect to the bus between the nodes.

    Raises:
        BusRefused: no server lets this node in, or a stream is not what it must be.
        FileUnreadable: a file of the login cannot be used.
        SettingsRefused: a certificate or its key cannot.
    """
    return await NatsBus.open(options_of(settings), clock)


@contextlib.contextmanager
def node_directory(directory: Path) -> Iterator[None]:
    """Hold the data directory, in which a node of a cluster has what is its own.

    Raises:
        StoreInUse: another process has it.
        StoreUnwritable: it cannot be made or written.
    """
    with locked(directory):
        keep_private(directory)
        yield


def database_of(settings: Settings) -> tuple[ServerUrls, Callable[[], str] | None]:
    """Return the URL of the database, and what reads its password.

    Raises:
        FileUnreadable: the file of its password cannot be used.
    """
    return _url(settings), _password(settings)


def options_of(settings: Settings) -> Options:
    """Return how the bus is met.

    Raises:
        FileUnreadable: a file of the login cannot be used.
        SettingsRefused: a certificate or its key cannot.
    """
    replicas = settings.text("bus_replicas")
    return Options(
        servers=ServerUrls(settings.text("bus")).each,
        login=_login(settings),
        tls=_tls(settings),
        replicas=None if replicas == "auto" else int(replicas),
        stream_bytes=settings.number("bus_stream_bytes"),
    )


def _login(settings: Settings) -> Login:
    password = settings.optional_path("bus_password_file")
    if password is not None:
        return login.by_password(settings.text("bus_user"), password)
    for name, by in _LOGINS.items():
        file = settings.optional_path(name)
        if file is not None:
            return by(file)
    return Login()


_LOGINS = {
    "bus_token_file": login.by_token,
    "bus_nkey_file": login.by_nkey,
    "bus_credentials_file": login.by_credentials,
}


def _tls(settings: Settings) -> Callable[[], ssl.SSLContext] | None:
    """Return how servers are met that encrypt; None for the defaults."""
    names = ("bus_tls_ca_file", "bus_tls_certificate_file", "bus_tls_key_file")
    ca, certificate, key = (settings.optional_path(name) for name in names)
    if ca is None and certificate is None:
        return None
    return RenewedTls(ca, certificate, key).get


class RenewedTls:
    """Files by which servers are met, read for each connection: so what was renewed counts.

    While they cannot be used, as in the middle of being renewed, what they held last counts.
    """

    def __init__(self, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
        """Read them for the first time.

        Raises:
            SettingsRefused: they cannot be used.
        """
        self._files = ca, certificate, key
        self._last = self._read()

    def get(self) -> ssl.SSLContext:
        """Return what they hold now."""
        try:
            self._last = self._read()
        except SettingsRefused as error:
            log.warning("what files held is used on", reason=str(error))
        return self._last

    def _read(self) -> ssl.SSLContext:
        ca, certificate, key = self._files
        try:
            context = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            what = ", ".join(str(each) for each in self._files if each is not None)
            raise SettingsRefused(f"{what} cannot be used: {error.strerror or error}") from None
        return context


def _url(settings: Settings) -> ServerUrls:
    return ServerUrls(settings.text("storage"))


def _password(settings: Settings) -> Callable[[], str] | None:
    file = settings.optional_path("storage_password_file")
    return None if file is None else KeptFile(file, one_line, "storage_password_file").get


def warn_of_readers(url: ServerUrls) -> None:
    """Say once that others can read along, or be taken for the database."""
    mode = ssl_mode_of(url)
    hosts = [host for host in hosts_of(url) if not _is_here(host)]
    if hosts and mode not in CHECKED_MODES:
        log.warning(
            "whoever is on the way to PostgreSQL may read along or answer in its place: ask for"
            " sslmode=verify-full",
            hosts=", ".join(hosts),
            sslmode=mode,
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
