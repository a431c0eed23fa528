"""What a trial's process runs: `python -m unigrpo.cli.launch LOCK VERB ARGUMENT ...`.

The verb runs in a child of this process, and both are told to stop when what started them is gone, however that ended,
so that no trial goes on unseen. It takes two, for a worker of Ray that ends kills its children at once, but not theirs,
which so have the time to save. A trial waits for a former process of its own to have saved and left.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

PERIOD = 0.5


def main(args: list[str]) -> int:
    """Runs a verb, alone among those with the same lock; returns its exit status."""
    lock, *words = args
    above = os.getpid()
    child = os.fork()
    if child:
        return _wait(child)
    threading.Thread(target=_watch, args=(above,), daemon=True).start()
    with Path(lock).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        from unigrpo.cli.main import main as run

        return run(words)


def _wait(child: int) -> int:
    """Waits for the child, which SIGTERM is passed on to; so is the end of the process above."""
    above, told = os.getppid(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    stopped = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not stopped and (told.is_set() or os.getppid() != above):
            os.kill(child, signal.SIGTERM)
            stopped = True
        time.sleep(PERIOD)


def _watch(above: int) -> None:
    """Ends this process, saved, when the one above it is gone."""
    while os.getppid() == above:
        time.sleep(PERIOD)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
