import io
import logging
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.images import picture, tiny_images
from unigrpo.config import DataSection
from unigrpo.data import encode_prompt, load_examples, load_prompts, texts
from unigrpo.data.images import fit_image
from unigrpo.data.layouts import unconditional
from unigrpo.data.prompts import encode_text
from unigrpo.errors import ConfigError, DataError

IMAGES = tiny_images()


@pytest.fixture(scope="module")
def mmada(ids):
    """The ids of the tests' tokenizer, with as many image codes as the image tokenizer has."""
    return replace(ids, image_offset=ids.text_vocab, codebook_size=IMAGES.codebook_size)


@pytest.fixture
def files(tmp_path):
    """Five pictures of different shapes, beside the rows that name them."""
    found = []
    for number in range(5):
        found.append(picture(number, 8 + number, 20 - number))
        Image.fromarray(found[-1]).save(tmp_path / f"{number}.png")
    return found


def rows(**columns):
    return [{"prompt": f"what is {n}?", "image": f"{n}.png", **columns} for n in range(5)]


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_question_has_the_codes_of_its_fitted_picture(jsonl, files, tokenizer, mmada, fit):
    section = jsonl(*rows(answer="x"), task="understand", fit=fit)
    prompts = load_prompts(section, tokenizer, mmada, images=IMAGES)
    for prompt, found in zip(prompts, files, strict=True):
        fitted = fit_image(found, 8, fit)
        np.testing.assert_array_equal(prompt.images[0], fitted)
        codes = IMAGES.encode([fitted])[0]
        expected = encode_prompt(prompt.text, section, tokenizer, mmada, codes)
        np.testing.assert_array_equal(prompt.tokens, expected)
        assert (prompt.tokens >= mmada.image_offset).sum() == IMAGES.tokens == 4
    assert (prompts[0].task, prompts[0].answer, prompts[0].unconditional) == ("understand", "x", None)


def test_questions_about_one_picture_share_it(jsonl, files, tokenizer, mmada):
    asked = [row | {"prompt": f"{row['prompt']} {n}", "answer": "x"} for n in range(3) for row in rows()]
    section = jsonl(*asked, task="understand")
    prompts = load_prompts(section, tokenizer, mmada, images=IMAGES)
    assert len({id(prompt.images[0]) for prompt in prompts}) == len(files) == 5
    for number, prompt in enumerate(prompts):
        fitted = fit_image(files[number % 5], 8, section.fit)
        np.testing.assert_array_equal(prompt.images[0], fitted)
        expected = encode_prompt(prompt.text, section, tokenizer, mmada, IMAGES.encode([fitted])[0])
        np.testing.assert_array_equal(prompt.tokens, expected)


def test_pictures_behind_the_most_that_are_asked_for_are_not_looked_at(jsonl, files, tmp_path, tokenizer, mmada):
    section = jsonl(*rows(answer="x"), task="understand")
    (tmp_path / "2.png").write_bytes(b"broken")
    assert [prompt.text for prompt in load_prompts(section, tokenizer, mmada, images=IMAGES, most=2)] == [
        "what is 0?", "what is 1?"
    ]  # fmt: skip
    with pytest.raises(DataError, match="line 3"):
        load_prompts(section, tokenizer, mmada, images=IMAGES, most=3)


def test_bytes_and_paths_of_one_picture_are_one_picture(jsonl, files, tmp_path, tokenizer, mmada):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    Image.fromarray(files[0]).save(buffer, "PNG")
    table = pyarrow.table({"prompt": ["a?"], "image": [{"bytes": buffer.getvalue(), "path": None}]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    section = DataSection(path=str(tmp_path / "rows.parquet"), task="understand")
    inside = load_prompts(section, tokenizer, mmada, images=IMAGES)[0]
    beside = load_prompts(jsonl({"prompt": "a?", "image": "0.png"}, task="understand"), tokenizer, mmada, images=IMAGES)
    np.testing.assert_array_equal(inside.tokens, beside[0].tokens)


def test_a_drawing_may_have_a_picture_and_needs_none(jsonl, files, tokenizer, mmada):
    section = jsonl({"prompt": "a cat"}, {"prompt": "a dog", "image": "1.png"}, task="image")
    without, with_one = load_prompts(section, tokenizer, mmada, stream="draw", images=IMAGES)
    assert (without.id, without.stream, without.images, without.answer) == ("draw/rows:1", "draw", (), None)
    np.testing.assert_array_equal(with_one.images[0], fit_image(files[1], 8, "crop"))
    for prompt in (without, with_one):
        np.testing.assert_array_equal(prompt.tokens, encode_prompt(prompt.text, section, tokenizer, mmada))
        np.testing.assert_array_equal(prompt.unconditional, unconditional(section, mmada))


def test_visible_pads_make_drawings_and_their_opposites_equally_long(jsonl, tokenizer, mmada):
    section = jsonl({"prompt": "a"}, {"prompt": "a cat"}, task="image", max_prompt_length=20)
    for prompt in load_prompts(section, tokenizer, mmada, images=IMAGES, visible_pads=True):
        assert len(prompt.tokens) == len(prompt.unconditional) == 22
        pads = prompt.tokens == mmada.ipad
        assert pads.sum() == 20 - 2 - len(encode_text(prompt.text, tokenizer, mmada))
        assert not np.diff(pads.astype(int)).clip(min=0).any()


def test_the_limit_counts_text_and_no_image(jsonl, files, tokenizer, mmada, caplog):
    text = len(encode_prompt("a cat", DataSection(template="plain"), tokenizer, mmada))
    for task, extra in (("understand", 0), ("image", 1), ("think_image", 1)):
        row = {"prompt": "a cat", "image": "0.png"}
        template = {} if task == "image" else {"template": "plain"}
        section = jsonl(row, task=task, max_prompt_length=text + extra, **template)
        assert load_prompts(section, tokenizer, mmada, images=IMAGES)
        with pytest.raises(DataError, match=rf"the prompt has {text + extra} tokens, but data\.max_prompt_length is"):
            load_prompts(replace(section, max_prompt_length=text + extra - 1), tokenizer, mmada, images=IMAGES)
    short = jsonl({"prompt": "b", "image": "0.png"}, row, task="understand", template="plain", max_prompt_length=3)
    with caplog.at_level(logging.WARNING):
        assert len(load_prompts(replace(short, too_long="drop"), tokenizer, mmada, images=IMAGES)) == 1
    assert "left out 1 of 2 prompts" in caplog.text


def test_examples_hold_what_each_task_learns(jsonl, files, tokenizer, mmada):
    row = {"prompt": "a pet", "image": "2.png", "response": "a cat"}
    codes = IMAGES.encode([fit_image(files[2], 8, "crop")])[0] + mmada.image_offset
    said = [*encode_text("a cat", tokenizer, mmada), mmada.eos]
    expected = {
        "understand": (said, []),
        "image": ([], [*codes, mmada.eoi]),
        "think_image": (said, [mmada.soi, *codes, mmada.eoi]),
    }
    for task, (response, image) in expected.items():
        section = jsonl(row, task=task)
        example = load_examples(section, tokenizer, mmada, images=IMAGES)[0]
        prompt = load_prompts(section, tokenizer, mmada, images=IMAGES)[0]
        assert example.task == task
        np.testing.assert_array_equal(example.prompt_tokens, prompt.tokens)
        assert (example.response_tokens.tolist(), example.image_tokens.tolist()) == (response, image)
        assert (example.unconditional is None) == (prompt.unconditional is None) == (task == "understand")
        assert example.text_length == len(prompt.tokens) - {"understand": 7, "image": 2}.get(task, 0)


FAULTS = {
    "an image for a text task: data.task is text": {"task": "text", "row": {"answer": "x"}},
    "0.gif' does not exist": {"row": {"image": "0.gif"}},
    "rows.jsonl' cannot be read": {"row": {"image": "rows.jsonl"}},
    "there is no column `image`": {"drop": "image"},
    "`image` is empty, but every row needs an image": {"row": {"image": None}},
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_picture_that_is_wrong_is_named_by_its_row(jsonl, files, tokenizer, mmada, message):
    fault = {"task": "understand", "row": {}, "drop": None} | FAULTS[message]
    row = {"prompt": "a?", "image": "0.png", **fault["row"]}
    row.pop(fault["drop"], None)
    section = jsonl(row, task=fault["task"])
    with pytest.raises(DataError, match=message) as error:
        load_prompts(section, tokenizer, mmada, images=IMAGES)
    assert str(error.value).startswith(f"{section.path} line 1: ")


@pytest.mark.parametrize("task", ["image", "think_image"])
def test_an_example_of_a_drawing_needs_its_picture(jsonl, tokenizer, mmada, task):
    with pytest.raises(DataError, match="line 1: there is no column `image`"):
        load_examples(jsonl({"prompt": "a", "response": "b"}, task=task), tokenizer, mmada, images=IMAGES)


def test_a_model_and_an_image_tokenizer_that_do_not_belong_together_are_refused(jsonl, tokenizer, ids, mmada):
    section = jsonl({"prompt": "a cat"}, task="image")
    with pytest.raises(
        ConfigError, match=r"data\.task is image, but there is no image tokenizer: set model\.image_tok"
    ):
        load_prompts(section, tokenizer, mmada)
    with pytest.raises(ConfigError, match=r"needs a model with image codes, and this one has none"):
        load_prompts(section, tokenizer, ids, images=IMAGES)
    with pytest.raises(ConfigError, match=r"the image tokenizer has 16 codes, but the model has 8192: set"):
        load_prompts(section, tokenizer, replace(mmada, codebook_size=8192), images=IMAGES)


def test_many_pictures_are_encoded_as_few_are_and_say_how_far_they_are(jsonl, tmp_path, tokenizer, mmada, capsys):
    for number in range(520):
        Image.fromarray(picture(number % 3)).save(tmp_path / f"{number}.png")
    every = [{"prompt": "a?", "image": f"{number}.png"} for number in range(520)]
    many = load_prompts(jsonl(*every, task="understand"), tokenizer, mmada, images=IMAGES)
    assert "Images 520/520" in capsys.readouterr().err
    few = load_prompts(jsonl(*every[:3], task="understand"), tokenizer, mmada, images=IMAGES)
    assert "Images" not in capsys.readouterr().err
    for number, prompt in enumerate(many):
        np.testing.assert_array_equal(prompt.tokens, few[number % 3].tokens)


@pytest.mark.parametrize("task", ["understand", "image", "think_image"])
def test_the_embedded_world_loads_as_prompts_and_as_examples(tokenizer, mmada, task):
    section = DataSection(source="shapes", task=task, size=6)
    images = tiny_images(32)
    prompts = load_prompts(section, tokenizer, mmada, images=images)
    examples = load_examples(section, tokenizer, mmada, images=images)
    for prompt, example in zip(prompts, examples, strict=True):
        np.testing.assert_array_equal(prompt.tokens, example.prompt_tokens)
        assert prompt.images[0].shape == (32, 32, 3)
    assert ("user" in texts(section)) == (task != "image")
