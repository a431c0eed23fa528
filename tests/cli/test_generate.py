"""`unigrpo generate` for every task, from tiny runs that are made here."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.images import picture, save_tiny_images
from unigrpo.cli.drawings import GREY, canvases
from unigrpo.cli.main import main
from unigrpo.cli.target import expand
from unigrpo.config import ImageTokenizerSection
from unigrpo.data.images import fit_image
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.types import Prompt, Rollout, Sampling

COMMON = """
    model.preset=tiny model.vocab_size=300 model.device=cpu model.image_tokenizer.resolution=32 cluster.threads=1
    steps=1 sft.micro_batch=2
""".split()  # noqa: SIM905
STREAMS = {
    "sums": "source: arithmetic, template: plain, size: 4",
    "ask": "task: understand, source: shapes, template: plain, size: 4",
    "draw": "task: image, source: shapes, size: 4",
    "more": "task: image, source: shapes, kinds: [count], size: 4",
    "think": "task: think_image, source: shapes, template: plain, size: 4",
}
SHORT = ["rollout.gen_length=8", "rollout.block_length=4"]
STEPS = ["rollout.image.steps=3"]


@pytest.fixture(scope="module")
def vq(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vq")
    save_tiny_images(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, vq):
    """A run of several streams, whose model reads and draws images of 64 codes."""
    folder = tmp_path_factory.mktemp("run") / "sft"
    streams = [f"streams.{name}={{data: {{{data}}}, batch_size: 2}}" for name, data in STREAMS.items()]
    assert main(["sft", *COMMON, *streams, f"model.image_tokenizer.path={vq}", f"output={folder}"]) == 0
    return folder


@pytest.fixture
def images(vq):
    return ImageTokenizer.load(ImageTokenizerSection(path=str(vq), resolution=32))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generate(made, *settings):
    return main(["generate", str(made), "--prompt", "a red circle", "model.device=cpu", *settings])


def pixels(path):
    return np.asarray(Image.open(path))


def test_a_drawing_is_the_pixels_of_codes_and_a_function_of_the_seed(made, here, capsys):
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        assert generate(made, "task=image", f"picture={name}", f"seed={seed}", *STEPS) == 0
        assert capsys.readouterr().out == f"{name}\n"
    assert pixels("a.png").shape == (32, 32, 3)
    np.testing.assert_array_equal(pixels("a.png"), pixels("b.png"))
    assert (pixels("a.png") != pixels("c.png")).any()


def test_names_that_are_taken_are_numbered_and_what_is_there_stays(made, here, capsys):
    (here / "drawing.png").write_text("mine")
    assert generate(made, "task=image", "samples=2", *STEPS) == 0
    assert capsys.readouterr().out == "drawing-2.png\ndrawing-3.png\n"
    assert generate(made, "task=image", "picture=new/place", *STEPS) == 0
    assert capsys.readouterr().out == "new/place/drawing.png\n"
    assert (here / "drawing.png").read_text() == "mine"
    assert (pixels("drawing-2.png") != pixels("drawing-3.png")).any()


def test_every_line_of_standard_input_is_a_drawing(made, here, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", iter(["a red circle\n", "\n", "a blue square\n"]))
    assert main(["generate", str(made), "task=image", "model.device=cpu", *STEPS]) == 0
    assert capsys.readouterr().out == "drawing.png\ndrawing-2.png\n"


def test_a_thought_is_printed_before_its_drawing(made, here, capsys):
    assert generate(made, "task=think_image", "--show-steps", *SHORT, *STEPS) == 0
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert "░" in lines[0]
    assert lines[-1] == "drawing.png  drawing-steps.png"
    assert pixels("drawing.png").shape == (32, 32, 3)
    assert max(pixels("drawing-steps.png").shape) > 100
    replayed = [line for line in lines if line.startswith("   ")]
    assert len(replayed) <= 8


def test_an_answer_is_about_the_image(made, here, capsys):
    """What the model sees is the picture's codes: some pictures are answered differently, equal ones never."""
    answers = []
    for number in (0, 0, 1, 2, 3, 4):
        Image.fromarray(picture(number, 40, 60)).save("asked.png")
        settings = ["task=understand", "image=asked.png", "rollout.temperature=0", *SHORT]
        assert generate(made, *settings) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1
    assert not list(here.glob("drawing*"))


def one_of(found, codes, free, images):
    """Whether a picture is that of `codes`, with any codes at the two places that are free: all are tried."""
    both = np.stack(np.meshgrid(range(16), range(16)), -1).reshape(-1, 2)
    every = np.repeat(codes[None], len(both), 0)
    every[:, free] = both
    return any((candidate == found).all() for candidate in images.decode(list(every)))


MASKS = {
    "box": "mask=9,6,11,10",
    "picture": "mask=mask.png",
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("task", ["image", "think_image"])
def test_in_painting_keeps_every_code_that_the_mask_does_not_touch(made, here, images, task, mask):
    Image.fromarray(picture(3, 32, 50)).save("given.png")
    white = np.zeros((32, 50, 3), dtype=np.uint8)
    white[6:10, 9 + 9 : 11 + 9] = 255
    Image.fromarray(white).save("mask.png")
    asked = [f"task={task}", "rollout.image.guidance=2", *STEPS, *(SHORT if task == "think_image" else [])]
    assert generate(made, *asked, "image=given.png", MASKS[mask]) == 0
    assert generate(made, *asked, "picture=whole.png") == 0
    [codes] = images.encode([fit_image(picture(3, 32, 50), 32, "crop")])
    touched = [1 * 8 + 2, 2 * 8 + 2]
    assert one_of(pixels("drawing.png"), codes, touched, images)
    assert not one_of(pixels("whole.png"), codes, touched, images)
