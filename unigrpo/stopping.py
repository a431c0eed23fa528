"""Being told to stop: SIGTERM, which a cluster sends some time before it takes a machine away."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class StoppedError(Exception):
    """A run ended at a signal, after it was saved."""

    def __init__(self, run: Path, step: int):
        super().__init__(
            f"{run} was stopped after step {step} and is saved: resume=true, or the same pipeline, goes on from there."
        )


class Saves:
    """When a run was last saved, and whether it is to stop."""

    def __init__(self, run: Path, step: int, save: Callable[[], None]):
        self.run, self.saved_at, self.save = run, step, save
        self.asked = threading.Event()

    def now(self, step: int) -> None:
        """Saves what `step` steps have made."""
        self.save()
        self.saved_at = step

    def stop_if_asked(self, step: int) -> None:
        """Saves, unless these steps are saved already, and ends the run, if SIGTERM came.

        Raises:
            StoppedError: it came.
        """
        if not self.asked.is_set():
            return
        if step != self.saved_at:
            self.now(step)
        raise StoppedError(self.run, step)


@contextmanager
def stoppable(run: Path, step: int, save: Callable[[], None]) -> Iterator[Saves]:
    """Within the block SIGTERM does not end the process, but is kept for the loop to ask after.

    Outside the main thread, where Python takes no signals, nothing changes.

    Args:
        step: steps that are made and saved.
        save: saves the run as it is when called.
    """
    saves = Saves(run, step, save)
    if threading.current_thread() is not threading.main_thread():
        yield saves
        return
    before = signal.signal(signal.SIGTERM, lambda *_: saves.asked.set())
    try:
        yield saves
    finally:
        signal.signal(signal.SIGTERM, before)
