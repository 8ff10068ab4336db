"""Run a command while no other that names the same folder runs: `alone.py FOLDER COMMAND...`.

The lock is the command's own: it ends with it, however it ends.
"""

import fcntl
import os
import sys

folder = os.open(sys.argv[1], os.O_RDONLY)
os.set_inheritable(folder, True)
fcntl.flock(folder, fcntl.LOCK_EX)
os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - what the scripts beside this one name
