from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from rewards import Scorer, resolve
from rewards.vision.blip import BlipSizes, load, save
from rewards.vision.convert import convert, renamed
from rewards.vision.image_reward import ImageReward
from tests.rewards.vision.published import SMALL, score, shapes, weights
from unigrpo.cli.convert_imagereward import run
from unigrpo.config import RewardEntry
from unigrpo.errors import CheckpointError, ConfigError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "a", "red", "blue", "circle", "square", "two", "dog", "##s", ",", "!"]
PROMPTS = ["a red circle", "two dogs, a blue square!", "a zebra", "", "a red circle", "a " * 50]


@pytest.fixture
def vocabulary(tmp_path) -> Path:
    """A small vocabulary, as BERT's is written."""
    (tmp_path / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    return tmp_path / "vocab.txt"


@pytest.fixture
def folder(tmp_path, vocabulary) -> Path:
    """A converted folder of small random weights."""
    torch.save(weights(SMALL), tmp_path / "ImageReward.pt")
    run([str(tmp_path / "ImageReward.pt"), str(vocabulary), str(tmp_path / "ir")], SMALL)
    return tmp_path / "ir"


def inputs(sizes: BlipSizes, pairs: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    pixels = torch.randn(pairs, 3, sizes.image_size, sizes.image_size)
    tokens = torch.randint(sizes.vocabulary, (pairs, 9))
    lengths = torch.arange(pairs) % 7 + 2
    return pixels, tokens, (torch.arange(9) < lengths[:, None]).long()


def test_the_converted_network_scores_as_the_published_one(folder):
    published = weights(SMALL)
    batch = inputs(SMALL)
    theirs = score(published, SMALL, *batch)
    assert theirs.std() > 0.02
    assert torch.allclose(load(folder)(*batch), theirs, atol=1e-5)


def test_every_published_tensor_has_a_place_or_is_ignored_by_name():
    published = weights(SMALL)
    ours = convert(published, SMALL, "x")
    ignored = ["position_ids", "vision_proj.weight", "vision_proj.bias", "text_proj.weight", "text_proj.bias"]
    assert len(ours) == len(published) - len(ignored)
    left = {tensor.data_ptr() for tensor in published.values()} - {tensor.data_ptr() for tensor in ours.values()}
    assert left == {t.data_ptr() for name, t in published.items() if name.endswith(tuple(ignored))}


@pytest.mark.parametrize("name", [name for name, _ in shapes(SMALL) if renamed(name)])
def test_a_missing_or_misshaped_tensor_is_named(name):
    published = weights(SMALL)
    changed = published.pop(name)
    with pytest.raises(CheckpointError, match=rf"^x: tensor {renamed(name)} is missing"):
        convert(published, SMALL, "x")
    published[name] = changed[..., None]
    with pytest.raises(CheckpointError, match=rf"^x: tensor {renamed(name)} has shape .*, but ImageReward's is "):
        convert(published, SMALL, "x")


@pytest.mark.parametrize(
    "name",
    [
        "blip.visual_encoder.blocks.0.attn.qkv.scale",
        "blip.visual_encoder.blocks.2.norm1.weight",
        "blip.visual_encoder.head.weight",
        "blip.text_encoder.pooler.dense.weight",
        "head.weight",
    ],
)
def test_an_unknown_tensor_is_named(name):
    with pytest.raises(CheckpointError) as error:
        convert(weights(SMALL) | {name: torch.zeros(2)}, SMALL, "x")
    assert str(error.value) == f"x: tensor {renamed(name)} (1 in all) is unknown to ImageReward."


def test_what_only_training_needs_is_ignored():
    more = ["itm_head.weight", "image_queue", "text_encoder_m.encoder.layer.0.x", "vision_proj_m.bias"]
    convert(weights(SMALL) | {f"blip.{name}": torch.zeros(2) for name in more}, SMALL, "x")


def test_scores_are_those_of_the_published_pipeline(folder, pictures):
    """Tokens by hand, pixels by PIL and torchvision, one pair at a time; images of the right size, so not resized."""
    published = weights(SMALL)
    square = [pictures[1], pictures[5], pictures[1][::-1].copy(), pictures[5][:, ::-1].copy()]
    prepare = transforms.Compose(
        [
            transforms.Resize(32, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    texts = ["a red circle", "two dogs, a blue square!", "a zebra", ""]
    tokens = [[5, 6, 8], [10, 11, 12, 13, 5, 7, 9, 14], [5, 1], []]
    wanted = []
    for picture, ids in zip(square, tokens, strict=True):
        row = torch.tensor([[2, *ids, 3, *[0] * (33 - len(ids))]])
        wanted.append(score(published, SMALL, prepare(Image.fromarray(picture))[None], row, (row > 0).long()).item())
    assert np.std(wanted) > 0.02
    assert np.allclose(ImageReward(str(folder), device="cpu")(square, texts), wanted, atol=1e-4)


@pytest.mark.parametrize("size", [1, 4, 64])
def test_the_batch_size_does_not_matter(folder, pictures, size):
    one = ImageReward(str(folder), device="cpu", batch_size=3)(pictures[:6], PROMPTS)
    other = ImageReward(str(folder), device="cpu", batch_size=size)(pictures[5::-1], PROMPTS[::-1])[::-1]
    assert np.allclose(one, other, atol=1e-5)


def test_bf16_is_close_to_fp32(folder, pictures):
    full, half = (ImageReward(str(folder), precision=p, device="cpu")(pictures[:6], PROMPTS) for p in ("fp32", "bf16"))
    assert np.allclose(full, half, atol=0.1)
    assert full != half


def test_it_rewards_drawings(folder, pictures, rollout):
    scorer = Scorer({"image_reward": RewardEntry(weight=0.1, args={"path": str(folder), "device": "cpu"})})
    pairs = zip(pictures, PROMPTS, strict=False)
    items = [rollout("", image=picture, task="image", text=text) for picture, text in pairs]
    scorer.check([item.prompt for item in items])
    parts = [scored.parts["image_reward"] for scored in scorer.score(items)]
    assert np.allclose(parts, ImageReward(str(folder), device="cpu")(pictures[:6], PROMPTS))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        resolve("image_reward", RewardEntry(args={"path": str(folder)}))
    return str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_an_incomplete_folder_is_refused(folder, name):
    (folder / name).unlink()
    expected = f"{folder}: no {name} there. Make the folder with `unigrpo convert-imagereward`."
    assert refusal(folder) == f"rewards.image_reward: {expected}"


def test_a_corrupt_folder_is_refused(folder):
    (folder / "config.json").write_text('{"image_size": 32, "hidden": 5, "head": []}')
    assert "config.json: is no configuration of ImageReward (`hidden` is unknown)" in refusal(folder)
    save({"a": torch.zeros(2)}, SMALL, "", folder)
    assert "model.safetensors: tensor vision.embeddings.class_embedding is missing" in refusal(folder)
    (folder / "model.safetensors").write_bytes(b"0123456789")
    assert "model.safetensors: truncated or corrupt" in refusal(folder)


def test_conversion_refuses_what_it_cannot_use(tmp_path, vocabulary, folder):
    source, target = tmp_path / "ImageReward.pt", tmp_path / "new"

    def error(*args: object, kind: type[Exception] = CheckpointError) -> str:
        with pytest.raises(kind) as caught:
            run([str(arg) for arg in args], SMALL)
        assert not target.exists()
        return str(caught.value)

    assert "takes three paths" in error(source, vocabulary, kind=ConfigError)
    assert f"{folder} already exists" in error(source, vocabulary, folder, kind=ConfigError)
    assert "none.pt: no such file" in error(tmp_path / "none.pt", vocabulary, target)
    assert "vocab.txt: no such file" in error(source, folder.parent / "ir" / ".." / "none" / "vocab.txt", target)
    (tmp_path / "broken.pt").write_bytes(source.read_bytes()[:2000])
    assert "broken.pt: cannot be read as torch weights" in error(tmp_path / "broken.pt", vocabulary, target)
    torch.save([1], tmp_path / "list.pt")
    assert "list.pt: holds a list, no dictionary of tensors" in error(tmp_path / "list.pt", vocabulary, target)
    (tmp_path / "words.txt").write_text("a\nb\n")
    assert "words.txt: has no line [PAD]" in error(source, tmp_path / "words.txt", target)
    (tmp_path / "long.txt").write_text("\n".join([*WORDS, *map(str, range(40))]))
    assert "has 55 words, more than the 40 of ImageReward" in error(source, tmp_path / "long.txt", target)


def test_a_file_that_would_run_code_is_not_read(tmp_path, vocabulary):
    torch.save({"weights": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(CheckpointError, match=r"code\.pt: cannot be read as torch weights"):
        run([str(tmp_path / "code.pt"), str(vocabulary), str(tmp_path / "new")], SMALL)


def test_the_network_of_the_published_size_has_a_place_for_every_tensor():
    published = {name: torch.empty(shape, device="meta") for name, shape in shapes(BlipSizes())}
    assert len(published) == 625
    assert round(sum(t.numel() for name, t in published.items() if "ids" not in name) / 1e5) == 4467
    ours = convert(published, BlipSizes(), "x")
    assert (len(ours), round(sum(tensor.numel() for tensor in ours.values()) / 1e5)) == (620, 4462)


@pytest.mark.slow
@pytest.mark.long
def test_the_full_size_is_converted_whole_and_scores_a_picture(tmp_path, vocabulary, pictures, capsys):
    published = weights(BlipSizes(), spread=0.03)
    torch.save(published, tmp_path / "ImageReward.pt")
    run([str(tmp_path / "ImageReward.pt"), str(vocabulary), str(tmp_path / "ir")])
    assert "620 tensors, 446.2 M parameters" in capsys.readouterr().out
    batch = inputs(BlipSizes(), 1)
    assert torch.allclose(load(tmp_path / "ir")(*batch), score(published, BlipSizes(), *batch), atol=1e-3)
    (found,) = ImageReward(str(tmp_path / "ir"), device="cpu", precision="bf16")(pictures[:1], ["a red circle"])
    assert np.isfinite(found)
