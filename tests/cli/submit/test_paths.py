"""Paths of a config, as a job sees them."""

import pytest
import yaml

from tests.cli.submit.jobs import MINE, TINY, job_config, write
from unigrpo.cli.verbs import VERBS
from unigrpo.config.load import load_config, to_yaml


def test_paths_that_travel_stay_relative_and_others_become_absolute_with_a_note(folder, tmp_path):
    write(folder / "data/rows.jsonl")
    write(folder / "model/config.json")
    write(folder / "model/model.safetensors")
    write(folder / "clip/config.json")
    config, notes = job_config(
        folder,
        "train",
        "model.path=model",
        f"data.path={folder}/data/rows.jsonl",
        "eval.data.path=../elsewhere/data.jsonl",
        *MINE,
        "rewards.clip.args.model=clip",
        "rewards.clip.args.device=cpu",
        "output=runs/x",
    )
    elsewhere = f"{tmp_path}/elsewhere/data.jsonl"
    assert config.output == f"{folder}/runs/x"
    assert config.model.path == f"{folder}/model"
    assert config.data.path == "data/rows.jsonl"
    assert config.eval.data.path == elsewhere
    assert config.rewards["mine"].path == "mine.py:mine"
    assert config.rewards["clip"].args == {"model": "clip", "device": "cpu"}
    assert notes == [
        f"model.path is not uploaded: the cluster must have it at {folder}/model",
        f"eval.data.path is not uploaded: the cluster must have it at {elsewhere}",
    ]


def test_paths_are_those_of_where_one_is_and_not_of_the_folder_that_travels(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, notes = job_config(folder, "train", *TINY, "rewards.mine.path=work/mine.py:mine", "output=out")
    assert config.rewards["mine"].path == "mine.py:mine"
    assert config.output == f"{tmp_path}/out"
    assert notes == []


def test_every_task_and_the_picture_settings_are_moved(folder, tmp_path):
    task = (
        "{data: {task: image, path: ../elsewhere/data.jsonl, image_root: pics}, rewards: {mine: {path: mine.py:mine}}}"
    )
    write(folder / "pics/a.png")
    config, notes = job_config(
        folder, "train", "model.path=/on/the/cluster", f"tasks={{draw: {task}}}", "model.image_tokenizer.path=/vq"
    )
    assert config.tasks["draw"].data.path == f"{tmp_path}/elsewhere/data.jsonl"
    assert config.tasks["draw"].data.image_root == "pics"
    assert [note.split()[0] for note in notes] == ["model.path", "model.image_tokenizer.path", "tasks.draw.data.path"]


def test_the_settings_that_are_sent_are_read_back_as_they_were(folder):
    config, _ = job_config(folder, "train", *TINY, *MINE, "data.instruction=${x} 'y' \"z\"".replace("${x}", "a: b #"))
    (folder / "sent.yaml").write_text(to_yaml(config))
    assert load_config(type(config), ["sent.yaml"]) == config


def pipeline_file(folder, path):
    stages = {
        "sft": {"verb": "sft", "settings": {"model": {"preset": "tiny"}, "data": {"path": path}}},
        "rl": {
            "verb": "train",
            "files": ["rl.yaml"],
            "settings": {"model": {"path": "{sft}/model"}, "data": {"source": "arithmetic"}},
        },
    }
    (folder / "rl.yaml").write_text("rewards: {mine: {path: 'mine.py:mine'}}\n")
    (folder / "p.yaml").write_text(yaml.safe_dump({"output": "runs/p", "stages": stages}, sort_keys=False))


def test_a_pipeline_travels_as_it_is_written_with_an_absolute_output(folder):
    write(folder / "rows.jsonl")
    pipeline_file(folder, "rows.jsonl")
    config, notes = job_config(folder, "pipeline", "p.yaml")
    assert config.output == f"{folder}/runs/p"
    assert config.stages == VERBS["pipeline"].checked(["p.yaml"]).stages
    assert notes == []


def test_a_path_of_a_stage_that_the_job_would_not_find_is_refused(folder, tmp_path):
    pipeline_file(folder, "../elsewhere/data.jsonl")
    with pytest.raises(ValueError, match=f"stages.sft.data.path is .* write '{tmp_path}/elsewhere/data.jsonl'"):
        job_config(folder, "pipeline", "p.yaml")


def test_what_comes_with_unigrpo_is_named_as_it_is_and_a_file_of_ones_own_travels(folder):
    write(folder / "mine.json", "{}")
    for path in ("configs/quickstart/clip.json", "mine.json"):
        config, notes = job_config(folder, "clip", "configs/quickstart/clip.yaml", f"network={path}")
        assert (config.network, notes) == (path, [])


def test_the_folder_that_is_given_away_is_the_clusters(folder, tmp_path):
    config, notes = job_config(folder, "export", "/on/the/cluster/run", "given")
    assert (config.source, config.output) == ("/on/the/cluster/run", f"{folder}/given")
    assert [note.split()[0] for note in notes] == ["source"]


@pytest.mark.parametrize("names", [["quickstart"], ["quickstart_multimodal"], ["mmada", "tiny"]])
def test_a_shipped_pipeline_can_be_submitted_from_anywhere(folder, names):
    config, notes = job_config(folder, "pipeline", *(f"configs/pipelines/{name}.yaml" for name in names))
    assert config.stages
    assert notes == []


def sweep_file(folder, overlay):
    axes = {"how": {"overlays": {"plain": [], "mine": [overlay]}}}
    settings = {
        "model": {"preset": "tiny"},
        "data": {"source": "arithmetic"},
        "eval": {"data": {"source": "arithmetic"}},
    }
    (folder / "rl.yaml").write_text("rewards: {mine: {path: 'mine.py:mine'}}\n")
    plain = {"output": "runs/s", "files": ["rl.yaml"], "settings": settings, "axes": axes}
    (folder / "s.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))


def test_a_sweep_travels_as_it_is_written_with_an_absolute_output(folder):
    sweep_file(folder, "configs/ablations/full_mask.yaml")
    config, notes = job_config(folder, "sweep", "s.yaml")
    assert config.output == f"{folder}/runs/s"
    assert config.axes == VERBS["sweep"].checked(["s.yaml"]).axes
    assert notes == []


def test_an_overlay_that_the_job_would_not_find_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    (tmp_path / "elsewhere" / "mine.yaml").write_text("algo: {mu: 1}\n")
    sweep_file(folder, "../elsewhere/mine.yaml")
    with pytest.raises(ValueError, match=f"sweep.files is .* write '{tmp_path}/elsewhere/mine.yaml'"):
        job_config(folder, "sweep", "s.yaml")
