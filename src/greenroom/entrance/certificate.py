"""The certificate of the port: TLS in this process, with files that may change while it serves.

- TLS 1.2 and 1.3, with ciphers that are authenticated and keep old traffic secret. Sessions are
  resumed by tickets, which the client keeps.
- Certificate and key are read again when either file changes, and on SIGHUP. A pair that cannot be
  used is refused with one log line, and the one in use stays.
"""

import contextlib
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog

from greenroom.settings.values import Settings, SettingsRefused

LOOK_SECONDS = 5.0
"""How often the files are looked at."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

log = structlog.get_logger()


class Certificate:
    """The context that connections are encrypted with; `file` is where the certificate is."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        """Read the files.

        Raises:
            SettingsRefused: they cannot be used; the message says which, and why.
        """
        self.file = certificate_file
        self._key_file = key_file
        self._seen = self._stamps()
        self._valid: tuple[float, float] | None = None
        self.context = _context()
        self._load()

    def is_valid(self, now: float) -> bool:
        """Return whether clients can accept it at a time, in seconds since the epoch."""
        return self._valid is None or self._valid[0] <= now < self._valid[1]

    def reload(self) -> None:
        """Use the files as they are now; when they cannot be used, say so and go on as before."""
        self._seen = self._stamps()
        try:
            self._load()
        except SettingsRefused as refused:
            log.error("certificate not reloaded", why=str(refused))
        else:
            log.info("certificate reloaded", file=str(self.file))

    def look(self) -> None:
        """Use the files if they changed: to be called every `LOOK_SECONDS`."""
        # A pair that was refused is tried again when a file changes: they are not written at once.
        if self._stamps() != self._seen:
            self.reload()

    def _stamps(self) -> list[tuple[int, int]]:
        stamps = []
        for file in (self.file, self._key_file):
            with contextlib.suppress(OSError):
                found = file.stat()
                stamps.append((found.st_mtime_ns, found.st_ino))
        return stamps

    def _load(self) -> None:
        """Raise before anything of the context in use is changed."""
        for context in (_context(), self.context):
            _load_into(context, self.file, self._key_file)
        self._valid = _validity(self.file)
        if self._valid is not None and self._valid[1] <= time.time():
            ended = datetime.fromtimestamp(self._valid[1], UTC).isoformat()
            log.warning("the certificate has expired", file=str(self.file), ended=ended)


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate that the settings name, if they do.

    Raises:
        SettingsRefused: the files cannot be used.
    """
    certificate_file = settings.optional_path("tls_certificate_file")
    key_file = settings.optional_path("tls_key_file")
    if certificate_file is None or key_file is None:
        return None
    return Certificate(certificate_file, key_file)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    # Each is 13 microseconds; a viewer has one connection, and gets another with the next one.
    context.num_tickets = 1
    return context


def _load_into(context: ssl.SSLContext, certificate_file: Path, key_file: Path) -> None:
    _read("tls_certificate_file", certificate_file)
    if b"ENCRYPTED" in _read("tls_key_file", key_file):
        raise SettingsRefused(f"tls_key_file {key_file} is encrypted; Greenroom needs it in clear")
    try:
        # Without a password OpenSSL would ask for one on the terminal, if it wanted one after all.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        why = _REASONS.get(getattr(error, "reason", None) or "", "one of them is not valid PEM")
        raise SettingsRefused(
            f"tls_certificate_file {certificate_file} and tls_key_file {key_file}: {why}"
        ) from None


def _read(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsRefused(f"{name} {file} cannot be read: {error.strerror}") from None


_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is not the certificate's",
    "KEY_TYPE_MISMATCH": "the key is not the certificate's",
    "EE_KEY_TOO_SMALL": "the key is too short to be safe",
}


def _validity(file: Path) -> tuple[float, float] | None:
    """Return from when until when a certificate is valid, where that can be read."""
    from cryptography import x509

    try:
        read = x509.load_pem_x509_certificate(file.read_bytes())
        return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None
