"""HPSv2, PickScore and the aesthetic head, at small size through the code that runs the published ones."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel

from rewards import Scorer, resolve
from rewards.vision.aesthetic import Aesthetic
from rewards.vision.hps import Hps
from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.pick_score import PickScore
from rewards.vision.preprocess import Preprocess
from tests.rewards.vision.conftest import TINY
from unigrpo.config import RewardEntry
from unigrpo.errors import CheckpointError, ConfigError

TEXTS = ["a red circle", "two blue squares", "a dog, and so on", "a red circle"]


@pytest.fixture(scope="module")
def pick_folder(tmp_path_factory) -> Path:
    """A random CLIP as a folder of transformers."""
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "intermediate_size": 48}
    text = {"vocab_size": 49408, "hidden_size": 24, "intermediate_size": 40, "max_position_embeddings": 16}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(vision_config=vision | layers, text_config=text | layers, projection_dim=20))
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    folder = tmp_path_factory.mktemp("pick")
    model.save_pretrained(folder)
    return folder


def head_file(folder: Path, width: int = TINY["embed_dim"]) -> Path:
    """A random aesthetic head as published: named as a Sequential with dropouts called `layers`."""
    torch.manual_seed(0)
    sizes = (width, 1024, 128, 64, 16, 1)
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    spaced = [linear[0], nn.Dropout(0.2), linear[1], nn.Dropout(0.2), linear[2], nn.Dropout(0.1), *linear[3:]]
    head = nn.Module()
    head.layers = nn.Sequential(*spaced)
    torch.save(head.state_dict(), folder / "head.pth")
    return folder / "head.pth"


def test_pick_score_is_the_logit_of_transformers(pick_folder, pictures):
    model = CLIPModel.from_pretrained(pick_folder).eval()
    tokens = open_clip.get_tokenizer("ViT-B-32", context_length=16)(TEXTS)
    with torch.no_grad():
        logits = model(input_ids=tokens, pixel_values=Preprocess((32, 32))(pictures[:4])).logits_per_image
    wanted = logits.diagonal()
    assert wanted.std() > 0.01
    found = PickScore(str(pick_folder), device="cpu", batch_size=3)(pictures[:4], TEXTS)
    assert np.allclose(found, wanted, atol=1e-4)


def test_pick_score_refuses_a_folder_that_is_not_whole(pick_folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json there"):
        PickScore(str(tmp_path))
    (tmp_path / "config.json").write_bytes((pick_folder / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match="cannot be loaded as a CLIP"):
        PickScore(str(tmp_path))
    model = CLIPModel.from_pretrained(pick_folder)
    state = {name: value for name, value in model.state_dict().items() if name != "visual_projection.weight"}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(CheckpointError, match=r"the weights lack visual_projection\.weight"):
        PickScore(str(tmp_path))


def test_hps_is_the_cosine_under_its_own_weights(clip_folder, tmp_path, pictures):
    architecture = tmp_path / "tiny-hps.json"
    architecture.write_text(json.dumps(TINY))
    open_clip.add_model_config(architecture)
    weights = open_clip.create_model(f"local-dir:{clip_folder}").state_dict()
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "hps.pt")
    found = Hps(str(tmp_path / "hps.pt"), model="tiny-hps", device="cpu")(pictures[:4], TEXTS)
    wanted = open_clip_towers(clip_folder, None, "fp32", "cpu", 8).cosines(pictures[:4], TEXTS)
    assert np.allclose(found, wanted, atol=1e-6)


def test_the_aesthetic_rating_is_the_product_of_five_matrices(clip_folder, tmp_path, pictures):
    file = head_file(tmp_path)
    w = torch.load(file)
    x = open_clip_towers(clip_folder, None, "fp32", "cpu", 8).images(pictures)
    for place in (0, 2, 4, 6, 7):
        x = x @ w[f"layers.{place}.weight"].T + w[f"layers.{place}.bias"]
    found = Aesthetic(str(file), model=clip_folder, device="cpu")(pictures)
    assert x.std() > 1e-4
    assert np.allclose(found, x[:, 0], atol=1e-6)


def test_an_aesthetic_head_of_another_clip_is_refused(clip_folder, tmp_path):
    with pytest.raises(CheckpointError, match="takes vectors of 30 numbers, but those of the CLIP have 24"):
        Aesthetic(str(head_file(tmp_path, 30)), model=clip_folder)
    torch.save({"x": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"has no layers\.0\.weight, so it is no aesthetic head"):
        Aesthetic(str(tmp_path / "x.pth"), model=clip_folder)
    state = torch.load(head_file(tmp_path))
    torch.save(state | {"layers.7.weight": torch.zeros(2, 16)}, tmp_path / "y.pth")
    with pytest.raises(CheckpointError, match=r"y\.pth: does not fit an aesthetic head"):
        Aesthetic(str(tmp_path / "y.pth"), model=clip_folder)


def test_each_judges_drawings_by_its_name(clip_folder, pick_folder, tmp_path, pictures, rollout):
    entries = {
        "pick_score": RewardEntry(args={"path": str(pick_folder), "device": "cpu"}),
        "aesthetic": RewardEntry(args={"path": str(head_file(tmp_path)), "model": clip_folder, "device": "cpu"}),
    }
    scorer = Scorer(entries)
    pairs = zip(pictures, TEXTS, strict=False)
    items = [rollout("", image=picture, task="image", text=text) for picture, text in pairs]
    scorer.check([item.prompt for item in items])
    parts = [scored.parts for scored in scorer.score(items)]
    assert [p["pick_score"] for p in parts] == scorer.rewards["pick_score"].function(pictures[:4], TEXTS)
    assert np.allclose([p["aesthetic"] for p in parts], scorer.rewards["aesthetic"].function(pictures[:4]), atol=1e-6)


@pytest.mark.parametrize("name", ["hps", "pick_score", "aesthetic", "image_reward"])
def test_weights_must_be_named(name):
    with pytest.raises(ConfigError) as error:
        resolve(name, RewardEntry())
    assert str(error.value) == f"rewards.{name}.args.path is not set: `{name}` cannot do without it."
