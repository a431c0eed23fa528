"""The trials of a sweep in the order in which they are handed to Ray Tune, and what is kept of each."""

import shlex
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unigrpo.cli.sweep_jobs import is_stopping, job, told
from unigrpo.cli.sweep_plan import Planned, plan_of, record_of
from unigrpo.cli.sweep_trials import Trial, all_of, trial_of
from unigrpo.config import SweepConfig
from unigrpo.config.files import write_atomically
from unigrpo.config.load import to_yaml
from unigrpo.errors import ConfigError
from unigrpo.sweeps.board import Board
from unigrpo.sweeps.points import Point, fits, points_of
from unigrpo.sweeps.process import Job
from unigrpo.sweeps.records import TrialRecord, TrialRecords
from unigrpo.sweeps.results import Outcome, by_seed, logged
from unigrpo.sweeps.study import Study


class Trials:
    """The trials: those of a plan, or those that Optuna asks for."""

    def __init__(self, config: SweepConfig, records: TrialRecords, failed: Mapping[int, str]):
        self.config, self.records, self.failed = config, records, failed
        self.study = Study(config) if config.search.method == "optuna" else None
        self.points = known_points(config, records)
        if self.study:
            self.points = [self.study.ask_again(point.choices) for point in self.points]
        self.all = [self._planned(trial) for trial in all_of(config, self.points)]
        given = [one for one in self.all if self._is_given(one)]
        runs = self._asks() or any(one.action != "done before" for one in given)
        self.left = deque(given if runs else [])
        self.running: dict[str, Planned] = {}
        self.board = Board(config.metric, len(self.left), 0)
        for point in self.points:
            self._tell(point)

    def take(self) -> Job | None:
        """The next trial, its folder made ready for it."""
        if not self.left:
            self._ask()
        if not self.left:
            return None
        planned = self.left.popleft()
        trial = planned.trial
        self.running[trial.name] = planned
        words = ["train", str(trial.file), "resume=true"] if planned.action != "done before" else []
        if words:
            _make_ready(planned)
            before = self.records.get(trial.name)
            kept = before.seconds if before and planned.action == "go on" else 0.0
            self.records.put(trial.name, replace(record_of(planned), seconds=kept))
        self.board.begun(trial.name)
        return job(self.config, trial.name, words, trial.log, trial.stage.folder)

    def exhausted(self) -> bool:
        """Whether there will be no more."""
        return is_stopping(self.config) or (not self.left and not self._asks())

    def heard(self, name: str, step: int, value: float) -> None:
        """Shows how far a trial is."""
        self.board.at(name, step, value)

    def ended(self, name: str, result: Mapping[str, Any] | None) -> None:
        """Keeps how a trial ended; one that fell behind was ended by Tune, and told nothing of its end itself."""
        planned = self.running.pop(name)
        how, why = told(result)
        if planned.action != "done before":
            before = self.records.all[name]
            seconds = round(before.seconds + (result or {}).get("seconds", 0.0), 1)
            if how == "done" and self.config.metric not in logged(planned.trial.stage.folder):
                how, why = "failed", f"it ran, but logged no {self.config.metric}: set another metric"
            files = _sizes(planned.trial.stage.result) if how == "done" else {}
            state = "begun" if how == "cut" else how
            self.records.put(name, replace(before, state=state, seconds=seconds, files=files, why=why))
        self.board.over(name, how, why)
        self._tell(planned.trial.point)

    def count(self) -> int:
        """How many trials may be handed out in all."""
        return len(self.left) + (self._missing() * len(self.config.seeds))

    def outcomes(self) -> list[Outcome]:
        """All trials, as far as they are."""
        return [self._outcome(one) for one in self.all]

    def _planned(self, trial: Trial) -> Planned:
        return plan_of(self.config, trial, self.records.get(trial.name))

    def _is_given(self, planned: Planned) -> bool:
        """Whether a trial is handed out: those that are done only to be compared with by early stopping."""
        if planned.trial.seed in self.failed:
            return False
        return planned.action != "done before" or self.config.early_stop is not None

    def _missing(self) -> int:
        return max(0, (self.config.search.trials or 0) - len(self.points)) if self.study else 0

    def _asks(self) -> bool:
        return self._missing() > 0

    def _ask(self) -> None:
        """Asks Optuna for the next point."""
        if self.study is None or not self._asks():
            return
        point = self.study.ask()
        self.points.append(point)
        fresh = [self._planned(trial_of(self.config, point, seed)) for seed in self.config.seeds]
        self.all += fresh
        self.left += [one for one in fresh if self._is_given(one)]

    def _tell(self, point: Point) -> None:
        """Tells Optuna the mean over the seeds of a point, once the last of them has ended."""
        if self.study is None:
            return
        own = [self._outcome(one) for one in self.all if one.trial.point.name == point.name]
        if any(one.state in ("cut", "not run") for one in own):
            return
        finals = list(by_seed(own, self.config.metric).values())
        self.study.tell(point.name, sum(finals) / len(finals) if finals else None)

    def _outcome(self, planned: Planned) -> Outcome:
        trial = planned.trial
        record = self.records.get(trial.name)
        state, why = _state(record), record.why if record else ""
        if trial.seed in self.failed:
            state, why = "failed", self.failed[trial.seed]
        return Outcome(
            point=trial.point,
            seed=trial.seed,
            state=state,
            folder=trial.stage.folder,
            logged=logged(trial.stage.folder),
            seconds=record.seconds if record else 0.0,
            why=why,
        )


def known_points(config: SweepConfig, records: TrialRecords) -> list[Point]:
    """The points that are known before any has run: all of a plan, or those that Optuna was asked for before.

    Raises:
        ConfigError: these have other axes.
    """
    if config.search.method != "optuna":
        return points_of(config)
    known = {record.point: record.choices for record in records.all.values()}
    wrong = next((name for name, one in known.items() if not fits(config.axes, one)), None)
    if wrong is not None:
        raise ConfigError(
            f"{config.output} has {wrong}, which is not on these axes: put them back or name another output="
        )
    return [Point(name, known[name]) for name in sorted(known)]


def _state(record: TrialRecord | None) -> str:
    if record is None:
        return "not run"
    return "cut" if record.state == "begun" else record.state


def _make_ready(planned: Planned) -> None:
    trial = planned.trial
    if planned.action == "start over":
        shutil.rmtree(trial.stage.folder, ignore_errors=True)
        trial.log.unlink(missing_ok=True)
    trial.file.parent.mkdir(parents=True, exist_ok=True)
    text = f"# unigrpo train {shlex.quote(str(trial.file))} resume=true\n{to_yaml(trial.stage.config)}"
    write_atomically(trial.file, text)


def _sizes(result: Path) -> dict[str, int]:
    files = (file for file in result.rglob("*") if file.is_file())
    return {file.relative_to(result).as_posix(): file.stat().st_size for file in files}
