"""What every refusal of a start is, whatever was looked at: one base to end the command by."""


class StartRefused(Exception):
    """The command cannot begin: the message is one clear line for the operator."""


class FileUnwritable(StartRefused):
    """A file beside the store cannot be written: a key, a certificate, a log, the ready file."""


class FileUnreadable(StartRefused):
    """A file that a setting names, such as one with a password, cannot be used."""


class ClockRefused(StartRefused):
    """The clock of this machine differs too much from that of the others."""
