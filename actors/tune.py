"""Jobs as trials of Ray Tune: processes that it gives cores and GPUs to, and ends early where they fall behind."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import ray

from actors.connect import connect
from actors.guard import forget
from unigrpo.config import ClusterSection, EarlyStopSection, ResourcesSection
from unigrpo.errors import ClusterError, MissingExtraError
from unigrpo.sweeps.process import Job

try:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import Searcher

    from actors.trial import Trial
except ImportError:
    raise MissingExtraError(
        "A sweep needs Ray Tune, which is not installed, or not with all that it needs: pip install 'unigrpo[sweep]'."
    ) from None

ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the sweep has its own
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a run logs for itself
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the last result of a trial has no value
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the board tells how far trials are
}


class Supply(Protocol):
    """Where jobs come from, and who is told of them."""

    def take(self) -> Job | None:
        """The next job; None while it depends on others that run."""
        ...

    def exhausted(self) -> bool:
        """Whether there will be no more."""
        ...

    def heard(self, name: str, step: int, value: float) -> None:
        """A job has logged its metric."""
        ...

    def ended(self, name: str, result: Mapping[str, Any] | None) -> None:
        """A job has ended; None where its worker was lost."""
        ...


@dataclass(frozen=True, kw_only=True)
class Halving:
    """How trials that fall behind are ended."""

    section: EarlyStopSection
    steps: int
    mode: str


class _Feed(Searcher):
    """Hands the jobs of a supply to Tune, and what they report back to it."""

    def __init__(self, supply: Supply):
        super().__init__(metric="value", mode="max")
        self.supply = supply
        self.names: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        if self.supply.exhausted():
            return Searcher.FINISHED
        job = self.supply.take()
        if job is None:
            return None
        self.names[trial_id] = job.name
        return {"job": json.dumps(asdict(job))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if not result.get("ended"):
            self.supply.heard(self.names[trial_id], result["step"], result["value"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.supply.ended(self.names[trial_id], None if error else result or {})

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep remembers its trials itself."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as nothing is saved."""


def run_jobs(
    supply: Supply, count: int, resources: ResourcesSection, most: int | None = None, halving: Halving | None = None
) -> None:
    """Runs the jobs of a supply in the Ray that was joined; returns when all have ended.

    Args:
        count: how many there are at most.
        most: how many may run at a time.

    Raises:
        ClusterError: no machine has what one job needs.
    """
    _check_room(resources)
    with tempfile.TemporaryDirectory(prefix="unigrpo-tune-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(Trial, {"cpu": resources.cpus, "gpu": resources.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=_Feed(supply),
                scheduler=_scheduler(halving) if halving else None,
                num_samples=count,
                max_concurrent_trials=most,
                trial_name_creator=lambda trial: trial.trial_id,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                name="sweep",
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a run saves itself
            ),
        )
        tuner.fit()


def _scheduler(halving: Halving) -> ASHAScheduler:
    return ASHAScheduler(
        time_attr="step",
        metric="value",
        mode=halving.mode,
        max_t=halving.steps + 1,  # the last evaluation is at the last step, and not cut off
        grace_period=min(halving.section.grace, halving.steps),
        reduction_factor=halving.section.reduction,
    )


def _check_room(resources: ResourcesSection) -> None:
    for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        most = max((node["Resources"].get(name, 0) for node in ray.nodes() if node["Alive"]), default=0)
        if wanted > most:
            raise ClusterError(
                f"resources.{name.lower()}s is {wanted:g}, but no machine has more than {most:g} {name}s: set it lower."
            )


@contextmanager
def joined(address: str | None, cpus: int) -> Iterator[None]:
    """A Ray for a sweep, which is left with the block.

    Raises:
        ClusterError: it cannot be reached or started.
    """
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    connect(ClusterSection(address=address), cpus)
    try:
        yield
    finally:
        ray.shutdown()
        forget()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
