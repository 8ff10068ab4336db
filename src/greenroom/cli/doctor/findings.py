"""What `greenroom doctor` finds: whether each part is well, and the remedy where it is not."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """Works, but something is lost or will be."""
    FAULT = "FAULT"
    """Does not work."""


class Finding(msgspec.Struct, frozen=True):
    """What there is to say of one part, and what to do."""

    part: str
    level: Level
    said: str
    remedy: str = ""


def ok(part: str, said: str) -> Finding:
    """Return that a part is well."""
    return Finding(part, Level.OK, said)


def note(part: str, said: str, remedy: str) -> Finding:
    """Return that a part could be better."""
    return Finding(part, Level.NOTE, said, remedy)


def fault(part: str, said: str, remedy: str) -> Finding:
    """Return that a part does not work."""
    return Finding(part, Level.FAULT, said, remedy)


def looked(part: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Return what a look finds; where the system forbids it, that is a finding itself."""
    try:
        yield from look()
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        why = error.strerror or str(error) or type(error).__name__
        yield fault(
            part,
            f"cannot be looked at: {place}{why}",
            "run this as the user of the service, or let that user look there (chown, chmod)",
        )


REMEDIES = {
    "settings": "correct it; greenroom config --explain says what each setting takes",
    "data_dir": "choose another --data-dir, or let the user of the service write there (chown)",
    "storage": "see that PostgreSQL runs and lets this machine in, and that the URL is right",
    "bus": "see that NATS runs, with JetStream, and lets this machine in, and the URLs are right",
    "regions": "name them in the setting regions, or set it to *",
    "address": "end what listens there (ss -ltnp), or choose another --host or --port",
    "secrets_key": "give the key that the data was sealed with: secrets_key, or secrets.key in the"
    " data directory; greenroom backup may have it",
    "identities_file": "correct the file: the message names the place",
    "tls_certificate_file": "renew the certificate; the service reads the files anew by itself",
    "review_handlers": "correct the target: docs, Review messages",
    "chat_logs": "give AWS credentials, an endpoint such as logs_endpoint, or chat_log_dir",
    "audit_log": "choose another place, or let the user of the service write there",
    "ready_file": "choose another place, or let the user of the service write there",
}
"""What to do about a part that a start would refuse, by the part's name."""
