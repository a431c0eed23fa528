"""One trial as a process: followed, stopped, and never left alone."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from unigrpo.sweeps.process import Job, Process, _environment

MODEL = ["model.preset=tiny", "model.vocab_size=268", "model.device=cpu", "cluster.backend=local", "cluster.threads=1"]
DATA = ["data.source=arithmetic", "data.template=plain", "data.size=16", "rewards.math.weight=1.0"]
ROLLOUT = [f"rollout.{setting}" for setting in ("prompts_per_step=2", "group_size=2", "gen_length=4", "block_length=4")]
TRAIN = [*MODEL, *DATA, *ROLLOUT, "steps=100000", "checkpoint.every=100000"]


def a_job(folder: Path, *words: str) -> Job:
    run = folder / "run"
    own = [f"output={run}"] if words else []
    return Job(
        name="one",
        words=[*words, *own],
        folder=os.getcwd(),
        log=str(folder / "log"),
        stop=str(folder / "stop"),
        run=str(run),
        metric="reward/mean",
    )


def log(folder: Path, *steps: int) -> None:
    """Metrics of some steps, whose reward is the step, and an evaluation that logged none."""
    (folder / "run").mkdir()
    rows = [{"step": 0, "eval/accuracy": 1.0}, *({"step": step, "reward/mean": float(step)} for step in steps)]
    (folder / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_of_a_trial_that_is_done_every_value_is_told_again(tmp_path):
    log(tmp_path, 1, 2, 5)
    process = Process(a_job(tmp_path))
    told = [process.next() for _ in range(4)]
    assert [(one["step"], one["value"]) for one in told[:3]] == [(1, 1.0), (2, 2.0), (5, 5.0)]
    assert told[3] == {"ended": True, "status": 0, "cut": False, "line": "", "seconds": 0.0}


def test_values_that_a_resumed_run_makes_again_are_told_once(tmp_path):
    log(tmp_path, 1, 2)
    process = Process(a_job(tmp_path))
    first = [process.next()["step"] for _ in range(2)]
    file = tmp_path / "run" / "metrics.jsonl"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    with file.open("a") as more:
        more.writelines(json.dumps({"step": step, "reward/mean": 0.5}) + "\n" for step in (1, 2, 3))
    assert (first, process.next()["step"]) == ([1, 2], 3)


def test_a_trial_that_fails_is_told_with_its_last_line(tmp_path):
    found = Process(a_job(tmp_path, "config", "train", "nothing-of-this-name.yaml")).next()
    assert (found["ended"], found["status"], found["cut"]) == (True, 2, False)
    assert found["line"].startswith("unigrpo: error: nothing-of-this-name.yaml: no such file.")


def test_nothing_begins_once_all_are_to_end(tmp_path):
    (tmp_path / "stop").touch()
    found = Process(a_job(tmp_path, "train")).next()
    assert found == {"ended": True, "status": 0, "cut": True, "line": "", "seconds": 0.0}
    assert not (tmp_path / "log").exists()


@pytest.mark.slow
def test_a_trial_whose_evaluations_lack_the_metric_ends_after_two_and_says_what_they_have(tmp_path):
    evaluated = ["eval.data={source: arithmetic, template: plain, split: test, size: 2}", "eval.every=1"]
    process = Process(replace(a_job(tmp_path, "train", *TRAIN, *evaluated), metric="eval/acuracy"))
    found = process.next()
    assert (found["ended"], found["status"], found["cut"]) == (True, 2, False)
    assert found["line"].startswith("it logs no eval/acuracy: set metric to one of eval/accuracy, eval/")
    assert process.child is not None
    assert process.child.poll() is not None


@pytest.mark.slow
def test_a_trial_that_is_told_to_end_saves_first(tmp_path):
    process = Process(a_job(tmp_path, "train", *TRAIN))
    assert not process.next()["ended"]
    (tmp_path / "stop").touch()
    found = process.next()
    while not found["ended"]:
        found = process.next()
    assert (found["status"], found["cut"]) == (143, True)
    assert list((tmp_path / "run").glob("checkpoint-*/manifest.json"))


def wait_for_the_lock(folder: Path) -> None:
    """Until the process of the trial has ended."""
    with (folder / "log.lock").open("a") as file:
        began = time.monotonic()
        while time.monotonic() - began < 60:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
    raise AssertionError("it goes on")


@pytest.mark.long
def test_a_trial_ends_saved_when_what_started_it_is_killed(tmp_path):
    code = (
        "import json, sys; from unigrpo.sweeps.process import Job, Process\n"
        "process = Process(Job(**json.loads(sys.argv[1])))\n"
        "while True: print(process.next(), flush=True)"
    )
    words = [sys.executable, "-c", code, json.dumps(asdict(a_job(tmp_path, "train", *TRAIN)))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert "'ended': False" in parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
    wait_for_the_lock(tmp_path)
    assert list((tmp_path / "run").glob("checkpoint-*/manifest.json"))


@pytest.mark.slow
def test_a_trial_ends_saved_when_ray_kills_its_process(tmp_path):
    process = Process(a_job(tmp_path, "train", *TRAIN))
    assert not process.next()["ended"]
    process.child.kill()  # as a worker of Ray does with its children when it ends
    wait_for_the_lock(tmp_path)
    assert list((tmp_path / "run").glob("checkpoint-*/manifest.json"))


def test_a_trial_knows_nothing_of_the_ray_that_started_it(tmp_path):
    job = replace(a_job(tmp_path, "train"), threads=3)
    ours = {"RAY_ADDRESS": "127.0.0.1:6379", "RAY_JOB_ID": "1", "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1"}
    found = _environment(job, ours)
    assert not any(name.startswith("RAY_") for name in found if name != "RAY_USAGE_STATS_ENABLED")
    assert (found["PATH"], found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("/bin", "3", "")
    assert _environment(replace(job, gpus=True), ours)["CUDA_VISIBLE_DEVICES"] == "1"
