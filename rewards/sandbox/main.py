"""The script that supervises one program: `python main.py FOLDER PARENT`, a job on standard input, a report on output.

It is no part of the package it lies in, and leaves out Python's `site`, so that it starts in milliseconds.
"""

import os
import signal
import sys

# A package of another name, of which only this folder is searched: there is a `math.py` in the one above.
_package = type(sys)("sandbox")
_package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
sys.modules["sandbox"] = _package

from sandbox import kernel  # noqa: E402  # pyright: ignore[reportMissingImports]
from sandbox.supervisor import supervise  # noqa: E402  # pyright: ignore[reportMissingImports]

if __name__ == "__main__":
    kernel.die_with(int(sys.argv[2]))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    supervise(sys.argv[1])
