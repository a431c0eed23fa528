import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from rewards import Scorer, resolve
from rewards.vision import towers
from rewards.vision.clip import Clip
from rewards.vision.open_clip_towers import open_clip_towers
from tests.rewards.vision.conftest import write_clip
from unigrpo.config import RewardEntry
from unigrpo.errors import CheckpointError, ConfigError, RewardError

TEXTS = ["a red circle", "two blue squares", "", "a red circle", "a dog " * 40, "Überraschung", "a cat"]


def cosines_of_open_clip(folder: str, pictures, texts) -> torch.Tensor:
    """What open_clip says through its own pipeline on PIL images, one at a time."""
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    assert callable(preprocess)
    with torch.no_grad():
        pixels = [preprocess(Image.fromarray(picture))[None] for picture in pictures]
        images = torch.cat([network.encode_image(one, normalize=True) for one in pixels])
        words = torch.cat([network.encode_text(tokenize([text]), normalize=True) for text in texts])
    return (images * words).sum(-1)


@pytest.mark.parametrize(
    "preprocess",
    [
        {},
        {"interpolation": "bilinear", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        {"resize_mode": "squash"},
        {"resize_mode": "longest", "fill_color": 90},
    ],
)
def test_cosines_are_those_of_open_clips_own_pipeline(tmp_path, pictures, preprocess):
    folder = str(write_clip(tmp_path / "clip", **preprocess))
    ours = open_clip_towers(folder, None, "fp32", "cpu", 3).cosines(pictures, TEXTS)
    theirs = cosines_of_open_clip(folder, pictures, TEXTS)
    assert theirs.std() > 0.03
    assert torch.allclose(torch.tensor(ours), theirs, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 64])
def test_the_batch_size_does_not_matter(clip_folder, pictures, size):
    one = open_clip_towers(clip_folder, None, "fp32", "cpu", 3).cosines(pictures, TEXTS)
    other = open_clip_towers(clip_folder, None, "fp32", "cpu", size).cosines(pictures[::-1], TEXTS[::-1])[::-1]
    assert np.allclose(one, other, atol=1e-6)


def test_bf16_is_close_to_fp32(clip_folder, pictures):
    full, half = (open_clip_towers(clip_folder, None, p, "cpu", 8).cosines(pictures, TEXTS) for p in ("fp32", "bf16"))
    assert np.allclose(full, half, atol=0.03)
    assert full != half


def test_a_text_is_encoded_once(clip_folder, monkeypatch):
    found = open_clip_towers(clip_folder, None, "fp32", "cpu", 2)
    encode, asked = found.encode_texts, []
    monkeypatch.setattr(found, "encode_texts", lambda texts: asked.extend(texts) or encode(texts))
    first = found.texts(["a", "b", "a", "c"])
    again = found.texts(["c", "d", "a"])
    assert asked == ["a", "b", "c", "d"]
    assert torch.equal(first[[3, 0]], again[[0, 2]])


def test_the_cache_is_bounded_and_forgets_the_oldest(clip_folder, monkeypatch):
    monkeypatch.setattr(towers, "REMEMBERED", 2)
    found = open_clip_towers(clip_folder, None, "fp32", "cpu", 2)
    assert len(found.texts(["a", "b", "c"])) == 3
    found.texts(["b"])
    found.texts(["d"])
    assert list(found._known) == ["b", "d"]


def test_a_drawing_is_compared_with_its_prompt_and_a_caption_with_the_image(clip_folder, pictures, rollout):
    scorer = Scorer({"clip": RewardEntry(weight=0.1, args={"model": clip_folder, "device": "cpu"})})
    items = [
        rollout("", image=pictures[0], task="image", text="a red circle"),
        rollout("a thought", image=pictures[1], task="think_image", text="two blue squares"),
        rollout("<think>hm</think> a cat", task="understand", text="What is it?", images=(pictures[2],)),
        rollout("<think>never ends", task="understand", text="What is it?", images=(pictures[2],)),
    ]
    scorer.check([item.prompt for item in items])
    parts = [scored.parts["clip"] for scored in scorer.score(items)]
    wanted = 100 * cosines_of_open_clip(clip_folder, pictures[:3], ["a red circle", "two blue squares", "a cat"])
    assert np.allclose(parts, [*wanted.tolist(), 0.0], atol=0.1)


def test_a_text_task_has_no_clip_score(clip_folder, rollout):
    scorer = Scorer({"clip": RewardEntry(args={"model": clip_folder, "device": "cpu"})})
    with pytest.raises(
        RewardError, match=r"judges understand and image and think_image, but prompt p:1 is of task text"
    ):
        scorer.check([rollout("").prompt])


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(clip_folder, image):
    with pytest.raises(RewardError, match=r"An image has shape .* not \[H, W, 3\] and uint8"):
        open_clip_towers(clip_folder, None, "fp32", "cpu", 2).cosines([image], ["x"])


def refusal(error: type[Exception] = ConfigError, **args) -> str:
    with pytest.raises(error) as caught:
        resolve("clip", RewardEntry(args=args))
    return str(caught.value)


def test_an_architecture_with_a_weight_file_is_the_folder_of_both(clip_folder, tmp_path, pictures, monkeypatch):
    file = tmp_path / "tiny-clip.json"
    file.write_text(json.dumps(json.loads((Path(clip_folder) / "open_clip_config.json").read_text())["model_cfg"]))
    open_clip.add_model_config(file)
    weights = f"{clip_folder}/open_clip_model.safetensors"
    found = open_clip_towers("tiny-clip", weights, "fp32", "cpu", 8).cosines(pictures, TEXTS)
    assert np.allclose(
        found, open_clip_towers(f"local-dir:{clip_folder}", None, "fp32", "cpu", 8).cosines(pictures, TEXTS)
    )


def test_a_folder_without_weights_is_refused_though_open_clip_would_make_some_up(clip_folder, tmp_path):
    (tmp_path / "open_clip_config.json").write_bytes((Path(clip_folder) / "open_clip_config.json").read_bytes())
    open_clip.create_model(f"local-dir:{tmp_path}")
    expected = "has no weights beside open_clip_config.json. Download open_clip_model.safetensors too."
    assert refusal(CheckpointError, model=str(tmp_path)) == f"rewards.clip: {tmp_path}: {expected}"


def test_weights_that_do_not_fit_are_refused(clip_folder, tmp_path):
    folder = write_clip(tmp_path / "clip")
    tensors = load_file(folder / "open_clip_model.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "visual.proj"}, folder / "open_clip_model.safetensors")
    text = refusal(CheckpointError, model=str(folder))
    assert f"{folder}: cannot be loaded as a CLIP" in text
    assert "visual.proj" in text
    (folder / "open_clip_model.safetensors").write_bytes(b"12345678901234567890")
    assert f"{folder}: cannot be loaded as a CLIP" in refusal(CheckpointError, model=str(folder))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            {"model": "ViT-L-41"},
            "model is 'ViT-L-41', which is neither a folder nor a model of open_clip. Did you mean ",
        ),
        ({"model": "runs/none"}, "model is 'runs/none', which is neither a folder nor"),
        ({"model": "ViT-B-32"}, "pretrained is not set, and without weights ViT-B-32 knows nothing: name their file."),
        ({"model": "ViT-B-32", "pretrained": "x.pt"}, "pretrained is 'x.pt', which is neither a file nor a tag of"),
        ({"model": "hf-hub:a/b", "pretrained": "x"}, "pretrained is x, but model=hf-hub:a/b brings its own weights"),
        ({"model": "ViT-B-32", "precision": "fp16"}, "rewards.clip.args.precision is 'fp16', but `clip` takes Literal"),
        ({"model": "{clip}", "pretrained": "x.pt"}, "brings its own weights: drop it."),
        ({"model": "{clip}", "device": "cuba"}, "device is 'cuba', which cannot be used"),
        ({"model": "{clip}", "batch_size": 0}, "batch_size is 0: set it to 1 or more."),
    ],
)
def test_settings_without_a_model_are_refused(clip_folder, args, expected):
    args = {key: clip_folder if value == "{clip}" else value for key, value in args.items()}
    assert expected in refusal(**args)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            {"model": "local-dir:nowhere"},
            "nowhere: no such folder. Set model to one with open_clip_config.json and weights.",
        ),
        ({"model": "tests"}, "tests: has no open_clip_config.json, so it is no model of open_clip."),
        ({"model": "hf-hub:no/such"}, "hf-hub:no/such could not be downloaded: "),
        ({"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}, "and set model to that folder."),
    ],
)
def test_weights_that_cannot_be_had_say_what_to_do(args, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    assert expected in refusal(CheckpointError, **args)


def test_another_activation_than_the_weights_were_trained_with_is_refused(monkeypatch):
    # The tag's file is never read: the mismatch is found first, from what open_clip knows of the tag.
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *_, **__: "weights.pt")
    assert "set model=ViT-B-32-quickgelu" in refusal(model="ViT-B-32", pretrained="openai")


def test_the_class_is_registered_under_its_name(clip_folder):
    assert isinstance(resolve("clip", RewardEntry(args={"model": clip_folder})).function, Clip)
