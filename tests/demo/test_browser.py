"""The demo in a real browser: two models answer, look, draw and in-paint, and what is shown is what they sampled."""

from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.browser import Browser, chromium
from tests.demo.page import PAINTS, Demo
from tests.demo.test_watch import quiet
from tests.demo.tiny import DEMO, page
from tests.images import picture
from unigrpo.cli.demo import asks_of, shown
from unigrpo.demo.asked import KINDS, job_of
from unigrpo.demo.models import load_model
from unigrpo.types import TASKS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="there is no Chromium")]
TEXT, UNDERSTAND, DRAW, PAINT = KINDS
FOUR = {"rollout.gen_length": 8, "rollout.block_length": 4, "rollout.image.steps": 3, "model.device": "cpu"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"), *PAINTS)
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(runs, tmp_path_factory):
    with shown([*map(str, runs), *DEMO], tmp_path_factory.mktemp("examples")) as found:
        yield found


@pytest.fixture(scope="module")
def models(runs):
    return [load_model(run.name, {task: asks_of(str(run), task, FOUR) for task in TASKS}) for run in runs]


@pytest.fixture
def demo(browser, address):
    found = Demo(browser, address)
    found.open()
    return found


@pytest.fixture
def file(tmp_path):
    Image.fromarray(picture(5, 40, 60)).save(tmp_path / "given.png")
    return tmp_path / "given.png"


def sampled(models, kind, **given):
    """What the models make of it, without a page."""
    return [job_of(model, kind, page(**given))(quiet) for model in models]


def written(demo, kind):
    """The tokens of each answer, and the steps at which they came."""
    cards = f"[...document.querySelectorAll('#{kind}-shown .card')]"
    steps = "[...one.querySelectorAll('.tokens span')].flatMap((it) => it.title.slice(5).split(', ').map(Number))"
    return demo.browser.ask(f"{cards}.map((one) => {steps})")


def steps_of(models, rollouts):
    """The same from rollouts."""
    pairs = [(rollout, model.policy.ids) for rollout, model in zip(rollouts, models, strict=True)]
    return [
        [
            int(step) + 1
            for token, step, chosen in zip(rollout.tokens, rollout.commit_step, rollout.sampled, strict=True)
            if chosen and token < ids.text_vocab and token != ids.eos
        ]
        for rollout, ids in pairs
    ]


def test_both_models_answer_with_the_same_seed_and_every_token_says_when_it_came(demo, models):
    for seed in (0, 7):
        demo.write("text-prompt", "12+34=")
        demo.write("text-seed", str(seed))
        demo.run("text")
        assert written(demo, "text") == steps_of(models, sampled(models, TEXT, prompt="12+34=", seed=seed))
    headings = demo.browser.ask(
        "[...document.querySelectorAll('#text-shown .card strong')].map((one) => one.innerText)"
    )
    assert headings == ["before", "after"]
    assert demo.shown("text").count("8 steps") == 2


def test_a_picture_is_answered_about(demo, models, file):
    demo.tab("Understand")
    demo.write("understand-prompt", "What is it?")
    assert demo.message("understand").startswith("There is no picture")
    demo.drop("understand-picture", file)
    demo.browser.wait_for("!!document.querySelector('#understand-picture img')")
    demo.run("understand")
    given = {"prompt": "What is it?", "picture": str(file)}
    assert written(demo, "understand") == steps_of(models, sampled(models, UNDERSTAND, **given))


@pytest.mark.parametrize("think", [False, True])
def test_a_picture_is_drawn_after_a_thought_if_asked_for(demo, models, think):
    demo.tab("Draw")
    demo.write("draw-prompt", "a red circle")
    if think:
        demo.click("#draw-think input")
    demo.run("draw")
    expected = sampled(models, DRAW, prompt="a red circle", think=think)
    for found, rollout in zip(demo.pictures("draw"), expected, strict=True):
        np.testing.assert_array_equal(found, rollout.image)
    if think:
        assert written(demo, "draw") == steps_of(models, expected)


def test_what_a_brush_touches_or_a_box_holds_is_drawn_anew(demo, models, file):
    demo.tab("In-paint")
    demo.write("in-paint-prompt", "a red circle")
    canvas = "document.querySelector('#in-paint-canvas canvas')"
    demo.browser.wait_for(f"!!{canvas}")  # before that it takes no file
    demo.drop("in-paint-canvas", file)
    demo.message_at_last("in-paint", "Nothing is marked")
    x, y, width, height = demo.browser.ask(
        f"(() => {{ const r = {canvas}.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] }})()"
    )
    middle = y + height / 2
    stroke = [(x + width * (0.4 + 0.03 * step), middle) for step in range(6)]
    demo.run("in-paint", before=lambda: demo.browser.drag(*stroke))
    assert [found.shape for found in demo.pictures("in-paint")] == [(32, 32, 3)] * 2
    demo.click("#in-paint-examples tbody tr")
    demo.browser.wait_for("document.querySelector('#in-paint-prompt textarea').value !== 'a red circle'")
    demo.write("in-paint-box", "all")
    demo.message_at_last("in-paint", "The box is 'all': write x0,y0,x1,y1")
    demo.write("in-paint-box", "0,0,16,16")
    demo.run("in-paint")
    assert [found.shape for found in demo.pictures("in-paint")] == [(32, 32, 3)] * 2


def test_masks_are_seen_to_fall_step_by_step_and_stop_stops(demo):
    demo.click("#text-settings button")
    demo.write("text-prompt", "12+34=")
    masks = "document.querySelectorAll('#text-shown .card:first-child .mask').length"
    seen = []
    for _ in range(10):  # settings that are just shown do not take a pace yet
        demo.write("text-settings .controls .form > :first-child", "1")
        demo.click("#text-run")
        seen = [demo.browser.wait_for(masks)]
        with suppress(AssertionError):
            while len(seen) < 3:
                seen.append(demo.browser.wait_for(f"{masks} < {seen[-1]} && {masks}", 10))
        demo.click("#text-stop")
        demo.browser.wait_for("document.querySelectorAll('#text-shown .card.over').length === 2")
        if demo.shown("text").count("stopped") == 2:
            break
    assert len(seen) == 3
    assert seen == sorted(seen, reverse=True)
    assert demo.shown("text").count("stopped") == 2


def test_a_file_that_is_no_picture_is_a_message(demo, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    demo.tab("Understand")
    demo.write("understand-prompt", "What is it?")
    demo.drop("understand-picture", tmp_path / "text.png")
    demo.message_at_last("understand", "picture: the image of 10 bytes cannot be read", "PPM.")


def test_a_picture_that_cannot_be_painted_on_is_a_message(demo, tmp_path):
    Image.fromarray(np.zeros((2, 300, 3), dtype=np.uint8)).save(tmp_path / "line.png")
    demo.tab("In-paint")
    demo.write("in-paint-prompt", "a line")
    demo.browser.wait_for("!!document.querySelector('#in-paint-canvas canvas')")
    demo.drop("in-paint-canvas", tmp_path / "line.png")
    demo.message_at_last("in-paint", "picture: the image is 300 x 2 pixels, more than")


def test_what_is_wrong_is_a_message_on_the_page(demo, capfd):
    assert demo.message("text") == "The prompt is empty: write what you want."
    demo.write("text-prompt", "1+1=")
    demo.write("text-seed", "-3")
    demo.message_at_last("text", "The seed is empty or below 0")
    assert "Traceback" not in capfd.readouterr().err
    demo.write("text-seed", "0")
    demo.write("text-prompt", "1+" * 600)
    demo.message_at_last("text", "", "max_prompt_length is 512: raise it, or say less.")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_the_page_fits_its_window_and_loads_nothing_from_elsewhere(demo, width, dark):
    demo.open(width, dark)
    for kind in KINDS:
        demo.tab(kind.title)
        demo.click(f"#{kind.title.lower()}-settings button")
        assert demo.browser.ask("document.documentElement.scrollWidth") <= width
    own = demo.address.rstrip("/")
    assert [url for url in demo.browser.asked_for() if not url.startswith((own, "blob:"))] == []
    assert [found for found in demo.browser.complaints() if "WebGL" not in found] == []
    colour = demo.browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour[4:-1].split(","))) < 300) is dark
