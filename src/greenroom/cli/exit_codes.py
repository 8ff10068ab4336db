"""The exit codes of the command: one table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why the command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ADDRESS_REFUSED = 3
    DATA_IN_USE = 4
    DATA_UNWRITABLE = 5
    DATA_FOREIGN = 6
    UNREACHABLE = 7
    REFUSED = 8
    NOT_EXACT = 9
    SECRETS_KEY = 10
    SERVER_UNREACHABLE = 11
    SERVER_UNFIT = 12
    UNWELL = 13

    @property
    def meaning(self) -> str:
        """Return the meaning in one sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: (
        "The command did what it was asked; the service was stopped by SIGTERM or SIGINT and has"
        " drained; a measurement found every message everywhere, once and in order."
    ),
    ExitCode.FAILED: (
        "Something failed that has no code of its own; the line, or the log, says what."
    ),
    ExitCode.USAGE: (
        "An option, a variable, the configuration file, the identities file, or a policy document"
        " that `greenroom admin policy check` reads is not valid."
    ),
    ExitCode.ADDRESS_REFUSED: "The address is taken, not this machine's, or not allowed.",
    ExitCode.DATA_IN_USE: "Another process uses the data directory, and does not hand it over.",
    ExitCode.DATA_UNWRITABLE: (
        "The data directory, the ready file or the place of a backup cannot be written, or a backup"
        " would go where something is already."
    ),
    ExitCode.DATA_FOREIGN: (
        "The data file, its log, or a backup is damaged or missing; or it is not Greenroom's, or of"
        " a newer version."
    ),
    ExitCode.SECRETS_KEY: (
        "The key of the secrets at rest is missing, malformed, or not the one that sealed them."
    ),
    ExitCode.SERVER_UNREACHABLE: (
        "A server that a cluster needs, PostgreSQL or NATS, does not answer, shows a certificate"
        " that is not accepted, or does not let this node in."
    ),
    ExitCode.SERVER_UNFIT: (
        "A server that a cluster needs cannot be used as it is: too old, without JetStream, with"
        " streams that are somebody else's; or the clock of this machine is another one than its."
    ),
    ExitCode.UNREACHABLE: "The service that the command was sent to does not answer as one.",
    ExitCode.REFUSED: (
        "The service refused what was asked: the access key, what it may do, or what the request"
        " names or holds; the line says which."
    ),
    ExitCode.UNWELL: (
        "`greenroom health` found the service not ready, `greenroom doctor` a fault, or `greenroom"
        " cluster` something that is not well; the lines say which."
    ),
    ExitCode.NOT_EXACT: (
        "A measurement found connections refused or lost, or messages refused, lost, repeated or"
        " out of order."
    ),
}
