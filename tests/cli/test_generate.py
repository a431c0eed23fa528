"""`unigrpo generate` for every task, from tiny runs that are made here."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.images import picture, save_tiny_images
from unigrpo.asking import Asker, look
from unigrpo.cli.drawings import GREY, canvases
from unigrpo.cli.main import main
from unigrpo.cli.target import expand
from unigrpo.config import DataSection, GenerateConfig, ImageTokenizerSection, SFTConfig
from unigrpo.config.check import check_generate
from unigrpo.config.load import load_config, save_config
from unigrpo.data import load_prompts
from unigrpo.data.images import fit_image
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_policy
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
QUIET = ["model.device=cpu", "cluster.threads=1"]
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
    return main(["generate", str(made), "--prompt", "a red circle", *QUIET, *settings])


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
    assert main(["generate", str(made), "task=image", *QUIET, *STEPS]) == 0
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
    """Whether a picture is that of `codes`, with any code at the place that is free: all are tried."""
    every = np.repeat(codes[None], 16, 0)
    every[:, free] = range(16)
    # Sums may differ in the last bit from those of a batch of one.
    return any((abs(candidate - found.astype(int)) <= 1).all() for candidate in images.decode(list(every)))


MASKS = {
    "box": "mask=9,6,11,8",
    "picture": "mask=mask.png",
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("task", ["image", "think_image"])
def test_in_painting_keeps_every_code_that_the_mask_does_not_touch(made, here, images, task, mask):
    Image.fromarray(picture(3, 32, 50)).save("given.png")
    white = np.zeros((32, 50, 3), dtype=np.uint8)
    white[6:8, 9 + 9 : 11 + 9] = 255
    Image.fromarray(white).save("mask.png")
    asked = [f"task={task}", "rollout.image.guidance=2", *STEPS, *(SHORT if task == "think_image" else [])]
    assert generate(made, *asked, "image=given.png", MASKS[mask]) == 0
    assert generate(made, *asked, "picture=whole.png") == 0
    [codes] = images.encode([fit_image(picture(3, 32, 50), 32, "crop")])
    assert one_of(pixels("drawing.png"), codes, 1 * 8 + 2, images)
    assert not one_of(pixels("whole.png"), codes, 1 * 8 + 2, images)


ASKED = [
    "template=plain",
    "template=chat instruction=think legacy_eot=true",
    "task=understand image=given.png fit=pad template=plain",
    "task=understand image=given.png fit=squash legacy_eot=true",
    "task=image",
    "task=image max_prompt_length=40 model.legacy_visible_pads=true",
    "task=think_image instruction=think template=plain",
]


@pytest.mark.parametrize("settings", ASKED)
def test_a_prompt_is_what_the_same_row_of_a_file_would_be(made, here, images, settings):
    Image.fromarray(picture(5, 40, 60)).save("given.png")
    config = load_config(GenerateConfig, [f"model.path={made / 'model'}", *settings.split()])
    row = {"prompt": "a red circle"} | ({"image": config.image} if config.image else {})
    (here / "rows.jsonl").write_text(json.dumps(row))
    policy = load_policy(config.model)
    shared = ("task", "fit", "template", "instruction", "legacy_eot", "max_prompt_length")
    section = DataSection(path="rows.jsonl", **{name: getattr(config, name) for name in shared})
    more = {"images": images, "need_answer": False, "visible_pads": config.model.legacy_visible_pads}
    [expected] = load_prompts(section, policy.tokenizer, policy.ids, **more)
    found = Asker(config, policy, images, look(config, images)).prompt("a red circle", "0")
    for name in ("tokens", "unconditional", "known_codes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.task == expected.task
    assert len(found.images) == len(expected.images) == (config.image is not None)
    np.testing.assert_array_equal(found.images, expected.images)


FAULTS = {
    "task=understand": "task is understand, which asks about an image: set image=FILE.",
    "image=given.png": "image is 'given.png', but task=text looks at none: set task=understand",
    "task=image mask=0,0,4,4": "mask is '0,0,4,4', but there is no image that is kept outside it",
    "task=image image=given.png": "image is 'given.png', but nothing says what of it is drawn anew",
    "task=understand image=given.png mask=0,0,4,4": "mask is '0,0,4,4', but task=understand draws nothing",
    "task=understand image=none.png": "image is 'none.png', which is no file: name a picture.",
    "task=understand image=text.png": "image: the image 'text.png' cannot be read",
    "task=image image=given.png mask=0,0,33,4": "mask is the box 0,0,33,4, but x0,y0,x1,y1 must hold 0 <= x0",
    "task=image image=given.png mask=-1,0,3,4": "mask is the box -1,0,3,4, but",
    "task=image image=given.png mask=4,0,4,4": "mask is the box 4,0,4,4, but",
    "task=image image=given.png mask=0,0,4": "mask is '0,0,4', which is no file: name a picture or a box x0,y0,x1,y1.",
    "task=image image=given.png mask=0,0,32,32": "mask touches every code, so nothing of the image would stay",
    "task=image image=given.png mask=black.png": "mask is empty, so nothing would be drawn",
    "task=image image=given.png mask=small.png": "mask is 8 x 8 pixels, but the image is 32 x 32: make them",
    "task=image picture=a.jpg": "picture is 'a.jpg': name a .png file or a folder.",
    "task=image picture=text.png/a.png": "picture is 'text.png/a.png', whose folder cannot be made",
    "picture=a.png": "picture is 'a.png', but task=text draws nothing: drop it.",
    "task=image fit=pad": "fit is pad, but it is only used when image is set: drop it.",
    "task=image template=plain": "template is plain, but it is only used when task is another than image: drop it.",
    "task=image instruction=think": "instruction is think, but task=image draws without a thought",
    "task=image rollout.gen_length=64": "rollout.gen_length is for text, but task is image: drop it.",
    "task=image samples=2 rollout.image.temperature=0 rollout.image.choice_temperature=0": "samples is 2, but at "
    "rollout.image.temperature=0 they are all equal",
    "task=image model.image_tokenizer.path=null": "task is image, which needs an image tokenizer: set",
    "task=image model.image_tokenizer.resolution=30": "model.image_tokenizer.resolution is 30",
    "model.image_tokenizer.path=somewhere": "model.image_tokenizer.path is 'somewhere', but no task has images",
    "max_prompt_length=2": "the prompt 'a red circle' has",
    "of=nothing": "of is 'nothing', which is no task of the run: it has sums, ask, draw, more, think.",
    "of=draw task=text": "of is 'draw', whose task is image, but task is text: drop one of them.",
}


@pytest.mark.parametrize("settings", FAULTS)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_drawn(made, here, capsys, settings):
    Image.fromarray(picture(0, 32, 32)).save("given.png")
    Image.new("RGB", (32, 32)).save("black.png")
    Image.new("RGB", (8, 8), "white").save("small.png")
    (here / "text.png").write_text("no picture")
    before = sorted(here.iterdir())
    assert generate(made, *settings.split()) == 2
    found = capsys.readouterr()
    assert FAULTS[settings] in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""
    assert sorted(here.iterdir()) == before


def test_a_folder_of_a_model_has_no_tasks_to_choose_from(made, here, capsys):
    (here / "alone").symlink_to(made / "model")
    assert main(["generate", "alone", "of=draw", "--prompt", "a"]) == 2
    message = "of is 'draw', but only a run, named by its folder as the first argument, has tasks: drop it."
    assert message in capsys.readouterr().err


def asked(run, *settings):
    """The settings that `generate` has, after those that a run's folder stands for."""
    return load_config(GenerateConfig, expand([str(run), *settings], "generate"))


@pytest.mark.parametrize(
    ("settings", "task", "template"),
    [
        ([], "text", "plain"),
        (["of=think"], "think_image", "plain"),
        (["--of", "draw"], "image", "chat"),
        (["of=more", "task=image"], "image", "chat"),
        (["task=understand"], "understand", "plain"),
    ],
)
def test_a_run_of_several_tasks_is_asked_like_the_one_that_is_named(made, settings, task, template):
    found = asked(made, *settings)
    assert (found.of, found.task, found.template) == (None, task, template)
    assert (found.model.image_tokenizer.path is not None) == (task != "text")
    check_generate(replace(found, image="a.png" if task == "understand" else None))


def test_an_image_is_fitted_as_a_run_fits_its_own(tmp_path):
    config = SFTConfig(data=DataSection(task="understand", path="rows.jsonl", fit="pad", legacy_eot=True))
    save_config(config, tmp_path / "config.yaml")
    assert asked(tmp_path, "image=a.png").fit == "pad"
    assert asked(tmp_path, "file=rows.jsonl", "output=a.jsonl").fit == "pad"
    assert asked(tmp_path).fit == "crop"
    assert asked(tmp_path).legacy_eot


def test_a_run_of_one_task_is_asked_and_sampled_like_its_evaluation(tmp_path, made, capsys):
    """A task that the run does not have takes nothing but the model from it."""
    (tmp_path / "one.py").write_text("def one(image):\n    return float(image[0, 0, 0])\n")
    train = [f"model.path={made / 'model'}", "model.preset=null", "model.vocab_size=512", "optim.lr=1e-3"]
    train += [f"model.image_tokenizer.path={asked(made, 'of=draw').model.image_tokenizer.path}"]
    train += ["data={task: image, source: shapes, size: 4}", "rollout.image.steps=2", "eval.temperature=0.5"]
    train += ["eval.data={task: image, source: shapes, split: test, size: 2, max_prompt_length: 99}"]
    train += ["rollout.group_size=2", "rollout.prompts_per_step=1", f"rewards.one.path={tmp_path / 'one.py'}:one"]
    run = tmp_path / "run"
    assert main(["train", *COMMON[:6], *train, "cluster.backend=local", f"output={run}"]) == 0
    found = asked(run)
    assert (found.task, found.max_prompt_length, found.rollout.image.steps) == ("image", 99, 2)
    check_generate(found)
    other = asked(run, "task=text")
    assert (other.max_prompt_length, other.rollout.image.steps) == (512, 15)
    check_generate(other)
    assert generate(run, "of=draw") == 2
    assert "of is 'draw', but the run has only one task: drop it." in capsys.readouterr().err


def rollout(commit, image):
    prompt = Prompt(id="a", task="image", text="", tokens=np.array([1]))
    sampling = Sampling(temperature=1, guidance=0, gen_length=1, block_length=1)
    commit_step = np.array([*commit, -1])
    return Rollout(
        id="a",
        prompt=prompt,
        tokens=np.zeros(len(commit_step), dtype=int),
        commit_step=commit_step,
        output="",
        sampling=sampling,
        truncated=False,
        image=image,
    )


def test_a_replay_uncovers_codes_in_the_order_in_which_they_were_drawn():
    image = picture(0, 8, 8)
    shown = canvases(rollout([2, -1, 5, 2], image), 4)
    assert [step for step, _ in shown] == [1, 4]
    first, last = (found for _, found in shown)
    np.testing.assert_array_equal(last, image)
    np.testing.assert_array_equal(first[:4], image[:4])
    np.testing.assert_array_equal(first[4:, 4:], image[4:, 4:])
    assert (first[4:, :4] == GREY).all()


def test_a_long_replay_is_thinned_and_ends_in_the_drawing():
    image = picture(0, 16, 16)
    shown = canvases(rollout(range(64), image), 64)
    assert (shown[0][0], shown[-1][0], len(shown)) == (1, 64, 24)
    np.testing.assert_array_equal(shown[-1][1], image)
