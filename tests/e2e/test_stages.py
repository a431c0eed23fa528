"""The five stages of MMaDA at the smallest size, from their configs and one overlay."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.e2e.runs import SFT, metrics, run, weights
from tests.models.test_extend import published_style
from unigrpo.cli.main import main
from unigrpo.config import SFTConfig, streams_of
from unigrpo.config.check import check_sft
from unigrpo.config.load import load_config
from unigrpo.data.load import texts
from unigrpo.models import load_policy
from unigrpo.models.folder import write_weights
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_model
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.sft.recipe import recipes_of
from unigrpo.sft.streams import load_streams

CONFIGS = Path(__file__).parents[2] / "configs/sft"
STAGES = ("1.1", "1.2", "1.3", "2.1", "2.2")
COUNTS = {"1.1": (1920, 3), "1.2": (1536, 3), "1.3": (1536, 3), "2.1": (1024, 3), "2.2": (1024, 7)}
"""Samples of a step with the published values on 64 GPUs, as MMADA's yaml files have them, and streams."""
QUICK = ["model.device=cpu", "cluster.threads=1", "checkpoint.background=false"]


def stage(name: str, *more: str) -> list[str]:
    """Arguments of a stage at the smallest size."""
    return ["sft", str(CONFIGS / f"stage{name}.yaml"), str(CONFIGS / "tiny.yaml"), *QUICK, *more]


def after(model: Path) -> list[str]:
    """Settings that start a stage from a model instead of from scratch."""
    return [f"model.path={model}", "model.preset=null", "model.vocab_size=512"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_published_sizes(name):
    config = load_config(SFTConfig, [str(CONFIGS / f"stage{name}.yaml")])
    check_sft(config)
    groups = {(section.one_of or key): section.batch_size for key, section in config.streams.items()}
    assert (sum(groups.values()) * config.sft.accumulation, len(config.streams)) == COUNTS[name]
    check_sft(load_config(SFTConfig, [str(CONFIGS / f"stage{name}.yaml"), str(CONFIGS / "one_gpu.yaml")]))


def test_each_stage_starts_from_the_last_one(tmp_path):
    model: list[str] = []
    drawn = []
    for name in STAGES:
        run(stage(name, f"output={tmp_path}/{name}", "steps=10", *model))
        rows, model = metrics(tmp_path / name), after(tmp_path / name / "model")
        streams = load_config(SFTConfig, [str(CONFIGS / f"stage{name}.yaml")]).streams
        assert {key for row in rows for key in row if key.startswith("sft/loss/")} == {f"sft/loss/{s}" for s in streams}
        assert all(row["sft/samples"] == 48 for row in rows)
        drawn += [row["sft/loss/draw"] for row in rows]
        if name == "1.1":
            losses = [row["sft/loss"] for row in rows]
            assert sum(losses[-3:]) < 0.6 * sum(losses[:3])
    assert sum(drawn[-5:]) < 0.6 * sum(drawn[:5])


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.long) for name in STAGES[1:-1]), STAGES[-1]])
def test_the_losses_of_each_stage_fall(tmp_path, name):
    run(stage(name, f"output={tmp_path}/run", "steps=12"))
    losses = [row["sft/loss"] for row in metrics(tmp_path / "run")]
    assert sum(losses[-4:]) < 0.75 * sum(losses[:4])


def test_a_stage_that_was_killed_goes_on_to_the_same_end(tmp_path):
    more = ("steps=8", "checkpoint.every=2", "checkpoint.keep=9", "sft.ema=0.9", "model.gradient_checkpointing=true")
    args = stage("2.2", *more, f"output={tmp_path}/cut")
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", *args], stderr=subprocess.DEVNULL)
    while not (tmp_path / "cut/checkpoint-4").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut/model").exists()
    run([*args, "--resume"])
    run(stage("2.2", *more, f"output={tmp_path}/whole"))
    for file in ("model/model.safetensors", "model-ema/model.safetensors"):
        assert weights(tmp_path / "cut", file) == weights(tmp_path / "whole", file)
    assert weights(tmp_path / "cut") != weights(tmp_path / "cut", "model-ema/model.safetensors")
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


def test_plain_text_of_stage_one_fills_the_length_and_may_be_masked_whole(tmp_path):
    rows = [json.dumps({"text": "some words " * (3 + number)}) for number in range(8)]
    (tmp_path / "web.jsonl").write_text("\n".join(rows))
    config = load_config(
        SFTConfig,
        [
            str(CONFIGS / "stage1.1.yaml"),
            str(CONFIGS / "tiny.yaml"),
            *QUICK,
            f"streams.web.data.path={tmp_path}/web.jsonl",
            "streams.web.data.streaming=false",
        ],
    )
    del config.stand_ins["text"]
    policy = load_policy(config.model, [text for it in streams_of(config).values() for text in texts(it.data)])
    images = ImageTokenizer.load(config.model.image_tokenizer)
    streams, recipe = load_streams(config, policy, images), recipes_of(config, policy.ids, images)["web"]
    batches = [recipe.batch(streams["web"].batches.samples(number)) for number in range(40)]
    assert all(batch.tokens_BT.shape == (2, 387) for batch in batches)
    assert all((batch.tokens_BT[:, 0] == policy.ids.bos).all() for batch in batches)
    assert torch.cat([batch.masked_BT for batch in batches]).any(0).all()


def official(folder: Path, model: Path) -> Path:
    """A checkpoint as MMaDA's released trainer leaves it: no table of ids, code that is not there, a stale size."""
    inside = folder / "unwrapped_model"
    made = load_model(model, torch.bfloat16)
    write_weights(made.config, made.state_dict(), inside, shard_size="2MB")
    for file in model.glob("tokenizer*"):
        shutil.copy(file, inside)
    values = json.loads((inside / "config.json").read_text())
    values.pop("ids", None)
    values |= {"auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"}, "num_vq_tokens": 256}
    values |= {"new_vocab_size": 134656, "llm_vocab_size": 126464, "num_new_special_tokens": 0, "w_clip_vit": False}
    (inside / "config.json").write_text(json.dumps(values))
    (folder / "metadata.json").write_text('{"global_step": 7}')
    return inside


@pytest.fixture(scope="module")
def mmada(tmp_path_factory):
    """A published LLaDA, eight wide, with the published image codes, and the image tokenizer for them."""
    folder = tmp_path_factory.mktemp("mmada")
    run(["init-mmada", f"--from={published_style(folder / 'llada')}", f"output={folder}/mmada"])
    sizes = dict.fromkeys(("encoder_widths", "decoder_widths"), (8, 8, 8))
    blocks = dict.fromkeys(("encoder_blocks", "decoder_blocks"), (1, 1, 1))
    save_magvit(Magvit(MagvitConfig(bits=13, groups=4, **sizes, **blocks)), folder / "vq")
    return folder


def short(mmada: Path, *more: str) -> list[str]:
    sight = ["model.image_tokenizer.preset=null", f"model.image_tokenizer.path={mmada}/vq"]
    return ["steps=1", "optim.warmup_steps=0", "sft.accumulation=1", *sight, *more]


def test_a_stage_starts_from_the_folders_that_are_published_and_from_the_official_trainers(mmada, tmp_path, capsys):
    inside = official(mmada / "checkpoint-7", mmada / "mmada")
    assert len(list(inside.glob("*.safetensors"))) > 1
    assert (inside / "model.safetensors.index.json").is_file()
    for name, model in (("a", mmada / "mmada"), ("b", inside)):
        run(stage("1.1", *short(mmada), *after(model), "model.dtype=bfloat16", f"output={tmp_path}/{name}"))
    one, other = (load_file(tmp_path / f"{name}/model/model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    args = stage("1.1", *short(mmada), *after(mmada / "checkpoint-7"), f"output={tmp_path}/c")
    assert main(args) == 2
    assert f"whose model is in {inside}: name that." in capsys.readouterr().err.splitlines()[-1]


def test_a_stage_from_the_wrong_checkpoint_is_one_line_and_leaves_nothing(mmada, tmp_path, capsys):
    run(["sft", *SFT, f"output={tmp_path}/text", "steps=1"])
    shuffled = shutil.copytree(mmada / "mmada", tmp_path / "other")
    for file in (tmp_path / "text/model").glob("tokenizer*"):
        shutil.copy(file, shuffled)
    cases = {
        mmada / "llada": "needs a model with image codes, and this one has none: use an MMaDA model, or make one",
        tmp_path / "text/model": "needs a model with image codes, and this one has none",
        shuffled: "the tokenizer has 268 tokens, but text ids end at 126349 and image codes start at 126349",
    }
    for model, expected in cases.items():
        capsys.readouterr()
        assert main(stage("1.1", *short(mmada), *after(model), f"output={tmp_path}/run")) == 2
        assert expected in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "run").exists()
    capsys.readouterr()
    tiny = ["steps=1", "optim.warmup_steps=0", *after(mmada / "mmada"), f"output={tmp_path}/run"]
    assert main(stage("1.1", *tiny)) == 2
    assert "the image tokenizer has 64 codes, but the model has 8192" in capsys.readouterr().err.splitlines()[-1]


def test_streamed_data_that_takes_turns_goes_on_where_it_was(tmp_path):
    for name in ("web", "chat"):
        rows = [json.dumps({"text": f"{name} {number} " * (1 + number % 5)}) for number in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    data = "layout: text, template: plain, streaming: true, buffer: 8, max_prompt_length: 1"
    streams = [
        f"streams.{name}={{one_of: write, weight: {weight}, batch_size: 3, "
        f"data: {{path: {tmp_path}/{name}.jsonl, {data}}}}}"
        for name, weight in (("web", 1), ("chat", 2))
    ]
    model = ["model.preset=tiny", "model.vocab_size=300", "sft.accumulation=3", "sft.workers=0", "sft.max_length=64"]
    for name, stops in (("whole", [6]), ("cut", [2, 4, 6])):
        for steps in stops:
            more = [f"output={tmp_path}/{name}", f"steps={steps}", "optim.schedule=constant"]
            run(["sft", *QUICK, *model, *streams, *more, *(["--resume"] if steps != stops[0] else [])])
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    state = json.loads((tmp_path / "cut/checkpoint-4/state.json").read_text())
    assert set(state["data"]) == {"web", "chat"}
