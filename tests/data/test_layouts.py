import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from unigrpo.config import DataSection
from unigrpo.data.layouts import image_part, lay_out, unconditional
from unigrpo.data.prompts import CHAT_TEMPLATE, THINK_IMAGE_INSTRUCTION, encode_prompt, encode_text
from unigrpo.errors import ConfigError
from unigrpo.models.ids import PUBLISHED

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS = load_file(GOLDEN / "vectors.safetensors")
SETTINGS = json.loads((GOLDEN / "meta.json").read_text())["prompts"]
MMADA = PUBLISHED["mmada", 134656]
DRAW = DataSection(task="image", max_prompt_length=SETTINGS["text_budget"])
CODES = VECTORS["prompt.image_ids"] - MMADA.image_offset


@pytest.fixture(scope="module")
def mmada(ids):
    """The ids of the tests' tokenizer, with image codes."""
    return replace(ids, image_offset=ids.text_vocab, codebook_size=16)


def with_image(prompt, row):
    return np.concatenate([prompt, image_part(CODES[row], MMADA)[1:]])


@pytest.mark.parametrize("row", [0, 1])
def test_a_drawing_with_visible_pads_is_laid_out_as_in_mmada(row):
    prompt = lay_out([MMADA.t2i, MMADA.bos, *SETTINGS["texts"][row]], DRAW, MMADA, visible_pads=True)
    tokens = with_image(prompt, row)
    for kind in ("t2i", "t2i_gen"):
        np.testing.assert_array_equal(tokens, VECTORS[f"prompt.{kind}.ids"][row])
        np.testing.assert_array_equal(tokens != MMADA.ipad, VECTORS[f"prompt.{kind}.mask"][row])


@pytest.mark.parametrize("row", [0, 1])
def test_the_unconditional_drawing_is_that_of_mmada(row):
    tokens = with_image(unconditional(DRAW, MMADA, visible_pads=True), row)
    np.testing.assert_array_equal(tokens, VECTORS["prompt.t2i_uncond.ids"][row])
    np.testing.assert_array_equal(tokens != MMADA.ipad, VECTORS["prompt.t2i_uncond.mask"][row])


def test_without_visible_pads_what_is_left_is_what_mmada_sees():
    prompt = lay_out([MMADA.t2i, MMADA.bos, *SETTINGS["texts"][0]], DRAW, MMADA)
    seen = VECTORS["prompt.t2i.mask"][0].astype(bool)
    np.testing.assert_array_equal(with_image(prompt, 0), VECTORS["prompt.t2i.ids"][0][seen])
    seen = VECTORS["prompt.t2i_uncond.mask"][0].astype(bool)
    np.testing.assert_array_equal(with_image(unconditional(DRAW, MMADA), 0), VECTORS["prompt.t2i_uncond.ids"][0][seen])


def test_a_drawing_of_nothing_is_the_unconditional_prompt(tokenizer, mmada):
    for pads in (False, True):
        empty = encode_prompt("", DRAW, tokenizer, mmada, visible_pads=pads)
        np.testing.assert_array_equal(empty, unconditional(DRAW, mmada, pads))
    assert unconditional(DataSection(), mmada) is None
    assert unconditional(DataSection(task="understand"), mmada) is None


def test_a_drawing_has_its_text_and_no_turns(tokenizer, mmada):
    section = DataSection(task="image", instruction="Draw:")
    tokens = encode_prompt("a cat", section, tokenizer, mmada).tolist()
    text = encode_text("Draw:\na cat", tokenizer, mmada)
    assert tokens == [mmada.t2i, mmada.bos, *text, mmada.eos, mmada.soi]


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_question_comes_after_its_image_as_it_would_without(tokenizer, mmada, template):
    section = DataSection(task="understand", template=template)
    codes = np.array([3, 0, 15, 7])
    tokens = encode_prompt("how many?", section, tokenizer, mmada, codes).tolist()
    image = [mmada.soi, *(codes + mmada.image_offset), mmada.eoi]
    alone = encode_prompt("how many?", DataSection(template=template), tokenizer, mmada).tolist()
    assert tokens == [mmada.mmu, *image, *alone]


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_drawing_to_think_about_is_a_text_of_its_own_kind(tokenizer, mmada, template):
    section = DataSection(task="think_image", template=template)
    tokens = encode_prompt("a pet", section, tokenizer, mmada).tolist()
    assert tokens == [mmada.r2i, *encode_prompt("a pet", DataSection(template=template), tokenizer, mmada)]
    assert unconditional(section, mmada).tolist() == [mmada.r2i, mmada.bos]


def test_thinking_before_drawing_has_its_own_instruction(tokenizer, mmada):
    section = DataSection(task="think_image", template="plain", instruction="think")
    tokens = encode_prompt("a pet", section, tokenizer, mmada)
    assert tokenizer.decode(tokens[2:]) == f"{THINK_IMAGE_INSTRUCTION}\na pet"
    assert THINK_IMAGE_INSTRUCTION.startswith("You should first think out a more detailed version of the description")


def test_the_literal_end_of_turn_is_text(tokenizer, mmada):
    tokens = encode_prompt("2+2?", DataSection(legacy_eot=True), tokenizer, mmada)
    assert mmada.eot not in tokens
    written = CHAT_TEMPLATE.replace("<|eot_id|>", "<eot_id>").format(content="2+2?")
    assert tokens.tolist() == tokenizer(written, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("task", ["understand", "image", "think_image"])
def test_a_model_of_text_alone_is_refused_for_images(tokenizer, ids, task):
    with pytest.raises(ConfigError, match=r"needs a model with image codes, and this one has none.*init-mmada"):
        encode_prompt("x", DataSection(task=task), tokenizer, ids, np.array([1]))


def test_an_id_that_is_missing_is_named(tokenizer, mmada):
    with pytest.raises(ConfigError, match=r"needs the id `t2i`, which this model has not: add it to `ids`"):
        encode_prompt("x", DataSection(task="image"), tokenizer, replace(mmada, t2i=None))
