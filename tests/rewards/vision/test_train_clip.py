import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, normalize

from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.preprocess import Preprocess
from rewards.vision.towers import Towers
from rewards.vision.train_clip import (
    CaptionBatches,
    Pairs,
    make_network,
    preprocess_of,
    retrieval,
    save,
    train,
    worsened,
)
from tests.rewards.vision.conftest import TINY
from unigrpo.config import ClipConfig, OptimSection
from unigrpo.errors import ConfigError, DataError

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 220), "white": (250,) * 3, "black": (5,) * 3}
CONFIG = ClipConfig(steps=30, batch_size=8, optim=OptimSection(lr=3e-3))


@pytest.fixture
def network_file(tmp_path) -> str:
    (tmp_path / "network.json").write_text(json.dumps(TINY))
    return str(tmp_path / "network.json")


def coloured(each: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Noisy images of one colour, and its name."""
    draw = np.random.default_rng(seed)
    names = [name for name in COLOURS for _ in range(each)]
    return [(COLOURS[n] + draw.normal(0, 10, (32, 32, 3))).clip(0, 255).astype(np.uint8) for n in names], names


def trained(network_file: str, config: ClipConfig = CONFIG) -> tuple[open_clip.CLIP, list[float]]:
    network = make_network(network_file, config.seed, torch.device("cpu"))
    images, captions = coloured(4)
    losses: list[float] = []
    batches = CaptionBatches(captions, config.batch_size, config.seed)
    pairs = Pairs(preprocess_of(network).fit(images), captions)
    train(network, pairs, batches, config, lambda _, metrics: losses.append(metrics["clip/loss"]))
    return network, losses


@given(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30), st.integers(2, 9), st.integers(0, 5))
def test_no_caption_occurs_twice_in_a_batch_and_each_once_in_an_epoch(captions, size, seed):
    different = len(set(captions))
    if different < 2:
        return
    batches = CaptionBatches(captions, size, seed)
    assert batches.size == min(size, different)
    in_epoch = different // batches.size
    for epoch in range(3):
        drawn = [batches.batch(epoch * in_epoch + step) for step in range(in_epoch)]
        assert all(len(batch) == batches.size for batch in drawn)
        assert max(Counter(captions[index] for batch in drawn for index in batch).values()) == 1
    assert batches.batch(7) == CaptionBatches(captions, size, seed).batch(7)


def test_every_image_of_a_caption_has_its_turn():
    batches = CaptionBatches(["a"] * 5 + ["b"], 2, 0)
    assert {index for step in range(60) for index in batches.batch(step)} == set(range(6))
    with pytest.raises(DataError, match="All captions are equal, so that there is nothing to tell apart"):
        CaptionBatches(["a", "a"], 2, 0)


def test_images_are_worsened_as_much_as_was_said():
    def worse(pixels, shrink, noise, seed=0):
        return worsened(pixels, shrink, noise, torch.Generator().manual_seed(seed))

    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(200, 3, 16, 16, generator=draw)
    assert torch.equal(worse(pixels, 1.0, 0.0), pixels)
    assert torch.equal(worse(pixels, 0.5, 0.1), worse(pixels, 0.5, 0.1))
    assert not torch.equal(worse(pixels, 0.5, 0.1), worse(pixels, 0.5, 0.1, seed=1))
    grey = torch.full((200, 3, 16, 16), 0.5)
    assert torch.allclose(worse(grey, 0.3, 0.0), grey, atol=1e-6)
    spread = (worse(grey, 0.3, 0.1) - grey).std((1, 2, 3))
    assert spread.max() < 0.105
    assert abs(spread.mean() - 0.05) < 0.01
    assert worse(pixels, 0.3, 0.0).std() < 0.9 * pixels.std()
    assert 0 <= worse(pixels, 1.0, 1.0).min() <= worse(pixels, 1.0, 1.0).max() <= 1


def test_it_learns_to_tell_colours_apart(network_file, tmp_path):
    network, losses = trained(network_file)
    assert losses[0] > 1.2
    assert losses[-1] < 0.3
    save(network, network_file, tmp_path)
    towers = open_clip_towers(str(tmp_path), None, "fp32", "cpu", 8)
    found = retrieval(towers, *coloured(3, seed=1))
    assert found["clip/accuracy"] > 0.9
    assert found["clip/chance"] == 0.2
    assert found["clip/matched"] > found["clip/unmatched"] + 0.3


def test_the_first_loss_is_the_symmetric_cross_entropy(network_file):
    config = replace(CONFIG, steps=1, shrink=1.0, noise=0.0)
    _, losses = trained(network_file, config)
    network = make_network(network_file, config.seed, torch.device("cpu"))
    images, captions = coloured(4)
    chosen = CaptionBatches(captions, config.batch_size, config.seed).batch(0)
    tokens = open_clip.SimpleTokenizer(context_length=16)([captions[i] for i in chosen])
    with torch.no_grad():
        pixels = preprocess_of(network)([images[i] for i in chosen])
        cosines = normalize(network.encode_image(pixels)) @ normalize(network.encode_text(tokens)).T
        logits = network.logit_scale.exp() * cosines
    wanted = (cross_entropy(logits, torch.arange(5)) + cross_entropy(logits.T, torch.arange(5))) / 2
    assert math.isclose(losses[0], wanted, rel_tol=1e-5)


def test_a_seed_decides_everything(network_file):
    config = replace(CONFIG, steps=3)
    torch.manual_seed(5)
    first, _ = trained(network_file, config)
    torch.manual_seed(6)
    again, _ = trained(network_file, config)
    other, _ = trained(network_file, replace(config, seed=1))
    weights = [network.visual.proj for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_logit_scale_stays_below_a_hundred(network_file):
    network = make_network(network_file, 0, torch.device("cpu"))
    images, captions = coloured(1)
    with torch.no_grad():
        network.logit_scale.fill_(9.0)
    pairs = Pairs(preprocess_of(network).fit(images), captions)
    train(network, pairs, CaptionBatches(captions, 4, 0), replace(CONFIG, steps=1), lambda *_: None)
    assert network.logit_scale.exp() <= 100.001


def test_a_saved_network_is_what_open_clip_loads(network_file, tmp_path, pictures):
    network = make_network(network_file, 3, torch.device("cpu")).eval()
    save(network, network_file, tmp_path)
    loaded, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())
    assert Preprocess.of(open_clip.get_model_preprocess_cfg(loaded)) == preprocess_of(network)


def test_retrieval_is_counted_by_hand():
    """Images are vectors along the axes; texts are those, one of them turned to a neighbour."""
    axes = torch.eye(4)
    vectors = {"a": axes[0], "b": axes[1], "c": axes[1], "d": 0.6 * axes[3] + 0.8 * axes[0]}
    towers = Towers(
        preprocess=Preprocess((1, 1)),
        encode_images=lambda pixels: axes[torch.arange(len(pixels))],
        encode_texts=lambda texts: torch.stack([vectors[text] for text in texts]),
        device=torch.device("cpu"),
        dtype=torch.float32,
        batch_size=4,
    )
    found = retrieval(towers, [np.zeros((1, 1, 3), np.uint8)] * 4, ["a", "b", "c", "d"])
    assert found == pytest.approx(
        {"clip/accuracy": 0.75, "clip/chance": 0.25, "clip/matched": 2.6 / 4, "clip/unmatched": 1.8 / 12}
    )


BAD = ["{", "[]", '{"embed_dim": 8}', '{"embed_dim": 8, "vision_cfg": {"x": 1}, "text_cfg": {}}']


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_describes_no_clip_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=r"^network=.*x\.json describes no CLIP of open_clip: "):
        make_network(str(tmp_path / "x.json"), 0, torch.device("cpu"))
