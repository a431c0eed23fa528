import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from unigrpo.config import DataSection
from unigrpo.data.layouts import lm, lm_chat
from unigrpo.data.prompts import CHAT_TEMPLATE, THINK_INSTRUCTION, encode_prompt, encode_text
from unigrpo.errors import ConfigError, DataError
from unigrpo.models.ids import PUBLISHED, TOKENS

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS = load_file(GOLDEN / "vectors.safetensors")
SETTINGS = json.loads((GOLDEN / "meta.json").read_text())["prompts"]
MMADA = PUBLISHED["mmada", 134656]
LENGTH = VECTORS["prompt.lm.ids"].shape[1]
STRINGS = [*TOKENS.values(), "<|reserved_token_0|>"]


@pytest.mark.parametrize("row", [0, 1])
def test_plain_text_is_laid_out_as_in_mmada(row):
    laid_out = lm(SETTINGS["texts"][row], LENGTH, MMADA)
    np.testing.assert_array_equal(laid_out, VECTORS["prompt.lm.ids"][row])
    np.testing.assert_array_equal(laid_out, VECTORS["prompt.lm.labels"][row])


@pytest.mark.parametrize("row", [0, 1])
def test_chats_are_laid_out_as_in_mmada(row):
    laid_out, prompt_mask = lm_chat(SETTINGS["chats"][row], LENGTH, MMADA)
    np.testing.assert_array_equal(laid_out, VECTORS["prompt.lm_chat.ids"][row])
    np.testing.assert_array_equal(prompt_mask, VECTORS["prompt.lm_chat.prompt_mask"][row])


def test_without_a_header_nothing_is_prompt():
    assert not lm_chat([5, 6, 7], 8, MMADA)[1].any()


@pytest.mark.parametrize("length", [1, 3, 4, 5])
def test_a_layout_has_its_length_and_one_bos(length):
    for tokens in ([5, 6, 7], [MMADA.bos, 5, 6, 7]):
        expected = [MMADA.bos, 5, 6, 7, MMADA.eos][:length]
        assert lm(tokens, length, MMADA).tolist() == expected


@pytest.mark.parametrize("text", ["What is 12 + 30?", "  two\nlines \n", "", "\u00e9\u4e2d\U0001f600"])
def test_a_chat_prompt_is_the_template_with_its_real_tokens(tokenizer, ids, text):
    whole = tokenizer(CHAT_TEMPLATE.format(content=text.strip()), add_special_tokens=False)["input_ids"]
    tokens = encode_prompt(text, DataSection(template="chat"), tokenizer, ids)
    assert tokens.dtype == np.int64
    assert tokens.tolist() == whole
    assert (tokens == ids.bos).sum() == 1
    assert tokens[0] == ids.bos


def test_a_plain_prompt_is_the_text_after_one_bos(tokenizer, ids):
    tokens = encode_prompt("12+30=", DataSection(template="plain"), tokenizer, ids)
    assert tokens.tolist() == [ids.bos, *tokenizer("12+30=", add_special_tokens=False)["input_ids"]]


def test_the_thinking_instruction_stands_on_a_line_of_its_own(tokenizer, ids):
    section = DataSection(template="plain", instruction="think")
    assert tokenizer.decode(encode_prompt("2+2?", section, tokenizer, ids)[1:]) == f"{THINK_INSTRUCTION}\n2+2?"
    assert THINK_INSTRUCTION.endswith("i.e. `<think> reasoning process here </think> answer here`")
    section = DataSection(template="plain", instruction="Be brief.")
    assert tokenizer.decode(encode_prompt("2+2?", section, tokenizer, ids)[1:]) == "Be brief.\n2+2?"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([*STRINGS, "x", " ", "\n", "<|", "|>"]), max_size=8).map("".join))
def test_text_never_becomes_a_special_id(tokenizer, ids, text):
    special = {value for name, value in ids.as_dict().items() if name not in ("text_vocab", "codebook_size")}
    tokens = encode_text(text, tokenizer, ids)
    assert not special & set(tokens)
    assert tokenizer.decode(tokens) == text
    prompt = encode_prompt(text, DataSection(template="chat"), tokenizer, ids).tolist()
    assert [token for token in prompt if token in special] == [
        ids.bos, ids.start_header, ids.end_header, ids.eot, ids.start_header, ids.end_header
    ]  # fmt: skip


def test_encoding_text_leaves_the_tokenizer_as_it_was(tokenizer, ids):
    encode_text("<|eot_id|>", tokenizer, ids)
    assert tokenizer("<|eot_id|>", add_special_tokens=False)["input_ids"] == [ids.eot]


def test_a_tokenizer_that_makes_special_ids_of_text_is_refused(tokenizer, ids):
    x = tokenizer("x", add_special_tokens=False)["input_ids"][0]
    with pytest.raises(
        DataError, match=rf"encodes 'x' in 'a x' as special id {x}: remove it from the text, or mark the"
    ):
        encode_text("a x", tokenizer, replace(ids, mask=x))


def test_a_chat_needs_header_ids(tokenizer, ids):
    with pytest.raises(
        ConfigError, match=r"data\.template is chat, but the model has no header.*set data\.template=plain"
    ):
        encode_prompt("x", DataSection(), tokenizer, replace(ids, eot=None))


def test_a_model_without_bos_gets_none(tokenizer, ids):
    bare = replace(ids, bos=None)
    assert encode_prompt("x", DataSection(template="plain"), tokenizer, bare).tolist() == encode_text(
        "x", tokenizer, ids
    )
    assert lm([5], 2, bare).tolist() == [5, ids.eos]
