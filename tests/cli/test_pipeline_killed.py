"""Pipelines that are killed in the middle of a stage."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.test_pipeline import SFT, files, pipeline, records, write
from unigrpo.cli.main import main
from unigrpo.cli.pipeline import OUTDATED
from unigrpo.cli.pipeline_records import alone

LONG = SFT | {"steps": 60, "checkpoint": {"every": 10, "keep": 20}, "data": SFT["data"] | {"size": 64}}
AFTER = LONG | {"steps": 3, "model": {"path": "{first}/model", "device": "cpu"}}
STAGES = {"first": ("sft", LONG), "second": ("sft", AFTER)}
WEIGHTS = "model/model.safetensors"


def killed(file: str, when) -> None:
    """Runs a pipeline and kills it, as nothing can be handled, as soon as something holds."""
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", "pipeline", file], stderr=subprocess.PIPE)
    limit = time.monotonic() + 300
    while not when() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


def state(out: Path, name: str) -> dict:
    try:
        return json.loads((out / "stages.json").read_text())[name]
    except (FileNotFoundError, KeyError):
        return {}


def test_a_killed_pipeline_goes_on_to_the_same_weights(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    pipeline(write(whole, STAGES))
    file = write(cut, STAGES)
    killed(file, lambda: (cut / "out/first/checkpoint-10").exists())
    assert records(cut)["first"]["state"] == "begun"
    kept = files(cut / "out/first/checkpoint-10")
    capsys.readouterr()
    pipeline(file)
    said = capsys.readouterr().err
    assert "first: sft -> " in said
    assert "(was cut)" in said
    assert files(cut / "out/first/checkpoint-10") == kept
    for stage in STAGES:
        assert (cut / "out" / stage / WEIGHTS).read_bytes() == (whole / "out" / stage / WEIGHTS).read_bytes()


@pytest.fixture
def stopped():
    """Sends this process a SIGTERM as soon as a file is there, which kills nothing where no run waits for it."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    over, threads = threading.Event(), []

    def when(file: Path) -> None:
        def wait() -> None:
            while not over.wait(0.005):
                if file.exists():
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield when
    over.set()  # a test that failed earlier must not end those after it
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGTERM, before)


def test_a_stage_that_was_stopped_says_how_to_go_on_and_one_that_is_then_changed_starts_over(tmp_path, capsys, stopped):
    file = write(tmp_path, STAGES)
    stopped(tmp_path / "out/first/checkpoint-10")
    assert main(["pipeline", file]) == 143
    said = capsys.readouterr().err
    assert "Stopped in first, stage 1 of 2. What is done stays; the same command goes on in it:" in said
    assert f"  unigrpo pipeline {file}\n" in said
    pipeline(file, "--plan")
    assert "| first | sft | go on | was cut |" in capsys.readouterr().out
    pipeline(write(tmp_path, STAGES, first__steps=2), "--until", "first")
    assert "(steps 60 -> 2)" in capsys.readouterr().err
    assert len((tmp_path / "out/first/metrics.jsonl").read_text().splitlines()) == 2


def test_a_new_start_that_was_killed_before_it_began_does_not_go_on_from_the_old_run(tmp_path):
    """The old run is there until the new one has loaded its model; it must not be taken for the new one."""
    first = write(tmp_path, first__seed=1)
    pipeline(first)
    out, changed = tmp_path / "out", write(tmp_path, first__seed=2)
    killed(changed, lambda: state(out, "first").get("state") == "begun")
    assert (out / "first" / OUTDATED).exists()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    pipeline(write(fresh, first__seed=2))
    pipeline(changed)
    assert not (out / "first" / OUTDATED).exists()
    assert (out / "first" / WEIGHTS).read_bytes() == (fresh / "out/first" / WEIGHTS).read_bytes()


def test_two_pipelines_do_not_write_to_one_folder(tmp_path, capsys):
    file = write(tmp_path)
    with alone(tmp_path / "out"):
        assert main(["pipeline", file]) == 2
    assert "out is being written by another pipeline: wait, or name another output=" in capsys.readouterr().err
    assert set(files(tmp_path / "out")) == {".lock"}
