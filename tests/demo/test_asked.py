"""What is asked on the page is what the command line would ask, and what cannot be asked is said in words."""

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from tests.demo.test_watch import quiet
from tests.demo.tiny import DEMO, page
from tests.images import picture
from unigrpo.asking import Asker, see
from unigrpo.cli.demo import asks_of
from unigrpo.config import ImageSamplingSection, SamplingSection
from unigrpo.data.images import fit_image, read_image
from unigrpo.demo.asked import KINDS, config_of, fitted, job_of, on_white, painted
from unigrpo.demo.models import load_model
from unigrpo.demo.settings import UNSEEN, controls, section_from
from unigrpo.errors import UniGRPOError
from unigrpo.types import TASKS

TEXT, UNDERSTAND, DRAW, PAINT = KINDS
GIVEN = {"rollout.gen_length": 8, "rollout.block_length": 4, "rollout.image.steps": 3, "model.device": "cpu"}


@pytest.fixture(scope="module")
def model(runs):
    return load_model("a", {task: asks_of(str(runs[0]), task, GIVEN) for task in TASKS})


def values(section, **changed):
    """What the controls of a section hold when nobody has touched them."""
    return {key: control.value for key, control in controls(type(section), section, changed.pop("prefix")).items()}


def test_every_setting_of_the_sampler_has_a_control_and_comes_back_as_it_was():
    text = SamplingSection(steps=32, threshold=None, confidence="margin", temperature=0.3, cache="dual")
    image = ImageSamplingSection(steps=7, schedule="pow", cache_refresh=3)
    for section, prefix in ((text, "text."), (image, "image.")):
        given = values(section, prefix=prefix)
        assert set(given) == {f"{prefix}{one.name}" for one in fields(section)} - {f"{prefix}{name}" for name in UNSEEN}
        assert section_from(type(section), given, prefix, type(section)()) == section


@pytest.mark.parametrize("think", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_the_page_asks_and_samples_as_the_run_does(model, kind, think):
    task = kind.thinking if think else kind.task
    config = config_of(model, kind, page(think=think, seed=5))
    asks = model.asks[task]
    assert (config.task, config.template, config.seed) == (task, asks.template, 5)
    assert config.instruction == ("think" if think and not kind.draws else "")
    if task != "image":
        assert (config.rollout.gen_length, config.rollout.block_length) == (8, 4)
    assert config.rollout.image.steps == (3 if kind.draws else ImageSamplingSection().steps)


SET = {
    "template": "plain",
    "instruction": "think",
    "fit": "squash",
    "rollout.guidance": 2.0,
    "rollout.image.guidance": 1.0,
    "model.legacy_visible_pads": True,
    "max_prompt_length": 99,
}


@pytest.mark.parametrize("think", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_what_is_set_for_all_tabs_is_used_where_it_has_a_use_and_nowhere_in_the_way(runs, kind, think):
    model = load_model("a", {task: asks_of(str(runs[0]), task, GIVEN | SET) for task in TASKS})
    config = config_of(model, kind, page(think=think))
    drawn = config.task in ("image", "think_image")
    assert config.max_prompt_length == 99
    assert config.template == ("chat" if config.task == "image" else "plain")
    assert config.instruction == ("think" if think or config.task == "think_image" else "")
    assert config.fit == ("squash" if kind.looks or kind.paints else "crop")
    assert config.model.legacy_visible_pads == (config.task == "image")
    assert config.rollout.guidance == (0.0 if drawn else 2.0)
    assert config.rollout.image.guidance == (1.0 if drawn else 0.0)


def test_what_is_painted_or_boxed_is_drawn_anew_and_all_else_is_kept(model):
    seen, large = fitted(picture(4, 50, 70), model.images, model.asks["image"])
    np.testing.assert_array_equal(seen, fit_image(picture(4, 50, 70), 32, "crop"))
    assert large.shape == (512, 512, 3)
    layer = np.zeros((512, 512, 4), dtype=np.uint8)
    layer[16 * 4 : 16 * 8, 16 * 8 : 16 * 12, 3] = 255
    painted = job_of(model, PAINT, page("a", picture=seen, canvas={"layers": [layer]}))(quiet)
    boxed = job_of(model, PAINT, page("a", picture=seen, box="8,4,12,8"))(quiet)
    np.testing.assert_array_equal(painted.tokens, boxed.tokens)
    np.testing.assert_array_equal(painted.image, boxed.image)
    codes = painted.tokens[:64] - model.policy.ids.image_offset
    [kept] = model.images.encode([seen])
    free = np.zeros(64, dtype=bool)
    free[1 * 8 + 2] = True
    np.testing.assert_array_equal(codes[~free], kept[~free])
    np.testing.assert_array_equal(painted.sampled[:64], free)


def test_a_picture_with_holes_is_seen_as_its_file_is_read(tmp_path):
    layer = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    Image.fromarray(layer).save(tmp_path / "holes.png")
    np.testing.assert_array_equal(on_white(layer), read_image(tmp_path / "holes.png", "picture"))


def test_a_brush_on_a_canvas_of_any_size_marks_where_it_was():
    layer = np.zeros((99, 50, 4), dtype=np.uint8)
    layer[98, 0, 3] = layer[0, 25, 3] = 1
    rows, columns = np.nonzero(painted({"layers": [layer]}, 8))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 4), (7, 0)]


def test_a_question_is_about_the_picture_that_was_dropped_in(model, tmp_path):
    Image.fromarray(picture(5, 40, 60)).save(tmp_path / "a.png")
    found = job_of(model, UNDERSTAND, page("What?", picture=str(tmp_path / "a.png")))(quiet)
    asks = model.asks["understand"]
    sight = see(picture(5, 40, 60), model.images, "crop")
    expected = Asker(asks, model.policy, model.images, sight).prompt("What?", "demo")
    np.testing.assert_array_equal(found.prompt.tokens, expected.tokens)


WRONG = {
    "empty": (TEXT, {"prompt": " \n"}, "The prompt is empty: write what you want."),
    "nothing": (TEXT, {"prompt": None}, "The prompt is empty"),
    "long": (TEXT, {"prompt": "1+" * 600}, "tokens, but max_prompt_length is 512"),
    "longer than the model": (TEXT, {"text.gen_length": 4096}, "tokens, but a knows 2048: ask for less."),
    "blocks": (TEXT, {"text.block_length": 3}, "rollout.gen_length is 8, which rollout.block_length=3 does not divide"),
    "two rules": (TEXT, {"text.threshold": "0.5", "text.steps": "8"}, "rollout.threshold and rollout.steps both"),
    "no number": (TEXT, {"text.steps": "many"}, "steps is 'many': write a whole number, or leave it empty."),
    "missing": (TEXT, {"text.temperature": None}, "temperature is '': write a number."),
    "range": (TEXT, {"text.temperature": -1}, "rollout.temperature is -1.0: set it to 0 or more."),
    "seed": (TEXT, {"seed": None}, "The seed is empty or below 0"),
    "no picture": (UNDERSTAND, {}, "There is no picture"),
    "no picture to paint": (PAINT, {}, "There is no picture"),
    "a text": (UNDERSTAND, {"picture": "text.png"}, "picture: the image of 10 bytes cannot be read"),
    "unmarked": (PAINT, {"picture": picture(0, 32, 32)}, "Nothing is marked: paint over what is to be drawn anew"),
    "a word": (PAINT, {"picture": picture(0, 32, 32), "box": "here"}, "The box is 'here': write x0,y0,x1,y1"),
    "outside": (PAINT, {"picture": picture(0, 32, 32), "box": "0,0,33,9"}, "mask is the box 0,0,33,9"),
    "all": (PAINT, {"picture": picture(0, 32, 32), "box": "0,0,32,32"}, "mask touches every code"),
    "many steps": (DRAW, {"image.steps": 10**9}, "A drawing has at most 1000 steps here: ask for less."),
    "steps": (DRAW, {"image.steps": 0}, "rollout.image.steps is 0: set it to 1 or more."),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_asked_is_said_in_words(model, case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    kind, given, message = WRONG[case]
    with pytest.raises(UniGRPOError) as caught:
        job_of(model, kind, page(**given))
    assert message in str(caught.value)


def test_the_settings_of_a_demo_are_those_of_the_tests():
    assert {f"{key}={value}" for key, value in GIVEN.items()} < set(DEMO)
