"""Refuses io_uring to the Python process that finds this on its path, as containers do: seccomp."""

import ctypes
import errno
import struct

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_REFUSE, _ALLOW = 0x00050000 | errno.EPERM, 0x7FFF0000
_SETUP, _ENTER, _REGISTER = 425, 426, 427


# Each: code, how far to jump then and otherwise, value.
_INSTRUCTIONS = (
    (_LOAD, 0, 0, 0),
    (_JUMP_IF_EQUAL, 2, 0, _SETUP),
    (_JUMP_IF_EQUAL, 1, 0, _ENTER),
    (_JUMP_IF_EQUAL, 0, 1, _REGISTER),
    (_RETURN, 0, 0, _REFUSE),
    (_RETURN, 0, 0, _ALLOW),
)
_code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _INSTRUCTIONS))
_program = struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(_code))
_prctl = ctypes.CDLL(None, use_errno=True).prctl
if _prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or _prctl(_SECCOMP, _FILTER, _program):
    raise OSError(ctypes.get_errno(), "no filter for system calls")
