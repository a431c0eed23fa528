"""What of the files and settings of a stage is looked at."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from unigrpo.cli import pipeline_inputs
from unigrpo.cli.pipeline_inputs import gone, inputs_of, made_of, settings_of, state_of
from unigrpo.cli.pipeline_plan import changes, traits_of
from unigrpo.cli.pipeline_stages import Stage
from unigrpo.cli.verbs import VERBS

BASE = ["model.preset=tiny", "data.source=arithmetic"]


def stage(verb: str, *args: str, name="one") -> Stage:
    return Stage(name, verb, VERBS[verb].checked([*args, f"output=out/{name}"]), ())


def changed(verb: str, old: list[str], new: list[str]) -> list[str]:
    before, after = stage(verb, *old), stage(verb, *new)
    return changes(traits_of(before, Path("out"), {}), traits_of(after, Path("out"), {}), after)


def test_small_files_are_told_by_what_they_hold_and_large_ones_by_size_and_time(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    before = state_of(str(file))
    os.utime(file, (1, 1))
    assert state_of(str(file)) == before
    file.write_text("two")
    os.utime(file, (1, 1))
    assert state_of(str(file)) != before
    monkeypatch.setattr(pipeline_inputs, "READ", 2)
    before = state_of(str(file))
    os.utime(file, (2, 2))
    assert state_of(str(file)) != before


def test_a_folder_and_a_pattern_are_all_of_their_files(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / f"{name}.tar").write_text(name)
    folder, pattern, braces = (str(tmp_path / name) for name in ("", "*.tar", "{a,b}.tar"))
    before = {path: state_of(path) for path in (folder, pattern, braces)}
    assert len(set(before.values())) == 1  # the same files
    (tmp_path / "c.tar").write_text("c")
    assert {path for path in before if state_of(path) == before[path]} == {braces}
    (tmp_path / "a.tar").unlink()
    assert state_of(braces) is None
    monkeypatch.setattr(pipeline_inputs, "MANY", 1)
    names = state_of(folder)
    (tmp_path / "b.tar").write_text("other")
    assert state_of(folder) == names


def test_a_path_that_leads_to_nothing_has_no_state_and_a_shipped_file_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert state_of("nothing.jsonl") is None
    assert state_of("no/*.tar") is None
    assert state_of("configs/quickstart/clip.json") is not None


def test_inputs_are_the_paths_of_all_sections_and_not_of_the_hub_or_of_data_that_others_stand_in_for():
    one = stage("sft", "configs/sft/stage2.1.yaml", "model.path=base")
    found = inputs_of(one)
    assert set(found) == {
        "model.path",
        "model.image_tokenizer.path",
        "streams.draw.data.path",
        "streams.chat.data.path",
        "streams.see.mix.reason.data.path",
        "streams.see.mix.caption.data.path",
    }
    assert inputs_of(stage("sft", "configs/sft/stage2.1.yaml", "configs/sft/tiny.yaml")) == {}
    assert inputs_of(stage("sft", *BASE, "data.source=hub", "data.path=openai/gsm8k")) == {}
    assert inputs_of(stage("sft", *BASE, "data.source=file", "data.path=s3://bucket/a.tar")) == {}
    assert inputs_of(stage("init-mmada", "--from", "llada")) == {"source": "llada"}
    assert inputs_of(stage("export", "runs/x", "y")) == {"source": "runs/x"}


def test_what_a_reward_writes_is_no_input_and_what_it_reads_is(tmp_path):
    for name in ("cache", "clip"):
        (tmp_path / name).mkdir()
    args = [f"rewards.judge.args={{cache: {tmp_path}/cache}}", f"rewards.clip.args={{model: {tmp_path}/clip}}"]
    judge = ["rewards.judge.args.base_url=http://127.0.0.1:1/v1", "rewards.judge.args.model=m"]
    assert inputs_of(stage("train", *BASE, *args, *judge)) == {"rewards.clip.args.model": f"{tmp_path}/clip"}


@pytest.mark.parametrize(
    ("verb", "new", "expected"),
    [
        ("sft", ["optim.lr=2e-4"], ["optim.lr 5e-05 -> 0.0002"]),
        ("sft", ["cluster.threads=3", "tracking.to=[wandb]", "held_out_every=7", "checkpoint.every=3"], []),
        ("sft", ["model.device=cpu", "sft.micro_batch=1"], []),
        ("sft", ["held_out={source: arithmetic}", "stop_below=0.5"], ["held_out is new", "stop_below null -> 0.5"]),
        ("train", ["rewards.format={}"], ["rewards.format is new"]),
        ("train", ["eval.limit=3"], []),
        ("train", ["algo.beta=0"], ["algo.beta 0.01 -> 0.0"]),
    ],
)
def test_settings_on_which_the_result_depends_are_those_that_count(verb, new, expected):
    base = [*BASE, *(["rewards.math.weight=1"] if verb == "train" else [])]
    assert sorted(changed(verb, base, [*base, *new])) == sorted(expected)


def test_a_setting_that_is_newer_than_the_record_was_at_its_default():
    one = stage("sft", *BASE)
    now = traits_of(one, Path("out"), {})
    settings = {key: value for key, value in now.settings.items() if key != "optim.eps"}
    assert changes(replace(now, settings=settings), now, one) == []
    other = stage("sft", *BASE, "optim.eps=1e-6")
    assert changes(replace(now, settings=settings), traits_of(other, Path("out"), {}), other) != []


def test_folders_of_the_pipeline_are_named_without_its_output():
    one = stage("sft", "model.path=out/base/model", "data.source=arithmetic")
    assert settings_of(one.config, Path("out"))["model.path"] == ("base/model", None)


def test_what_is_missing_of_a_result_is_named(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "a").write_text("aa")
    (model / "b").write_text("b")
    sizes, made = made_of(model)
    assert sizes == {"a": 2, "b": 1}
    assert gone(model, sizes) is None
    (model / "a").write_text("xx")
    assert made_of(model)[1] != made
    assert gone(model, sizes) is None
    (model / "a").write_text("longer")
    assert gone(model, sizes) == f"{model}/a has another size"
    (model / "a").unlink()
    assert gone(model, sizes) == f"{model}/a is gone"
    assert made_of(model / "b")[0] == {"": 1}
