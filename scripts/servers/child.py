"""Run a program that ends with who started it: `child.py PARENT USER GROUP PROGRAM...`.

On Linux the kernel kills it when the parent is gone, however that ended. The user and the group are
numbers, or -1 for those of the parent.
"""

import ctypes
import os
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1
"""prctl(2), PR_SET_PDEATHSIG."""


def main() -> None:
    """Become the user, tie this process to its parent, and become the program."""
    parent, user, group = map(int, sys.argv[1:4])
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if sys.platform == "linux":
        # After the change of the user, which would undo it.
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("who started this is gone")
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - what the modules beside this one name


if __name__ == "__main__":
    main()
