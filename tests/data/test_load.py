import logging

import numpy as np
import pytest

from unigrpo.config import DataSection
from unigrpo.data import encode_prompt, load_examples, load_prompts, texts
from unigrpo.data.prompts import THINK_INSTRUCTION
from unigrpo.errors import DataError


def test_prompts_hold_what_rewards_and_the_sampler_need(jsonl, tokenizer, ids):
    section = jsonl({"prompt": "2+2?", "answer": "4", "level": 1}, {"prompt": "3+3?", "answer": 6, "level": 2})
    first, second = load_prompts(section, tokenizer, ids)
    assert (first.id, first.task, first.text, first.answer, first.metadata) == (
        "rows:1",
        "text",
        "2+2?",
        "4",
        {"level": 1},
    )
    assert (second.id, second.answer) == ("rows:2", "6")
    np.testing.assert_array_equal(first.tokens, encode_prompt("2+2?", section, tokenizer, ids))


def test_an_answer_is_required_unless_no_reward_needs_it(jsonl, tokenizer, ids):
    section = jsonl({"prompt": "a cat"})
    with pytest.raises(DataError, match="line 1: there is no column `answer`"):
        load_prompts(section, tokenizer, ids)
    assert load_prompts(section, tokenizer, ids, need_answer=False)[0].answer is None


def test_examples_end_in_eos_and_need_a_response(jsonl, tokenizer, ids):
    example = load_examples(jsonl({"prompt": "2+2?", "response": "4 <|eot_id|>"}), tokenizer, ids)[0]
    assert example.response_tokens[-1] == ids.eos
    assert tokenizer.decode(example.response_tokens[:-1]) == "4 <|eot_id|>"
    assert not {ids.eos, ids.eot} & set(example.response_tokens[:-1].tolist())
    assert example.prompt_tokens[0] == ids.bos
    assert example.id == "rows:1"
    with pytest.raises(DataError, match=r"line 1: there is no column `response`.*data\.columns\.response=COLUMN"):
        load_examples(jsonl({"prompt": "2+2?", "answer": "4"}), tokenizer, ids)


def long_rows(jsonl, **fields):
    return jsonl(
        {"prompt": "1+1=", "answer": "2"},
        {"prompt": "1+1+1+1=", "answer": "4"},
        template="plain",
        max_prompt_length=5,
        **fields,
    )


def test_a_long_prompt_is_an_error(jsonl, tokenizer, ids):
    section = long_rows(jsonl)
    with pytest.raises(DataError) as error:
        load_prompts(section, tokenizer, ids)
    assert str(error.value) == (
        f"{section.path} line 2: the prompt has 9 tokens, but data.max_prompt_length is 5. Raise it, or leave such "
        "rows out with data.too_long=drop."
    )


def test_long_prompts_can_be_left_out_and_are_counted(jsonl, tokenizer, ids, caplog):
    section = long_rows(jsonl, too_long="drop")
    with caplog.at_level(logging.WARNING):
        prompts = load_prompts(section, tokenizer, ids)
    assert [prompt.id for prompt in prompts] == ["rows:1"]
    assert (
        f"{section.path}: left out 1 of 2 prompts, which have more than data.max_prompt_length=5 tokens." in caplog.text
    )


def test_leaving_out_every_prompt_is_an_error(jsonl, tokenizer, ids):
    section = jsonl({"prompt": "1+1=", "answer": "2"}, max_prompt_length=2, too_long="drop")
    with pytest.raises(
        DataError, match=r"all 1 prompts of .*rows\.jsonl have more than data\.max_prompt_length=2 tokens"
    ):
        load_prompts(section, tokenizer, ids)


def test_texts_are_all_a_tokenizer_will_meet(jsonl):
    section = jsonl(
        {"prompt": "p", "answer": "a", "response": "r"}, {"prompt": "q", "answer": "b"}, instruction="think"
    )
    assert texts(section) == [THINK_INSTRUCTION, "user", "assistant", "p", "r", "a", "q", "b"]


def test_texts_of_a_generator_are_deterministic_and_capped(monkeypatch):
    section = DataSection(source="arithmetic", size=100, template="plain")
    whole = texts(section)
    assert whole == texts(section)
    assert len(whole) == 300
    monkeypatch.setattr("unigrpo.data.load.TEXT_LIMIT", 120)
    capped = texts(section)
    assert 0 < len(capped) < len(whole)
    assert capped == whole[: len(capped)]


def test_generated_prompts_carry_their_columns(tokenizer, ids):
    prompt = load_prompts(DataSection(source="countdown", size=1), tokenizer, ids)[0]
    assert set(prompt.metadata) == {"numbers", "target"}
    assert prompt.id == "countdown-train:1"
