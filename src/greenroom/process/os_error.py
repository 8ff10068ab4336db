"""What the operating system says of a failure, as a sentence's end: no errno, no address twice."""

import os
import re
import socket
import ssl

_NUMBER = re.compile(r"\[Errno (\d+)\]")


def in_words(error: BaseException) -> str:
    """Return what is wrong, such as `Connection refused`; the error's name if it says nothing.

    Of several attempts, as at all addresses of a name, each reason is told once.
    """
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name is not known"
    if isinstance(error, ssl.SSLError):
        return error.strerror or type(error).__name__
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    said = str(error).partition("\n")[0]
    numbers = dict.fromkeys(_NUMBER.findall(said)) if isinstance(error, OSError) else {}
    if numbers:
        return ", ".join(os.strerror(int(number)) for number in numbers)
    return said or type(error).__name__
