"""Become a command that does not outlive the process that started it: ``tied.py PARENT COMMAND …``. Standard library only, as it is
started with ``-I -S``; where the system is no Linux, whoever looks at the endpoint next ends what is left."""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal for a process whose parent ends, kept across execve."""

if __name__ == "__main__":
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("whoever started this is gone")  # before it could ask for the signal
    os.execv(sys.argv[2], sys.argv[2:])
