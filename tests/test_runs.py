import os

import pytest

from unigrpo.config import EvalConfig, TrainConfig
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError
from unigrpo.runs import open_run


def message(*args, **settings) -> str:
    with pytest.raises(ConfigError) as caught:
        open_run(*args, **settings)
    return str(caught.value)


def test_a_new_run_gets_a_folder_with_its_config(tmp_path):
    config = TrainConfig(output=str(tmp_path / "a" / "b"), overwrite=True)
    folder = open_run(config.output, config, overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]
    saved = load_config(TrainConfig, [str(folder / "config.yaml")])
    assert saved == TrainConfig(output=config.output), "how the run was started is no part of it"


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    path = tmp_path / "x"
    open_run(path, TrainConfig())
    (path / "metrics.jsonl").write_text("kept")
    assert message(path, TrainConfig()) == (
        f"{path} already holds a run: add resume=true to go on, overwrite=true to replace it, or another output="
    )
    assert message(path, EvalConfig()) == (
        f"{path} already holds a run: add overwrite=true to replace it, or another output="
    )
    assert (path / "metrics.jsonl").read_text() == "kept"


def test_overwrite_leaves_only_the_new_config_and_follows_no_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    path = open_run(tmp_path / "x", TrainConfig())
    (path / "step-1" / "deep").mkdir(parents=True)
    (path / "link").symlink_to(outside)
    open_run(path, TrainConfig(steps=5), overwrite=True)
    assert [entry.name for entry in path.iterdir()] == ["config.yaml"]
    assert (outside / "precious").read_text() == "kept"
    assert load_config(TrainConfig, [str(path / "config.yaml")]).steps == 5


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "config.yaml"])
def test_a_folder_that_is_no_run_of_ours_is_never_touched(tmp_path, resume, overwrite, name):
    (tmp_path / name).write_text("steps: 1\n")
    assert message(tmp_path, TrainConfig(), resume=resume, overwrite=overwrite) == (
        f"{tmp_path} is not empty and holds no run of ours: name another output="
    )
    assert (tmp_path / name).read_text() == "steps: 1\n"


def test_a_run_is_not_replaced_from_inside_it(tmp_path, monkeypatch):
    path = open_run(tmp_path / "x", TrainConfig())
    (path / "model").mkdir()
    monkeypatch.chdir(path / "model")
    assert message(path, TrainConfig(), overwrite=True) == (
        f"{path} cannot be replaced from inside it: change to another folder."
    )


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "run"
    assert message(path, TrainConfig()) == f"output={path} cannot be written: Not a directory. Name another output="
    path = tmp_path / "file"
    assert message(path, TrainConfig()) == f"output={path} cannot be written: File exists. Name another output="


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    assert message(tmp_path / "x", TrainConfig()).endswith("cannot be written: Permission denied. Name another output=")


def test_resume_goes_on_with_the_same_settings_or_more_steps(tmp_path):
    path = open_run(tmp_path / "x", TrainConfig())
    (path / "metrics.jsonl").write_text("kept")
    changed = TrainConfig(steps=500, resume=True, output="elsewhere")
    changed.cluster.backend, changed.checkpoint.every, changed.tracking.to = "local", 7, ["wandb"]
    changed.eval.every, changed.algo.likelihood.micro_batch, changed.rollout.batch_size = 3, 1, 1
    open_run(path, changed, resume=True)
    assert (path / "metrics.jsonl").read_text() == "kept"
    assert load_config(TrainConfig, [str(path / "config.yaml")]).steps == 500


def test_resume_starts_a_run_where_there_is_none(tmp_path):
    assert (open_run(tmp_path / "x", TrainConfig(), resume=True) / "config.yaml").is_file()


def test_resume_with_other_settings_lists_them(tmp_path):
    path = open_run(tmp_path / "x", TrainConfig())
    changed = TrainConfig(seed=1)
    changed.algo.noise.rule = "even"
    before = (path / "config.yaml").read_bytes()
    assert message(path, changed, resume=True) == (
        f"{path} cannot go on with other settings: seed was 0 and is 1, algo.noise.rule was formula and is even. Put "
        "them back, or name another output="
    )
    assert (path / "config.yaml").read_bytes() == before


def test_more_steps_change_a_schedule_that_decays(tmp_path):
    config = TrainConfig()
    config.optim.schedule = "cosine"
    path = open_run(tmp_path / "x", config)
    config.steps = 200
    assert "steps was 100 and is 200" in message(path, config, resume=True)
