"""One trial as a process: a verb of unigrpo in an interpreter of its own, followed by what it logs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unigrpo.errors import DataError
from unigrpo.report import read_metrics

PERIOD = 0.25
"""Seconds between looks at what it logs."""
PATIENCE = 600.0
"""Seconds that a process which was told to stop has to save."""
EVALUATED = "eval/"
LINE = 300
"""Most characters of a last line."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run, and how to follow it."""

    name: str
    words: list[str]
    """Verb and arguments; none for one that is done, of which only the metric is told again."""
    folder: str
    """Where relative paths start."""
    log: str
    """The file for what it prints."""
    stop: str
    """A file that, once it is there, means that every job is to end, saved."""
    run: str = ""
    """The folder of a run whose metrics.jsonl is followed."""
    metric: str = ""
    """What of it."""
    threads: int = 1
    gpus: bool = False


class Process:
    """A job that was started."""

    def __init__(self, job: Job):
        self.job, self.step, self.told, self.began = job, -1, False, time.monotonic()
        self.seen = self.looked = (0.0, 0)
        self.child = _started(job) if job.words and not Path(job.stop).exists() else None

    def next(self) -> dict[str, Any]:
        """Waits for the next value of the metric, or for the end.

        Returns:
            `step` and `value`; or, once it has ended, `ended`, its exit `status`, whether it was `cut` as all are to
            end, and the last `line` that it printed. With either, for how many `seconds` it has run.
        """
        while True:
            over = self.child is None or self.child.poll() is not None  # before looking, for it may write meanwhile
            if found := self._logged():
                self.step = min(found)
                return {"step": self.step, "value": found[self.step], "ended": False, "seconds": self._seconds()}
            if not over and (why := self._lacks()):
                self.stop()
                return {"ended": True, "status": 2, "cut": False, "line": why, "seconds": self._seconds()}
            if over:
                return self._end() | {"seconds": self._seconds()}
            if not self.told and Path(self.job.stop).exists():
                self._tell()
            time.sleep(PERIOD)

    def stop(self) -> None:
        """Lets it save and end; kills it where that takes too long."""
        if self.child is None or self.child.poll() is not None:
            return
        self._tell()
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _tell(self) -> None:
        self.told = True
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 1)

    def _end(self) -> dict[str, Any]:
        if self.child is None:
            return {"ended": True, "status": 0, "cut": bool(self.job.words), "line": ""}
        status = int(self.child.returncode)
        line = last_line(Path(self.job.log)) if status else ""
        return {"ended": True, "status": status, "cut": bool(status) and self.told, "line": line}

    def _lacks(self) -> str:
        """What to say of a metric that evaluations do not have, of which all have the same; two are waited for."""
        if self.step >= 0 or not self.job.metric.startswith(EVALUATED) or self.seen == self.looked:
            return ""
        self.looked = self.seen
        evaluated = [row for row in _rows(self.job) if any(name.startswith(EVALUATED) for name in row)]
        names = sorted({name for row in evaluated for name in row if name.startswith(EVALUATED)})
        if len(evaluated) < 2 or self.job.metric in names:
            return ""
        return f"it logs no {self.job.metric}: set metric to one of {', '.join(names)}"

    def _logged(self) -> dict[int, float]:
        """Values of the metric that were not told yet, by step; those a resumed run makes again are left out."""
        file = Path(self.job.run) / "metrics.jsonl"
        if not self.job.run or not file.is_file():
            return {}
        stat = file.stat()
        if (stat.st_mtime, stat.st_size) == self.seen and self.child is not None:
            return {}
        told = [row for row in _rows(self.job) if row.get(self.job.metric) is not None]
        left = {row["step"]: row[self.job.metric] for row in told if row["step"] > self.step}
        if len(left) < 2:
            self.seen = stat.st_mtime, stat.st_size
        return left


def _rows(job: Job) -> list[dict[str, Any]]:
    """What its run has logged."""
    try:
        return read_metrics(Path(job.run))
    except DataError:
        return []  # which the table will say


def _started(job: Job) -> subprocess.Popen:
    log = Path(job.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "unigrpo.cli.launch", f"{job.log}.lock", *job.words]
    with log.open("a") as file:
        # In a session of its own, so that Ctrl-C in a terminal reaches the sweep alone, which then tells its trials.
        return subprocess.Popen(
            command,
            cwd=job.folder,
            env=_environment(job, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _environment(job: Job, ours: Mapping[str, str]) -> dict[str, str]:
    """The variables of a trial: none of the Ray that started it, so that it may start one of its own."""
    kept = {name: value for name, value in ours.items() if not name.startswith("RAY_")}
    kept |= {"OMP_NUM_THREADS": str(job.threads), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    return kept if job.gpus else kept | {"CUDA_VISIBLE_DEVICES": ""}


def last_line(log: Path) -> str:
    """The last line that a process printed."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    found = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return found if len(found) <= LINE else f"{found[: LINE - 3]}..."


def job_of(text: str) -> Job:
    """A job from its JSON, which is how Ray Tune carries it."""
    return Job(**json.loads(text))
