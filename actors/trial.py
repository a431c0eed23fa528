"""What Ray Tune runs for each trial of a sweep: an actor that starts a process and tells what it logs."""

from typing import Any

from ray.tune import Trainable

from unigrpo.sweeps.process import Process, job_of


class Trial(Trainable):
    """A process that is followed; it is a class, for Tune would leave the process of a function to itself."""

    process: Process | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Starts the process."""
        self.process = Process(job_of(config["job"]))

    def step(self) -> dict[str, Any]:
        """The next value of the metric, or how it ended."""
        assert self.process is not None
        found = self.process.next()
        return {**found, "done": found["ended"]}

    def cleanup(self) -> None:
        """Ends the process, saved."""
        if self.process is not None:
            self.process.stop()
