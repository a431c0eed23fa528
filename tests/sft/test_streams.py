"""Whole runs of several streams, through the command line."""

import re
import shutil

import pytest
import torch

from tests.e2e.runs import metrics, run, weights
from tests.images import save_tiny_images
from unigrpo.cli.main import main
from unigrpo.config import ModelSection, SFTConfig
from unigrpo.config.load import load_config
from unigrpo.data.load import texts
from unigrpo.engine import Engine
from unigrpo.models import load_policy
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.sft.course import Course
from unigrpo.sft.learner import SFTLearner
from unigrpo.sft.loop import Alone
from unigrpo.sft.recipe import recipes_of
from unigrpo.sft.streams import load_streams

MIX = """
steps: 4
model: {preset: tiny, vocab_size: 300, device: cpu, image_tokenizer: {path: FOLDER, resolution: 8}}
streams:
  add: {batch_size: 4, coefficient: 0.5, pad_to: 4, data: {source: arithmetic, template: plain, size: 20}}
  ask: {batch_size: 3, data: {task: understand, source: shapes, size: 9}}
  draw: {batch_size: 2, coefficient: 0.05, data: {task: image, source: shapes, size: 9}}
  riddle: {batch_size: 2, pad_to: 32, data: {task: think_image, source: shapes, template: plain, size: 9}}
sft: {micro_batch: 2, max_length: 600, condition_dropout: 0.5}
checkpoint: {every: 2, keep: 9}
held_out_every: 2
cluster: {threads: 1}
"""
HELD_OUT = [
    "streams.add.held_out={source: arithmetic, template: plain, split: test, size: 20}",
    "streams.draw.held_out={task: image, source: shapes, split: test, size: 6}",
]


@pytest.fixture(scope="module")
def mix(tmp_path_factory):
    """The settings of a run of four streams, with a real image tokenizer."""
    folder = tmp_path_factory.mktemp("mix")
    save_tiny_images(folder / "images")
    (folder / "mix.yaml").write_text(MIX.replace("FOLDER", str(folder / "images")))
    return ["sft", str(folder / "mix.yaml"), *HELD_OUT]


@pytest.fixture(scope="module")
def done(mix, tmp_path_factory):
    output = tmp_path_factory.mktemp("done") / "run"
    run([*mix, f"output={output}"])
    return output


def test_every_stream_is_reported_and_the_sums_are_weighted(done):
    factors = {"add": 0.5, "ask": 1.0, "draw": 0.05, "riddle": 1.0}
    rows = metrics(done)
    for row in rows:
        assert row["sft/loss"] == pytest.approx(sum(f * row[f"sft/loss/{name}"] for name, f in factors.items()))
    for row in rows[1::2]:
        held_out = [row[f"sft/held_out_loss/{name}"] * factors[name] for name in ("add", "draw")]
        assert row["sft/held_out_loss"] == pytest.approx(sum(held_out))
    assert not any("sft/held_out_loss/ask" in row for row in rows)


def test_resuming_gives_the_same_weights_and_metrics(mix, done, tmp_path):
    output = shutil.copytree(done, tmp_path / "run")
    shutil.rmtree(output / "checkpoint-4")
    shutil.rmtree(output / "model")
    run([*mix, f"output={output}", "resume=true"])
    assert weights(output) == weights(done)
    assert metrics(output) == metrics(done)


def test_the_model_has_the_codes_of_the_image_tokenizer(done):
    policy = load_policy(ModelSection(path=str(done / "model"), device="cpu"))
    assert policy.model.config.model_type == "mmada"
    assert (policy.ids.codebook_size, policy.ids.image_offset) == (16, len(policy.tokenizer))


def test_a_preset_knows_the_words_of_all_streams(mix, done):
    config = load_config(SFTConfig, mix[1:])
    policy = load_policy(ModelSection(path=str(done / "model"), device="cpu"))
    every = [text for stream in config.streams.values() for text in texts(stream.data)]
    again = load_policy(config.model, every)
    assert again.tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    assert len(policy.tokenizer.encode("How many red squares are there?")) < len("How many red squares are there?")


def test_one_stream_learns_any_task_without_a_name(mix, tmp_path):
    data = ["data.task=image", "data.source=shapes", "data.size=4", "sft.batch_size=2", "steps=2", "cluster.threads=1"]
    images = load_config(SFTConfig, mix[1:]).model.image_tokenizer
    model = ["model.preset=tiny", "model.device=cpu", f"model.image_tokenizer.path={images.path}"]
    run(["sft", *data, *model, "model.image_tokenizer.resolution=8", f"output={tmp_path}/run"])
    rows = metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2]
    assert all({name for name in row if "loss" in name} == {"sft/loss"} for row in rows)


def test_validation_keeps_the_prompts_of_drawings(mix):
    """With all prompts dropped in training, what is held out is still judged with them."""
    config = load_config(SFTConfig, [*mix[1:], "sft.condition_dropout=1"])
    words = [text for stream in config.streams.values() for text in texts(stream.data)]
    policy = load_policy(config.model, words, 0)
    images = ImageTokenizer.load(config.model.image_tokenizer)
    streams, recipe = load_streams(config, policy, images), recipes_of(config, policy.ids, images)["draw"]
    assert recipe.batch(streams["draw"].batches.samples(0)).key_mask_BT.all()
    held_out = recipe.judging().batch(streams["draw"].held_out.samples(0))
    assert (held_out.tokens_BT == policy.ids.t2i).sum() == 2
    assert not held_out.key_mask_BT.sum(-1).eq(4 + 4 + 1).any()
    learner = SFTLearner(config, policy, Engine(policy.model, config.optim, 4), images)
    first, again = (Alone(learner, Course.of(config, streams, images)).measure() for _ in range(2))
    assert first == again
    assert set(first) == {"sft/held_out_loss", "sft/held_out_loss/add", "sft/held_out_loss/draw"}


def test_streams_with_the_same_rows_draw_different_noise(mix):
    same = "{batch_size: 4, pad_to: 4, data: {source: arithmetic, template: plain, size: 20}}"
    config = load_config(SFTConfig, ["model.preset=tiny", f"streams.one={same}", f"streams.two={same}"])
    policy = load_policy(config.model, ["1+1=2"], 0)
    streams = load_streams(config, policy, None)
    recipes = recipes_of(config, policy.ids, None)
    one, two = (recipes[name].batch(streams[name].batches.samples(0)) for name in ("one", "two"))
    assert not torch.equal(one.masked_BT, two.masked_BT)


MISTAKES = {
    "streams.draw.batch_size is 99, but the data has 9 examples": ["streams.draw.batch_size=99"],
    "streams.riddle.pad_to is 3, behind which the image stands": ["streams.riddle.pad_to=3"],
    "image_tokenizer.resolution is 10": ["model.image_tokenizer.resolution=10"],
    "no such folder": ["model.image_tokenizer.path=nowhere"],
    "model.image_tokenizer.path is not set|which needs an image tokenizer": ["model.image_tokenizer.path=null"],
    "the prompt has": ["streams.ask.data.max_prompt_length=3"],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_found_before_anything_is_written(mix, tmp_path, capsys, message):
    assert main([*mix, f"output={tmp_path}/run", *MISTAKES[message]]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_the_image_tokenizer_of_another_model_is_refused(mix, done, tmp_path, capsys):
    save_tiny_images(tmp_path / "images", bits=5)
    settings = [f"model.path={done}/model", "model.preset=null", "model.vocab_size=512"]
    settings += [f"model.image_tokenizer.path={tmp_path}/images", f"output={tmp_path}/run"]
    assert main([*mix, *settings]) == 2
    assert "the image tokenizer has 32 codes, but the model has 16" in capsys.readouterr().err
