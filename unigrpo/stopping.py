"""Being told to stop: SIGTERM, which a cluster sends some time before it takes a machine away."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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

    def __init__(self, run: Path, step: int, save: Callable[[], Callable[[], object]], background: bool):
        self.run, self.saved_at, self.save, self.background = run, step, save, background
        self.asked = threading.Event()
        self.writer = ThreadPoolExecutor(1, "checkpoint")
        self.writing: Future[object] | None = None

    def now(self, step: int) -> None:
        """Saves what `step` steps have made; in the background it is still being written on return."""
        self.finish()
        self.writing = self.writer.submit(self.save())
        self.saved_at = step
        if not self.background:
            self.finish()

    def finish(self) -> None:
        """Waits for what is being written; raises what went wrong with it."""
        writing, self.writing = self.writing, None
        if writing:
            writing.result()

    def stop_if_asked(self, step: int) -> None:
        """Saves, unless these steps are saved already, and ends the run, if SIGTERM came.

        Raises:
            StoppedError: it came.
        """
        if self.writing and self.writing.done():
            self.finish()
        if not self.asked.is_set():
            return
        if step != self.saved_at:
            self.now(step)
        self.finish()
        raise StoppedError(self.run, step)


@contextmanager
def stoppable(
    run: Path, step: int, save: Callable[[], Callable[[], object]], background: bool = True
) -> Iterator[Saves]:
    """Within the block SIGTERM does not end the process, but is kept for the loop to ask after.

    Outside the main thread, where Python takes no signals, it stays as it was. What is being saved is waited for.

    Args:
        step: steps that are made and saved.
        save: takes hold of the run as it is when called; returns what writes it, which may run while training goes on.
        background: whether it does.
    """
    saves = Saves(run, step, save, background)
    with saves.writer, _kept(saves.asked):
        yield saves
        saves.finish()


@contextmanager
def _kept(asked: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
