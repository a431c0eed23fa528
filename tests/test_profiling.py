"""Recorded steps: which one, where to, and what the files hold."""

import gzip
import json

import torch

from unigrpo.config import TrackingSection
from unigrpo.profiling import Recorder, parts_of, recorded

ON = TrackingSection(profile=True)


def events(file):
    return {event.get("name") for event in json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]}


def test_one_step_of_a_loop_is_recorded_and_no_other(tmp_path):
    with Recorder(ON, tmp_path, 0) as recorder:
        for step, work in enumerate((torch.sin, torch.cos, torch.tanh, torch.exp)):
            recorder.at(step)
            work(torch.ones(3))
            recorder.took(step, {"time/step": 2.0, "time/learn": 1.5, "reward/mean": 1.0})
    found = events(tmp_path / "profile/step.json.gz")
    assert "aten::tanh" in found
    assert not found & {"aten::sin", "aten::cos", "aten::exp"}
    assert "aten::tanh" in (tmp_path / "profile/step.txt").read_text()
    assert "| learn | 1.500 | 75% |" in (tmp_path / "profile/step.md").read_text()


def test_work_that_is_done_elsewhere_leaves_only_the_parts_of_the_step(tmp_path):
    with Recorder(ON, tmp_path, 0, here=False) as recorder:
        recorder.at(2)
        recorder.took(2, {"time/step": 1.0})
    assert [file.name for file in (tmp_path / "profile").iterdir()] == ["step.md"]


def test_without_a_folder_nothing_is_recorded_or_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with recorded(None, "learn"), Recorder(TrackingSection(), tmp_path, 0) as recorder:
        recorder.at(2)
        recorder.took(2, {"time/step": 1.0})
    assert not list(tmp_path.iterdir())


def test_parts_are_shares_of_the_step_the_longest_first():
    lines = parts_of({"time/step": 4.0, "time/learn": 1.0, "time/sample": 3.0, "reward/mean": 9.0}).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["step", "sample", "learn"]
    assert lines[3].endswith("| 3.000 | 75% |")
